"""Messages to bytes and back: Avro single-object encoding.

A payload is `C3 01`, the CRC-64-AVRO fingerprint of the writer's schema (8 bytes, little-endian) and the Avro body
(Avro 1.12 specification, "Single-object encoding"). The fingerprint finds the writer's schema, the Python type is the
reader's: every version ever written stays readable, because its schema stays in `schemas/history`.
"""

import json
import struct
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError
from fastavro.schema import fingerprint, to_parsing_canonical_form

from tradefleet.domain.errors import FleetError, InvalidValue, Permanent
from tradefleet.messages.avro import Schema, published_schema, to_codec_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.fields import Message
from tradefleet.messages.wire import Plan, lift, lower, plan_of

HISTORY: Final = Path(__file__).parent / "schemas" / "history"

MARKER: Final = b"\xc3\x01"
_FINGERPRINT_LENGTH: Final = 8
HEADER_LENGTH: Final = len(MARKER) + _FINGERPRINT_LENGTH

_KEPT_TYPES: Final = (Decimal, bytes)  # fastavro writes these itself

M = TypeVar("M", bound=Message)

# What fastavro and msgspec raise on bytes that are not what the schema says.
_BROKEN: Final = (
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    StopIteration,
    MemoryError,
    RecursionError,
    struct.error,
    msgspec.MsgspecError,
    SchemaResolutionError,
    FleetError,
)


class UndecodableMessage(Permanent):
    """Bytes that are no message we can read: a dead letter."""


class _Writer(NamedTuple):
    """What encodes one message type."""

    header: bytes
    fingerprint: bytes
    schema: Any
    plan: Plan
    type_name: str


class _Reader(NamedTuple):
    """What decodes the payloads of one schema version. `reader_schema` is None when it is today's version."""

    message: type[Message]
    writer_schema: Any
    reader_schema: Any
    plan: Plan


def schema_fingerprint(schema: Schema) -> bytes:
    """Return the CRC-64-AVRO of a schema's parsing canonical form, little-endian as it goes on the wire."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def _fingerprint_in(payload: bytes) -> bytes:
    """Return the fingerprint of the writer's schema. Raises UndecodableMessage."""
    if len(payload) < HEADER_LENGTH or not payload.startswith(MARKER):
        raise UndecodableMessage(
            f"a payload must start with {MARKER.hex()} and a fingerprint of {_FINGERPRINT_LENGTH} bytes, "
            f"found {payload[:HEADER_LENGTH].hex() or 'nothing'} ({len(payload)} bytes)"
        )
    return payload[len(MARKER) : HEADER_LENGTH]


