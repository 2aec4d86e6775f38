"""What a fleet's trades are measured against: the same as in a backtest."""

from decimal import Decimal

import pytest
from governor.local.trades import Closes, reference_ticks

from tests.unit.strategy.paper import BTC, LTC, instrument
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.executions import Execution, Fill, Origin
from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Reason, Side
from tradefleet.domain.venue import Liquidity
from workloads.backtest.record import trade_record


def _bar(number: int, close: float, *, symbol: Symbol = BTC, minutes: int = 1) -> Bar:
    length_us = minutes * MINUTE_US
    return Bar(symbol, length_us, number * length_us, close, close, close, close, 1.0)


def _terms(kind: OrderType, side: Side = Side.BUY) -> OrderTerms:
    price = 100 if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None
    trigger = 90 if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None
    return OrderTerms(symbol=BTC, side=side, type=kind, lots=10, price_ticks=price, trigger_ticks=trigger)


def test_the_last_close_is_the_newest_that_had_ended_by_then() -> None:
    closes = Closes()
    for number, close in enumerate((10.0, 11.0, 12.0)):
        closes.add(_bar(number, close))

    assert closes.last(BTC, MINUTE_US - 1) is None
    assert closes.last(BTC, MINUTE_US) == 10.0
    assert closes.last(BTC, 3 * MINUTE_US - 1) == 11.0
    assert closes.last(BTC, 10**18) == 12.0
    assert closes.last(LTC, 10**18) is None


def test_series_of_several_lengths_are_one_line_of_closes() -> None:
    closes = Closes()
    closes.add(_bar(0, 50.0, minutes=5))
    for number, close in enumerate((10.0, 11.0, 12.0, 13.0, 14.0, 15.0)):
        closes.add(_bar(number, close))

    assert [closes.last(BTC, minute * MINUTE_US) for minute in (4, 5, 6)] == [13.0, 50.0, 15.0]


def test_a_bar_that_comes_after_a_question_counts_for_the_next() -> None:
    closes = Closes()
    closes.add(_bar(1, 20.0))
    assert closes.last(BTC, 10**18) == 20.0

    closes.add(_bar(0, 10.0))

    assert (closes.last(BTC, MINUTE_US), closes.last(BTC, 10**18)) == (10.0, 20.0)


@pytest.mark.parametrize(
    ("kind", "ticks"),
    [(OrderType.MARKET, 1_234), (OrderType.STOP, 90), (OrderType.LIMIT, None), (OrderType.STOP_LIMIT, None)],
)
def test_an_order_at_market_is_measured_against_the_last_close_and_a_stop_against_its_trigger(
    kind: OrderType, ticks: int | None
) -> None:
    closes = Closes()
    closes.add(_bar(0, 12.34))
    closes.add(_bar(1, 99.0))

    assert reference_ticks(_terms(kind), MINUTE_US, instrument(), closes) == ticks


def test_an_order_before_the_first_bar_is_measured_against_nothing() -> None:
    assert reference_ticks(_terms(OrderType.MARKET), MINUTE_US, instrument(), Closes()) is None


@pytest.mark.parametrize(("side", "costs"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_slippage_is_what_the_trade_was_worse_than_its_reference(side: Side, costs: int) -> None:
    rules = instrument()
    fill = Fill(
        trade_id="t1",
        lots=10,
        price_ticks=105,
        notional_atoms=rules.notional_atoms(10, 105),
        fee_atoms=7,
        fee_asset="USD",
        liquidity=Liquidity.TAKER,
        realized_atoms=0,
    )
    execution = Execution(
        bot=BotKey("demo/one"),
        seq=1,
        client_order_id=ClientOrderId("ORDER1"),
        origin=Origin.GATEWAY,
        status=OrderStatus.FILLED,
        terms=_terms(OrderType.MARKET, side),
        filled_lots=10,
        market_us=5,
        reason=Reason.STOP_LOSS,
        fill=fill,
    )

    against, plain = trade_record(execution, rules, 100), trade_record(execution, rules, None)

    assert against.slippage_atoms == costs * (Decimal("0.05") * Decimal("0.001") * 10**8)
    assert plain == against._replace(slippage_atoms=0)
    assert (plain.origin, plain.reason, plain.fee_atoms) == (Origin.GATEWAY, Reason.STOP_LOSS, 7)
