"""Who would make a resource again that is deleted alone, and what to do instead. Pure."""

from collections.abc import Collection

from governor.demand import feed_makers
from governor.sets import set_makers
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.exchange import Exchange

Maker = BotSet | Exchange


def makers(resources: Collection[Resource]) -> dict[ResourceKey, Maker]:
    """Return, for each resource that would be made again if it were deleted, the one that would make it."""
    return {**set_makers(resources), **feed_makers(resources)}


def way_out(made: ResourceKey, maker: Maker) -> str:
    """Return what a person may do who wants to be rid of what `maker` makes."""
    name = maker.metadata.name
    match maker:
        case BotSet():
            return (
                f"take it out of the matrix of the set and apply that, delete the set (`tradefleet delete bs {name}`), "
                f"or let the bot rest with `tradefleet pause {made.name}`"
            )
        case Exchange():
            return (
                f"it goes when no bot on {name} needs it; apply a Feed of another name with exchangeRef {name} in its "
                "place, or take replay out of the Exchange's spec.simulator"
            )
