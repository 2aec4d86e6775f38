"""Market data that cannot be decoded is put aside, and its reader goes on (rule 9).

Each such message leaves a log line, a count, a message in the topic of dead letters and, from whoever may write one, a
row. A log-in of bots may not: a strategy could fill the table, and gateway and simulator read the same bars.
"""

import logging
from collections.abc import Callable
from typing import Final

from tradefleet.bus.errors import BusFull
from tradefleet.bus.ports import Bus, Record
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import StreamName
from tradefleet.messages.codec import encode
from tradefleet.messages.dead_letter import PAYLOAD_BYTES_MAX, REASON_LENGTH_MAX, dead_letter
from tradefleet.messages.topics import DEAD_LETTER
from tradefleet.runtime.budget import MinuteBudget
from tradefleet.runtime.metrics import Count
from tradefleet.store.ports import DeadLetter, DeadLetterStore

_LOG: Final = logging.getLogger(__name__)

KEPT_A_MINUTE: Final = 600  # of a flood the rest is counted only


class DeadLetters:
    """Puts aside what `reader`, a component, could not use. `wall_us` stamps it, `count` counts it by topic."""

    def __init__(
        self, reader: str, *, bus: Bus, store: DeadLetterStore | None, wall_us: Callable[[], int], count: Count
    ) -> None:
        self._reader = reader
        self._bus = bus
        self._store = store
        self._wall_us = wall_us
        self._count = count
        self._seq = 0
        self._budget = MinuteBudget(KEPT_A_MINUTE)

    def put_aside(self, record: Record, error: FleetError) -> None:
        """Put a message aside. Raises Retryable, OutcomeUnknown when its row cannot be written: load again (rule 8)."""
        self._count.add(record.topic)
        now_us = self._wall_us()
        if not self._is_kept(now_us):
            return
        _LOG.warning(
            "put aside a message of %s, partition %d, offset %d, key %s: %s",
            record.topic,
            record.partition,
            record.offset,
            record.key,
            error,
        )
        self._publish(record, error, now_us)
        if self._store is not None:
            self._store.put_aside(
                [
                    DeadLetter(
                        topic=record.topic,
                        stream=StreamName(f"{record.topic}/{record.partition}"),
                        seq=record.offset,
                        key=record.key,
                        reason=f"{self._reader}: {type(error).__name__}: {error}"[:REASON_LENGTH_MAX],
                        payload=record.value[:PAYLOAD_BYTES_MAX],
                    )
                ]
            )

    def _is_kept(self, now_us: int) -> bool:
        self._budget.begin(now_us)
        is_kept = self._budget.take()
        if self._budget.refused == 1:
            _LOG.error("more than %d messages a minute cannot be read: the rest is counted only", KEPT_A_MINUTE)
        return is_kept

    def _publish(self, record: Record, error: FleetError, now_us: int) -> None:
        self._seq += 1
        letter = dead_letter(
            stream=f"dead-letters/{self._reader}",
            stream_seq=self._seq,
            now_us=now_us,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            payload=record.value,
            reader=self._reader,
            error=error,
        )
        try:
            self._bus.publish(DEAD_LETTER.name, record.topic, encode(letter))
        except BusFull as full:
            _LOG.warning("the dead letter is not in its topic: %s", full)
