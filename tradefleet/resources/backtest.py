"""Backtest: a strategy, or the bots of the fleet, over a dataset; perhaps many times with other parameters."""

from enum import StrEnum
from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from tradefleet.domain.bots import ParameterValue
from tradefleet.resources.common import KindNames, PrinterColumn, Reference, Resource, Status, TimeRange
from tradefleet.resources.model import Model, rule
from tradefleet.resources.pods import PodTemplate
from tradefleet.resources.trading_bot import ASSETS_MAX, INSTRUMENTS_MAX, Risk, Sizing, StrategyReference
from tradefleet.resources.values import (
    INTEGER_MAX,
    Amount,
    Asset,
    Duration,
    FeeBps,
    InstrumentSymbol,
    Interval,
    Many,
    ManyDistinct,
    Parameter,
    ParameterName,
    ParameterNumber,
    ResourceName,
    SignedAmount,
    SlippageBps,
    Whole,
    duration_us,
)

BOTS_MAX = 1000
TRIALS_MAX = 1_000_000
GRID_MAX = 100_000  # combinations of a grid
SPACE_MAX = 16  # parameters searched at once
VALUES_MAX = 1000  # of one parameter
PARALLELISM_MAX = 1000
HISTORY_DEFAULT = 3
HISTORY_MAX = 100


class SearchMethod(StrEnum):
    """How parameters are chosen."""

    GRID = "grid"
    RANDOM = "random"
    BAYESIAN = "bayesian"


class Objective(StrEnum):
    """By which figure trials are ranked, out of sample."""

    VERSUS_HOLD = "vsHold"
    RETURN = "return"
    SHARPE = "sharpe"
    DRAWDOWN = "drawdown"


