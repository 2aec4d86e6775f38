"""The SMA cross of `bench.backtest` in nautilus_trader. Arguments: CSV of bars, fast, slow, size, fee as a fraction.

Its engine at its usual settings, with logging and the risk engine's checks off; bar objects are made before the clock
starts. A market order fills at once, at the close of the bar that decided it: with bars that open where the last one
closed this is the price of the next open.
"""

import csv
import json
import sys
import time
from decimal import Decimal
from pathlib import Path

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USD
from nautilus_trader.model.data import Bar, BarSpecification, BarType
from nautilus_trader.model.enums import AccountType, AggregationSource, BarAggregation, OmsType, OrderSide, PriceType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

MINUTE_NS = 60_000_000_000
VOLUME_MIN = 1_000.0  # it lets an order take a part of the bar's volume only; the others have no such limit


class SmaConfig(StrategyConfig, frozen=True):
    """Parameters."""

    bar_type: BarType
    instrument_id: InstrumentId
    fast: int
    slow: int
    size: Decimal


class SmaCross(Strategy):
    """In while the fast average is above the slow one."""

    def __init__(self, config: SmaConfig) -> None:
        super().__init__(config)
        self.fast = SimpleMovingAverage(config.fast)
        self.slow = SimpleMovingAverage(config.slow)
        self.trades = []
        self.is_in = False

    def on_start(self) -> None:
        """Set up the averages."""
        self.instrument = self.cache.instrument(self.config.instrument_id)
        self.size = self.instrument.make_qty(self.config.size)
        self.register_indicator_for_bars(self.config.bar_type, self.fast)
        self.register_indicator_for_bars(self.config.bar_type, self.slow)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002 - it looks at the averages only
        """Buy or sell when the averages say so."""
        if not self.slow.initialized:
            return
        is_above = self.fast.value > self.slow.value
        if is_above and not self.is_in:
            self._order(OrderSide.BUY)
        elif not is_above and self.is_in:
            self._order(OrderSide.SELL)

    def _order(self, side: OrderSide) -> None:
        self.submit_order(self.order_factory.market(self.config.instrument_id, side, self.size))

    def on_order_filled(self, event: OrderFilled) -> None:
        """Note what filled."""
        is_buy = event.order_side == OrderSide.BUY
        self.is_in = is_buy
        self.trades.append(["buy" if is_buy else "sell", round(float(event.last_px), 8), float(event.last_qty)])


def instrument(fee: Decimal) -> CurrencyPair:
    """Return the pair that is traded."""
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("BTC/USD"), Venue("SIM")),
        raw_symbol=Symbol("BTCUSD"),
        base_currency=BTC,
        quote_currency=USD,
        price_precision=2,
        size_precision=8,
        price_increment=Price.from_str("0.01"),
        size_increment=Quantity.from_str("0.00000001"),
        lot_size=None,
        max_quantity=None,
        min_quantity=None,
        max_notional=None,
        min_notional=None,
        max_price=None,
        min_price=None,
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
        maker_fee=fee,
        taker_fee=fee,
        ts_event=0,
        ts_init=0,
    )


def main() -> None:
    """Run once and print what came out."""
    path, fast, slow = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    size, fee = Decimal(sys.argv[4]), Decimal(sys.argv[5])
    pair = instrument(fee)
    spec = BarSpecification(1, BarAggregation.MINUTE, PriceType.LAST)
    bar_type = BarType(pair.id, spec, AggregationSource.EXTERNAL)
    with path.open(encoding="ascii", newline="") as file:
        rows = list(csv.reader(file))
    bars = []
    for row in rows:
        close_ns = int(row[0]) * 1_000 + MINUTE_NS
        prices = [Price(float(value), 2) for value in row[1:5]]
        volume = max(float(row[5]), VOLUME_MIN)
        bars.append(Bar(bar_type, *prices, Quantity(volume, 8), close_ns, close_ns))
    began = time.perf_counter()
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("BENCH-001"),
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(1_000_000_000, USD), Money(0, Currency.from_str("BTC"))],
    )
    engine.add_instrument(pair)
    engine.add_data(bars)
    strategy = SmaCross(SmaConfig(bar_type=bar_type, instrument_id=pair.id, fast=fast, slow=slow, size=size))
    engine.add_strategy(strategy)
    engine.run()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "bars": len(bars), "trades": strategy.trades}))
    engine.dispose()


main()
