"""Hypothesis strategies for resources that may be right or wrong: the good ones with a few fields changed at random."""

import copy
from typing import Any

from hypothesis import strategies as st

from tests.unit.resources.cases import VALID, Body
from tests.unit.resources.generated import HOSTILE, SCHEMAS, values
from tradefleet.resources.crd import PRESERVE
from tradefleet.resources.values import INTEGER_MAX

CHANGES_MAX = 3
ABSENT = object()

Path = tuple[str | int, ...]

NUMBERS = ["0", "-0", "-1", "1", "00.10", "0.0000001", "1e3", "1.", ".5", "+1", "١", "100.0001", "99999999999999999999"]
EDGES = [0, -1, 1, 2, 1.0, 1.5, 10**6, 10**9, INTEGER_MAX, INTEGER_MAX + 1, 2**63 - 1, -(2**63)]
TEXTS = ["BTC-USD", "BTC-USD\n", "btc-usd", "a", "A", "1m", "0m", "90s", "max", "60x", "25%", "simulator", "mine:Best"]
TEXTS += ["2018-04-04", "2018-02-30", "1969-12-31", "2018-04-04T24:00:00Z", "0000-01-01", "9999-12-31"]
TEXTS += ["x" * 51, "x" * 300]

NAMES = ["name", "a", "A B", ""]

anything = st.recursive(
    st.none() | st.booleans() | st.sampled_from(EDGES) | st.sampled_from([*HOSTILE, *NUMBERS, *TEXTS]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def bodies(draw: st.DrawFn, kind: str = "") -> Body:
    """Return a strategy for bodies near a right one: fields taken out, added, and set to right and wrong values.

    With `kind` they are all of that kind.
    """
    names = sorted(name for name, body in VALID.items() if kind in ("", body["kind"]))
    body = copy.deepcopy(VALID[draw(st.sampled_from(names))])
    schema = SCHEMAS[body["kind"]]["properties"]["spec"]
    for _ in range(draw(st.integers(1, CHANGES_MAX))):
        path, field = draw(st.sampled_from(places(schema, body["spec"])))
        right = values(field) if field else anything
        value = draw(st.one_of(right, right, anything, st.just(ABSENT)))
        body["spec"] = replaced(body["spec"], path, value)
        if not isinstance(body["spec"], dict):
            break
    return body


def places(schema: dict[str, Any], value: Any, path: Path = ()) -> list[tuple[Path, dict[str, Any]]]:
    """Return the places in `value` with their schemas: what is there, and what could be."""
    found: list[tuple[Path, dict[str, Any]]] = [(path, schema)] if path else []
    if schema.get(PRESERVE):
        return found
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += places(schema.get("items", {}), item, (*path, index))
    elif isinstance(value, dict):
        fields = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        for name in {**fields, **value}:
            found += places(fields.get(name, others), value.get(name), (*path, name))
    elif value is None and "properties" in schema:
        # What is not there yet may be begun at any of its fields.
        for name, field in schema["properties"].items():
            found += places(field, None, (*path, name))
    return found


def replaced(value: Any, path: Path, new: object) -> Any:
    """Return `value` with what is at `path` replaced by `new`, or taken out when that is ABSENT."""
    if not path:
        return new
    step, *rest = path
    if isinstance(value, list):
        changed: list[Any] = []
        for index, item in enumerate(value):
            result = replaced(item, tuple(rest), new) if index == step else item
            changed += [] if result is ABSENT else [result]
        return changed
    result = dict(value) if isinstance(value, dict) else {}
    inner = replaced(result.get(str(step)), tuple(rest), new)
    result.pop(str(step), None)
    return result if inner is ABSENT else {**result, str(step): inner}
