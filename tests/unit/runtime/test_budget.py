from hypothesis import given
from hypothesis import strategies as st

from tradefleet.runtime.budget import MINUTE_US, MinuteBudget


def test_so_much_a_minute_is_let_through_and_the_rest_is_counted() -> None:
    budget = MinuteBudget(2)
    budget.begin(MINUTE_US)

    assert [budget.take() for _ in range(5)] == [True, True, False, False, False]
    assert (budget.begin(2 * MINUTE_US - 1), budget.refused) == (0, 3)
    assert (budget.begin(2 * MINUTE_US), budget.refused) == (3, 0)
    assert budget.take()


def test_a_clock_that_is_set_back_begins_a_new_minute() -> None:
    budget = MinuteBudget(1)
    budget.begin(10 * MINUTE_US)
    budget.take()

    budget.begin(9 * MINUTE_US)

    assert budget.take()


@given(st.lists(st.integers(0, 2 * MINUTE_US), max_size=60), st.integers(1, 5))
def test_no_minute_has_more_than_its_limit(pauses_us: list[int], limit: int) -> None:
    budget = MinuteBudget(limit)
    now_us, taken, refused = MINUTE_US, [], 0
    for pause_us in pauses_us:
        now_us += pause_us
        refused += budget.begin(now_us)
        if budget.take():
            taken.append(now_us)

    starts = [time_us for time_us in taken if sum(0 <= other - time_us < MINUTE_US for other in taken) > 2 * limit]
    assert starts == []  # two windows may meet within a minute, three cannot
    assert len(taken) + refused + budget.refused == len(pauses_us)
