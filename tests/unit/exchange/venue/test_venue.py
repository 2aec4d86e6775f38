"""The venue's face: numbers, ids, filters, queries, reports and snapshots."""

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.exchange.venue.scenes import (
    ACCEPTED,
    ALICE,
    ATOMS,
    BOB,
    BTC,
    MAKER,
    RICH,
    ROUGH,
    TICK,
    Player,
    book_config,
    brief,
    buy,
    config,
    filled,
    order_id,
    sell,
)
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason
from tradefleet.domain.venue import CancelOrder, DepositFunds, ReportKind, SubmitOrder, VenueOrder, VoidRequest
from workloads.exchange.venue import accounts
from workloads.exchange.venue.orders import FinishedOrder
from workloads.exchange.venue.venue import Venue

UNKNOWN = Reason.UNKNOWN_ORDER


def deposit(number: int, reference: str = "start", atoms: int = RICH) -> DepositFunds:
    return DepositFunds(no=number, reference=reference, asset="USD", atoms=atoms, market_us=0)


def rich_player(**changes: Any) -> Player:
    return Player(config(**changes)).fund(USD=RICH, BTC=RICH)


# numbers


def test_a_request_number_already_applied_is_skipped() -> None:
    venue = Venue(config())
    venue.on_requests(ALICE, 0, [deposit(1)])
    order = SubmitOrder(no=2, client_order_id=order_id(1), terms=buy(1, 100), market_us=0)
    assert len(venue.on_requests(ALICE, 0, [deposit(1), order])) == 1
    assert venue.on_requests(ALICE, 0, [deposit(1), order]) == []
    assert venue.request_no(ALICE) == 2
    assert venue.balances(ALICE)["USD"] == (RICH - 100 * ATOMS, 100 * ATOMS)


def test_a_gap_in_the_numbers_is_named_and_nothing_of_the_batch_is_applied() -> None:
    venue = Venue(config())
    with pytest.raises(StreamGap, match="request 2 is missing, number 3 came"):
        venue.on_requests(ALICE, 0, [deposit(1), deposit(3, "more")])
    assert venue.request_no(ALICE) == 0
    assert venue.balances(ALICE) == {}


def test_a_void_request_uses_up_its_number() -> None:
    venue = Venue(config())
    assert venue.on_requests(ALICE, 0, [VoidRequest(no=1)]) == []
    assert len(venue.on_requests(ALICE, 0, [deposit(2)])) == 1


def test_accounts_have_numbers_of_their_own() -> None:
    venue = Venue(config())
    outputs = venue.on_requests(ALICE, 0, [deposit(1)]) + venue.on_requests(BOB, 0, [deposit(1)])
    assert [(account, report.no) for account, report in outputs] == [(ALICE, 1), (BOB, 1)]


def test_an_account_that_never_spoke_is_empty() -> None:
    venue = Venue(config())
    assert venue.request_no(ALICE) == 0
    assert venue.balances(ALICE) == {}
    assert venue.open_orders(ALICE) == []
    assert venue.reports(ALICE, 0) == []
    assert venue.query(ALICE, order_id(1)) is None
    venue.trim_reports(ALICE, 5)


# ids


@pytest.mark.parametrize("finished", [False, True])
def test_the_same_id_and_terms_are_no_second_order(finished: bool) -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    if finished:
        player.bar(100, 100, 80, 100)
    assert player.submit(order_id(1), buy(5, 90)) == []
    player.bar(100, 100, 80, 100)
    assert sum(report.kind is ReportKind.FILLED for _, report in player.heard) == 1


def test_a_repeat_of_an_amended_order_is_known_by_its_first_terms() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    player.amend(order_id(1), lots=7)
    assert player.submit(order_id(1), buy(5, 90)) == []
    assert brief(player.submit(order_id(1), buy(7, 90))) == [("REJECTED", Reason.DUPLICATE)]


def test_the_same_id_with_other_terms_is_refused_and_the_first_order_stays() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    assert brief(player.submit(order_id(1), buy(6, 90))) == [("REJECTED", Reason.DUPLICATE)]
    order = player.venue.query(ALICE, order_id(1))
    assert isinstance(order, VenueOrder)
    assert order.lots == 5


def test_the_same_id_in_two_accounts_is_two_orders() -> None:
    player = rich_player().fund(BOB, USD=RICH)
    player.submit(order_id(1), buy(5, 90))
    assert brief(player.submit(order_id(1), buy(6, 90), BOB)) == [ACCEPTED]


