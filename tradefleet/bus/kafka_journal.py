"""The journal over Kafka: one writer per key, fenced by the broker through a transactional id (rule 3)."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tradefleet.bus.errors import BrokerUnavailable
from tradefleet.bus.kafka_client import FATAL_EXCEPTIONS, LIBRARY_LOG, KafkaSettings, fatal_error, translate
from tradefleet.bus.kafka_reader import KafkaReader
from tradefleet.bus.ports import Record, Source
from tradefleet.domain.errors import Fenced, OutcomeUnknown, Retryable
from tradefleet.messages.topics import find_topic

_LOG: Final = logging.getLogger(__name__)

READ_BATCH: Final = 1_000
READ_WAIT_US: Final = 200_000
READ_FETCH_WAIT_MS: Final = 10  # how long the broker says nothing at the end: a reader that only wants to get there
OPEN_TIMEOUT_S: Final = 10.0  # the coordinator of a new broker makes its own topic first; then it is tried again

_FENCED: Final = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - the library's public name for it
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
    }
)


class KafkaJournal:
    """The writer of one key. Opening it ends the transaction of whoever wrote before, and fences him.

    An append is one Kafka transaction; after an error whose outcome is not known the object refuses to go on: open
    another one, and read.
    """

    def __init__(self, settings: KafkaSettings, topic: str, key: str) -> None:
        self._settings = settings
        self._topic = find_topic(topic)
        self._key = key
        self._partition = self._topic.partition(key)
        self._broken: str | None = None
        self._fenced = False
        self._offsets: list[int] = []
        self._failed: KafkaError | None = None
        self._timeout_s = settings.transaction_timeout_ms / 1_000
        self._producer = Producer(
            {
                **settings.producer(),
                "transactional.id": f"{settings.topic(topic)}:{key}",
                "transaction.timeout.ms": settings.transaction_timeout_ms,
                "error_cb": self._on_error,
            },
            logger=LIBRARY_LOG,
        )
        try:
            self._producer.init_transactions(OPEN_TIMEOUT_S)
        except KafkaException as error:
            self.close()
            raise translate(error.args[0], f"opening the journal of {key}") from error

    def _on_error(self, error: KafkaError) -> None:
        # Every call that fails says so itself; without this callback the library raises in the middle of its others.
        _LOG.warning("journal of %s: %s: %s", self._key, error.name(), error.str())

    def append(self, values: Sequence[bytes]) -> list[int]:
        """Write all values or none and return their offsets. Raises Fenced, Retryable, OutcomeUnknown."""
        if self._fenced:
            raise self._fence()
        if self._broken is not None:
            raise OutcomeUnknown(f"journal of {self._key}: open it again and read it, since {self._broken}")
        self._offsets = []
        self._failed = None
        self._send(values)
        try:
            self._producer.commit_transaction(self._timeout_s)
        except FATAL_EXCEPTIONS as error:
            self._commit_failed(fatal_error(error), error)
        assert len(self._offsets) == len(values)
        return self._offsets

    def _send(self, values: Sequence[bytes]) -> None:
        name = self._settings.topic(self._topic.name)
        key = self._key.encode()
        try:
            self._producer.begin_transaction()
            for value in values:
                self._producer.produce(
                    name, value=value, key=key, partition=self._partition, on_delivery=self._on_delivery
                )
            waiting = self._producer.flush(self._timeout_s)
        except FATAL_EXCEPTIONS as error:
            self._abort(fatal_error(error), error)
        except BufferError as error:
            self._abort(KafkaError(KafkaError._QUEUE_FULL), error)  # noqa: SLF001
        if self._failed is not None:
            self._abort(self._failed, None)
        if waiting:
            self._abort(KafkaError(KafkaError._TIMED_OUT), None)  # noqa: SLF001

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._offsets.append(message.offset() or 0)
        else:
            self._failed = error

    def _abort(self, error: KafkaError, cause: Exception | None) -> NoReturn:
        """Give the transaction up, before its commit was asked for: nothing will be read."""
        if error.code() in _FENCED:
            raise self._fence() from cause
        try:
            self._producer.abort_transaction(self._timeout_s)
        except FATAL_EXCEPTIONS as failure:
            # It was never committed, so nobody will read it; but this producer is of no use any more.
            reason = fatal_error(failure)
            self._broken = f"its transaction could not be aborted ({reason.name()})"
            if reason.code() in _FENCED:
                raise self._fence() from failure
        raise Retryable(f"journal of {self._key}: nothing was written: {error.name()}: {error.str()}") from cause

    def _fence(self) -> Fenced:
        self._fenced = True
        return Fenced(f"journal of {self._key}: another writer opened it")

    def _commit_failed(self, failure: KafkaError, error: Exception) -> NoReturn:
        if failure.code() in _FENCED:
            raise self._fence() from error
        if failure.txn_requires_abort():
            self._abort(failure, error)
        self._broken = f"an append ended with {failure.name()}"
        raise OutcomeUnknown(
            f"journal of {self._key}: the append may have happened: {failure.name()}: {failure.str()}"
        ) from error

    def read(self, from_offset: int = 0) -> Iterator[Record]:
        """Return the committed records at `from_offset` and after, up to the end as it is at the call."""
        source = Source(topic=self._topic.name, keys=frozenset({self._key}), start={self._partition: from_offset})
        reader = KafkaReader(self._settings, [source], fetch_wait_ms=READ_FETCH_WAIT_MS)
        return _until_end(reader, self._settings.request_timeout_ms)

    def close(self) -> None:
        """Let go of the broker."""
        with contextlib.suppress(*FATAL_EXCEPTIONS):  # nothing is under way that anybody still asks about
            self._producer.purge()
            self._producer.flush(0)


def _until_end(reader: KafkaReader, patience_ms: int) -> Iterator[Record]:
    """Yield records until the reader is at the end. Raises BrokerUnavailable when nothing comes for too long."""
    silent_s = 0.0
    try:
        while not reader.at_end:
            began = time.monotonic()
            records = reader.poll(READ_BATCH, READ_WAIT_US)
            # A batch of other keys' records alone comes back empty, too, but at once.
            silent_s = 0.0 if records else silent_s + time.monotonic() - began
            if silent_s * 1_000 > patience_ms and not reader.at_end:
                raise BrokerUnavailable(f"nothing more came for {patience_ms} ms, and the end is not reached")
            yield from records
    finally:
        reader.close()
