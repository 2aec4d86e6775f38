"""The Feed that an Exchange stands for: it plays `simulator.replay` while bots need it and the user has no other.

Pure. The Governor makes and releases it; the checks before a start and the backtest reckon with it as if it were there.
"""

from collections.abc import Collection, Iterator

from tradefleet.resources.common import GROUP, Metadata, Reference, Resource
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed, FeedSpec
from tradefleet.resources.model import FieldPath

DERIVED_LABEL = f"{GROUP}/derived-from"  # on a Feed: the Exchange that it was made for


def derived_feed(exchange: Exchange) -> Feed | None:
    """Return the Feed that plays the replay of `exchange`, under its name; None when it names no replay."""
    simulator = exchange.spec.simulator
    if simulator is None or simulator.replay is None:
        return None
    name = exchange.metadata.name
    return Feed(
        metadata=Metadata(name=name, namespace=exchange.metadata.namespace, labels={DERIVED_LABEL: name}),
        spec=FeedSpec(exchange_ref=Reference(name=name), replay=simulator.replay),
    )


def derived_feeds(resources: Collection[Resource]) -> Iterator[tuple[Exchange, Feed]]:
    """Yield the Feeds that Exchanges stand for, each with its Exchange, where `resources` have no Feed for it."""
    taken = {each.exchange_key for each in resources if isinstance(each, Feed)}
    for exchange in resources:
        feed = derived_feed(exchange) if isinstance(exchange, Exchange) and exchange.key not in taken else None
        if isinstance(exchange, Exchange) and feed is not None:
            yield exchange, feed


def path_in_exchange(path: FieldPath) -> FieldPath:
    """Return where in the Exchange a field of its derived Feed is written."""
    return ("spec", "simulator", *path[1:]) if path[:2] == ("spec", "replay") else ("spec", "simulator", "replay")
