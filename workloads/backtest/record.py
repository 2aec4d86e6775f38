"""What a run leaves behind: per bot its equity after every step and its trades, in arrays that long runs can afford."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tradefleet.domain.bots import BotConfig
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.errors import Permanent
from tradefleet.domain.executions import Execution, Origin
from tradefleet.domain.ids import ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import Liquidity, SubmitOrder
from workloads.exchange.gateway.effects import GatewayEffects

NO_HOLD = -1  # stands in the array of hold for a step at which holding has not begun


class TradeRecord(NamedTuple):
    """One trade of a bot. `reason` says why the gateway traded; `slippage_atoms` is quote, above 0 when it cost."""

    market_us: int
    symbol: Symbol
    side: Side
    price_ticks: int
    lots: int
    notional_atoms: int
    fee_atoms: int
    fee_asset: str
    liquidity: Liquidity
    origin: Origin
    reason: Reason
    slippage_atoms: int


class BotRecord:
    """One bot's run. The arrays have one entry for each step in which a bar of the bot closed, in quote atoms."""

    __slots__ = ("config", "denied", "equity", "hold", "in_market", "market_us", "slippage_atoms", "trades")

    def __init__(self, config: BotConfig) -> None:
        self.config = config
        self.market_us = array("q")
        self.equity = array("q")
        self.hold = array("q")  # NO_HOLD before holding begins
        self.in_market = array("b")  # 1 while a position is open
        self.trades: list[TradeRecord] = []
        self.denied: Counter[Reason] = Counter()
        self.slippage_atoms = 0


class Recorder:
    """Takes an engine's effects. `closes` holds the last close of each symbol, kept up to date by who runs the steps.

    A market order is measured against the last close at which it was decided, a stop against its trigger.
    """

    def __init__(
        self, bots: Sequence[BotConfig], instruments: Mapping[Symbol, Instrument], closes: Mapping[Symbol, float]
    ) -> None:
        self.records = {config.key: BotRecord(config) for config in bots}
        self.fills: list[CanonicalFill] = []
        self._instruments = instruments
        self._closes = closes
        self._reference_ticks: dict[ClientOrderId, int] = {}

    def __call__(self, effects: GatewayEffects) -> None:
        """Take the effects of one turn. Raises Permanent for one that the gateway could not apply: a run is exact."""
        for point in effects.statistics:
            self._statistics(point)
        if effects.dead_letters:
            _, why = effects.dead_letters[0]
            raise Permanent(f"backtest: the gateway could not apply what it got, so the run would be wrong: {why}")
        if effects.executions:
            self.fills.extend([fill.canonical for fill in effects.fills])
            for execution in effects.executions:
                self._execution(execution)
        for request in effects.venue_requests:
            if isinstance(request, SubmitOrder):
                self._submitted(request)

    def _statistics(self, point: BotStatistics) -> None:
        record = self.records[point.bot]
        record.market_us.append(point.market_us)
        record.equity.append(point.equity_atoms)
        record.hold.append(NO_HOLD if point.hold_atoms is None else point.hold_atoms)
        for _, lots in point.positions:
            if lots:
                record.in_market.append(1)
                break
        else:
            record.in_market.append(0)

    def _submitted(self, request: SubmitOrder) -> None:
        terms = request.terms
        if terms.type is OrderType.STOP:
            assert terms.trigger_ticks is not None
            self._reference_ticks[request.client_order_id] = terms.trigger_ticks
        elif terms.type is OrderType.MARKET and terms.symbol in self._closes:
            instrument = self._instruments[terms.symbol]
            self._reference_ticks[request.client_order_id] = instrument.nearest_ticks(self._closes[terms.symbol])

    def _execution(self, execution: Execution) -> None:
        record = self.records[execution.bot]
        if execution.fill is not None:
            self._trade(record, execution)
        elif execution.status is OrderStatus.DENIED:
            record.denied[execution.reason] += 1
        if execution.status.is_final:
            self._reference_ticks.pop(execution.client_order_id, None)

    def _trade(self, record: BotRecord, execution: Execution) -> None:
        reference = self._reference_ticks.get(execution.client_order_id)
        trade = trade_record(execution, self._instruments[execution.terms.symbol], reference)
        record.slippage_atoms += trade.slippage_atoms
        record.trades.append(trade)


def trade_record(execution: Execution, instrument: Instrument, reference_ticks: int | None) -> TradeRecord:
    """Return the trade in an execution; its slippage is against `reference_ticks`, and none without them."""
    fill, terms = execution.fill, execution.terms
    assert fill is not None, "an execution without a fill is no trade"
    slippage = 0
    if reference_ticks is not None:
        slippage = terms.side.sign * (fill.notional_atoms - instrument.notional_atoms(fill.lots, reference_ticks))
    return TradeRecord(
        execution.market_us,
        terms.symbol,
        terms.side,
        fill.price_ticks,
        fill.lots,
        fill.notional_atoms,
        fill.fee_atoms,
        fill.fee_asset,
        fill.liquidity,
        execution.origin,
        execution.reason,
        slippage,
    )


def closed_trades(trades: Sequence[TradeRecord], instruments: Mapping[Symbol, Instrument]) -> list[int]:
    """Return the profit in quote atoms, after fees, of each round trip: from an instrument's first lot to its last.

    A position that is still open is no round trip yet. A fee in the base asset is valued at the trade's price.
    """
    lots: dict[Symbol, int] = {}
    profit: dict[Symbol, int] = {}
    closed = []
    for trade in trades:
        instrument = instruments[trade.symbol]
        fee = trade.fee_atoms
        if trade.fee_asset != instrument.quote:
            fee = fee * trade.notional_atoms // max(1, instrument.base_atoms(trade.lots))
        held = lots.get(trade.symbol, 0) + trade.side.sign * trade.lots
        gained = profit.get(trade.symbol, 0) - trade.side.sign * trade.notional_atoms - fee
        lots[trade.symbol], profit[trade.symbol] = held, gained
        if held == 0:
            closed.append(gained)
            profit[trade.symbol] = 0
    return closed
