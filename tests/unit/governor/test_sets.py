"""A change goes through a set a few bots at a time, and what restarts nobody comes at once to all."""

import hypothesis.strategies as st
import pytest
from governor.annotations import OWNER_ANNOTATION, STATE_ANNOTATION
from governor.conditions import plain_status
from governor.owned import OwnedChange
from governor.sets import change_of, set_makers, trouble_of, wanted_bots
from governor.status import set_status
from hypothesis import given

from tests.fakes.memory_resources import MemoryResources
from tests.unit.governor import fleets
from tradefleet.domain.bots import DeletionPolicy, RunState
from tradefleet.resources.bot_set import BotSet, BotSetStatus, expand
from tradefleet.resources.common import ConditionType, Phase, ResourceKey
from tradefleet.resources.trading_bot import TradingBot, TradingBotStatus


def _set(bots: int = 4, *, deleting: bool = False, suspend: bool = False, unavailable: object = 1, **spec) -> BotSet:
    body = {
        "matrix": {
            "strategies": [{"name": "dca", "paramLists": {"every_bars": list(range(1, bots + 1))}}],
            "instruments": ["BTC-USD"],
        },
        "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}, **spec}},
        "suspend": suspend,
        "maxUnavailable": unavailable,
    }
    return fleets.stored("BotSet", "many", body, deleting=deleting)


class Fleet:
    """The bots of a set as they are stored; `carry_out` is what a round does, `judge` what it shows of a bot."""

    def __init__(self, bot_set: BotSet) -> None:
        self.resources = MemoryResources()
        self.carry_out(bot_set)
        for bot in self.bots():
            self.judge(bot)

    def bots(self) -> list[TradingBot]:
        return [each for each in self.resources.all() if isinstance(each, TradingBot)]

    def carry_out(self, bot_set: BotSet) -> list[str]:
        """Apply a set's change; return the names of the bots whose spec it changed."""
        before = {bot.key: bot.digest() for bot in self.bots()}
        change = change_of(bot_set, self.resources.all())
        self.resources.apply(change.apply, owner=bot_set.metadata.uid)
        self.resources.delete(change.delete)
        return [bot.metadata.name for bot in self.bots() if before.get(bot.key, bot.digest()) != bot.digest()]

    def judge(
        self, bot: TradingBot, *, is_ready: bool = True, reason: str = "Running", is_stalled: bool = False
    ) -> None:
        current = next(each for each in self.bots() if each.key == bot.key)
        fields = plain_status(
            current, phase=Phase.RUNNING, reason=reason, is_ready=is_ready, is_stalled=is_stalled, now_us=0
        )
        status = TradingBotStatus(**fields).model_dump(mode="json", by_alias=True, exclude_none=True)
        self.resources.write_statuses({current.metadata.uid or "": status})


@pytest.mark.parametrize(
    ("bot_set", "made_again"),
    [(_set(2), 2), (_set(1), 1), (_set(2, suspend=True), 0), (_set(2, deleting=True), 0)],
    ids=["all", "those it still wants", "suspended", "deleted"],
)
def test_a_set_makes_the_bots_again_that_it_wants(bot_set: BotSet, made_again: int) -> None:
    strangers = fleets.bot("alpha")

    found = set_makers([bot_set, strangers, *Fleet(_set(2)).bots()])

    assert len(found) == made_again
    assert all(each is bot_set for each in found.values())


def test_a_new_set_gets_all_of_its_bots_at_once() -> None:
    assert len(change_of(_set(9), []).apply) == 9


@pytest.mark.parametrize(("unavailable", "each_time"), [(1, 1), (3, 3), ("50%", 2), ("10%", 1)])
def test_as_many_bots_are_changed_at_once_as_may_be_unavailable(unavailable: object, each_time: int) -> None:
    fleet = Fleet(_set(4))

    assert len(fleet.carry_out(_set(4, unavailable=unavailable, interval="5m"))) == each_time


def test_the_next_bot_is_changed_when_the_one_before_is_ready_with_its_new_spec() -> None:
    fleet, changed = Fleet(_set(3)), _set(3, interval="5m")
    (first,) = fleet.carry_out(changed)
    assert fleet.carry_out(changed) == [], "its status is of the spec before"
    bot = next(each for each in fleet.bots() if each.metadata.name == first)
    fleet.judge(bot, is_ready=False, reason="Starting")
    assert fleet.carry_out(changed) == []

    fleet.judge(bot)

    (second,) = fleet.carry_out(changed)
    assert second != first


def test_a_change_that_breaks_bots_stops_after_a_few_and_its_mending_reaches_them_first() -> None:
    fleet, broken = Fleet(_set(4)), _set(4, interval="5m")
    (first,) = fleet.carry_out(broken)
    fleet.judge(next(bot for bot in fleet.bots() if bot.metadata.name == first), is_ready=False, reason="InvalidSpec")
    assert fleet.carry_out(broken) == []

    assert fleet.carry_out(_set(4, interval="15m")) == [first]


def test_one_changed_bot_that_fails_halts_the_change_however_many_may_be_down() -> None:
    fleet, broken = Fleet(_set(6)), _set(6, unavailable=2, interval="5m")
    first, second = fleet.carry_out(broken)
    by_name = {bot.metadata.name: bot for bot in fleet.bots()}
    fleet.judge(by_name[first])
    fleet.judge(by_name[second], is_ready=False, reason="StrategyError", is_stalled=True)

    assert fleet.carry_out(broken) == [], "one might still be down, and none is"
    status = _status(broken, fleet)
    assert (status.phase, status.updated, status.failed) == (Phase.FAILED, 2, 1)
    assert status.condition(ConditionType.STALLED).reason == "ChangeHalted"
    assert f"2 of 6 bots have it: mend the set or take the change back, the others go on as they are: {second}" in (
        status.reason or ""
    )

    assert fleet.carry_out(_set(6, unavailable=2)) == [first, second], "the change is taken back"
    for bot in fleet.bots():
        fleet.judge(bot)
    assert _status(_set(6, unavailable=2), fleet).phase is Phase.RUNNING


