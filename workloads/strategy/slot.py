"""One bot inside a host: the Bot machine with its lease, its place in the streams and what waits to be committed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotConfig, RunState
from tradefleet.domain.errors import NonDeterministic
from tradefleet.domain.executions import Adoption, Execution
from tradefleet.domain.ids import AccountId, StreamName
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import AmendRequest, BotRequest, CancelRequest
from tradefleet.domain.progress import Progress
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import request_message
from tradefleet.store.ports import ADOPTION_AND_COMMANDS, BotCommit, BotRecord, Lease, OutboxMessage, RunId
from workloads.strategy.bot import Bot
from workloads.strategy.recorded import (
    CommandInput,
    Fold,
    OwnInput,
    RecordStore,
    Sources,
    TimerInput,
    apply_own,
    decode_execution,
    encode_own,
    recorded_terms,
)
from workloads.strategy.registry import build_strategy
from workloads.strategy.terms import Terms


class Slot:
    """Applies inputs to one bot, remembers them for its record and builds the commit of all since the last one."""

    def __init__(
        self,
        *,
        bot: Bot,
        lease: Lease,
        record: BotRecord,
        sources: Sources,
        books: Adoption,
        account: AccountId,
        orders_topic: str,
        snapshot_every: int,
    ) -> None:
        self.bot = bot
        self.lease = lease
        self.sources = sources
        self.positions: dict[StreamName, int] = {**dict.fromkeys(sources.all, 0), **record.positions}
        self.input_count = record.input_count
        self._version = record.version
        self._snapshot_ordinal = record.snapshot_ordinal
        self._books = books
        self._account = account
        self._orders_topic = orders_topic
        self._snapshot_every = snapshot_every
        self._pending = bytearray()
        self._payloads: dict[int, bytes] = {}
        self._moved: set[StreamName] = set()
        self._requests: list[BotRequest] = []
        self.market_us = 0  # of the last bar since this process began

    @property
    def config(self) -> BotConfig:
        """The bot's config."""
        return self.bot.config

    @property
    def has_pending(self) -> bool:
        """True when inputs were applied that are not committed."""
        return bool(self._pending)

    @property
    def has_requests(self) -> bool:
        """True when the bot decided something that is not committed."""
        return bool(self._requests)

    @property
    def is_adopted(self) -> bool:
        """True once the first input of the generation was applied."""
        return self.input_count + len(self._pending) > 0

    # --- inputs ---------------------------------------------------------------------------------------------------

    def apply_own(self, value: OwnInput) -> None:
        """Apply an input that no stream keeps."""
        self._payloads[self.input_count + len(self._pending)] = encode_own(value)
        self._pending.append(ADOPTION_AND_COMMANDS)
        apply_own(self.bot, value)
        self._requests += self.bot.take_requests()

    def adopt(self, market_us: int) -> None:
        """Apply the generation's first inputs, which are the terms it trades on and the books."""
        self.apply_own(self.bot.terms)
        self.apply_own(replace(self._books, market_us=market_us))

    def take_terms(self, terms: Terms) -> None:
        """Apply the terms of today, unless the bot trades on them already or has yet to begin."""
        if self.is_adopted and terms != self.bot.terms:
            self.apply_own(terms)

    def command(self, state: RunState, market_us: int) -> None:
        """Apply the owner's wish; one that is fulfilled already is no input."""
        if state is not self.bot.run_state:
            self.apply_own(CommandInput(state, market_us))

    def reach(self, market_us: int) -> None:
        """Let market time reach `market_us`: an input only when a timer is due."""
        due_us = self.bot.next_due_us
        if due_us is not None and due_us <= market_us:
            self.apply_own(TimerInput(market_us))

    def apply_execution(self, seq: int, execution: Execution) -> None:
        """Apply the next execution of the bot's stream."""
        self._note(self.sources.executions, seq)
        self.bot.on_execution(execution)
        self._requests += self.bot.take_requests()

    def apply_bar(self, stream: StreamName, seq: int, bar: Bar) -> None:
        """Apply the next bar of one of the bot's streams."""
        self._note(stream, seq)
        self.market_us = bar.close_us
        self.bot.on_bar(bar)
        self._requests += self.bot.take_requests()

    def decode_execution(self, payload: bytes) -> Execution:
        """Return the execution in a payload of the bot's execution stream."""
        return decode_execution(self.bot, payload)

    def _note(self, stream: StreamName, seq: int) -> None:
        assert seq == self.positions[stream] + 1, f"{stream}: {seq} after {self.positions[stream]}"
        self.positions[stream] = seq
        self._moved.add(stream)
        self._pending.append(self.sources.number(stream))

    # --- commit ---------------------------------------------------------------------------------------------------

    def build_commit(
        self, *, progress: Progress | None = None, run: RunId | None = None, turn_size: int = 1
    ) -> BotCommit:
        """Return the commit of all inputs since the last one; `committed` follows once it is durable."""
        config = self.config
        ordinal = self.input_count + len(self._pending)
        snapshot: bytes | None = None
        if ordinal - self._snapshot_ordinal >= self._snapshot_every:
            saved = self.bot.snapshot()
            snapshot = None if saved is None else msgspec.json.encode(saved)
        return BotCommit(
            bot=config.key,
            uid=config.uid,
            epoch=self.lease.epoch,
            version=self._version,
            generation=config.generation,
            positions={stream: self.positions[stream] for stream in self._moved},
            first_ordinal=self.input_count,
            sources=bytes(self._pending),
            payloads=dict(self._payloads),
            requests=[self._message(request) for request in self._requests],
            request_count=self.bot.request_count,
            request_hash=self.bot.request_hash,
            snapshot=snapshot,
            progress=progress,
            run=run,
            turn_size=turn_size,
        )

    def committed(self, commit: BotCommit) -> None:
        """Note that `commit`, the last one built, is durable."""
        self._version += 1
        self.input_count += len(commit.sources)
        if commit.snapshot is not None:
            self._snapshot_ordinal = self.input_count
        self._pending.clear()
        self._payloads.clear()
        self._moved.clear()
        self._requests = []

    def _message(self, request: BotRequest) -> OutboxMessage:
        message = request_message(request, self.config.uid, instrument_of(request, self.bot))
        return OutboxMessage(
            stream=StreamName(message.stream),
            seq=request.seq,
            topic=self._orders_topic,
            key=self._account,
            market_us=request.market_us,
            payload=encode(message),
        )


