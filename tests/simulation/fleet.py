"""The fleet of one scenario: the real workers over ports that break."""

from collections.abc import Callable, Iterator
from random import Random

from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.simulation.faults import Faults
from tests.simulation.invariants import Invariants
from tests.simulation.processes import CrashingPublisher, Damage, Process, Time, WatchedBroker, WatchedStore
from tests.simulation.scenario import SYMBOLS, WALLET_ATOMS, Scenario, make_bars, make_configs, make_instruments
from tests.simulation.venue_door import VenueDoor, Wire
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.numbered import NumberedStreams, OutboxPublisher, Place
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.ids import AccountId, BotKey, StreamName, Symbol, bars_stream, executions_stream
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, bot_participant
from tradefleet.domain.venue import DepositFunds
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import bar_message
from tradefleet.messages.topics import EXECUTIONS, JOURNAL, OHLC_STABLE, ORDERS
from tradefleet.runtime.ports import Worker
from tradefleet.store.ports import OutboxMessage, RunId
from workloads.backtest.engine import steps
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway_plan import GatewayPlan
from workloads.exchange.gateway_worker import GatewayWorker
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue_worker import VenuePlan, VenueWorker
from workloads.feeds.worker import FeedPlan, FeedWorker
from workloads.strategy.host import HostPlan, HostWorker

EXCHANGE = "sim/venue"
ACCOUNT = AccountId("sim/venue:main")
LEASE_US = 2_000_000
TIMEOUT_US = LEASE_US // 10
TICK_US = 5_000
START_US = 1_000_000
VENUE_PLACE = 1  # of the first venue in the list of processes
MAKER_PPM, TAKER_PPM = 500, 1_000


