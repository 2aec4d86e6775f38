"""The edge of bots: what it records, and what it makes of its record when it comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tests.unit.strategy.paper import BTC, bar, config, instrument
from tradefleet.bus.memory import MemoryBus
from tradefleet.bus.memory_broker import MemoryBroker
from tradefleet.bus.numbered import LOOK_US, NumberedStreams, OutboxPublisher, Place
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.errors import Fenced, InvalidValue, NonDeterministic
from tradefleet.domain.ids import (
    AccountId,
    BotKey,
    BotUid,
    StreamName,
    Symbol,
    bars_stream,
    executions_stream,
    orders_stream,
)
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import Side
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, Phase, Progress, bot_participant
from tradefleet.messages.codec import decode_as
from tradefleet.messages.topics import EXECUTIONS, OHLC_STABLE, ORDERS
from tradefleet.messages.trading import OrderRequested
from tradefleet.store.ports import BotRecord, FeedCommit, RunId, feed_lease
from workloads.strategy.api import Strategy
from workloads.strategy.host import HostPlan, HostWorker
from workloads.strategy.recorded import decode_own

EXCHANGE = "demo/sim"
ACCOUNT = AccountId("demo/sim:main")
BARS = bars_stream(EXCHANGE, BTC, MINUTE_US)
RUN = RunId("run")
EXPENSIVE_PPM = 50_000


class Halves(Strategy):
    """Asks for half of what can be paid with each bar, and how much that is depends on the fee."""

    def on_bar(self, bar: Bar) -> None:
        self.market(Side.BUY, self.payable() / 2)


class HalvesWithMemory(Halves):
    """The same with state that it does not declare, so that there are no snapshots."""

    def on_start(self) -> None:
        self.seen = [object()]  # nothing that JSON could keep


class AsksForTheLeast(Strategy):
    """Asks for the least order that its exchange takes."""

    def on_bar(self, bar: Bar) -> None:
        self.market(Side.BUY, float(self.instrument().min_notional) / bar.close)


class Rest:
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


def trade(rest: Rest, worker: HostWorker, *, bars: int) -> None:
    for _ in range(bars):
        rest.close_bar()
        rest.clock.pass_us(LOOK_US)  # nobody publishes here: the host finds the bar in the database
        worker.step(0)


def inputs(rest: Rest) -> list[str]:
    """Return the kinds of all inputs of the record, in their order."""
    sources, payloads = rest.store.read_record(rest.config.uid, 1, after=0, limit=100)
    own = {ordinal: type(decode_own(payload)).__name__ for ordinal, payload in payloads.items()}
    return [own.get(ordinal, "bar") for ordinal in range(len(sources))]


@pytest.mark.parametrize("strategy", ["Halves", "HalvesWithMemory"])
@pytest.mark.parametrize("snapshot_every", [1, 3, 256])
def test_a_bot_comes_back_after_its_exchange_has_changed_its_fee(strategy: str, snapshot_every: int) -> None:
    rest = Rest(strategy=strategy, snapshot_every=snapshot_every)
    for taker_ppm in (1_000, EXPENSIVE_PPM, EXPENSIVE_PPM, 0):
        host = rest.host(taker_ppm=taker_ppm)
        trade(rest, host, bars=2)
        host.stop()

    rest.host(taker_ppm=0)

    assert inputs(rest) == ["Terms", "Adoption", *["bar"] * 2, "Terms", *["bar"] * 4, "Terms", *["bar"] * 2]
    assert len(rest.lots()) == 8


def test_what_a_bot_asks_for_after_a_change_is_what_it_can_pay_then() -> None:
    stays, dearer = Rest(), Rest()
    for rest, taker_ppm in ((stays, 1_000), (dearer, EXPENSIVE_PPM)):
        first = rest.host(taker_ppm=1_000)
        trade(rest, first, bars=1)
        first.stop()
        trade(rest, rest.host(taker_ppm=taker_ppm), bars=1)

    assert stays.lots()[0] == dearer.lots()[0]
    assert stays.lots()[1] > dearer.lots()[1]


def test_the_terms_of_today_are_recorded_without_waiting_for_another_input() -> None:
    rest = Rest()
    first = rest.host(taker_ppm=1_000)
    trade(rest, first, bars=1)
    first.stop()

    second = rest.host(taker_ppm=EXPENSIVE_PPM)
    second.step(0)

    assert inputs(rest) == ["Terms", "Adoption", "bar", "Terms"]


def test_the_same_terms_written_otherwise_are_no_input() -> None:
    rest = Rest()
    first = rest.host()
    trade(rest, first, bars=1)
    first.stop()
    same = replace(instrument(), tick=Decimal("0.010"), min_notional=Decimal("10.00"))

    rest.host(instruments={BTC: same}).step(0)

    assert inputs(rest) == ["Terms", "Adoption", "bar"]


def test_a_smaller_least_order_is_taken_up() -> None:
    rest = Rest(strategy="AsksForTheLeast")
    first = rest.host(instruments={BTC: instrument(min_notional="20")})
    trade(rest, first, bars=1)
    first.stop()

    trade(rest, rest.host(instruments={BTC: instrument(min_notional="40")}), bars=1)

    assert rest.lots() == [2_000, 4_000]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"tick": Decimal("0.1")}, "tick must stay 0.01, was 0.1"),
        ({"lot": Decimal("0.001")}, "lot must stay 0.0001, was 0.001"),
        ({"quote_scale": 2}, "quote_scale must stay 8, was 2"),
    ],
)
def test_another_grid_is_refused(edit: dict[str, Any], words: str) -> None:
    rest = Rest()
    first = rest.host()
    trade(rest, first, bars=1)
    first.stop()

    with pytest.raises(InvalidValue, match=words):
        rest.host(instruments={BTC: replace(instrument(), **edit)})


def test_an_instrument_that_is_not_listed_any_more_is_named() -> None:
    rest = Rest()
    other = Symbol("LTC-USD")

    with pytest.raises(InvalidValue, match="exchange demo/sim does not list BTC-USD"):
        rest.host(instruments={other: instrument(other)})


def test_a_record_without_terms_says_how_to_go_on() -> None:
    rest = Rest(strategy="HalvesWithMemory")
    first = rest.host()
    trade(rest, first, bars=1)
    first.stop()
    record = rest.database.fleets["fleet"].bots[rest.config.uid].record
    assert record is not None
    record.payloads[0] = record.payloads[1]

    with pytest.raises(NonDeterministic, match="change the bot's spec"):
        rest.host()


class Overtaken(MemoryStore):
    """The handle of a process that stands still while it starts: meanwhile the next generation of its bot begins."""

    def __init__(self, rest: Rest) -> None:
        super().__init__(rest.database)
        self._rest = rest

    def load_bot(self, bot: BotKey, uid: BotUid) -> BotRecord | None:
        """Return the record, as it is when the process goes on."""
        rest, old = self._rest, self._rest.config
        rest.config = replace(old, generation=old.generation + 1)
        trade(rest, rest.host(), bars=1)
        rest.config = old
        return super().load_bot(bot, uid)


def test_a_process_that_was_overtaken_by_the_next_generation_ends_as_fenced() -> None:
    rest = Rest()
    first = rest.host()
    trade(rest, first, bars=1)
    first.stop()

    with pytest.raises(Fenced, match="generation 2 has begun"):
        rest.host(store=Overtaken(rest))


def test_a_lockstep_run_keeps_the_terms_it_began_with() -> None:
    rest = Rest(run=RUN, strategy="HalvesWithMemory")
    participants = [FEED, VENUE, GATEWAY, bot_participant(rest.config.key, rest.config.uid)]
    rest.store.create_run(RUN, "demo/feed", participants, {})
    first = rest.host(taker_ppm=1_000)
    rest.close_step()
    first.step(0)
    first.stop()

    rest.host(taker_ppm=EXPENSIVE_PPM).step(0)

    assert inputs(rest) == ["Terms", "Adoption", "bar"]
