"""Exchange: a venue to trade on, real or simulated, with its instruments, fees and limits."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tradefleet.domain.money import SCALE_MAX
from tradefleet.resources.common import (
    KindNames,
    Mode,
    PrinterColumn,
    Resource,
    SecretReference,
    Status,
)
from tradefleet.resources.feed import Replay
from tradefleet.resources.model import Model, rule, transition
from tradefleet.resources.values import (
    Amount,
    Asset,
    Distinct,
    FeeBps,
    InstrumentSymbol,
    Many,
    PositiveAmount,
    ResourceName,
    Share,
    SlippageBps,
    VenueName,
    Whole,
)

SIMULATOR = "simulator"
DEFAULT_ASSET_SCALE = 8
INSTRUMENTS_MAX = 1000
ASSETS_MAX = 1000


class SimulatedMarket(StrEnum):
    """Where the simulator's prices come from."""

    REPLAY = "replay"
    BOOK = "book"


class TradedInstrument(Model):
    """An instrument of the exchange and its grid: prices are whole ticks, sizes whole lots."""

    symbol: InstrumentSymbol = Field(description="Name of the instrument in the fleet, BASE-QUOTE: BTC-USD.")
    base: Asset | None = Field(default=None, description="Asset that is bought and sold. Default: from the symbol.")
    quote: Asset | None = Field(default=None, description="Asset that prices are in. Default: from the symbol.")
    tick_size: PositiveAmount | None = Field(
        default=None,
        description='Smallest step of a price, quote per base: "0.01". A real venue fills it in. Cannot change.',
    )
    lot_size: PositiveAmount | None = Field(
        default=None,
        description='Smallest step of a size, base: "0.00000001". A real venue fills it in. Cannot change.',
    )
    min_notional: Amount | None = Field(
        default=None, description="Smallest worth of an order, quote; smaller ones are denied. Default: no minimum."
    )

    @rule(
        cel="(has(self.base) ? self.base : self.symbol.split('-')[0]) != "
        "(has(self.quote) ? self.quote : self.symbol.split('-')[1])",
        message="base and quote must be two assets",
        field="quote",
    )
    def _assets_differ(self) -> bool:
        return self.base_asset != self.quote_asset

    @transition(
        cel="(has(self.base) ? self.base : self.symbol.split('-')[0]) == "
        "(has(oldSelf.base) ? oldSelf.base : oldSelf.symbol.split('-')[0]) && "
        "(has(self.quote) ? self.quote : self.symbol.split('-')[1]) == "
        "(has(oldSelf.quote) ? oldSelf.quote : oldSelf.symbol.split('-')[1]) && "
        "(!has(oldSelf.tickSize) || (has(self.tickSize) && string(self.tickSize) == string(oldSelf.tickSize))) && "
        "(!has(oldSelf.lotSize) || (has(self.lotSize) && string(self.lotSize) == string(oldSelf.lotSize)))",
        message="base, quote, tickSize and lotSize cannot change, orders and positions are counted in them: create "
        "another Exchange",
        field="tickSize",
    )
    def _grid_stays(self, old: "TradedInstrument") -> bool:
        if (self.base_asset, self.quote_asset) != (old.base_asset, old.quote_asset):
            return False
        sizes = ((old.tick_size, self.tick_size), (old.lot_size, self.lot_size))
        return all(before is None or str(before) == str(after) for before, after in sizes)

    @property
    def base_asset(self) -> str:
        """The asset that is bought and sold."""
        return self.base or self.symbol.split("-")[0]

    @property
    def quote_asset(self) -> str:
        """The asset that prices are in."""
        return self.quote or self.symbol.split("-")[1]


class Fees(Model):
    """What a trade costs, in basis points of its worth (1 bp = 0.01 %); below 0 is a rebate."""

    maker_bps: FeeBps = Field(default=Decimal(10), description="Fee of an order that rested in the book.")
    taker_bps: FeeBps = Field(default=Decimal(10), description="Fee of an order that traded at once.")


