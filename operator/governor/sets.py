"""The bots of a BotSet: which to make or change, and which to delete. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from governor.annotations import OWNER_ANNOTATION, STATE_ANNOTATION
from tradefleet.domain.bots import RunState
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.trading_bot import TradingBot


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChange:
    """What brings the bots of a set closer to what they should be: bots to apply, as they should be, and to delete."""

    apply: tuple[TradingBot, ...] = ()
    delete: tuple[ResourceKey, ...] = ()


def change_of(bot_set: BotSet, resources: Iterable[Resource]) -> SetChange:
    """Return what to do about the bots of a set. Raises InvalidResource when it cannot have any."""
    is_ending = bot_set.metadata.deletion_timestamp is not None
    if bot_set.spec.suspend and not is_ending:
        return SetChange()
    uid = bot_set.metadata.uid
    mine = {each.key: each for each in resources if each.metadata.annotations.get(OWNER_ANNOTATION) == uid}
    wanted = [] if is_ending else expand(bot_set)
    kept = {bot.key for bot in wanted}
    return SetChange(
        apply=tuple(_as_chosen(bot, mine.get(bot.key)) for bot in wanted if not _is_ending(mine.get(bot.key))),
        delete=tuple(key for key, bot in mine.items() if key not in kept and not _is_ending(bot)),
    )


def _as_chosen(bot: TradingBot, there: Resource | None) -> TradingBot:
    """Return a bot of a set with the state that a person chose for it."""
    chosen = None if there is None else there.metadata.annotations.get(STATE_ANNOTATION)
    if chosen not in set(RunState):
        return bot
    return bot.model_copy(update={"spec": bot.spec.model_copy(update={"state": RunState(chosen)})})


def _is_ending(bot: Resource | None) -> bool:
    return bot is not None and bot.metadata.deletion_timestamp is not None
