"""TradingBot: one strategy, trading some instruments on one exchange with its own wallet and limits."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import DeletionPolicy, RunState, SizingMethod
from tradefleet.resources.common import (
    ConfigMapReference,
    KindNames,
    Mode,
    PrinterColumn,
    Reference,
    Resource,
    ResourceKey,
    Status,
)
from tradefleet.resources.model import Model, rule, same_amounts, transition
from tradefleet.resources.pods import PodTemplate
from tradefleet.resources.values import (
    INTEGER_MAX,
    Amount,
    Asset,
    Duration,
    GainPercent,
    InstrumentSymbol,
    Interval,
    Many,
    ManyDistinct,
    Multiple,
    Parameter,
    ParameterName,
    Percent,
    PositiveAmount,
    Share,
    SignedAmount,
    StrategyName,
    Whole,
    duration_us,
)

INSTRUMENTS_MAX = 64  # of one bot; more of them are a BotSet
ASSETS_MAX = 32  # in one wallet
HISTORY_MAX = 2  # good specs that are kept: the present one, and the one to go back to
SPEC_LENGTH_MAX = 65_536
DATA_AGE_MIN_US = 600_000_000  # ten minutes: a late bar of a short interval is not yet stale data


class UpdateStrategy(StrEnum):
    """What happens when the spec of a bot changes while it runs."""

    AUTO = "Auto"
    MANUAL = "Manual"


class Placement(StrEnum):
    """Where a bot runs."""

    DEDICATED = "Dedicated"
    SHARED = "Shared"


class DeadManAction(StrEnum):
    """What the gateway does for a bot that has been without a process for too long."""

    CANCEL_ORDERS = "CancelOrders"
    FLATTEN = "Flatten"


class CodeSource(Model):
    """Where the modules of your own strategy are, when no image holds them. A local fleet imports them from folders."""

    config_map_ref: ConfigMapReference = Field(
        description="A ConfigMap whose entries are modules: trend.py for a strategy trend:Breakout. A change of it is "
        "a change of the bot."
    )


class StrategyReference(Model):
    """The strategy and its parameters: the same object that was backtested."""

    name: StrategyName = Field(
        description="A built-in strategy (buy-and-hold, dca, sma-cross, rsi-reversion, bollinger, grid, maker, taker, "
        "random) or your own class, written module:Class."
    )
    params: dict[ParameterName, Parameter] = Field(
        default={},
        max_length=64,
        description="Parameters of the strategy by name; what is left out has the strategy's default. "
        "`tradefleet strategy describe NAME` lists them with their ranges.",
    )
    code_from: CodeSource | None = Field(
        default=None,
        description="Where the modules of your own class are, in a cluster. Default: in podTemplate.image. A local "
        "fleet imports them from the folders that `tradefleet up` and `apply` were run in.",
    )

    @rule(
        cel="!has(self.codeFrom) || self.name.contains(':')",
        message="a built-in strategy has no code of yours: write name as module:Class, or take out codeFrom",
        field="codeFrom",
    )
    def _code_is_of_own_strategies(self) -> bool:
        return self.code_from is None or not self.is_built_in

    @property
    def is_built_in(self) -> bool:
        """Whether the strategy comes with tradefleet; otherwise the user's code must be at hand."""
        return ":" not in self.name


class Sizing(Model):
    """How a strategy's wish (buy, sell, a target exposure) becomes the size of an order."""

    method: SizingMethod = Field(
        default=SizingMethod.FRACTION,
        strict=False,
        description="fixed: quoteAmount per instrument. fraction: a share of equity. volatilityTarget: the share, "
        "scaled until the position's volatility meets targetVolatility. kelly: the capped Kelly share of the bot's own "
        "closed trades.",
    )
    fraction: Share = Field(
        default=Decimal(1),
        description="Share of equity at full exposure, split equally over the bot's instruments; the most that "
        "volatilityTarget and kelly will use. 1 is all of it.",
    )
    quote_amount: PositiveAmount | None = Field(
        default=None, description="Quote asset per instrument at full exposure; for method fixed, and required there."
    )
    target_volatility: Multiple = Field(
        default=Decimal("0.5"), description="Volatility to aim at, annualised: 0.5 is 50 %; for volatilityTarget."
    )
    lookback_bars: Whole = Field(
        default=60, ge=2, le=100_000, description="Bars from which volatility is measured; for volatilityTarget."
    )
    kelly_cap: Share = Field(default=Decimal("0.25"), description="The largest share of equity that kelly may choose.")
    rebalance_threshold: Share = Field(
        default=Decimal("0.02"),
        description="A change of target below this share of equity is left alone: it would cost more than it brings.",
    )

    @rule(
        cel="self.method != 'fixed' || has(self.quoteAmount)",
        message="sizing by method fixed needs quoteAmount, the amount per instrument",
        field="quoteAmount",
    )
    def _fixed_has_an_amount(self) -> bool:
        return self.method is not SizingMethod.FIXED or self.quote_amount is not None

    @rule(
        cel="self.method == 'fixed' || !has(self.quoteAmount)",
        message="quoteAmount is for sizing by method fixed only: set method: fixed, or take it out",
        field="quoteAmount",
    )
    def _amount_is_for_fixed(self) -> bool:
        return self.method is SizingMethod.FIXED or self.quote_amount is None


