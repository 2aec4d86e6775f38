"""When a deleted resource may go: after all that needs it. Pure, and the same for every renderer."""

from collections.abc import Collection

from tradefleet.domain.bots import DeletionPolicy, RunState
from tradefleet.domain.ids import BotUid
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.trading_bot import TradingBot


def trades_on(bot: TradingBot, exchange: Exchange) -> bool:
    """Return whether a bot trades on an exchange."""
    return (bot.key.namespace, bot.spec.exchange_ref.name) == (exchange.key.namespace, exchange.key.name)


def sells_on(bot: TradingBot, settled: Collection[BotUid]) -> bool:
    """Return whether a bot that ends still has to sell its position, for which its market must go on."""
    ends = bot.metadata.deletion_timestamp is not None or bot.spec.state is RunState.STOPPED
    is_settled = BotUid(bot.metadata.uid or "") in settled
    return ends and bot.spec.deletion_policy is DeletionPolicy.FLATTEN and not is_settled


def is_needed(deleted: Resource, resources: Collection[Resource], settled: Collection[BotUid], owner_key: str) -> bool:
    """Return whether something that is there needs a deleted resource, workloads apart.

    `settled` are the bots whose gateway has carried out their end, `owner_key` the annotation with a bot's owner.
    """
    match deleted:
        case TradingBot():
            return BotUid(deleted.metadata.uid or "") not in settled
        case Exchange():
            return any(isinstance(each, TradingBot) and trades_on(each, deleted) for each in resources)
        case BotSet():
            return any(each.metadata.annotations.get(owner_key) == deleted.metadata.uid for each in resources)
        case Dataset():
            return any(isinstance(each, Feed) and _is_last_of(each, deleted) for each in resources)
        case _:
            return False


def _is_last_of(feed: Feed, dataset: Dataset) -> bool:
    """Return whether a feed that is deleted, too, may have to play the dataset until its bots have sold."""
    replay = feed.spec.replay
    return (
        feed.metadata.deletion_timestamp is not None
        and feed.key.namespace == dataset.key.namespace
        and replay is not None
        and any(reference.name == dataset.metadata.name for reference in replay.dataset_refs)
    )
