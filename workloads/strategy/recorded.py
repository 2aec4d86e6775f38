"""A bot's recorded inputs: what the record keeps itself, and how all of them are folded into a Bot (rule 19).

The record is one byte an input, naming its source: the record itself (terms, adoption, commands, timers), the execution
stream, or one of the bot's bar streams. Streams are gapless, so the order of sources says which inputs they were.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotConfig, RunState
from tradefleet.domain.errors import NonDeterministic
from tradefleet.domain.executions import Adoption, Execution
from tradefleet.domain.ids import BotUid, StreamName, bars_stream, executions_stream
from tradefleet.domain.orders import BotRequest
from tradefleet.messages.codec import decode_as
from tradefleet.messages.convert import execution_of
from tradefleet.messages.trading import OrderExecuted
from tradefleet.store.ports import ADOPTION_AND_COMMANDS, EXECUTIONS, FIRST_BARS, BotRecord, OutboxMessage
from workloads.strategy.bot import Bot
from workloads.strategy.terms import Terms

V = TypeVar("V")

CHUNK = 500  # inputs and stream messages read at a time


class CommandInput(NamedTuple):
    """The owner's wish, as it reached the bot."""

    state: RunState
    market_us: int


class TimerInput(NamedTuple):
    """Market time reached a timer."""

    market_us: int


OwnInput = Terms | Adoption | CommandInput | TimerInput


def encode_own(value: OwnInput) -> bytes:
    """Return the payload of an input that no stream keeps."""
    return msgspec.json.encode([type(value).__name__, value])


_OWN: dict[str, Any] = {kind.__name__: kind for kind in (Terms, Adoption, CommandInput, TimerInput)}


def decode_own(payload: bytes) -> OwnInput:
    """Return the input that `encode_own` wrote."""
    name, value = msgspec.json.decode(payload, type=tuple[str, msgspec.Raw])
    decoded: OwnInput = msgspec.json.decode(value, type=_OWN[name])
    return decoded


def apply_own(bot: Bot, value: OwnInput) -> None:
    """Hand an own input to the bot."""
    match value:
        case Terms():
            bot.on_terms(value)
        case Adoption():
            bot.adopt(value)
        case CommandInput():
            bot.on_command(value.state, value.market_us)
        case TimerInput():
            bot.on_timer(value.market_us)


def decode_execution(bot: Bot, payload: bytes) -> Execution:
    """Return the execution in a payload of the bot's execution stream, in the ticks and lots of the bot's terms."""
    return execution_of(decode_as(payload, OrderExecuted), bot.portfolio.instruments)


class Sources(NamedTuple):
    """The streams a bot reads, each with its number in the record."""

    executions: StreamName
    bars: tuple[StreamName, ...]  # sorted; the first has number FIRST_BARS

    @property
    def all(self) -> tuple[StreamName, ...]:
        """Every stream, executions first."""
        return (self.executions, *self.bars)

    def number(self, stream: StreamName) -> int:
        """Return the byte that stands for a stream in the record."""
        return EXECUTIONS if stream == self.executions else FIRST_BARS + self.bars.index(stream)


def sources_of(config: BotConfig, exchange: str) -> Sources:
    """Return the streams that `config` reads from `exchange` ("namespace/name")."""
    bars = sorted(bars_stream(exchange, symbol, config.interval_us) for symbol in config.symbols)
    return Sources(executions_stream(config.uid), tuple(bars))


def recorded_sources(record: BotRecord, uid: BotUid) -> Sources:
    """Return the streams that a generation reads, as its record has them."""
    executions = executions_stream(uid)
    return Sources(executions, tuple(sorted(record.start_positions.keys() - {executions})))


