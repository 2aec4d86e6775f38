import pytest

from tests.contracts.feeds.record_contract import RecordContract, closed, ticker, trade
from tests.fakes.memory_records import MemoryRecords
from tests.unit.feeds.candles import bar, bars
from tradefleet.domain.errors import Retryable
from workloads.feeds.recorder import ClosedBar, Recorder


class TestMemoryRecords(RecordContract):
    @pytest.fixture
    def records(self) -> MemoryRecords:
        return MemoryRecords()


def no_conflict(found: ClosedBar) -> None:
    raise AssertionError(f"unexpected conflict: {found}")


def test_records_wait_for_others_until_the_first_is_old_enough() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, on_conflict=no_conflict, linger_us=1_000)

    recorder.take(ticker(1), 5_000)
    recorder.take(trade(1), 5_999)
    assert store.batches == 0
    recorder.write_due(6_000)

    assert store.batches == 1
    assert store.recorded() == ([], [ticker(1)], [trade(1)])
    assert recorder.written == 2


def test_a_full_batch_is_written_at_once() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, on_conflict=no_conflict, batch_max=3)

    for each in closed(*bars(range(7))):
        recorder.take(each, 0)

    assert store.batches == 2
    assert len(store.bars) == 6
    recorder.flush()
    assert len(store.bars) == 7


def test_nothing_waiting_is_nothing_written() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, on_conflict=no_conflict)

    recorder.write_due(10**9)
    recorder.flush()

    assert store.batches == 0


def test_what_could_not_be_written_waits_and_no_more_is_taken_than_fits() -> None:
    store = MemoryRecords()
    recorder = Recorder(store, on_conflict=no_conflict, batch_max=2, linger_us=10**9)
    recorder.take(ticker(1), 0)
    store.is_away = True

    with pytest.raises(Retryable):
        recorder.take(ticker(2), 0)
    with pytest.raises(Retryable):
        recorder.take(ticker(3), 0)
    store.is_away = False
    recorder.flush()

    assert store.recorded()[1] == [ticker(1), ticker(2)]  # the third was refused: its giver still has it
    assert recorder.written == 2


def test_a_bar_that_contradicts_the_stored_one_is_handed_out() -> None:
    store = MemoryRecords()
    conflicts: list[ClosedBar] = []
    recorder = Recorder(store, on_conflict=conflicts.append)
    other = bar(0, close=101.75)

    for each in closed(bar(0), other, bar(1)):
        recorder.take(each, 0)
    recorder.flush()

    assert conflicts == closed(other)
    assert recorder.written == 2
    assert store.recorded()[0] == [bar(0), bar(1)]
