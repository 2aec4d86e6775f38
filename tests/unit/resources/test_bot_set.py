import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.resources.cases import BOT_SET, GROUPED_SET, changed
from tradefleet.resources.bot_set import BOTS_MAX, NAME_LENGTH_MAX, BotSet, expand
from tradefleet.resources.problems import InvalidResource


def names_of(bot_set: BotSet) -> list[str]:
    return [bot.metadata.name for bot in expand(bot_set)]


def test_each_place_of_the_matrix_becomes_a_bot():
    assert names_of(BotSet.parse(BOT_SET)) == [
        "fleet-buy-and-hold-btc-usd",
        "fleet-buy-and-hold-ltc-usd",
        "fleet-sma-cross-fast-5-btc-usd",
        "fleet-sma-cross-fast-5-ltc-usd",
        "fleet-sma-cross-fast-10-btc-usd",
        "fleet-sma-cross-fast-10-ltc-usd",
    ]


def test_a_bot_has_the_template_its_strategy_and_its_instrument():
    bot = expand(BotSet.parse(BOT_SET))[3]
    assert bot.spec.strategy.params == {"slow": 50, "fast": 5}
    assert bot.spec.instruments == ("LTC-USD",)
    assert bot.spec.wallet == {"USD": 1000}
    assert bot.metadata.labels == {
        "team": "a",
        "tradefleet.dev/bot-set": "fleet",
        "tradefleet.dev/strategy": "sma-cross",
    }


def test_instruments_of_the_template_go_to_every_bot_together():
    bots = expand(BotSet.parse(GROUPED_SET))
    assert [bot.metadata.name for bot in bots] == [
        "fleet-buy-and-hold",
        "fleet-sma-cross-fast-5",
        "fleet-sma-cross-fast-10",
    ]
    assert {bot.spec.instruments for bot in bots} == {("BTC-USD", "LTC-USD")}


def test_the_bots_belong_to_a_stored_set():
    stored = BotSet.parse(changed(BOT_SET, metadata__uid="u-1", metadata__namespace="desk"))
    bot = expand(stored)[0]
    assert [(owner.kind, owner.name, owner.uid) for owner in bot.metadata.owner_references] == [
        ("BotSet", "fleet", "u-1")
    ]
    assert bot.metadata.namespace == "desk"
    assert expand(BotSet.parse(BOT_SET))[0].metadata.owner_references == ()


def test_a_bot_keeps_its_name_when_others_are_added_or_taken_out():
    fewer = changed(BOT_SET, spec__matrix__strategies=BOT_SET["spec"]["matrix"]["strategies"][1:])
    assert set(names_of(BotSet.parse(fewer))) < set(names_of(BotSet.parse(BOT_SET)))


def test_your_own_class_gives_a_readable_part_of_the_name():
    bot_set = BotSet.parse(changed(BOT_SET, spec__matrix__strategies=[{"name": "my_bots.trend:FastBreakout2"}]))
    assert names_of(bot_set)[0] == "fleet-fast-breakout2-btc-usd"


def test_two_entries_that_make_the_same_bot_are_refused_with_both_places_and_a_label_helps():
    twice = [{"name": "sma-cross"}, {"name": "sma-cross", "params": {"fast": 5}}]
    with pytest.raises(InvalidResource) as caught:
        expand(BotSet.parse(changed(BOT_SET, spec__matrix__strategies=twice)))
    assert str(caught.value) == (
        "BotSet fleet: spec.matrix.strategies[1]: makes the bot fleet-sma-cross-btc-usd for sma-cross, BTC-USD, and "
        "spec.matrix.strategies[0] makes it for sma-cross, BTC-USD; give one of them a label"
    )
    labelled = [twice[0], {**twice[1], "label": "quick"}]
    assert "fleet-quick-btc-usd" in names_of(BotSet.parse(changed(BOT_SET, spec__matrix__strategies=labelled)))


def test_values_that_read_alike_are_refused():
    alike = [{"name": "mine:Best", "paramLists": {"edge": [0.5, "0-5"]}}]
    with pytest.raises(InvalidResource, match="take out one of the values that read alike"):
        expand(BotSet.parse(changed(BOT_SET, spec__matrix__strategies=alike)))


def test_a_value_below_zero_is_not_taken_for_its_opposite():
    bot_set = BotSet.parse(
        changed(BOT_SET, spec__matrix__strategies=[{"name": "mine:Best", "paramLists": {"edge": [-1, 1]}}])
    )
    assert names_of(bot_set)[::2] == ["fleet-best-edge-minus-1-btc-usd", "fleet-best-edge-1-btc-usd"]


def test_a_huge_matrix_is_refused_without_being_built():
    lists = {f"p{index}": list(range(100)) for index in range(8)}
    with pytest.raises(InvalidResource, match=f"more than {BOTS_MAX} bots"):
        expand(BotSet.parse(changed(BOT_SET, spec__matrix__strategies=[{"name": "mine:Best", "paramLists": lists}])))


@given(
    set_name=st.from_regex("^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$", fullmatch=True),
    lists=st.dictionaries(
        st.from_regex("^[A-Za-z_][A-Za-z0-9_]{0,30}$", fullmatch=True),
        st.lists(st.integers(-1000, 1000) | st.text(max_size=60) | st.booleans(), min_size=1, max_size=3),
        max_size=3,
    ),
)
def test_names_are_valid_bounded_and_the_same_every_time(set_name: str, lists: dict[str, list[object]]):
    strategies = [{"name": "sma-cross", "paramLists": lists}]
    bot_set = BotSet.parse(changed(BOT_SET, metadata__name=set_name, spec__matrix__strategies=strategies))
    try:
        names = names_of(bot_set)
    except InvalidResource as error:
        assert "read alike" in str(error)  # noqa: PT017 - both outcomes are right
        return
    assert len(set(names)) == len(names)
    assert all(len(name) <= NAME_LENGTH_MAX and re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name) for name in names)
    assert names_of(bot_set) == names


def test_long_names_that_begin_alike_stay_apart():
    lists = {"a_parameter_with_a_long_name": [10001, 10002], "another_one": [1, 2]}
    bot_set = BotSet.parse(changed(BOT_SET, spec__matrix__strategies=[{"name": "mine:Best", "paramLists": lists}]))
    names = names_of(bot_set)
    assert len(set(names)) == 8
    assert max(map(len, names)) == NAME_LENGTH_MAX


@pytest.mark.parametrize(
    ("written", "bots", "expected"), [("25%", 8, 2), ("25%", 2, 1), (3, 8, 3), ("100%", 8, 8), ("10%", 8, 1)]
)
def test_max_unavailable_is_a_number_or_a_share_of_at_least_one(written: object, bots: int, expected: int):
    bot_set = BotSet.parse(changed(BOT_SET, spec__maxUnavailable=written))
    assert bot_set.spec.unavailable_max(bots) == expected
