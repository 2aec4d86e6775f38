"""The processes of market data: `python -m workloads.feeds.main replay|recorder SETTINGS`."""

import os
import sys
from pathlib import Path
from typing import Final

from tradefleet.bus.numbered import OutboxPublisher
from tradefleet.bus.ports import Record
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue, Permanent
from tradefleet.domain.ids import Symbol, bars_stream
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import bar_message
from tradefleet.messages.topics import OHLC_STABLE, TICKER, TRADES, market_key
from tradefleet.runtime.connections import connect, dead_letters
from tradefleet.runtime.ports import Worker
from tradefleet.runtime.process import Process, run_process
from tradefleet.runtime.settings import load_settings, process_settings
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.databases import FeedDatabase
from workloads.feeds.adapters.recordings import PostgresRecordings
from workloads.feeds.adapters.records import PostgresRecords
from workloads.feeds.door import Door
from workloads.feeds.ports import DatasetKey, DatasetTarget
from workloads.feeds.recording_worker import RecordingPlan, RecordingWorker
from workloads.feeds.replay import Schedule, parse_speed
from workloads.feeds.settings import FeedSettings, RecorderSettings
from workloads.feeds.worker import FeedPlan, FeedWorker, bar_encoder

FLUSH_US: Final = 10_000_000  # for the last bars; what is not delivered by then is sent again by the next process
TICK_TOPICS: Final = {"ticker": TICKER.name, "trades": TRADES.name}


def build_replay(process: Process, settings: FeedSettings) -> Worker:
    """Return the feed that `settings` describe."""
    connections = connect(process)
    store = FeedDatabase(connections.session)
    plan = FeedPlan(
        feed=settings.feed,
        exchange=settings.exchange,
        holder=process.settings.holder,
        owner=settings.uid,
        generation=settings.generation,
        bars_topic=OHLC_STABLE.name,
        run=None if settings.run is None else RunId(settings.run),
    )
    letters = dead_letters(process, connections, with_rows=True)

    def refuse(bar: Bar, error: InvalidValue) -> None:
        stream = bars_stream(plan.exchange, bar.symbol, bar.interval_us)
        payload = encode(bar_message(stream, 0, plan.exchange, bar))
        key = market_key(plan.exchange, bar.symbol)
        letters.put_aside(Record(topic=plan.bars_topic, partition=-1, offset=-1, key=key, value=payload), error)

    speed_ppm = parse_speed(settings.speed)
    worker = FeedWorker(
        plan,
        store=store,
        source=Door(settings.replay.open(), settings.tick_of(), refuse),
        publisher=OutboxPublisher(connections.bus, store, process.clock, bar_encoder(plan)),
        clock=process.clock,
        pace=None if speed_ppm is None else Schedule(speed_ppm, process.clock.monotonic_us),
    )
    if settings.run is None:
        # Nobody waits for a free run's feed, so its process ends with its data: after the last bar was delivered.
        process.is_finished = lambda: worker.is_finished
        process.resources.callback(connections.bus.flush, FLUSH_US)
    return worker


def build_recorder(process: Process, settings: RecorderSettings) -> Worker:
    """Return the recorder that `settings` describe."""
    connections = connect(process)
    worker = RecordingWorker(
        RecordingPlan(
            target=DatasetTarget(
                dataset=DatasetKey(settings.dataset), exchange=settings.exchange, is_synthetic=settings.is_synthetic
            ),
            series=tuple((Symbol(each.symbol), each.interval_us) for each in settings.series),
            from_us=settings.from_us,
            to_us=settings.to_us,
            tick_topics=tuple(TICK_TOPICS[channel] for channel in settings.ticks),
        ),
        store=PostgresRecordings(connections.session),
        ticks=PostgresRecords(connections.session),
        bus=connections.bus,
        clock=process.clock,
        put_aside=dead_letters(process, connections, with_rows=True).put_aside,
    )
    metrics = process.metrics
    metrics.watch_level("tradefleet_recorded_bars", "Bars that the recording holds", lambda: worker.bars)
    metrics.watch_count("tradefleet_recorded_ticks_total", "Ticks written by this process", lambda: worker.ticks)
    return worker


def main() -> int:
    """Run a feed or a recorder until asked to end; return the exit status."""
    role, path = sys.argv[1], Path(sys.argv[2])
    if role == "replay":
        feed = load_settings(FeedSettings, path)
        return run_process(process_settings(os.environ), lambda process: build_replay(process, feed))
    if role == "recorder":
        recorder = load_settings(RecorderSettings, path)
        return run_process(process_settings(os.environ), lambda process: build_recorder(process, recorder))
    raise Permanent(f"the first argument must be replay or recorder, was {role!r}")


if __name__ == "__main__":
    sys.exit(main())
