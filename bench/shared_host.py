"""A shared host: memory a bot, decisions a second at 1,000 bots in one process, and how late the last one decides.

Ours is `python -m workloads.strategy.main` as the supervisor starts a host, with 1,000 bots of the built-in SMA cross
on one instrument, over a real broker and a real database. A decision is one bot's answer to one closed bar, committed.
Its memory is the proportional set size with all bots after so many bars that their indicators are full, beside that of
the same process before it has any bot. The delay is from the bar's publication until the row of the last bot says that
it has answered: what a bot waits at most because of its neighbours. There is no gateway, so nothing is filled.

Run alone: python -m bench.shared_host [--quick]
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from governor.local.services import Services

from bench.figure import Result, is_quick, median, tell
from bench.machine import pss_kib
from bench.services import running, running_services, wait_for
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.numbered import OutboxPublisher
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.ids import AccountId, BotKey, BotUid, Symbol, bars_stream
from tradefleet.messages.topics import OHLC_STABLE
from tradefleet.runtime.clock import SystemClock
from tradefleet.store.logins import host_login
from tradefleet.store.ports import FeedCommit, feed_lease
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.databases import FeedDatabase
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.upkeep import PostgresFleetStore
from tradefleet.store.roles import Component
from workloads.feeds.sources.synthetic import SyntheticInstrument, SyntheticSource
from workloads.feeds.worker import FeedPlan, bar_encoder

BOTS: Final = 1_000
LIMIT_MIB: Final = 2.0
FILLING_BARS: Final = 64  # more than the slow average needs
ROUNDS: Final = 5
BATCH_BARS: Final = 50  # of a round that counts decisions
SINGLE_BARS: Final = 20  # of those whose last answer is waited for
HOST: Final = "host-default-sim-0"
EXCHANGE: Final = "default/sim"
ACCOUNT: Final = AccountId(f"{EXCHANGE}:main")
SYMBOL: Final = Symbol("BTC-USD")
STREAM: Final = bars_stream(EXCHANGE, SYMBOL, MINUTE_US)
START_US: Final = 1_704_067_200_000_000  # 2024-01-01
LEASE_US: Final = 3_600_000_000
START_S: Final = 120.0
SETTLE_S: Final = 1.0

_BEHIND = "SELECT count(*) FROM tradefleet.bot WHERE coalesce((positions ->> %s)::bigint, -1) < %s"


class Market:
    """Closes bars: committed, then published, as a feed does it."""

    def __init__(self, services: Services) -> None:
        clock = SystemClock()
        self._store = FeedDatabase(Session(services.url(Component.FEED), fleet=services.fleet))
        self._lease = self._store.acquire(feed_lease("default/bench"), holder="bench", generation=1, ttl_us=LEASE_US)
        plan = FeedPlan(
            feed="default/bench", exchange=EXCHANGE, holder="bench", generation=1, bars_topic=OHLC_STABLE.name
        )
        self._encode = bar_encoder(plan)
        self._publisher = OutboxPublisher(KafkaBus(services.kafka()), self._store, clock, self._encode)
        source = SyntheticSource(
            SyntheticInstrument(symbol=SYMBOL, start_price=Decimal(40_000)),
            seed=1,
            interval_us=MINUTE_US,
            start_us=START_US,
            bars=1_000_000,
        )
        self._bars: Iterator[Bar] = iter(source.bars())
        self.last_seq = 0
        self._connection = psycopg.connect(services.url(Component.SUPERVISOR), autocommit=True)

    def close_bars(self, count: int) -> None:
        """Let so many bars close at once."""
        bars = [
            (STREAM, self.last_seq + number, bar) for number, bar in enumerate(itertools.islice(self._bars, count), 1)
        ]
        self._store.commit_feed(FeedCommit(lease=self._lease, bars=bars, exchange=EXCHANGE))
        self.last_seq += count
        self._publisher.publish([self._encode(*each) for each in bars])

    def wait_for_all(self) -> None:
        """Return when every bot has answered the last bar."""

        def is_answered() -> bool:
            self._publisher.serve()
            found = self._connection.execute(_BEHIND, [STREAM, self.last_seq]).fetchone()
            return found is not None and found[0] == 0

        wait_for(is_answered, f"{BOTS} bots to answer bar {self.last_seq}", bound_s=START_S)

    def seconds(self, bars: int) -> float:
        """Return how long all bots take for so many more bars."""
        began_s = time.perf_counter()
        self.close_bars(bars)
        self.wait_for_all()
        return time.perf_counter() - began_s


def assign_bots(services: Services) -> None:
    """Make the bots' rows, assigned to the host, and their commands."""
    session = Session(services.url(Component.SUPERVISOR), fleet=services.fleet)
    fleet, commands = PostgresFleetStore(session), PostgresCommandStore(session)
    role = host_login(services.fleet, HOST)
    for number in range(BOTS):
        config = BotConfig(
            key=BotKey(f"default/bench-{number:04}"),
            uid=BotUid(f"bench-{number:04}"),
            generation=1,
            strategy="sma-cross",
            parameters={"fast": 10, "slow": 50},
            symbols=(SYMBOL,),
            interval_us=MINUTE_US,
            wallet={"USD": 10_000 * 10**8},
            seed=number,
        )
        fleet.register_bot(config.key, config.uid, db_role=role, host=HOST)
        commands.put_command(ACCOUNT, BotCommand(config=config))
    session.close()