class RecordStore(Protocol):
    """What a fold reads."""

    def read_record(self, uid: BotUid, generation: int, *, after: int, limit: int) -> tuple[bytes, dict[int, bytes]]:
        """Return sources from ordinal `after` on, with the payloads among them."""

    def read_stream(self, stream: StreamName, *, after: int, limit: int) -> list[OutboxMessage]:
        """Return messages numbered after + 1 and up."""

    def read_bars(self, stream: StreamName, *, after: int, limit: int) -> list[tuple[int, Bar]]:
        """Return bars numbered after + 1 and up."""


def recorded_terms(store: RecordStore, config: BotConfig) -> Terms:
    """Return the terms that the bot's generation began with. Raises NonDeterministic for a record without any."""
    _, payloads = store.read_record(config.uid, config.generation, after=0, limit=1)
    first = decode_own(payloads[0]) if 0 in payloads else None
    if not isinstance(first, Terms):
        raise NonDeterministic(
            f"bot {config.key}: the record of generation {config.generation} must begin with the terms it trades on, "
            f"begins with {first}: another release wrote it; change the bot's spec, which begins a new generation"
        )
    return first


class Fold:
    """Feeds a generation's recorded inputs, from `ordinal` on, to a Bot.

    `positions` are the stream positions before that ordinal; they move as the fold goes on.
    """

    def __init__(
        self,
        store: RecordStore,
        bot: Bot,
        sources: Sources,
        *,
        positions: Mapping[StreamName, int],
        ordinal: int,
    ) -> None:
        self.positions = dict(positions)
        self.ordinal = ordinal
        self._store = store
        self._bot = bot
        self._sources = sources
        self._executions: deque[tuple[int, Execution]] = deque()
        self._bars: dict[StreamName, deque[tuple[int, Bar]]] = {stream: deque() for stream in sources.bars}

    def run(self, *, until: int, on_requests: Callable[[Bot, Sequence[BotRequest]], None] | None = None) -> None:
        """Apply inputs until `until` of them have been applied in this generation.

        The requests they cause are handed to `on_requests`, else dropped: they were committed the first time. Raises
        NonDeterministic when the record or a stream ends too early.
        """
        config = self._bot.config
        while self.ordinal < until:
            limit = min(CHUNK, until - self.ordinal)
            sources, payloads = self._store.read_record(config.uid, config.generation, after=self.ordinal, limit=limit)
            if not sources:
                raise NonDeterministic(
                    f"bot {config.key}: the record of generation {config.generation} ends after {self.ordinal} inputs, "
                    f"the bot had applied {until}"
                )
            for source in sources:
                self._apply(source, payloads)
                requests = self._bot.take_requests()
                if requests and on_requests is not None:
                    on_requests(self._bot, requests)

    def _apply(self, source: int, payloads: Mapping[int, bytes]) -> None:
        if source == ADOPTION_AND_COMMANDS:
            apply_own(self._bot, decode_own(payloads[self.ordinal]))
        elif source == EXECUTIONS:
            seq, execution = self._next(self._sources.executions, self._executions, self._read_executions)
            self._bot.on_execution(execution)
            self.positions[self._sources.executions] = seq
        else:
            stream = self._sources.bars[source - FIRST_BARS]
            seq, bar = self._next(stream, self._bars[stream], self._store.read_bars)
            self._bot.on_bar(bar)
            self.positions[stream] = seq
        self.ordinal += 1

    def _read_executions(self, stream: StreamName, *, after: int, limit: int) -> Iterable[tuple[int, Execution]]:
        messages = self._store.read_stream(stream, after=after, limit=limit)
        return [(message.seq, decode_execution(self._bot, message.payload)) for message in messages]

    def _next(
        self, stream: StreamName, waiting: deque[tuple[int, V]], read: Callable[..., Iterable[tuple[int, V]]]
    ) -> tuple[int, V]:
        if not waiting:
            waiting.extend(read(stream, after=self.positions.get(stream, 0), limit=CHUNK))
        if not waiting:
            raise NonDeterministic(
                f"bot {self._bot.config.key}: stream {stream} ends at {self.positions.get(stream, 0)}, "
                "the record has more"
            )
        return waiting.popleft()
