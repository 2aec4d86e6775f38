"""Strategies of somebody's own: which code a bot runs, what is asked about it, and what happens when it changes."""

from dataclasses import replace
from typing import Any

import pytest
from governor.annotations import CODE_ANNOTATION
from governor.plan import AskedByJob, Observed, plan
from governor.references import Found, Reference, Referenced, ReferenceKind, found_config_map
from governor.workload import Answer, Plan, Role, Verdict, Workload

from tests.unit.governor import fleets
from tradefleet.domain.bots import BotConfig
from tradefleet.resources.common import Resource, ResourceKey

MINE = Reference(ReferenceKind.CONFIG_MAP, "default", "mine")
ALPHA = ResourceKey("TradingBot", "default", "alpha")


def in_a_cluster(name: str, params: object) -> int:
    if ":" in name:
        raise AskedByJob(name)
    return 5


def holding(**files: str) -> Found:
    return {MINE: found_config_map({"data": {f"{name}.py": text for name, text in files.items()}})}


def own(name: str = "trend:Trend", **spec: Any) -> Resource:
    strategy = {"name": name, "codeFrom": {"configMapRef": {"name": "mine"}}, "params": spec.pop("params", {})}
    return fleets.bot("alpha", strategy=strategy, **spec)


def planned(bot: Resource, found: Found | None, **observed: Any) -> Plan:
    fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), bot]
    return plan(fleet, Observed(references=found, **observed), in_a_cluster)


def verdict(found: Plan) -> Verdict:
    return found.verdicts[ALPHA]


def process(found: Plan) -> Workload | None:
    return next((each for each in found.workloads if each.role is Role.BOT), None)


def answered(bot: Resource, found: Found, *, warmup_bars: int | None = 7, error: str = "") -> dict[ResourceKey, Answer]:
    (question,) = planned(bot, found).questions
    return {ALPHA: Answer(question.digest, warmup_bars, error)}


def running(bot: Resource, found: Found) -> BotConfig:
    """Return what a bot was told that runs this code."""
    (command,) = planned(bot, found, answers=answered(bot, found)).commands
    return command.command.config


def told(config: BotConfig) -> dict[str, Any]:
    return {"configs": {config.uid: config}}


def test_a_strategy_is_asked_about_before_its_bot_has_a_process():
    found = planned(own(params={"fast": 3}), holding(trend="…"))

    (question,) = found.questions
    assert (question.bot, question.strategy, question.params) == (ALPHA, "trend:Trend", {"fast": 3})
    assert question.code.files == {"trend.py": "…"}
    assert (verdict(found).reason, verdict(found).stalled) == ("CheckingStrategy", False)
    assert process(found) is None


def test_what_was_answered_is_what_the_bot_is_told():
    bot, code = own(), holding(trend="…")
    found = planned(bot, code, answers=answered(bot, code))

    (command,) = found.commands
    assert command.command.config.warmup_bars == 7
    workload = process(found)
    assert workload is not None
    assert workload.code.files == {"trend.py": "…"}
    assert found.verdicts == {}


def test_bots_that_ask_the_same_share_a_job():
    code = holding(trend="…")
    twin = own().model_copy(update={"metadata": own().metadata.model_copy(update={"name": "beta", "uid": "uid-beta"})})
    fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), own(), twin]

    (question,) = plan(fleet, Observed(references=code), in_a_cluster).questions
    answers = {question.bot: Answer(question.digest, 7)}
    found = plan(fleet, Observed(references=code, answers=answers), in_a_cluster)
    assert [each.command.config.warmup_bars for each in found.commands] == [7, 7]


def test_an_answer_about_other_code_is_none():
    bot = own()
    stale = answered(bot, holding(trend="of before"))

    assert verdict(planned(bot, holding(trend="…"), answers=stale)).reason == "CheckingStrategy"


def test_a_strategy_that_cannot_be_run_stalls_its_bot():
    bot, code = own(), holding(trend="…")
    found = planned(bot, code, answers=answered(bot, code, warmup_bars=None, error="trend.py:3: no"))

    assert (verdict(found).reason, verdict(found).stalled, verdict(found).message) == (
        "StrategyRefused",
        True,
        "trend.py:3: no",
    )
    assert process(found) is None


def test_a_bot_that_runs_is_not_asked_about_again():
    bot, code = own(), holding(trend="…")
    found = planned(bot, code, **told(running(bot, code)))

    assert found.questions == ()
    assert process(found) is not None


def test_other_code_is_a_new_generation_of_the_bot():
    bot, code = own(), holding(trend="new")
    before = running(bot, holding(trend="old"))
    found = planned(bot, code, answers=answered(bot, code), **told(before))

    (command,) = found.commands
    after = command.command.config
    assert (after.generation, after.code) == (before.generation + 1, replace(after).code)
    assert after.code != before.code
    again = planned(bot, code, **told(after))
    assert again.commands[0].command.config == after, "and stays the one it is"
    edited = own(params={"fast": 3}, generation=after.generation)
    newest = planned(edited, code, answers=answered(edited, code), **told(after)).commands[0].command.config
    assert newest.generation > after.generation, "a later edit of the spec counts from there"


@pytest.mark.parametrize("answer", [None, "trend.py:3: no"])
def test_a_bot_that_trades_goes_on_until_its_new_code_is_known_to_run(answer: str | None):
    bot, code = own(), holding(trend="new")
    before = running(bot, holding(trend="old"))
    answers = answered(bot, code, warmup_bars=None, error=answer) if answer else {}
    found = planned(bot, code, answers=answers, **told(before))

    workload = process(found)
    assert workload is not None
    assert workload.code.identity == before.code
    assert workload.code.files is None, "its own copy is what it runs"
    assert found.commands[0].command.config == before
    assert "goes on as it was before the change" in verdict(found).message


