"""What a gateway knows of its account's exchange before the first input."""

from collections.abc import Mapping
from dataclasses import field

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import AccountId, Symbol
from tradefleet.domain.instrument import Instrument


@frozen()
class AccountLimits:
    """Limits of the Exchange resource, over all bots of the account; None is no limit. Amounts in quote atoms."""

    max_order_atoms: int | None = None
    max_position_atoms: int | None = None  # per instrument, at the mark
    max_open_orders: int | None = None
    max_orders_per_second: int | None = None


@frozen()
class GatewayConfig:
    """`finest_us` is the finest bar interval of each instrument: marks and protection follow those bars only."""

    account: AccountId
    instruments: Mapping[Symbol, Instrument]
    finest_us: Mapping[Symbol, int]
    maker_ppm: int
    taker_ppm: int
    paper: bool = True  # a paper account is funded by us, wallet by wallet
    limits: AccountLimits = field(default_factory=AccountLimits)

    @property
    def fee_ppm_max(self) -> int:
        """The higher of the two fees: what a reservation must cover."""
        return max(self.maker_ppm, self.taker_ppm, 0)
