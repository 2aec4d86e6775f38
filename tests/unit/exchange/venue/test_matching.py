"""The venue's own book: one behaviour each."""

from tests.unit.exchange.venue.scenes import (
    ACCEPTED,
    ALICE,
    ATOMS,
    BOB,
    FOK,
    IOC,
    MAKER,
    RICH,
    TAKER,
    TRIGGERED,
    Player,
    book_config,
    brief,
    buy,
    expired,
    filled,
    order_id,
    sell,
)
from tradefleet.domain.orders import Reason


def two_traders(**changes: object) -> Player:
    player = Player(book_config(**changes))
    return player.fund(ALICE, USD=RICH, BTC=RICH).fund(BOB, USD=RICH, BTC=RICH)


def quotes() -> Player:
    """Return a book in which Alice offers 5 lots at each of 101, 102, 103 and bids for 5 at 99, 98, 97."""
    player = two_traders()
    for number, price_ticks in enumerate((101, 102, 103), start=1):
        player.submit(order_id(number), sell(5, price_ticks))
    for number, price_ticks in enumerate((99, 98, 97), start=4):
        player.submit(order_id(number), buy(5, price_ticks))
    return player


def test_a_limit_trades_at_the_price_of_the_order_that_waited() -> None:
    player = quotes()
    assert brief(player.submit(order_id(1, "b"), buy(7, 110), BOB)) == [
        ACCEPTED,
        filled(5, 101, TAKER),
        filled(5, 101, MAKER),
        filled(2, 102, TAKER),
        filled(2, 102, MAKER),
    ]


def test_the_rest_of_a_limit_waits_at_its_price() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(7, 101), BOB)
    assert player.venue.open_orders(BOB)[0].filled_lots == 5
    assert brief(player.submit(order_id(9), sell(1))) == [ACCEPTED, filled(1, 101, TAKER), filled(1, 101, MAKER)]


def test_at_one_price_who_came_first_trades_first() -> None:
    player = two_traders()
    for number in (3, 1, 2):
        player.submit(order_id(number), sell(1, 101))
    reports = player.submit(order_id(1, "b"), buy(3, 101), BOB)
    assert [report.client_order_id for report in reports][2::2] == [order_id(3), order_id(1), order_id(2)]


def test_the_rest_of_a_market_order_expires() -> None:
    player = quotes()
    assert brief(player.submit(order_id(1, "b"), sell(20), BOB))[-1] == expired(Reason.NO_LIQUIDITY)
    assert player.venue.open_orders(BOB) == []


def test_the_rest_of_an_ioc_order_expires() -> None:
    player = quotes()
    lines = brief(player.submit(order_id(1, "b"), buy(7, 101, time_in_force=IOC), BOB))
    assert lines[1:] == [filled(5, 101, TAKER), filled(5, 101, MAKER), expired(Reason.NO_LIQUIDITY)]


def test_fok_fills_whole_over_several_prices() -> None:
    player = quotes()
    lines = brief(player.submit(order_id(1, "b"), buy(15, 103, time_in_force=FOK), BOB))
    assert [line for line in lines if line[-1] == TAKER] == [
        filled(5, 101, TAKER),
        filled(5, 102, TAKER),
        filled(5, 103, TAKER),
    ]


def test_fok_that_cannot_fill_whole_trades_nothing() -> None:
    player = quotes()
    lines = brief(player.submit(order_id(1, "b"), buy(11, 102, time_in_force=FOK), BOB))
    assert lines == [ACCEPTED, expired(Reason.NO_LIQUIDITY)]


def test_fok_market_buy_that_cannot_pay_trades_nothing() -> None:
    player = two_traders().fund("fleet/simulator:carol", USD=5 * 101 * ATOMS)  # type: ignore[arg-type]  # a plain id
    player.submit(order_id(1), sell(5, 101))
    player.submit(order_id(2), sell(5, 102))
    lines = brief(player.submit(order_id(1, "c"), buy(6, time_in_force=FOK), "fleet/simulator:carol"))  # type: ignore[arg-type]
    assert lines == [ACCEPTED, expired(Reason.INSUFFICIENT_FUNDS)]


