"""The process of a feed: `python -m workloads.feeds.main SETTINGS`."""

import os
import sys
from pathlib import Path

from tradefleet.bus.numbered import OutboxPublisher
from tradefleet.messages.topics import OHLC_STABLE
from tradefleet.runtime.connections import connect
from tradefleet.runtime.ports import Worker
from tradefleet.runtime.process import Process, run_process
from tradefleet.runtime.settings import load_settings, process_settings
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.databases import FeedDatabase
from workloads.feeds.replay import Schedule, parse_speed
from workloads.feeds.settings import FeedSettings
from workloads.feeds.worker import FeedPlan, FeedWorker, bar_encoder

FLUSH_US = 10_000_000  # for the last bars; what is not delivered by then is sent again by the next process


def build(process: Process, settings: FeedSettings) -> Worker:
    """Return the feed that `settings` describe."""
    connections = connect(process)
    store = FeedDatabase(connections.session)
    plan = FeedPlan(
        feed=settings.feed,
        exchange=settings.exchange,
        holder=process.settings.holder,
        generation=settings.generation,
        bars_topic=OHLC_STABLE.name,
        run=None if settings.run is None else RunId(settings.run),
    )
    speed_ppm = parse_speed(settings.speed)
    worker = FeedWorker(
        plan,
        store=store,
        source=settings.replay.open(),
        publisher=OutboxPublisher(connections.bus, store, process.clock, bar_encoder(plan)),
        clock=process.clock,
        pace=None if speed_ppm is None else Schedule(speed_ppm, process.clock.monotonic_us),
    )
    if settings.run is None:
        # Nobody waits for a free run's feed, so its process ends with its data: after the last bar was delivered.
        process.is_finished = lambda: worker.is_finished
        process.resources.callback(connections.bus.flush, FLUSH_US)
    return worker


def main() -> int:
    """Run the feed until asked to end; return the exit status."""
    settings = load_settings(FeedSettings, Path(sys.argv[1]))
    return run_process(process_settings(os.environ), lambda process: build(process, settings))


if __name__ == "__main__":
    sys.exit(main())
