"""The process of bots: `python -m workloads.strategy.main SETTINGS`."""

import gc

if __name__ == "__main__":
    gc.disable()  # while modules load it costs a tenth of the start and finds next to nothing; see `run_process`

import os
import sys
from pathlib import Path

from tradefleet.bus.numbered import NumberedStreams, OutboxPublisher, Place
from tradefleet.domain.ids import AccountId, StreamName, Symbol, bars_stream, executions_stream
from tradefleet.messages.topics import EXECUTIONS, OHLC_STABLE, ORDERS
from tradefleet.runtime.connections import connect, dead_letters
from tradefleet.runtime.logging import log_context
from tradefleet.runtime.ports import Worker
from tradefleet.runtime.process import Process, run_process
from tradefleet.runtime.settings import load_settings, process_settings
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.bot_database import BotDatabase
from workloads.strategy.host import HostPlan, HostWorker
from workloads.strategy.settings import HostSettings


def build(process: Process, settings: HostSettings) -> Worker:
    """Return the host of the bots in `settings`."""
    connections = connect(process)
    exchange = settings.exchange
    configs = settings.configs()
    if len(configs) == 1:  # every line of this process is about it; a host of several names the one it means
        process.resources.enter_context(log_context(bot=configs[0].key))
    places: dict[StreamName, Place] = {}
    for config in configs:
        places[executions_stream(config.uid)] = Place(EXECUTIONS.name, config.key)
        for symbol in config.symbols:
            stream = bars_stream(exchange.exchange, Symbol(symbol), config.interval_us)
            places[stream] = Place(OHLC_STABLE.name, f"{exchange.exchange}:{symbol}")
    store = BotDatabase(connections.session)
    plan = HostPlan(
        bots=configs,
        exchange=exchange.exchange,
        account=AccountId(exchange.account),
        instruments=exchange.instruments_by_symbol(),
        taker_ppm=max(exchange.maker_ppm, exchange.taker_ppm, 0),
        holder=process.settings.holder,
        orders_topic=ORDERS.name,
        run=None if settings.run is None else RunId(settings.run),
    )
    return HostWorker(
        plan,
        store=store,
        streams=NumberedStreams(
            connections.bus,
            store,
            process.clock,
            places,
            on_undecodable=dead_letters(process, connections, with_rows=False).put_aside,
        ),
        publisher=OutboxPublisher(connections.bus, store, process.clock),
        clock=process.clock,
    )


def main() -> int:
    """Run bots until asked to end; return the exit status."""
    settings = load_settings(HostSettings, Path(sys.argv[1]))
    return run_process(process_settings(os.environ), lambda process: build(process, settings))


if __name__ == "__main__":
    sys.exit(main())
