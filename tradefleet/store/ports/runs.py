"""Lockstep runs: who takes part, and how far each participant is (rule 21)."""

from collections.abc import Collection, Mapping, Sequence
from typing import NewType, Protocol

from tradefleet.domain.progress import VENUE_REQUESTS_STREAM, Participant, Phase, Progress

RunId = NewType("RunId", str)

VENUE_ROLE = "venue"  # whom a row of progress wakes
GATEWAY_ROLE = "gateway"
BOTS_ROLE = "bots"  # all of them; one bot alone by the name of its stream of executions


def woken_by(progress: Progress) -> tuple[str, ...]:
    """Return the roles whose turn may come after a row, and who are woken by it.

    A phase without input is left out, and a step may end: then whoever comes next is woken too, the gateway because a
    timer may make a step of its own. The last row before a turn of some bots must name the executions of all of them.
    """
    produced = progress.produced
    executions = tuple(stream for stream in produced if stream != VENUE_REQUESTS_STREAM)
    match progress.phase:
        case Phase.FEED:
            return (VENUE_ROLE, GATEWAY_ROLE)
        case Phase.VENUE_BARS:
            return (GATEWAY_ROLE,)
        case Phase.GATEWAY_REPORTS:
            return (BOTS_ROLE,) if progress.round == 0 else executions or (VENUE_ROLE,)
        case Phase.BOTS:
            return (GATEWAY_ROLE,) if produced else (GATEWAY_ROLE, VENUE_ROLE)
        case Phase.GATEWAY_REQUESTS:
            return (VENUE_ROLE,) if VENUE_REQUESTS_STREAM in produced else (VENUE_ROLE, *executions)
        case Phase.VENUE_REQUESTS:
            return (GATEWAY_ROLE,) if produced else (GATEWAY_ROLE, BOTS_ROLE)


class RunStore(Protocol):
    """Progress rows of lockstep runs (rule 21). The rows of a step sort by (market_us, round, phase, participant)."""

    def create_run(
        self, run: RunId, feed: str, participants: Sequence[Participant], terms: Mapping[str, object]
    ) -> None:
        """Fix what a run begins with; `terms` is what its exchange is then, as JSON values.

        The same call again is accepted, and the first terms stay; another feed or participants: Permanent.
        """

    def participants(self, run: RunId) -> frozenset[Participant]:
        """Return who takes part."""

    def terms_of_runs(self) -> dict[str, dict[str, object]]:
        """Return the terms of every run, by its name."""

    def progress_from(
        self, run: RunId, *, market_us: int, round_no: int, phase: int, until_us: int | None = None, limit: int
    ) -> list[Progress]:
        """Return rows at or after that place in the order of steps, sorted; none of a step after `until_us`."""

    def wait_progress(self, run: RunId, roles: Collection[str], *, timeout_us: int) -> bool:
        """Wait for the hint that somebody wrote a row that wakes one of `roles`; False after the timeout. Only a hint.

        Hints that came since the last call count as one. The first call starts listening and returns True at once:
        look, then wait.
        """