class Fleet:
    """Everything that a run consists of. `interleave` lets others work while a process stands still."""

    def __init__(self, chosen: Scenario, interleave: Callable[[bool], None]) -> None:
        self.scenario = chosen
        self.rng = rng = Random(chosen.seed)
        self.bars = make_bars(rng, chosen.bars)
        self.configs = make_configs(rng, chosen)
        self.instruments = make_instruments()
        self.time = Time(START_US)
        self.run = RunId("run") if chosen.lockstep else None
        self.gateway_config = GatewayConfig(
            account=ACCOUNT,
            instruments=self.instruments,
            finest_us=dict.fromkeys(SYMBOLS, MINUTE_US),
            maker_ppm=MAKER_PPM,
            taker_ppm=TAKER_PPM,
            paper=chosen.keeps_numbers,
        )
        self.venue_config = VenueConfig(
            instruments=tuple(self.instruments.values()),
            maker_ppm=MAKER_PPM,
            taker_ppm=TAKER_PPM,
            slippage_ppm=200,
            participation_ppm=rng.choice((None, 2_000)),
            intervals_us=dict.fromkeys(SYMBOLS, (MINUTE_US,)),
        )
        self.step_us = TICK_US * rng.choice((12, 60))  # from one bar to the next in a free run
        self.snapshot_every = rng.choice((3, 20, 1_000))
        self.database = MemoryDatabase(lambda: self.time.now_us)
        self.owner = MemoryStore(self.database)
        self.faults = Faults(Random(rng.random()), interleave)
        self.broker = WatchedBroker(self.faults)
        # Only where an owner is there to leave such requests out, and no backtest to be compared with.
        self.damage = Damage(self.faults) if chosen.meddles and not chosen.lockstep else None
        self._prepare()
        self.invariants = Invariants(self.database, {config.uid: config for config in self.configs}, ACCOUNT)
        if self.damage is not None:
            self.invariants.damaged = self.damage.places
        self.wire = Wire(chosen.keeps_numbers, self.invariants.sent_risky)
        self.processes = self._make_processes()

    def _prepare(self) -> None:
        owner = self.owner
        owner.create_fleet()
        MemoryBus(self.broker).ensure_topics([OHLC_STABLE, ORDERS, EXECUTIONS, JOURNAL])
        for config in self.configs:
            owner.register_bot(config.key, config.uid)
            owner.put_command(ACCOUNT, BotCommand(config=config))
        if self.run is not None:
            bots = [bot_participant(config.key, config.uid) for config in self.configs]
            owner.create_run(self.run, "sim/feed", [FEED, VENUE, GATEWAY, *bots], {})

    def _make_processes(self) -> list[Process]:
        made = [
            Process("feed", "feed", "feed-1", self._make_feed),
            Process("venue", "venue", "venue-1", self._make_venue),
            Process("gateway", "gateway", "gateway-1", self._make_gateway),
        ]
        keys = [config.key for config in self.configs]
        return [*made, *(Process(key, "bot", f"{key}-1", self._bot_maker(key)) for key in keys)]

    def fund(self) -> None:
        """Give the account its money at a venue that is not ours to fill. To be called before anything can break."""
        process = self.processes[VENUE_PLACE]
        process.worker, process.bus = process.make(process)
        process.worker.start()
        process.is_started = True
        assert isinstance(process.worker, VenueWorker)
        atoms = WALLET_ATOMS * len(self.configs)
        process.worker.receive(ACCOUNT, [DepositFunds(no=1, reference="fund", asset="USD", atoms=atoms, market_us=0)])

    # --- the feed's source and pace -------------------------------------------------------------------------------

    def steps(self) -> Iterator[tuple[int, list[Bar]]]:
        """Yield the steps of the market."""
        return steps(self.bars)

    def origin(self, symbol: Symbol) -> str:
        """Return what bars are read from."""
        return f"the seed's bars of {symbol}"

    def due_us(self, market_us: int) -> int:
        """Return when a step is due in a free run."""
        return START_US + market_us * self.step_us // MINUTE_US

    # --- workers --------------------------------------------------------------------------------------------------

    def _ports(self, process: Process) -> tuple[WatchedStore, MemoryBus, OutboxPublisher]:
        store = WatchedStore(self.database, self.faults, self.invariants, self.damage)
        bus = MemoryBus(self.broker, client=process.holder)
        publisher = CrashingPublisher(bus, store, self.time, encode_bar)
        publisher.faults, publisher.rows = self.faults, self.database.fleets["fleet"]
        return store, bus, publisher

    def _streams(self, bus: MemoryBus, store: MemoryStore, *, executions: BotConfig | None = None) -> NumberedStreams:
        places: dict[StreamName, Place] = {
            bars_stream(EXCHANGE, symbol, MINUTE_US): Place(OHLC_STABLE.name, f"{EXCHANGE}:{symbol}")
            for symbol in SYMBOLS
        }
        wakes = [Place(ORDERS.name, ACCOUNT)]
        if executions is not None:
            places[executions_stream(executions.uid)] = Place(EXECUTIONS.name, executions.key)
            wakes = []
        return NumberedStreams(bus, store, self.time, places, wakes=wakes)

    def _make_feed(self, process: Process) -> tuple[Worker, MemoryBus]:
        store, bus, publisher = self._ports(process)
        plan = FeedPlan(
            feed="sim/feed",
            exchange=EXCHANGE,
            holder=process.holder,
            generation=1,
            bars_topic=OHLC_STABLE.name,
            run=self.run,
            lease_ttl_us=LEASE_US,
        )
        pace = self if self.run is None else None
        return FeedWorker(plan, store=store, source=self, publisher=publisher, clock=self.time, pace=pace), bus

    def _make_venue(self, process: Process) -> tuple[Worker, MemoryBus]:
        store, bus, _ = self._ports(process)
        plan = VenuePlan(
            config=self.venue_config,
            exchange=EXCHANGE,
            holder=process.holder,
            generation=1,
            run=self.run,
            lease_ttl_us=LEASE_US,
            snapshot_every=self.snapshot_every,
        )
        return VenueWorker(plan, store=store, streams=self._streams(bus, store), bus=bus, clock=self.time), bus

    def _make_gateway(self, process: Process) -> tuple[Worker, MemoryBus]:
        store, bus, publisher = self._ports(process)
        plan = GatewayPlan(
            config=self.gateway_config,
            exchange=EXCHANGE,
            holder=process.holder,
            generation=1,
            executions_topic=EXECUTIONS.name,
            reports_topic="exchange.reports",
            run=self.run,
            lease_ttl_us=LEASE_US,
            request_timeout_us=TIMEOUT_US,
            look_every_us=1,  # at every upkeep
            look_again_us=1,
        )
        door = VenueDoor(
            lambda: [each for each in self.processes if each.role == "venue"],
            ACCOUNT,
            self.faults,
            self.wire,
            now_us=lambda: self.time.now_us,
            timeout_us=TIMEOUT_US,
            may_speak_us=lambda: store.taken_over_us + TIMEOUT_US + door.receive_window_us,
        )
        streams = self._streams(bus, store)
        worker = GatewayWorker(plan, store=store, streams=streams, venue=door, publisher=publisher, clock=self.time)
        return worker, bus

    def _bot_maker(self, key: BotKey) -> Callable[[Process], tuple[Worker, MemoryBus]]:
        def make(process: Process) -> tuple[Worker, MemoryBus]:
            config = next(config for config in self.configs if config.key == key)  # its newest generation
            store, bus, publisher = self._ports(process)
            plan = HostPlan(
                bots=(config,),
                exchange=EXCHANGE,
                account=ACCOUNT,
                instruments=self.gateway_config.instruments,
                taker_ppm=self.gateway_config.taker_ppm,
                holder=process.holder,
                orders_topic=ORDERS.name,
                run=self.run,
                lease_ttl_us=LEASE_US,
                snapshot_every=self.snapshot_every,
            )
            streams = self._streams(bus, store, executions=config)
            return HostWorker(plan, store=store, streams=streams, publisher=publisher, clock=self.time), bus

        return make


def encode_bar(stream: StreamName, seq: int, bar: Bar) -> OutboxMessage:
    """Return the message of a bar."""
    return OutboxMessage(
        stream=stream,
        seq=seq,
        topic=OHLC_STABLE.name,
        key=f"{EXCHANGE}:{bar.symbol}",
        market_us=bar.close_us,
        payload=encode(bar_message(stream, seq, EXCHANGE, bar)),
    )
