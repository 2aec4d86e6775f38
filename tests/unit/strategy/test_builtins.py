"""Each built-in strategy on a price path made by hand: what it does, bar by bar."""

import pytest

from tests.unit.strategy.paper import BTC, DOLLAR, LTC, PaperExchange, bar, instrument, make_bot
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.orders import CancelRequest, OrderRequest, OrderStatus, OrderType, Reason, Side
from workloads.strategy.registry import BUILTINS, build_strategy, load_strategy


def trade(name, closes, parameters=None, **settings):
    """Run a built-in over bars that open at the close before; return its paper exchange."""
    strategy = build_strategy(name, parameters or {})
    settings.setdefault("warmup_bars", strategy.warmup)
    paper = PaperExchange(make_bot(strategy, **settings))
    before = closes[0]
    for number, close in enumerate(closes):
        paper.step(bar(number, close, opens=before))
        before = close
    return paper


def marks(paper):
    """Return what was asked as `bar number: what`, bars counted from 1."""
    table = []
    for request in paper.log:
        number = request.market_us // MINUTE_US
        if isinstance(request, OrderRequest):
            price = request.terms.price_ticks
            table.append((number, str(request.terms.side), None if price is None else price / 100))
        elif isinstance(request, CancelRequest):
            table.append((number, "CANCEL", None))
    return table


BUY, SELL = "BUY", "SELL"


def test_buy_and_hold_buys_and_holds():
    paper = trade("buy-and-hold", [100, 100, 100, 100, 50, 200, 100, 80])
    assert marks(paper) == [(1, BUY, None), (2, BUY, None)]
    assert paper.lots[BTC] > 97_000


def test_buy_and_hold_does_not_buy_back_what_a_stop_loss_sold():
    paper = trade("buy-and-hold", [100, 100, 100, 100])
    paper.protect(BTC, 9_000, 4 * MINUTE_US)
    asked = len(paper.log)
    paper.run(bar(number, 90.0) for number in range(4, 8))
    assert len(paper.log) == asked


def test_dca_spends_equal_parts_at_equal_intervals():
    paper = trade("dca", [100.0] * 14, {"every_bars": 3, "purchases": 4})
    assert marks(paper)[:4] == [(1, BUY, None), (4, BUY, None), (7, BUY, None), (10, BUY, None)]
    sizes = [request.terms.lots for request in paper.log]
    assert sizes[:3] == [25_000, 25_000, 25_000]
    assert sizes[3] < 25_000  # what fees and the reserve leave
    assert sum(sizes) == paper.lots[BTC]


def test_dca_saves_up_parts_that_are_too_small_for_an_order():
    paper = trade("dca", [100.0] * 9, {"every_bars": 1, "purchases": 250})
    assert marks(paper) == [(3, BUY, None), (6, BUY, None), (9, BUY, None)]
    assert [request.terms.lots for request in paper.log] == [1_200] * 3


def test_sma_cross_is_in_while_the_fast_average_is_above():
    closes = [100, 100, 100, 100, 104, 108, 110, 110, 100, 90, 90, 90, 90, 120]
    paper = trade("sma-cross", closes, {"fast": 2, "slow": 4})
    # Flat on bar 4 is not above; it rises on 5 (topped up on 6); on bar 9 the fast one (105) is below the slow one
    # (107); on bar 14 it is above again.
    assert marks(paper) == [(5, BUY, None), (6, BUY, None), (9, SELL, None), (14, BUY, None)]


def test_sma_cross_trades_each_instrument_by_its_own_averages():
    strategy = build_strategy("sma-cross", {"fast": 2, "slow": 3})
    paper = PaperExchange(make_bot(strategy, symbols=(BTC, LTC), warmup_bars=3))
    for number in range(6):
        paper.step(bar(number, 100.0 + number))
        paper.step(bar(number, 50.0 - number, symbol=LTC))
    assert {request.terms.symbol for request in paper.log} == {BTC}


def test_rsi_reversion_buys_the_fall_and_sells_the_recovery():
    closes = [100, 101, 100, 101, 95, 90, 85, 85, 92, 98, 99]
    paper = trade("rsi-reversion", closes, {"period": 3, "oversold": 30, "exit": 60})
    table = marks(paper)
    assert table[0] == (5, BUY, None)
    assert [row for row in table if row[1] == SELL] == [(10, SELL, None)]
    assert paper.lots[BTC] == 0


@pytest.mark.parametrize(("exit_band", "sold_on"), [("middle", 8), ("upper", 9)])
def test_bollinger_buys_below_the_lower_band_and_sells_at_the_exit_band(exit_band, sold_on):
    closes = [100, 101, 100, 101, 100, 90, 90, 97, 108, 108]
    paper = trade("bollinger", closes, {"period": 5, "width": 1.5, "exit": exit_band})
    table = marks(paper)
    assert table[0] == (6, BUY, None)
    assert [row for row in table if row[1] == SELL] == [(sold_on, SELL, None)]