class Risk(Model):
    """Limits that the gateway enforces for this bot before any order leaves; absent means no such limit.

    Percentages are of the bot's equity or of a price, amounts are in the quote asset.
    """

    max_order_notional: PositiveAmount | None = Field(
        default=None, description="Largest order, quote asset. A larger one is cut down to it."
    )
    max_position_notional: PositiveAmount | None = Field(
        default=None,
        description="Largest position per instrument at the mark price, open buys included, quote asset. A buy beyond "
        "it is cut down.",
    )
    max_exposure: Multiple | None = Field(
        default=None, description="All positions and open buys together as a multiple of equity: 0.8 keeps 20 % cash."
    )
    max_open_orders: Whole = Field(
        default=200, ge=1, le=10_000, description="Open orders at the same time; further ones are denied."
    )
    max_orders_per_minute: Whole = Field(
        default=600, ge=1, le=100_000, description="Orders in any 60 seconds of market time; further ones are denied."
    )
    price_collar_percent: Percent = Field(
        default=Decimal(5),
        description="A limit price that is worse than the mark by more than this is denied. A market or stop order "
        "that buys never fills beyond it; one that sells fills at any price, since it is the way out.",
    )
    max_daily_loss_percent: Percent | None = Field(
        default=None, description="Loss since midnight UTC, of the day's first equity, at which new risk is denied."
    )
    max_drawdown_percent: Percent | None = Field(
        default=None,
        description="Fall from the highest equity at which new risk is denied until a person clears it: "
        "tradefleet resume BOT --reopen.",
    )
    max_data_age: Duration | None = Field(
        default=None,
        description="Age, in market time, from which new risk is denied: of the last closed bar, and of the bar that "
        "the bot decided on. Default: twice the interval, at least 10m.",
    )
    stop_loss_percent: Percent | None = Field(
        default=None,
        description="Sell a position that has fallen this far below its average entry price. Works in the gateway, "
        "even when the bot is dead.",
    )
    take_profit_percent: GainPercent | None = Field(
        default=None, description="Sell a position that has risen this far above its average entry price."
    )
    trailing_stop_percent: Percent | None = Field(
        default=None, description="Sell a position that has fallen this far below its highest price since entry."
    )


class DeadManSwitch(Model):
    """What happens to orders and position when no process has run the bot for too long."""

    after: Duration = Field(default="15m", description="How long the bot may be without a process.")
    action: DeadManAction = Field(
        default=DeadManAction.CANCEL_ORDERS, strict=False, description="CancelOrders, or Flatten: cancel and sell."
    )


