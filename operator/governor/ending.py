"""When a deleted resource may go: after all that needs it. Pure, and the same for every renderer."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

from governor.annotations import LET_GO_ANNOTATION
from governor.owned import has_owned
from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.bots import DeletionPolicy, RunState
from tradefleet.domain.ids import BotUid
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.trading_bot import TradingBot

NEVER_OPENED_US: Final = 10 * MICROSECONDS  # a deleted bot whose gateway has no books by then never had any

PATIENCE_US: Final = 300 * MICROSECONDS  # a deleted bot that has not ended by then needs a person, and says so


class EndingBooks(Protocol):
    """What a gateway's books of a bot say of its end."""

    @property
    def is_ending(self) -> bool:
        """Whether it knows of the bot's deletion or stop."""

    @property
    def has_exits(self) -> bool:
        """Whether a position is being sold."""


def is_let_go(bot: TradingBot) -> bool:
    """Return whether the owner of a deleted bot does not want to wait for its end: what is open stays open."""
    is_deleted = bot.metadata.deletion_timestamp is not None
    return is_deleted and bot.metadata.annotations.get(LET_GO_ANNOTATION) == "true"


def is_overdue(bot: TradingBot, now_us: int) -> bool:
    """Return whether the deletion of a bot has taken longer than it does when all that it needs is there."""
    return _deleted_for_us(bot, now_us) > PATIENCE_US


def sells_on(bot: TradingBot, settled: Collection[BotUid]) -> bool:
    """Return whether a bot that ends still has to sell its position, for which its market must go on."""
    ends = bot.metadata.deletion_timestamp is not None or bot.spec.state is RunState.STOPPED
    is_settled = BotUid(bot.metadata.uid or "") in settled
    return ends and bot.spec.deletion_policy is DeletionPolicy.FLATTEN and not is_settled


def settled_bots(
    resources: Iterable[Resource], books: Mapping[str, EndingBooks], open_orders: Mapping[str, int], *, now_us: int
) -> frozenset[BotUid]:
    """Return the bots whose end the gateway has carried out: it knows of it, and nothing of them is open.

    Among them are those that were let go.
    `books` and `open_orders` are by UID; `now_us` is the wall's clock, UTC.
    """
    found = set()
    for bot in resources:
        if not isinstance(bot, TradingBot):
            continue
        uid = BotUid(bot.metadata.uid or "")
        if is_let_go(bot):
            found.add(uid)
            continue
        policy, orders = DeletionPolicy(bot.spec.deletion_policy), open_orders.get(uid, 0)
        if has_ended(policy, books.get(uid), orders, _deleted_for_us(bot, now_us)):
            found.add(uid)
    return frozenset(found)


def has_ended(policy: DeletionPolicy, books: EndingBooks | None, open_orders: int, deleted_for_us: int) -> bool:
    """Return whether a gateway has carried out the end of a bot, whose `books` it may never have opened."""
    if books is None:
        return deleted_for_us > NEVER_OPENED_US
    return books.is_ending and not books.has_exits and (policy is DeletionPolicy.KEEP or not open_orders)


def _deleted_for_us(bot: TradingBot, now_us: int) -> int:
    """Return how long ago the deletion of a bot was asked for, 0 when it was not."""
    if bot.metadata.deletion_timestamp is None:
        return 0
    return now_us - round(datetime.fromisoformat(bot.metadata.deletion_timestamp).timestamp() * MICROSECONDS)


def is_needed(deleted: Resource, resources: Collection[Resource], settled: Collection[BotUid]) -> bool:
    """Return whether something that is there needs a deleted resource, workloads apart.

    `settled` are the bots whose gateway has carried out their end.
    """
    match deleted:
        case TradingBot():
            return BotUid(deleted.metadata.uid or "") not in settled
        case Exchange():
            has_bots = any(isinstance(each, TradingBot) and each.exchange_key == deleted.key for each in resources)
            return has_bots or has_owned(deleted, resources)
        case BotSet():
            return has_owned(deleted, resources)
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
