"""The reference page of the resources, made from the same schemas as the CRDs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tradefleet.resources.common import API_VERSION, Resource
from tradefleet.resources.crd import PRESERVE, VALIDATIONS, schema_of
from tradefleet.resources.kinds import KINDS

_HEAD = f"""# Resources

Everything a fleet is made of is declared in these kinds, of `{API_VERSION}`. The same files serve
`tradefleet up` on one machine and `kubectl apply` in a cluster. This page is generated from the types;
`kubectl explain tb.spec.risk` shows the same words.

Amounts, prices, shares and percentages are exact: write them as whole numbers or in quotes (`"0.1"`). A bare `0.1` is
refused, since it would be read as a binary fraction that is not 0.1. Durations are a whole number and a unit (`90s`,
`10m`, `2h`, `1d`); times are UTC.
"""


def page() -> str:
    """Return the page in Markdown."""
    parts = [_HEAD, _overview(), *(_section(kind) for kind in KINDS.values())]
    return "\n".join(parts)


def _overview() -> str:
    rows = [f"| [{name}](#{name.lower()}) | `{kind.names.short}` | {kind.__doc__} |" for name, kind in KINDS.items()]
    return "\n".join(["| kind | short | what it is |", "|---|---|---|", *rows, ""])


def _section(kind: type[Resource]) -> str:
    fields = schema_of(kind)["properties"]
    rules = list(dict.fromkeys(_rules(fields["spec"])))
    lines = [
        f"## {kind.__name__}",
        "",
        f"{kind.__doc__} `kubectl get {kind.names.short}`",
        "",
        *_table("spec", fields["spec"]),
        *(["", "Rules:", "", *(f"- {rule}" for rule in rules)] if rules else []),
        "",
        "What the fleet reports:",
        "",
        *_table("status", fields["status"]),
        "",
    ]
    return "\n".join(lines)


def _table(name: str, schema: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| `{path}` | {_type(field)} | {_default(field, required=required)} | {_cell(field.get('description', ''))} |"
        for path, field, required in _fields(name, schema)
    ]
    return ["| field | type | default | meaning |", "|---|---|---|---|", *rows]


def _fields(prefix: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield (path, schema, required) of every field below `schema`: [] marks the items of a list."""
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}.{name}"
        yield path, field, name in schema.get("required", ())
        yield from _fields(f"{path}[]", field["items"]) if "items" in field else _fields(path, field)
        if isinstance(field.get("additionalProperties"), Mapping):
            yield from _fields(f"{path}.NAME", field["additionalProperties"])


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "number or text"
    if schema.get(PRESERVE):
        return "map" if schema.get("type") == "object" else "any"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"map of {_type(schema['additionalProperties'])}"
    kind = str(schema["type"])
    return "text" if kind == "string" else kind


def _default(schema: Mapping[str, Any], *, required: bool) -> str:
    if required:
        return "**required**"
    if schema.get("default") in (None, [], {}):
        return ""
    return f"`{json.dumps(schema['default'])}`" if not isinstance(schema["default"], str) else f"`{schema['default']}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _rules(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the messages of the rules about objects; those about single values are in the description of the field."""
    if schema.get("type") == "object":
        yield from (each["message"] for each in schema.get(VALIDATIONS, ()) if "properties" in schema)
    for each in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(each, Mapping):
            yield from _rules(each)
