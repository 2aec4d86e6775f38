"""Latency: from a closed bar to the venue's answer at the bot, through Kafka and Postgres, at live pace.

A real fleet (`tradefleet up`: supervisor, feed, venue, gateway and one bot, each a process, embedded Kafka and
Postgres) replays made-up minutes at 300x, five bars a second, so that no two orders overlap. The strategy sends a
market order on every bar. This process reads the same two topics as the bot: the clock starts when the bar arrives
here from Kafka, as it arrives at the bot, and stops when the execution ACCEPTED of the order made of that bar arrives
here, as it arrives at the bot. In between lie:

    bot: decision, 1 commit; 1 hop over trading.orders
    gateway: risk gate, reservation, ledger, 1 commit; 1 transaction that holds the halt switches while it sends
    venue, over TCP: 1 append to the journal, which is written and read back: 1 hop
    gateway: the report, 1 commit; 1 hop over trading.executions

The peer is a bare loop in one process with the same number of each, on the same broker and database, with the same
client settings, one after the other: 4 commits of one row, 3 hops (produced, consumed). It runs before and after the
fleet trades, at the same pace.

Run alone: python -m bench.latency [--quick]
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from governor.local.database import Database
from governor.local.fleet import LocalFleet
from governor.local.home import Home

from bench.figure import Result, is_quick, tell
from bench.services import wait_for
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.ports import Source
from tradefleet.domain.orders import OrderStatus
from tradefleet.messages.codec import decode
from tradefleet.messages.market import BarClosed
from tradefleet.messages.topics import EXECUTIONS, OHLC_STABLE
from tradefleet.messages.trading import OrderExecuted
from tradefleet.resources.common import API_VERSION, Resource
from tradefleet.resources.load import parse_body

LIMIT: Final = 1.3
BARS: Final = 400
QUICK_BARS: Final = 60
BARS_MAX: Final = 20_000  # more than are played
SILENCE_S: Final = 90.0  # without a message for so long something is wrong
WARM_BARS: Final = 20  # at first every process meets each kind of message for the first time
SPEED: Final = "300x"
PACE_S: Final = 0.2  # between two bars at that speed
SYMBOL: Final = "BTC-USD"
PROBE: Final = Path(__file__).with_name("probe")
PAYLOAD: Final = b"x" * 250  # as long as an order or an execution
COMMITS, HOPS = 4, 3


class BareLoop:
    """Commits and hops, one after the other, with the clients' own libraries."""

    def __init__(self, kafka: KafkaSettings, dsn: str) -> None:
        client: dict[str, Any] = kafka.client()
        producer = {**client, "enable.idempotence": True, "acks": "all", "linger.ms": 0}
        admin = AdminClient(client)  # kept while it works: what is asked of it ends with it
        for done in admin.create_topics([NewTopic("bench.hops", num_partitions=1, replication_factor=1)]).values():
            done.result(10)
        self._producer = Producer(producer)
        self._consumer = Consumer({**client, "group.id": "none", "enable.auto.commit": False})
        self._consumer.assign([TopicPartition("bench.hops", 0, 0)])
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("CREATE TABLE bench_row (id bigserial PRIMARY KEY, payload bytea NOT NULL)")

    def _commit(self) -> None:
        with self._connection.pipeline():
            self._connection.execute("BEGIN")
            self._connection.execute("INSERT INTO bench_row (payload) VALUES (%s)", [PAYLOAD], prepare=True)
            self._connection.execute("COMMIT")

    def _hop(self) -> None:
        self._producer.produce("bench.hops", PAYLOAD)
        self._producer.poll(0)
        message = self._consumer.poll(10.0)
        assert message is not None, "the broker did not bring the message"
        assert message.error() is None, message.error()

    def passage_us(self) -> float:
        """Return the microseconds of one passage."""
        began = time.perf_counter()
        self._commit()
        self._hop()
        self._commit()
        self._commit()
        self._hop()
        self._commit()
        self._hop()
        return (time.perf_counter() - began) * 1e6

    def run(self, count: int) -> list[float]:
        """Return so many passages, at the pace of the bars."""
        found: list[float] = []
        for _ in range(count):
            found.append(self.passage_us())
            time.sleep(PACE_S)
        return found

    def close(self) -> None:
        """Let go of broker and database, the producer included: it goes on for as long as it is there."""
        self._producer.flush(10)
        del self._producer
        self._consumer.close()
        self._connection.close()


