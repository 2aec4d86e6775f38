"""The risk gate: each question, the size it leaves, and the order in which they are asked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.exchange.gateway.scenes import (
    ATOMS,
    BTC,
    LTC,
    RICH,
    START_US,
    TICK,
    A,
    B,
    Player,
    bot_config,
    limits,
    terms,
)
from tradefleet.domain.bar import DAY_US, MINUTE_US
from tradefleet.domain.bots import Closure, RunState
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason, Side, TimeInForce
from tradefleet.domain.venue import ReportKind
from workloads.exchange.gateway.config import AccountLimits


def limited(key: Any = A, *, wallet: int = RICH, **changes: Any) -> Player:
    """Return a player whose bot has some limits."""
    return Player(bot_config(key, wallet={"USD": wallet}, limits=limits(**changes)))


def denied(player: Player) -> Reason:
    """Return why the last request was denied; it was, and nothing came of it."""
    assert player.execution.status is OrderStatus.DENIED
    assert player.last.venue_requests == []
    assert player.last.entries == []
    assert [event.reason for event in player.last.events] == [player.execution.reason]
    return player.execution.reason


def sent_lots(player: Player) -> int:
    """Return the lots of the order that was sent."""
    return player.submitted.terms.lots


# --- halt and trading state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["fleet", "account/default/sim:main", "bot/default/a"])
def test_a_halt_denies_buys_and_lets_sells_pass(scope: str) -> None:
    player = Player()
    player.hold(5)
    player.halt(scope)
    player.buy(1)
    assert denied(player) is Reason.HALTED
    player.sell(5)
    assert sent_lots(player) == 5


@pytest.mark.parametrize("scope", ["account/default/sim:other", "bot/default/b", "bot/default/a2", ""])
def test_a_halt_of_somebody_else_changes_nothing(scope: str) -> None:
    player = Player()
    player.halt(scope)
    player.buy(1)
    assert sent_lots(player) == 1


def test_a_paused_bot_may_only_sell() -> None:
    player = Player()
    player.hold(5)
    player.command(state=RunState.PAUSED)
    player.buy(1)
    assert denied(player) is Reason.NOT_TRADING
    player.sell(5)
    assert sent_lots(player) == 5


@pytest.mark.parametrize("wish", [{"state": RunState.STOPPED}, {"deleting": True}])
def test_a_stopped_or_deleted_bot_trades_nothing(wish: dict[str, Any]) -> None:
    player = Player()
    player.hold(5)
    player.command(**wish)
    for ask in (player.buy, player.sell):
        ask(1)
        assert denied(player) is Reason.NOT_TRADING


def test_a_closed_stream_trades_nothing() -> None:
    player = Player()
    order_id = player.buy(1)
    player.fill(order_id, 2, 100)  # more than was asked for: it cannot be applied
    player.sell(1)
    assert denied(player) is Reason.NOT_TRADING


def test_an_instrument_that_is_not_the_bots_is_denied() -> None:
    player = Player()
    player.buy(1, symbol=LTC)
    assert denied(player) is Reason.UNKNOWN_INSTRUMENT


def test_while_an_exit_is_under_way_the_bot_neither_buys_nor_sells_that_instrument() -> None:
    player = Player(bot_config(symbols=(BTC, LTC)))
    player.price(100, LTC)
    player.hold(5)
    player.command(flatten_no=1)
    for ask in (player.buy, player.sell):
        ask(1)
        assert denied(player) is Reason.FLATTEN
    player.buy(1, symbol=LTC)
    assert sent_lots(player) == 1


# --- data age -----------------------------------------------------------------------------------------------------


def test_without_a_price_nothing_is_traded() -> None:
    player = Player(is_quiet=True)
    player.buy(1)
    assert denied(player) is Reason.STALE_DATA


def test_a_price_is_stale_once_it_is_older_than_allowed() -> None:
    player = Player(bot_config(limits=limits(max_data_age_us=5 * MINUTE_US)))
    player.market_us += 5 * MINUTE_US
    player.buy(1)
    assert sent_lots(player) == 1
    player.market_us += 1
    player.buy(1)
    assert denied(player) is Reason.STALE_DATA


def test_a_decision_is_stale_once_it_is_older_than_allowed_however_fresh_the_price_is() -> None:
    player = Player(bot_config(limits=limits(max_data_age_us=5 * MINUTE_US)))
    player.hold(5)
    decided_us = player.market_us - 5 * MINUTE_US
    player.order(terms(Side.BUY, 1), market_us=decided_us)
    assert sent_lots(player) == 1
    player.order(terms(Side.BUY, 1), market_us=decided_us - 1)
    assert denied(player) is Reason.STALE_DATA
    player.order(terms(Side.SELL, 1), market_us=decided_us - 1)
    assert sent_lots(player) == 1


def test_without_a_limit_a_decision_may_be_of_any_age() -> None:
    player = Player()
    player.order(terms(Side.BUY, 1), market_us=player.market_us - 7 * DAY_US)
    assert sent_lots(player) == 1


def test_a_neighbours_bar_does_not_freshen_a_price() -> None:
    player = Player(bot_config(symbols=(BTC, LTC), limits=limits(max_data_age_us=MINUTE_US)))
    player.price(100, LTC)
    player.price(100, LTC)
    player.buy(1)
    assert denied(player) is Reason.STALE_DATA


def test_a_bar_that_comes_late_leaves_the_mark_as_it_is() -> None:
    player = Player()
    late = player.market_us
    player.price(200)
    player.market_us, now_us = late, player.market_us
    player.market_us -= MINUTE_US  # the bar before the first one
    player.price(50)
    player.market_us = now_us
    assert player.gateway.marks[BTC] == 200


# --- collar -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "is_denied"),
    [
        (terms(Side.BUY, 1, 105), False),
        (terms(Side.BUY, 1, 106), True),
        (terms(Side.BUY, 1, 1), False),  # a grid's lowest bid
        (terms(Side.SELL, 1, 95), False),
        (terms(Side.SELL, 1, 94), True),
        (terms(Side.SELL, 1, 900), False),
        (terms(Side.BUY, 1, 210, trigger_ticks=200), False),  # it trades near its trigger
        (terms(Side.BUY, 1, 211, trigger_ticks=200), True),
        (terms(Side.SELL, 1, 47, trigger_ticks=50), True),
        (terms(Side.SELL, 1, 48, trigger_ticks=50), False),
        (terms(Side.BUY, 1, trigger_ticks=10_000), False),
    ],
)
def test_a_limit_beyond_the_collar_on_the_expensive_side_is_denied(wanted: OrderTerms, is_denied: bool) -> None:
    player = Player()
    player.hold(5)
    player.order(wanted)
    if is_denied:
        assert denied(player) is Reason.PRICE_COLLAR
    else:
        assert sent_lots(player) == 1


# --- size ---------------------------------------------------------------------------------------------------------


def resize(player: Player, ask: Callable[..., Any], lots: int, expected: int, reason: Reason, **changes: Any) -> None:
    """Ask for an order that is to be made smaller, and check that the bot is told its size (rule 15)."""
    order_id = ask(lots, **changes)
    assert sent_lots(player) == expected
    assert player.last.events == []
    player.accept(order_id)
    assert (player.execution.terms.lots, player.execution.reason) == (expected, reason)
    order = player.managed(order_id)
    assert (order.terms.lots, order.open_lots) == (expected, expected)


def test_an_order_above_the_bots_size_is_made_smaller_and_reported_so() -> None:
    player = limited(max_order_atoms=7 * 100 * ATOMS + 99)
    resize(player, player.buy, 10, 7, Reason.ORDER_SIZE)


def test_an_order_of_exactly_the_bots_size_stays_as_it_is() -> None:
    player = limited(max_order_atoms=10 * 100 * ATOMS)
    resize(player, player.buy, 10, 10, Reason.NONE)


def test_an_order_above_the_accounts_size_is_made_smaller() -> None:
    player = Player(limits=AccountLimits(max_order_atoms=3 * 100 * ATOMS))
    resize(player, player.buy, 10, 3, Reason.ORDER_SIZE)


def test_a_sell_above_the_size_is_made_smaller_too() -> None:
    player = Player(limits=AccountLimits(max_order_atoms=3 * 100 * ATOMS))
    for _ in range(3):
        player.hold(3)
    resize(player, player.sell, 9, 3, Reason.ORDER_SIZE)


def test_a_size_limit_below_one_lot_denies() -> None:
    player = limited(max_order_atoms=99 * ATOMS)
    player.buy(1)
    assert denied(player) is Reason.ORDER_SIZE


def min_notional(ticks: int) -> Instrument:
    return Instrument(
        symbol=BTC,
        base="BTC",
        quote="USD",
        tick=TICK,
        lot=TICK,
        quote_scale=6,
        min_notional=ticks * TICK * TICK,
    )


def test_an_order_below_the_minimum_notional_is_denied() -> None:
    player = Player(instruments={BTC: min_notional(500)})
    player.buy(4)
    assert denied(player) is Reason.MIN_NOTIONAL
    player.buy(5)
    assert sent_lots(player) == 5
    player.buy(5, 99)
    assert denied(player) is Reason.MIN_NOTIONAL


def test_an_order_that_a_limit_makes_too_small_is_denied_for_that_limit() -> None:
    player = Player(bot_config(limits=limits(max_position_atoms=400 * ATOMS)), instruments={BTC: min_notional(500)})
    player.buy(5)
    assert denied(player) is Reason.POSITION_LIMIT


def test_a_position_limit_counts_what_is_held_and_what_open_buys_may_add() -> None:
    player = limited(max_position_atoms=1_000 * ATOMS)
    player.hold(3)
    player.buy(4, 90)
    resize(player, player.buy, 10, 3, Reason.POSITION_LIMIT)
    player.buy(1)
    assert denied(player) is Reason.POSITION_LIMIT


def test_a_position_limit_is_measured_at_the_mark() -> None:
    player = limited(max_position_atoms=1_000 * ATOMS)
    resize(player, player.buy, 20, 10, Reason.POSITION_LIMIT, price_ticks=50)


def test_a_position_limit_is_per_instrument_and_does_not_hold_a_sell() -> None:
    player = Player(bot_config(symbols=(BTC, LTC), limits=limits(max_position_atoms=1_000 * ATOMS)))
    player.price(100, LTC)
    player.hold(10)
    player.buy(5, symbol=LTC)
    assert sent_lots(player) == 5
    player.sell(10)
    assert sent_lots(player) == 10


def shared_limit(**changes: Any) -> Player:
    """Return a player of two bots whose account may hold BTC worth 10 lots at 100 ticks."""
    shared = AccountLimits(max_position_atoms=1_000 * ATOMS)
    return Player(bot_config(A, **changes), bot_config(B, **changes), limits=shared)


def test_the_accounts_position_limit_counts_what_all_bots_hold_and_may_buy() -> None:
    player = shared_limit()
    player.hold(3, bot=A)
    player.buy(4, 90, bot=B)
    resize(player, player.buy, 10, 3, Reason.POSITION_LIMIT, bot=B)
    for bot in (A, B):
        player.buy(1, bot=bot)
        assert denied(player) is Reason.POSITION_LIMIT


def test_the_accounts_position_limit_is_per_instrument_and_does_not_hold_a_sell() -> None:
    player = shared_limit(symbols=(BTC, LTC))
    player.price(100, LTC)
    player.hold(10, bot=A)
    player.buy(5, symbol=LTC, bot=B)
    assert sent_lots(player) == 5
    player.sell(10, bot=A)
    assert sent_lots(player) == 10


def test_the_smaller_of_both_position_limits_binds() -> None:
    for own, expected in ((600, 6), (1_400, 10)):
        player = shared_limit(limits=limits(max_position_atoms=own * ATOMS))
        resize(player, player.buy, 20, expected, Reason.POSITION_LIMIT)


def test_an_amendment_replaces_its_order_in_the_accounts_position() -> None:
    player = shared_limit()
    order_id = player.buy(8, 90)
    player.accept(order_id)
    player.amend(order_id, lots=10)
    assert player.last.executions == []
    player.report(ReportKind.AMENDED, order_id, lots=10)
    player.amend(order_id, lots=11)
    assert player.execution.reason is Reason.POSITION_LIMIT


def test_an_exposure_limit_counts_all_positions_and_open_buys() -> None:
    player = Player(
        bot_config(wallet={"USD": 1_000 * ATOMS}, symbols=(BTC, LTC), limits=limits(max_exposure_ppm=800_000))
    )
    player.price(100_000, LTC)  # a lot of LTC is worth 700 BTC-ticks
    player.hold(2)
    player.buy(2, 90)
    resize(player, player.buy, 9, 4, Reason.EXPOSURE_LIMIT)  # 200 held, 180 open, 800 allowed
    player.buy(1)
    assert denied(player) is Reason.EXPOSURE_LIMIT
    player.buy(1, symbol=LTC)
    assert denied(player) is Reason.EXPOSURE_LIMIT


def test_exposure_follows_equity() -> None:
    player = limited(wallet=1_000 * ATOMS, max_exposure_ppm=500_000)
    player.hold(4)
    player.price(200)  # equity 600 + 800 = 1400, allowed 700, held 800
    player.buy(1)
    assert denied(player) is Reason.EXPOSURE_LIMIT


# --- crowd and rate -----------------------------------------------------------------------------------------------


def test_a_bot_may_only_have_so_many_orders_open() -> None:
    player = limited(max_open_orders=2)
    first = player.buy(1, 90)
    player.buy(1, 91)
    player.buy(1, 92)
    assert denied(player) is Reason.OPEN_ORDERS
    player.report(ReportKind.CANCELED, first)
    player.buy(1, 92)
    assert sent_lots(player) == 1


def test_an_account_may_only_have_so_many_orders_open() -> None:
    player = Player(bot_config(A), bot_config(B), limits=AccountLimits(max_open_orders=2))
    player.buy(1, 90, bot=A)
    player.buy(1, 91, bot=B)
    player.buy(1, 92, bot=B)
    assert denied(player) is Reason.OPEN_ORDERS


def test_a_bot_may_only_send_so_many_orders_a_minute_and_denied_ones_do_not_count() -> None:
    player = limited(max_orders_per_minute=2)
    began_us = player.market_us
    player.buy(1, 200)
    assert denied(player) is Reason.PRICE_COLLAR
    player.buy(1)
    player.market_us += 10_000_000
    player.buy(1)
    player.market_us = began_us + 59_999_999
    player.buy(1)
    assert denied(player) is Reason.ORDER_RATE
    player.market_us = began_us + 60_000_000  # the first one is a minute old
    player.buy(1)
    assert sent_lots(player) == 1
    player.buy(1)
    assert denied(player) is Reason.ORDER_RATE


def test_an_account_may_only_send_so_many_orders_a_second() -> None:
    player = Player(bot_config(A), bot_config(B), limits=AccountLimits(max_orders_per_second=2))
    player.buy(1, bot=A)
    player.buy(1, bot=B)
    player.market_us += 999_999
    player.buy(1, bot=B)
    assert denied(player) is Reason.ORDER_RATE
    player.market_us += 1
    player.buy(1, bot=B)
    assert sent_lots(player) == 1


# --- losses -------------------------------------------------------------------------------------------------------


def test_a_daily_loss_denies_buys_until_the_next_day() -> None:
    player = limited(wallet=1_000 * ATOMS, max_daily_loss_ppm=100_000)
    player.hold(5)
    player.price(81)
    player.buy(1)
    assert sent_lots(player) == 1  # a loss of 95
    player.price(80)
    player.buy(1)
    assert denied(player) is Reason.DAILY_LOSS
    player.sell(1)
    assert sent_lots(player) == 1
    player.market_us = START_US + DAY_US - 2 * MINUTE_US
    player.price(80)
    player.buy(1)
    assert denied(player) is Reason.DAILY_LOSS
    player.price(80)  # the bar that closes at midnight opens the next day
    player.buy(1)
    assert sent_lots(player) == 1


def test_a_late_bar_of_yesterday_does_not_begin_the_day_anew() -> None:
    player = Player(
        bot_config(wallet={"USD": 1_000 * ATOMS}, symbols=(BTC, LTC), limits=limits(max_daily_loss_ppm=100_000))
    )
    player.hold(5)
    player.market_us = START_US + DAY_US
    player.price(80)
    player.buy(1)
    assert sent_lots(player) == 1  # the day began at this price
    player.price(40)
    player.buy(1)
    assert denied(player) is Reason.DAILY_LOSS
    now_us, player.market_us = player.market_us, START_US + DAY_US - 2 * MINUTE_US
    player.price(100, LTC)
    player.market_us = now_us
    player.buy(1)
    assert denied(player) is Reason.DAILY_LOSS
    player.price(40)
    player.buy(1)
    assert denied(player) is Reason.DAILY_LOSS


def test_a_new_day_without_a_bar_begins_with_what_there_is() -> None:
    player = limited(wallet=1_000 * ATOMS, max_daily_loss_ppm=100_000)
    player.hold(5)
    player.price(80)
    player.buy(1)
    assert denied(player) is Reason.DAILY_LOSS
    player.market_us = START_US + DAY_US
    player.buy(1)
    assert sent_lots(player) == 1


def test_a_drawdown_denies_buys_from_the_peak_on_and_no_day_heals_it() -> None:
    player = limited(wallet=2_000 * ATOMS, max_drawdown_ppm=200_000)
    player.hold(10)
    player.price(200)  # equity 3000
    player.price(141)
    player.buy(1)
    assert sent_lots(player) == 1
    player.price(140)
    player.buy(1)
    assert denied(player) is Reason.DRAWDOWN
    player.market_us += 3 * DAY_US
    player.price(140)
    player.buy(1)
    assert denied(player) is Reason.DRAWDOWN
    player.sell(10)
    assert sent_lots(player) == 10


def test_a_drawdown_that_a_bar_has_shown_lasts_until_a_person_clears_it() -> None:
    player = limited(wallet=2_000 * ATOMS, max_drawdown_ppm=200_000)
    player.hold(10)
    player.price(200)  # equity 3000
    player.price(140)  # 2400: the limit
    player.price(199)
    player.buy(1)
    assert denied(player) is Reason.DRAWDOWN
    player.command(reopen_no=1)
    player.buy(1, 190)
    assert sent_lots(player) == 1
    player.price(141)  # 2410, of the 2990 that there were when it was cleared
    player.buy(1)
    assert sent_lots(player) == 1
    player.price(139)
    player.buy(1)
    assert denied(player) is Reason.DRAWDOWN
    assert player.last.statistics == []
    assert player.price(139).statistics[0].peak_equity_atoms == 3_000 * ATOMS  # what the figures show is never reset


def test_a_drawdown_is_asked_anew_when_its_limit_changes() -> None:
    player = limited(wallet=2_000 * ATOMS, max_drawdown_ppm=200_000)
    player.hold(10)
    player.price(200)
    player.price(140)
    player.command(config={"limits": limits(max_drawdown_ppm=250_000)})
    player.buy(1)
    assert sent_lots(player) == 1
    player.command(config={"limits": limits(max_drawdown_ppm=150_000)})
    player.buy(1)
    assert denied(player) is Reason.DRAWDOWN


def test_a_bot_without_money_has_not_lost_any() -> None:
    player = limited(wallet=0, max_drawdown_ppm=200_000)
    player.price(100)
    player.buy(1)
    assert denied(player) is Reason.INSUFFICIENT_FUNDS


# --- funds --------------------------------------------------------------------------------------------------------


def test_what_the_worst_price_and_fee_cannot_pay_is_denied() -> None:
    need = 10 * 105 * ATOMS + 105 + 20  # the collar price, its fee of 0.1 %, roundings
    for wallet, reason in ((need, Reason.NONE), (need - 1, Reason.INSUFFICIENT_FUNDS)):
        player = Player(bot_config(wallet={"USD": wallet}), taker_ppm=1_000)
        player.buy(10)
        if reason is Reason.NONE:
            assert (sent_lots(player), player.free()) == (10, 0)
        else:
            assert denied(player) is reason


def test_the_higher_of_both_fees_is_reserved() -> None:
    player = Player(taker_ppm=1_000, maker_ppm=2_000)
    player.buy(10, 100)
    assert player.locked() == 1_000 * ATOMS + 200 + 20


def test_money_that_an_open_order_has_locked_pays_for_no_other() -> None:
    player = limited(wallet=1_000 * ATOMS)
    player.buy(6, 100)
    player.buy(6, 100)
    assert denied(player) is Reason.INSUFFICIENT_FUNDS


def test_more_than_is_held_cannot_be_sold() -> None:
    player = Player()
    player.hold(5)
    player.sell(3, 120)
    player.sell(3, 120)
    assert denied(player) is Reason.INSUFFICIENT_FUNDS
    player.sell(2, 120)
    assert sent_lots(player) == 2


# --- the order of the questions -----------------------------------------------------------------------------------


def test_the_questions_come_in_their_order() -> None:
    """One order that every question would refuse; one obstacle after the other is taken away."""
    player = Player(bot_config(wallet={"USD": 1_000 * ATOMS}))
    player.hold(1)
    player.buy(1, 1)
    player.price(95)  # equity has lost 0.5 %
    every_limit = limits(
        max_data_age_us=MINUTE_US,
        max_order_atoms=1,
        max_position_atoms=1,
        max_exposure_ppm=1,
        max_open_orders=1,
        max_orders_per_minute=0,
        max_daily_loss_ppm=1_000,
        max_drawdown_ppm=2_000,
    )
    player.command(config={"limits": every_limit})
    wanted = terms(Side.BUY, 1, 100)
    player.halt("fleet")
    player.command(state=RunState.PAUSED)
    player.market_us += 2 * MINUTE_US
    found = []

    def ask() -> None:
        player.order(wanted)
        found.append(denied(player))

    ask()
    player.halt()
    ask()
    player.command(state=RunState.RUNNING)
    ask()
    player.price(95)
    ask()
    wanted = terms(Side.BUY, 1, 95)
    ask()

    def change(**changes: Any) -> None:
        player.command(config={"limits": replace(player.configs[A].limits, **changes)})

    change(max_order_atoms=None)
    ask()
    change(max_position_atoms=None)
    ask()
    change(max_exposure_ppm=None)
    ask()
    change(max_open_orders=None)
    ask()
    change(max_orders_per_minute=None)
    ask()
    change(max_daily_loss_ppm=None)
    ask()
    change(max_drawdown_ppm=None)
    wanted = terms(Side.BUY, 10, 95)
    ask()
    assert found == [
        Reason.HALTED,
        Reason.NOT_TRADING,
        Reason.STALE_DATA,
        Reason.PRICE_COLLAR,
        Reason.ORDER_SIZE,
        Reason.POSITION_LIMIT,
        Reason.EXPOSURE_LIMIT,
        Reason.OPEN_ORDERS,
        Reason.ORDER_RATE,
        Reason.DAILY_LOSS,
        Reason.DRAWDOWN,
        Reason.INSUFFICIENT_FUNDS,
    ]


def test_in_a_step_of_too_many_rounds_every_new_order_is_denied() -> None:
    player = Player()
    player.hold(5)
    player.order(terms(Side.SELL, 1), refuse=Reason.TOO_MANY_ROUNDS)
    assert denied(player) is Reason.TOO_MANY_ROUNDS


def test_a_request_with_another_orders_id_is_put_aside_and_closes_the_stream() -> None:
    player = Player()
    first = player.buy(1, 90)
    player.accept(first)
    player.order(terms(Side.BUY, 1, 90), client_order_id=first)
    assert player.last.executions == []  # an answer would be taken for the first order's
    assert player.last.orders == {}
    ((_, why),) = player.last.dead_letters
    assert why == f"request 2: {first} is not the id of that number"
    assert player.gateway.accounts[A].closures == {Closure.REQUEST: why}
    assert player.managed(first).status is OrderStatus.ACCEPTED
    player.buy(1, 90)
    assert denied(player) is Reason.NOT_TRADING
    assert len(player.cancel(first).venue_requests) == 1


def test_the_terms_reach_the_venue_as_they_were_asked_for() -> None:
    player = Player()
    wanted = terms(Side.BUY, 5, 90, time_in_force=TimeInForce.FOK)
    player.order(wanted)
    assert player.submitted.terms == wanted