def test_code_that_is_gone_ends_nothing():
    bot = own()
    before = running(bot, holding(trend="old"))
    found = planned(bot, {MINE: None}, **told(before))

    assert process(found) is not None
    assert (verdict(found).reason, verdict(found).stalled) == ("CodeNotFound", False)


def test_with_manual_updates_new_code_is_drift():
    bot, code = own(updateStrategy="Manual"), holding(trend="new")
    before = running(bot, holding(trend="old"))
    found = planned(bot, code, answers=answered(bot, code), **told(before))

    assert found.drifted == {ALPHA}
    assert found.commands[0].command.config == before
    waits = found.new_code[ALPHA]

    for agreed_to, is_taken in ((before.code, False), (waits, True)):
        annotations = {CODE_ANNOTATION: agreed_to}
        agreeing = bot.model_copy(update={"metadata": bot.metadata.model_copy(update={"annotations": annotations})})
        found = planned(agreeing, code, answers=answered(bot, code), **told(before))
        assert (found.commands[0].command.config.code == waits) is is_taken
        assert (found.new_code == {}) is is_taken


def test_code_that_waits_with_a_changed_spec_is_part_of_its_drift():
    bot, code = own(updateStrategy="Manual", seed=9), holding(trend="new")
    before = running(own(), holding(trend="old"))
    found = planned(bot, code, answers=answered(bot, code), **told(before))

    assert (found.drifted, found.new_code) == ({ALPHA}, {})


def test_another_image_is_other_code():
    code = holding(trend="…")
    first = own(podTemplate={"image": "mine:1"})
    second = own(podTemplate={"image": "mine:2"})

    assert running(first, code).code != running(second, code).code


def test_a_deleted_bot_whose_code_is_gone_is_wound_down():
    before = running(own(), holding(trend="old"))
    found = planned(own(deleting=True), {MINE: None}, **told(before))

    assert process(found) is not None
    assert found.commands[0].command.deleting


def test_on_one_machine_code_comes_from_folders():
    fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), own()]
    found = plan(fleet, Observed(), fleets.warm_up)

    workload = process(found)
    assert workload is not None
    assert workload.code.identity == ""
    assert found.verdicts == {}


def test_a_lockstep_run_does_not_begin_before_all_strategies_are_known():
    def lockstep(**observed: Any) -> Plan:
        fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(), fleets.bot("other"), own()]
        return plan(fleet, Observed(references=code, **observed), in_a_cluster)

    code = holding(trend="…")
    waiting = lockstep()
    assert waiting.runs == ()
    assert process(waiting) is None, "no bot begins without the run"
    assert "the strategies of alpha" in waiting.verdicts[ResourceKey("Feed", "default", "replay")].message

    (run,) = lockstep(answers={ALPHA: Answer(waiting.questions[0].digest, 7)}).runs
    assert len([each for each in run.participants if "alpha" in each or "other" in each]) == 2

    (without,) = lockstep(answers={ALPHA: Answer(waiting.questions[0].digest, None, "no")}).runs
    assert not any("alpha" in each for each in without.participants), "one that cannot run holds up nobody"


PROBLEMS: list[tuple[dict[str, Any], str, str]] = [
    ({"data": {"other.py": ""}}, "has no trend.py for trend:Trend: it has other.py", "trend:Trend"),
    ({"data": {}}, "it has nothing", "trend:Trend"),
    ({"data": {"trend.py": "", "json.py": ""}}, "would hide the module json of Python", "trend:Trend"),
    ({"data": {"trend.py": "", "tradefleet.py": ""}}, "would hide the module tradefleet", "trend:Trend"),
    ({"data": {"trend.py": "", "my-code.py": ""}}, "holds my-code.py, which no module can be called", "trend:Trend"),
    ({"binaryData": {"trend.py": "/w=="}}, "holds trend.py as binary data: save it as UTF-8", "trend:Trend"),
    ({"data": {"trend.py": ""}}, "cannot hold the package of mine.trend:Trend", "mine.trend:Trend"),
]


@pytest.mark.parametrize(("body", "message", "name"), PROBLEMS)
def test_a_config_map_that_cannot_hold_the_strategy_is_told_of(body: dict[str, Any], message: str, name: str):
    found = planned(own(name), {MINE: found_config_map(body)})

    assert (verdict(found).reason, verdict(found).stalled) == ("CodeInvalid", True)
    assert message in verdict(found).message
    assert "ConfigMap mine in namespace default" in verdict(found).message


def test_an_image_may_hold_what_a_config_map_does_not():
    bot = own("mine.trend:Trend", podTemplate={"image": "mine:1"})

    assert verdict(planned(bot, {MINE: Referenced(digest="1")})).reason == "CheckingStrategy"


def test_a_backtest_runs_the_code_of_its_own_image():
    spec = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "wallet": {"USD": "10000"},
        "strategy": {"name": "mine.trend:Trend", "codeFrom": {"configMapRef": {"name": "mine"}}},
    }

    def found(**more: Any) -> Verdict | None:
        backtest = fleets.stored("Backtest", "test", {**spec, **more})
        return planned(backtest, {MINE: Referenced(digest="1")}).verdicts.get(backtest.key)

    without = found()
    assert without is not None
    assert without.reason == "CodeInvalid"
    assert found(podTemplate={"image": "mine:1"}) is None
