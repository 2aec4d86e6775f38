"""What a gateway and a simulator are told when they start. Amounts are decimal text, so that no digit is lost."""

from collections.abc import Mapping

import msgspec

from tradefleet.domain.ids import AccountId, Symbol
from tradefleet.domain.instrument import Instrument, Listing
from workloads.exchange.gateway.config import AccountLimits, GatewayConfig
from workloads.exchange.venue.config import Market, VenueConfig


class InstrumentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One instrument of the exchange; `intervals_us` are the bars that its feed brings."""

    symbol: str
    base: str
    quote: str
    tick: str
    lot: str
    min_notional: str = "0"
    base_scale: int = 8
    quote_scale: int = 8
    intervals_us: tuple[int, ...]

    def to_instrument(self) -> Instrument:
        """Return the domain's instrument. Raises InvalidValue."""
        return Listing(*(getattr(self, name) for name in Listing._fields)).to_instrument()


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of the account, over all its bots; amounts in quote atoms."""

    max_order_atoms: int | None = None
    max_position_atoms: int | None = None
    max_open_orders: int | None = None
    max_orders_per_second: int | None = None


class ExchangeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An exchange as its workloads and its bots know it. `exchange` is "namespace/name"."""

    exchange: str
    account: str
    instruments: tuple[InstrumentSettings, ...]
    maker_ppm: int
    taker_ppm: int
    slippage_ppm: int = 0
    slippage_ticks: int = 0
    participation_ppm: int | None = None
    market: Market = Market.REPLAY
    paper: bool = True
    limits: LimitSettings = LimitSettings()

    def instruments_by_symbol(self) -> Mapping[Symbol, Instrument]:
        """Return the instruments."""
        found = [settings.to_instrument() for settings in self.instruments]
        return {instrument.symbol: instrument for instrument in found}

    def to_venue_config(self) -> VenueConfig:
        """Return what the Venue machine takes. Raises InvalidValue."""
        return VenueConfig(
            instruments=tuple(self.instruments_by_symbol().values()),
            maker_ppm=self.maker_ppm,
            taker_ppm=self.taker_ppm,
            slippage_ppm=self.slippage_ppm,
            slippage_ticks=self.slippage_ticks,
            participation_ppm=self.participation_ppm,
            market=self.market,
            intervals_us={Symbol(each.symbol): each.intervals_us for each in self.instruments if each.intervals_us},
        )

    def to_gateway_config(self) -> GatewayConfig:
        """Return what the Gateway machine takes. Raises InvalidValue."""
        return GatewayConfig(
            account=AccountId(self.account),
            instruments=self.instruments_by_symbol(),
            finest_us={Symbol(each.symbol): min(each.intervals_us) for each in self.instruments if each.intervals_us},
            maker_ppm=self.maker_ppm,
            taker_ppm=self.taker_ppm,
            paper=self.paper,
            limits=AccountLimits(
                max_order_atoms=self.limits.max_order_atoms,
                max_position_atoms=self.limits.max_position_atoms,
                max_open_orders=self.limits.max_open_orders,
                max_orders_per_second=self.limits.max_orders_per_second,
            ),
        )


class VenueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A simulator's process, of the Exchange with that `uid`. It listens on `host`:`port`; `token_file` has its key."""

    exchange: ExchangeSettings
    uid: str
    generation: int
    host: str = "127.0.0.1"
    port: int
    token_file: str
    run: str | None = None


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A gateway's process, of the Exchange with that `uid`, and where its simulator listens."""

    exchange: ExchangeSettings
    uid: str
    generation: int
    venue_host: str = "127.0.0.1"
    venue_port: int
    token_file: str
    request_timeout_us: int = 5_000_000
    run: str | None = None
