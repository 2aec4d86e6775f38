"""Dead letters: what could not be decoded or applied, with the reason (rule 9)."""

from typing import Annotated, Final

from msgspec import Meta

from tradefleet.messages.fields import Message

PAYLOAD_BYTES_MAX: Final = 256 * 1024  # a dead letter must fit a topic whatever its cause was
REASON_LENGTH_MAX: Final = 2_000


class DeadLetter(Message, frozen=True, kw_only=True, gc=False):
    """A message that was put aside. `payload` holds its bytes, cut at a bound; `payload_size` its true length."""

    origin_topic: Annotated[str, Meta(description="Topic it was read from")]
    origin_partition: Annotated[int, Meta(description="Partition it was read from; -1 when it was in none")]
    origin_offset: Annotated[int, Meta(description="Offset it was read at; -1 when it was in no topic")]
    origin_key: Annotated[str, Meta(description="Key it was published with")]
    reader: Annotated[str, Meta(description="Component that could not use it")]
    error: Annotated[str, Meta(description="Class of the error, such as UndecodableMessage")]
    reason: Annotated[str, Meta(description="The error's message")]
    payload_size: Annotated[int, Meta(description="Length of the original in bytes")]
    payload: Annotated[bytes, Meta(description="The original bytes, at most 262144 of them")]


def dead_letter(
    *,
    stream: str,
    stream_seq: int,
    now_us: int,
    topic: str,
    partition: int,
    offset: int,
    key: str,
    payload: bytes,
    reader: str,
    error: Exception,
) -> DeadLetter:
    """Return the dead letter for `payload`, which `reader` could not use because of `error`, cut to size."""
    return DeadLetter(
        stream=stream,
        stream_seq=stream_seq,
        event_time_us=now_us,
        origin_topic=topic,
        origin_partition=partition,
        origin_offset=offset,
        origin_key=key,
        reader=reader,
        error=type(error).__name__,
        reason=str(error)[:REASON_LENGTH_MAX],
        payload_size=len(payload),
        payload=payload[:PAYLOAD_BYTES_MAX],
    )
