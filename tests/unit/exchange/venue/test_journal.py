"""The journal gives the venue back, and drops what a fenced writer still got in."""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.exchange.venue.operations import Amend, Cancel, CloseBar, Operation, Submit, operations
from tests.unit.exchange.venue.scenes import (
    ALICE,
    BOB,
    BTC,
    INSTRUMENT,
    RICH,
    ROUGH,
    Player,
    book_config,
    buy,
    config,
    order_id,
    tick_bar,
)
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest
from workloads.exchange.venue.codec import decode_config, encode_config
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue.journal import (
    BarsRecord,
    ConfiguredRecord,
    JournaledVenue,
    JournalRecord,
    RequestsRecord,
    replay,
)
from workloads.exchange.venue.venue import Venue

START = ConfiguredRecord(epoch=0, market_us=0, config=config())


def records_of(
    sequence: list[Operation], first: VenueConfig, edits: Mapping[int, VenueConfig] | None = None, *, atoms: int = RICH
) -> list[JournalRecord]:
    """Return the journal of the operations, with deposits first; the epoch grows on the way.

    `edits` say which operation another configuration comes before.
    """
    records: list[JournalRecord] = [ConfiguredRecord(epoch=0, market_us=0, config=first)]
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
            ask(account, DepositFunds, reference=asset, asset=asset, atoms=atoms)
    for number, operation in enumerate(sequence):
        if edits is not None and number in edits:
            records.append(ConfiguredRecord(epoch=len(records) // 5, market_us=bar_count, config=edits[number]))
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
    records = records_of(sequence, config(market=market))
    live = JournaledVenue()
    outputs = [live.apply(record) for record in records[:cut]]
    snapshot = json.loads(json.dumps(live.snapshot()))
    outputs += [live.apply(record) for record in records[cut:]]
    whole = replay(records)
    rest = replay(records[cut:], snapshot)
    assert whole.venue.state_hash() == rest.venue.state_hash() == live.venue.state_hash()
    assert whole.snapshot() == rest.snapshot() == live.snapshot()
    again = JournaledVenue()
    assert [again.apply(record) for record in records] == outputs


@settings(max_examples=50, deadline=None)
@given(st.lists(operations(), min_size=1, max_size=20), st.data())
def test_records_of_a_stale_epoch_are_dropped_wherever_they_land(
    sequence: list[Operation], data: st.DataObject
) -> None:
    records = records_of(sequence, book_config())
    clean = replay(records)
    place = data.draw(st.integers(1, len(records)))
    if records[place - 1].epoch == 0:
        return
    stale = SubmitOrder(no=10_000, client_order_id=order_id(99), terms=buy(1, 100), market_us=0)
    zombie = RequestsRecord(epoch=records[place - 1].epoch - 1, market_us=0, round=0, account=ALICE, requests=(stale,))
    mixed = replay([*records[:place], zombie, *records[place:]])
    assert mixed.dropped_count == 1
    assert mixed.venue.state_hash() == clean.venue.state_hash()


def test_a_snapshot_remembers_the_epoch() -> None:
    first = JournaledVenue()
    first.apply(START)
    first.apply(BarsRecord(epoch=3, market_us=1, bars=()))
    stale = BarsRecord(epoch=2, market_us=2, bars=(tick_bar(1, (100, 100, 100, 100)),))
    later = replay([stale], first.snapshot())
    assert later.dropped_count == 1
    assert later.venue.state_hash() == first.venue.state_hash()


def test_a_record_of_the_same_epoch_counts() -> None:
    bars = (tick_bar(1, (100, 100, 100, 100)),)
    first = replay([START, BarsRecord(epoch=3, market_us=1, bars=())])
    second = replay([START, BarsRecord(epoch=3, market_us=1, bars=()), BarsRecord(epoch=3, market_us=1, bars=bars)])
    assert first.venue.state_hash() != second.venue.state_hash()


def test_a_changed_snapshot_is_refused() -> None:
    snapshot = replay(records_of([], config())).snapshot()
    snapshot["venue"]["accounts"][ALICE]["free"]["USD"] += 1
    with pytest.raises(InvalidValue, match="state hash must be"):
        replay([], snapshot)


def test_a_journal_that_lacks_a_request_is_a_gap() -> None:
    start, _, *records = records_of([], config())
    with pytest.raises(StreamGap, match="request 1 is missing"):
        replay([start, *records])


# --- another configuration on the way ---------------------------------------------------------------------------------


@st.composite
def configs(draw: st.DrawFn, market: Market) -> VenueConfig:
    """Return what an owner may make of one venue: everything but its market, ticks, lots and decimals."""
    listed = replace(INSTRUMENT, min_notional=Decimal(draw(st.sampled_from([0, 0, 3]))))
    return config(
        market=market,
        instruments=draw(st.sampled_from([(listed,), (listed, ROUGH), (ROUGH, listed)])),
        maker_ppm=draw(st.sampled_from([-50, 0, 1_000, 300_000])),
        taker_ppm=draw(st.sampled_from([0, 13, 2_500, 300_000])),
        slippage_ppm=draw(st.sampled_from([0, 20_000])),
        slippage_ticks=draw(st.sampled_from([0, 3])),
        participation_ppm=draw(st.sampled_from([None, 400_000])),
        intervals_us=draw(st.sampled_from([{}, {BTC: (MINUTE_US,)}, {BTC: (5 * MINUTE_US, MINUTE_US)}])),
    )


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(operations(), min_size=1, max_size=40), st.sampled_from(Market), st.integers(0, 45))
def test_a_replay_equals_the_live_venue_whatever_was_edited(
    data: st.DataObject, sequence: list[Operation], market: Market, cut: int
) -> None:
    edits = data.draw(st.dictionaries(st.integers(0, len(sequence) - 1), configs(market), max_size=4))
    records = records_of(sequence, data.draw(configs(market)), edits)
    live = JournaledVenue()
    outputs = [live.apply(record) for record in records[:cut]]
    snapshot = json.loads(json.dumps(live.snapshot()))
    outputs += [live.apply(record) for record in records[cut:]]

    again = JournaledVenue()
    assert [again.apply(record) for record in records] == outputs
    assert again.snapshot() == replay(records[cut:], snapshot).snapshot() == live.snapshot()


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(operations(), min_size=1, max_size=40), st.sampled_from(Market), st.integers(1, 12))
def test_no_edit_makes_or_loses_money(
    data: st.DataObject, sequence: list[Operation], market: Market, wealth: int
) -> None:
    edits = data.draw(st.dictionaries(st.integers(0, len(sequence) - 1), configs(market), max_size=4))
    live = JournaledVenue()
    for record in records_of(sequence, data.draw(configs(market)), edits, atoms=wealth * 1_000_000):
        live.apply(record)
        accounts = live.venue.accounts
        assert accounts.imbalance() == {}
        for account in accounts.by_id.values():
            assert min([*account.free.values(), *account.locked.values()], default=0) >= 0
            if not account.orders:
                assert not any(account.locked.values())


