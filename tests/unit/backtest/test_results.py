"""Ranking and figures of results."""

from dataclasses import replace

import pytest

from tests.unit.backtest.scenes import BTC, DOLLAR, BuysOnce, bot, market, plan, synthetic
from tradefleet.domain.ids import BotKey
from workloads.backtest.plan import BacktestPlan
from workloads.backtest.record import NO_HOLD, BotRecord
from workloads.backtest.results import BacktestResult, BotResult
from workloads.backtest.run import run_backtest
from workloads.exchange.settings import InstrumentSettings


def made_up(name: str, *, equity: list[int], hold: list[int], quote: str = "USD") -> BotResult:
    """Return a result with the given curves, its other parts from a run."""
    whole = run_backtest(plan(bot(name), bars=3)).bots[0]
    record = BotRecord(replace(bot(name), wallet={quote: equity[0]}))
    for place, (own, other) in enumerate(zip(equity, hold, strict=True)):
        record.market_us.append(place)
        record.equity.append(own)
        record.hold.append(other)
        record.in_market.append(0)
    instrument = InstrumentSettings(
        symbol=BTC, base="BTC", quote=quote, tick="0.01", lot="0.0001", intervals_us=()
    ).to_instrument()
    return replace(whole, record=record, instruments={BTC: instrument})


def ranked(*bots: BotResult) -> list[str]:
    whole = run_backtest(plan(bot(), bars=3))
    return [each.key for each in replace(whole, bots=bots).ranked]


def test_bots_are_ranked_by_what_they_made_beyond_holding_not_by_their_return() -> None:
    rich = made_up("demo/rich", equity=[100, 200], hold=[NO_HOLD, 250])
    poor = made_up("demo/poor", equity=[100, 90], hold=[NO_HOLD, 50])
    assert ranked(rich, poor) == ["demo/poor", "demo/rich"]


def test_a_bot_without_a_comparison_comes_last_and_equals_go_by_name() -> None:
    unknown = made_up("demo/a", equity=[100, 900], hold=[NO_HOLD, NO_HOLD])
    same = [made_up(name, equity=[100, 100], hold=[NO_HOLD, 120]) for name in ("demo/c", "demo/b")]
    assert ranked(unknown, *same) == ["demo/b", "demo/c", "demo/a"]


def test_amounts_of_several_quote_assets_are_compared_as_parts_of_the_start() -> None:
    dollars = made_up("demo/dollars", equity=[10_000, 10_100], hold=[NO_HOLD, 10_000])
    coins = made_up("demo/coins", equity=[100, 110], hold=[NO_HOLD, 100], quote="EUR")
    assert ranked(dollars, coins) == ["demo/coins", "demo/dollars"]


def test_figures_follow_from_the_curves() -> None:
    result = made_up("demo/one", equity=[1_000, 1_200, 900], hold=[NO_HOLD, 1_000, 800])
    assert result.return_part == pytest.approx(-0.1)
    assert result.hold_part == pytest.approx(-0.2)
    assert result.vs_hold_atoms == 100
    assert result.drawdown_part == pytest.approx(0.25)


def test_buying_and_holding_is_nearly_what_holding_is_said_to_be_worth() -> None:
    config = bot(strategy="buy-and-hold", parameters={}, warmup_bars=1)
    result = run_backtest(plan(config)).bots[0]
    assert result.vs_hold_atoms is not None
    # Twice the reserve of a market order is bought a bar later; the difference is a small part of the wallet.
    assert abs(result.vs_hold_atoms) < result.start_atoms // 1_000
    assert result.fees_atoms == pytest.approx(0.001 * result.start_atoms, rel=0.01)


def test_wins_are_counted_after_fees() -> None:
    config = bot(parameters={}, warmup_bars=1)
    build = {"build": lambda each: BuysOnce(**each.parameters)}
    free = BacktestPlan(title="free", markets=(market(config, maker_ppm=0, taker_ppm=0, slippage_ppm=0),), **build)
    costly = BacktestPlan(title="costly", markets=(market(config, maker_ppm=0, taker_ppm=20_000),), **build)
    assert run_backtest(free).bots[0].win_part == 1.0
    assert run_backtest(costly).bots[0].win_part == 0.0


def test_the_books_at_the_end_agree_with_the_last_equity() -> None:
    result: BacktestResult = run_backtest(plan(bot(), bars=200))
    one = result.bots[0]
    instrument = one.instruments[BTC]
    (held,) = one.books.positions
    *_, last = synthetic(bars=200).bars()
    money = one.books.free["USD"] + one.books.locked.get("USD", 0)
    assert one.equity_atoms == money + instrument.notional_atoms(held.lots, instrument.nearest_ticks(last.close))
    assert one.key == BotKey("demo/one")
    assert one.start_atoms == 10_000 * DOLLAR
    assert one.orders >= one.fills > 0