def test_grid_buys_a_step_lower_and_sells_it_a_step_higher():
    closes = [100, 98.9, 100.2, 98.9, 100.2, 100.2]
    paper = trade("grid", closes, {"levels": 2, "spacing": 0.01, "part": 0.9})
    assert marks(paper) == [
        (1, BUY, 99.0),
        (1, BUY, 98.01),
        (2, SELL, 100.0),  # the first level was touched on bar 2
        (3, BUY, 99.0),  # and sold on bar 3
        (4, SELL, 100.0),
        (5, BUY, 99.0),
    ]
    assert paper.total["USD"] > 1_000 * DOLLAR  # two turns, less fees


def test_grid_follows_a_market_that_leaves_it_upwards():
    paper = trade("grid", [100, 105, 105], {"levels": 1, "spacing": 0.01})
    assert marks(paper) == [(1, BUY, 99.0), (2, "CANCEL", None), (3, BUY, 103.95)]


def test_grid_begins_anew_after_a_stop_loss():
    paper = trade("grid", [100, 98.9, 95], {"levels": 1, "spacing": 0.01})
    sell = next(iter(paper.orders))
    paper._end(sell, OrderStatus.CANCELED, 3 * MINUTE_US)
    paper.protect(BTC, 9_500, 3 * MINUTE_US)
    paper.step(bar(3, 95.0))
    assert marks(paper)[-1] == (4, BUY, 94.05)


def test_grid_sells_at_its_centre_what_was_held_at_the_start():
    strategy = build_strategy("grid", {"levels": 1, "spacing": 0.01})
    paper = PaperExchange(make_bot(strategy, wallet={"USD": 0, "BTC": 10**8}))
    paper.step(bar(0, 100.0))
    assert marks(paper) == [(1, SELL, 100.0)]


def test_a_level_of_the_grid_that_is_refused_rests():
    strategy = build_strategy("grid", {"levels": 1})
    paper = PaperExchange(make_bot(strategy))
    paper.deny_with = Reason.OPEN_ORDERS
    paper.run(bar(number, 100.0) for number in range(100))
    assert [number for number, _, _ in marks(paper)] == [1, 62]


def test_maker_quotes_both_sides_of_the_close_and_leans_against_its_inventory():
    parameters = {"spread": 0.02, "part": 0.2, "skew": 0.0, "tolerance": 0.1}
    paper = trade("maker", [100, 98.5, 98.5], parameters)
    # Bar 1: nothing to sell yet. Bar 2 fills the bid at 99; the maker asks for 98.5 x 1.01 and bids 98.5 x 0.99.
    assert marks(paper) == [(1, BUY, 99.0), (2, BUY, 97.51), (2, SELL, 99.49)]
    assert all(request.terms.post_only for request in paper.log)
    leaning = trade("maker", [100.0], {**parameters, "skew": 1.0})
    assert marks(leaning) == [(1, BUY, 99.99)]  # empty: it bids as high as it may


def test_maker_replaces_a_quote_that_is_off():
    paper = trade("maker", [100, 103, 103], {"spread": 0.02, "skew": 0.0, "tolerance": 0.1})
    assert marks(paper) == [(1, BUY, 99.0), (2, "CANCEL", None), (3, BUY, 101.97)]


def test_taker_trades_in_the_direction_of_a_large_bar():
    paper = trade("taker", [100, 100.05, 101, 101, 100, 100], {"threshold": 0.005, "part": 0.1})
    assert marks(paper) == [(3, BUY, None), (5, SELL, None)]


def test_random_trades_both_sides_with_all_kinds_of_orders():
    paper = trade("random", [100.0 + number % 3 for number in range(300)], {"probability": 0.5, "part": 0.5})
    kinds = {(request.terms.side, request.terms.type) for request in paper.log if isinstance(request, OrderRequest)}
    assert kinds == {(side, kind) for side in Side for kind in (OrderType.MARKET, OrderType.LIMIT)}
    assert any(isinstance(request, CancelRequest) for request in paper.log)
    assert paper.refused == []


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("sma-cross", {"fast": 50, "slow": 50}, "strategy sma-cross: fast must be below slow, were 50 and 50"),
        ("rsi-reversion", {"oversold": 60.0}, "oversold must be below exit, were 60.0 and 55.0"),
        ("grid", {"levels": 50, "spacing": 0.5}, "50 levels of 0.5 reach below 5 % of the price"),
        ("maker", {"spread": 0.0}, "strategy maker: parameter spread must be >= 1e-05, was 0.0"),
        ("random", {"chance": 0.5}, "strategy random: unknown parameter 'chance'"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(name, parameters, message):
    with pytest.raises(InvalidValue, match=message):
        build_strategy(name, parameters)


@pytest.mark.parametrize("name", BUILTINS)
def test_every_built_in_says_what_it_is(name):
    described = load_strategy(name).describe()
    assert described.name == name
    for part in ("Idea:", "Rules:", "Source:"):
        assert part in described.doc
    assert all(parameter.doc for parameter in described.parameters)
    assert build_strategy(name, {}).warmup >= 1


@pytest.mark.parametrize("name", BUILTINS)
def test_every_built_in_can_be_snapshotted_at_any_time(name):
    paper = trade(name, [100.0, 101.0, 99.0] * 30)
    assert paper.bot.obstacles() == []
    assert paper.bot.snapshot() is not None


def test_instruments_of_these_tests_have_a_minimum_notional():
    assert instrument().min_notional_atoms == 10 * DOLLAR
