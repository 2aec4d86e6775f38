"""The process of bots: `python -m workloads.strategy.main SETTINGS`."""

import gc

if __name__ == "__main__":
    gc.disable()  # while modules load it costs a tenth of the start and finds next to nothing; see `run_process`

import os
import sys
from pathlib import Path

from tradefleet.bus.numbered import NumberedStreams, OutboxPublisher, Place
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.ids import AccountId, StreamName, bars_stream, executions_stream
from tradefleet.messages.topics import EXECUTIONS, OHLC_STABLE, ORDERS
from tradefleet.runtime.connections import connect, dead_letters
from tradefleet.runtime.logging import log_context
from tradefleet.runtime.ports import Worker
from tradefleet.runtime.process import Process, run_process
from tradefleet.runtime.settings import load_settings, process_settings
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.bot_database import BotDatabase
from workloads.strategy.host import HostPlan, HostWorker
from workloads.strategy.overdue import callbacks_watched
from workloads.strategy.settings import HostSettings


def build(process: Process, settings: HostSettings) -> Worker:
    """Return the host of the bots in `settings`."""
    connections = connect(process)
    exchange = settings.exchange
    configs = settings.configs()
    if len(configs) == 1:  # every line of this process is about it; a host of several names the one it means
        process.resources.enter_context(log_context(bot=configs[0].key))
    watch = process.resources.enter_context(callbacks_watched(process.give_up))
    process.health.watch("strategy", watch.probe)  # while it hangs its bot is not ready, and says so
    store = BotDatabase(connections.session)
    streams = NumberedStreams(
        connections.bus,
        store,
        process.clock,
        {},
        whole_topics=(EXECUTIONS.name,) if settings.host else (),
        on_undecodable=dead_letters(process, connections, with_rows=False).put_aside,
    )
    plan = HostPlan(
        bots=configs,
        exchange=exchange.exchange,
        account=AccountId(exchange.account),
        instruments=exchange.instruments_by_symbol(),
        taker_ppm=max(exchange.maker_ppm, exchange.taker_ppm, 0),
        holder=process.settings.holder,
        orders_topic=ORDERS.name,
        host=settings.host,
        run=None if settings.run is None else RunId(settings.run),
    )
    return _kind_of(settings)(
        plan,
        store=store,
        streams=streams,
        publisher=OutboxPublisher(connections.bus, store, process.clock),
        clock=process.clock,
        introduce=lambda config: streams.know(places_of(config, exchange.exchange)),
    )


def _kind_of(settings: HostSettings) -> type[HostWorker]:
    if not settings.host:
        return HostWorker
    from workloads.strategy.shared_host import SharedHostWorker  # noqa: PLC0415 - a bot's own process stays small

    return SharedHostWorker


def places_of(config: BotConfig, exchange: str) -> dict[StreamName, Place]:
    """Return where the streams of a bot travel; `exchange` is "namespace/name"."""
    places = {executions_stream(config.uid): Place(EXECUTIONS.name, config.key)}
    for symbol in config.symbols:
        places[bars_stream(exchange, symbol, config.interval_us)] = Place(OHLC_STABLE.name, f"{exchange}:{symbol}")
    return places


def main() -> int:
    """Run bots until asked to end; return the exit status."""
    settings = load_settings(HostSettings, Path(sys.argv[1]))
    return run_process(process_settings(os.environ), lambda process: build(process, settings))


if __name__ == "__main__":
    sys.exit(main())