def test_a_market_buy_gets_what_it_can_pay() -> None:
    player = Player(book_config()).fund(ALICE, BTC=RICH).fund(BOB, USD=7 * 101 * ATOMS)
    player.submit(order_id(1), sell(5, 101))
    player.submit(order_id(2), sell(5, 102))
    lines = brief(player.submit(order_id(1, "b"), buy(9), BOB))
    assert lines[1:] == [
        filled(5, 101, TAKER),
        filled(5, 101, MAKER),
        filled(1, 102, TAKER),
        filled(1, 102, MAKER),
        expired(Reason.INSUFFICIENT_FUNDS),
    ]


def test_post_only_is_refused_when_it_would_take() -> None:
    player = quotes()
    assert brief(player.submit(order_id(1, "b"), buy(1, 101, post_only=True), BOB)) == [("REJECTED", Reason.WOULD_TAKE)]
    assert brief(player.submit(order_id(2, "b"), buy(1, 100, post_only=True), BOB)) == [ACCEPTED]


def test_post_only_amended_into_the_other_side_is_refused() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(1, 100, post_only=True), BOB)
    assert brief(player.amend(order_id(1, "b"), BOB, price_ticks=101)) == [("AMEND_REJECTED", Reason.WOULD_TAKE)]


def test_an_order_that_meets_one_of_its_own_bot_expires_there() -> None:
    player = two_traders()
    player.submit(order_id(1, "b"), sell(5, 101), BOB)
    player.submit(order_id(2), sell(5, 102))
    lines = brief(player.submit(order_id(3), buy(9, 103)))
    assert lines == [ACCEPTED, filled(5, 101, TAKER), filled(5, 101, MAKER), expired(Reason.SELF_TRADE)]
    assert [order.client_order_id for order in player.venue.open_orders(ALICE)] == [order_id(2)]


def test_two_bots_of_one_account_may_trade_with_each_other() -> None:
    player = two_traders()
    player.submit(order_id(1, "a"), sell(5, 101))
    assert brief(player.submit(order_id(1, "b"), buy(5, 101)))[1] == filled(5, 101, TAKER)


def test_fok_that_would_meet_its_own_bot_trades_nothing() -> None:
    player = two_traders()
    player.submit(order_id(1, "b"), sell(5, 101), BOB)
    player.submit(order_id(2), sell(5, 102))
    assert brief(player.submit(order_id(3), buy(9, 103, time_in_force=FOK))) == [ACCEPTED, expired(Reason.SELF_TRADE)]


def test_a_trade_at_the_trigger_lets_a_stop_in() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(2, trigger_ticks=101), BOB)
    lines = brief(player.submit(order_id(2, "b"), buy(1), BOB))
    assert lines[3:] == [TRIGGERED, filled(2, 101, TAKER), filled(2, 101, MAKER)]


def test_a_stop_that_the_last_price_has_passed_goes_in_at_once() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(1), BOB)
    lines = brief(player.submit(order_id(2, "b"), sell(1, trigger_ticks=105), BOB))
    assert lines == [ACCEPTED, TRIGGERED, filled(1, 99, TAKER), filled(1, 99, MAKER)]


def test_stops_set_each_other_off() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(5, trigger_ticks=102), BOB)
    player.submit(order_id(2, "b"), buy(1, trigger_ticks=101), BOB)
    player.submit(order_id(3, "b"), buy(5, 101), BOB)
    # 5 at 101 let the second in, which trades at 102 and lets the first in
    ids = [report.client_order_id for account, report in player.heard if account == BOB and report.kind == "TRIGGERED"]
    assert ids == [order_id(2, "b"), order_id(1, "b")]


def test_a_stop_limit_queues_from_its_trigger_on() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), sell(1, 101, trigger_ticks=99), BOB)
    player.submit(order_id(7), sell(1, 101))
    player.submit(order_id(2, "b"), sell(1), BOB)  # trades at 99
    reports = player.submit(order_id(3, "b"), buy(7, 101), BOB)
    makers = [report.client_order_id for report in reports if report.trade and report.trade.liquidity is MAKER]
    assert makers == [order_id(1), order_id(7)]
    assert brief(reports)[-1] == expired(Reason.SELF_TRADE)  # the stop-limit of bot b is the last at 101