class Simulator(Model):
    """How the simulator makes a market. A model, not the market: see docs for what it leaves out."""

    market: SimulatedMarket = Field(
        default=SimulatedMarket.REPLAY,
        strict=False,
        description="replay: orders fill against recorded bars. book: the bots trade with each other in an order book.",
    )
    slippage_bps: SlippageBps | None = Field(
        default=None, description="How much worse a market order fills than the open, basis points. Default: 0."
    )
    slippage_ticks: Whole | None = Field(
        default=None, ge=0, le=10_000, description="The same in ticks of the instrument; instead of slippageBps."
    )
    participation: Share | None = Field(
        default=None,
        description="Share of a bar's volume that an order may fill against: 0.1 is a tenth. Default: no bound.",
    )
    replay: Replay | None = Field(
        default=None,
        description="History that the market is made of. While bots trade here, the fleet plays it by a Feed with the "
        "name of the Exchange; a Feed of your own with this exchangeRef takes its place. Default: no market until you "
        "apply a Feed.",
    )

    @rule(
        cel="!has(self.slippageBps) || !has(self.slippageTicks)",
        message="slippage is given in basis points or in ticks, not in both: take out slippageBps or slippageTicks",
        field="slippageTicks",
    )
    def _one_unit_of_slippage(self) -> bool:
        return self.slippage_bps is None or self.slippage_ticks is None

    @rule(
        cel="self.market == 'replay' || (!has(self.slippageBps) && !has(self.slippageTicks) "
        "&& !has(self.participation))",
        message="slippage and participation model a replayed market; in market book the book itself decides: take "
        "them out",
        field="market",
    )
    def _book_has_no_model(self) -> bool:
        modelled = (self.slippage_bps, self.slippage_ticks, self.participation)
        return self.market is SimulatedMarket.REPLAY or all(each is None for each in modelled)

    @rule(
        cel="self.market == 'replay' || !has(self.replay)",
        message="in market book the bots make the prices: take replay out, or set market: replay",
        field="replay",
    )
    def _book_replays_nothing(self) -> bool:
        return self.market is SimulatedMarket.REPLAY or self.replay is None


class ExchangeLimits(Model):
    """Limits of the whole account, over all bots; absent means no such limit."""

    max_orders_per_second: Whole = Field(
        default=1000, ge=1, le=100_000, description="Orders sent to the venue in any second; further ones are denied."
    )
    max_order_notional: PositiveAmount | None = Field(default=None, description="Largest order, quote asset.")
    max_open_orders: Whole | None = Field(
        default=None, ge=1, le=100_000, description="Open orders of the account at the same time."
    )
    max_position_notional: PositiveAmount | None = Field(
        default=None,
        description="Largest position per instrument over all bots at the mark price, open buys included, quote asset. "
        "A buy beyond it is cut down.",
    )


