"""When a changed spec comes into force, which specs were good, and the way back."""

import json
from typing import Any

import pytest
from governor.annotations import OWNER_ANNOTATION, ROLLOUT_ANNOTATION
from governor.conditions import Judgement, instant
from governor.rollout import GOOD_AFTER_US, drift_message, good_before, good_specs, rolls_out, spec_text, way_back

from tests.unit.governor import fleets
from tradefleet.resources.common import Condition, ConditionStatus, ConditionType, Phase, Resource
from tradefleet.resources.trading_bot import HISTORY_MAX, GoodSpec, TradingBot, TradingBotStatus

READY_US = 1_800_000_000_000_000
NOW_US = READY_US + GOOD_AFTER_US
RUNNING = Judgement(phase=Phase.RUNNING, is_ready=True, reason="Running")


def bot(
    *, generation: int = 1, history: tuple[GoodSpec, ...] = (), observed: int | None = None, **more: Any
) -> TradingBot:
    """Return a bot that has been Ready since READY_US."""
    made: Resource = fleets.bot("alpha", generation=generation, **more)
    assert isinstance(made, TradingBot)
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.TRUE,
        reason="Running",
        last_transition_time=instant(READY_US),
    )
    seen = generation if observed is None else observed
    status = TradingBotStatus(observed_generation=seen, conditions=(ready,), history=history)
    return made.model_copy(update={"status": status})


def good(made: TradingBot) -> tuple[GoodSpec, ...]:
    return good_specs(made, RUNNING, has_drifted=False, now_us=NOW_US)


@pytest.mark.parametrize(
    ("spec", "approved", "expected"),
    [
        ({}, None, True),  # paper
        ({"updateStrategy": "Manual"}, None, False),
        ({"updateStrategy": "Manual"}, "3", True),
        ({"updateStrategy": "Manual"}, "2", False),
        ({"updateStrategy": "Manual"}, "nonsense", False),
    ],
)
def test_a_spec_comes_into_force_by_itself_or_by_a_word_about_this_very_one(
    spec: dict[str, Any], approved: str | None, expected: bool
) -> None:
    annotations = {} if approved is None else {ROLLOUT_ANNOTATION: approved}

    assert rolls_out(bot(generation=3, annotations=annotations, **spec)) is expected


def test_a_spec_is_good_once_the_bot_was_ready_with_it_for_a_while() -> None:
    made = bot()

    assert good_specs(made, RUNNING, has_drifted=False, now_us=NOW_US - 1_000_000) == ()
    (found,) = good(made)
    assert (found.generation, json.loads(found.spec)["strategy"]) == (1, {"name": "sma-cross"})


@pytest.mark.parametrize(
    ("made", "judged", "has_drifted"),
    [
        (bot(generation=2, observed=1), RUNNING, False),
        (bot(), RUNNING, True),
        (bot(), Judgement(phase=Phase.WARMING_UP, is_ready=True, reason="WarmingUp"), False),
        (bot(), Judgement(phase=Phase.FAILED, is_stalled=True, reason="InvalidParameter"), False),
    ],
)
def test_a_spec_that_does_not_run_is_not_called_good(made: TradingBot, judged: Judgement, has_drifted: bool) -> None:
    assert good_specs(made, judged, has_drifted=has_drifted, now_us=NOW_US) == ()


def test_the_newest_good_specs_are_kept_each_once() -> None:
    history: tuple[GoodSpec, ...] = ()
    for generation, fraction in enumerate(("0.1", "0.2", "0.3", "0.2"), 1):
        history = good(bot(generation=generation, history=history, sizing={"fraction": fraction}))

    assert len(history) == HISTORY_MAX
    assert [(each.generation, json.loads(each.spec)["sizing"]["fraction"]) for each in history] == [
        (4, "0.2"),
        (3, "0.3"),
    ]


def test_a_pause_makes_no_other_spec_and_nothing_is_written_twice() -> None:
    first = good(bot())

    paused = good(bot(generation=2, history=first, state="Paused"))

    assert [(each.generation, each.spec) for each in paused] == [(2, first[0].spec)]
    assert good(bot(generation=2, history=paused)) == paused


def test_a_failed_spec_names_the_way_back_and_one_that_was_good_does_not() -> None:
    history = good(bot())
    changed = bot(generation=2, history=history, sizing={"fraction": "0.5"})

    assert (
        way_back(changed)
        == "; generation 1 of its spec was the last good one: `tradefleet rollback alpha` goes back to it"
    )
    assert way_back(bot(generation=2, history=history, state="Paused")) == ""
    assert way_back(bot(generation=2, sizing={"fraction": "0.5"})) == "", "no spec was ever good"
    owned = bot(generation=2, history=history, sizing={"fraction": "0.5"}, annotations={OWNER_ANNOTATION: "uid"})
    assert way_back(owned).endswith("take back the change of its BotSet")


def test_the_way_back_from_a_spec_that_was_good_itself_leads_to_the_one_before() -> None:
    first = good(bot())
    changed = bot(generation=2, history=first, sizing={"fraction": "0.5"})
    both = good(changed)

    found = good_before(changed.model_copy(update={"status": TradingBotStatus(history=both)}))

    assert found is not None
    assert found.spec == spec_text(bot())


def test_a_drift_names_the_command_that_ends_it_and_the_one_that_takes_it_back() -> None:
    history = good(bot())
    changed = bot(generation=2, history=history, updateStrategy="Manual")

    assert drift_message(changed) == (
        "generation 2 of the spec waits, since updateStrategy is Manual: `tradefleet rollout alpha` brings it into "
        "force, `tradefleet rollback alpha` takes it back"
    )
