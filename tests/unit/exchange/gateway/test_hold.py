"""The yardstick: what simply holding would be worth, exactly (design, VsHold)."""

import json
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.unit.exchange.gateway.scenes import (
    ATOMS,
    BTC,
    BTC_USD,
    LTC,
    LTC_USD,
    A,
    Player,
    bot_config,
    limits,
    restored,
    tick_bar,
)
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import fee_atoms
from workloads.exchange.gateway.hold import BuyAndHold

LISTED = {BTC: BTC_USD, LTC: LTC_USD}
FREE_COLLAR = limits(price_collar_ppm=1_000_000_000)


def yardstick(money: int, *symbols: Symbol, warmup_bars: int = 1, fee_ppm: int = 0) -> BuyAndHold:
    """Return the yardstick of a bot with some money."""
    return BuyAndHold(
        [LISTED[symbol] for symbol in symbols], wallet={"USD": money}, warmup_bars=warmup_bars, fee_ppm=fee_ppm
    )


def best_lots(instrument: Instrument, money: int, ticks: int, fee_ppm: int) -> int:
    """Return the most lots that money pays for, found by trying from where it must be close."""
    lots = instrument.affordable_lots(money * 1_000_000 // (1_000_000 + fee_ppm), ticks) + 10
    while lots > 0 and cost(instrument, lots, ticks, fee_ppm) > money:
        lots -= 1
    return lots


def cost(instrument: Instrument, lots: int, ticks: int, fee_ppm: int) -> int:
    """Return what lots cost with the fee."""
    notional = instrument.notional_atoms(lots, ticks)
    return notional + fee_atoms(notional, fee_ppm)


def value(hold: BuyAndHold, **marks: int) -> int | None:
    return hold.value_atoms({Symbol(name.replace("_", "-")): ticks for name, ticks in marks.items()})


# --- what it buys -------------------------------------------------------------------------------------------------


def test_it_is_worth_nothing_definite_before_the_first_fillable_open() -> None:
    hold = yardstick(1_000 * ATOMS, BTC)
    assert value(hold, BTC_USD=100) is None
    assert not hold.on_bar(BTC, 100)
    assert value(hold, BTC_USD=100) is None
    assert hold.on_bar(BTC, 100)
    assert value(hold, BTC_USD=130) == 1_300 * ATOMS


@pytest.mark.parametrize("warmup_bars", [0, 1, 2, 7])
def test_it_buys_at_the_open_of_the_bar_after_the_warm_up(warmup_bars: int) -> None:
    hold = yardstick(1_000 * ATOMS, BTC, warmup_bars=warmup_bars)
    bought = [hold.on_bar(BTC, 100) for _ in range(max(1, warmup_bars) + 1)]
    assert bought == [False] * max(1, warmup_bars) + [True]
    assert not hold.waits_for(BTC)


def test_what_makes_no_whole_lot_stays_money() -> None:
    hold = yardstick(1_050 * ATOMS, BTC)
    for _ in range(2):
        hold.on_bar(BTC, 100)
    assert value(hold, BTC_USD=200) == (10 * 200 + 50) * ATOMS


def test_the_fee_is_paid() -> None:
    hold = yardstick(1_000 * ATOMS, BTC, fee_ppm=1_000)
    for _ in range(2):
        hold.on_bar(BTC, 100)
    assert value(hold, BTC_USD=100) == 1_000 * ATOMS - 90  # 9 lots of 100 ticks, a tenth of a percent


def test_each_instrument_gets_an_equal_part_at_its_own_open() -> None:
    hold = yardstick(2_001, BTC, LTC)
    for _ in range(2):
        hold.on_bar(BTC, 10)
    assert value(hold, BTC_USD=20) == 2_000 + 1_001  # one lot; the other part waits as money
    for ticks in (100, 100):
        hold.on_bar(LTC, ticks)
    lots = best_lots(LTC_USD, 1_000, 100, 0)
    worth = LTC_USD.notional_atoms(lots, 50)
    assert value(hold, BTC_USD=20, LTC_USD=50) == 2_000 + worth + 1_001 - LTC_USD.notional_atoms(lots, 100)


@given(
    st.sampled_from([BTC, LTC]),
    st.integers(0, 10**12),
    st.integers(1, 10**7),
    st.integers(0, 50_000),
)
@example(symbol=LTC, money=5_226_126, ticks=5, fee_ppm=0)
def test_it_holds_the_most_lots_that_its_part_pays_and_loses_no_atom(
    symbol: Symbol, money: int, ticks: int, fee_ppm: int
) -> None:
    hold = yardstick(money, symbol, fee_ppm=fee_ppm)
    for _ in range(2):
        hold.on_bar(symbol, ticks)
    instrument = LISTED[symbol]
    lots = hold.snapshot()["lots"][symbol]
    best = best_lots(instrument, money, ticks, fee_ppm)
    per_lot = cost(instrument, 1, ticks, fee_ppm)
    assert lots <= best
    assert (best - lots) * per_lot <= 2  # it may leave lots that are together worth about the atom of a rounding
    assert hold.value_atoms({symbol: ticks}) == money - fee_atoms(instrument.notional_atoms(lots, ticks), fee_ppm)


@given(st.integers(0, 5), st.lists(st.sampled_from([BTC, LTC]), max_size=8))
def test_a_restored_yardstick_goes_on_as_the_one_that_wrote_it(warmup_bars: int, bars: list[Symbol]) -> None:
    hold = yardstick(10**9 + 1, BTC, LTC, warmup_bars=warmup_bars, fee_ppm=1_000)
    twin = yardstick(10**9 + 1, BTC, LTC, warmup_bars=warmup_bars, fee_ppm=1_000)
    for number, symbol in enumerate(bars):
        if hold.waits_for(symbol):
            hold.on_bar(symbol, 100 + number)
        if twin.waits_for(symbol):
            twin.on_bar(symbol, 100 + number)
        successor = yardstick(10**9 + 1, BTC, LTC, warmup_bars=99, fee_ppm=1_000)
        successor.restore(json.loads(json.dumps(twin.snapshot())))
        twin = successor
        marks = {BTC: 90 + number, LTC: 110}
        assert twin.value_atoms(marks) == hold.value_atoms(marks)
        assert twin.snapshot() == hold.snapshot()


# --- VsHold of a bot that holds -----------------------------------------------------------------------------------

TICKS = st.integers(20, 500)


@given(
    st.lists(st.tuples(TICKS, TICKS), min_size=2, max_size=8),
    st.integers(10_000, 10**7),
    st.sampled_from([0, 1_000, 2_500]),
    st.integers(1, 3),
)
def test_a_bot_that_does_exactly_buy_and_hold_is_worth_exactly_as_much(
    bars: list[tuple[int, int]], money: int, taker_ppm: int, warmup_bars: int
) -> None:
    """The same lots at the same opens with the same fee, in two instruments: VsHold is 0 at every step."""
    symbols = (BTC, LTC)
    config = bot_config(symbols=symbols, wallet={"USD": money}, warmup_bars=warmup_bars, limits=FREE_COLLAR)
    player = Player(config, is_quiet=True, taker_ppm=taker_ppm)
    orders = {}
    found = []
    for number, opens in enumerate(bars):
        player.market_us += MINUTE_US
        for symbol, order_id in list(orders.items()):
            lots = player.managed(order_id).terms.lots
            ticks = opens[symbols.index(symbol)]
            fee = fee_atoms(LISTED[symbol].notional_atoms(lots, ticks), taker_ppm)
            player.fill(order_id, lots, ticks, fee)
            assert player.last.dead_letters == []
            del orders[symbol]
        open_us = player.market_us - MINUTE_US
        player.bars(
            [
                tick_bar(opened, opened + 30, max(1, opened - 9), opened + 7, open_us=open_us, symbol=symbol)
                for symbol, opened in zip(symbols, opens, strict=True)
            ]
        )
        found += [point.vs_hold_atoms for point in player.last.statistics]
        if number + 1 == warmup_bars and number + 1 < len(bars):
            for symbol, opened in zip(symbols, bars[number + 1], strict=True):
                instrument = LISTED[symbol]
                hold = yardstick(money // 2, symbol, fee_ppm=taker_ppm)
                for _ in range(2):
                    hold.on_bar(symbol, opened)
                lots = hold.snapshot()["lots"][symbol]
                assume(lots > 0)
                orders[symbol] = player.buy(lots, opened, symbol=symbol)
                assume(player.last.venue_requests)  # its reservation wants some atoms for roundings
                assert instrument.notional_atoms(lots, opened) <= money // 2
    assert found == [None] * min(warmup_bars, len(bars)) + [0] * max(0, len(bars) - warmup_bars)


def test_a_bot_that_does_nothing_is_behind_by_what_holding_gained() -> None:
    player = Player(bot_config(wallet={"USD": 1_000 * ATOMS}))
    player.price(100)
    player.price(130)
    (point,) = player.last.statistics
    assert (point.equity_atoms, point.hold_atoms, point.vs_hold_atoms) == (100_000, 130_000, -30_000)


def test_it_counts_the_bars_of_the_bots_own_interval() -> None:
    player = Player(bot_config(wallet={"USD": 1_000 * ATOMS}, interval_us=2 * MINUTE_US), is_quiet=True)
    points: list[Any] = []
    for minute, ticks in enumerate((100, 100, 50, 100), start=1):
        player.market_us += MINUTE_US
        bars = [tick_bar(ticks, 200, 1, ticks, open_us=player.market_us - MINUTE_US)]
        if minute % 2 == 0:
            opened = (100, 50)[minute // 2 - 1]
            bars.append(
                tick_bar(opened, 200, 1, ticks, open_us=player.market_us - 2 * MINUTE_US, interval_us=2 * MINUTE_US)
            )
        points += player.bars(bars).statistics
    assert [(point.market_us // MINUTE_US % 10, point.hold_atoms) for point in points] == [(2, None), (4, 200_000)]


def test_it_survives_a_restart_of_the_gateway() -> None:
    player = Player(bot_config(wallet={"USD": 1_000 * ATOMS}, warmup_bars=2))
    player.gateway = restored(player.gateway)
    player.price(100)
    player.gateway = restored(player.gateway)
    player.price(50)
    player.gateway = restored(player.gateway)
    player.price(70)
    assert [point.hold_atoms for point in player.last.statistics] == [20 * 70 * ATOMS]
    assert not player.gateway.accounts[A].hold.waits_for(BTC)