class ExchangeSpec(Model):
    """What the exchange should be."""

    venue: VenueName = Field(
        description="simulator, or the ccxt id of a real exchange, such as binance or coinbase. Cannot change."
    )
    mode: Mode = Field(
        default=Mode.PAPER,
        strict=False,
        description="paper: no order leaves the fleet. live: orders go to the venue, with real money. Cannot change.",
    )
    account: ResourceName = Field(
        default="main",
        description="Name of the account at the venue; an account belongs to one gateway. Cannot change.",
    )
    credentials_secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret with apiKey, secret and, where the venue wants one, password. Required in mode live; only "
        "the gateway reads it.",
    )
    instruments: Annotated[Many[TradedInstrument], Distinct("symbol")] = Field(
        default=(),
        max_length=INSTRUMENTS_MAX,
        description="What can be traded, with tick and lot. Required for the simulator; a real venue fills in what "
        "is left out.",
    )
    fees: Fees = Field(default=Fees(), description="Fees of paper trading and backtests; a real venue reports its own.")
    simulator: Simulator | None = Field(default=None, description="How the simulated market behaves.")
    limits: ExchangeLimits = Field(default=ExchangeLimits(), description="Limits of the whole account, over all bots.")
    asset_scales: dict[Asset, Annotated[Whole, Field(ge=0, le=SCALE_MAX)]] = Field(
        default={},
        max_length=ASSETS_MAX,
        description="Decimals of an asset's smallest unit, such as BTC: 8. Default: 8, or as many as lotSize has.",
    )
    suspend: bool = Field(default=False, description="true: the gateway stops; its open orders stay.")

    @rule(
        cel="self.venue != 'simulator' || self.mode == 'paper'",
        message="the simulator has no real money: set mode: paper, or name a real venue",
        field="mode",
    )
    def _simulator_is_paper(self) -> bool:
        return self.venue != SIMULATOR or self.mode is Mode.PAPER

    @rule(
        cel="self.venue != 'simulator' || (size(self.instruments) > 0 && "
        "self.instruments.all(each, has(each.tickSize) && has(each.lotSize)))",
        message="the simulator needs instruments, each with its tickSize and lotSize",
        field="instruments",
    )
    def _simulator_has_a_grid(self) -> bool:
        complete = all(each.tick_size is not None and each.lot_size is not None for each in self.instruments)
        return self.venue != SIMULATOR or (bool(self.instruments) and complete)

    @rule(
        cel="self.mode != 'live' || has(self.credentialsSecretRef)",
        message="an exchange in mode live needs credentialsSecretRef, the Secret with its API key",
        field="credentialsSecretRef",
    )
    def _live_has_credentials(self) -> bool:
        return self.mode is not Mode.LIVE or self.credentials_secret_ref is not None

    @rule(
        cel="self.mode != 'live' || !has(self.simulator)",
        message="simulator describes a paper market: take it out, or set mode: paper",
        field="simulator",
    )
    def _live_is_not_simulated(self) -> bool:
        return self.mode is not Mode.LIVE or self.simulator is None

    @rule(
        cel="self.venue == 'simulator' || !has(self.simulator) || !has(self.simulator.replay)",
        message="a replay is the market of the simulator, a real venue has its own: take it out",
        field="simulator.replay",
    )
    def _real_venue_is_not_replayed(self) -> bool:
        return self.is_simulator or self.simulator is None or self.simulator.replay is None

    @transition(
        cel="self.venue == oldSelf.venue && self.mode == oldSelf.mode && self.account == oldSelf.account",
        message="venue, mode and account cannot change, orders and wallets are there: create another Exchange",
        field="venue",
    )
    def _account_stays(self, old: "ExchangeSpec") -> bool:
        return (self.venue, self.mode, self.account) == (old.venue, old.mode, old.account)

    @property
    def is_simulator(self) -> bool:
        """Whether the venue is our own simulator."""
        return self.venue == SIMULATOR

    def instrument(self, symbol: str) -> TradedInstrument | None:
        """Return what is said about `symbol`, None when it is not listed."""
        return next((each for each in self.instruments if each.symbol == symbol), None)

    def asset_scale(self, asset: str) -> int:
        """Return the decimals of `asset`: as assetScales says, else 8 or as many as its lots have."""
        if asset in self.asset_scales:
            return self.asset_scales[asset]
        lots = [each.lot_size for each in self.instruments if each.lot_size is not None and each.base_asset == asset]
        return max([DEFAULT_ASSET_SCALE, *(-int(lot.normalize().as_tuple().exponent) for lot in lots)])


class ExchangeStatus(Status):
    """What the exchange is doing."""

    mode: Mode | None = Field(default=None, strict=False, description="The mode that is in force.")
    epoch: Whole | None = Field(default=None, description="Counts the gateways that have held the account.")
    bots: Whole | None = Field(default=None, description="TradingBots that trade here.")
    open_orders: Whole | None = Field(default=None, description="Orders of the fleet that are open at the venue.")
    external_orders: Whole | None = Field(
        default=None, description="Open orders at the venue that are not ours; they are left alone."
    )
    fills: Whole | None = Field(default=None, description="Fills of the fleet's orders so far.")
    halted: bool | None = Field(default=None, description="Whether no new risk is taken; reason says why.")
    last_reconciled_time: str | None = Field(
        default=None, description="When orders and balances last agreed with the venue, UTC."
    )


class Exchange(Resource):
    """A venue to trade on, real or simulated, with its instruments, fees and limits."""

    names: ClassVar[KindNames] = KindNames(plural="exchanges", short="ex")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Venue", path=".spec.venue", description="simulator, or a real exchange."),
        PrinterColumn(name="Mode", path=".spec.mode", description="paper or live."),
        PrinterColumn(name="Account", path=".spec.account", description="Account at the venue.", priority=1),
        PrinterColumn(name="Bots", path=".status.bots", description="Bots that trade here.", type="integer"),
        PrinterColumn(name="Orders", path=".status.openOrders", description="Open orders.", type="integer"),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["Exchange"] = Field(default="Exchange", description="Exchange.")
    spec: ExchangeSpec = Field(description="What the exchange should be.")
    status: ExchangeStatus = Field(
        default=ExchangeStatus(), description="What the exchange is; written by the fleet, not by you."
    )
