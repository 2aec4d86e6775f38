from dataclasses import replace

import pytest

from tests.contracts.store.samples import BARS, EXCHANGE, bar, entry, fill, gateway_commit, order
from tradefleet.domain.errors import InvalidValue, LedgerImbalance, Permanent, StreamGap
from tradefleet.domain.ids import AccountId, BotKey, BotUid
from tradefleet.domain.ledger import Book
from tradefleet.domain.venue import VoidRequest
from tradefleet.store import checks
from tradefleet.store.ports import Lease, LeaseName, VenueRequestRow, bot_lease, feed_lease, gateway_lease, venue_lease
from tradefleet.store.postgres.streams import parse_bars_stream

LEASE = Lease(name=gateway_lease(AccountId("ns/venue:main")), epoch=1, holder="h", generation=1, deadline_us=0)


def test_a_lease_name_comes_apart_into_what_it_was_made_of() -> None:
    assert checks.lease_parts(bot_lease(BotKey("ns/a"), BotUid("u"))) == ("bot", "ns/a", "u")
    assert checks.lease_parts(gateway_lease(AccountId("ns/x:main"))) == ("gateway", "ns/x:main", "")
    assert checks.lease_parts(venue_lease("ns/x")) == ("venue", "ns/x", "")
    assert checks.lease_parts(feed_lease("ns/f")) == ("feed", "ns/f", "")


@pytest.mark.parametrize("name", ["", "bot", "bot/ns/a", "bot/ns/a/u/more", "gateway/x", "host/ns/a", "feed/a/b/c"])
def test_a_lease_name_of_no_kind_is_refused(name: str) -> None:
    with pytest.raises(Permanent, match="must be made by bot_lease"):
        checks.lease_parts(LeaseName(name))


@pytest.mark.parametrize("atoms", [10**38 - 1, -(10**38) + 1])
def test_an_amount_of_38_digits_is_accepted(atoms: int) -> None:
    checks.check_gateway_commit(
        gateway_commit(LEASE, entries=[entry(1, (Book.FREE, "X", atoms), (Book.EXTERNAL, "X", -atoms))])
    )


@pytest.mark.parametrize("atoms", [10**38, -(10**38)])
def test_an_amount_of_39_digits_is_refused(atoms: int) -> None:
    with pytest.raises(InvalidValue, match="at most 38 digits"):
        checks.check_gateway_commit(
            gateway_commit(LEASE, entries=[entry(1, (Book.FREE, "X", atoms), (Book.EXTERNAL, "X", -atoms))])
        )


def test_each_asset_of_an_entry_balances_on_its_own() -> None:
    with pytest.raises(LedgerImbalance):
        checks.check_gateway_commit(
            gateway_commit(LEASE, entries=[entry(1, (Book.FREE, "X", 1), (Book.EXTERNAL, "Y", -1))])
        )


@pytest.mark.parametrize("more", [{"filled_lots": 2**63}, {"filled_lots": -1}, {"reserved_atoms": -1}])
def test_an_order_that_no_column_holds_is_refused(more: dict[str, int]) -> None:
    with pytest.raises(InvalidValue):
        checks.check_gateway_commit(gateway_commit(LEASE, orders=[order(1, **more)]))


@pytest.mark.parametrize(("lots", "price_ticks"), [(0, 1), (2**63, 1), (1, -1), (1, 2**63)])
def test_a_fill_that_no_column_holds_is_refused(lots: int, price_ticks: int) -> None:
    row = fill(1)
    huge = replace(row, canonical=row.canonical._replace(lots=lots, price_ticks=price_ticks))
    with pytest.raises(InvalidValue, match="fill"):
        checks.check_gateway_commit(gateway_commit(LEASE, fills=[huge]))


def test_numbers_of_venue_requests_occur_once() -> None:
    with pytest.raises(StreamGap, match="occurs twice"):
        checks.request_numbers([_request(2), _request(1), _request(2)])
    assert checks.request_numbers([_request(2), _request(1)]) == [1, 2]


def test_a_bar_of_another_exchange_is_refused() -> None:
    with pytest.raises(Permanent, match="its stream is"):
        checks.check_bar("ns/elsewhere", BARS, bar(0))


def test_a_bar_stream_comes_apart_into_what_it_was_made_of() -> None:
    assert parse_bars_stream(BARS) == (EXCHANGE, bar(0).symbol, bar(0).interval_us)


@pytest.mark.parametrize("stream", ["orders/u", "bars/ns/venue", "bars/ns/venue:BTC-USD:60", "bars/ns/venue::60s"])
def test_another_stream_is_no_bar_stream(stream: str) -> None:
    with pytest.raises(Permanent, match="bars are read from"):
        parse_bars_stream(stream)


def _request(number: int) -> VenueRequestRow:
    return VenueRequestRow(request=VoidRequest(no=number), client_order_id="x")
