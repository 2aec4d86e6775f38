"""Random lockstep runs: what each participant produced in which turn, and the rows they wrote."""

import random
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tradefleet.domain.ids import BotKey, BotUid, StreamName, executions_stream, orders_stream
from tradefleet.domain.progress import (
    FEED,
    GATEWAY,
    REPORTS_STREAM,
    VENUE,
    VENUE_REQUESTS_STREAM,
    Participant,
    Phase,
    Progress,
    bot_participant,
)
from workloads.backtest.step import Step, Turn

UIDS = [BotUid(f"uid-{name}") for name in "abc"]
BOTS = {bot_participant(BotKey(f"default/{uid[-1]}"), uid): uid for uid in UIDS}
BARS_STREAM = StreamName("bars/x")


@dataclass(frozen=True)
class Taken:
    """One turn of a run: who had to take it, and the rows they wrote."""

    market_us: int
    turn: Turn
    has_bars: bool
    rows: dict[Participant, Progress]


@dataclass(frozen=True)
class Run:
    """The feed's rows, and all turns in their order."""

    feed: list[Progress]
    turns: list[Taken]

    @property
    def written(self) -> list[Progress]:
        """Every row in an order in which they can have been written: a timer's step waits for the bars after it."""
        rows: list[Progress] = []
        feed = iter(self.feed)
        known_us = 0
        for taken in self.turns:
            while known_us < taken.market_us:
                rows.append(next(feed))
                known_us = rows[-1].market_us
            rows += taken.rows.values()
        return rows

    @property
    def heads(self) -> dict[StreamName, int]:
        """The last number of each stream."""
        heads: dict[StreamName, int] = {}
        for row in self.written:
            for stream, number in row.produced.items():
                heads[stream] = max(number, heads.get(stream, 0))
        return heads


def sort_key(row: Progress) -> tuple[int, int, int, str]:
    """Return the place of a row as the store sorts them."""
    return (row.market_us, row.round, row.phase, row.participant)


def make_run(seed: int) -> Run:
    """Return a run of a few steps with bars, and of the timers between them. Bots may leave."""
    dice = random.Random(seed)
    times = sorted(dice.sample(range(1, 40), dice.randrange(1, 5)))
    feed = [
        Progress(
            participant=FEED,
            market_us=market_us,
            round=0,
            phase=Phase.FEED,
            produced={BARS_STREAM: number},
            left=market_us == times[-1],
        )
        for number, market_us in enumerate(times, start=1)
    ]
    writer = _Writer(dice)
    market_us = 0
    for next_us in times:
        while market_us < next_us:
            timers = [due_us for due_us in writer.due_us.values() if market_us < due_us < next_us]
            market_us = min(timers, default=next_us)
            writer.step(market_us, has_bars=market_us == next_us)
    return Run(feed, writer.turns)


# A run is many small choices: one seed for all of them is a hundred times faster than to draw each.
RUNS = st.integers(0, 2**32).map(make_run)


class _Writer:
    """Makes up what everybody does, turn by turn."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.turns: list[Taken] = []
        self.due_us: dict[Participant, int] = {}
        self.bots = dict(BOTS)
        self.fresh: set[Participant] = set()
        self._step = Step()
        self._numbers: dict[StreamName, int] = {}
        self._chance = dice.choice([0.2, 0.5, 0.95])

    def step(self, market_us: int, *, has_bars: bool) -> None:
        turn: Turn | None = self._step.begin(has_bars=has_bars)
        while turn is not None:
            rows = [self._row(participant, market_us, turn) for participant in self._waiting(turn)]
            self.turns.append(Taken(market_us, turn, has_bars, {row.participant: row for row in rows}))
            if turn.phase is Phase.BOTS:
                self.fresh -= {row.participant for row in rows}
            for row in rows:
                self._note(row)
            turn = self._step.advance()

    def _waiting(self, turn: Turn) -> list[Participant]:
        match turn.phase:
            case Phase.VENUE_BARS | Phase.VENUE_REQUESTS:
                return [VENUE]
            case Phase.GATEWAY_REPORTS | Phase.GATEWAY_REQUESTS:
                return [GATEWAY]
            case _:
                return sorted(self.bots if turn.round == 0 else self.fresh & self.bots.keys())

    def _row(self, participant: Participant, market_us: int, turn: Turn) -> Progress:
        produced = [stream for stream in self._streams(participant) if self._happens()]
        for stream in produced:
            self._numbers[stream] = self._numbers.get(stream, 0) + 1
        row = Progress(
            participant=participant,
            market_us=market_us,
            round=turn.round,
            phase=turn.phase,
            produced={stream: self._numbers[stream] for stream in produced},
        )
        if participant in BOTS:
            due_us = self._dice.choice([None, market_us + self._dice.randrange(1, 20)])
            row = replace(row, next_due_us=due_us, left=self._dice.random() < 0.05)
        return row

    def _streams(self, participant: Participant) -> list[StreamName]:
        if participant == VENUE:
            return [REPORTS_STREAM]
        if participant == GATEWAY:  # it may still tell a bot that has left
            return [VENUE_REQUESTS_STREAM, *(executions_stream(uid) for uid in UIDS)]
        return [orders_stream(BOTS[participant])]

    def _happens(self) -> bool:
        return self._dice.random() < self._chance

    def _note(self, row: Progress) -> None:
        step = self._step
        if row.participant == VENUE:
            step.reports = step.reports or bool(row.produced)
        elif row.participant == GATEWAY:
            told = {bot for bot, uid in self.bots.items() if executions_stream(uid) in row.produced}
            self.fresh |= told
            step.executions = step.executions or bool(told)
            step.venue_requests = step.venue_requests or VENUE_REQUESTS_STREAM in row.produced
        else:
            step.requests = step.requests or bool(row.produced)
            self.due_us.pop(row.participant, None)
            if row.left:
                del self.bots[row.participant]
            elif row.next_due_us is not None:
                self.due_us[row.participant] = row.next_due_us
