"""What every store of recorded ticks promises: the twin in memory and Postgres run the same tests."""

from typing import Protocol

import pytest

from tests.unit.feeds.candles import BTC, START_US
from tradefleet.domain.orders import Side
from workloads.feeds.recorder import MarketTrade, RecordBatch, RecordStore, Ticker

EXCHANGE = "default/coinbase"


class TestedRecords(RecordStore, Protocol):
    """A store that also shows what it has."""

    __test__ = False

    def recorded(self) -> tuple[list[Ticker], list[MarketTrade]]: ...


def ticker(number: int, *, seq: int = 1) -> Ticker:
    return Ticker(EXCHANGE, BTC, START_US + number, seq, 99.0 + number, 1.0, 101.0, 2.0, 100.0)


def trade(number: int) -> MarketTrade:
    return MarketTrade(EXCHANGE, BTC, f"trade-{number:04}", START_US + number, 100.0, 0.5, Side.BUY)


class RecordContract:
    """Subclasses give a fixture `records`."""

    @pytest.fixture
    def records(self) -> TestedRecords:
        raise AssertionError("a subclass gives the store")

    def test_ticks_of_every_kind_are_kept(self, records: TestedRecords) -> None:
        tickers, trades = [ticker(1), ticker(2)], [trade(1), trade(2)]

        records.write(RecordBatch(tickers=tickers, trades=trades))

        assert records.recorded() == (tickers, trades)

    def test_the_same_ticks_again_change_nothing(self, records: TestedRecords) -> None:
        batch = RecordBatch(tickers=[ticker(1)], trades=[trade(1)])
        records.write(batch)
        before = records.recorded()

        records.write(batch)

        assert records.recorded() == before

    def test_ticks_that_come_twice_in_one_batch_are_kept_once(self, records: TestedRecords) -> None:
        records.write(RecordBatch(tickers=[ticker(1)] * 2, trades=[trade(1)] * 2))

        assert records.recorded() == ([ticker(1)], [trade(1)])

    def test_two_tickers_of_one_microsecond_are_both_kept(self, records: TestedRecords) -> None:
        records.write(RecordBatch(tickers=[ticker(1, seq=1), ticker(1, seq=2)]))

        assert len(records.recorded()[0]) == 2

    def test_an_empty_batch_is_no_work(self, records: TestedRecords) -> None:
        records.write(RecordBatch())

        assert records.recorded() == ([], [])
