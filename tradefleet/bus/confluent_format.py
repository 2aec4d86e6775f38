"""The Confluent wire format, for readers outside the fleet that know schemas by a registry's ids.

A message on a topic is then a zero byte, the id of its schema (4 bytes, big-endian) and the Avro body (Confluent's
documentation, "Wire format"). Inside the fleet, in the outbox and in the journal, messages stay single objects: an id
means something to one registry only, and a lost registry must lose nothing. Header for header, the body is the same.
"""

import json
import struct
from typing import Final, Protocol

from tradefleet.messages.avro import to_codec_schema
from tradefleet.messages.codec import HEADER_LENGTH, MARKER, schema_fingerprint, schema_of

_HEADER: Final = struct.Struct(">bI")


class Registry(Protocol):
    """Gives schemas numbers, and finds them again."""

    def register(self, subject: str, schema: str) -> int:
        """Return the id of a schema, registered under `subject` if it was not. Raises RegistryUnavailable."""

    def schema(self, number: int) -> str | None:
        """Return the schema of an id; None when there is none. Raises RegistryUnavailable."""


class ConfluentFormat:
    """Turns payloads into the wire's and back. What is neither is left as it is: its reader will say so.

    A schema's subject is its full name (the record name strategy), since topics carry several types.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._headers: dict[bytes, bytes] = {}  # of the wire, by the fingerprint
        self._marks: dict[int, bytes] = {}  # fingerprints by id

    def to_wire(self, payload: bytes) -> bytes:
        """Return a single object in the wire's format. Raises RegistryUnavailable."""
        if not payload.startswith(MARKER) or len(payload) < HEADER_LENGTH:
            return payload
        mark = payload[len(MARKER) : HEADER_LENGTH]
        header = self._headers.get(mark)
        if header is None:
            schema = schema_of(mark)
            if schema is None:
                return payload
            number = self._registry.register(f"{schema['namespace']}.{schema['name']}", json.dumps(schema))
            header = self._headers[mark] = _HEADER.pack(0, number)
            self._marks[number] = mark
        return header + payload[HEADER_LENGTH:]

    def from_wire(self, value: bytes) -> bytes:
        """Return what is on the wire as a single object. Raises RegistryUnavailable."""
        if len(value) < _HEADER.size or value[0] != 0:
            return value
        _, number = _HEADER.unpack_from(value)
        mark = self._marks.get(number)
        if mark is None:
            text = self._registry.schema(number)
            if text is None:
                return value
            try:
                mark = schema_fingerprint(to_codec_schema(json.loads(text)))
            except (ValueError, LookupError, TypeError, AttributeError):
                return value  # of another kind than Avro: not ours
            self._marks[number] = mark
        return MARKER + mark + value[_HEADER.size :]