def test_a_bot_that_failed_before_the_change_does_not_halt_it() -> None:
    fleet, changed = Fleet(_set(4)), _set(4, unavailable=2, interval="5m")
    broken = fleet.bots()[-1]
    fleet.judge(broken, is_ready=False, reason="StrategyError", is_stalled=True)

    assert len(fleet.carry_out(changed)) == 2
    assert next(bot for bot in fleet.bots() if bot.key == broken.key).spec.interval == "5m"


def _status(bot_set: BotSet, fleet: Fleet) -> BotSetStatus:
    return set_status(bot_set, None, fleet.bots(), wanted_bots(bot_set, fleet.bots()), now_us=0)


def test_bots_that_come_up_after_a_restart_of_the_fleet_are_not_changed_all_at_once() -> None:
    fleet = Fleet(_set(3))
    for bot in fleet.bots():
        fleet.judge(bot, is_ready=False, reason="FleetStarting")

    assert fleet.carry_out(_set(3, interval="5m")) == []


def test_who_pauses_a_set_pauses_all_of_it_at_once() -> None:
    fleet = Fleet(_set(4))

    fleet.carry_out(_set(4, interval="5m", state="Paused", deletionPolicy="Flatten"))

    assert {bot.spec.state for bot in fleet.bots()} == {RunState.PAUSED}
    assert {bot.spec.deletion_policy for bot in fleet.bots()} == {DeletionPolicy.FLATTEN}
    assert sorted(bot.spec.interval for bot in fleet.bots()) == ["1m", "1m", "1m", "5m"]


def test_a_suspended_set_changes_nothing_and_a_deleted_one_takes_its_bots_along() -> None:
    fleet = Fleet(_set(2))

    assert change_of(_set(5, suspend=True), fleet.bots()) == OwnedChange()
    assert set(change_of(_set(2, deleting=True), fleet.bots()).delete) == {bot.key for bot in fleet.bots()}


def test_bots_that_left_the_matrix_are_deleted_once() -> None:
    fleet = Fleet(_set(3))
    fleet.carry_out(_set(2))

    (gone,) = [bot for bot in fleet.bots() if bot.metadata.deletion_timestamp]
    assert gone.metadata.name.endswith("-3-btc-usd")
    assert change_of(_set(2), fleet.bots()).delete == ()


def test_bots_of_others_are_left_alone() -> None:
    foreign = fleets.bot("mine")
    other = fleets.bot("of-another", annotations={OWNER_ANNOTATION: "uid-botset-another"})

    assert change_of(_set(1, deleting=True), [foreign, other]) == OwnedChange()


def test_the_state_that_a_person_chose_for_a_bot_stays() -> None:
    bot = expand(_set(1))[0]
    annotations = {OWNER_ANNOTATION: _set(1).metadata.uid, STATE_ANNOTATION: "Stopped"}
    chosen = fleets.bot(bot.metadata.name, annotations=annotations, wallet={"USD": "100"})

    (wanted,) = change_of(_set(1), [chosen]).apply

    assert (wanted.key, wanted.spec.state) == (
        ResourceKey("TradingBot", "default", bot.metadata.name),
        RunState.STOPPED,
    )


def test_a_bot_of_somebody_else_is_not_taken_over() -> None:
    bots = expand(_set(2))
    theirs = fleets.bot(bots[0].metadata.name, seed=7)

    change, trouble = change_of(_set(2), [theirs]), trouble_of(_set(2), [theirs])

    assert [bot.key for bot in change.apply] == [bots[1].key]
    assert change.delete == ()
    assert trouble is not None
    assert (trouble.stalled, trouble.reason) == (True, "BotRefused")
    assert trouble.message.startswith(f"{theirs.metadata.name} is there already and is not of this set")
    assert trouble_of(_set(2), []) is None


def test_a_change_that_a_bot_does_not_allow_holds_back_no_other() -> None:
    fleet = Fleet(_set(2))
    first, second = fleet.bots()
    other = first.model_copy(update={"spec": first.spec.model_copy(update={"instruments": ("LTC-USD",)})})
    changed = _set(2, unavailable=2, interval="5m")

    change, trouble = change_of(changed, [other, second]), trouble_of(changed, [other, second])

    assert [bot.key for bot in change.apply] == [second.key]
    assert trouble is not None
    assert f"{first.metadata.name} instruments cannot change" in trouble.message


@given(
    st.integers(1, 8),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["Ready", "Starting", "Crashing"])), max_size=40),
)
def test_no_more_bots_are_down_by_a_change_than_may_be(bots: int, unavailable: int, happenings: list) -> None:
    fleet, changed = Fleet(_set(bots)), _set(bots, unavailable=unavailable, interval="5m")
    for number, what in happenings:
        down = sum(not _is_available(bot) for bot in fleet.bots())
        fleet.carry_out(changed)
        assert sum(not _is_available(bot) for bot in fleet.bots()) <= max(unavailable, down)
        fleet.judge(fleet.bots()[number % bots], is_ready=what == "Ready", reason=what)
    for _ in range(2 * bots):
        fleet.carry_out(changed)
        for bot in fleet.bots():
            fleet.judge(bot)
    assert {bot.spec.interval for bot in fleet.bots()} == {"5m"}, "in the end the change is through"


def _is_available(bot: TradingBot) -> bool:
    ready = bot.status.condition("Ready")
    return bot.status.observed_generation == bot.metadata.generation and ready is not None and ready.status == "True"
