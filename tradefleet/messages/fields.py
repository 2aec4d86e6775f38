"""Field types of messages: each says its unit once, and how Avro writes it.

Exact money is `Decimal` here and `decimal(38, 18)` on the wire; market data prices are doubles; times are integers of
UTC microseconds and `timestamp-micros` on the wire. A field adds its own sentence with a further `Meta`.
"""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

MONEY_PRECISION: Final = 38  # decimal digits, as Postgres' numeric(38, 18)
MONEY_SCALE: Final = 18  # of them after the point

AVRO_LOGICAL_TYPE: Final = "avro_logical_type"  # the key in `Meta.extra`
TIMESTAMP_MICROS: Final = "timestamp-micros"
DECIMAL: Final = "decimal"

TimeUs = Annotated[int, Meta(description="UTC microseconds", extra={AVRO_LOGICAL_TYPE: TIMESTAMP_MICROS})]
DurationUs = Annotated[int, Meta(description="Microseconds")]
MarketPrice = Annotated[float, Meta(description="Quote per base, as a double")]
MarketSize = Annotated[float, Meta(description="Amount of base, as a double")]
ExactPrice = Annotated[Decimal, Meta(description="Quote per base, exact", extra={AVRO_LOGICAL_TYPE: DECIMAL})]
ExactSize = Annotated[Decimal, Meta(description="Amount of base, exact", extra={AVRO_LOGICAL_TYPE: DECIMAL})]
ExactAmount = Annotated[Decimal, Meta(description="Amount of an asset, exact", extra={AVRO_LOGICAL_TYPE: DECIMAL})]


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """What every message carries beside its content. The wire adds `type`, the name of the class.

    `stream_seq` is gapless for messages that have effects (closed bars, requests, executions, the journal); for the
    others it only grows while its writer lives.
    """

    stream: Annotated[str, Meta(description="Name of the numbered stream the message belongs to")]
    stream_seq: Annotated[int, Meta(description="Number of the message in its stream; the first is 1")]
    event_time_us: Annotated[TimeUs, Meta(description="Market time of the event, UTC microseconds")]

    @property
    def type(self) -> str:
        """The message type's name."""
        return self.__class__.__name__


class Part(Struct, frozen=True, kw_only=True, gc=False):
    """A record inside a message."""