class BotSettings(Model):
    """Everything about a bot but its strategy and instruments: what a TradingBot and a BotSet's template share."""

    exchange_ref: Reference = Field(description="The Exchange that the bot trades on. Cannot change.")
    feed_ref: Reference | None = Field(
        default=None, description="The Feed that the bot reads. Default: whichever offers its instruments and interval."
    )
    interval: Interval = Field(
        default="1m", description="Length of the bars that the strategy decides on, such as 1m, 5m, 1h, 1d."
    )
    mode: Mode = Field(
        default=Mode.PAPER,
        strict=False,
        description="paper trades play money; live trades real money, and needs mode live on the Exchange too. "
        "Cannot change: a paper bot's books are not a live one's.",
    )
    wallet: dict[Asset, Amount] = Field(
        default={},
        max_length=ASSETS_MAX,
        description='Start amount, in the asset that the instruments are quoted in, such as USD: "10000". The bot '
        "never spends more. Required in mode paper. "
        "Cannot change: results are measured against holding this wallet.",
    )
    sizing: Sizing = Field(default=Sizing(), description="How the strategy's wish becomes the size of an order.")
    risk: Risk = Field(default=Risk(), description="Limits that the gateway enforces before any order leaves.")
    state: RunState = Field(
        default=RunState.RUNNING,
        strict=False,
        description="Running. Paused: keeps its orders and its stop-loss, raises no new risk. Stopped: deletionPolicy "
        "is carried out, then the process ends.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.CANCEL_ORDERS,
        strict=False,
        description="When the bot is stopped or deleted. CancelOrders: its position stays. Flatten: it is sold as "
        "well. Keep: open orders stay too.",
    )
    update_strategy: UpdateStrategy | None = Field(
        default=None,
        strict=False,
        description="Auto: a changed spec restarts the bot. Manual: the ConfigDrift condition shows the change until a "
        "person restarts it. Default: Auto for paper, Manual for live.",
    )
    placement: Placement = Field(
        default=Placement.DEDICATED,
        strict=False,
        description="Dedicated: a process of its own. Shared: one process runs many bots of an Exchange, for large "
        "fleets; built-in strategies only. May change while the bot trades: orders, position and record go with it.",
    )
    dead_man_switch: DeadManSwitch | None = Field(
        default=None, description="What happens when no process has run the bot for too long. Default: nothing."
    )
    pod_template: PodTemplate | None = Field(
        default=None,
        description="Changes to the bot's pod: image, memory, CPU, node. A local fleet has no pods: there "
        "resources.limits.memory alone counts, from the next start of the bot's process on.",
    )
    seed: Whole = Field(
        default=0,
        ge=0,
        le=INTEGER_MAX,
        description="Seed of the bot's randomness, mixed with namespace and name: the same seed gives the same trades.",
    )

    @rule(
        cel="self.mode != 'paper' || self.wallet.exists(asset, double(self.wallet[asset]) > 0.0)",
        message='a paper bot starts with money: give it a wallet with an amount above 0, such as {USD: "10000"}',
        field="wallet",
    )
    def _paper_has_money(self) -> bool:
        return self.mode is not Mode.PAPER or any(amount > 0 for amount in self.wallet.values())

    @rule(
        cel="self.placement != 'Shared' || !has(self.podTemplate) || !has(self.podTemplate.image)",
        message="a bot with an image of its own cannot share a process: set placement: Dedicated",
        field="placement",
    )
    def _own_image_is_dedicated(self) -> bool:
        return self.placement is not Placement.SHARED or self.pod_template is None or self.pod_template.image is None

    @transition(
        cel="self.exchangeRef.name == oldSelf.exchangeRef.name",
        message="exchangeRef cannot change, orders and position are there: delete the bot and create another",
        field="exchangeRef",
    )
    def _exchange_stays(self, old: "BotSettings") -> bool:
        return self.exchange_ref == old.exchange_ref

    @transition(
        cel="self.mode == oldSelf.mode",
        message="mode cannot change, a paper bot's books are not a live one's: create another bot",
        field="mode",
    )
    def _mode_stays(self, old: "BotSettings") -> bool:
        return self.mode == old.mode

    @transition(
        cel="size(self.wallet) == size(oldSelf.wallet) && self.wallet.all(asset, asset in oldSelf.wallet && "
        "string(self.wallet[asset]) == string(oldSelf.wallet[asset]))",
        message="wallet cannot change, results are measured against it: create another bot",
        field="wallet",
    )
    def _wallet_stays(self, old: "BotSettings") -> bool:
        return same_amounts(self.wallet, old.wallet)

    @property
    def updates_by_itself(self) -> bool:
        """Whether a changed spec restarts the bot: as updateStrategy says, by default for paper bots only."""
        chosen = self.update_strategy
        return self.mode is Mode.PAPER if chosen is None else chosen is UpdateStrategy.AUTO

    @property
    def interval_us(self) -> int:
        """Length of a bar in microseconds."""
        return parse_interval(self.interval)

    @property
    def max_data_age_us(self) -> int:
        """Age of bar and decision from which new risk is denied, in microseconds of market time."""
        if self.risk.max_data_age is not None:
            return duration_us(self.risk.max_data_age)
        return max(DATA_AGE_MIN_US, 2 * self.interval_us)


class BotPurpose(Model):
    """What a bot trades by, and what it trades."""

    strategy: StrategyReference = Field(description="What the bot trades by.")
    instruments: ManyDistinct[InstrumentSymbol] = Field(
        min_length=1,
        max_length=INSTRUMENTS_MAX,
        description="What the bot trades, such as BTC-USD; all of them quoted in the same asset. Cannot change: the "
        "bot is measured against holding exactly these.",
    )


