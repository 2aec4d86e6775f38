"""All kinds of resources by their names."""

from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.risk_policy import RiskPolicy
from tradefleet.resources.trading_bot import TradingBot

# In the order in which a fleet needs them: what others refer to comes first.
KINDS: dict[str, type[Resource]] = {
    kind.__name__: kind for kind in (Exchange, Dataset, Feed, RiskPolicy, TradingBot, BotSet, Backtest)
}


def find_kind(word: str) -> type[Resource] | None:
    """Return the kind that a user calls `word` (tradingbot, tradingbots, tb, TradingBot); None when there is none."""
    wanted = word.casefold()
    for kind in KINDS.values():
        if wanted in (kind.__name__.casefold(), kind.names.plural, kind.names.short):
            return kind
    return None
