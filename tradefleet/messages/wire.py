"""Between a message as plain values and what fastavro takes and gives.

Two things would cost more inside fastavro than here: exact money (see `exact`), and unions, where it tries each
branch unless it is told which one. A `Plan` is made once per type and names the few fields that need either.
"""

from typing import Any, NamedTuple

from tradefleet.messages.avro import NAMESPACE, Schema
from tradefleet.messages.exact import money_from_bytes, money_to_bytes
from tradefleet.messages.fields import DECIMAL

Values = dict[str, Any]  # Any: field values of every type


class PlannedField(NamedTuple):
    """A field that is not written as it stands."""

    name: str
    branch: str | None  # the branch of a union with null that holds the value
    money: bool
    inner: "Plan | None"  # the value is a record, or many of them, with planned fields of its own
    many: bool


Plan = tuple[PlannedField, ...]


def plan_of(record: dict[str, Any], known: dict[str, Plan] | None = None) -> Plan:
    """Return the plan for a record's published schema; `known` holds the plans of the records named before."""
    known = {} if known is None else known
    planned = (_planned(field["name"], field["type"], known) for field in record["fields"])
    plan = tuple(field for field in planned if field is not None)
    known[f"{NAMESPACE}.{record['name']}"] = plan
    return plan


def _planned(name: str, schema: Schema, known: dict[str, Plan]) -> PlannedField | None:
    branch: str | None = None
    if isinstance(schema, list):
        schema = schema[1]
        branch = _branch_name(schema)
    many = isinstance(schema, dict) and schema["type"] == "array"
    item = schema["items"] if many and isinstance(schema, dict) else schema
    money = isinstance(item, dict) and item.get("logicalType") == DECIMAL
    if isinstance(item, dict):
        inner = plan_of(item, known) if item["type"] == "record" else None
    else:
        inner = known.get(str(item))
    if branch is None and not money and not inner:
        return None
    assert not (money and many)  # no message has an array of amounts; the loops below stay simpler without
    return PlannedField(name, branch, money, inner or None, many)


def _branch_name(schema: Schema) -> str:
    """Return how fastavro names a branch: named types by their full name, others by their type."""
    if isinstance(schema, str):
        return schema
    assert isinstance(schema, dict)
    if schema["type"] in ("record", "enum"):
        return f"{NAMESPACE}.{schema['name']}"
    return str(schema["type"])


def lower(values: Values, plan: Plan) -> None:
    """Turn plain values into what fastavro writes, in place. Raises InvalidValue for an amount that does not fit."""
    for name, branch, money, inner, many in plan:
        value = values[name]
        if value is None:
            continue
        if money:
            value = money_to_bytes(value)
        elif inner is not None:
            for record in value if many else (value,):
                lower(record, inner)
        values[name] = value if branch is None else (branch, value)


def lift(values: Values, plan: Plan) -> None:
    """Turn what fastavro read into plain values, in place. Raises InvalidValue for an amount that does not fit."""
    for name, _branch, money, inner, many in plan:
        value = values[name]
        if value is None:
            continue
        if money:
            values[name] = money_from_bytes(value)
        elif inner is not None:
            for record in value if many else (value,):
                lift(record, inner)
