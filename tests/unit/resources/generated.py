"""Hypothesis strategies for resources: right ones, with fields changed to whatever their schema allows."""

import copy
import re
from datetime import date
from typing import Any

from hypothesis import strategies as st

from tests.unit.resources.cases import VALID
from tradefleet.resources.common import Resource
from tradefleet.resources.crd import PRESERVE, VALIDATIONS, schema_of
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.load import parse_body
from tradefleet.resources.problems import InvalidResource

SCHEMAS = {name: schema_of(kind) for name, kind in KINDS.items()}

CHANGES_MAX = 6
ITEMS_MAX = 3

# What some YAML reader or other takes for something else than text.
HOSTILE = ["yes", "No", "on", "y", "null", "~", "1e3", "0x10", "0o7", "010", "1_000", ".5", "2018-04-04", "1:30", "<<"]
HOSTILE += ["", " x", "x ", "a: b", "# a", "- a", "*a", "&a", "!a", "%a", "@a", "`a", "'", '"', "a\nb", "\ta", "é", "="]


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for what `schema` describes, mostly as its rules want it."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        text = st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
        return text.filter(lambda each: len(each) <= schema["maxLength"]) | st.integers(0, 200)
    match schema.get("type"):
        case "integer":
            return st.integers(int(schema.get("minimum", -(2**53))), int(schema.get("maximum", 2**53)))
        case "boolean":
            return st.booleans()
        case "string":
            return _texts(schema)
        case "array":
            unique = schema.get("x-kubernetes-list-type") == "set"
            least = schema.get("minItems", 0)
            return st.lists(values(schema["items"]), min_size=least, max_size=ITEMS_MAX, unique=unique)
        case "object":
            return _objects(schema)
        case _:
            return parameters()


def parameters() -> st.SearchStrategy[Any]:
    """Return a strategy for a free-form parameter."""
    numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False, width=32)
    return numbers | st.booleans() | st.text() | st.sampled_from(HOSTILE)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    most = schema.get("maxLength", 20)
    if "T[0-9]" in schema.get("pattern", ""):
        return st.dates(min_value=date(1970, 1, 1)).map(str)
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(lambda x: len(x) <= most)
    least = schema.get("minLength", 0)
    hostile = [each for each in HOSTILE if len(each) >= least]
    return st.text(min_size=least, max_size=min(most, 20)) | st.sampled_from(hostile)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" in schema:
        fields = {name: values(each) for name, each in schema["properties"].items()}
        required = {name: each for name, each in fields.items() if name in schema.get("required", ())}
        optional = {name: each for name, each in fields.items() if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if schema.get(PRESERVE):
        return st.dictionaries(st.from_regex("^[a-z_]{1,8}$", fullmatch=True), parameters(), max_size=ITEMS_MAX)
    patterns = [re.search(r"name\.matches\('(.*)'\)", each["rule"]) for each in schema.get(VALIDATIONS, ())]
    pattern = next((each.group(1) for each in patterns if each), None)
    names = st.from_regex(pattern, fullmatch=True) if pattern else st.text() | st.sampled_from(HOSTILE)
    return st.dictionaries(names, values(schema["additionalProperties"]), max_size=ITEMS_MAX)


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    """Return a strategy for resources of every kind that their models accept."""
    body = copy.deepcopy(VALID[draw(st.sampled_from(sorted(VALID)))])
    labels = draw(st.dictionaries(st.text(), st.text() | st.sampled_from(HOSTILE), max_size=2))
    body["metadata"]["labels"] = labels
    fields = SCHEMAS[body["kind"]]["properties"]["spec"]["properties"]
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=CHANGES_MAX, unique=True)):
        attempt = copy.deepcopy(body)
        attempt["spec"][name] = draw(values(fields[name]))
        try:
            parse_body(attempt)
        except InvalidResource:
            continue  # a rule says no to this value beside the others: the rest is changed all the same
        body = attempt
    return parse_body(body)
