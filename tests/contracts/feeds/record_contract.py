"""What every store of recorded market data promises: the twin in memory and Postgres run the same tests."""

from typing import Protocol

import pytest

from tests.unit.feeds.candles import BTC, START_US, bar, bars
from tradefleet.domain.bar import Bar
from tradefleet.domain.orders import Side
from workloads.feeds.recorder import ClosedBar, MarketTrade, RecordBatch, RecordStore, Ticker

EXCHANGE = "default/coinbase"


class TestedRecords(RecordStore, Protocol):
    """A store that also shows what it has."""

    __test__ = False

    def recorded(self) -> tuple[list[Bar], list[Ticker], list[MarketTrade]]: ...


def ticker(number: int, *, seq: int = 1) -> Ticker:
    return Ticker(EXCHANGE, BTC, START_US + number, seq, 99.0 + number, 1.0, 101.0, 2.0, 100.0)


def trade(number: int) -> MarketTrade:
    return MarketTrade(EXCHANGE, BTC, f"trade-{number:04}", START_US + number, 100.0, 0.5, Side.BUY)


def closed(*content: Bar) -> list[ClosedBar]:
    return [ClosedBar(EXCHANGE, each) for each in content]


class RecordContract:
    """Subclasses give a fixture `records`."""

    @pytest.fixture
    def records(self) -> TestedRecords:
        raise AssertionError("a subclass gives the store")

    def test_records_of_every_kind_are_kept(self, records: TestedRecords) -> None:
        tickers, trades = [ticker(1), ticker(2)], [trade(1), trade(2)]

        assert records.write(RecordBatch(bars=closed(*bars(range(3))), tickers=tickers, trades=trades)) == []

        assert records.recorded() == (bars(range(3)), tickers, trades)

    def test_the_same_records_again_change_nothing(self, records: TestedRecords) -> None:
        batch = RecordBatch(bars=closed(*bars(range(3))), tickers=[ticker(1)], trades=[trade(1)])
        records.write(batch)
        before = records.recorded()

        assert records.write(batch) == []
        assert records.recorded() == before

    def test_records_that_come_twice_in_one_batch_are_kept_once(self, records: TestedRecords) -> None:
        batch = RecordBatch(bars=closed(bar(0), bar(0)), tickers=[ticker(1)] * 2, trades=[trade(1)] * 2)

        assert records.write(batch) == []
        assert records.recorded() == ([bar(0)], [ticker(1)], [trade(1)])

    def test_two_tickers_of_one_microsecond_are_both_kept(self, records: TestedRecords) -> None:
        records.write(RecordBatch(tickers=[ticker(1, seq=1), ticker(1, seq=2)]))

        assert len(records.recorded()[1]) == 2

    def test_a_bar_with_another_content_is_returned_and_not_written(self, records: TestedRecords) -> None:
        records.write(RecordBatch(bars=closed(bar(0), bar(1))))
        other = bar(1, close=101.75)

        assert records.write(RecordBatch(bars=closed(bar(0), other, bar(2)))) == closed(other)
        assert records.recorded()[0] == [bar(0), bar(1), bar(2)]

    def test_the_first_of_two_contents_in_one_batch_is_kept(self, records: TestedRecords) -> None:
        other = bar(0, close=101.75)

        assert records.write(RecordBatch(bars=closed(bar(0), other))) == closed(other)
        assert records.recorded()[0] == [bar(0)]

    def test_an_empty_batch_is_no_work(self, records: TestedRecords) -> None:
        assert records.write(RecordBatch()) == []
