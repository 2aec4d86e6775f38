"""What a bot host is told when it starts."""

import msgspec

from tradefleet.domain.bots import BotConfig, config_from_values
from workloads.exchange.settings import ExchangeSettings


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bots of one process, as `tradefleet.domain.bots.config_values` writes them, and their exchange."""

    bots: tuple[dict[str, msgspec.Raw], ...]
    exchange: ExchangeSettings
    run: str | None = None

    def configs(self) -> tuple[BotConfig, ...]:
        """Return the bots' configs."""
        return tuple(
            config_from_values({name: msgspec.json.decode(value) for name, value in bot.items()}) for bot in self.bots
        )
