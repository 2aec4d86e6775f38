"""Reading a topic for people and programs: records as plain values, the newest first found or from the beginning."""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradefleet.bus.ports import Bus, Record, Source, Start
from tradefleet.domain.money import plain_decimal
from tradefleet.messages.codec import UndecodableMessage, decode
from tradefleet.messages.topics import Topic

POLL_US: Final = 200_000
RECORDS_MAX: Final = 1_000  # a poll
Values = dict[str, Any]  # Any: plain values of every type


def read_topic(
    bus: Bus, topic: Topic, *, keys: frozenset[str] | None, from_beginning: bool, follow: bool, limit: int | None
) -> Iterator[Record]:
    """Yield what a topic holds: all of it, or its newest `limit` messages; with `follow` what comes afterwards, too.

    With `from_beginning` the first `limit` messages are yielded, `follow` or not. In each partition the order is the
    topic's. Raises BrokerUnavailable, PositionLost.
    """
    start: Start | Mapping[int, int] = Start.BEGINNING
    if not from_beginning and keys is None and limit is not None:
        # No more than `limit` from each partition can be among the newest.
        start = {number: max(offsets.first, offsets.end - limit) for number, offsets in bus.offsets(topic.name).items()}
    reader = bus.reader([Source(topic=topic.name, keys=keys, start=start)])
    try:
        held: Iterator[Record] = _to_end(lambda: reader.poll(RECORDS_MAX, POLL_US), lambda: reader.at_end)
        if from_beginning:
            records = _chain(held, lambda: reader.poll(RECORDS_MAX, POLL_US)) if follow else held
            yield from _first(records, limit)
            return
        yield from deque(held, maxlen=limit)
        if follow:
            yield from _chain(iter(()), lambda: reader.poll(RECORDS_MAX, POLL_US))
    finally:
        reader.close()


def _to_end(poll: Callable[[], list[Record]], at_end: Callable[[], bool]) -> Iterator[Record]:
    while not at_end():
        yield from poll()


def _chain(held: Iterator[Record], poll: Callable[[], list[Record]]) -> Iterator[Record]:
    yield from held
    while True:  # until the caller has enough, or Ctrl-C
        yield from poll()


def _first(records: Iterator[Record], limit: int | None) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        yield record
        if number == limit:
            return


def plain_record(record: Record) -> Values:
    """Return a record with its message as values that JSON can hold: amounts as text, bytes in hex.

    A message that cannot be decoded is shown as its bytes, with the reason.
    """
    shown: Values = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key,
    }
    try:
        message = decode(record.value)
    except UndecodableMessage as error:
        return shown | {"undecodable": str(error), "payload_hex": record.value.hex()}
    values: Values = msgspec.to_builtins(message, builtin_types=(Decimal, bytes))
    return shown | {
        "type": message.type,
        "event_time": _time(message.event_time_us),
        "message": {name: _plain(value) for name, value in values.items()},
    }


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _time(time_us: int) -> str | None:
    """Return RFC 3339; None for a time that no calendar has."""
    try:
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=time_us)).isoformat()
    except OverflowError:
        return None