def resources(*, is_silent: bool = False) -> list[Resource]:
    """Return the fleet's resources; a silent one brings no more bars."""
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        (
            "Exchange",
            "sim",
            {
                "venue": "simulator",
                "instruments": [{"symbol": SYMBOL, "tickSize": "0.01", "lotSize": "0.00000001", "minNotional": "1"}],
                "fees": {"makerBps": "10", "takerBps": "10"},
                "simulator": {"market": "replay"},
            },
        ),
        (
            "Dataset",
            "market",
            {
                "synthetic": {"seed": 1, "bars": BARS_MAX, "startPrices": {SYMBOL: "40000"}},
                "instruments": [SYMBOL],
                "intervals": ["1m"],
            },
        ),
        (
            "TradingBot",
            "probe",
            {
                "exchangeRef": {"name": "sim"},
                "instruments": [SYMBOL],
                "strategy": {"name": "latency_probe:Probe"},
                "wallet": {"USD": "1000000"},
            },
        ),
        (
            "Feed",
            "replay",
            {
                "exchangeRef": {"name": "sim"},
                "replay": {"datasetRefs": [{"name": "market"}], "speed": SPEED},
                "suspend": is_silent,
            },
        ),
    ]
    return [
        parse_body({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec})
        for kind, name, spec in bodies
    ]


def observe(bus: KafkaBus, count: int, start: Callable[[], None]) -> list[float]:
    """Return, in microseconds, how long after each bar the order made of it was accepted, as both arrive here."""
    sources = [
        Source(topic=OHLC_STABLE.name, keys=frozenset({f"default/sim:{SYMBOL}"})),
        Source(topic=EXECUTIONS.name, keys=frozenset({"default/probe"})),
    ]
    arrived: dict[int, float] = {}
    took: dict[int, float] = {}
    with closing(bus.reader(sources)) as reader:
        start()
        heard_s = time.monotonic()
        while len(took) < count + WARM_BARS and time.monotonic() - heard_s < SILENCE_S:
            for record in reader.poll(100, 200_000):
                now_s = time.perf_counter()
                heard_s = time.monotonic()
                match decode(record.value):
                    case BarClosed() as bar:
                        arrived.setdefault(bar.event_time_us, now_s)
                    case OrderExecuted(status=OrderStatus.ACCEPTED) as execution:
                        began_s = arrived.get(execution.event_time_us)
                        if began_s is not None:
                            took.setdefault(execution.event_time_us, (now_s - began_s) * 1e6)
    return list(took.values())[WARM_BARS:]


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measure() -> Result:
    """Return the figure."""
    bars = QUICK_BARS if is_quick() else BARS
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as name:
        fleet = LocalFleet(Home(Path(name)))
        fleet.prepare(ports={}, code_folder=PROBE)
        supervisor = fleet.start(say, attached=True)
        try:
            kafka = fleet.kafka()
            loop = BareLoop(kafka, Database(fleet.home.postgres).dsn())
            loop.run(WARM_BARS)
            before = loop.run(bars // 2)
            with KafkaBus(kafka) as bus:
                ours = observe(bus, bars, lambda: apply(fleet, resources()))
            apply(fleet, resources(is_silent=True))
            feed = Home(Path(name)).processes / "feed-default-replay.process"
            wait_for(lambda: not feed.exists(), "the feed to end", poll_s=0.2)
            after = loop.run(bars // 2)
            loop.close()
            if len(ours) < bars:
                raise SystemExit(f"only {len(ours)} orders were accepted: {logs(fleet.home)}")
        finally:
            supervisor.stop(say)
    return result(ours, [*before, *after])


def apply(fleet: LocalFleet, wanted: Sequence[Resource]) -> None:
    """Bring the resources into the fleet."""
    with closing(fleet.resources()) as known:
        known.apply(wanted)


def say(step: str) -> None:
    """Show what the fleet is doing."""
    print(f"  {step}", file=sys.stderr, flush=True)


def logs(home: Home) -> str:
    """Return the ends of the fleet's logs."""
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1_500:]}" for path in home.logs.glob("*.log"))


def result(ours: Sequence[float], bare: Sequence[float]) -> Result:
    """Return the figure from its samples."""
    lines = []
    for what, values in (("fleet, bar to acceptance", ours), ("bare loop", bare)):
        shown = "   ".join(f"p{part} {percentile(values, part / 100) / 1000:6.2f} ms" for part in (50, 90, 99))
        lines.append(f"{what:28s} {shown}   ({len(values)} passages)")
    ratios = {part: percentile(ours, part) / percentile(bare, part) for part in (0.5, 0.99)}
    lines.append(f"{COMMITS} commits and {HOPS} hops a passage, {PACE_S:g} s apart")
    return Result(
        name="Latency, bar to acceptance",
        goal=f"≤ {LIMIT}× a bare loop with as many Kafka hops and Postgres commits",
        found=f"p50 {percentile(ours, 0.5) / 1000:.2f} ms ({ratios[0.5]:.2f}×), "
        f"p99 {percentile(ours, 0.99) / 1000:.2f} ms ({ratios[0.99]:.2f}×)",
        is_met=max(ratios.values()) <= LIMIT,
        numbers=tuple(lines),
    )


if __name__ == "__main__":
    raise SystemExit(tell(measure()))
