"""Hosts of one bot over a database in memory, started one after the other, and strategies for them."""

from collections.abc import Mapping, Sequence

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.strategy.paper import BTC, bar, config, instrument
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.numbered import LOOK_US, NumberedStreams, OutboxPublisher, Place
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.ids import AccountId, StreamName, Symbol, bars_stream, executions_stream, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import Side
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, Phase, Progress
from tradefleet.messages.codec import decode_as
from tradefleet.messages.topics import EXECUTIONS, OHLC_STABLE, ORDERS
from tradefleet.messages.trading import OrderRequested
from tradefleet.store.ports import FeedCommit, RunId, feed_lease
from workloads.strategy.api import Strategy
from workloads.strategy.host import HostPlan, HostWorker
from workloads.strategy.recorded import decode_own

EXCHANGE = "demo/sim"
ACCOUNT = AccountId("demo/sim:main")
BARS = bars_stream(EXCHANGE, BTC, MINUTE_US)
EXPENSIVE_PPM = 50_000


class Halves(Strategy):
    """Asks for half of what can be paid with each bar, and how much that is depends on the fee."""

    def on_bar(self, bar: Bar) -> None:
        self.market(Side.BUY, self.payable() / 2)


class HalvesWithMemory(Halves):
    """The same with state that it does not declare, so that there are no snapshots."""

    def on_start(self) -> None:
        self.seen = [object()]  # nothing that JSON could keep


class Breaks(Strategy):
    """Cannot take a bar."""

    def on_bar(self, bar: Bar) -> None:
        raise ZeroDivisionError("nothing left to divide by")


class AsksForTheLeast(Strategy):
    """Asks for the least order that its exchange takes."""

    def on_bar(self, bar: Bar) -> None:
        self.market(Side.BUY, float(self.instrument().min_notional) / bar.close)


class HostScene:
    """A fleet with one bot: its database, its bars, and hosts that are started one after the other."""

    def __init__(self, *, run: RunId | None = None, snapshot_every: int = 256, strategy: str = "Halves") -> None:
        self.database = MemoryDatabase(lambda: self.clock.now_us)
        self.clock = FakeClock()
        self.store = MemoryStore(self.database)
        self.bus = MemoryBus(MemoryBroker())
        self.bus.ensure_topics([OHLC_STABLE, ORDERS, EXECUTIONS])
        self.config: BotConfig = config(strategy=f"{__name__}:{strategy}")
        self.run = run
        self.snapshot_every = snapshot_every
        self.store.create_fleet()
        self.store.register_bot(self.config.key, self.config.uid)
        self.store.put_command(ACCOUNT, BotCommand(config=self.config))
        self.bars = 0
        self._feed = self.store.acquire(feed_lease("demo/feed"), holder="feed", generation=1, ttl_us=10**12)

    def close_bar(self, *, run: RunId | None = None, progress: Sequence[Progress] = ()) -> None:
        """Commit the next bar."""
        self.bars += 1
        bars = [(BARS, self.bars, bar(self.bars - 1, 100.0))]
        self.store.commit_feed(FeedCommit(lease=self._feed, bars=bars, exchange=EXCHANGE, run=run, progress=progress))

    def close_step(self) -> None:
        """Commit the next bar as a step of the run, up to the turn of the bots."""
        close_us = (self.bars + 1) * MINUTE_US
        rows = [
            Progress(participant=who, market_us=close_us, round=0, phase=phase, produced=produced)
            for who, phase, produced in (
                (FEED, Phase.FEED, {BARS: self.bars + 1}),
                (VENUE, Phase.VENUE_BARS, {}),
                (GATEWAY, Phase.GATEWAY_REPORTS, {}),
            )
        ]
        self.close_bar(run=self.run, progress=rows)

    def host(
        self,
        *,
        taker_ppm: int = 1_000,
        instruments: Mapping[Symbol, Instrument] | None = None,
        store: MemoryStore | None = None,
    ) -> HostWorker:
        """Return a host that has started."""
        store = store or self.store
        plan = HostPlan(
            bots=(self.config,),
            exchange=EXCHANGE,
            account=ACCOUNT,
            instruments=instruments or {BTC: instrument()},
            taker_ppm=taker_ppm,
            holder="host",
            orders_topic=ORDERS.name,
            run=self.run,
            snapshot_every=self.snapshot_every,
        )
        places: dict[StreamName, Place] = {
            BARS: Place(OHLC_STABLE.name, f"{EXCHANGE}:{BTC}"),
            executions_stream(self.config.uid): Place(EXECUTIONS.name, self.config.key),
        }
        worker = HostWorker(
            plan,
            store=store,
            streams=NumberedStreams(self.bus, store, self.clock, places),
            publisher=OutboxPublisher(self.bus, store, self.clock),
            clock=self.clock,
        )
        worker.start()
        return worker

    def lots(self) -> list[int]:
        """Return the sizes of all orders that were asked for."""
        rules = instrument()
        messages = self.store.read_stream(orders_stream(self.config.uid), after=0, limit=100)
        return [int(decode_as(each.payload, OrderRequested).size / rules.lot) for each in messages]


def trade(scene: HostScene, worker: HostWorker, *, bars: int) -> None:
    """Let bars close, each seen by the host."""
    for _ in range(bars):
        scene.close_bar()
        scene.clock.pass_us(LOOK_US)  # nobody publishes here: the host finds the bar in the database
        worker.step(0)


def inputs(scene: HostScene) -> list[str]:
    """Return the kinds of all inputs of the record, in their order."""
    sources, payloads = scene.store.read_record(scene.config.uid, 1, after=0, limit=100)
    own = {ordinal: type(decode_own(payload)).__name__ for ordinal, payload in payloads.items()}
    return [own.get(ordinal, "bar") for ordinal in range(len(sources))]
