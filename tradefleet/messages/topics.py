"""The topics of the fleet: names, keys, how long they keep what, and which message types they carry (design §4)."""

import re
from enum import Enum
from typing import Final
from zlib import crc32

import msgspec

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.messages.control import BotCommanded, RiskCommanded, RiskStateChanged
from tradefleet.messages.dead_letter import DeadLetter
from tradefleet.messages.fields import Message
from tradefleet.messages.journal import JournalBars, JournalConfigured, JournalRequests
from tradefleet.messages.market import BarClosed, BarUpdated, BookChanged, MarketTraded, TickerChanged
from tradefleet.messages.performance import BotMeasured, ReportFinished
from tradefleet.messages.schema_registry import SchemaPublished
from tradefleet.messages.social import PostPublished
from tradefleet.messages.trading import AmendRequested, CancelRequested, OrderExecuted, OrderRequested

FOREVER: Final = -1
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
MONTH_MS: Final = 30 * DAY_MS

PREFIX_LENGTH_MAX: Final = 100  # Kafka allows 249 characters for the whole name
_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)?")


class Keeping(Enum):
    """What a topic keeps."""

    RETAINED = "delete"  # everything, for a time
    COMPACTED = "compact"  # the newest message of each key, for ever


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic. `name` is without the installation's prefix; `key` says in words what its messages are keyed by.

    A key always goes to the same partition, so the order of one key's messages is kept. `written_by` and `read_by` say
    in words which parts of this release do; the command line and other programs may read every topic.
    """

    name: str
    key: str
    messages: tuple[type[Message], ...]
    partitions: int
    keeping: Keeping = Keeping.RETAINED
    retention_ms: int = WEEK_MS
    about: str
    written_by: str = ""  # empty: nobody yet; the topic is there for writers of your own
    read_by: str = ""

    def partition(self, key: str) -> int:
        """Return the partition of `key`: the same one in every process, release and implementation of the bus."""
        return crc32(key.encode()) % self.partitions


OHLC_STABLE: Final = Topic(
    name="market.ohlc.stable",
    key="exchange:instrument",
    messages=(BarClosed,),
    partitions=4,
    about="Closed bars. They never change.",
    written_by="feeds",
    read_by="simulators, gateways, bots",
)
OHLC_LIVE: Final = Topic(
    name="market.ohlc.live",
    key="exchange:instrument",
    messages=(BarUpdated,),
    partitions=4,
    retention_ms=DAY_MS,
    about="The forming bar.",
)
TICKER: Final = Topic(
    name="market.ticker",
    key="exchange:instrument",
    messages=(TickerChanged,),
    partitions=4,
    retention_ms=DAY_MS,
    about="Best bid and ask, and the last price.",
    read_by="recorders",
)
TRADES: Final = Topic(
    name="market.trades",
    key="exchange:instrument",
    messages=(MarketTraded,),
    partitions=4,
    retention_ms=DAY_MS,
    about="Public trades of the venue.",
    read_by="recorders",
)
BOOK: Final = Topic(
    name="market.book",
    key="exchange:instrument",
    messages=(BookChanged,),
    partitions=4,
    retention_ms=DAY_MS,
    about="L2 snapshots and deltas of the order book.",
)
ORDERS: Final = Topic(
    name="trading.orders",
    key="exchange account",
    messages=(OrderRequested, AmendRequested, CancelRequested),
    partitions=4,
    about="Order requests, amends and cancels. The gateway is woken by them and takes the committed rows.",
    written_by="bots",
    read_by="gateways",
)
EXECUTIONS: Final = Topic(
    name="trading.executions",
    key="bot",
    messages=(OrderExecuted,),
    partitions=4,
    about="What happened to orders.",
    written_by="gateways",
    read_by="bots",
)
RISK_MANAGEMENT: Final = Topic(
    name="risk.management",
    key="scope",
    messages=(RiskCommanded,),
    partitions=1,
    about="Halts and their ends, as they were asked for.",
    written_by="the Governor",
)
RISK_STATE: Final = Topic(
    name="risk.state",
    key="scope",
    messages=(RiskStateChanged,),
    partitions=1,
    keeping=Keeping.COMPACTED,
    retention_ms=FOREVER,
    about="The risk state of each scope.",
    written_by="gateways",
)
COMMANDS: Final = Topic(
    name="fleet.commands",
    key="bot",
    messages=(BotCommanded,),
    partitions=1,
    keeping=Keeping.COMPACTED,
    retention_ms=FOREVER,
    about="The whole desired running state of each bot.",
    written_by="the Governor",
)
METRICS: Final = Topic(
    name="performance.metrics",
    key="bot",
    messages=(BotMeasured,),
    partitions=4,
    about="Equity, buy-and-hold, fees and positions of bots as they change.",
    written_by="gateways",
)
REPORTS: Final = Topic(
    name="reports.performance",
    key="bot",
    messages=(ReportFinished,),
    partitions=1,
    retention_ms=MONTH_MS,
    about="Reports of Backtests that are ready, one message for each bot; again after a restart of the Governor.",
    written_by="the Governor",
)
SOCIAL: Final = Topic(
    name="signals.social",
    key="source:author",
    messages=(PostPublished,),
    partitions=1,
    about="Posts from social media.",
)
JOURNAL: Final = Topic(
    name="exchange.journal",
    key="exchange",
    messages=(JournalConfigured, JournalBars, JournalRequests),
    partitions=4,
    retention_ms=FOREVER,
    about="The simulator's inputs in their order: its state is a replay of them.",
    written_by="simulators",
    read_by="simulators, gateways",
)
DEAD_LETTER: Final = Topic(
    name="dead-letter",
    key="origin topic",
    messages=(DeadLetter,),
    partitions=1,
    retention_ms=MONTH_MS,
    about="What could not be decoded or applied, with the reason.",
    written_by="simulators, gateways, bots, recorders",
)

SCHEMAS: Final = Topic(
    name="fleet.schemas",
    key="schema fingerprint",
    messages=(SchemaPublished,),
    partitions=1,
    keeping=Keeping.COMPACTED,
    retention_ms=FOREVER,
    about="The schemas of all releases that ran here, for readers that meet a newer one's messages.",
    written_by="the Governor",
    read_by="whoever meets a schema that it does not know",
)

TOPICS: Final[dict[str, Topic]] = {
    topic.name: topic
    for topic in (
        OHLC_STABLE,
        OHLC_LIVE,
        TICKER,
        TRADES,
        BOOK,
        ORDERS,
        EXECUTIONS,
        RISK_MANAGEMENT,
        RISK_STATE,
        COMMANDS,
        METRICS,
        REPORTS,
        SOCIAL,
        JOURNAL,
        DEAD_LETTER,
        SCHEMAS,
    )
}


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it can open topic names: letters, digits, `.`, `_`, `-`. Raises InvalidValue."""
    if not _PREFIX.fullmatch(prefix) or len(prefix) > PREFIX_LENGTH_MAX:
        raise InvalidValue(
            f"topic prefix must be at most {PREFIX_LENGTH_MAX} letters, digits, dots, underscores and hyphens, "
            f"the first a letter or digit; was {prefix!r}"
        )
    return prefix


def find_topic(name: str, prefix: str = "") -> Topic:
    """Return the topic called `name`, with or without the prefix. Raises InvalidValue naming the topics there are."""
    topic = TOPICS.get(name) or TOPICS.get(name.removeprefix(prefix))
    if topic is None:
        raise InvalidValue(f"there is no topic {name!r}: topics are {', '.join(TOPICS)}")
    return topic


def market_key(exchange: str, symbol: Symbol) -> str:
    """Return the key of market data; `exchange` is namespace/name."""
    return f"{exchange}:{symbol}"


def bot_key(bot: BotKey) -> str:
    """Return the key of what is addressed to, or measured of, a bot."""
    return bot
