"""What every worker is given from outside: a clock, its streams, and a way to publish.

A worker is the edge of one machine: it reads inputs, hands them to the machine, commits what came out and only then
lets it leave. It is driven by `step`, one bounded piece of work a call, so that the same code runs in a process of
its own and, crashed and restarted at will, in the simulation.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import StreamName
from tradefleet.store.ports import OutboxMessage


class Clock(Protocol):
    """The wall's clocks. They drive leases and retries; no decision of a machine goes by them (rule 18)."""

    def monotonic_us(self) -> int:
        """Return microseconds that only grow."""

    def wall_us(self) -> int:
        """Return UTC microseconds since 1970, to be shown."""

    def sleep_us(self, duration_us: int) -> None:
        """Wait."""


class StreamItem(NamedTuple):
    """One numbered message: a closed bar for bar streams, else the payload of an outbox message.

    `market_us` is a bar's close, or the market time at which the message was written.
    """

    stream: StreamName
    seq: int
    bar: Bar | None = None
    payload: bytes = b""
    market_us: int = 0


class Streams(Protocol):
    """Numbered messages, gapless from the positions given: whatever the broker drops or doubles is mended inside."""

    def start(self, positions: Mapping[StreamName, int]) -> None:
        """Begin after these numbers; to be called again after an error, or to add streams."""

    def poll(self, timeout_us: int) -> list[StreamItem]:
        """Return what came next, in the order of arrival; empty after the timeout."""

    def until(self, heads: Mapping[StreamName, int]) -> dict[StreamName, list[StreamItem]]:
        """Return, per stream, all items after the position up to the given number, which is known to be committed."""


class Publisher(Protocol):
    """Publishes what has been committed; what cannot be delivered now is delivered later, from the outbox."""

    def publish(self, messages: Sequence[OutboxMessage]) -> None:
        """Send messages; returns without waiting for their delivery."""

    def announce(self, topic: str, key: str, payload: bytes) -> None:
        """Send a message without effects: nobody waits for it, and a lost one is not sent again."""

    def sweep(self, streams: Sequence[StreamName]) -> None:
        """Publish again what these streams hold above their published marks (rule 6)."""

    def is_delivered(self, stream: StreamName, seq: int) -> bool:
        """Return whether all up to `seq` of a stream that was swept has been delivered."""

    def serve(self) -> None:
        """Note what was delivered and send again what was not. To be called in every step, also an idle one."""


class Worker(Protocol):
    """One machine's edge."""

    def start(self) -> None:
        """Take the lease, load what was committed, be ready. To be called again after an error in `step`."""

    def step(self, timeout_us: int) -> bool:
        """Do one bounded piece of work, waiting at most `timeout_us` for it; True when there was some.

        Raises Retryable or OutcomeUnknown: call `start` again. Raises Fenced: somebody newer is at work, end.
        """

    def stop(self) -> None:
        """Give the lease back. Orders stay as they are (rule 24)."""
