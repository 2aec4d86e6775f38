"""A run seen through its rows: whatever order they come in, they tell the turns that the Step machine gives."""

import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backtest.runs import BARS_STREAM, BOTS, RUNS, Run, sort_key
from tradefleet.domain.ids import BotKey, BotUid, executions_stream, orders_stream
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
from tradefleet.runtime.follower import ROWS, RunFollower
from tradefleet.store.ports import BOTS_ROLE, GATEWAY_ROLE, VENUE_ROLE, RunId, woken_by
from workloads.backtest.lockstep import Due, RunView
from workloads.backtest.step import Turn


def expected(run: Run, offered: list[Progress]) -> Due | None:
    """Return the first turn that somebody has not taken, as far as the rows offered tell of its step."""
    places = {sort_key(row) for row in offered}
    known_us = max((row.market_us for row in offered if row.phase is Phase.FEED), default=0)
    for taken in run.turns:
        if taken.market_us > known_us:
            return None
        waiting = frozenset(name for name, row in taken.rows.items() if sort_key(row) not in places)
        if waiting:
            return Due(taken.market_us, taken.turn, taken.has_bars, waiting)
    return None


def view_of(participants: list[Participant] | None = None) -> RunView:
    return RunView([FEED, VENUE, GATEWAY, *BOTS] if participants is None else participants)


def row(participant: Participant, market_us: int, phase: Phase, number: int = 0, **changes: object) -> Progress:
    fields: dict[str, object] = {"participant": participant, "market_us": market_us, "round": number, "phase": phase}
    return Progress(**{**fields, **changes})  # type: ignore[arg-type]  # a test's shorthand


FIRST = next(iter(BOTS))


def quiet_step(market_us: int, **bot_changes: object) -> list[Progress]:
    """Return the rows of a quiet step of a run with one bot."""
    return [
        row(FEED, market_us, Phase.FEED),
        row(VENUE, market_us, Phase.VENUE_BARS),
        row(GATEWAY, market_us, Phase.GATEWAY_REPORTS),
        row(FIRST, market_us, Phase.BOTS, **bot_changes),
    ]


@given(RUNS)
def test_rows_in_their_order_give_every_turn_of_the_step_machine(run: Run) -> None:
    view = view_of()
    offered: list[Progress] = []
    seen: list[tuple[int, Turn]] = []
    for row in run.written:
        view.offer([row])
        offered.append(row)
        due = view.due()
        assert due == expected(run, offered)
        if due is not None and (not seen or seen[-1] != (due.market_us, due.turn)):
            seen.append((due.market_us, due.turn))
    assert seen == [(taken.market_us, taken.turn) for taken in run.turns if taken.rows]  # all bots may have left
    assert view.is_finished
    assert view.heads == {**run.heads, BARS_STREAM: len(run.feed)}


@given(RUNS, st.randoms(use_true_random=False), st.integers(1, 9))
def test_rows_in_any_order_and_again_tell_the_same(run: Run, dice: random.Random, size: int) -> None:
    """Only the feed's rows keep their order: a step that is not known yet cannot be told from one that is not."""
    rows = run.written
    dice.shuffle(rows)
    feed = iter(run.feed)
    rows = [next(feed) if row.phase is Phase.FEED else row for row in rows]
    view = view_of()
    offered: list[Progress] = []
    while len(offered) < len(rows):
        fresh = rows[len(offered) : len(offered) + size]
        again = dice.sample(offered, min(len(offered), dice.randrange(4)))
        batch = [*fresh, *again]
        dice.shuffle(batch)
        view.offer(batch)
        offered += fresh
        assert view.due() == expected(run, offered)
    assert view.due() is None
    assert view.is_finished


@given(RUNS, st.integers(0, 200), st.integers(0, 200))
def test_a_successor_that_reads_from_the_start_knows_as_much(run: Run, first: int, second: int) -> None:
    rows = run.written
    early, late = sorted((min(first, len(rows)), min(second, len(rows))))
    view, successor = view_of(), view_of()
    view.offer(rows[:early])
    view.offer(rows[:late])
    successor.offer(rows[:late])
    assert (view.due(), view.heads, view.place, view.until_us) == (
        successor.due(),
        successor.heads,
        successor.place,
        successor.until_us,
    )


class Written:
    """The store's rows so far, as `RunFollower` reads them."""

    def __init__(self) -> None:
        self.rows: list[Progress] = []

    def progress_from(
        self, _: RunId, *, market_us: int, round_no: int, phase: int, until_us: int | None = None, limit: int
    ) -> list[Progress]:
        wanted = [
            row
            for row in sorted(self.rows, key=sort_key)
            if (row.market_us, row.round, row.phase) >= (market_us, round_no, phase)
            and (until_us is None or row.market_us <= until_us)
        ]
        return wanted[:limit]