def instrument_of(request: BotRequest, bot: Bot) -> Instrument:
    """Return the instrument in whose units a request is written."""
    instruments = bot.portfolio.instruments
    match request:
        case AmendRequest():
            return instruments[request.symbol]
        case CancelRequest():
            return instruments[bot.config.symbols[0]]  # a cancel has no price and no size
        case _:
            return instruments[request.terms.symbol]


def restore_bot(
    record: BotRecord,
    config: BotConfig,
    store: RecordStore,
    sources: Sources,
    *,
    terms: Terms | None = None,
    use_snapshot: bool = True,
    on_requests: Callable[[Bot, Sequence[BotRequest]], None] | None = None,
) -> Bot:
    """Return the bot as it was after its last committed input: from its snapshot if it has one, else from the start.

    It trades on the terms of its record; `terms` are for a generation without any input yet. Raises NonDeterministic
    when the requests of the fold are not those that were committed.
    """
    if record.input_count or terms is None:
        terms = recorded_terms(store, config)
    strategy = build_strategy(config.strategy, config.parameters)
    bot = Bot(config, terms.instruments, strategy, taker_ppm=terms.taker_ppm, request_seq=record.first_request_seq)
    ordinal, positions = 0, record.start_positions
    if use_snapshot and record.snapshot is not None:
        bot.restore(msgspec.json.decode(record.snapshot))
        ordinal, positions = record.snapshot_ordinal, record.snapshot_positions
    fold = Fold(store, bot, sources, positions=positions, ordinal=ordinal)
    fold.run(until=record.input_count, on_requests=on_requests)
    found = (bot.request_count, bot.request_hash) if record.input_count else (0, record.request_hash)
    if found != (record.request_count, record.request_hash):
        raise NonDeterministic(
            f"bot {config.key}: folding generation {record.generation} gave {bot.request_count} requests with hash "
            f"{bot.request_hash}, recorded are {record.request_count} with {record.request_hash}: does the strategy "
            "use the clock, its own randomness or data from outside?"
        )
    return bot
