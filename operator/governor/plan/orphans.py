"""What is said of bots and feeds whose exchange is not there, or cannot be traded on."""

from governor.plan.draft import Draft
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.feed import Feed
from tradefleet.resources.trading_bot import TradingBot


def explain_orphans(draft: Draft) -> None:
    """Say of the bots and feeds without a market why they wait."""
    owners: list[TradingBot | Feed] = [*draft.all(TradingBot), *draft.all(Feed)]
    for owner in owners:
        reference = owner.spec.exchange_ref
        if isinstance(owner, Feed) and owner.spec.replay is None:
            message = "only a replay can be brought yet: give spec.replay with Datasets or files"
            draft.say(owner, "NotSupported", message, stalled=True)
            continue
        assert reference is not None, "a rule of the model makes sure of it"
        found = draft.get(ResourceKey("Exchange", owner.key.namespace, reference.name))
        if found is None:
            message = f"waits for Exchange {reference.name} in namespace {owner.key.namespace}: apply it"
            draft.say(owner, "ExchangeNotFound", message, stalled=False)
        elif found.key in draft.verdicts:
            message = f"waits for Exchange {reference.name}: {draft.verdicts[found.key].message}"
            draft.say(owner, "ExchangeNotReady", message, stalled=False)
