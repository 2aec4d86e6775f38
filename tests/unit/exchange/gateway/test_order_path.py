"""The path of an order: request, reservation, venue, fills, executions (design §5)."""

from dataclasses import replace

import pytest

from tests.unit.exchange.gateway.scenes import (
    ATOMS,
    LOT,
    RICH,
    A,
    B,
    Player,
    bot_config,
    gateway_config,
    restored,
    terms,
)
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import BotKey, ClientOrderId, bot_order_id, uid_hash
from tradefleet.domain.ledger import Book, EntryKind, Posting
from tradefleet.domain.orders import CancelRequest, OrderRequest, OrderStatus, Reason, Side
from tradefleet.domain.venue import AmendOrder, CancelOrder, Liquidity, ReportKind, SubmitOrder, VenueReport


def test_an_accepted_order_is_sent_once_with_its_terms_and_locks_its_worst_price() -> None:
    player = Player(taker_ppm=1_000)
    order_id = player.buy(10, 90)
    assert player.last.venue_requests == [
        SubmitOrder(
            no=2,
            client_order_id=order_id,
            terms=terms(Side.BUY, 10, 90),
            market_us=player.market_us,
            decided_us=player.market_us,
        )
    ]
    needed = 10 * 90 * ATOMS + 90 + 20  # the notional, its fee of 0.1 %, two atoms a lot for roundings
    assert (player.free(), player.locked()) == (RICH - needed, needed)
    assert player.managed(order_id).status is OrderStatus.SUBMITTED
    assert player.last.executions == []  # the bot hears of it when the venue has answered


def test_a_market_buy_locks_its_collar_price_and_may_not_fill_beyond_it() -> None:
    player = Player()
    player.buy(10)
    assert player.submitted.protection_ticks == 105
    assert player.locked() == 10 * 105 * ATOMS + 20


def test_a_stop_buy_is_protected_from_its_trigger_on() -> None:
    player = Player()
    player.buy(10, trigger_ticks=200)
    assert player.submitted.protection_ticks == 210


def test_a_limit_order_needs_no_protection() -> None:
    player = Player()
    player.buy(10, 90)
    assert player.submitted.protection_ticks is None


@pytest.mark.parametrize("changes", [{}, {"trigger_ticks": 90}])
def test_a_sell_without_a_limit_fills_wherever_the_market_has_gone(changes: dict[str, int]) -> None:
    player = Player()
    player.hold(5)
    order_id = player.sell(5, **changes)
    assert player.submitted.protection_ticks is None
    player.fill(order_id, 5, 1)
    assert (player.lots(), player.execution.status) == (0, OrderStatus.FILLED)


def test_a_sell_locks_exactly_its_base() -> None:
    player = Player()
    player.hold(5)
    player.sell(3, 120)
    assert (player.free("BTC"), player.locked("BTC")) == (2 * LOT, 3 * LOT)


def test_an_acknowledged_order_is_told_with_its_terms() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.accept(order_id)
    told = player.execution
    assert (told.client_order_id, told.status, told.terms.lots) == (order_id, OrderStatus.ACCEPTED, 10)
    assert (told.origin, told.reason, told.fill) == (Origin.BOT, Reason.NONE, None)
    assert player.last.settled == [2]


def test_a_fill_moves_money_by_one_balanced_entry() -> None:
    player = Player(taker_ppm=1_000)
    order_id = player.buy(10, 90)
    player.fill(order_id, 4, 80, 32)
    (entry,) = player.last.entries
    assert (entry.kind, entry.reference) == (EntryKind.TRADE, f"{order_id}/t1")
    assert entry.postings == (
        Posting(Book.LOCKED, "USD", -(4 * 80 * ATOMS + 32)),
        Posting(Book.TRADE, "USD", 4 * 80 * ATOMS),
        Posting(Book.TRADE, "BTC", -4 * LOT),
        Posting(Book.FREE, "BTC", 4 * LOT),
        Posting(Book.FEE, "USD", 32),
    )
    assert player.lots() == 4