class Codec:
    """Encodes and decodes messages. `find_schema` is asked for the JSON of a fingerprint (hex) that we do not know:
    the way to read what a newer release writes.
    """

    def __init__(self, find_schema: Callable[[str], str | None] | None = None) -> None:
        self._find_schema = find_schema
        self._writers: dict[type[Message], _Writer] = {}
        self._readers: dict[bytes, _Reader] = {}
        self._history: dict[str, Path] | None = None
        self._is_complete = False  # every type of today has its reader

    def find_schemas_with(self, find_schema: Callable[[str], str | None]) -> None:
        """Ask `find_schema` from now on; it may be asked for the same fingerprint again and again."""
        self._find_schema = find_schema

    def encode(self, message: Message) -> bytes:
        """Return the payload of `message`. Raises InvalidValue when a value does not fit its field."""
        writer = self._writers.get(message.__class__) or self._writer(message.__class__)
        values = msgspec.to_builtins(message, builtin_types=_KEPT_TYPES)
        values["type"] = writer.type_name
        buffer = BytesIO()
        buffer.write(writer.header)
        try:
            lower(values, writer.plan)
            schemaless_writer(buffer, writer.schema, values)
        except (TypeError, ValueError, AttributeError, OverflowError, LookupError) as error:
            raise InvalidValue(f"{writer.type_name} {message.stream} {message.stream_seq}: {error}") from error
        return buffer.getvalue()

    def decode(self, payload: bytes) -> Message:
        """Return the message in `payload`. Raises UndecodableMessage on anything that is not exactly one message."""
        fingerprint = _fingerprint_in(payload)
        reader = self._readers.get(fingerprint) or self._reader(fingerprint)
        buffer = BytesIO(payload)
        buffer.seek(HEADER_LENGTH)
        try:
            # Any: a record's fields are of every type; only `msgspec.convert` below believes them.
            values: Any = schemaless_reader(buffer, reader.writer_schema, reader.reader_schema)
            lift(values, reader.plan)
            message = msgspec.convert(values, reader.message)
        except _BROKEN as error:
            raise UndecodableMessage(
                f"{reader.message.__name__} of {len(payload)} bytes: {type(error).__name__}: {error}"
            ) from error
        if values["type"] != reader.message.__name__:
            raise UndecodableMessage(f"a {reader.message.__name__} names itself {values['type']!r}")
        if buffer.tell() != len(payload):
            raise UndecodableMessage(
                f"{reader.message.__name__} ends at byte {buffer.tell()} of {len(payload)}: the rest is not part of it"
            )
        return message

    def decode_as(self, payload: bytes, *wanted: type[M]) -> M:
        """Return the message in `payload`, which must be of a type in `wanted`. Raises UndecodableMessage."""
        message = self.decode(payload)
        if not isinstance(message, wanted):
            names = ", ".join(each.__name__ for each in wanted)
            raise UndecodableMessage(f"expected {names}, found a {message.type}")
        return message

    def fingerprint(self, message: type[Message]) -> bytes:
        """Return the fingerprint of today's schema of a message type."""
        return (self._writers.get(message) or self._writer(message)).fingerprint

    def schema_of(self, mark: bytes) -> dict[str, Any] | None:
        """Return the published schema of a fingerprint, today's or one of our history; None for a foreign one."""
        for message, writer in self._writers.items():
            if writer.fingerprint == mark:
                return published_schema(message)
        text = self._kept_schema(mark)
        if text is not None:
            kept: dict[str, Any] = json.loads(text)
            return kept
        return next((published_schema(each) for each in MESSAGE_TYPES.values() if self.fingerprint(each) == mark), None)

    def _writer(self, message: type[Message]) -> _Writer:
        published = published_schema(message)
        schema = parse_schema(to_codec_schema(published))
        mark = schema_fingerprint(schema)
        plan = plan_of(published)
        writer = _Writer(MARKER + mark, mark, schema, plan, message.__name__)
        self._writers[message] = writer
        self._readers[mark] = _Reader(message, schema, None, plan)
        return writer

    def _reader(self, mark: bytes) -> _Reader:
        """Return the reader of a schema we have not met yet: kept in our history, today's, or found elsewhere."""
        text = self._kept_schema(mark)
        if text is None and mark not in self._readers and not self._is_complete:
            for message in MESSAGE_TYPES.values():
                self._writer(message)
            self._is_complete = True
        reader = self._readers.get(mark)
        if reader is not None:
            return reader
        if text is None and self._find_schema is not None:
            text = self._find_schema(mark.hex())
        if text is None:
            raise UndecodableMessage(f"no schema has the fingerprint {mark.hex()}")
        return self._old_reader(mark, text)

    def _kept_schema(self, mark: bytes) -> str | None:
        """Return the schema kept under this fingerprint; None when there is none, or it is today's and now ready."""
        if self._history is None:
            self._history = {path.stem.rpartition(".")[2]: path for path in HISTORY.glob("*.avsc")}
        path = self._history.get(mark.hex())
        if path is None:
            return None
        message = MESSAGE_TYPES.get(path.stem.rpartition(".")[0])
        if message is not None and message not in self._writers:
            self._writer(message)
        return None if mark in self._readers else path.read_text()

    def _old_reader(self, mark: bytes, text: str) -> _Reader:
        try:
            published = json.loads(text)
            schema = parse_schema(to_codec_schema(published))
            found = schema_fingerprint(schema)
            message = MESSAGE_TYPES.get(published["name"])
        except _BROKEN as error:
            raise UndecodableMessage(f"the schema kept for fingerprint {mark.hex()} cannot be read: {error}") from error
        if found != mark:
            raise UndecodableMessage(f"the schema kept for fingerprint {mark.hex()} has {found.hex()}")
        if message is None:
            raise UndecodableMessage(f"no message type is called {published['name']}: this release does not know it")
        today = self._writers.get(message) or self._writer(message)
        reader = _Reader(message, schema, today.schema, today.plan)
        self._readers[mark] = reader
        return reader


_CODEC: Final = Codec()
find_schemas_with = _CODEC.find_schemas_with
encode = _CODEC.encode
decode = _CODEC.decode
decode_as = _CODEC.decode_as
schema_of = _CODEC.schema_of
