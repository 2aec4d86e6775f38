"""Whether a bot would decide again as it did: its recorded inputs are folded anew and its requests compared.

Snapshots are set aside, so the whole present generation is folded from its first input (rule 19). Earlier generations
ran another spec, which is not kept.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradefleet.domain.bots import BotConfig
from tradefleet.domain.errors import NonDeterministic, Permanent, Retryable
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import BotUid, StreamName, Symbol, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import AmendRequest, BotRequest, CancelRequest
from tradefleet.messages.codec import decode_as, encode
from tradefleet.messages.convert import execution_of, request_message
from tradefleet.messages.trading import OrderExecuted
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.to_domain import exchange_terms
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.store.ports import OutboxMessage
from tradefleet.store.postgres.bots import PostgresBotStore
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.session import Session
from workloads.strategy.bot import Bot
from workloads.strategy.recorded import sources_of
from workloads.strategy.registry import build_strategy
from workloads.strategy.slot import restore_bot

CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What a fold gave. `difference` is the first one, empty when there is none."""

    generation: int
    inputs: int
    requests: int
    request_hash: str
    difference: str = ""

    @property
    def is_same(self) -> bool:
        """Whether every request was the recorded one, byte for byte."""
        return not self.difference

    def __str__(self) -> str:
        folded = f"generation {self.generation}: {self.inputs:,} inputs folded"
        if self.difference:
            return f"{folded}, DIFFERENT: {self.difference}"
        return f"{folded}, {self.requests:,} requests are the same byte for byte, hash {self.request_hash or '(none)'}"


def verify(session: Session, uid: str, resources: Collection[Resource]) -> Parity:
    """Return whether the bot's requests come out of its recorded inputs again.

    Raises Retryable when its present generation has not begun, Permanent when its exchange is not there.
    """
    command = PostgresCommandStore(session).bot_command(BotUid(uid))
    if command is None:
        raise Retryable(f"bot {uid}: the fleet has not taken it up yet: try again in a moment")
    config = command.config
    store = PostgresBotStore(session)
    record = store.load_bot(config.key, config.uid)
    if record is None or record.generation != config.generation:
        raise Retryable(f"bot {config.key}: generation {config.generation} has no inputs yet: try again in a moment")
    terms = exchange_terms(_exchange_of(uid, resources))
    comparison = _Comparison(config, terms.instruments, _stored(store, config, record.first_request_seq))
    taker_ppm = max(terms.maker_ppm, terms.taker_ppm, 0)

    def make_bot(config: BotConfig, request_seq: int) -> Bot:
        strategy = build_strategy(config.strategy, config.parameters)
        return Bot(config, terms.instruments, strategy, taker_ppm=taker_ppm, request_seq=request_seq)

    def decode_execution(payload: bytes) -> Execution:
        return execution_of(decode_as(payload, OrderExecuted), terms.instruments)

    difference = ""
    try:
        restore_bot(
            record,
            config,
            make_bot,
            store,
            sources_of(config, terms.exchange),
            decode_execution,
            use_snapshot=False,
            on_requests=comparison.compare,
        )
    except NonDeterministic as error:
        difference = str(error)
    if comparison.count < record.request_count and not comparison.difference:
        difference = difference or f"request {comparison.count + 1} of {record.request_count} was not made again"
    return Parity(
        generation=record.generation,
        inputs=record.input_count,
        requests=comparison.count,
        request_hash=record.request_hash,
        difference=comparison.difference or difference,
    )


class _Comparison:
    """Takes the fold's requests and holds each against the row that was committed."""

    def __init__(
        self, config: BotConfig, instruments: Mapping[Symbol, Instrument], stored: Iterator[OutboxMessage]
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._stored = stored
        self.count = 0
        self.difference = ""

    def compare(self, requests: Sequence[BotRequest]) -> None:
        """Note the first request that is not the stored one."""
        for request in requests:
            self.count += 1
            if self.difference:
                continue
            row = next(self._stored, None)
            made = encode(request_message(request, self._config.uid, self._instrument(request)))
            if row is None:
                self.difference = f"request {request.seq} was made now and is not in the outbox: {request}"
            elif (row.seq, row.payload) != (request.seq, made):
                self.difference = f"request {row.seq} differs: now {request}"

    def _instrument(self, request: BotRequest) -> Instrument:
        match request:
            case AmendRequest():
                return self._instruments[request.symbol]
            case CancelRequest():
                return self._instruments[self._config.symbols[0]]  # a cancel has no price and no size
            case _:
                return self._instruments[request.terms.symbol]


def _stored(store: PostgresBotStore, config: BotConfig, after: int) -> Iterator[OutboxMessage]:
    stream: StreamName = orders_stream(config.uid)
    while found := store.read_stream(stream, after=after, limit=CHUNK):
        after = found[-1].seq
        yield from found


def _exchange_of(uid: str, resources: Collection[Resource]) -> Exchange:
    for bot in resources:
        if isinstance(bot, TradingBot) and bot.metadata.uid == uid:
            key = ResourceKey("Exchange", bot.key.namespace, bot.spec.exchange_ref.name)
            exchange = next((each for each in resources if each.key == key), None)
            if isinstance(exchange, Exchange):
                return exchange
            raise Permanent(f"{bot.key}: its Exchange {bot.spec.exchange_ref.name} is not there any more")
    raise Permanent(f"bot {uid}: is not there any more")
