"""A dedicated bot's process: memory and start, beside an empty asyncio process with the same libraries, connected.

Ours is `python -m workloads.strategy.main` as the supervisor starts it, with the built-in SMA cross; it counts as
started when its log says that it is ready: lease taken, record loaded, streams open. Its memory is taken after it has
worked through some hundred bars. The peer (peers/empty_process.py) imports confluent_kafka, fastavro and psycopg,
connects a producer, a consumer and a database session, and does nothing. PSS shares pages among all who map them, RSS
does not.

Run alone: python -m bench.bot_process [--quick]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from governor.local.services import Services

from bench.figure import Result, is_quick, median, tell
from bench.machine import cpu_s, pss_kib, rss_kib
from bench.services import running, running_services, wait_for
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.numbered import OutboxPublisher
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import BotConfig, config_values
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.messages.topics import OHLC_STABLE
from tradefleet.runtime.clock import SystemClock
from tradefleet.store.components import Component
from tradefleet.store.postgres.databases import FeedDatabase
from tradefleet.store.postgres.session import Session
from workloads.feeds.replay import Replay
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource
from workloads.feeds.worker import STEPS_A_COMMIT, FeedPlan, FeedWorker, bar_encoder

LIMIT: Final = 1.25
ROUNDS: Final = 7
EXCHANGE: Final = "default/sim"
SYMBOL: Final = Symbol("BTC-USD")
START_US: Final = 1_704_067_200_000_000  # 2024-01-01
COMMITS: Final = 5  # of bars, for each bot: 320 bars
SETTLE_S: Final = 0.5
PEER: Final = Path(__file__).with_name("peers") / "empty_process.py"

_POSITION = "SELECT positions ->> %s FROM tradefleet.bot WHERE uid = %s"


@dataclass(frozen=True, slots=True)
class Sample:
    """One process: seconds until it was ready by the wall's clock and by its processor time, and its memory then."""

    wall_s: float
    cpu_s: float
    pss_kib: float
    rss_kib: float


class Bots:
    """Starts bots one after the other, and feeds them."""

    def __init__(self, services: Services, folder: Path, rounds: int) -> None:
        self._services = services
        self._folder = folder
        self._count = 0
        clock = SystemClock()
        store = FeedDatabase(Session(services.url(Component.FEED), fleet=services.fleet))
        source = SyntheticSource(
            SyntheticInstrument(symbol=SYMBOL, start_price=Decimal(40_000)),
            seed=1,
            interval_us=MINUTE_US,
            start_us=START_US,
            bars=(rounds + 1) * COMMITS * STEPS_A_COMMIT,
        )
        plan = FeedPlan(
            feed="default/bench", exchange=EXCHANGE, holder="bench", generation=1, bars_topic=OHLC_STABLE.name
        )
        bus = KafkaBus(services.kafka())
        self._publisher = OutboxPublisher(bus, store, clock, bar_encoder(plan))
        self._feed = FeedWorker(plan, store=store, source=Replay([source]), publisher=self._publisher, clock=clock)
        self._feed.start()
        self._last_seq = 0

    def sample(self) -> Sample:
        """Start a bot of its own, feed it, and return what it took."""
        self._count += 1
        uid, key = BotUid(f"bench-{self._count}"), BotKey(f"default/bench-{self._count}")
        settings = self._folder / f"{uid}.json"
        settings.write_bytes(msgspec.json.encode(_settings(key, uid)))
        environment = {
            "TRADEFLEET_FLEET": self._services.fleet,
            "TRADEFLEET_COMPONENT": f"bot-{self._count}",
            "TRADEFLEET_HOLDER": "bench",
            "TRADEFLEET_DATABASE_URL": self._services.admit_bot(key, uid),
            "TRADEFLEET_KAFKA_BOOTSTRAP": self._services.bootstrap,
            "TRADEFLEET_KAFKA_SECURITY": _security(self._services),
            "TRADEFLEET_HEALTH_PORT": "0",
            "TRADEFLEET_LOG_FORMAT": "json",
        }
        return start(
            ["-m", "workloads.strategy.main", str(settings)],
            environment,
            self._folder / f"{uid}.log",
            is_ready=lambda log: b'"message":"ready"' in log.read_bytes(),
            work=lambda: self._feed_bot(uid),
        )

    def _feed_bot(self, uid: BotUid) -> None:
        for _ in range(COMMITS):
            self._feed.step(0)
        self._last_seq += COMMITS * STEPS_A_COMMIT
        with psycopg.connect(self._services.url(Component.SUPERVISOR), autocommit=True) as connection:

            def has_read() -> bool:
                self._publisher.serve()
                found = connection.execute(_POSITION, [f"bars/{EXCHANGE}:{SYMBOL}:60s", uid]).fetchone()
                return found is not None and found[0] is not None and int(found[0]) >= self._last_seq

            wait_for(has_read, f"bot {uid} to read its bars", poll_s=0.05)


