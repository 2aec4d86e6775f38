"""Changed specs of bots: when they come into force, which of them were good, and the way back. Pure."""

import json
from datetime import datetime
from typing import Final

from governor.annotations import ROLLOUT_ANNOTATION, is_owned, number_in
from governor.conditions import Judgement, instant
from tradefleet.domain.bar import MICROSECONDS
from tradefleet.resources.common import ConditionStatus, ConditionType, Phase
from tradefleet.resources.trading_bot import HISTORY_MAX, GoodSpec, TradingBot

GOOD_AFTER_US: Final = 60 * MICROSECONDS  # a bot that was Ready and Running for so long has a good spec


def rolls_out(bot: TradingBot) -> bool:
    """Return whether the spec as it is now comes into force: by itself, or since a person said so of this very one."""
    return bot.spec.updates_by_itself or number_in(bot, ROLLOUT_ANNOTATION) == bot.metadata.generation


def drift_message(bot: TradingBot) -> str:
    """Return what is to be done about a changed spec that waits."""
    name, generation = bot.metadata.name, bot.metadata.generation
    back = "" if good_before(bot) is None else f", `tradefleet rollback {name}` takes it back"
    return (
        f"generation {generation} of the spec waits, since updateStrategy is Manual: `tradefleet rollout {name}` "
        f"brings it into force{back}"
    )


def spec_text(bot: TradingBot) -> str:
    """Return what a spec says beyond its defaults, as JSON; without `state`, which is no part of what is good."""
    values = bot.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"state"})
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def good_specs(bot: TradingBot, judged: Judgement, *, has_drifted: bool, now_us: int) -> tuple[GoodSpec, ...]:
    """Return the newest specs with which a bot was Ready and Running for a while, newest first, each once."""
    history, generation = bot.status.history, bot.metadata.generation or 0
    if has_drifted or judged.phase is not Phase.RUNNING or not judged.is_ready:
        return history
    if (history and history[0].generation == generation) or not _was_ready(bot, now_us):
        return history
    text = spec_text(bot)
    newest = GoodSpec(generation=generation, since=instant(now_us), spec=text)
    if history and history[0].spec == text:
        newest = newest.model_copy(update={"since": history[0].since})
    return (newest, *(each for each in history if each.spec != text))[:HISTORY_MAX]


def good_before(bot: TradingBot) -> GoodSpec | None:
    """Return the newest good spec that is not the present one; None when there is none."""
    text = spec_text(bot)
    return next((each for each in bot.status.history if each.spec != text), None)


def way_back(bot: TradingBot) -> str:
    """Return how a bot that has failed comes back to its last good spec; empty when its spec has not changed since."""
    history = bot.status.history
    if not history or history[0].spec == spec_text(bot):
        return ""
    name, good = bot.metadata.name, f"; generation {history[0].generation} of its spec was the last good one"
    if is_owned(bot):
        return f"{good}: take back the change of its BotSet"
    return f"{good}: `tradefleet rollback {name}` goes back to it"


def _was_ready(bot: TradingBot, now_us: int) -> bool:
    ready = bot.status.condition(ConditionType.READY)
    if ready is None or ready.status is not ConditionStatus.TRUE or ready.last_transition_time is None:
        return False
    if bot.status.observed_generation != bot.metadata.generation:
        return False
    since_us = round(datetime.fromisoformat(ready.last_transition_time).timestamp() * MICROSECONDS)
    return now_us - since_us >= GOOD_AFTER_US
