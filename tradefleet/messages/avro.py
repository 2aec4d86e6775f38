"""Avro schemas: made from the message types for everybody, and their leaner twins that the codec works with.

Both have the same parsing canonical form, hence the same fingerprint and the same bytes. The published schema carries
documentation and Avro's logical types; in the codec's one timestamps stay integers and exact money stays bytes,
which `wire` converts.
"""

import inspect
import types
import typing
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from tradefleet.domain.orders import Reason
from tradefleet.messages.fields import (
    AVRO_LOGICAL_TYPE,
    MONEY_PRECISION,
    MONEY_SCALE,
    Message,
    Part,
)

NAMESPACE: Final = "dev.tradefleet"

Schema = str | dict[str, Any] | list[Any]  # Any: a schema is JSON of any depth

# What an older reader takes an unknown symbol for. Only where it decides nothing: an unknown status must not be read.
_ENUM_DEFAULTS: Final[dict[type[StrEnum], str]] = {Reason: Reason.NONE.value}

_PRIMITIVES: Final[dict[object, str]] = {
    str: "string",
    bool: "boolean",
    int: "long",
    float: "double",
    bytes: "bytes",
}


def published_schema(message: type[Message]) -> dict[str, Any]:
    """Return the schema of a message type with documentation and Avro's own logical types, as a JSON value."""
    return _SchemaWriter().message(message)


def to_codec_schema(schema: Schema) -> Schema:
    """Return a published schema (of any version) as one for the codec: the same bytes, no logical types."""
    if isinstance(schema, list):
        return [to_codec_schema(branch) for branch in schema]
    if isinstance(schema, str):
        return schema
    if "logicalType" in schema:
        return to_codec_schema(schema["type"])
    lean: dict[str, Any] = {key: value for key, value in schema.items() if key != "doc"}
    for key in ("type", "items", "values"):
        if isinstance(lean.get(key), dict | list):
            lean[key] = to_codec_schema(lean[key])
    if "fields" in lean:
        lean["fields"] = [to_codec_schema(field) for field in lean["fields"]]
    return lean


def documentation(owner: type) -> str:
    """Return the docstring of a type on one line, its own only: never the base class's."""
    own = owner.__dict__.get("__doc__") or ""
    return " ".join(inspect.cleandoc(own).split())


def field_metas(annotation: object) -> tuple[object, list[msgspec.Meta]]:
    """Return the type inside `Annotated` and its metas, the outermost last."""
    metas: list[msgspec.Meta] = []
    while typing.get_origin(annotation) is Annotated:
        annotation, *rest = typing.get_args(annotation)
        metas = [meta for meta in rest if isinstance(meta, msgspec.Meta)] + metas
    return annotation, metas


class _SchemaWriter:
    """Walks a message type once; a named type is written out at its first use and named afterwards."""

    def __init__(self) -> None:
        self._seen: set[type] = set()

    def message(self, message: type[Message]) -> dict[str, Any]:
        record = self._record(message)
        record["fields"].insert(0, {"name": "type", "type": "string", "doc": f"Always {message.__name__}"})
        return record

    def _record(self, owner: type[Message] | type[Part]) -> dict[str, Any]:
        self._seen.add(owner)
        hints = typing.get_type_hints(owner, include_extras=True)
        return {
            "type": "record",
            "name": owner.__name__,
            "namespace": NAMESPACE,
            "doc": documentation(owner),
            "fields": [self._field(owner, field, hints[field.name]) for field in msgspec.structs.fields(owner)],
        }

    def _field(self, owner: type, field: msgspec.structs.FieldInfo, annotation: object) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": field.name, "type": self._type(annotation)}
        descriptions = [meta.description for meta in field_metas(annotation)[1] if meta.description]
        if descriptions:
            entry["doc"] = descriptions[-1]
        if not field.required:
            entry["default"] = self._default(owner, field)
        return entry

    def _default(self, owner: type, field: msgspec.structs.FieldInfo) -> object:
        default = field.default if field.default is not msgspec.NODEFAULT else None
        if default is None or isinstance(default, bool | int | float | str):
            return default.value if isinstance(default, StrEnum) else default
        if default == ():
            return []
        raise TypeError(
            f"message {owner.__name__}: field {field.name} has a default that Avro cannot hold: {default!r}"
        )

    def _type(self, annotation: object) -> Schema:
        inner, metas = field_metas(annotation)
        if typing.get_origin(inner) in (typing.Union, types.UnionType):
            return self._union(inner)
        for meta in reversed(metas):
            logical_type = (meta.extra or {}).get(AVRO_LOGICAL_TYPE)
            if logical_type:
                return self._logical(inner, logical_type)
        if typing.get_origin(inner) is tuple:
            return {"type": "array", "items": self._type(typing.get_args(inner)[0])}
        if typing.get_origin(inner) is dict:
            return {"type": "map", "values": self._type(typing.get_args(inner)[1])}
        if isinstance(inner, type) and issubclass(inner, StrEnum | Message | Part):
            return self._named(inner)
        primitive = _PRIMITIVES.get(inner)
        if primitive is None:
            raise TypeError(f"a message field of type {inner!r} has no Avro type: use a field type of messages.fields")
        return primitive

    def _union(self, union: object) -> Schema:
        branches = [branch for branch in typing.get_args(union) if branch is not type(None)]
        if len(branches) != 1:
            raise TypeError(f"a message field may be a type or null, never {union!r}: readers would have to guess")
        return ["null", self._type(branches[0])]

    def _logical(self, inner: object, logical_type: str) -> Schema:
        if inner is Decimal:
            return {"type": "bytes", "logicalType": logical_type, "precision": MONEY_PRECISION, "scale": MONEY_SCALE}
        return {"type": "long", "logicalType": logical_type}

    def _named(self, inner: type) -> Schema:
        if inner in self._seen:
            return f"{NAMESPACE}.{inner.__name__}"
        if issubclass(inner, Message | Part):
            return self._record(inner)
        assert issubclass(inner, StrEnum)
        self._seen.add(inner)
        enum: dict[str, Any] = {
            "type": "enum",
            "name": inner.__name__,
            "namespace": NAMESPACE,
            "doc": documentation(inner),
            "symbols": [member.value for member in inner],
        }
        if inner in _ENUM_DEFAULTS:
            enum["default"] = _ENUM_DEFAULTS[inner]
        return enum
