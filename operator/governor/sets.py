"""The bots of a BotSet: which to make, to change now, and to delete. Pure.

A change that restarts bots goes through the set a few at a time (maxUnavailable), so that one that breaks them stops
after a few. What restarts nobody comes at once to all: whoever pauses a set means the whole of it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from governor.annotations import STATE_ANNOTATION
from governor.conditions import says
from governor.owned import OwnedChange, is_ending, is_of
from governor.workload import Verdict
from tradefleet.domain.bots import RunState
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.common import ConditionType, Resource, ResourceKey
from tradefleet.resources.model import refused_changes
from tradefleet.resources.problems import InvalidResource
from tradefleet.resources.trading_bot import TradingBot

WITHOUT_RESTART: Final = ("state", "deletion_policy", "update_strategy", "dead_man_switch")  # of a bot's spec
COMING_UP: Final = frozenset({"FleetStarting", "Starting", "NotReady"})  # reasons of Ready: it may be so in a moment


def change_of(bot_set: BotSet, resources: Iterable[Resource]) -> OwnedChange:
    """Return what to do now about the bots of a set. Raises InvalidResource when it cannot have any."""
    ends = is_ending(bot_set)
    if bot_set.spec.suspend and not ends:
        return OwnedChange()
    there = _bots(resources)
    mine = {key: bot for key, bot in there.items() if is_of(bot, bot_set)}
    wanted = [] if ends else wanted_bots(bot_set, mine.values())
    kept = {bot.key for bot in wanted}
    return OwnedChange(
        apply=tuple(_a_few(bot_set, [bot for bot in wanted if not _refusal(bot_set, bot, there.get(bot.key))], mine)),
        delete=tuple(key for key, bot in mine.items() if key not in kept and not is_ending(bot)),
    )


def trouble_of(bot_set: BotSet, resources: Iterable[Resource]) -> Verdict | None:
    """Return why some bot of a set cannot be as the set says; None when nothing speaks against it.

    Raises InvalidResource when the set cannot have any.
    """
    there = _bots(resources)
    if bot_set.spec.suspend or bot_set.metadata.deletion_timestamp is not None:
        return None
    mine = [bot for bot in there.values() if is_of(bot, bot_set)]
    for bot in wanted_bots(bot_set, mine):
        why = _refusal(bot_set, bot, there.get(bot.key))
        if why:
            return Verdict(key=bot_set.key, stalled=True, reason="BotRefused", message=f"{bot.metadata.name} {why}")
    return None


def set_makers(resources: Collection[Resource]) -> dict[ResourceKey, BotSet]:
    """Return, for each bot that would be made again if it were deleted, the set that would make it."""
    there = _bots(resources)
    found: dict[ResourceKey, BotSet] = {}
    for bot_set in resources:
        if not isinstance(bot_set, BotSet):
            continue
        if bot_set.spec.suspend or bot_set.metadata.deletion_timestamp is not None:
            continue
        try:
            wanted = expand(bot_set)
        except InvalidResource:
            continue  # a set that cannot have any bots makes none
        found |= {bot.key: bot_set for bot in wanted if bot.key in there and is_of(there[bot.key], bot_set)}
    return found


def wanted_bots(bot_set: BotSet, there: Iterable[TradingBot]) -> list[TradingBot]:
    """Return the bots that a set should have, each in the state that a person chose for it.

    Raises InvalidResource when it cannot have any.
    """
    by_key = {bot.key: bot for bot in there}
    return [_as_chosen(bot, by_key.get(bot.key)) for bot in expand(bot_set)]


def _bots(resources: Iterable[Resource]) -> dict[ResourceKey, TradingBot]:
    return {each.key: each for each in resources if isinstance(each, TradingBot)}


def _refusal(bot_set: BotSet, wanted: TradingBot, there: TradingBot | None) -> str:
    """Return why a bot of a set cannot be made or changed, empty when it can: its orders and money may be at stake."""
    if there is None:
        return ""
    if not is_of(there, bot_set):
        return "is there already and is not of this set: delete it, or give its strategy in the matrix another label"
    return "; ".join(broken.message for broken in refused_changes(there.spec, wanted.spec))


def _a_few(bot_set: BotSet, wanted: list[TradingBot], mine: Mapping[ResourceKey, TradingBot]) -> Iterable[TradingBot]:
    """Yield the bots to apply, in key order: changed, or with their old spec when others must come back first.

    A bot that cannot run as it is costs nothing to change: a mended spec reaches those that a broken one has stopped.
    """
    down = {bot.key for bot in wanted if bot.key in mine and not _is_available(mine[bot.key])}
    budget = 0 if failed_changes(wanted, mine) else bot_set.spec.unavailable_max(len(wanted)) - len(down)
    for bot in sorted(wanted, key=lambda bot: bot.key):
        there = mine.get(bot.key)
        if there is None:
            yield bot
            continue
        if is_ending(there):
            continue
        held = _held_back(there, bot)
        if held.digest() == bot.digest() or _cannot_run(there):
            yield bot
        elif budget > 0 and there.key not in down:
            budget -= 1
            yield bot
        else:
            yield held


def failed_changes(wanted: Iterable[TradingBot], mine: Mapping[ResourceKey, TradingBot]) -> list[TradingBot]:
    """Return the bots that have their newest spec and are Stalled with it: they halt a change of the others."""
    pairs = [(mine[bot.key], bot) for bot in wanted if bot.key in mine]
    return [
        there
        for there, bot in pairs
        if _is_judged(there) and there.digest() == bot.digest() and says(there.status, ConditionType.STALLED)
    ]


def _held_back(there: TradingBot, wanted: TradingBot) -> TradingBot:
    """Return a bot with the spec that it has, but for what restarts nobody."""
    at_once = {name: getattr(wanted.spec, name) for name in WITHOUT_RESTART}
    return wanted.model_copy(update={"spec": there.spec.model_copy(update=at_once)})


def _is_available(bot: TradingBot) -> bool:
    """Return whether a bot is Ready with the spec that it has: a status of the spec before tells nothing of it."""
    return _is_judged(bot) and says(bot.status, ConditionType.READY)


def _cannot_run(bot: TradingBot) -> bool:
    """Return whether a bot is neither Ready nor on its way to it."""
    ready = bot.status.condition(ConditionType.READY)
    return _is_judged(bot) and ready is not None and not _is_available(bot) and ready.reason not in COMING_UP


def _is_judged(bot: TradingBot) -> bool:
    return bot.status.observed_generation == bot.metadata.generation


def _as_chosen(bot: TradingBot, there: Resource | None) -> TradingBot:
    chosen = None if there is None else there.metadata.annotations.get(STATE_ANNOTATION)
    if chosen not in set(RunState):
        return bot
    return bot.model_copy(update={"spec": bot.spec.model_copy(update={"state": RunState(chosen)})})
