"""The Feed that an Exchange has for the demand of its bots: when it is made, changed and released. Pure.

One connection serves all bots: it is there as long as one of them wants to trade, and no Feed of a user's own names the
Exchange. A lockstep run that has begun goes on as it began, with the Feed that it began with.
"""

from collections.abc import Collection, Mapping

from governor.owned import OwnedChange, is_ending, is_of
from governor.workload import Verdict
from tradefleet.domain.bots import RunState
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.progress import Participant, bot_participant
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.derived_feed import derived_feed
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.trading_bot import TradingBot


def feed_change(
    exchange: Exchange,
    resources: Collection[Resource],
    *,
    runs: Mapping[str, frozenset[Participant]],
    finished: Collection[str],
) -> OwnedChange:
    """Return what to do now about the derived Feed of an exchange.

    `runs` are the participants of the lockstep runs that were created, by the UIDs of their Feeds; `finished` those
    that have come to their end.
    """
    mine = [each for each in resources if isinstance(each, Feed) and is_of(each, exchange) and not is_ending(each)]
    if any(_goes_on(each, exchange, resources, runs, finished) for each in mine):
        return OwnedChange()
    wanted = wanted_feed(exchange, resources)
    if wanted is None:
        return OwnedChange(delete=tuple(each.key for each in mine))
    if is_ending(exchange):
        return OwnedChange()
    there = next((each for each in resources if each.key == wanted.key), None)
    is_to_change = there is None or (is_of(there, exchange) and not is_ending(there) and not _is_as(there, wanted))
    return OwnedChange(apply=(wanted,) if is_to_change else ())


def wanted_feed(exchange: Exchange, resources: Collection[Resource]) -> Feed | None:
    """Return the Feed that an exchange should have for its bots; None when none of them needs it."""
    wanted = derived_feed(exchange)
    if wanted is None or not demanding(exchange, resources):
        return None
    feeds = [each for each in resources if isinstance(each, Feed) and each.exchange_key == exchange.key]
    has_own = any(not is_of(each, exchange) and not is_ending(each) for each in feeds)
    return None if has_own else wanted


def demanding(exchange: Exchange, resources: Collection[Resource]) -> list[TradingBot]:
    """Return the bots that need the derived Feed of an exchange: they want to trade there, and name no other Feed."""
    return [
        each
        for each in resources
        if isinstance(each, TradingBot)
        and each.exchange_key == exchange.key
        and not is_ending(each)
        and each.spec.state is not RunState.STOPPED
        and (each.spec.feed_ref is None or each.spec.feed_ref.name == exchange.metadata.name)
    ]


def feed_trouble(exchange: Exchange, resources: Collection[Resource]) -> Verdict | None:
    """Return why an exchange cannot have the Feed that its bots need; None when nothing speaks against it."""
    wanted = wanted_feed(exchange, resources)
    there = None if wanted is None else next((each for each in resources if each.key == wanted.key), None)
    if there is None or is_of(there, exchange) or is_ending(there):
        return None
    message = (
        f"its replay cannot be played: Feed {there.metadata.name} is there already and is not its own: delete that "
        f"Feed, or apply one of another name with exchangeRef {exchange.metadata.name}"
    )
    return Verdict(key=exchange.key, stalled=True, reason="FeedNameTaken", message=message)


def feed_makers(resources: Collection[Resource]) -> dict[ResourceKey, Exchange]:
    """Return, for each Feed that would be made again if it were deleted, the exchange that would make it."""
    there = {each.key: each for each in resources}
    found = {}
    for exchange in resources:
        wanted = wanted_feed(exchange, resources) if isinstance(exchange, Exchange) else None
        if isinstance(exchange, Exchange) and wanted is not None and not is_ending(exchange):
            made = there.get(wanted.key)
            if made is not None and is_of(made, exchange):
                found[wanted.key] = exchange
    return found


def _goes_on(
    feed: Feed,
    exchange: Exchange,
    resources: Collection[Resource],
    runs: Mapping[str, frozenset[Participant]],
    finished: Collection[str],
) -> bool:
    """Return whether the lockstep run of a Feed has begun, and bots of it are there that are not being deleted.

    Nothing else ends it: a Feed that is made anew is another run, and would have to play what was played.
    """
    run = feed.metadata.uid or ""
    participants = frozenset() if run in finished else runs.get(run, frozenset())
    return any(
        isinstance(each, TradingBot)
        and each.exchange_key == exchange.key
        and not is_ending(each)
        and bot_participant(BotKey(each.key.full_name), BotUid(each.metadata.uid or "")) in participants
        for each in resources
    )


def _is_as(there: Resource, wanted: Feed) -> bool:
    labels = there.metadata.labels
    return there.digest() == wanted.digest() and all(
        labels.get(name) == value for name, value in wanted.metadata.labels.items()
    )