def test_a_repeated_deposit_is_credited_once() -> None:
    venue = Venue(config())
    venue.on_requests(ALICE, 0, [deposit(1, atoms=5)])
    assert venue.on_requests(ALICE, 0, [deposit(2, atoms=5)]) == []
    assert venue.balances(ALICE) == {"USD": (5, 0)}


def test_a_deposit_under_a_used_reference_with_other_content_is_refused() -> None:
    venue = Venue(config())
    venue.on_requests(ALICE, 0, [deposit(1, atoms=5)])
    (_, report), *_ = venue.on_requests(ALICE, 0, [deposit(2, atoms=6)])
    assert (report.kind, report.client_order_id, report.reason) == ("REJECTED", "start", Reason.DUPLICATE)
    assert venue.balances(ALICE) == {"USD": (5, 0)}


@pytest.mark.parametrize("atoms", [0, -5])
def test_a_deposit_of_nothing_is_refused(atoms: int) -> None:
    venue = Venue(config())
    (_, report), *_ = venue.on_requests(ALICE, 0, [deposit(1, atoms=atoms)])
    assert (report.kind, report.reason) == ("REJECTED", Reason.VENUE_REJECTED)


# filters


@pytest.mark.parametrize(
    ("client_order_id", "order", "reason"),
    [
        (order_id(1), buy(1, 100, symbol="XRP-USD"), Reason.UNKNOWN_INSTRUMENT),
        (order_id(1), buy(1, 99), Reason.MIN_NOTIONAL),
        (order_id(1), buy(1, 99, trigger_ticks=98), Reason.MIN_NOTIONAL),
        (order_id(1), buy(1, 100, reduce_only=True), Reason.VENUE_REJECTED),
        (ClientOrderId("a-b"), buy(1, 100), Reason.VENUE_REJECTED),
        (ClientOrderId("ä"), buy(1, 100), Reason.VENUE_REJECTED),
        (ClientOrderId("a" * 33), buy(1, 100), Reason.VENUE_REJECTED),
        (order_id(1), buy(1_001, 100), Reason.INSUFFICIENT_FUNDS),
        (order_id(1), sell(2, 100), Reason.INSUFFICIENT_FUNDS),
        (order_id(1), sell(2), Reason.INSUFFICIENT_FUNDS),
        (order_id(1), sell(2, trigger_ticks=50), Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_an_order_that_the_venue_cannot_take_is_refused(
    client_order_id: ClientOrderId, order: OrderTerms, reason: Reason
) -> None:
    listed = Instrument(
        symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.01"), min_notional=Decimal("0.01")
    )
    player = Player(config(instruments=(listed,))).fund(USD=1_000 * 100 * ATOMS, BTC=listed.lot_atoms)
    assert brief(player.submit(client_order_id, order)) == [("REJECTED", reason)]
    found = player.venue.query(ALICE, client_order_id)
    assert isinstance(found, FinishedOrder)
    assert (found.status, found.reason, found.order.filled_lots) == (OrderStatus.REJECTED, reason, 0)
    assert player.venue.balances(ALICE)["USD"][1] == 0


def test_what_a_smallest_order_may_be_is_accepted() -> None:
    listed = Instrument(
        symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.01"), min_notional=Decimal("0.01")
    )
    player = Player(config(instruments=(listed,))).fund(USD=RICH, BTC=RICH)
    assert brief(player.submit(order_id(1), buy(1, 100))) == [ACCEPTED]
    assert brief(player.submit(order_id(2), sell(1))) == [ACCEPTED]  # no price yet, so nothing to compare


# funds


def test_a_buy_limit_locks_its_notional_and_the_largest_fee() -> None:
    player = rich_player(maker_ppm=1_000, taker_ppm=2_000)
    player.submit(order_id(1), buy(5, 100))
    assert player.venue.balances(ALICE)["USD"] == (RICH - 5_010_000, 5_010_000)


def test_a_fill_at_a_better_price_gives_back_the_rest() -> None:
    player = rich_player(maker_ppm=1_000, taker_ppm=2_000)
    player.submit(order_id(1), buy(5, 100))
    player.bar(90, 90, 90, 90)
    assert player.venue.balances(ALICE)["USD"] == (RICH - 4_509_000, 0)
    assert player.venue.balances(ALICE)["BTC"] == (RICH + 5_000_000, 0)


def test_a_cancel_gives_back_what_was_locked() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 100))
    player.submit(order_id(2), sell(5, 200))
    player.cancel(order_id(1))
    player.cancel(order_id(2))
    assert player.venue.balances(ALICE) == {"BTC": (RICH, 0), "USD": (RICH, 0)}


def test_an_order_that_trades_in_parts_never_costs_more_than_it_locked() -> None:
    # Three lots at 50 ticks are 10.5 atoms, one lot is 3.5; with fees, single fills would round up to 15 in all.
    player = Player(book_config(instruments=(ROUGH,), maker_ppm=1_000, taker_ppm=1_000))
    player.fund(ALICE, EUR=12).fund(BOB, LTC=RICH)
    assert brief(player.submit(order_id(1), buy(3, 50, symbol="LTC-USD"))) == [ACCEPTED]
    assert player.venue.balances(ALICE)["EUR"] == (0, 12)
    for number in (1, 2, 3):
        lines = brief(player.submit(order_id(number, "b"), sell(1, 50, symbol="LTC-USD"), BOB))
        assert filled(1, 50, MAKER) in lines
    assert player.venue.balances(ALICE)["EUR"] == (0, 0)
    assert player.venue.accounts.imbalance() == {}


# cancel and amend


def test_a_cancel_of_an_unknown_order_is_refused() -> None:
    player = rich_player()
    assert brief(player.cancel(order_id(1))) == [("CANCEL_REJECTED", UNKNOWN)]
    assert player.venue.query(ALICE, order_id(1)) is None


def test_a_cancel_after_a_full_fill_is_refused() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    player.bar(100, 100, 80, 100)
    assert brief(player.cancel(order_id(1))) == [("CANCEL_REJECTED", UNKNOWN)]


def test_an_order_of_another_account_cannot_be_canceled() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    assert brief(player.cancel(order_id(1), BOB)) == [("CANCEL_REJECTED", UNKNOWN)]


def test_an_amendment_says_the_new_terms_and_locks_what_they_need() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    (report,) = player.amend(order_id(1), lots=6, price_ticks=100)
    assert (report.kind, report.lots, report.price_ticks) == (ReportKind.AMENDED, 6, 100)
    assert player.venue.balances(ALICE)["USD"][1] == 600 * ATOMS
    player.amend(order_id(1), lots=2)
    assert player.venue.balances(ALICE)["USD"][1] == 200 * ATOMS


@pytest.mark.parametrize(
    ("order", "change", "reason"),
    [
        (None, {"lots": 3}, UNKNOWN),
        (buy(5), {"lots": 3}, Reason.VENUE_REJECTED),
        (sell(5, trigger_ticks=50), {"price_ticks": 40}, Reason.VENUE_REJECTED),
        (buy(5, 90), {"lots": 0}, Reason.VENUE_REJECTED),
        (buy(5, 90), {"price_ticks": 0}, Reason.VENUE_REJECTED),
        (buy(5, 90), {"lots": 6}, Reason.INSUFFICIENT_FUNDS),
        (buy(5, 90), {"price_ticks": 91}, Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_an_amendment_that_cannot_be_is_refused_and_changes_nothing(
    order: OrderTerms | None, change: dict[str, int], reason: Reason
) -> None:
    player = Player(config()).fund(USD=450 * ATOMS, BTC=RICH)
    if order is not None:
        player.submit(order_id(1), order)
    before = player.venue.balances(ALICE), player.venue.open_orders(ALICE)
    assert brief(player.amend(order_id(1), **change)) == [("AMEND_REJECTED", reason)]
    assert (player.venue.balances(ALICE), player.venue.open_orders(ALICE)) == before


def test_an_order_cannot_become_smaller_than_what_it_filled() -> None:
    player = rich_player(participation_ppm=1_000_000)
    player.submit(order_id(1), buy(5, 90))
    player.bar(100, 100, 80, 100, volume=0.03)
    assert brief(player.amend(order_id(1), lots=3)) == [("AMEND_REJECTED", Reason.VENUE_REJECTED)]
    assert brief(player.amend(order_id(1), lots=4)) == [("AMENDED",)]


# queries and reports


def test_a_query_tells_open_from_finished() -> None:
    player = rich_player(participation_ppm=1_000_000)
    player.submit(order_id(1), buy(5, 90))
    player.bar(100, 100, 80, 100, volume=0.03)
    order = player.venue.query(ALICE, order_id(1))
    assert isinstance(order, VenueOrder)
    assert (order.lots, order.filled_lots, order.price_ticks) == (5, 3, 90)
    player.cancel(order_id(1))
    finished = player.venue.query(ALICE, order_id(1))
    assert isinstance(finished, FinishedOrder)
    assert (finished.status, finished.reason) == (OrderStatus.CANCELED, Reason.USER_CANCEL)
    assert finished.order.filled_lots == 3


def test_only_the_latest_finished_orders_are_remembered() -> None:
    player = rich_player()
    count = accounts.FINISHED_ORDERS_MAX + 1
    for number in range(1, count + 1):
        player.submit(order_id(number), buy(1, 1))
        player.cancel(order_id(number))
    assert player.venue.query(ALICE, order_id(1)) is None
    assert player.venue.query(ALICE, order_id(2)) is not None
    assert player.venue.query(ALICE, order_id(count)) is not None


def test_reports_are_kept_until_they_are_trimmed() -> None:
    player = rich_player()  # its two deposits are reports 1 and 2
    player.submit(order_id(1), buy(5, 90))
    assert [report.no for report in player.venue.reports(ALICE, 1)] == [2, 3]
    player.venue.trim_reports(ALICE, 2)
    assert [report.no for report in player.venue.reports(ALICE, 2)] == [3]
    assert player.venue.reports(ALICE, 3) == []
    with pytest.raises(StreamGap, match="kept from number 3, those after 1 were asked for"):
        player.venue.reports(ALICE, 1)


def test_reports_that_are_all_trimmed_are_a_gap_for_who_missed_them() -> None:
    player = rich_player()
    player.venue.trim_reports(ALICE, 2)
    assert player.venue.reports(ALICE, 2) == []
    with pytest.raises(StreamGap, match="kept from number 3"):
        player.venue.reports(ALICE, 0)


def test_reports_carry_the_market_time_of_the_input() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    (report,) = player.bar(100, 100, 80, 100)
    assert report.market_us == player.market_us > 0


# snapshots


def test_the_state_hash_does_not_depend_on_which_reports_are_kept() -> None:
    player = rich_player()
    before = player.venue.state_hash()
    player.venue.trim_reports(ALICE, 1)
    assert player.venue.state_hash() == before


def test_the_state_hash_differs_when_one_lot_does() -> None:
    first, second = rich_player(), rich_player()
    first.submit(order_id(1), buy(5))
    second.submit(order_id(1), buy(6))
    assert first.venue.state_hash() != second.venue.state_hash()


def test_a_snapshot_is_not_touched_by_what_happens_later() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    snapshot, state_hash = player.venue.snapshot(), player.venue.state_hash()
    player.bar(100, 100, 80, 100)
    twin = Venue(config())
    twin.restore(snapshot)
    assert twin.state_hash() == state_hash


def test_restoring_replaces_what_was_there() -> None:
    player = rich_player()
    empty = Venue(config()).snapshot()
    player.venue.restore(empty)
    assert player.venue.snapshot() == empty


@pytest.mark.parametrize(
    ("change", "message"),
    [({"version": 3}, "version must be 2, was 3"), ({"market": "book"}, "market must be replay, was book")],
)
def test_a_snapshot_of_another_kind_is_refused(change: dict[str, object], message: str) -> None:
    venue = Venue(config())
    with pytest.raises(InvalidValue, match=message):
        venue.restore({**venue.snapshot(), **change})


def test_a_snapshot_with_an_order_for_an_instrument_that_is_gone_is_refused() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    with pytest.raises(InvalidValue, match=f"order {order_id(1)} is for BTC-USD, which the venue does not list"):
        Venue(config(instruments=(ROUGH,))).restore(player.venue.snapshot())


@pytest.mark.parametrize("make", [config, book_config])
def test_a_snapshot_from_before_an_instrument_was_delisted_is_taken_up(make: Any) -> None:
    player = Player(make()).fund(USD=RICH, BTC=RICH)
    player.bar(100, 100, 80, 100)
    venue = Venue(make(instruments=(ROUGH,)))
    venue.restore(player.venue.snapshot())
    assert venue.balances(ALICE)["USD"] == (RICH, 0)


def test_a_request_kind_of_its_own_time_is_applied_at_the_venue_s_time() -> None:
    venue = Venue(config())
    (_, report), *_ = venue.on_requests(ALICE, 77, [CancelOrder(no=1, client_order_id=order_id(1), market_us=5)])
    assert report.market_us == 77