def following(view: RunView) -> tuple[Written, RunFollower]:
    store = Written()
    return store, RunFollower(store, RunId("run"), ["venue"], view)  # type: ignore[arg-type]  # it only reads rows


@given(RUNS, st.randoms(use_true_random=False))
def test_reading_from_the_place_of_interest_misses_nothing(run: Run, dice: random.Random) -> None:
    """As an edge reads: sorted rows from `place` to `until_us`, now and then, while others go on writing."""
    view = view_of()
    store, follower = following(view)
    while len(store.rows) < len(run.written):
        store.rows = run.written[: len(store.rows) + dice.randrange(1, 12)]
        follower.refresh()
        assert view.due() == expected(run, store.rows)
    assert view.is_finished


def test_a_reader_who_slept_through_many_timers_finds_the_bars_behind_them() -> None:
    view = view_of([FIRST])
    store, follower = following(view)
    last_us = 2 * ROWS
    store.rows = quiet_step(5, next_due_us=6)
    follower.refresh()
    store.rows = [*store.rows, row(FEED, last_us, Phase.FEED)]
    for market_us in range(6, last_us):
        store.rows.append(row(GATEWAY, market_us, Phase.GATEWAY_REPORTS))
        store.rows.append(row(FIRST, market_us, Phase.BOTS, next_due_us=market_us + 1))
    follower.refresh()
    assert view.due() == Due(last_us, Turn(Phase.VENUE_BARS, 0), True, frozenset({VENUE}))


def test_a_turn_of_more_bots_than_a_page_holds_is_read_whole() -> None:
    bots = [bot_participant(BotKey(f"default/{number}"), BotUid(str(number))) for number in range(2 * ROWS)]
    view = view_of(bots)
    store, follower = following(view)
    store.rows = [*quiet_step(5)[:-1], *(row(bot, 5, Phase.BOTS) for bot in bots[:-1])]
    follower.refresh()
    assert view.due() == Due(5, Turn(Phase.BOTS, 0), True, frozenset({bots[-1]}))


def test_before_the_first_step_is_known_nothing_is_due() -> None:
    view = view_of([FIRST])
    assert (view.due(), view.place, view.until_us, view.is_finished) == (None, (0, 0, 0), None, False)


def test_a_run_without_data_is_finished_by_the_feed_alone() -> None:
    view = view_of([FIRST])
    view.offer([*quiet_step(5)[1:], row(FEED, 5, Phase.FEED, left=True)])
    assert view.is_finished
    assert view.due() is None


def test_a_timer_makes_a_step_of_its_own_once_the_next_bars_are_known() -> None:
    view = view_of([FIRST])
    view.offer(quiet_step(5, next_due_us=7))
    assert view.due() is None  # bars might come at 6
    view.offer([row(FEED, 9, Phase.FEED)])
    assert view.due() == Due(7, Turn(Phase.GATEWAY_REPORTS, 0), False, frozenset({GATEWAY}))


def test_a_timer_at_the_time_of_bars_or_after_makes_no_step() -> None:
    for due_us in (9, 10):
        view = view_of([FIRST])
        view.offer([*quiet_step(5, next_due_us=due_us), row(FEED, 9, Phase.FEED)])
        assert view.due() == Due(9, Turn(Phase.VENUE_BARS, 0), True, frozenset({VENUE}))


def test_a_timer_that_was_taken_back_makes_no_step() -> None:
    view = view_of([FIRST])
    view.offer([*quiet_step(5, next_due_us=9), *quiet_step(6), row(FEED, 12, Phase.FEED)])
    due = view.due()
    assert due is not None
    assert due.market_us == 12


def test_after_the_last_bars_no_timer_is_waited_for() -> None:
    view = view_of([FIRST])
    view.offer([*quiet_step(5, next_due_us=9)[1:], row(FEED, 5, Phase.FEED, left=True)])
    assert view.is_finished


def test_a_bot_that_has_left_is_not_waited_for_and_its_timer_is_dropped() -> None:
    view = view_of([FIRST])
    view.offer([*quiet_step(5, left=True, next_due_us=7), row(FEED, 9, Phase.FEED)])
    view.offer([row(VENUE, 9, Phase.VENUE_BARS, produced={REPORTS_STREAM: 1}), row(GATEWAY, 9, Phase.GATEWAY_REPORTS)])
    assert view.due() is None
    view.offer([row(FEED, 11, Phase.FEED)])
    due = view.due()
    assert due is not None
    assert due.market_us == 11