def test_a_fill_is_told_with_what_it_did() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.fill(order_id, 4, 80, 3)
    told = player.execution
    assert (told.status, told.filled_lots) == (OrderStatus.PARTIALLY_FILLED, 4)
    fill = told.fill
    assert fill is not None
    assert (fill.lots, fill.price_ticks, fill.notional_atoms) == (4, 80, 4 * 80 * ATOMS)
    assert (fill.fee_atoms, fill.fee_asset, fill.liquidity, fill.realized_atoms) == (3, "USD", Liquidity.TAKER, 0)


def test_a_fill_goes_into_the_canonical_ledger_by_its_request_number() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.fill(order_id, 4, 80, 3)
    (fill,) = player.last.fills
    assert fill.canonical == CanonicalFill(
        player.market_us, A, "1", terms(Side.BUY, 1).symbol, Side.BUY, 80, 4, 3, "USD"
    )


def test_a_filled_order_gives_back_what_it_did_not_need() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.fill(order_id, 4, 80)
    player.fill(order_id, 6, 90)
    assert player.execution.status is OrderStatus.FILLED
    assert (player.free(), player.locked()) == (RICH - (320 + 540) * ATOMS, 0)
    assert order_id not in player.gateway.orders


def test_a_sale_realises_its_part_of_the_average_cost() -> None:
    player = Player()
    player.hold(10, 100)
    player.hold(10, 104)
    order_id = player.sell(5, 110)
    player.fill(order_id, 5, 110)
    fill = player.execution.fill
    assert fill is not None
    assert fill.realized_atoms == 5 * (110 - 102) * ATOMS
    assert player.gateway.accounts[A].realized_atoms == 4_000
    assert player.gateway.accounts[A].positions[terms(Side.BUY, 1).symbol].cost_atoms == 15 * 102 * ATOMS


def test_a_fee_in_base_comes_out_of_what_was_bought() -> None:
    player = Player()
    order_id = player.buy(10, 100)
    player.fill(order_id, 10, 100, LOT // 4, fee_asset="BTC")
    assert player.free("BTC") == 10 * LOT - LOT // 4
    assert player.free() == RICH - 1_000 * ATOMS
    assert player.gateway.accounts[A].fees_atoms == 100 * ATOMS // 4  # valued at the trade's own price


def test_a_rebate_is_paid_out() -> None:
    player = Player(maker_ppm=-100)
    order_id = player.buy(10, 100)
    player.fill(order_id, 10, 100, -10)
    assert player.free() == RICH - 1_000 * ATOMS + 10
    assert player.gateway.accounts[A].fees_atoms == -10


def test_roundings_beyond_a_reservation_come_out_of_free_money() -> None:
    player = Player(taker_ppm=1_000)
    order_id = player.buy(2, 100)
    reserved = player.locked()
    player.fill(order_id, 1, 100, 100)
    player.fill(order_id, 1, 100, 100)  # the venue took more than we thought it could
    assert player.free() == RICH - 200 * ATOMS - 200
    assert player.free() < RICH - reserved


@pytest.mark.parametrize("kind", [ReportKind.CANCELED, ReportKind.EXPIRED, ReportKind.REJECTED])
def test_an_order_that_ends_unfilled_gives_everything_back(kind: ReportKind) -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.report(kind, order_id, reason=Reason.NO_LIQUIDITY)
    assert (player.execution.status.value, player.execution.reason) == (kind.value, Reason.NO_LIQUIDITY)
    assert (player.free(), player.locked()) == (RICH, 0)


def test_a_cancel_is_sent_once_and_answered_with_who_asked() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.accept(order_id)
    player.cancel(order_id)
    now_us = player.market_us
    assert player.last.venue_requests == [
        CancelOrder(no=3, client_order_id=order_id, market_us=now_us, decided_us=now_us)
    ]
    assert player.managed(order_id).status is OrderStatus.PENDING_CANCEL
    assert player.cancel(order_id).venue_requests == []
    player.report(ReportKind.CANCELED, order_id)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.CANCELED, Reason.USER_CANCEL)


