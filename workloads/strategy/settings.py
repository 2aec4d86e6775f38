"""What a bot host is told when it starts."""

import msgspec

from tradefleet.domain.bots import BotConfig, config_from_values
from workloads.exchange.settings import ExchangeSettings


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bots of one process and their exchange.

    A process of one bot is told of it here, as `tradefleet.domain.bots.config_values` writes it. A shared `host` learns
    of its bots from the database, as they come and go.
    """

    exchange: ExchangeSettings
    bots: tuple[dict[str, msgspec.Raw], ...] = ()
    host: str = ""
    run: str | None = None

    def configs(self) -> tuple[BotConfig, ...]:
        """Return the bots' configs."""
        return tuple(
            config_from_values({name: msgspec.json.decode(value) for name, value in bot.items()}) for bot in self.bots
        )
