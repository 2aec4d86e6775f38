import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.strategy.paper import BTC, DOLLAR, KEY, LTC, TAKER_PPM, instrument
from tradefleet.domain.bots import RiskLimits, Sizing, SizingMethod
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.executions import Adoption, PositionView
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.money import PPM, fee_atoms
from tradefleet.domain.orders import OrderTerms, OrderType, Side
from workloads.strategy.holdings import OpenOrder
from workloads.strategy.portfolio import Portfolio
from workloads.strategy.round_trips import RoundTrips
from workloads.strategy.sizer import Sizer, Wish, annualised

FULL = Wish(PPM, may_buy=True, may_sell=True)
OUT = Wish(0, may_buy=True, may_sell=True)


def books(symbols=(BTC,), *, quote=1_000 * DOLLAR, lots=None, collar_ppm=50_000):
    rules = {symbol: instrument(symbol) for symbol in symbols}
    portfolio = Portfolio(rules, taker_ppm=TAKER_PPM, collar_ppm=collar_ppm)
    free = {"USD": quote}
    positions = []
    for symbol, held in (lots or {}).items():
        free[symbol[:3]] = rules[symbol].base_atoms(held)
        positions.append(PositionView(symbol=symbol, lots=held, cost_atoms=0))
    portfolio.adopt(Adoption(bot=KEY, market_us=0, execution_seq=0, free=free, locked={}, positions=tuple(positions)))
    return portfolio


def change(portfolio, wish, *, sizing=None, limits=None, price=100.0, volatility=math.nan, symbol=BTC):
    sizer = Sizer(KEY, sizing or Sizing(), limits or RiskLimits(), portfolio.instruments)
    marks = dict.fromkeys(portfolio.instruments, round(price * 100))
    return sizer.change(wish, symbol, marks, portfolio, volatility)


def lots_worth(quote, price=100.0):
    return int(round(quote / price / 0.0001, 6))


def test_a_full_buy_leaves_room_for_collar_and_fee():
    found = change(books(), FULL)
    assert found.lots == pytest.approx(lots_worth(1_000 / 1.05 / 1.001), abs=2)
    assert not found.is_met


def test_instruments_get_equal_parts():
    assert change(books((BTC, LTC)), FULL).lots == lots_worth(500)


def test_a_fraction_is_of_equity():
    assert change(books(), FULL, sizing=Sizing(fraction=0.25)).lots == lots_worth(250)
    half_in = books(quote=500 * DOLLAR, lots={BTC: lots_worth(500)})
    assert change(half_in, FULL, sizing=Sizing(fraction=0.75)).lots == lots_worth(250)


def test_a_fixed_amount_is_per_instrument():
    sizing = Sizing(method=SizingMethod.FIXED, quote_amount=Decimal(30))
    assert change(books((BTC, LTC)), FULL, sizing=sizing).lots == lots_worth(30)


def test_a_volatile_market_gets_less_and_a_quiet_one_no_more_than_the_fraction():
    sizing = Sizing(method=SizingMethod.VOLATILITY_TARGET, target_volatility=0.2, fraction=0.8)
    assert change(books(), FULL, sizing=sizing, volatility=0.8).lots == lots_worth(200)
    assert change(books(), FULL, sizing=sizing, volatility=0.01).lots == lots_worth(800)


def test_an_unknown_volatility_waits_but_still_leaves():
    sizing = Sizing(method=SizingMethod.VOLATILITY_TARGET)
    found = change(books(), FULL, sizing=sizing)
    assert (found.lots, found.is_met) == (0, False)
    assert change(books(lots={BTC: 5_000}), OUT, sizing=sizing).lots == -5_000


def test_kelly_probes_until_there_is_evidence_and_never_passes_its_cap():
    sizing = Sizing(method=SizingMethod.KELLY, kelly_cap=0.2)
    assert change(books(), FULL, sizing=sizing).lots == lots_worth(20)
    trips = RoundTrips()
    for number in range(100):
        trips.book(BTC, 10 if number % 2 else -8, 100, is_over=True)
    assert trips.kelly_fraction(1.0) == pytest.approx(0.5 - 0.5 / (10 / 8))
    assert trips.kelly_fraction(0.05) == 0.05
    assert change(books(), FULL, sizing=Sizing(method=SizingMethod.KELLY, fraction=0.01)).lots == lots_worth(10)
    for _ in range(100):
        trips.book(BTC, -8, 100, is_over=True)
    assert trips.kelly_fraction(0.2) == pytest.approx(0.02)


def test_a_round_trip_is_counted_when_the_position_is_closed():
    trips = RoundTrips()
    trips.book(BTC, -1, 0, is_over=False)  # the fee of the entry
    trips.book(BTC, 6, 50, is_over=False)
    assert trips.wins == 0
    trips.book(BTC, 5, 50, is_over=True)
    assert (trips.wins, trips.losses, trips.wins_sum) == (1, 0, 0.1)


def test_no_short_position_is_ever_wished_for():
    found = change(books(), OUT)
    assert (found.lots, found.is_met) == (0, True)


def test_below_the_minimum_notional_there_is_no_order():
    assert change(books(quote=9 * DOLLAR), FULL).is_met
    dust = books(quote=0, lots={BTC: lots_worth(9.99)})
    assert change(dust, OUT).is_met