def test_a_restored_stop_limit_keeps_the_place_it_got_by_its_trigger() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), sell(1, 101, trigger_ticks=99), BOB)
    player.submit(order_id(7), sell(1, 101))
    player.submit(order_id(2, "b"), sell(1), BOB)  # trades at 99
    player.venue.restore(player.venue.snapshot())
    reports = player.submit(order_id(1, "c"), buy(7, 101), BOB)
    makers = [report.client_order_id for report in reports if report.trade and report.trade.liquidity is MAKER]
    assert makers == [order_id(1), order_id(7), order_id(1, "b")]


def test_stops_that_one_trade_triggers_go_in_by_arrival() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(1, trigger_ticks=102), BOB)
    player.submit(order_id(2, "b"), buy(1, trigger_ticks=101), BOB)
    player.cancel(order_id(1))  # nothing is left at 101, so the next trade is at 102
    reports = player.submit(order_id(3, "b"), buy(1), BOB)
    triggered = [report.client_order_id for report in reports if report.kind == "TRIGGERED"]
    assert triggered == [order_id(1, "b"), order_id(2, "b")]


def test_a_triggered_post_only_stop_limit_that_would_take_expires() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(1, 102, trigger_ticks=101, post_only=True), BOB)
    assert brief(player.submit(order_id(2, "b"), buy(1), BOB))[3:] == [TRIGGERED, expired(Reason.WOULD_TAKE)]


def test_a_smaller_order_keeps_its_place() -> None:
    player = two_traders()
    player.submit(order_id(1), sell(5, 101))
    player.submit(order_id(2), sell(5, 101))
    player.amend(order_id(1), lots=2)
    reports = player.submit(order_id(1, "b"), buy(3, 101), BOB)
    assert [report.client_order_id for report in reports if report.trade][1::2] == [order_id(1), order_id(2)]


def test_a_larger_order_goes_to_the_end_of_the_queue() -> None:
    player = two_traders()
    player.submit(order_id(1), sell(5, 101))
    player.submit(order_id(2), sell(5, 101))
    player.amend(order_id(1), lots=6)
    reports = player.submit(order_id(1, "b"), buy(6, 101), BOB)
    assert [report.client_order_id for report in reports if report.trade][1::2] == [order_id(2), order_id(1)]


def test_an_amended_price_may_trade_at_once() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(2, 100), BOB)
    lines = brief(player.amend(order_id(1, "b"), BOB, price_ticks=101))
    assert lines == [("AMENDED",), filled(2, 101, TAKER), filled(2, 101, MAKER)]


def test_a_canceled_order_trades_no_more() -> None:
    player = quotes()
    assert brief(player.cancel(order_id(1))) == [("CANCELED", Reason.USER_CANCEL)]
    assert brief(player.submit(order_id(1, "b"), buy(1), BOB))[1] == filled(1, 102, TAKER)


def test_a_canceled_stop_is_not_triggered() -> None:
    player = quotes()
    player.submit(order_id(1, "b"), buy(2, trigger_ticks=101), BOB)
    player.cancel(order_id(1, "b"), BOB)
    assert len(player.submit(order_id(2, "b"), buy(1), BOB)) == 3


def test_maker_and_taker_pay_their_own_fees_in_quote() -> None:
    player = two_traders(maker_ppm=-100, taker_ppm=1_000)
    player.submit(order_id(1), sell(1, 100))
    reports = player.submit(order_id(1, "b"), buy(1, 100), BOB)
    fees = [(report.trade.fee_atoms, report.trade.fee_asset) for report in reports if report.trade]
    assert fees == [(1_000, "USD"), (-100, "USD")]
    assert player.venue.accounts.fees == {"USD": 900}


def test_bars_mean_nothing_to_the_book() -> None:
    player = quotes()
    before = len(player.heard)
    player.bar(100, 200, 50, 100)
    assert len(player.heard) == before
