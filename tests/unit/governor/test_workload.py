"""Names of processes: no two resources share one, and people can read whose it is."""

import re

import hypothesis.strategies as st
import pytest
from governor.workload import Role, unique_name, workload_name
from hypothesis import example, given

from tradefleet.resources.common import ResourceKey

# Few letters and many separators, so that names that read alike are found.
NAMES = st.from_regex("[ab]([-ab]{0,6}[ab])?", fullmatch=True) | st.from_regex(
    "[a-z]([-a-z0-9]{0,48}[a-z0-9])?", fullmatch=True
)
NAMESPACES = NAMES | st.from_regex("[a0]([-.a0]{0,4}[a0])?", fullmatch=True) | st.just("a" * 63)
OWNERS = st.builds(ResourceKey, st.just("TradingBot"), NAMESPACES, NAMES)


def bot(namespace: str, name: str) -> ResourceKey:
    return ResourceKey("TradingBot", namespace, name)


@given(OWNERS, OWNERS)
@example(bot("team", "a-bot"), bot("team-a", "bot"))
@example(bot("a.a", "b"), bot("a-a", "b"))
@example(bot("a", "a" * 50), bot("a", "a" * 49 + "b"))
@example(bot("a" * 63, "a"), bot("a" * 63, "b"))
def test_no_two_owners_share_a_name(one: ResourceKey, other: ResourceKey) -> None:
    assert (workload_name(Role.BOT, one) == workload_name(Role.BOT, other)) == (one == other)


@given(st.sampled_from([*Role, "dataset", "backtest"]), OWNERS)
def test_a_name_is_a_dns_label(prefix: str, owner: ResourceKey) -> None:
    assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", unique_name(prefix, owner))


@given(OWNERS, NAMES)
def test_nobody_can_choose_the_name_that_another_owner_has(owner: ResourceKey, name: str) -> None:
    taken = workload_name(Role.BOT, owner)
    namespace, _, rest = taken.removeprefix("bot-").partition("-")

    for each in (bot(namespace or "default", rest or name), bot("default", taken.removeprefix("bot-").strip("-"))):
        assert each == owner or workload_name(Role.BOT, each) != taken


@given(OWNERS)
def test_each_role_has_a_name_of_its_own(owner: ResourceKey) -> None:
    assert len({workload_name(role, owner) for role in Role}) == len(Role)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (bot("default", "alpha"), "bot-default-alpha"),
        (bot("default", "sma-cross-btc-usd"), "bot-default-sma-cross-btc-usd"),
        (bot("team-a", "alpha"), "bot--team-a-alpha-<hash>"),
        (bot("default", "a" * 60), "bot--default-" + "a" * 37 + "-<hash>"),
    ],
)
def test_a_name_says_whose_it_is(owner: ResourceKey, name: str) -> None:
    assert re.sub("-[0-9a-f]{12}$", "-<hash>", workload_name(Role.BOT, owner)) == name
