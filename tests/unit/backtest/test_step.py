"""The Step machine: which phase comes next, and that a step ends (rule 20)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.progress import Phase
from workloads.backtest.step import ROUNDS_MAX, Step, Turn


def play(step: Step, *, has_bars: bool = True, **produced: list[tuple[Phase, int]]) -> list[Turn]:
    """Return the turns of a step in which the named flags are set at the named turns."""
    turns = []
    turn: Turn | None = step.begin(has_bars=has_bars)
    while turn is not None:
        turns.append(turn)
        for flag, places in produced.items():
            if turn in places:
                setattr(step, flag, True)
        turn = step.advance()
    return turns


BARS, REPORTS, BOTS = (Phase.VENUE_BARS, 0), (Phase.GATEWAY_REPORTS, 0), (Phase.BOTS, 0)
REQUESTS, VENUE = (Phase.GATEWAY_REQUESTS, 0), (Phase.VENUE_REQUESTS, 0)


def test_a_quiet_step_is_bars_prices_and_bots() -> None:
    assert play(Step()) == [BARS, REPORTS, BOTS]


def test_a_timers_own_step_has_nothing_for_the_venue() -> None:
    assert play(Step(), has_bars=False) == [REPORTS, BOTS]


def test_requests_go_through_gateway_and_venue_and_their_answers_come_back() -> None:
    turns = play(
        Step(),
        requests=[BOTS],
        venue_requests=[REQUESTS],
        reports=[VENUE],
        executions=[(Phase.GATEWAY_REPORTS, 1)],
    )
    assert turns == [BARS, REPORTS, BOTS, REQUESTS, VENUE, (Phase.GATEWAY_REPORTS, 1), (Phase.BOTS, 1)]


def test_denials_go_straight_back_to_the_bots() -> None:
    turns = play(Step(), requests=[BOTS], executions=[REQUESTS])
    assert turns == [BARS, REPORTS, BOTS, REQUESTS, (Phase.BOTS, 1)]


def test_what_the_gateway_asks_of_its_own_accord_reaches_the_venue_without_a_bot() -> None:
    assert play(Step(), venue_requests=[REPORTS]) == [BARS, REPORTS, BOTS, VENUE]


def test_reports_without_executions_need_no_bot() -> None:
    turns = play(Step(), venue_requests=[REPORTS, (Phase.GATEWAY_REPORTS, 1)], reports=[VENUE])
    assert turns == [BARS, REPORTS, BOTS, VENUE, (Phase.GATEWAY_REPORTS, 1), (Phase.VENUE_REQUESTS, 1)]


def busy(step: Step) -> list[Turn]:
    """Return the turns of a step in which everybody produces whatever they can, in every round."""
    rounds = range(ROUNDS_MAX)
    return play(
        step,
        reports=[BARS, *((Phase.VENUE_REQUESTS, number) for number in rounds)],
        executions=[(phase, number) for phase in (Phase.GATEWAY_REPORTS, Phase.GATEWAY_REQUESTS) for number in rounds],
        requests=[(Phase.BOTS, number) for number in rounds],
        venue_requests=[(Phase.GATEWAY_REQUESTS, number) for number in rounds],
    )


def test_a_step_that_does_not_come_to_rest_is_ended_and_its_last_round_known() -> None:
    step = Step()
    turns = busy(step)
    assert len(turns) == 1 + 4 * ROUNDS_MAX
    assert [turn.round for turn in turns if turn.is_last_round] == [ROUNDS_MAX - 1] * 4
    assert (step.reports, step.executions) == (True, True)
    assert (step.requests, step.venue_requests) == (False, False)


def test_what_a_step_left_over_is_taken_in_the_next_one() -> None:
    step = Step()
    busy(step)
    assert play(step, has_bars=False) == [REPORTS, BOTS]
    assert (step.reports, step.executions) == (False, False)


FLAGS = st.fixed_dictionaries({flag: st.booleans() for flag in ("reports", "executions", "requests", "venue_requests")})
MAKES = {
    Phase.VENUE_BARS: {"reports"},
    Phase.GATEWAY_REPORTS: {"executions", "venue_requests"},
    Phase.BOTS: {"requests"},
    Phase.GATEWAY_REQUESTS: {"executions", "venue_requests"},
    Phase.VENUE_REQUESTS: {"reports"},
}
TAKES = {
    Phase.GATEWAY_REPORTS: "reports",
    Phase.BOTS: "executions",
    Phase.GATEWAY_REQUESTS: "requests",
    Phase.VENUE_REQUESTS: "venue_requests",
}


@given(st.booleans(), st.lists(FLAGS, min_size=1 + 4 * ROUNDS_MAX, max_size=1 + 4 * ROUNDS_MAX))
def test_nothing_is_forgotten_and_nobody_is_called_for_nothing(has_bars: bool, made: list[dict[str, bool]]) -> None:
    step = Step()
    waiting: set[str] = set()
    turn: Turn | None = step.begin(has_bars=has_bars)
    last: Turn | None = None
    for flags in made:
        assert turn is not None
        if last is not None:
            assert (turn.round, turn.phase) > (last.round, last.phase)
        if turn.round > 0 or turn.phase in (Phase.GATEWAY_REQUESTS, Phase.VENUE_REQUESTS):
            assert TAKES[turn.phase] in waiting, f"{turn} has no input"
        waiting.discard(TAKES.get(turn.phase, ""))
        for flag in MAKES[turn.phase]:
            if flags[flag]:
                setattr(step, flag, True)
                waiting.add(flag)
        last, turn = turn, step.advance()
        if turn is None:
            break
    assert turn is None
    assert last is not None
    assert not waiting or last.round == ROUNDS_MAX - 1, f"{waiting} was left over before the last round"
    assert "requests" not in waiting
    assert "venue_requests" not in waiting


def test_advance_before_begin_is_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="before begin"):
        Step().advance()
