import pytest

from tests.contracts.feeds.record_contract import RecordContract, ticker, trade
from tests.fakes.memory_records import MemoryRecords
from tradefleet.domain.errors import Retryable
from workloads.feeds.recorder import Recorder


class TestMemoryRecords(RecordContract):
    @pytest.fixture
    def records(self) -> MemoryRecords:
        return MemoryRecords()


def test_ticks_wait_for_others_until_the_first_is_old_enough() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, linger_us=1_000)

    recorder.take(ticker(1), 5_000)
    recorder.take(trade(1), 5_999)
    assert store.batches == 0
    recorder.write_due(6_000)

    assert store.batches == 1
    assert store.recorded() == ([ticker(1)], [trade(1)])
    assert recorder.written == 2


def test_a_full_batch_is_written_at_once() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, batch_max=3)

    for number in range(7):
        recorder.take(ticker(number), 0)

    assert store.batches == 2
    assert len(store.tickers) == 6
    recorder.flush()
    assert len(store.tickers) == 7


def test_nothing_waiting_is_nothing_written() -> None:
    store = MemoryRecords()
    recorder = Recorder(store)

    recorder.write_due(10**9)
    recorder.flush()

    assert store.batches == 0


def test_what_could_not_be_written_waits_and_no_more_is_taken_than_fits() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, batch_max=2, linger_us=10**9)
    recorder.take(ticker(1), 0)
    store.is_away = True

    with pytest.raises(Retryable):
        recorder.take(ticker(2), 0)
    with pytest.raises(Retryable):
        recorder.take(ticker(3), 0)
    store.is_away = False
    recorder.flush()

    assert store.recorded()[0] == [ticker(1), ticker(2)]  # the third was refused: its giver still has it
    assert recorder.written == 2


def test_what_is_dropped_is_not_written() -> None:
    store = MemoryRecords()
    recorder = Recorder(store)
    recorder.take(ticker(1), 0)

    recorder.drop()
    recorder.flush()

    assert store.recorded() == ([], [])
