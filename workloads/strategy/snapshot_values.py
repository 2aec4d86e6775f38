"""Values of declared state as JSON, and back, equal in value and in type.

JSON and a `jsonb` column keep neither tuples nor NaN nor decimals, and give 1e16 back as an integer; those are
written as an object with one key that starts with `$`. Plain values stay plain, so a snapshot can be read by a person.
"""

import math
from decimal import Decimal
from typing import TypeAlias, cast

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_FLOAT, _TUPLE, _DECIMAL, _DICT = "$float", "$tuple", "$decimal", "$dict"


class NotDeclarable(ValueError):
    """The value has no place in declared state. The message says which type was found."""


def encode_value(value: object) -> JsonValue:
    """Return `value` for JSON: None, bool, int, float, str, Decimal, and lists, tuples and dicts of them.

    Raises NotDeclarable for everything else, for subclasses too: what comes back would be of another type.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return cast(JsonValue, value)
    if kind is float:
        return _encode_float(cast(float, value))
    if kind is Decimal:
        return {_DECIMAL: str(value)}
    if kind is list:
        return [encode_value(item) for item in cast(list[object], value)]
    if kind is tuple:
        return {_TUPLE: [encode_value(item) for item in cast(tuple[object, ...], value)]}
    if kind is dict:
        items = cast(dict[object, object], value)
        # The order of a dict is part of what a strategy may iterate over, and a `jsonb` column sorts keys: a dict
        # whose keys are not already in the column's order is written as a list of pairs.
        is_plain = all(type(key) is str and not key.startswith("$") for key in items)
        if is_plain and list(items) == sorted(cast(dict[str, object], items), key=_column_order):
            return {cast(str, key): encode_value(item) for key, item in items.items()}
        return {_DICT: [[encode_value(key), encode_value(item)] for key, item in items.items()]}
    raise NotDeclarable(f"{kind.__name__} cannot be part of declared state")


def decode_value(value: JsonValue) -> object:
    """Return what `encode_value` was given."""
    if isinstance(value, list):
        return [decode_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((mark, inner),) = value.items()
        match mark:
            case "$float":
                return float(cast(str, inner))
            case "$decimal":
                return Decimal(cast(str, inner))
            case "$tuple":
                return tuple(decode_value(item) for item in cast(list[JsonValue], inner))
            case "$dict":
                pairs = cast(list[list[JsonValue]], inner)
                return {decode_value(key): decode_value(item) for key, item in pairs}
    return {key: decode_value(item) for key, item in value.items()}


def _encode_float(number: float) -> JsonValue:
    text = repr(number)
    plain = math.isfinite(number) and "e" not in text and text != "-0.0"
    return number if plain else {_FLOAT: text}


def _column_order(key: str) -> tuple[int, bytes]:
    """Return what a `jsonb` column sorts keys by: their length in bytes, then the bytes."""
    data = key.encode()
    return len(data), data