@settings(max_examples=30)
@given(RUNS, st.integers(0, 200))
def test_the_place_of_interest_never_goes_back(run: Run, cut: int) -> None:
    view = view_of()
    before = view.place
    for each in [*run.written[:cut], *run.written]:
        view.offer([each])
        assert view.place >= before
        before = view.place


def roles_of(participant: Participant) -> set[str]:
    """Return the roles by which a participant is woken."""
    if participant in BOTS:
        return {BOTS_ROLE, executions_stream(BOTS[participant])}
    return {VENUE: {VENUE_ROLE}, GATEWAY: {GATEWAY_ROLE}}[participant]


@given(RUNS)
def test_whichever_row_was_the_last_it_wakes_everybody_who_is_next(run: Run) -> None:
    view = view_of()
    feed = iter(run.feed)
    known_us = 0
    for taken, following_turn in pairwise(run.turns):
        while known_us < following_turn.market_us:
            row = next(feed)
            known_us = row.market_us
            view.offer([row])
        rows = [with_what_is_fresh(row, view) for row in taken.rows.values()]
        for row in rows:
            woken = set(woken_by(row))
            others = following_turn.rows.keys() - {row.participant}  # whoever writes looks again anyway
            assert all(woken & roles_of(other) for other in others), (row, others)
        view.offer(rows)


def with_what_is_fresh(row: Progress, view: RunView) -> Progress:
    """Return a gateway's row as the gateway writes it: it names executions again whose bots had no turn since."""
    if row.participant != GATEWAY:
        return row
    gone = row.produced.keys() - view.executions - {VENUE_REQUESTS_STREAM}
    produced = {stream: number for stream, number in row.produced.items() if stream not in gone}
    return replace(row, produced={**{stream: view.heads[stream] for stream in view.fresh}, **produced})


STRANGER = bot_participant(BotKey("default/stranger"), BotUid("uid-stranger"))
FOREIGN = {
    BARS_STREAM: 999,
    REPORTS_STREAM: 999,
    VENUE_REQUESTS_STREAM: 999,
    **{orders_stream(uid): 999 for name, uid in BOTS.items() if name != FIRST},
    **{executions_stream(uid): 999 for uid in BOTS.values()},
}


def forged(run: Run) -> list[Progress]:
    """Return the run's rows with what the log-in of the first bot, and of one that is no participant, might add."""
    rows: list[Progress] = []
    for each in run.written:
        if each.participant == FIRST:
            rows.append(replace(each, produced={**FOREIGN, **each.produced}))
        else:
            rows.append(each)
            rows += [replace(each, participant=FIRST, left=True)] if each.phase is not Phase.BOTS else []
        rows.append(replace(each, participant=STRANGER, produced=FOREIGN, left=True))
    return rows


@given(RUNS)
def test_what_is_not_a_participants_to_say_is_not_heard(run: Run) -> None:
    honest, view = view_of(), view_of()
    honest.offer(run.written)

    for each in forged(run):
        view.offer([each])

    assert (view.due(), view.heads, view.place) == (honest.due(), honest.heads, honest.place)
    assert view.is_finished


def test_a_bot_can_neither_add_a_step_nor_end_the_run() -> None:
    view = view_of([FIRST])
    view.offer([*quiet_step(5)[:-1], row(FIRST, 3, Phase.FEED), row(FIRST, 5, Phase.FEED, left=True)])

    view.offer([row(FIRST, 5, Phase.BOTS)])

    assert (view.due(), view.is_finished, view.until_us) == (None, False, None)


def test_a_bot_that_has_no_turn_says_nothing() -> None:
    view = view_of()
    first, second, third = BOTS
    requests = {orders_stream(BOTS[first]): 1}
    answers = {executions_stream(BOTS[first]): 1}
    view.offer([*quiet_step(5, produced=requests), row(second, 5, Phase.BOTS), row(third, 5, Phase.BOTS)])
    view.offer([row(GATEWAY, 5, Phase.GATEWAY_REQUESTS, produced=answers)])
    assert view.due() == Due(5, Turn(Phase.BOTS, 1), True, frozenset({first}))

    out_of_turn = row(second, 5, Phase.BOTS, 1, produced={orders_stream(BOTS[second]): 7})
    view.offer([out_of_turn, row(first, 5, Phase.BOTS, 1)])

    assert view.due() is None, "the step is over: nobody asked for anything"
    assert orders_stream(BOTS[second]) not in view.heads
