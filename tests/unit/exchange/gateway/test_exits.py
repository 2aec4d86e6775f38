"""Protection and exits: when they are set off, what they sell, and what happens when something comes between."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.exchange.gateway.scenes import (
    ATOMS,
    BTC,
    BTC_USD,
    LOT,
    LTC,
    TICK,
    A,
    B,
    Player,
    bot_config,
    limits,
    restored,
    tick_bar,
)
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import RiskLimits, RunState
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import ClientOrderId, order_number
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import LOTS_MAX
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.domain.venue import CancelOrder, ReportKind, SubmitOrder
from workloads.exchange.gateway.position import Position
from workloads.exchange.gateway.protection import extremes, path_ticks, stays_calm, triggered


def protected(**protections: Any) -> Player:
    """Return a player whose bot has bought 5 lots at 100."""
    player = Player(bot_config(limits=limits(**protections)))
    player.hold(5)
    return player


def exits(player: Player) -> list[tuple[int, Reason]]:
    """Return lots and reason of the exits that the last input sent."""
    sold = []
    for request in player.last.venue_requests:
        if isinstance(request, SubmitOrder):
            order = player.managed(request.client_order_id)
            assert (order.terms.side, order.terms.type, order.origin) == (Side.SELL, OrderType.MARKET, Origin.GATEWAY)
            sold.append((order.terms.lots, order.reason))
    return sold


def exit_id(player: Player) -> ClientOrderId:
    """Return the id of the exit that the last input sent."""
    return player.submitted.client_order_id


# --- what sets it off ---------------------------------------------------------------------------------------------

STOP = {"stop_loss_ppm": 100_000}
PROFIT = {"take_profit_ppm": 100_000}
TRAIL = {"trailing_stop_ppm": 100_000}


@pytest.mark.parametrize(
    ("protections", "bar", "reason"),
    [
        (STOP, (100, 100, 91, 95), Reason.NONE),
        (STOP, (100, 100, 90, 95), Reason.STOP_LOSS),
        (STOP, (85, 120, 80, 110), Reason.STOP_LOSS),
        (PROFIT, (100, 109, 100, 100), Reason.NONE),
        (PROFIT, (100, 110, 100, 100), Reason.TAKE_PROFIT),
        (TRAIL, (100, 100, 91, 95), Reason.NONE),
        (TRAIL, (100, 100, 90, 95), Reason.TRAILING_STOP),
        (TRAIL, (100, 120, 109, 110), Reason.NONE),  # rises: the low came before the high
        (TRAIL, (110, 120, 108, 109), Reason.TRAILING_STOP),  # falls: the high came first, 108 is 10 % below it
        (TRAIL, (110, 120, 108, 115), Reason.NONE),  # rises: from 108 to 120
        (TRAIL, (100, 130, 100, 116), Reason.TRAILING_STOP),  # from the high to the close
        ({**STOP, **PROFIT}, (100, 110, 90, 105), Reason.STOP_LOSS),  # rises: the low came first
        ({**STOP, **PROFIT}, (105, 110, 90, 100), Reason.TAKE_PROFIT),  # falls: the high came first
        ({**STOP, "trailing_stop_ppm": 50_000}, (100, 100, 80, 85), Reason.TRAILING_STOP),  # 95 is reached before 90
        ({**STOP, "trailing_stop_ppm": 150_000}, (100, 100, 80, 85), Reason.STOP_LOSS),  # 90 is reached before 85
        ({**STOP, **TRAIL}, (100, 100, 80, 85), Reason.STOP_LOSS),
    ],
)
def test_the_path_of_a_bar_sets_protection_off(
    protections: dict[str, int], bar: tuple[int, int, int, int], reason: Reason
) -> None:
    player = protected(**protections)
    player.bar(*bar)
    assert exits(player) == ([] if reason is Reason.NONE else [(5, reason)])
    assert [event.reason for event in player.last.events] == ([] if reason is Reason.NONE else [reason])


def test_the_trailing_stop_follows_the_peak_over_bars_and_restarts() -> None:
    player = protected(**TRAIL)
    player.bar(100, 130, 100, 130)
    assert player.last.accounts == {A}  # the peak has to be written down
    player.gateway = restored(player.gateway)
    player.price(118)
    assert exits(player) == []
    player.price(117)
    assert exits(player) == [(5, Reason.TRAILING_STOP)]


def test_the_peak_belongs_to_the_position_and_a_new_one_begins_anew() -> None:
    player = protected(**TRAIL)
    player.price(109)
    player.fill(player.sell(5), 5, 109)
    player.price(95)
    player.hold(5, 95)
    player.price(90)
    assert exits(player) == []
    player.price(85)
    assert exits(player) == [(5, Reason.TRAILING_STOP)]


def test_stop_loss_and_take_profit_go_by_the_average_cost() -> None:
    player = protected(**STOP)
    player.hold(5, 110)  # 105 on average: the stop is at 94.5
    player.price(95)
    assert exits(player) == []
    player.price(94)
    assert exits(player) == [(10, Reason.STOP_LOSS)]


def test_without_a_position_or_without_protection_nothing_is_set_off() -> None:
    player = Player(bot_config(A, limits=limits(**STOP)), bot_config(B))
    player.hold(5, bot=B)
    player.price(10)
    assert exits(player) == []


def test_only_the_finest_interval_is_followed() -> None:
    player = protected(**STOP)
    player.market_us += MINUTE_US
    bar = tick_bar(100, 100, 50, 100, open_us=player.market_us - 5 * MINUTE_US, interval_us=5 * MINUTE_US)
    player.bars([bar])
    assert exits(player) == []
    assert player.gateway.marks[BTC] == 100


PATHS = st.one_of(*(st.tuples(*[st.integers(100 - far, 100 + far)] * 4) for far in (7, 20, 50)))


@given(PATHS, st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
@example((100, 107, 98, 99), 4, 4, 4)
def test_protection_is_what_a_walk_over_every_tick_of_the_path_finds(
    prices: tuple[int, int, int, int], stop: int, profit: int, trail: int
) -> None:
    opened, close = prices[:2]
    bar = tick_bar(opened, max(prices), min(prices), close, open_us=0)
    limit = RiskLimits(stop_loss_ppm=stop * 50_000, take_profit_ppm=profit * 50_000, trailing_stop_ppm=trail * 50_000)
    position = Position(7, 7 * 100 * ATOMS, 100)
    corners = path_ticks(bar, BTC_USD)
    walk = [opened]
    for start, end in pairwise(corners):
        walk += range(start, end, 1 if end > start else -1)
        walk.append(end)
    peak, expected = 100, Reason.NONE
    for ticks in walk:
        is_stopped = ticks * 20 <= 100 * (20 - stop)
        is_trailed = ticks * 20 <= peak * (20 - trail)
        if is_stopped or is_trailed:
            higher_is_trail = is_trailed and (not is_stopped or peak * (20 - trail) > 100 * (20 - stop))
            expected = Reason.TRAILING_STOP if higher_is_trail else Reason.STOP_LOSS
            break
        if ticks * 20 >= 100 * (20 + profit):
            expected = Reason.TAKE_PROFIT
            break
        peak = max(peak, ticks)
    quick = Position(7, 7 * 100 * ATOMS, 100)
    if stays_calm(quick, limit, BTC_USD, *extremes(bar, BTC_USD)):
        assert expected is Reason.NONE
        assert quick.peak_ticks == peak
    assert triggered(position, limit, BTC_USD, corners) is expected
    if expected is Reason.NONE:
        assert position.peak_ticks == peak


def test_a_price_below_half_a_tick_is_one_tick() -> None:
    bar = tick_bar(1, 1, 1, 1, open_us=0)._replace(low=0.001, close=0.002, open=0.004, high=0.004)
    assert path_ticks(bar, BTC_USD) == (1, 1, 1, 1)


# --- what it does -------------------------------------------------------------------------------------------------


def test_open_orders_of_the_instrument_go_first() -> None:
    player = Player(bot_config(symbols=(BTC, LTC), limits=limits(**STOP)))
    player.price(100, LTC)
    player.hold(5)
    own = [player.buy(1, 80), player.sell(5, 120)]
    other = player.buy(1, 90, symbol=LTC)
    player.price(90)
    canceled = [request.client_order_id for request in player.last.venue_requests if isinstance(request, CancelOrder)]
    assert (canceled, exits(player)) == (own, [])
    player.report(ReportKind.CANCELED, own[0])
    assert player.execution.reason is Reason.STOP_LOSS
    assert exits(player) == []
    player.report(ReportKind.CANCELED, own[1])
    assert exits(player) == [(5, Reason.STOP_LOSS)]
    assert player.managed(other).status is OrderStatus.SUBMITTED


def test_what_fills_while_an_exit_waits_is_sold_too_or_no_more() -> None:
    player = protected(**STOP)
    buy, sell = player.buy(3, 80), player.sell(2, 120)
    player.price(90)
    player.fill(buy, 3, 80)
    player.fill(sell, 1, 120)
    player.report(ReportKind.CANCELED, sell)
    assert exits(player) == [(7, Reason.STOP_LOSS)]


def test_an_exit_is_told_to_the_bot_as_the_gateways_order() -> None:
    player = protected(**STOP)
    player.price(90)
    order_id = exit_id(player)
    assert order_number(order_id) == "G1"
    player.accept(order_id)
    assert (player.execution.origin, player.execution.reason) == (Origin.GATEWAY, Reason.STOP_LOSS)
    player.fill(order_id, 5, 89)
    told = player.execution
    assert (told.status, told.reason, told.origin) == (OrderStatus.FILLED, Reason.STOP_LOSS, Origin.GATEWAY)
    assert told.fill is not None
    assert told.fill.realized_atoms == -55 * ATOMS
    assert player.gateway.accounts[A].is_settled
    player.price(50)
    assert player.last.venue_requests == []


def test_an_exit_is_sent_once_while_it_waits() -> None:
    player = protected(**STOP)
    player.price(90)
    player.price(80)
    assert (exits(player), player.last.events) == ([], [])


def test_the_bot_can_buy_again_after_the_exit() -> None:
    player = protected(**STOP)
    player.price(90)
    order_id = exit_id(player)
    player.buy(1)
    assert player.execution.reason is Reason.STOP_LOSS
    player.fill(order_id, 5, 89)
    player.buy(1)
    assert player.submitted.terms.lots == 1


@pytest.mark.parametrize("kind", [ReportKind.REJECTED, ReportKind.EXPIRED, ReportKind.CANCELED])
def test_an_exit_that_ends_unfilled_is_tried_again_at_the_next_bar_and_not_before(kind: ReportKind) -> None:
    player = protected(**STOP)
    player.price(90)
    player.report(kind, exit_id(player))
    assert exits(player) == []
    player.buy(1)
    assert player.execution.reason is Reason.STOP_LOSS  # it is still under way
    player.price(95)
    assert exits(player) == [(5, Reason.STOP_LOSS)]
    assert order_number(exit_id(player)) == "G2"


def test_an_exit_that_sold_a_part_goes_on_with_the_rest() -> None:
    player = protected(**STOP)
    player.price(90)
    order_id = exit_id(player)
    player.fill(order_id, 2, 89)
    player.report(ReportKind.EXPIRED, order_id, reason=Reason.NO_LIQUIDITY)
    player.price(88)
    assert exits(player) == [(3, Reason.STOP_LOSS)]


def test_a_cancel_that_an_exit_needs_is_asked_for_again() -> None:
    player = protected(**STOP)
    order_id = player.sell(5, 120)
    player.price(90)
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    player.price(90)
    assert [request.client_order_id for request in player.last.venue_requests] == [order_id]


def test_the_bot_cannot_cancel_an_exit() -> None:
    player = protected(**STOP)
    player.price(90)
    order_id = exit_id(player)
    assert player.cancel(order_id).venue_requests == []
    player.command(state=RunState.STOPPED)
    assert player.last.venue_requests == []


def test_a_halt_does_not_hold_an_exit() -> None:
    player = protected(**STOP)
    player.halt("fleet")
    player.price(90)
    assert exits(player) == [(5, Reason.STOP_LOSS)]


def test_a_paused_bot_is_protected() -> None:
    player = protected(**STOP)
    player.command(state=RunState.PAUSED)
    player.price(90)
    assert exits(player) == [(5, Reason.STOP_LOSS)]


# --- dust ---------------------------------------------------------------------------------------------------------


def dusty(*, lots: int, **protections: Any) -> Player:
    """Return a player who holds lots of an instrument whose orders must be worth 500 ticks."""
    coarse = Instrument(
        symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=TICK, quote_scale=6, min_notional=500 * TICK * TICK
    )
    player = Player(bot_config(limits=limits(**protections)), instruments={BTC: coarse})
    player.hold(lots)
    return player


def test_a_position_below_the_minimum_notional_sets_nothing_off() -> None:
    player = dusty(lots=5, **STOP)
    for _ in range(3):
        player.price(90)
        assert (player.last.venue_requests, player.last.events) == ([], [])
    player.buy(6)
    assert player.submitted.terms.lots == 6


def test_a_flatten_leaves_dust_and_says_so_once() -> None:
    player = dusty(lots=5)
    player.price(99)
    player.command(flatten_no=1)
    assert [event.detail for event in player.last.events] == ["BTC-USD: 5 lots are too small to be sold, and stay"]
    assert player.gateway.accounts[A].is_settled
    assert player.price(99).events == []


def test_an_exit_ends_when_only_dust_is_left() -> None:
    player = dusty(lots=9, **STOP)
    player.price(89)
    order_id = exit_id(player)
    player.fill(order_id, 5, 89)
    player.report(ReportKind.EXPIRED, order_id)
    player.price(89)
    assert (exits(player), player.gateway.accounts[A].is_settled) == ([], True)


def test_a_position_of_more_lots_than_an_order_may_have_is_sold_in_parts() -> None:
    player = Player(bot_config(wallet={"USD": 10**24}))
    for _ in range(2):
        player.hold(LOTS_MAX)
    player.command(flatten_no=1)
    assert exits(player) == [(LOTS_MAX, Reason.FLATTEN)]
    player.fill(exit_id(player), LOTS_MAX, 100)
    player.fill(exit_id(player), LOTS_MAX, 100)
    assert player.lots() == 0


def test_a_fee_taken_in_base_leaves_less_to_sell() -> None:
    player = Player(bot_config(limits=limits(**STOP)))
    player.fill(player.buy(5), 5, 100, LOT // 10, fee_asset="BTC")
    player.price(90)
    assert exits(player) == [(4, Reason.STOP_LOSS)]
    player.fill(exit_id(player), 4, 90)
    assert player.gateway.accounts[A].is_settled
    player.price(80)
    assert player.last.venue_requests == []  # less than a lot is left


def test_a_flatten_before_the_first_bar_waits_for_a_price() -> None:
    player = Player(is_quiet=True)
    player.bar(100, 100, 100, 100)
    player.hold(5)
    successor = player.gateway
    own = successor.own_snapshot()
    own["marks"], own["mark_us"] = {}, {}
    successor.restore(own, [successor.account_snapshot(A)], [])
    player.command(flatten_no=1)
    assert (exits(player), list(player.gateway.accounts[A].exits)) == ([], [BTC])
    player.price(100)
    assert exits(player) == [(5, Reason.FLATTEN)]