def test_a_fill_that_races_a_cancel_counts() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.cancel(order_id)
    player.fill(order_id, 4, 90)
    assert player.execution.status is OrderStatus.PENDING_CANCEL
    player.fill(order_id, 6, 90)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.FILLED, Reason.NONE)
    assert sorted(player.last.settled) == [3]  # the cancel needs no answer any more
    assert player.lots() == 10


def test_a_refused_cancel_leads_back_and_can_be_asked_for_again() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.accept(order_id)
    player.fill(order_id, 4, 90)
    player.cancel(order_id)
    player.report(ReportKind.CANCEL_REJECTED, order_id, reason=Reason.VENUE_REJECTED)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.PARTIALLY_FILLED, Reason.VENUE_REJECTED)
    assert len(player.cancel(order_id).venue_requests) == 1


def test_a_cancel_that_overtakes_its_order_leads_back_to_submitted() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.cancel(order_id)
    player.report(ReportKind.CANCEL_REJECTED, order_id, reason=Reason.UNKNOWN_ORDER)
    assert player.execution.status is OrderStatus.SUBMITTED
    player.accept(order_id)
    assert player.execution.status is OrderStatus.ACCEPTED


def test_a_triggered_stop_is_told_and_stays_triggered_after_a_refused_cancel() -> None:
    player = Player()
    order_id = player.buy(10, 120, trigger_ticks=120)
    player.accept(order_id)
    player.report(ReportKind.TRIGGERED, order_id)
    assert player.execution.status is OrderStatus.TRIGGERED
    player.cancel(order_id)
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    assert player.execution.status is OrderStatus.TRIGGERED


def test_a_cancel_of_nothing_or_of_a_neighbours_order_does_nothing() -> None:
    player = Player(bot_config(A), bot_config(B))
    order_id = player.buy(10, 90, bot=B)
    assert player.cancel(order_id, bot=A).venue_requests == []
    assert player.cancel(ClientOrderId("nothing")).venue_requests == []
    assert player.managed(order_id).status is OrderStatus.SUBMITTED


# --- numbers ------------------------------------------------------------------------------------------------------


def test_a_repeated_request_changes_nothing() -> None:
    player = Player()
    player.buy(10, 90)
    before = player.gateway.account_snapshot(A)
    repeat = OrderRequest(
        bot=A,
        seq=1,
        client_order_id=bot_order_id(uid_hash(player.configs[A].uid), 1),
        terms=terms(Side.BUY, 10, 90),
        market_us=player.market_us,
    )
    effects = player.request(repeat, repeat)
    assert (effects.venue_requests, effects.executions, effects.entries) == ([], [], [])
    assert player.gateway.account_snapshot(A) == before


def test_a_gap_in_the_requests_stops_before_anything_is_applied() -> None:
    player = Player(bot_config(A), bot_config(B))
    requests = [
        CancelRequest(bot=A, seq=1, client_order_id=ClientOrderId("x"), market_us=0),
        CancelRequest(bot=B, seq=2, client_order_id=ClientOrderId("x"), market_us=0),
    ]
    with pytest.raises(StreamGap, match="bot default/b: request 2 after 0"):
        player.gateway.on_requests(requests, player.market_us)
    assert player.gateway.accounts[A].request_seq == 0


def test_a_request_of_an_unknown_bot_is_refused_before_anything_is_applied() -> None:
    player = Player()
    own = CancelRequest(bot=A, seq=1, client_order_id=ClientOrderId("x"), market_us=0)
    with pytest.raises(InvalidValue, match="bot default/zombie: the gateway has no such bot"):
        player.gateway.on_requests([own, replace(own, bot=BotKey("default/zombie"))], player.market_us)
    assert player.gateway.accounts[A].request_seq == 0


def test_a_repeated_report_changes_nothing() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.fill(order_id, 4, 90)
    repeat = VenueReport(
        no=player.gateway.report_no, kind=ReportKind.CANCELED, client_order_id=order_id, market_us=player.market_us
    )
    assert player.reports([repeat]).executions == []
    assert order_id in player.gateway.orders


