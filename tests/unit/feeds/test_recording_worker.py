"""A recorder's edge over a bus and a store in memory: what is held, what is read again, what is put aside."""

import pytest

from tests.contracts.feeds.record_contract import EXCHANGE
from tests.fakes.clock import FakeClock
from tests.fakes.memory_records import MemoryRecords
from tests.unit.bus.test_numbered import Faults
from tests.unit.feeds.candles import BTC, START_US, bar, bars
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import StreamName, Symbol, bars_stream
from tradefleet.domain.orders import Side
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import bar_message
from tradefleet.messages.market import MarketTraded, TickerChanged
from tradefleet.messages.topics import TICKER, TOPICS, TRADES, market_key
from workloads.feeds.content_hash import SeriesHash
from workloads.feeds.coverage import Stretch
from workloads.feeds.ports import DatasetKey, DatasetSeries, DatasetTarget
from workloads.feeds.recording_worker import LOOK_US, OVERLAP_US, RecordingPlan, RecordingWorker

STREAM = bars_stream(EXCHANGE, BTC, MINUTE_US)
KEY = market_key(EXCHANGE, BTC)


class Recordings:
    """A stream of bars, and what was saved of it last."""

    def __init__(self) -> None:
        self.stream: list[Bar] = []
        self.saved: list[DatasetSeries] = []
        self.newest: tuple[int, int] = (0, 0)
        self.claimed: DatasetTarget | None = None

    def claim(self, target):
        self.claimed = target

    def read_bars(self, stream, *, after, limit):
        assert stream == STREAM
        return list(enumerate(self.stream, start=1))[after : after + limit]

    def sorted_bars(self, exchange, symbol, interval_us, *, until):
        assert (exchange, symbol, interval_us) == (EXCHANGE, BTC, MINUTE_US)
        return iter(sorted(self.stream[:until], key=lambda each: each.open_us))

    def save(self, target, series):
        self.saved.append(series)

    def newest_ticks(self, exchange, symbols: list[Symbol]):
        return dict.fromkeys(symbols, self.newest)


class Room:
    def __init__(self, **plan) -> None:
        self.clock = FakeClock()
        self.broker = MemoryBroker(Faults())
        self.writer = MemoryBus(self.broker, "writer")
        self.writer.ensure_topics(TOPICS.values())
        self.store = Recordings()
        self.ticks = MemoryRecords()
        self.aside: list[bytes] = []
        target = DatasetTarget(dataset=DatasetKey("default/mine"), exchange=EXCHANGE)
        self.worker = RecordingWorker(
            RecordingPlan(target=target, series=((BTC, MINUTE_US),), **plan),
            store=self.store,
            ticks=self.ticks,
            bus=MemoryBus(self.broker, "reader"),
            clock=self.clock,
            put_aside=lambda record, error: self.aside.append(record.value),
        )

    def look(self) -> None:
        while self.worker.step(0):
            pass
        self.clock.sleep_us(LOOK_US)


def _hash(*content: Bar) -> str:
    taken = SeriesHash()
    for each in content:
        taken.add(each)
    return taken.hexdigest()


def _ticker(seq: int, time_us: int, exchange: str = EXCHANGE) -> bytes:
    prices = {"bid": 99.0, "bid_size": 1.0, "ask": 101.0, "ask_size": 2.0, "last": 100.0}
    head = {"stream": StreamName("t"), "stream_seq": seq, "event_time_us": time_us}
    return encode(TickerChanged(**head, exchange=exchange, symbol=BTC, **prices))


def _trade(number: int, time_us: int) -> bytes:
    head = {"stream": StreamName("t"), "stream_seq": number, "event_time_us": time_us}
    made = {"trade_id": f"t{number}", "price": 100.0, "size": 1.0, "taker_side": Side.BUY}
    return encode(MarketTraded(**head, exchange=EXCHANGE, symbol=BTC, **made))