def _security(services: Services) -> str:
    """Return how a bot proves to the broker who it is, as JSON."""
    return msgspec.json.encode(services.kafka("bot").security).decode()


def _settings(key: BotKey, uid: BotUid) -> dict[str, object]:
    config = BotConfig(
        key=key,
        uid=uid,
        generation=1,
        strategy="sma-cross",
        parameters={"fast": 10, "slow": 50},
        symbols=(SYMBOL,),
        interval_us=MINUTE_US,
        wallet={"USD": 10_000 * 10**8},
    )
    exchange = {
        "exchange": EXCHANGE,
        "account": f"{EXCHANGE}:main",
        "instruments": [
            {
                "symbol": SYMBOL,
                "base": "BTC",
                "quote": "USD",
                "tick": "0.01",
                "lot": "0.00000001",
                "intervals_us": [MINUTE_US],
            }
        ],
        "maker_ppm": 1_000,
        "taker_ppm": 1_000,
    }
    return {"bots": [config_values(config)], "exchange": exchange}


def start(
    command: list[str],
    environment: dict[str, str],
    log: Path,
    *,
    is_ready: Callable[[Path], bool],
    work: Callable[[], None],
) -> Sample:
    """Start a process, wait until it is ready, let it work, and return what it took."""
    began_s = time.perf_counter()
    with running(command, environment, log) as process:
        try:
            wait_for(lambda: process.poll() is not None or is_ready(log), f"{command} to be ready", poll_s=0.01)
            if process.poll() is not None:
                raise SystemExit(f"{command} ended with status {process.returncode} before it was ready")
            wall_s, used_s = time.perf_counter() - began_s, cpu_s(process.pid)
            work()
            time.sleep(SETTLE_S)
            return Sample(wall_s, used_s, pss_kib(process.pid), rss_kib(process.pid))
        except (Exception, SystemExit):
            sys.stderr.write(log.read_text(encoding="utf-8", errors="replace")[-2_000:])
            raise


def measure() -> Result:
    """Return the figure."""
    rounds = 2 if is_quick() else ROUNDS
    ours: list[Sample] = []
    empty: list[Sample] = []
    with tempfile.TemporaryDirectory() as name, running_services() as services:
        folder = Path(name)
        bots = Bots(services, folder, rounds)
        environment = {
            "BENCH_KAFKA": services.bootstrap,
            "BENCH_KAFKA_SECURITY": _security(services),
            "BENCH_DATABASE": services.url(Component.FEED),
        }
        for number in range(rounds + 1):  # the first of each fills the disk cache, and does not count
            found = [
                start(
                    [str(PEER)],
                    environment,
                    folder / f"peer-{number}.log",
                    is_ready=lambda log: b"ready" in log.read_bytes(),
                    work=lambda: None,
                ),
                bots.sample(),
            ]
            print(f"  round {number}: empty {found[0]}, bot {found[1]}", file=sys.stderr, flush=True)
            if number:
                empty.append(found[0])
                ours.append(found[1])
    ratios = {}
    lines = []
    for field, unit, scale in (
        ("pss_kib", "MiB PSS", 1 / 1024),
        ("rss_kib", "MiB RSS", 1 / 1024),
        ("cpu_s", "ms of processor time to ready", 1_000),
        ("wall_s", "ms by the wall's clock to ready", 1_000),
    ):
        mine, theirs = (median([getattr(each, field) for each in samples]) * scale for samples in (ours, empty))
        ratios[field] = mine / theirs
        lines.append(f"{unit:32s} bot {mine:7.1f}, empty process {theirs:7.1f}, ratio {mine / theirs:.2f}")
    lines.append(f"medians of {rounds} starts each, in turns; memory of the bot after {COMMITS * STEPS_A_COMMIT} bars")
    return Result(
        name="A dedicated bot's process",
        goal=f"≤ {LIMIT}× an empty asyncio process with confluent-kafka, fastavro, psycopg",
        found=f"memory {ratios['pss_kib']:.2f}× (PSS), {ratios['rss_kib']:.2f}× (RSS); start {ratios['cpu_s']:.2f}× "
        f"(processor time), {ratios['wall_s']:.2f}× (wall)",
        is_met=max(ratios.values()) <= LIMIT,
        numbers=tuple(lines),
    )


if __name__ == "__main__":
    raise SystemExit(tell(measure()))
