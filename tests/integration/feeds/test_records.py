"""Recorded ticks on a real Postgres."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.contracts.feeds.record_contract import EXCHANGE, RecordContract, ticker, trade
from tests.unit.feeds.candles import bar
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import StreamName, Symbol
from tradefleet.domain.orders import Side
from tradefleet.messages.market import BarClosed, MarketTraded, TickerChanged
from tradefleet.store.components import Component
from tradefleet.store.logins import ensure_component_login
from tradefleet.store.postgres.session import Session
from workloads.feeds.adapters.records import PostgresRecords, record_of
from workloads.feeds.recorder import MarketTrade, RecordBatch, Ticker


class ShownRecords(PostgresRecords):
    """The store under test; what it has is read past it."""

    def __init__(self, conninfo: str, fleet: str) -> None:
        self.session = Session(conninfo, fleet=fleet)
        super().__init__(self.session)

    def recorded(self) -> tuple[list[Ticker], list[MarketTrade]]:
        fleet = {"fleet": self.session.fleet}
        tickers = self.session.read(
            "SELECT exchange, symbol, event_us, seq, bid, bid_size, ask, ask_size, last FROM tradefleet.ticker "
            "WHERE fleet = %(fleet)s ORDER BY event_us, seq",
            fleet,
        )
        trades = self.session.read(
            "SELECT exchange, symbol, trade_id, event_us, price, size, taker_side FROM tradefleet.market_trade "
            "WHERE fleet = %(fleet)s ORDER BY trade_id",
            fleet,
        )
        return (
            [Ticker(*row) for row in tickers],
            [MarketTrade(*row[:-1], Side(row[-1])) for row in trades],
        )


class TestPostgresRecords(RecordContract):
    @pytest.fixture
    def records(self, feeds_database: str, fleet: str) -> Iterator[ShownRecords]:
        store = ShownRecords(feeds_database, fleet)
        yield store
        store.session.close()


def test_a_recorders_log_in_may_record(feeds_database: str, fleet: str) -> None:
    store = ShownRecords(url_of(feeds_database, fleet), fleet)
    batch = RecordBatch(tickers=[ticker(1)], trades=[trade(1)])

    store.write(batch)
    store.write(batch)

    assert store.recorded() == ([ticker(1)], [trade(1)])
    store.session.close()
    other = ShownRecords(url_of(feeds_database, fleet), f"{fleet}-other")
    with pytest.raises(Permanent, match="row-level security"):
        other.write(batch)
    other.session.close()


def url_of(database: str, fleet: str) -> str:
    with psycopg.connect(database) as connection:
        login = ensure_component_login(connection, fleet=fleet, component=Component.RECORDER)
    parts = urlsplit(database)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login.role}:{login.password}@{host}"))


def test_ticks_become_records_and_other_messages_do_not() -> None:
    head = {"stream": StreamName("s"), "stream_seq": 7, "event_time_us": bar(0).close_us}
    market = {**head, "exchange": EXCHANGE, "symbol": "BTC-USD"}
    fields = dict(zip(Bar._fields[1:], bar(0)[1:], strict=True))
    prices = {"bid": 99.0, "bid_size": 1.0, "ask": 101.0, "ask_size": 2.0, "last": 100.0}

    assert record_of(TickerChanged(**market, **prices)) == Ticker(
        EXCHANGE, Symbol("BTC-USD"), bar(0).close_us, 7, 99.0, 1.0, 101.0, 2.0, 100.0
    )
    traded = MarketTraded(**market, trade_id="t", price=100.0, size=0.5, taker_side=Side.SELL)
    assert record_of(traded) == MarketTrade(EXCHANGE, Symbol("BTC-USD"), "t", bar(0).close_us, 100.0, 0.5, Side.SELL)
    assert record_of(BarClosed(**market, **fields)) is None
