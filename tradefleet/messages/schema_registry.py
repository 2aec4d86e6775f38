"""Schemas as messages: how a running release learns to read what a newer one writes."""

from typing import Annotated

from msgspec import Meta

from tradefleet.messages.fields import Message


class SchemaPublished(Message, frozen=True, kw_only=True, gc=False):
    """The schema behind a fingerprint. This message never changes: every release must be able to read it."""

    fingerprint: Annotated[str, Meta(description="CRC-64-AVRO as it stands in payloads, 16 hex digits")]
    schema: Annotated[str, Meta(description="The Avro schema as JSON")]