def test_a_change_below_the_threshold_is_not_worth_its_fee():
    nearly = books(quote=15 * DOLLAR, lots={BTC: lots_worth(985)})
    assert change(nearly, FULL).is_met
    farther = books(quote=30 * DOLLAR, lots={BTC: lots_worth(970)})
    assert change(farther, FULL).lots > 0


def test_a_position_above_its_target_is_reduced_to_it():
    found = change(books(quote=0, lots={BTC: lots_worth(1_000)}), Wish(PPM // 2, may_buy=True, may_sell=True))
    assert found.lots == -lots_worth(500)


def test_leaving_sells_what_is_not_promised_to_another_order():
    portfolio = books(lots={BTC: 5_000})
    terms = OrderTerms(symbol=BTC, side=Side.SELL, type=OrderType.LIMIT, lots=2_000, price_ticks=12_000)
    portfolio.ask(OpenOrder(instrument(), ClientOrderId("a"), terms, 0, 0))
    assert change(portfolio, OUT).lots == -3_000


def test_a_protective_stop_does_not_look_like_a_position_already_sold():
    portfolio = books(quote=0, lots={BTC: 10_000})
    terms = OrderTerms(symbol=BTC, side=Side.SELL, type=OrderType.STOP, lots=10_000, trigger_ticks=9_000)
    portfolio.ask(OpenOrder(instrument(), ClientOrderId("a"), terms, 0, 0))
    assert change(portfolio, FULL).is_met


def test_an_open_buy_counts_as_if_it_had_filled():
    portfolio = books()
    terms = OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.LIMIT, lots=lots_worth(600), price_ticks=10_000)
    portfolio.ask(OpenOrder(instrument(), ClientOrderId("a"), terms, 0, 0))
    assert change(portfolio, Wish(600_000, may_buy=True, may_sell=True)).is_met
    assert change(portfolio, FULL).lots <= lots_worth(400 / 1.05)


def test_the_limits_of_the_bot_are_respected_before_the_gate_has_to():
    assert change(books(), FULL, limits=RiskLimits(max_order_atoms=100 * DOLLAR)).lots == lots_worth(100)
    assert change(books(), FULL, limits=RiskLimits(max_position_atoms=100 * DOLLAR)).lots == lots_worth(100)
    assert change(books(), FULL, limits=RiskLimits(max_exposure_ppm=100_000)).lots == lots_worth(100)
    sells = change(books(lots={BTC: 50_000}), OUT, limits=RiskLimits(max_order_atoms=100 * DOLLAR))
    assert sells.lots == -lots_worth(100)


@given(
    quote=st.integers(0, 10**13),
    held=st.integers(0, 10**7),
    price=st.floats(0.02, 1e5),
    exposure=st.integers(0, PPM),
    fraction=st.floats(0.01, 1.0),
    resting=st.integers(0, 10**6),
    collar_ppm=st.integers(0, 100_000),
)
def test_sizing_never_asks_for_more_than_the_wallet_holds(quote, held, price, exposure, fraction, resting, collar_ppm):
    portfolio = books(quote=quote, lots={BTC: held}, collar_ppm=collar_ppm)
    mark = round(price * 100)
    if resting > 0 and portfolio.payable_lots(instrument(), mark) >= resting:
        terms = OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.LIMIT, lots=resting, price_ticks=mark)
        portfolio.ask(OpenOrder(instrument(), ClientOrderId("a"), terms, 0, 0))
    free = portfolio.free("USD")
    wish = Wish(exposure, may_buy=True, may_sell=True)
    found = change(portfolio, wish, sizing=Sizing(fraction=fraction), price=price)
    rules = instrument()
    if found.lots > 0:
        worst = rules.notional_atoms_up(found.lots, portfolio.collar_ticks(mark))
        assert worst + fee_atoms(worst, TAKER_PPM) <= free
        assert rules.notional_atoms(found.lots, mark) >= rules.min_notional_atoms
    if found.lots < 0:
        assert -found.lots <= held
        assert rules.notional_atoms(-found.lots, mark) >= rules.min_notional_atoms


@pytest.mark.parametrize(
    ("sizing", "message"),
    [
        (Sizing(method=SizingMethod.FIXED), "sizing fixed needs a quote amount > 0, was None"),
        (Sizing(fraction=0.0), "sizing fraction must be above 0 and at most 1.0, was 0.0"),
        (Sizing(fraction=1.1), "sizing fraction must be above 0 and at most 1.0, was 1.1"),
        (Sizing(kelly_cap=-1.0), "sizing kelly cap must be above 0"),
        (Sizing(target_volatility=0.0), "sizing target volatility must be above 0"),
        (Sizing(rebalance_threshold=1.5), "sizing rebalance threshold must be from 0 to 1, was 1.5"),
    ],
)
def test_a_sizing_that_cannot_work_is_refused_by_name(sizing, message):
    with pytest.raises(InvalidValue, match=f"bot demo/one: {message}"):
        Sizer(KEY, sizing, RiskLimits(), {BTC: instrument()})


def test_volatility_is_annualised_by_the_root_of_time():
    assert annualised(0.01, 86_400_000_000) == pytest.approx(0.01 * math.sqrt(365))