class TradingBotSpec(BotSettings, BotPurpose):
    """What the bot should be."""

    @rule(
        cel="self.placement != 'Shared' || !self.strategy.name.contains(':')",
        message="your own code does not share a process with other bots: set placement: Dedicated",
        field="placement",
    )
    def _own_code_is_dedicated(self) -> bool:
        return self.placement is not Placement.SHARED or self.strategy.is_built_in

    @transition(
        cel="self.instruments == oldSelf.instruments",
        message="instruments cannot change, the bot is measured against holding exactly these: create another bot",
        field="instruments",
    )
    def _instruments_stay(self, old: "TradingBotSpec") -> bool:
        return set(self.instruments) == set(old.instruments)


class GoodSpec(Model):
    """A spec with which the bot ran well."""

    generation: Whole = Field(description="The newest metadata.generation that said so.")
    since: str = Field(description="When it was found to be good, UTC.")
    spec: str = Field(max_length=SPEC_LENGTH_MAX, description="The spec as JSON, without defaults and state.")


class TradingBotStatus(Status):
    """What the bot is doing, and how it compares with holding its wallet."""

    mode: Mode | None = Field(default=None, strict=False, description="The mode that is in force.")
    strategy: str | None = Field(default=None, description="The strategy that is running.")
    epoch: Whole | None = Field(default=None, description="Counts the processes that ran the bot; fences old ones.")
    host: str | None = Field(
        default=None, description="The shared process that runs the bot; nothing when it has a process of its own."
    )
    quote_asset: str | None = Field(default=None, description="Asset in which equity and vsHold are given.")
    equity: SignedAmount | None = Field(default=None, description="What the bot's wallet is worth, quote asset.")
    vs_hold: SignedAmount | None = Field(
        default=None,
        description="Equity minus what holding the start wallet in the bot's instruments would be worth after the same "
        "fees, quote asset. Above 0 the bot is worth running.",
    )
    drawdown_percent: SignedAmount | None = Field(
        default=None, description="How far equity is below its highest value, percent."
    )
    realized_profit: SignedAmount | None = Field(default=None, description="Profit of closed trades, quote asset.")
    fees: SignedAmount | None = Field(default=None, description="Fees paid so far, quote asset.")
    position: dict[str, SignedAmount] = Field(default={}, description="Position per instrument, base asset.")
    open_orders: Whole | None = Field(default=None, description="Orders that are open at the venue.")
    fills: Whole | None = Field(default=None, description="Fills of the bot's orders so far.")
    last_bar_time: str | None = Field(default=None, description="Close of the last bar that the bot saw, UTC.")
    last_bar_age: str | None = Field(default=None, description="How old that bar was when status was written: 42s.")
    restarts: Whole | None = Field(default=None, description="How often the bot's process came back after a crash.")
    spec_digest: str | None = Field(default=None, description="SHA-256 of the spec that is running.")
    history: Many[GoodSpec] = Field(
        default=(),
        max_length=HISTORY_MAX,
        description="The newest specs with which the bot was Ready for a while, newest first: `tradefleet rollback` "
        "goes back to the first that is not the present one.",
    )


class TradingBot(Resource):
    """One strategy, trading some instruments on one exchange with its own wallet and limits."""

    names: ClassVar[KindNames] = KindNames(plural="tradingbots", short="tb")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Mode", path=".spec.mode", description="paper or live."),
        PrinterColumn(name="Exchange", path=".spec.exchangeRef.name", description="Where the bot trades."),
        PrinterColumn(name="Instruments", path=".spec.instruments", description="What the bot trades."),
        PrinterColumn(name="Strategy", path=".spec.strategy.name", description="What it trades by.", priority=1),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn(name="Equity", path=".status.equity", description="What the wallet is worth, quote asset."),
        PrinterColumn(name="VsHold", path=".status.vsHold", description="Equity minus what holding would be worth."),
        PrinterColumn(name="Orders", path=".status.openOrders", description="Open orders.", type="integer", priority=1),
        PrinterColumn(name="Bar", path=".status.lastBarAge", description="Age of the last bar.", priority=1),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["TradingBot"] = Field(default="TradingBot", description="TradingBot.")
    spec: TradingBotSpec = Field(description="What the bot should be.")
    status: TradingBotStatus = Field(
        default=TradingBotStatus(), description="What the bot is; written by the fleet, not by you."
    )

    @property
    def exchange_key(self) -> ResourceKey:
        """Where the bot trades."""
        return ResourceKey("Exchange", self.key.namespace, self.spec.exchange_ref.name)
