"""A lockstep run seen through its progress rows (rule 21): there is no coordinator, every participant reads the same.

`RunView` folds the rows, which sort by (market time, round, phase), into the turn that is due now and the
participants that have not yet taken theirs. It is pure: the edges feed it rows and ask.

Who may write a row may write nonsense into it: the log-in of a bot is a stranger's code. So a row counts for its
participant's own phases and own streams alone.
"""

from collections.abc import Iterable
from dataclasses import replace

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BARS_STREAMS, StreamName, executions_stream, orders_stream
from tradefleet.domain.progress import (
    FEED,
    GATEWAY,
    REPORTS_STREAM,
    VENUE,
    VENUE_REQUESTS_STREAM,
    Participant,
    Phase,
    Progress,
    participant_bot,
)
from workloads.backtest.step import Step, Turn

FEED_TURN = Turn(Phase.FEED, 0)

_PHASES_OF = {
    FEED: (Phase.FEED,),
    VENUE: (Phase.VENUE_BARS, Phase.VENUE_REQUESTS),
    GATEWAY: (Phase.GATEWAY_REPORTS, Phase.GATEWAY_REQUESTS),
}


@frozen(kw_only=False)
class Due:
    """The turn that may happen now. `waiting` are those who have not taken it."""

    market_us: int
    turn: Turn
    has_bars: bool
    waiting: frozenset[Participant]


