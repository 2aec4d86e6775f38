"""The CustomResourceDefinitions, made from the models: schema, defaults, rules, names and columns.

The schema is *structural* (Kubernetes documentation, "Custom Resource Definitions", section "Specifying a structural
schema"): no references, one type per field, unknown fields refused by pruning or strict validation.
"""

import re
from collections.abc import Mapping
from typing import Any

from tradefleet.resources.common import CATEGORY, GROUP, VERSION, PrinterColumn, Resource
from tradefleet.resources.model import without_nulls
from tradefleet.resources.values import ResourceName

# A client-side `kubectl apply` keeps the whole object in an annotation, and Kubernetes allows 256 KiB of those.
ANNOTATION_BYTES_MAX = 256 * 1024

PRESERVE = "x-kubernetes-preserve-unknown-fields"
VALIDATIONS = "x-kubernetes-validations"

_DROPPED = ("title", "$defs", "propertyNames")


def definition(kind: type[Resource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind`, as plain values."""
    name = kind.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.names.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.names.plural,
                "singular": name.lower(),
                "shortNames": [kind.names.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(each) for each in kind.columns],
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema_of(kind)},
                }
            ],
        },
    }


def schema_of(kind: type[Resource]) -> dict[str, Any]:
    """Return the structural schema of `kind`, with defaults in spec and none in status."""
    described = kind.model_json_schema(by_alias=True)
    fields: dict[str, Any] = structural(described, described.get("$defs", {}))["properties"]
    name = ResourceName.__metadata__[0]  # type: ignore[attr-defined]  # typing does not describe Annotated aliases
    status = _without_defaults(fields["status"])
    return {
        "type": "object",
        "description": fields["spec"]["description"] if not kind.__doc__ else kind.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of the resource's schema."},
            "kind": {"type": "string", "description": "The kind of the resource."},
            # Of metadata a CRD may restrict the name, and nothing else.
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "pattern": name.pattern, "maxLength": name.length_max},
                },
            },
            "spec": fields["spec"],
            "status": status,
        },
    }


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return pydantic's `schema` as a structural one; `definitions` holds what its references name."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        # What stands beside a reference (description, default) is about this field, so it wins.
        merged = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return structural(merged, definitions)
    if "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
        (choice,) = (each for each in schema["anyOf"] if each.get("type") != "null")
        return structural({**choice, **{key: value for key, value in schema.items() if key != "anyOf"}}, definitions)
    result = {key: schema[key] for key in sorted(schema, key=_place) if key not in _DROPPED}
    if "default" in result and result["default"] is None:
        del result["default"]
    _resolve_object(result, definitions)
    if "items" in result:
        result["items"] = structural(result["items"], definitions)
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.get("type") == "integer":
        result["format"] = "int64"
    return result


def _place(key: str) -> int:
    """Return where `key` stands in a schema: what readers look for first, fields last, the rest between."""
    return {"description": -4, "type": -3, "enum": -2, "default": -1, "properties": 1, "items": 1}.get(key, 0)


def _resolve_object(result: dict[str, Any], definitions: Mapping[str, Any]) -> None:
    """Make the object parts of `result` structural: fields, or the values of a map and the shape of its names."""
    if "properties" in result:
        result["properties"] = {name: structural(each, definitions) for name, each in result["properties"].items()}
        result.pop("additionalProperties", None)
        if "default" in result:
            # Written out whole: the API server asks a default's rules before it fills in the fields' own defaults.
            result["default"] = without_nulls(result["default"])
    if "patternProperties" in result:
        ((pattern, value),) = result.pop("patternProperties").items()
        result["additionalProperties"] = value
        checks = [*result.get(VALIDATIONS, []), _names_match(pattern)]
        result[VALIDATIONS] = checks
    if isinstance(result.get("additionalProperties"), Mapping):
        value = structural(result["additionalProperties"], definitions)
        if _is_free_form(value):
            # CEL sees nothing of a free-form map, its names included.
            del result["additionalProperties"]
            result.pop(VALIDATIONS, None)
            result[PRESERVE] = True
        else:
            result["additionalProperties"] = value


def _is_free_form(value: Mapping[str, Any]) -> bool:
    return bool(value.get(PRESERVE)) or (value.get("type") == "array" and _is_free_form(value["items"]))


def _names_match(pattern: str) -> dict[str, str]:
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    return {"rule": f"self.all(name, name.matches('{escaped}'))", "message": f"each name must match {pattern}"}


def _without_defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` without defaults: an empty status must stay empty until somebody reports something."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {name: _without_defaults(each) for name, each in result["properties"].items()}
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result


def _column(column: PrinterColumn) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return {**entry, "priority": column.priority} if column.priority else entry


def file_name(kind: type[Resource]) -> str:
    """Return the name of the file that holds the definition of `kind`."""
    return f"{GROUP}_{kind.names.plural}.yaml"


def stays_applicable(text: str) -> bool:
    """Return whether a client-side `kubectl apply` can carry the definition in `text` in its annotation."""
    return len(re.sub(r"\n\s*", "", text).encode()) < ANNOTATION_BYTES_MAX
