"""A lockstep run as anybody can see it in Postgres: how far it is, and what is in flight."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.canonical import canonical_hash
from tradefleet.domain.errors import OutcomeUnknown, Retryable
from tradefleet.domain.ids import BotKey
from tradefleet.domain.progress import GATEWAY, VENUE, Participant, Phase
from tradefleet.runtime.follower import RunFollower
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.canonical import read_canonical_lines
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from workloads.backtest.lockstep import Due, RunView

T = TypeVar("T")

POLL_S = 0.01
RECONNECT_S = 0.2

_FIRST_BAR = "SELECT coalesce(min(market_us), 0) FROM tradefleet.progress WHERE fleet = %(fleet)s AND run = %(run)s"
_UNSETTLED = (
    "SELECT coalesce(array_agg(no ORDER BY no), '{}') FROM tradefleet.venue_request "
    "WHERE fleet = %(fleet)s AND NOT is_settled"
)
_UNPUBLISHED = (
    "SELECT coalesce(sum(last_seq - published_seq), 0)::bigint FROM tradefleet.stream "
    "WHERE fleet = %(fleet)s AND published_seq < last_seq AND stream NOT LIKE 'bars/%%'"
)


@dataclass(frozen=True, slots=True)
class Flight:
    """What was not finished at one moment. `unpublished` counts messages whose delivery was not noted yet."""

    due: Due | None
    unsettled: tuple[int, ...]
    unpublished: int

    def waits_for(self, participant: Participant) -> bool:
        """Return whether the turn under way is the participant's."""
        return self.due is not None and participant in self.due.waiting

    def __str__(self) -> str:
        if self.due is None:
            return "no turn"
        turn = self.due.turn
        parts = [f"{self.due.market_us} round {turn.round} {Phase(turn.phase).name}"]
        parts += [f"venue requests {list(self.unsettled)} unsettled"] if self.unsettled else []
        parts += [f"{self.unpublished} unpublished"] if self.unpublished else []
        return ", ".join(parts)


class Watch:
    """Follows a run. Every call may find Postgres away; it then waits for it, within a bound."""

    def __init__(self, dsn: str, fleet: str, run: RunId, *, patience_s: float) -> None:
        self._session = Session(dsn, fleet=fleet, application="lockstep-test")
        self._runs = PostgresRuns(self._session)
        self._run = run
        self._patience_s = patience_s
        self._first_us = 0
        self.participants = self._runs.participants(run)
        self._view = RunView(self.participants)
        self._follower = RunFollower(self._runs, run, [], self._view)

    def close(self) -> None:
        """Let go of the database."""
        self._session.close()

    @property
    def is_finished(self) -> bool:
        """Whether the last step has ended."""
        self._refresh()
        return self._view.is_finished

    @property
    def minutes(self) -> int:
        """How many minutes of market time have begun."""
        self._refresh()
        if not self._first_us and self._view.market_us:
            self._first_us = self._patiently(lambda: self._session.read(_FIRST_BAR, self._key))[0][0]
        return (self._view.market_us - self._first_us) // MINUTE_US + 1 if self._view.market_us else 0

    @property
    def market_us(self) -> int:
        """The step under way; 0 before the first."""
        self._refresh()
        return self._view.market_us

    def flight(self) -> Flight:
        """Return what is in flight now."""
        self._refresh()
        unsettled = self._patiently(lambda: self._session.read(_UNSETTLED, self._key))[0][0]
        unpublished = self._patiently(lambda: self._session.read(_UNPUBLISHED, self._key))[0][0]
        return Flight(self._view.due(), tuple(unsettled), unpublished)

    def ledger(self) -> list[str]:
        """Return the canonical ledger of the fleet."""
        return self._patiently(lambda: read_canonical_lines(self._session))

    def ledger_hash(self) -> str:
        """Return its hash."""
        return canonical_hash(self.ledger())

    @property
    def _key(self) -> dict[str, str]:
        return {"fleet": self._session.fleet, "run": self._run}

    def _refresh(self) -> None:
        self._patiently(self._follower.refresh)

    def _patiently(self, look: Callable[[], T]) -> T:
        """Return what `look` sees: a database that was killed is back in a moment."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return look()
            except (Retryable, OutcomeUnknown):
                if time.monotonic() > deadline:
                    raise
                time.sleep(RECONNECT_S)


def participant_of(component: str, participants: frozenset[Participant]) -> Participant | None:
    """Return who a workload is in the run; None for a feed, which only declares steps."""
    kind = component.partition("-")[0]
    if kind == "venue":
        return VENUE
    if kind == "gateway":
        return GATEWAY
    found = [each for each in participants if each.startswith(f"bot:{bot_of(component)}@")]
    return found[0] if found else None


def bot_of(component: str) -> BotKey:
    """Return the bot that a workload of the kind bot-NAMESPACE-NAME runs."""
    return BotKey(component.partition("-")[2].replace("-", "/", 1))