class SearchRange(Model):
    """The values that one parameter may take: a list, or a range."""

    values: Many[Parameter] = Field(default=(), max_length=VALUES_MAX, description="The values to try.")
    minimum: ParameterNumber | None = Field(default=None, alias="min", description="Smallest value of the range.")
    maximum: ParameterNumber | None = Field(
        default=None, alias="max", description="Largest value of the range, part of it."
    )
    step: ParameterNumber | None = Field(
        default=None, description="Step of the range. Required for a grid; default otherwise: any value between."
    )

    @rule(
        cel=None,
        message="a parameter is searched over values, or over a range from min to max: give exactly one",
        field="values",
    )
    def _list_or_range(self) -> bool:
        return bool(self.values) != (self.minimum is not None and self.maximum is not None)

    @rule(
        cel="has(self.min) == has(self.max)",
        message="a range has both ends: give min and max",
        field="min",
    )
    def _range_has_both_ends(self) -> bool:
        return (self.minimum is None) == (self.maximum is None)

    @rule(
        cel="!has(self.min) || !has(self.max) || double(self.min) < double(self.max)",
        message="min must be below max",
        field="min",
    )
    def _range_is_not_empty(self) -> bool:
        return self.minimum is None or self.maximum is None or self.minimum < self.maximum

    @property
    def count(self) -> int:
        """How many values there are; 1 for a range without a step, of which no value is the next."""
        if self.values:
            return len(self.values)
        if self.minimum is None or self.maximum is None or self.step is None:
            return 1
        return int((self.maximum - self.minimum) // self.step) + 1

    def value(self, place: int) -> ParameterValue:
        """Return the value at a place, counted from 0. Steps are added exactly, so 0.1 three times is 0.3."""
        if self.values:
            return self.values[place]
        assert self.minimum is not None, "rules of the model make sure of it"
        found = self.minimum + place * (self.step or 0)
        return int(found) if found == int(found) else float(found)

    @rule(
        cel="!has(self.step) || (has(self.min) && double(self.step) > 0.0)",
        message="step is above 0 and belongs to a range from min to max",
        field="step",
    )
    def _step_is_of_a_range(self) -> bool:
        return self.step is None or (self.minimum is not None and self.step > 0)


class Search(Model):
    """Which parameters to try. How often was tried is kept for ever, since luck grows with it."""

    method: SearchMethod = Field(
        default=SearchMethod.GRID,
        strict=False,
        description="grid: every combination. random: trials of them by chance. bayesian: each trial learns from the "
        "ones before.",
    )
    space: dict[ParameterName, SearchRange] = Field(
        min_length=1, max_length=SPACE_MAX, description="Values to try, by the name of the strategy's parameter."
    )
    trials: Whole | None = Field(
        default=None, ge=1, le=TRIALS_MAX, description="Number of trials; required for random and bayesian."
    )
    seed: Whole = Field(default=1, ge=0, le=INTEGER_MAX, description="Seed of the choice, so that it can be repeated.")
    objective: Objective = Field(
        default=Objective.VERSUS_HOLD,
        strict=False,
        description="Figure by which trials are ranked: vsHold, return, sharpe, or drawdown (smallest first).",
    )

    @rule(
        cel="(self.method == 'grid') != has(self.trials)",
        message="trials is required for random and bayesian, and a grid has as many as its space",
        field="trials",
    )
    def _trials_are_counted(self) -> bool:
        return (self.method is SearchMethod.GRID) != (self.trials is not None)

    @rule(
        cel=None,
        message="a grid needs values, or a range with a step, for each parameter",
        field="space",
    )
    def _grid_is_countable(self) -> bool:
        countable = all(each.values or each.step is not None for each in self.space.values())
        return self.method is not SearchMethod.GRID or countable

    @rule(
        cel=None,
        message=f"a grid has at most {GRID_MAX:,} combinations: try fewer values, or split it into several Backtests",
        field="space",
    )
    def _grid_is_bounded(self) -> bool:
        return self.method is not SearchMethod.GRID or prod(each.count for each in self.space.values()) <= GRID_MAX


class WalkForward(Model):
    """Choose parameters on one stretch of time, judge them on the next, move on: what counts is the judged part."""

    train: Duration = Field(description="Length of the stretch on which parameters are chosen, such as 90d.")
    test: Duration = Field(description="Length of the stretch after it on which they are judged, such as 30d.")
    anchored: bool = Field(default=False, description="true: each choice looks at everything since the beginning.")

    @property
    def train_us(self) -> int:
        """Length of the training stretch in microseconds."""
        return duration_us(self.train)

    @property
    def test_us(self) -> int:
        """Length of the judged stretch in microseconds."""
        return duration_us(self.test)


class Costs(Model):
    """What trading costs, where it differs from the Exchange."""

    maker_bps: FeeBps | None = Field(default=None, description="Fee of an order that rested in the book, basis points.")
    taker_bps: FeeBps | None = Field(default=None, description="Fee of an order that traded at once, basis points.")
    slippage_bps: SlippageBps | None = Field(
        default=None, description="How much worse a market order fills than the open, basis points."
    )
    slippage_ticks: Whole | None = Field(
        default=None, ge=0, le=10_000, description="The same in ticks of the instrument; instead of slippageBps."
    )

    @rule(
        cel="!has(self.slippageBps) || !has(self.slippageTicks)",
        message="slippage is given in basis points or in ticks, not in both: take out slippageBps or slippageTicks",
        field="slippageTicks",
    )
    def _one_unit_of_slippage(self) -> bool:
        return self.slippage_bps is None or self.slippage_ticks is None


class Promote(Model):
    """Turn the winner into a paper TradingBot, with its evidence."""

    bot_name: ResourceName = Field(description="Name of the TradingBot to create or to update.")
    must_beat_hold: bool = Field(
        default=True, description="true: only a winner that beat holding out of sample is promoted."
    )


class BacktestSpec(TimeRange):
    """What to test: a strategy with its own settings, or TradingBots as they are."""

    dataset_ref: Reference = Field(description="The Dataset to test on; the evidence names its content hash.")
    exchange_ref: Reference | None = Field(
        default=None, description="The Exchange whose ticks, lots and fees apply. Required with strategy."
    )
    bot_refs: Many[Reference] = Field(
        default=(), max_length=BOTS_MAX, description="TradingBots to test together as they are, in place of strategy."
    )
    strategy: StrategyReference | None = Field(default=None, description="Strategy to test, in place of botRefs.")
    instruments: ManyDistinct[InstrumentSymbol] = Field(
        default=(), max_length=INSTRUMENTS_MAX, description="What to trade. Default: all of the dataset."
    )
    interval: Interval = Field(default="1m", description="Length of the bars that the strategy decides on.")
    wallet: dict[Asset, Amount] = Field(
        default={}, max_length=ASSETS_MAX, description='Start amounts by asset, such as USD: "10000".'
    )
    sizing: Sizing = Field(default=Sizing(), description="How the strategy's wish becomes the size of an order.")
    risk: Risk = Field(default=Risk(), description="Limits, the same as live.")
    costs: Costs | None = Field(default=None, description="What trading costs, where it differs from the Exchange.")
    seed: Whole = Field(default=0, ge=0, le=INTEGER_MAX, description="Seed of the strategy's randomness.")
    search: Search | None = Field(default=None, description="Other parameters to try. Default: one run as it stands.")
    walk_forward: WalkForward | None = Field(
        default=None, description="Choose on one stretch, judge on the next. Needs search."
    )
    parallelism: Whole = Field(
        default=1,
        ge=1,
        le=PARALLELISM_MAX,
        description="Simulations that run at the same time, processes or pods; fewer when others want to run as well.",
    )
    pod_template: PodTemplate | None = Field(
        default=None,
        description="Changes to the pods of its simulations: image, memory, CPU, node. A local fleet has no pods: "
        "there resources.limits.memory alone counts.",
    )
    promote: Promote | None = Field(default=None, description="Turn the winner into a paper TradingBot.")
    history_limit: Whole = Field(
        default=HISTORY_DEFAULT,
        ge=0,
        le=HISTORY_MAX,
        description="How many earlier specs keep their results, beside those of the present one.",
    )
    suspend: bool = Field(default=False, description="true: nothing runs; what is done is kept, and goes on later.")

    @rule(
        cel="has(self.strategy) != (size(self.botRefs) > 0)",
        message="a backtest tests a strategy or TradingBots: give exactly one of strategy and botRefs",
        field="strategy",
    )
    def _strategy_or_bots(self) -> bool:
        return (self.strategy is not None) != bool(self.bot_refs)

    @rule(
        cel="!has(self.strategy) || (has(self.exchangeRef) && "
        "self.wallet.exists(asset, double(self.wallet[asset]) > 0.0))",
        message="a strategy is tested with exchangeRef, for ticks, lots and fees, and with a wallet above 0",
        field="wallet",
    )
    def _strategy_has_a_wallet(self) -> bool:
        funded = any(amount > 0 for amount in self.wallet.values())
        return self.strategy is None or (self.exchange_ref is not None and funded)

    @rule(
        cel="has(self.strategy) || (!has(self.search) && !has(self.promote) && size(self.wallet) == 0 "
        "&& size(self.instruments) == 0)",
        message="TradingBots are tested as they are: take out wallet, instruments, search and promote",
        field="botRefs",
    )
    def _bots_are_as_they_are(self) -> bool:
        return self.strategy is not None or not (self.search or self.promote or self.wallet or self.instruments)

    @rule(
        cel="!has(self.walkForward) || has(self.search)",
        message="walkForward chooses parameters: add the search it chooses from",
        field="walkForward",
    )
    def _walk_forward_searches(self) -> bool:
        return self.walk_forward is None or self.search is not None


class BacktestStatus(Status):
    """How far the test is, and what it found."""

    trials: Whole | None = Field(default=None, description="Trials to run.")
    completed: Whole | None = Field(default=None, description="Trials that are done.")
    failed: Whole | None = Field(default=None, description="Trials that failed.")
    progress: str | None = Field(default=None, description="Trials that are done, of all of them, such as 12/40.")
    question: str | None = Field(default=None, description="Hash of what is asked; its results are kept under it.")
    best_params: dict[ParameterName, Parameter] = Field(default={}, description="Parameters of the best trial.")
    quote_asset: str | None = Field(default=None, description="Asset in which vsHold is given.")
    vs_hold: SignedAmount | None = Field(
        default=None, description="Best trial's equity minus what holding would be worth, out of sample, quote asset."
    )
    dataset_hash: str | None = Field(default=None, description="Content hash of the dataset that was tested on.")
    ledger_hash: str | None = Field(default=None, description="SHA-256 of the canonical ledger of the best trial.")
    synthetic: bool | None = Field(default=None, description="Whether the data is made up.")
    started_time: str | None = Field(default=None, description="When the run began, UTC.")
    finished_time: str | None = Field(default=None, description="When the run ended, UTC.")


class Backtest(Resource):
    """A strategy, or the bots of the fleet, over a dataset; perhaps many times with other parameters."""

    names: ClassVar[KindNames] = KindNames(plural="backtests", short="bt")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Dataset", path=".spec.datasetRef.name", description="What is tested on."),
        PrinterColumn(name="Strategy", path=".spec.strategy.name", description="What is tested."),
        PrinterColumn(name="Done", path=".status.progress", description="Trials that are done, of all of them."),
        PrinterColumn(
            name="Failed", path=".status.failed", description="Trials that failed.", type="integer", priority=1
        ),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn(name="VsHold", path=".status.vsHold", description="Best trial against holding."),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["Backtest"] = Field(default="Backtest", description="Backtest.")
    spec: BacktestSpec = Field(description="What to test.")
    status: BacktestStatus = Field(
        default=BacktestStatus(), description="How far the test is; written by the fleet, not by you."
    )