def test_an_order_is_charged_no_more_than_its_owner_set_aside() -> None:
    player = Player(config(maker_ppm=1_000, taker_ppm=1_000)).fund(USD=100_000_000)
    player.submit(order_id(1), buy(10, 100))
    locked = player.venue.balances(ALICE)["USD"][1]

    player.venue.configure(config(maker_ppm=500_000, taker_ppm=500_000))
    player.bar(100, 100, 100, 100)

    assert player.venue.balances(ALICE)["USD"] == (100_000_000 - locked, 0)
    player.submit(order_id(2), buy(10, 100))  # and what comes after the edit pays the new fee
    assert player.venue.balances(ALICE)["USD"][1] == 15_000_000


def test_an_order_without_a_limit_is_charged_what_it_was_accepted_with() -> None:
    player = Player(config()).fund(USD=100_000_000)
    player.submit(order_id(1), buy(10))

    player.venue.configure(config(maker_ppm=500_000, taker_ppm=500_000))
    player.bar(100, 100, 100, 100)

    assert player.venue.balances(ALICE)["USD"] == (90_000_000, 0)


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (config(market=Market.BOOK), "market must stay replay, was book"),
        (
            config(instruments=(replace(INSTRUMENT, tick=Decimal("0.1")),)),
            "tick of BTC-USD must stay 0.01, was 0.1",
        ),
        (
            config(instruments=(replace(INSTRUMENT, lot=Decimal("0.1")),)),
            "lot of BTC-USD must stay 0.01, was 0.1",
        ),
        (
            config(instruments=(replace(INSTRUMENT, quote="EUR"),)),
            "quote of BTC-USD must stay USD, was EUR",
        ),
        (config(instruments=(replace(INSTRUMENT, quote_scale=2),)), "decimals of USD must stay 8, was 2"),
        (config(instruments=(ROUGH,)), "BTC-USD must stay listed while it has open orders"),
    ],
)
def test_what_is_held_and_ordered_keeps_its_meaning(later: VenueConfig, words: str) -> None:
    player = Player(config()).fund(USD=RICH)
    player.submit(order_id(1), buy(1, 100))
    before = player.venue.snapshot()

    with pytest.raises(InvalidValue, match=words):
        player.venue.configure(later)

    assert player.venue.snapshot() == before


def test_an_asset_keeps_its_decimals_while_it_is_not_listed() -> None:
    player = Player(config()).fund(USD=RICH)
    player.venue.configure(config(instruments=(ROUGH,)))
    restored = Venue(config(instruments=(ROUGH,)))
    restored.restore(player.venue.snapshot())

    for venue in (player.venue, restored):
        with pytest.raises(InvalidValue, match="decimals of USD must stay 8, was 2"):
            venue.configure(config(instruments=(replace(INSTRUMENT, quote_scale=2),)))


def test_a_journal_begins_with_the_configuration() -> None:
    with pytest.raises(InvalidValue, match="must begin with the venue's configuration, was a BarsRecord"):
        replay([BarsRecord(epoch=1, market_us=1, bars=())])


@given(st.sampled_from(Market).flatmap(configs))
def test_a_configuration_comes_back_as_it_was(made: VenueConfig) -> None:
    text = json.dumps(encode_config(made))

    assert encode_config(decode_config(json.loads(text))) == encode_config(made)
    assert set(decode_config(json.loads(text)).instruments) == set(made.instruments)


def test_a_configuration_of_a_newer_release_is_refused() -> None:
    with pytest.raises(InvalidValue, match="newer release"):
        decode_config({**encode_config(config()), "moon_phase": 3})
