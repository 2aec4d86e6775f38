"""Whether a bot would decide again as it did: its recorded inputs are folded anew and its requests compared.

Snapshots are set aside, so the whole present generation is folded from its first input (rule 19), on the terms that it
began with: what the resources say today is of no account. Earlier generations ran another spec, which is not kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.errors import NonDeterministic, Retryable
from tradefleet.domain.ids import BotUid, StreamName, orders_stream
from tradefleet.domain.orders import BotRequest
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import request_message
from tradefleet.store.ports import BotStore, OutboxMessage
from workloads.strategy.bot import Bot
from workloads.strategy.recorded import recorded_sources
from workloads.strategy.slot import instrument_of, restore_bot

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


class ParityStore(BotStore, Protocol):
    """What is read of a bot."""

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return the bot's desired state."""


def verify(store: ParityStore, uid: BotUid) -> Parity:
    """Return whether the bot's requests come out of its recorded inputs again.

    Raises Retryable when its present generation has not begun.
    """
    command = store.bot_command(uid)
    if command is None:
        raise Retryable(f"bot {uid}: the fleet has not taken it up yet: try again in a moment")
    config = command.config
    record = store.load_bot(config.key, config.uid)
    if record is None or record.generation != config.generation or not record.input_count:
        raise Retryable(f"bot {config.key}: generation {config.generation} has no inputs yet: try again in a moment")
    comparison = _Comparison(config, _stored(store, config, record.first_request_seq))
    difference = ""
    try:
        restore_bot(
            record,
            config,
            store,
            recorded_sources(record, config.uid),
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

    def __init__(self, config: BotConfig, stored: Iterator[OutboxMessage]) -> None:
        self._config = config
        self._stored = stored
        self.count = 0
        self.difference = ""

    def compare(self, bot: Bot, requests: Sequence[BotRequest]) -> None:
        """Note the first request that is not the stored one."""
        for request in requests:
            self.count += 1
            if self.difference:
                continue
            row = next(self._stored, None)
            made = encode(request_message(request, self._config.uid, instrument_of(request, bot)))
            if row is None:
                self.difference = f"request {request.seq} was made now and is not in the outbox: {request}"
            elif (row.seq, row.payload) != (request.seq, made):
                self.difference = f"request {request.seq} differs: now {request}"


def _stored(store: ParityStore, config: BotConfig, after: int) -> Iterator[OutboxMessage]:
    stream: StreamName = orders_stream(config.uid)
    while found := store.read_stream(stream, after=after, limit=CHUNK):
        after = found[-1].seq
        yield from found