def test_a_recording_grows_with_what_its_exchange_brings_and_names_the_gaps() -> None:
    room = Room()
    room.worker.start()
    room.store.stream = bars(range(3))
    room.look()
    assert room.store.saved[-1].stretches == (Stretch(bar(0).open_us, bar(2).open_us),)

    room.store.stream += [bar(5)]
    room.look()

    (series,) = room.store.saved[-1:]
    assert series.stretches == (Stretch(bar(0).open_us, bar(2).open_us), Stretch(bar(5).open_us, bar(5).open_us))
    assert series.content_hash == _hash(*bars(range(3)), bar(5))
    assert (series.bars, series.missing_bars, room.worker.bars) == (4, 2, 4)


def test_nothing_is_written_while_nothing_comes() -> None:
    room = Room()
    room.worker.start()
    room.store.stream = bars(range(3))

    for _ in range(5):
        room.look()

    assert len(room.store.saved) == 1


def test_a_recorder_that_begins_again_holds_the_same() -> None:
    room = Room()
    room.worker.start()
    room.store.stream = bars(range(4))
    room.look()

    room.worker.start()
    room.look()

    assert room.store.saved[0] == room.store.saved[-1]


def test_bars_that_come_out_of_the_order_of_time_are_put_into_it() -> None:
    room = Room()
    room.worker.start()
    room.store.stream = [bar(7), bar(8)]
    room.look()

    room.store.stream += bars(range(3))
    room.look()
    room.store.stream += [bar(3)]
    room.look()

    (series,) = room.store.saved[-1:]
    assert series.stretches == (Stretch(bar(0).open_us, bar(3).open_us), Stretch(bar(7).open_us, bar(8).open_us))
    assert series.content_hash == _hash(*bars(range(3)), bar(3), bar(7), bar(8))


def test_only_bars_that_lie_whole_in_the_range_belong_to_it() -> None:
    room = Room(from_us=bar(1).open_us, to_us=bar(3).close_us - 1)
    room.worker.start()
    room.store.stream = bars(range(9))

    room.look()

    assert room.store.saved[-1].stretches == (Stretch(bar(1).open_us, bar(2).open_us),)


def test_ticks_are_recorded_and_what_cannot_be_read_is_put_aside() -> None:
    room = Room(tick_topics=(TICKER.name, TRADES.name))
    room.writer.publish(TICKER.name, KEY, _ticker(1, START_US))
    room.writer.publish(TICKER.name, KEY, b"rubbish")
    room.writer.publish(TICKER.name, KEY, _ticker(2, START_US, exchange="default/other"))
    room.writer.publish(TICKER.name, KEY, encode(bar_message(STREAM, 1, EXCHANGE, bar(0))))
    room.writer.publish(TRADES.name, KEY, _trade(1, START_US))
    room.writer.publish(TRADES.name, market_key(EXCHANGE, Symbol("LTC-USD")), _trade(9, START_US))
    room.worker.start()

    room.look()
    room.worker.stop()

    tickers, trades = room.ticks.recorded()
    assert [each.seq for each in tickers] == [1]
    assert [each.trade_id for each in trades] == ["t1"]
    assert len(room.aside) == 3
    assert room.worker.ticks == 2


def test_after_a_start_what_is_recorded_already_is_passed_over() -> None:
    room = Room(tick_topics=(TICKER.name, TRADES.name))
    newest_us = START_US + 2 * OVERLAP_US
    room.store.newest = (newest_us, 0)
    room.writer.publish(TICKER.name, KEY, _ticker(1, newest_us - OVERLAP_US - 1))
    room.writer.publish(TICKER.name, KEY, _ticker(2, newest_us - OVERLAP_US))
    room.writer.publish(TRADES.name, KEY, _trade(1, START_US))
    room.worker.start()

    room.look()
    room.worker.stop()

    tickers, trades = room.ticks.recorded()
    assert [each.seq for each in tickers] == [2]
    assert len(trades) == 1


@pytest.mark.parametrize("again", [False, True])
def test_ticks_that_were_taken_and_not_written_come_again(again: bool) -> None:
    room = Room(tick_topics=(TICKER.name,))
    room.writer.publish(TICKER.name, KEY, _ticker(1, START_US))
    room.worker.start()
    room.worker.step(0)
    assert room.ticks.batches == 0  # it waits for others

    if again:
        room.worker.start()  # after a crash of whatever kind
        room.look()
    room.worker.stop()

    assert len(room.ticks.recorded()[0]) == 1
