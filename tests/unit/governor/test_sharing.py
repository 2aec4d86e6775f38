"""Slots are shared out fairly: between namespaces, and between the Backtests of each."""

from governor.sharing import Demand, shares
from hypothesis import example, given
from hypothesis import strategies as st

NAMESPACES = ("a", "b", "c")


def demand(name: str, slots: int, *, namespace: str = "a", since: str = "1") -> Demand:
    return Demand(name=name, namespace=namespace, since=since, slots=slots)


demands = st.lists(
    st.builds(
        Demand,
        name=st.integers(0, 999).map(str),
        namespace=st.sampled_from(NAMESPACES),
        since=st.sampled_from("123"),
        slots=st.integers(0, 12),
    ),
    max_size=12,
    unique_by=lambda each: each.name,
)
capacities = st.integers(0, 40)


@given(demands, capacities)
def test_nobody_gets_more_than_it_wants_and_all_together_no_more_than_there_are(
    wanted: list[Demand], capacity: int
) -> None:
    granted = shares(wanted, capacity)

    assert all(0 <= granted.get(each.name, 0) <= each.slots for each in wanted)
    assert sum(granted.values()) == min(capacity, sum(each.slots for each in wanted)), "and no slot is left unused"


@given(demands, capacities)
@example([demand("1", 9), demand("2", 1, namespace="b")], 2)
def test_no_namespace_has_two_more_than_one_that_wants_more(wanted: list[Demand], capacity: int) -> None:
    granted = shares(wanted, capacity)
    held = {space: sum(granted.get(each.name, 0) for each in wanted if each.namespace == space) for space in NAMESPACES}
    asked = {space: sum(each.slots for each in wanted if each.namespace == space) for space in NAMESPACES}

    unmet = [held[space] for space in NAMESPACES if held[space] < asked[space]]

    assert not unmet or max(held.values()) <= min(unmet) + 1


@given(demands, capacities)
def test_no_backtest_has_two_more_than_a_neighbour_that_wants_more(wanted: list[Demand], capacity: int) -> None:
    granted = shares(wanted, capacity)
    for space in NAMESPACES:
        here = [each for each in wanted if each.namespace == space and each.slots]
        unmet = [granted[each.name] for each in here if granted[each.name] < each.slots]
        assert not unmet or max(granted[each.name] for each in here) <= min(unmet) + 1


@given(demands, capacities)
def test_the_order_in_which_they_are_told_does_not_matter(wanted: list[Demand], capacity: int) -> None:
    assert shares(wanted, capacity) == shares(wanted[::-1], capacity)


@given(demands, capacities)
def test_one_more_slot_takes_none_away(wanted: list[Demand], capacity: int) -> None:
    few, more = shares(wanted, capacity), shares(wanted, capacity + 1)

    assert all(more[name] >= slots for name, slots in few.items())


def test_the_oldest_comes_first_where_there_is_not_one_for_each() -> None:
    wanted = [demand(name, 3, since=since) for name, since in (("young", "9"), ("old", "1"), ("middle", "5"))]

    assert shares(wanted, 2) == {"old": 1, "middle": 1, "young": 0}


def test_a_namespace_with_many_backtests_does_not_crowd_out_one_with_one() -> None:
    crowd = [demand(str(number), 4, since=str(number)) for number in range(5)]

    assert shares([*crowd, demand("alone", 4, namespace="b", since="9")], 4)["alone"] == 2
