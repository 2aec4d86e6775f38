"""What a run leaves behind: round trips, slippage, denials."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backtest.scenes import BTC, DOLLAR, AsksTooMuch, BuysOnce, bot, plan, settings, synthetic
from tradefleet.domain.bots import RiskLimits
from tradefleet.domain.executions import Origin
from tradefleet.domain.orders import Reason, Side
from tradefleet.domain.venue import Liquidity
from workloads.backtest.record import TradeRecord, closed_trades
from workloads.backtest.results import BotResult
from workloads.backtest.run import run_backtest

INSTRUMENTS = settings().to_gateway_config().instruments


def trade(side: Side, lots: int, price_ticks: int, fee_atoms: int = 0, fee_asset: str = "USD") -> TradeRecord:
    notional = INSTRUMENTS[BTC].notional_atoms(lots, price_ticks)
    return TradeRecord(
        0, BTC, side, price_ticks, lots, notional, fee_atoms, fee_asset, Liquidity.TAKER, Origin.BOT, Reason.NONE, 0
    )


def profits(*trades: TradeRecord) -> list[int]:
    return closed_trades(trades, INSTRUMENTS)


def once(**changes: object) -> BotResult:
    config = bot(parameters={}, warmup_bars=1, **changes)
    return run_backtest(plan(config, build=lambda each: BuysOnce(**each.parameters))).bots[0]


def test_a_round_trip_is_what_was_got_minus_what_was_paid_and_both_fees() -> None:
    # 100 lots are 0.01 BTC: bought for 1.00 dollar, sold for 1.10
    bought, sold = trade(Side.BUY, 100, 10_000, fee_atoms=5), trade(Side.SELL, 100, 11_000, fee_atoms=7)
    assert profits(bought, sold) == [DOLLAR // 10 - 12]


def test_a_round_trip_may_be_made_in_parts() -> None:
    parts = [trade(Side.BUY, 60, 10_000), trade(Side.BUY, 40, 10_000), trade(Side.SELL, 30, 10_000)]
    assert profits(*parts) == []
    assert profits(*parts, trade(Side.SELL, 70, 9_000)) == [-7 * DOLLAR // 100]


def test_a_fee_in_the_base_asset_is_valued_at_the_price_of_its_trade() -> None:
    bought = trade(Side.BUY, 100, 10_000, fee_atoms=10**8 // 10_000, fee_asset="BTC")  # 0.0001 BTC are one cent
    assert profits(bought, trade(Side.SELL, 100, 10_000)) == [-DOLLAR // 100]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(0, 9)), max_size=20))
def test_round_trips_add_up_to_all_money_moved_when_nothing_is_held(trips: Sequence[tuple[int, int, int]]) -> None:
    trades = []
    for lots, price_ticks, fee in trips:
        trades += [trade(Side.BUY, lots, price_ticks, fee), trade(Side.SELL, lots, price_ticks + 3, fee)]
    moved = sum(-each.side.sign * each.notional_atoms - each.fee_atoms for each in trades)
    found = profits(*trades)
    assert len(found) == len(trips)
    assert sum(found) == moved


def test_a_market_order_slips_against_the_close_at_which_it_was_decided() -> None:
    result = once()
    first = result.record.trades[0]
    close_ticks = INSTRUMENTS[BTC].nearest_ticks(next(synthetic().bars()).close)
    expected = first.notional_atoms - INSTRUMENTS[BTC].notional_atoms(first.lots, close_ticks)
    assert first.slippage_atoms == expected
    assert result.record.slippage_atoms == sum(each.slippage_atoms for each in result.record.trades)
    sold = result.record.trades[-1]
    assert sold.side is Side.SELL


def test_the_gateways_own_trades_say_why() -> None:
    result = once(limits=RiskLimits(take_profit_ppm=1_000))
    reasons = {each.reason for each in result.record.trades if each.origin is Origin.GATEWAY}
    assert reasons == {Reason.TAKE_PROFIT}


def test_denied_orders_are_counted_by_reason() -> None:
    config = bot(parameters={}, warmup_bars=1)
    result = run_backtest(plan(config, build=lambda each: AsksTooMuch(**each.parameters), bars=5)).bots[0]
    assert result.record.denied == {Reason.INSUFFICIENT_FUNDS: 5}
    assert (result.denied, result.orders, result.fills) == (5, 5, 0)


def test_time_in_the_market_is_the_part_of_the_steps_with_a_position() -> None:
    result = once()
    held = sum(result.record.in_market)
    # bought at the open of the second bar, sold at the open of the one after the hundredth
    assert held == 99
    assert result.in_market_part == held / 400
