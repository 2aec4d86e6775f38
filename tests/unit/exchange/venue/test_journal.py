"""The journal gives the venue back, and drops what a fenced writer still got in."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.exchange.venue.operations import Amend, Cancel, CloseBar, Operation, Submit, operations
from tests.unit.exchange.venue.scenes import ALICE, BOB, RICH, book_config, buy, config, order_id, tick_bar
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest
from workloads.exchange.venue.config import Market
from workloads.exchange.venue.journal import BarsRecord, JournaledVenue, JournalRecord, RequestsRecord, replay


def records_of(sequence: list[Operation]) -> list[JournalRecord]:
    """Return the journal of the operations, with deposits first; the epoch grows on the way."""
    records: list[JournalRecord] = []
    last_no = {ALICE: 0, BOB: 0}
    bar_count = 0

    def ask(account: str, make: type, **fields: object) -> None:
        last_no[account] += 1  # type: ignore[index]  # the two accounts are those of the scenes
        request: VenueRequest = make(no=last_no[account], market_us=bar_count, **fields)  # type: ignore[index]
        records.append(
            RequestsRecord(
                epoch=len(records) // 5,
                market_us=bar_count,
                round=0,
                account=account,  # type: ignore[arg-type]
                requests=(request,),
            )
        )

    for account in (ALICE, BOB):
        for asset in ("USD", "BTC"):
            ask(account, DepositFunds, reference=asset, asset=asset, atoms=RICH)
    for operation in sequence:
        match operation:
            case Submit():
                ask(operation.account, SubmitOrder, client_order_id=operation.id, terms=operation.terms)
            case Cancel():
                ask(operation.account, CancelOrder, client_order_id=operation.id)
            case Amend():
                ask(
                    operation.account,
                    AmendOrder,
                    client_order_id=operation.id,
                    lots=operation.lots,
                    price_ticks=operation.price_ticks,
                )
            case CloseBar():
                bar_count += 1
                bar = tick_bar(bar_count, operation.prices, operation.volume)
                records.append(BarsRecord(epoch=len(records) // 5, market_us=bar.close_us, bars=(bar,)))
    return records


@settings(max_examples=100, deadline=None)
@given(st.lists(operations(), max_size=40), st.sampled_from(Market), st.integers(0, 40))
def test_a_replay_equals_the_live_venue(sequence: list[Operation], market: Market, cut: int) -> None:
    records = records_of(sequence)
    live = JournaledVenue(config(market=market))
    outputs = [live.apply(record) for record in records[:cut]]
    snapshot = json.loads(json.dumps(live.snapshot()))
    outputs += [live.apply(record) for record in records[cut:]]
    whole = replay(config(market=market), records)
    rest = replay(config(market=market), records[cut:], snapshot)
    assert whole.venue.state_hash() == rest.venue.state_hash() == live.venue.state_hash()
    assert whole.snapshot() == rest.snapshot() == live.snapshot()
    again = JournaledVenue(config(market=market))
    assert [again.apply(record) for record in records] == outputs


@settings(max_examples=50, deadline=None)
@given(st.lists(operations(), min_size=1, max_size=20), st.data())
def test_records_of_a_stale_epoch_are_dropped_wherever_they_land(
    sequence: list[Operation], data: st.DataObject
) -> None:
    records = records_of(sequence)
    clean = replay(book_config(), records)
    place = data.draw(st.integers(1, len(records)))
    if records[place - 1].epoch == 0:
        return
    stale = SubmitOrder(no=10_000, client_order_id=order_id(99), terms=buy(1, 100), market_us=0)
    zombie = RequestsRecord(epoch=records[place - 1].epoch - 1, market_us=0, round=0, account=ALICE, requests=(stale,))
    mixed = replay(book_config(), [*records[:place], zombie, *records[place:]])
    assert mixed.dropped_count == 1
    assert mixed.venue.state_hash() == clean.venue.state_hash()


def test_a_snapshot_remembers_the_epoch() -> None:
    first = JournaledVenue(config())
    first.apply(BarsRecord(epoch=3, market_us=1, bars=()))
    stale = BarsRecord(epoch=2, market_us=2, bars=(tick_bar(1, (100, 100, 100, 100)),))
    later = replay(config(), [stale], first.snapshot())
    assert later.dropped_count == 1
    assert later.venue.state_hash() == first.venue.state_hash()


def test_a_record_of_the_same_epoch_counts() -> None:
    bars = (tick_bar(1, (100, 100, 100, 100)),)
    first = replay(config(), [BarsRecord(epoch=3, market_us=1, bars=())])
    second = replay(config(), [BarsRecord(epoch=3, market_us=1, bars=()), BarsRecord(epoch=3, market_us=1, bars=bars)])
    assert first.venue.state_hash() != second.venue.state_hash()


def test_a_changed_snapshot_is_refused() -> None:
    snapshot = replay(config(), records_of([])).snapshot()
    snapshot["venue"]["accounts"][ALICE]["free"]["USD"] += 1
    with pytest.raises(InvalidValue, match="state hash must be"):
        replay(config(), [], snapshot)


def test_a_journal_that_lacks_a_request_is_a_gap() -> None:
    records = records_of([])
    with pytest.raises(StreamGap, match="request 1 is missing"):
        replay(config(), records[1:])