class RunView:
    """The state of a run as its rows tell it. Rows may be offered again and in any order.

    But for the feed's: what it declares must not come before an earlier step that it declared, since a step nobody
    has told of cannot be waited for. (It writes them in order, and the store is read sorted.)
    """

    def __init__(self, participants: Iterable[Participant]) -> None:
        self._bots: dict[Participant, tuple[StreamName, StreamName]] = {}
        for participant in participants:
            bot = participant_bot(participant)
            if bot is not None:
                self._bots[participant] = (executions_stream(bot[1]), orders_stream(bot[1]))
        self._gateways = frozenset({VENUE_REQUESTS_STREAM, *(executions for executions, _ in self._bots.values())})
        self.heads: dict[StreamName, int] = {}  # last number of each stream that the rows so far declare
        self.left: dict[Participant, int] = {}  # bots that take no part any more, each with the step of its last turn
        self.market_us = 0  # the step under way, or the last one that ended
        self._step = Step()
        self._open = False
        self._has_bars = False
        self._bars: dict[int, Progress] = {}  # declared steps that have not begun, by market time
        self._due_us: dict[Participant, int] = {}
        self._fed = False  # the feed has declared its last step
        self._taken: dict[Participant, Progress] = {}  # rows of the current turn
        self._early: dict[tuple[int, int, int], dict[Participant, Progress]] = {}
        self._waiting: frozenset[Participant] = frozenset()
        self._fresh: set[StreamName] = set()  # execution streams with something not yet applied

    @property
    def fresh(self) -> frozenset[StreamName]:
        """The streams of executions that rows told of and whose bots have not had their turn since."""
        return frozenset(self._fresh)

    @property
    def executions(self) -> frozenset[StreamName]:
        """The streams of executions of the bots that take part."""
        return frozenset(executions for executions, _ in self._bots.values())

    @property
    def turn_size(self) -> int:
        """How many participants the turn under way has."""
        return len(self._waiting)

    @property
    def is_finished(self) -> bool:
        """True when the feed's data is used up and the last step has ended."""
        return self._fed and not self._open and not self._bars

    @property
    def place(self) -> tuple[int, int, int]:
        """The key (market_us, round, phase) from which rows are still of interest."""
        if not self._open or self._step.turn is None:
            return (self.market_us + 1 if self.market_us else 0, 0, 0)
        return (self.market_us, self._step.turn.round, self._step.turn.phase)

    @property
    def until_us(self) -> int | None:
        """The market time up to which rows are of interest now: of the next declared step; None while there is none."""
        return min(self._bars, default=None)

    def offer(self, rows: Iterable[Progress]) -> None:
        """Take rows; those of steps and turns that are over are ignored, and what is not their participant's to say."""
        for row in map(self._own_part, rows):
            if row is None:
                continue
            if row.phase is Phase.FEED:
                if row.market_us > self.market_us:
                    self._bars[row.market_us] = row
                self._fed = self._fed or row.left
            else:
                place = (row.market_us, row.round, int(row.phase))
                self._early.setdefault(place, {})[row.participant] = row
        self._settle()

    def _own_part(self, row: Progress) -> Progress | None:
        """Return a row with nothing in it but its participant's own streams; None in another's phase."""
        participant = row.participant
        if row.phase not in _PHASES_OF.get(participant, (Phase.BOTS,)):
            return None
        if participant == FEED:
            foreign = [stream for stream in row.produced if not stream.startswith(BARS_STREAMS)]
        elif participant == VENUE:
            foreign = [stream for stream in row.produced if stream != REPORTS_STREAM]
        elif participant == GATEWAY:
            foreign = [stream for stream in row.produced if stream not in self._gateways]
        elif participant in self._bots:
            foreign = [stream for stream in row.produced if stream != self._bots[participant][1]]
        else:
            return None
        if not foreign:
            return row
        return replace(row, produced={stream: seq for stream, seq in row.produced.items() if stream not in foreign})

    def due(self) -> Due | None:
        """Return the turn that waits for somebody, None while the next step is not known yet or the run is over."""
        if not self._open or self._step.turn is None:
            return None
        return Due(self.market_us, self._step.turn, self._has_bars, self._waiting - self._taken.keys())

    def due_of(self, participant: Participant) -> Due | None:
        """Return the turn that waits for `participant`, None when it waits for others or there is none."""
        due = self.due()
        return due if due is not None and participant in due.waiting else None

    def _settle(self) -> None:
        """Follow the rows as far as they go."""
        while True:
            if not self._open and not self._begin():
                return
            turn = self._step.turn
            assert turn is not None
            rows = self._early.get((self.market_us, turn.round, int(turn.phase)), {})
            self._taken.update((name, row) for name, row in rows.items() if name in self._waiting)
            if not self._waiting <= self._taken.keys():
                return
            self._close_turn()

    def _begin(self) -> bool:
        """Start the next step, if its time is known: the earliest declared bars or timer."""
        if not self._bars:
            return False
        next_us = min(self._bars)
        timers_us = [due for due in self._due_us.values() if self.market_us < due < next_us]
        self.market_us = min(timers_us, default=next_us)
        row = self._bars.pop(self.market_us, None)
        self._has_bars = row is not None
        if row is not None:
            self.heads.update(row.produced)
        for place in [place for place in self._early if place[0] < self.market_us]:
            del self._early[place]
        self._open = True
        self._enter(self._step.begin(has_bars=self._has_bars))
        return True

    def _enter(self, turn: Turn) -> None:
        self._taken = {}
        if turn.phase in (Phase.VENUE_BARS, Phase.VENUE_REQUESTS):
            self._waiting = frozenset({VENUE})
        elif turn.phase in (Phase.GATEWAY_REPORTS, Phase.GATEWAY_REQUESTS):
            self._waiting = frozenset({GATEWAY})
        elif turn.round == 0:
            self._waiting = frozenset(self._bots)
        else:
            self._waiting = frozenset(bot for bot, (executions, _) in self._bots.items() if executions in self._fresh)

    def _close_turn(self) -> None:
        """All rows of the turn are there: note what they produced, and go on."""
        turn = self._step.turn
        assert turn is not None
        if turn.phase is Phase.BOTS:
            self._fresh.clear()
        for participant, row in self._taken.items():
            self.heads.update(row.produced)
            self._note(participant, row)
        following = self._step.advance()
        if following is None:
            self._open = False
        else:
            self._enter(following)

    def _note(self, participant: Participant, row: Progress) -> None:
        step = self._step
        if participant == VENUE:
            step.reports = step.reports or REPORTS_STREAM in row.produced
        elif participant == GATEWAY:
            fresh = {executions for executions, _ in self._bots.values() if executions in row.produced}
            self._fresh |= fresh
            step.executions = step.executions or bool(fresh)
            step.venue_requests = step.venue_requests or VENUE_REQUESTS_STREAM in row.produced
        elif participant != FEED:
            step.requests = step.requests or self._bots[participant][1] in row.produced
            if row.next_due_us is None:
                self._due_us.pop(participant, None)
            else:
                self._due_us[participant] = row.next_due_us
            if row.left:
                self._due_us.pop(participant, None)
                self.left[participant] = self.market_us
                del self._bots[participant]
