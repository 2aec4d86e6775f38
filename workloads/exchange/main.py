"""The processes of an exchange: `python -m workloads.exchange.main gateway|venue SETTINGS`."""

import os
import sys
from collections.abc import Collection
from pathlib import Path

from tradefleet.bus.numbered import NumberedStreams, OutboxPublisher, Place
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import AccountId, StreamName, Symbol, bars_stream
from tradefleet.messages.topics import EXECUTIONS, JOURNAL, OHLC_STABLE, ORDERS
from tradefleet.runtime.connections import Connections, connect, dead_letters
from tradefleet.runtime.ports import Worker
from tradefleet.runtime.process import Process, run_process
from tradefleet.runtime.settings import load_settings, process_settings
from tradefleet.store.ports import RunId, StreamStore
from tradefleet.store.postgres.databases import GatewayDatabase, VenueDatabase
from workloads.exchange.adapters.server import VenueServer
from workloads.exchange.adapters.simulator import SimulatorVenue
from workloads.exchange.gateway_plan import GatewayPlan
from workloads.exchange.gateway_worker import GatewayWorker
from workloads.exchange.settings import ExchangeSettings, GatewaySettings, VenueSettings
from workloads.exchange.venue_worker import VenuePlan, VenueWorker

VENUE_REPORTS = "exchange.reports"  # what a dead letter of a venue report names as its origin


def build_venue(process: Process, settings: VenueSettings) -> Worker:
    """Return the simulator that `settings` describe, with its server listening."""
    connections = connect(process)
    store = VenueDatabase(connections.session)
    plan = VenuePlan(
        config=settings.exchange.to_venue_config(),
        exchange=settings.exchange.exchange,
        holder=process.settings.holder,
        owner=settings.uid,
        generation=settings.generation,
        run=None if settings.run is None else RunId(settings.run),
    )
    streams = _bar_streams(connections, store, process, settings.exchange, wakes=())
    worker = VenueWorker(plan, store=store, streams=streams, bus=connections.bus, clock=process.clock)
    token = read_token(settings.token_file)
    server = VenueServer(
        worker, host=settings.host, port=settings.port, tokens={AccountId(settings.exchange.account): token}
    )
    server.start()
    process.resources.callback(server.stop)
    return worker


def build_gateway(process: Process, settings: GatewaySettings) -> Worker:
    """Return the gateway that `settings` describe."""
    connections = connect(process)
    store = GatewayDatabase(connections.session)
    exchange = settings.exchange
    account = AccountId(exchange.account)
    plan = GatewayPlan(
        config=exchange.to_gateway_config(),
        exchange=exchange.exchange,
        holder=process.settings.holder,
        owner=settings.uid,
        generation=settings.generation,
        bar_streams=tuple(_bar_places(exchange)),
        executions_topic=EXECUTIONS.name,
        reports_topic=VENUE_REPORTS,
        run=None if settings.run is None else RunId(settings.run),
        request_timeout_us=settings.request_timeout_us,
    )
    venue = SimulatorVenue(
        settings.venue_host,
        settings.venue_port,
        account=account,
        token=read_token(settings.token_file),
        timeout_us=settings.request_timeout_us,
    )
    process.resources.callback(venue.close)
    wakes = [Place(ORDERS.name, account)]
    if plan.run is None:  # in lockstep the progress rows tell of reports; here the simulator's journal does
        wakes.append(Place(JOURNAL.name, exchange.exchange))
    return GatewayWorker(
        plan,
        store=store,
        streams=_bar_streams(connections, store, process, exchange, wakes=wakes),
        venue=venue,
        publisher=OutboxPublisher(connections.bus, store, process.clock),
        clock=process.clock,
    )


def _bar_streams(
    connections: Connections,
    store: StreamStore,
    process: Process,
    exchange: ExchangeSettings,
    *,
    wakes: Collection[Place],
) -> NumberedStreams:
    """Return a reader of the exchange's bars, every interval of every instrument."""
    return NumberedStreams(
        connections.bus,
        store,
        process.clock,
        _bar_places(exchange),
        wakes=wakes,
        on_undecodable=dead_letters(process, connections, with_rows=True).put_aside,
    )


def _bar_places(exchange: ExchangeSettings) -> dict[StreamName, Place]:
    """Return where the bars of an exchange travel."""
    return {
        bars_stream(exchange.exchange, Symbol(each.symbol), interval_us): Place(
            OHLC_STABLE.name, f"{exchange.exchange}:{each.symbol}"
        )
        for each in exchange.instruments
        for interval_us in each.intervals_us
    }


def read_token(path: str) -> str:
    """Return the key in a file. Raises Permanent when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Permanent(f"key file {path}: cannot be read: {error.strerror}") from error


def main() -> int:
    """Run a gateway or a simulator until asked to end; return the exit status."""
    role, path = sys.argv[1], Path(sys.argv[2])
    settings = process_settings(os.environ)
    if role == "gateway":
        gateway = load_settings(GatewaySettings, path)
        return run_process(settings, lambda process: build_gateway(process, gateway))
    if role == "venue":
        venue = load_settings(VenueSettings, path)
        return run_process(settings, lambda process: build_venue(process, venue))
    raise Permanent(f"the first argument must be gateway or venue, was {role!r}")


if __name__ == "__main__":
    sys.exit(main())
