"""What holds for every sequence of inputs: priority, money, sizes, snapshots and the journal."""

import json
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.exchange.venue.operations import Amend, Cancel, CloseBar, Operation, Submit, apply, operations, requests
from tests.unit.exchange.venue.scenes import (
    ALICE,
    BOB,
    INSTRUMENT,
    RICH,
    ROUGH,
    Player,
    book_config,
    brief,
    config,
    tick_bar,
)
from tests.unit.exchange.venue.slow_book import SlowBook
from tradefleet.domain.orders import OrderStatus, Side
from tradefleet.domain.venue import Liquidity, VenueOrder
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue.orders import FinishedOrder

FEES = st.tuples(st.sampled_from([-50, 0, 7, 1_000]), st.sampled_from([0, 13, 2_500, 300_000]))
FUNDS = st.integers(0, 40_000_000)  # an order of 6 lots at 100 costs 6,000,000
ROUGH_FUNDS = st.integers(0, 300)  # 42 in the rough instrument


@st.composite
def tight_venues(draw: st.DrawFn) -> Player:
    """Return a venue, replayed or with a book, in which money often runs short and everything is rounded."""
    instrument = draw(st.sampled_from([INSTRUMENT, ROUGH]))
    maker_ppm, taker_ppm = draw(FEES)
    market = draw(st.sampled_from(Market))
    player = Player(
        VenueConfig(
            instruments=(instrument,),
            market=market,
            maker_ppm=maker_ppm,
            taker_ppm=taker_ppm,
            slippage_ppm=draw(st.sampled_from([0, 20_000])),
            participation_ppm=draw(st.sampled_from([None, 400_000])),
        )
    )
    quote = ROUGH_FUNDS if instrument is ROUGH else FUNDS
    for account in (ALICE, BOB):
        player.fund(account, **{instrument.quote: draw(quote), instrument.base: draw(FUNDS)})
    return player


def lists(strategy: st.SearchStrategy[Operation]) -> st.SearchStrategy[list[Operation]]:
    return st.lists(strategy, min_size=1, max_size=40)


def play(player: Player, operation: Operation) -> None:
    """Apply an operation, on the venue's own instrument."""
    symbol = player.venue.config.instruments[0].symbol
    match operation:
        case Submit():
            apply(player, replace(operation, terms=replace(operation.terms, symbol=symbol)))
        case CloseBar():
            player.bar_count += 1
            player.close(tick_bar(player.bar_count, operation.prices, operation.volume, symbol=symbol))
        case _:
            apply(player, operation)


@settings(max_examples=400, deadline=None)
@given(lists(requests()))
def test_the_book_trades_like_a_slow_one_that_is_obviously_right(sequence: list[Operation]) -> None:
    player = Player(book_config()).fund(ALICE, USD=RICH, BTC=RICH).fund(BOB, USD=RICH, BTC=RICH)
    slow = SlowBook()
    seen: set[tuple[str, str]] = set()
    for operation in sequence:
        match operation:
            case Submit():
                if (operation.account, operation.id) in seen:
                    continue  # idempotence has tests of its own
                seen.add((operation.account, operation.id))
                expected = slow.submit(operation.account, operation.id, operation.terms)
            case Cancel():
                expected = slow.cancel(operation.account, operation.id)
            case Amend():
                expected = slow.amend(operation.account, operation.id, operation.lots, operation.price_ticks)
            case CloseBar():
                raise AssertionError
        reports = apply(player, operation)
        assert [
            (report.client_order_id, *line) for report, line in zip(reports, brief(reports), strict=True)
        ] == expected


@settings(max_examples=200, deadline=None)
@given(lists(requests()))
def test_every_lot_bought_is_a_lot_sold(sequence: list[Operation]) -> None:
    player = Player(book_config()).fund(ALICE, USD=RICH, BTC=RICH).fund(BOB, USD=RICH, BTC=RICH)
    sides = {}
    for operation in sequence:
        if isinstance(operation, Submit):
            sides.setdefault((operation.account, operation.id), operation.terms.side)
        apply(player, operation)
    lots: Counter[Side] = Counter()
    for account, report in player.heard:
        if report.trade is not None:
            lots[sides[account, report.client_order_id]] += report.trade.lots
    assert lots[Side.BUY] == lots[Side.SELL]
    assert not any(player.venue.accounts.market.values())


@settings(max_examples=400, deadline=None)
@given(tight_venues(), lists(operations()))
def test_money_is_kept_and_nothing_is_below_zero(player: Player, sequence: list[Operation]) -> None:
    for operation in sequence:
        play(player, operation)
        assert player.venue.accounts.imbalance() == {}
        for account in player.venue.accounts.by_id.values():
            assert all(atoms >= 0 for atoms in (*account.free.values(), *account.locked.values()))
            if not account.orders:
                assert not any(account.locked.values())
    if player.venue.config.market is Market.BOOK:
        assert not any(player.venue.accounts.market.values())


