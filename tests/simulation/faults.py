"""Everything that goes wrong in a simulated run, drawn from one seed, and counted by the point at which it struck."""

from collections import Counter
from collections.abc import Callable
from random import Random

from tradefleet.bus.memory_broker import AppendFate, Fate
from tradefleet.domain.errors import OutcomeUnknown, Retryable
from tradefleet.messages.topics import DEAD_LETTER, RISK_STATE

OFTEN = 4.0  # a weight: sends are few, so each must be in danger


class Crash(BaseException):
    """The process dies here, as by SIGKILL: nothing of its memory is left. No handler of ours may catch it."""


POINTS = (
    "commit: paused before",
    "commit: paused after",
    "before_commit: crash",
    "before_commit: connection lost",
    "inside_commit_lost: crash",
    "inside_commit_lost: unknown",
    "inside_commit_applied: crash",
    "inside_commit_applied: unknown",
    "after_commit: crash",
    "publish: before it, crash",
    "publish: lost",
    "publish: doubled",
    "publish: delayed",
    "publish: lost, acknowledged",
    "publish: arrived, not acknowledged",
    "publish: forged",
    "journal: nothing written",
    "journal: written, unknown",
    "journal: not written, unknown",
    "journal: written by a fenced writer",
    "broker: cut off",
    "broker: wiped of messages",
    "send: paused before",
    "venue: paused before send",
    "venue: before send, crash",
    "venue: send lost",
    "venue: send delayed",
    "venue: answer lost",
    "venue: after send, crash",
    "venue: connection broken",
    "venue: reports doubled",
    "venue: trade reported twice",
    "venue: nonsense reported",
    "request: unreadable",
    "process: killed",
    "process: stopped past its lease",
    "process: ended by SIGTERM",
    "process: second instance",
    "owner: halt set",
    "owner: halt cleared",
    "owner: paused, resumed or flattened",
    "owner: new generation of a bot",
    "owner: deleted a bot",
    "owner: edited the exchange",
    "clock: jumped",
)

_COMMIT_FAULTS: dict[str, tuple[tuple[str, type[BaseException]], ...]] = {
    "before_commit": (("before_commit: crash", Crash), ("before_commit: connection lost", Retryable)),
    "inside_commit_lost": (("inside_commit_lost: crash", Crash), ("inside_commit_lost: unknown", OutcomeUnknown)),
    "inside_commit_applied": (
        ("inside_commit_applied: crash", Crash),
        ("inside_commit_applied: unknown", OutcomeUnknown),
    ),
    "after_commit": (("after_commit: crash", Crash),),
}


class Faults:
    """Decides by `rng`; `rate` is the chance at each opportunity, 0 for a quiet end of the run.

    `interleave` lets the other processes work while the one at hand stands still, briefly or for any time.
    """

    def __init__(self, rng: Random, interleave: Callable[[bool], None]) -> None:
        self.rng = rng
        self.rate = 0.0
        self.fired: Counter[str] = Counter()
        self._interleave = interleave
        self._cut_off: dict[str, int] = {}  # client → looks at the broker left

    def strikes(self, point: str, weight: float = 1.0) -> bool:
        """Return whether a fault strikes here, and count it."""
        if self.rate and self.rng.random() < self.rate * weight:
            self.fired[point] += 1
            return True
        return False

    def pause(self, point: str, weight: float = 1.0, *, briefly: bool = False) -> None:
        """Perhaps stand still here for a while, as a process does that is not scheduled; perhaps beyond its lease."""
        if self.strikes(point, weight):
            self._interleave(briefly)

    def crash(self, point: str, weight: float = 1.0) -> None:
        """Perhaps die here."""
        if self.strikes(point, weight):
            raise Crash(point)

    # --- the database ---------------------------------------------------------------------------------------------

    def at(self, point: str) -> None:
        """A named point of a commit: perhaps raise."""
        for name, error in _COMMIT_FAULTS[point]:
            if self.strikes(name):
                raise error(f"simulated: {name}")

    # --- the broker -----------------------------------------------------------------------------------------------

    def publish(self, topic: str, key: str) -> Fate:
        """Return what becomes of a message. Risk states and dead letters have no effect on anybody."""
        if topic in (RISK_STATE.name, DEAD_LETTER.name):
            return Fate()
        if self.strikes("publish: lost", 4):
            return Fate(copies=(), acknowledged=False)
        if self.strikes("publish: doubled", 4):
            return Fate(copies=(0, self.rng.randrange(1, 40)))
        if self.strikes("publish: delayed", 4):
            return Fate(copies=(self.rng.randrange(1, 60),))
        if self.strikes("publish: lost, acknowledged", 4):
            return Fate(copies=())
        if self.strikes("publish: arrived, not acknowledged", 2):
            return Fate(acknowledged=False)
        return Fate()

    def append(self, topic: str, key: str) -> AppendFate:
        """Return what becomes of an append to the journal."""
        if self.strikes("journal: nothing written"):
            return AppendFate.NOTHING_WRITTEN
        if self.strikes("journal: written, unknown", 2):
            return AppendFate.WRITTEN_UNKNOWN
        if self.strikes("journal: not written, unknown", 2):
            return AppendFate.NOTHING_UNKNOWN
        return AppendFate.DONE

    def is_cut_off(self, client: str) -> bool:
        """Return whether a process cannot reach the broker."""
        if not self.rate:
            return False
        left = self._cut_off.get(client, 0)
        if left:
            self._cut_off[client] = left - 1
            return True
        if self.strikes("broker: cut off", 0.3):
            self._cut_off[client] = self.rng.randrange(5, 60)
            return True
        return False
