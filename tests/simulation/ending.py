"""When a run has come to its end, and what must hold then: venue, books, bots and records say the same."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from tests.simulation.fleet import ACCOUNT, EXCHANGE, TAKER_PPM, encode_bar
from tests.simulation.scenario import WALLET_ATOMS
from tradefleet.bus.memory import MemoryBus
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.canonical import CanonicalEquity, canonical_lines
from tradefleet.domain.errors import NonDeterministic, Retryable
from tradefleet.domain.ids import bars_stream, executions_stream, orders_stream
from tradefleet.domain.ledger import Book
from tradefleet.domain.orders import Side
from tradefleet.domain.venue import VoidRequest
from tradefleet.messages.codec import decode
from tradefleet.messages.topics import JOURNAL
from tradefleet.messages.trading import OrderRequested
from workloads.backtest.engine import Engine
from workloads.backtest.lockstep import RunView
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway_worker import GatewayWorker
from workloads.exchange.venue.journal import replay
from workloads.exchange.venue.venue import Venue
from workloads.exchange.venue_records import record_of
from workloads.exchange.venue_worker import VenueWorker
from workloads.strategy.bot import Bot
from workloads.strategy.recorded import sources_of
from workloads.strategy.registry import build_strategy
from workloads.strategy.slot import restore_bot

if TYPE_CHECKING:
    from tests.simulation.world import World


def is_settled(world: World) -> bool:
    """Return whether everything that was written has been applied by whom it concerns."""
    rows = world.database.fleets["fleet"]
    if len(rows.bars) < len(world.bars):
        return False
    gateway = rows.gateways.get(ACCOUNT)
    if gateway is None or gateway.version == 0:
        return False
    if any(not isinstance(row.request, VoidRequest) for row in gateway.unsettled.values()):
        return False
    view: RunView | None = None
    if world.run is not None:
        view = RunView(rows.runs[world.run].participants)
        view.offer(rows.runs[world.run].rows.values())
        if not view.is_finished:
            return False
    for config in world.configs:
        bot, orders, executions = rows.bots[config.uid], orders_stream(config.uid), executions_stream(config.uid)
        last = rows.streams[orders].last_seq
        is_deleted = config.key in world.deleted
        if not is_deleted and (bot.record is None or bot.record.number != config.generation):
            return False
        if f"bot/{config.uid}" not in gateway.blobs:
            if is_deleted:
                continue  # it was deleted before the gateway opened its books
            return False
        if last > gateway.positions.get(orders, 0):
            return False
        for symbol in config.symbols:
            stream = bars_stream(EXCHANGE, symbol, MINUTE_US)
            last = rows.streams[stream].last_seq if stream in rows.streams else 0
            if gateway.positions.get(stream, 0) < last:
                return False
            if not is_deleted and bot.positions.get(stream, 0) < last:
                return False
        # A halt may take back the orders of a run's last turn; a bot hears of it when it trades on after the run.
        told = rows.streams[executions].last_seq if view is None else view.heads.get(executions, 0)
        if not is_deleted and bot.positions.get(executions, 0) < told:
            return False
    return _venue_is_settled(world)


def _venue_is_settled(world: World) -> bool:
    worker = world.venue.worker
    if not world.venue.is_started or not isinstance(worker, VenueWorker):
        return False
    rows = world.database.fleets["fleet"]
    if any(
        rows.streams[stream].last_seq > seq for stream, seq in worker.bar_positions.items() if stream in rows.streams
    ):
        return False
    own = msgspec.json.decode(rows.gateways[ACCOUNT].blobs["gateway"])
    try:
        if world.scenario.keeps_numbers:
            return not worker.reports(ACCOUNT, own["report_no"])
        return not worker.reports(ACCOUNT, world.wire.pulled) and len(world.wire.log) == own["report_no"]
    except Retryable:
        return False  # it was succeeded, or has to read its journal again


def check_end(world: World) -> None:
    """Check what must hold when nothing is under way. Raises AssertionError."""
    worker = world.venue.worker
    assert isinstance(worker, VenueWorker)
    _check_venue(world, worker)
    _check_journal(world, worker)
    _check_requests(world)
    _check_outboxes(world)
    _check_switches(world)
    _check_gateways(world)
    for config in world.configs:
        _check_record(world, config)


def _check_venue(world: World, worker: VenueWorker) -> None:
    """Open orders and balances are the same at the venue and in the books."""
    row = world.database.fleets["fleet"].gateways[ACCOUNT]
    ours = {
        order.client_order_id: (order.terms.lots, order.filled_lots, order.terms.price_ticks)
        for order in row.open_orders.values()
    }
    theirs = {
        order.client_order_id: (order.lots, order.filled_lots, order.price_ticks)
        for order in worker.open_orders(ACCOUNT)
    }
    assert ours.keys() == theirs.keys(), f"open orders: only ours {ours.keys() - theirs}, theirs {theirs.keys() - ours}"
    for order_id, (lots, filled_lots, price_ticks) in ours.items():
        other = theirs[order_id]
        assert (lots, filled_lots) == other[:2], f"order {order_id}: ours {lots, filled_lots}, the venue's {other}"
        assert price_ticks is None or price_ticks == other[2], f"order {order_id}: ours at {price_ticks}, {other}"
    moved: dict[str, int] = defaultdict(int)
    deposited: dict[str, int] = defaultdict(int)
    for books in world.invariants.books.values():
        for (book, asset), atoms in books.items():
            if book in (Book.FREE, Book.LOCKED, Book.EXTERNAL):
                moved[asset] += atoms
            if book is Book.EXTERNAL:
                deposited[asset] -= atoms
    if not world.scenario.keeps_numbers:
        deposited["USD"] = WALLET_ATOMS * len(world.configs)
    balances = worker.balances(ACCOUNT)
    for asset in balances.keys() | moved.keys():
        there = sum(balances.get(asset, (0, 0))) - deposited[asset]
        assert there == moved[asset], f"{asset}: moved by {there} at the venue, by {moved[asset]} in the books"


def _check_journal(world: World, worker: VenueWorker) -> None:
    """What the venue acknowledged is durable: its state is the fold of its journal from the beginning."""
    records = MemoryBus(world.broker).journal(JOURNAL.name, EXCHANGE).read(0)
    folded = replay([record_of(each.value) for each in records])
    assert folded.venue.state_hash() == worker.state_hash(), "the venue is not what its journal says"


def _check_requests(world: World) -> None:
    """Every committed order request was accepted or denied exactly once, and nothing else was."""
    rows = world.database.fleets["fleet"]
    for config in world.configs:
        asked = {}
        for message in rows.streams[orders_stream(config.uid)].messages:
            request = decode(message.payload)
            is_lost = (message.stream, message.seq) in world.invariants.damaged
            if isinstance(request, OrderRequested) and not is_lost:
                asked[message.seq] = request.client_order_id
        answered = {seq: order_id for (uid, seq), order_id in rows.order_of_request.items() if uid == config.uid}
        if f"bot/{config.uid}" in rows.gateways[ACCOUNT].blobs:
            assert asked == answered, f"bot {config.key}: asked for {asked}, answered {answered}"
        for order_id in answered.values():
            status = rows.orders[order_id][1].status
            is_known = order_id in rows.gateways[ACCOUNT].open_orders or status.is_final
            assert is_known, f"order {order_id} is neither open nor final: {status}"


def _check_outboxes(world: World) -> None:
    """Every committed message reached the broker at least once, whatever became of it there (rule 6)."""
    for name, stream in world.database.fleets["fleet"].streams.items():
        uid = name.partition("/")[2]
        if name.startswith("orders/") and any(each.uid == uid for each in world.configs if each.key in world.deleted):
            continue  # its process is gone, and nobody needs the wake-up
        payloads = [message.payload for message in stream.messages]
        payloads += [encode_bar(name, seq, bar).payload for seq, bar in stream.bars]
        missing = [number for number, payload in enumerate(payloads, start=1) if payload not in world.broker.seen]
        assert not missing, f"stream {name}: messages {missing} of {len(payloads)} were never published"


def _check_switches(world: World) -> None:
    """A halted bot has no open buys, a deleted one no orders but the gateway's exits.

    A lockstep run looks at halts once a step, so one that was set after the last step has stopped nothing.
    """
    if world.run is not None:
        return
    for order in world.database.fleets["fleet"].gateways[ACCOUNT].open_orders.values():
        halted = world.invariants.is_halted(order.bot) and order.terms.side is Side.BUY
        assert not halted, f"order {order.client_order_id} buys for a halted bot"
        deleted = order.bot in world.deleted and order.request_seq is not None
        assert not deleted, f"order {order.client_order_id} is of a deleted bot"
    rows = world.database.fleets["fleet"]
    for config in world.configs:
        is_kept = f"bot/{config.uid}" in rows.gateways[ACCOUNT].blobs
        assert config.uid in rows.commands or not is_kept, f"bot {config.key} is gone, and its gateway keeps its books"


def _check_gateways(world: World) -> None:
    """A gateway restored from its rows equals the one that wrote them (rule 12)."""
    row = world.database.fleets["fleet"].gateways[ACCOUNT]
    for process in world.processes:
        worker = process.worker
        if not process.is_started or not isinstance(worker, GatewayWorker) or worker.epoch != row.lease.epoch:
            continue  # it is gone, or was fenced and does not know it yet
        own, written = _plain(worker.machine.own_snapshot()), msgspec.json.decode(row.blobs["gateway"])
        assert own == written, f"gateway {process.holder}: {own} is not its row's {written}"
        for account in worker.machine.accounts.values():
            here, there = worker.machine.account_snapshot(account.key), row.blobs[f"bot/{account.config.uid}"]
            assert _plain(here) == msgspec.json.decode(there), f"bot {account.key}: books differ from their row"
            is_open = world.run is not None or not account.closures
            assert is_open, f"bot {account.key} is still closed: {account.closures}"
        for order_id, order in worker.machine.orders.items():
            assert _plain(order.snapshot()) == msgspec.json.decode(row.open_orders[order_id].state)


def _plain(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))


def _check_record(world: World, config: BotConfig) -> None:
    """Folding a bot's record gives the requests that were committed, and the view of its books that the gateway has."""
    store = world.owner
    record = store.load_bot(config.key, config.uid)
    if record is None or record.input_count == 0:
        return
    sources = sources_of(config, EXCHANGE)
    bots = []
    for use_snapshot in (False, True):
        try:
            bots.append(restore_bot(record, config, store, sources, use_snapshot=use_snapshot))
        except NonDeterministic as error:
            raise AssertionError(str(error)) from error
    executions = executions_stream(config.uid)
    was_told_all = record.positions.get(executions, 0) == store.last_seq(executions)
    assert was_told_all or world.run is not None or config.key in world.deleted
    if config.key in world.deleted or not was_told_all:
        return
    books = store.bot_books(config.uid)
    assert books is not None
    blob, orders = books
    state = msgspec.json.decode(blob)
    for bot in bots:
        portfolio = bot.portfolio
        for asset, atoms in portfolio.total.items():
            there = state["free"].get(asset, 0) + state["locked"].get(asset, 0)
            assert atoms == there, f"bot {config.key} believes in {atoms} {asset}, its gateway has {there}"
        for symbol, held in portfolio.positions.items():
            there = state["positions"][symbol]["lots"]
            assert held.lots == there, f"bot {config.key} believes in {held.lots} lots of {symbol}, there are {there}"
        open_ids = {order.client_order_id for order in orders}
        assert set(portfolio.orders) == open_ids, f"bot {config.key}: open {set(portfolio.orders)}, really {open_ids}"


# --- the canonical ledger ---------------------------------------------------------------------------------------------


def ledger(world: World) -> list[str]:
    """Return the canonical ledger that the database holds."""
    rows = world.database.fleets["fleet"]
    equity = [CanonicalEquity(each.market_us, each.bot, each.equity_atoms) for each in rows.statistics.values()]
    return canonical_lines([fill.canonical for fill in rows.fills.values()], equity)


def reference(world: World) -> list[str]:
    """Return the canonical ledger of the same bots and bars under the Engine."""
    bots = [
        Bot(config, world.instruments, build_strategy(config.strategy, config.parameters), taker_ppm=TAKER_PPM)
        for config in world.configs
    ]
    engine = Engine(venue=Venue(world.venue_config), gateway=Gateway(world.gateway_config), bots=bots)
    engine.run(world.bars)
    return canonical_lines(engine.fills, engine.canonical_equity())