@settings(max_examples=200, deadline=None)
@given(tight_venues(), lists(operations()))
def test_no_order_fills_more_than_it_asked_for_nor_after_its_end(player: Player, sequence: list[Operation]) -> None:
    for operation in sequence:
        play(player, operation)
    traded: Counter[tuple[str, str]] = Counter()
    ended: set[tuple[str, str]] = set()
    for account, report in player.heard:
        key = (account, report.client_order_id)
        if report.trade is not None:
            assert key not in ended
            traded[key] += report.trade.lots
        elif report.kind in ("CANCELED", "EXPIRED"):
            ended.add(key)
    for (account, client_order_id), lots in traded.items():
        found = player.venue.query(account, client_order_id)  # type: ignore[arg-type]  # ids went through a Counter
        order = found.order if isinstance(found, FinishedOrder) else found
        assert isinstance(order, VenueOrder)
        assert order.filled_lots == lots <= order.lots
        if isinstance(found, FinishedOrder):
            assert (found.status is OrderStatus.FILLED) == (lots == order.lots)


@settings(max_examples=200, deadline=None)
@given(tight_venues(), lists(operations()))
def test_trades_are_at_the_limit_or_better(player: Player, sequence: list[Operation]) -> None:
    for operation in sequence:
        limits = {
            (account.id, order.client_order_id): order.price_ticks
            for account in player.venue.accounts.by_id.values()
            for order in account.orders.values()
        }
        count = len(player.heard)
        play(player, operation)
        for account, report in player.heard[count:]:
            limit = limits.get((account, report.client_order_id))
            if report.trade is not None and limit is not None and not isinstance(operation, Amend):
                found = player.venue.query(account, report.client_order_id)
                order = found.order if isinstance(found, FinishedOrder) else found
                assert order is not None
                better = (limit - report.trade.price_ticks) * order.side.sign
                assert better >= 0
                if player.venue.config.market is Market.BOOK and report.trade.liquidity is Liquidity.MAKER:
                    assert better == 0


@settings(max_examples=200, deadline=None)
@given(tight_venues(), lists(operations()))
def test_reports_and_trades_are_numbered_without_gaps(player: Player, sequence: list[Operation]) -> None:
    for operation in sequence:
        play(player, operation)
    for account in (ALICE, BOB):
        heard = [report for owner, report in player.heard if owner == account]
        assert [report.no for report in heard] == list(range(1, len(heard) + 1))
        assert player.venue.reports(account, 0) == heard
    trade_ids = [report.trade.trade_id for _, report in player.heard if report.trade is not None]
    assert trade_ids == [str(number) for number in range(1, len(trade_ids) + 1)]


@settings(max_examples=200, deadline=None)
@given(tight_venues(), lists(operations()), st.integers(0, 40))
def test_a_restored_venue_goes_on_like_the_one_that_wrote_the_snapshot(
    player: Player, sequence: list[Operation], cut: int
) -> None:
    for operation in sequence[:cut]:
        play(player, operation)
    text = json.dumps(player.venue.snapshot(), sort_keys=True)  # a store may reorder the keys
    twin = Player(player.venue.config)
    twin.venue.restore(json.loads(text))
    twin.market_us, twin.bar_count, twin.last_no = player.market_us, player.bar_count, dict(player.last_no)
    assert json.dumps(twin.venue.snapshot(), sort_keys=True) == text
    twin.heard = list(player.heard)
    for operation in sequence[cut:]:
        play(player, operation)
        play(twin, operation)
        assert twin.venue.state_hash() == player.venue.state_hash()
    assert twin.heard == player.heard
    for account in (ALICE, BOB):
        assert twin.venue.reports(account, 0) == player.venue.reports(account, 0)
        assert twin.venue.open_orders(account) == player.venue.open_orders(account)


@settings(max_examples=100, deadline=None)
@given(lists(operations()))
def test_a_repeated_order_is_no_second_one(sequence: list[Operation]) -> None:
    player = Player(config()).fund(ALICE, USD=RICH, BTC=RICH).fund(BOB, USD=RICH, BTC=RICH)
    first: dict[tuple[str, str], object] = {}
    for operation in sequence:
        reports = apply(player, operation)
        if isinstance(operation, Submit):
            terms = first.setdefault((operation.account, operation.id), operation.terms)
            if terms != operation.terms:
                assert brief(reports) == [("REJECTED", "DUPLICATE")]
            else:
                assert apply(player, operation) == []
