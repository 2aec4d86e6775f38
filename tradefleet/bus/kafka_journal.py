"""The journal over Kafka: one writer per key, fenced by the order of the log (see `journal_log`).

A transaction an append would fence, too, and take five times as long; after one, Kafka is not ready for the next for
some milliseconds. Instead a writer reads what it wrote before it says so: an append has happened when its records came
back, and no other writer's mark before them. Decision 11 says why nothing is lost by it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tradefleet.bus.errors import BrokerUnavailable, PositionLost
from tradefleet.bus.journal_log import Entry, JournalLog
from tradefleet.bus.kafka_client import (
    FATAL_EXCEPTIONS,
    LIBRARY_LOG,
    KafkaSettings,
    fatal_error,
    new_consumer,
    translate,
)
from tradefleet.bus.ports import Record
from tradefleet.domain.errors import Fenced, OutcomeUnknown, Retryable
from tradefleet.messages.topics import find_topic

_LOG: Final = logging.getLogger(__name__)

READ_BATCH: Final = 1_000
OPEN_TIMEOUT_S: Final = 10.0
LOOK_S: Final = 0.1  # how often a writer that waits for its records looks whether their sending has failed

_MARK: Final = "mark"  # headers of a record: the offset of its writer's mark
_PART: Final = "part"  # and, where an append has several records, "1/3", "2/3", "3/3"


class KafkaJournal:
    """The writer of one key. Opening it fences whoever wrote before.

    After an error whose outcome is not known the object refuses to go on: open another one, and read.
    """

    def __init__(self, settings: KafkaSettings, topic: str, key: str) -> None:
        self._settings = settings
        self._topic = find_topic(topic)
        self._key = key
        self._place = (settings.topic(self._topic.name), self._topic.partition(key))
        self._timeout_s = settings.append_timeout_ms / 1_000
        self._is_fenced = False
        self._broken: str | None = None
        self._failed: KafkaError | None = None
        self._marked: int | None = None
        self._producer = Producer({**settings.producer(), "error_cb": self._on_error}, logger=LIBRARY_LOG)
        self._consumer: Consumer | None = None
        try:
            self._mark = self._write_mark()
            self._consumer = self._read_from(self._mark + 1)
        except BaseException:
            self.close()
            raise
        self._log = JournalLog(self._mark)
        self._last = self._mark  # the last entry of ours

    def _on_error(self, error: KafkaError) -> None:
        # Every call that fails says so itself; without this callback the library raises in the middle of its others.
        _LOG.warning("journal of %s: %s: %s", self._key, error.name(), error.str())

    def _write_mark(self) -> int:
        """Become the writer; return the offset of the mark. Raises BrokerUnavailable, Retryable."""
        topic, partition = self._place
        try:
            self._producer.produce(
                topic, value=None, key=self._key.encode(), partition=partition, on_delivery=self._on_mark
            )
            self._producer.flush(OPEN_TIMEOUT_S)
        except FATAL_EXCEPTIONS as error:
            raise translate(fatal_error(error), f"opening the journal of {self._key}") from error
        if self._failed is not None:
            raise translate(self._failed, f"opening the journal of {self._key}")
        if self._marked is None:
            raise BrokerUnavailable(f"journal of {self._key}: cannot be opened within {OPEN_TIMEOUT_S:g} s")
        return self._marked

    def _on_mark(self, error: KafkaError | None, message: Message) -> None:
        self._failed = error
        self._marked = message.offset()

    # --- writing --------------------------------------------------------------------------------------------------

    def append(self, values: Sequence[bytes]) -> list[int]:
        """Write all values or none and return their offsets. Raises Fenced, Retryable, OutcomeUnknown."""
        if self._is_fenced:
            raise self._fenced()
        if self._broken is not None:
            raise OutcomeUnknown(f"journal of {self._key}: open it again and read it, since {self._broken}")
        if not values:
            return []
        self._send(values)
        offsets = self._read_back()
        self._last = offsets[-1]
        return offsets

    def _send(self, values: Sequence[bytes]) -> None:
        topic, partition = self._place
        for number, value in enumerate(values, start=1):
            headers: list[tuple[str, str | bytes | None]] = [(_MARK, str(self._mark))]
            if len(values) > 1:
                headers.append((_PART, f"{number}/{len(values)}"))
            try:
                self._producer.produce(
                    topic,
                    value=value,
                    key=self._key.encode(),
                    partition=partition,
                    headers=headers,
                    on_delivery=self._on_delivery,
                )
            except (KafkaException, BufferError) as error:
                # The parts before it, if any, do not count without this one.
                self._broken = f"a record could not be sent ({error})"
                raise Retryable(f"journal of {self._key}: nothing was written: {error}") from error

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        del message
        self._failed = self._failed or error

    def _read_back(self) -> list[int]:
        """Return the offsets of what was sent, once it came back."""
        assert self._consumer is not None, "append() after close()"
        give_up_s = time.monotonic() + self._timeout_s
        while self._failed is None and time.monotonic() < give_up_s:
            message = self._consumer.poll(LOOK_S)
            try:
                self._producer.poll(0)
            except FATAL_EXCEPTIONS as error:
                self._failed = fatal_error(error)
            if message is None:
                continue
            failure = message.error()
            if failure is not None:
                if failure.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's public name for it
                    self._failed = failure
                continue
            if message.key() != self._key.encode():
                continue
            counting = self._log.take(_entry(message))
            if self._log.mark != self._mark:
                self._is_fenced = True
                raise self._fenced()
            if counting:
                return [entry.offset for entry in counting]
        reason = "no answer" if self._failed is None else f"{self._failed.name()}: {self._failed.str()}"
        self._broken = f"an append ended with {reason}"
        raise OutcomeUnknown(f"journal of {self._key}: the append may have happened: {reason}")

    def _fenced(self) -> Fenced:
        return Fenced(f"journal of {self._key}: another writer opened it")

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, from_offset: int = 0) -> Iterator[Record]:
        """Return the records at `from_offset` and after, up to our last one: what follows is not ours, or fences us.

        Raises PositionLost when the record before `from_offset` is not there, BrokerUnavailable.
        """
        return self._records(from_offset, self._last)

    def _records(self, from_offset: int, last: int) -> Iterator[Record]:
        log = JournalLog()
        before = from_offset - 1  # is read, too: it says whose mark holds there
        is_first = from_offset > 0
        name, partition = self._topic.name, self._place[1]
        for entry in self._entries(max(0, before), last):
            if is_first:
                if entry.offset != before:
                    break
                is_first = False
                log.mark = entry.offset if entry.value is None else entry.mark
                continue
            for each in log.take(entry):
                yield Record(name, partition, each.offset, self._key, each.value or b"")
        if is_first:
            raise PositionLost(f"journal of {self._key}: there is no record at {before}, after which to read on")

    def _entries(self, start: int, last: int) -> Iterator[Entry]:
        """Yield what the log holds of our key from `start` up to `last`, an entry of ours."""
        if start > last:
            return
        consumer = self._read_from(start)
        patience_s = self._settings.request_timeout_ms / 1_000
        key = self._key.encode()
        try:
            while True:
                first = consumer.poll(patience_s)
                if first is None:
                    raise BrokerUnavailable(f"journal of {self._key}: nothing came for {patience_s:g} s")
                # The rest of what is here already: `consume` alone would wait until the batch is full.
                for message in [first, *consumer.consume(READ_BATCH, 0)]:
                    failure = message.error()
                    if failure is not None:
                        if failure.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                            raise translate(failure, f"reading the journal of {self._key}")
                    elif message.key() == key:
                        entry = _entry(message)
                        yield entry
                        if entry.offset >= last:
                            return
        finally:
            consumer.close()

    def _read_from(self, offset: int) -> Consumer:
        consumer = new_consumer(self._settings, self._on_error)
        consumer.assign([TopicPartition(*self._place, offset)])
        return consumer

    def close(self) -> None:
        """Let go of the broker."""
        try:
            self._producer.purge()
            self._producer.flush(0)
        except FATAL_EXCEPTIONS as error:
            _LOG.debug("journal of %s, closing: %s", self._key, error)  # nobody asks about what is under way any more
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _entry(message: Message) -> Entry:
    """Return a message of the log as an entry. One without headers was written before there were marks."""
    offset, value = message.offset() or 0, message.value()
    # The library brings a list of names and bytes; it declares all that it would take from us, too.
    headers = dict(cast("list[tuple[str, bytes]] | None", message.headers()) or ())
    if _MARK not in headers:
        return Entry(offset, value)
    part, _, parts = headers.get(_PART, b"1/1").partition(b"/")
    return Entry(offset, value, int(headers[_MARK]), int(part), int(parts))