def _settings() -> dict[str, object]:
    listed = {
        "symbol": SYMBOL,
        "base": "BTC",
        "quote": "USD",
        "tick": "0.01",
        "lot": "0.00000001",
        "intervals_us": [MINUTE_US],
    }
    exchange = {
        "exchange": EXCHANGE,
        "account": ACCOUNT,
        "instruments": [listed],
        "maker_ppm": 1_000,
        "taker_ppm": 1_000,
    }
    return {"host": HOST, "exchange": exchange}


def measure() -> list[Result]:
    """Return the figures."""
    rounds, singles = (2, 5) if is_quick() else (ROUNDS, SINGLE_BARS)
    with tempfile.TemporaryDirectory() as name, running_services() as services:
        settings, log = Path(name) / "host.json", Path(name) / "host.log"
        settings.write_bytes(msgspec.json.encode(_settings()))
        environment = {
            "TRADEFLEET_FLEET": services.fleet,
            "TRADEFLEET_COMPONENT": HOST,
            "TRADEFLEET_HOLDER": "bench",
            "TRADEFLEET_DATABASE_URL": services.host_url(HOST),
            "TRADEFLEET_KAFKA_BOOTSTRAP": services.bootstrap,
            "TRADEFLEET_KAFKA_SECURITY": msgspec.json.encode(services.kafka("bot").security).decode(),
            "TRADEFLEET_LOG_FORMAT": "json",
        }
        market = Market(services)
        with running(["-m", "workloads.strategy.main", str(settings)], environment, log) as process:
            try:
                wait_for(lambda: b'"message":"ready"' in log.read_bytes(), "the host to be ready")
                time.sleep(SETTLE_S)
                empty_kib = pss_kib(process.pid)
                assign_bots(services)
                market.wait_for_all()  # each has begun: a row that has no position yet counts as behind
                for _ in range(FILLING_BARS):
                    market.seconds(1)
                full_kib = pss_kib(process.pid)
                rates = [BOTS * BATCH_BARS / market.seconds(BATCH_BARS) for _ in range(rounds)]
                delays_ms = sorted(market.seconds(1) * 1_000 for _ in range(singles))
            except (Exception, SystemExit):
                sys.stderr.write(log.read_text(encoding="utf-8", errors="replace")[-2_000:])
                raise
    each_mib = (full_kib - empty_kib) / BOTS / 1_024
    in_one_gib = int((1 << 20) / (full_kib / BOTS))
    memory = f"PSS of the host: {empty_kib / 1024:.1f} MiB without bots, {full_kib / 1024:.1f} MiB with {BOTS:,} bots"
    at_once = f"{BATCH_BARS} bars at once, decisions a second: {', '.join(f'{rate:,.0f}' for rate in rates)}"
    single = f"one bar, ms until all {BOTS:,} bots have answered: {delays_ms[0]:,.0f} to {delays_ms[-1]:,.0f}"
    found = f"{median(rates):,.0f} a second at {BOTS:,} bots; a bar's last one after {median(delays_ms):,.0f} ms"
    return [
        Result(
            name="Memory of a bot in a shared host",
            goal=f"≤ {LIMIT_MIB:.0f} MiB a bot",
            found=f"{each_mib:.3f} MiB a bot, {in_one_gib:,} bots per GiB",
            is_met=each_mib <= LIMIT_MIB,
            numbers=(memory,),
        ),
        Result(
            name="Decisions of a shared host",
            goal="a number to know",
            found=found,
            is_met=None,
            numbers=(at_once, single),
        ),
    ]


if __name__ == "__main__":
    raise SystemExit(tell(*measure()))
