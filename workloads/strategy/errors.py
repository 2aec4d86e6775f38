"""The error of strategy code: it says which bot, which hook and when, and keeps as its cause what was raised."""

from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotKey


class StrategyError(Permanent):
    """A callback of a strategy raised. The bot that ran it must be thrown away: its state is half changed."""

    def __init__(self, bot: BotKey, hook: str, market_us: int, cause: Exception) -> None:
        super().__init__(f"bot {bot}: {hook} at market time {market_us} us raised {type(cause).__name__}: {cause}")
        self.bot = bot
        self.hook = hook
        self.market_us = market_us
