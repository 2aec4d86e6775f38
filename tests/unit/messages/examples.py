"""Hypothesis strategies that make any message."""

import typing
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from hypothesis import strategies as st

from tradefleet.messages.avro import field_metas
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.fields import AVRO_LOGICAL_TYPE, TIMESTAMP_MICROS, Message, Part

LONGS = st.integers(-(2**63), 2**63 - 1)
AMOUNTS = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda units: Decimal(f"{units}E-18"))
TIMES_US = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)  # what Python's datetime can hold
TEXTS = st.text(max_size=20)

_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bool: st.booleans(),
    int: LONGS,
    float: st.floats(allow_nan=False),
    bytes: st.binary(max_size=50),
    Decimal: AMOUNTS,
}


def messages() -> st.SearchStrategy[Message]:
    """Any message of any type."""
    return st.one_of([structs(message) for message in MESSAGE_TYPES.values()])


def structs(owner: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(owner, include_extras=True)
    return st.builds(owner, **{field.name: values(hints[field.name]) for field in msgspec.structs.fields(owner)})


def values(annotation: Any) -> st.SearchStrategy[Any]:
    annotation, metas = field_metas(annotation)
    if annotation is int and any((meta.extra or {}).get(AVRO_LOGICAL_TYPE) == TIMESTAMP_MICROS for meta in metas):
        return TIMES_US
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if type(None) in arguments:
        return st.none() | values(arguments[0])
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXTS, values(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return structs(annotation)
    return _LEAVES[annotation]