def test_a_gap_in_the_reports_stops_before_anything_is_applied() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    number = player.gateway.report_no
    accepted = VenueReport(no=number + 1, kind=ReportKind.ACCEPTED, client_order_id=order_id, market_us=0)
    with pytest.raises(StreamGap, match=f"venue report {number + 3} after {number + 1}"):
        player.gateway.on_reports([accepted, replace(accepted, no=number + 3)])
    assert player.managed(order_id).status is OrderStatus.SUBMITTED


def test_the_same_trade_under_another_number_is_applied_once() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.fill(order_id, 4, 90, trade_id="venue-77")
    effects = player.fill(order_id, 4, 90, trade_id="venue-77")
    assert (effects.fills, effects.executions, effects.entries) == ([], [], [])
    assert player.lots() == 4


def test_orders_of_two_bots_share_the_account_but_not_the_money() -> None:
    player = Player(bot_config(A), bot_config(B))
    player.fill(player.buy(10, 90, bot=B), 10, 90)
    assert (player.free(bot=A), player.lots(A)) == (RICH, 0)
    assert (player.free(bot=B), player.lots(B)) == (RICH - 900 * ATOMS, 10)


def test_executions_are_numbered_per_bot() -> None:
    player = Player(bot_config(A), bot_config(B))
    orders = [(bot, player.buy(1, 90, bot=bot)) for bot in (A, B, A)]
    told = []
    for _, order_id in orders:
        player.accept(order_id)
        told.append((player.execution.bot, player.execution.seq))
    assert told == [(A, 1), (B, 1), (A, 2)]


def test_a_bot_adopts_its_books_with_its_open_orders() -> None:
    player = Player()
    player.hold(5, 80)
    order_id = player.buy(10, 90)
    player.accept(order_id)
    books = player.gateway.adoption(A)
    assert (books.bot, books.market_us, books.execution_seq) == (A, player.market_us, 2)
    assert books.free == {"USD": player.free(), "BTC": 5 * LOT}
    assert books.locked["USD"] == player.locked()
    assert [(held.lots, held.cost_atoms) for held in books.positions] == [(5, 400 * ATOMS)]
    assert [(order.client_order_id, order.status) for order in books.orders] == [(order_id, OrderStatus.ACCEPTED)]


def test_a_restored_gateway_has_its_orders_in_the_order_in_which_they_were_made() -> None:
    """What is canceled together is canceled in that order: another one would number the requests differently."""
    player = Player(bot_config(A), bot_config(B))
    orders = [player.buy(1, 90, bot=bot) for bot in (B, A, B, A, A)]
    successor = restored(player.gateway)
    assert list(successor.orders) == orders
    assert list(successor.accounts[A].orders) == [orders[1], orders[3], orders[4]]
    successor.on_halts(["fleet"], player.market_us)
    assert [request.client_order_id for request in successor.take().venue_requests] == orders


def test_a_live_account_is_not_funded_by_us() -> None:
    player = Player(is_quiet=True, paper=False)
    assert player.auditor.requests == {}
    assert player.free() == RICH
    assert gateway_config().paper


def test_what_a_bot_had_seen_goes_to_the_venue_with_its_request() -> None:
    player = Player()
    player.bar(100, 110, 90, 100)
    ahead_us = player.market_us + 5
    order_id = player.order(terms(Side.BUY, 10, 90), A, market_us=ahead_us)
    sent = player.last.venue_requests[-1]
    assert isinstance(sent, SubmitOrder)
    assert (sent.market_us, sent.decided_us) == (player.market_us, ahead_us)

    player.accept(order_id)
    player.amend(order_id, lots=5, market_us=ahead_us + 1)
    amended = player.last.venue_requests[-1]
    assert isinstance(amended, AmendOrder)
    assert amended.decided_us == ahead_us + 1


def test_a_request_of_the_past_is_decided_where_the_gateway_is_now() -> None:
    player = Player()
    player.bar(100, 110, 90, 100)
    player.order(terms(Side.BUY, 10, 90), A, market_us=player.market_us - 5)
    sent = player.last.venue_requests[-1]
    assert isinstance(sent, SubmitOrder)
    assert sent.decided_us == player.market_us
