"""The generated files of this package: Avro schemas, the reference page and the AsyncAPI document.

`tradefleet.cli.generate` writes them; `make check` fails when what is committed differs. A schema version once
committed to `schemas/history` is never deleted: a payload that it wrote may stand in a database for years.
"""

import json
from pathlib import Path
from typing import Any, Final

from tradefleet.messages.asyncapi import asyncapi_document
from tradefleet.messages.avro import Schema, published_schema, to_codec_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.codec import HISTORY, schema_fingerprint
from tradefleet.messages.reference import reference_page

_SCHEMAS: Final = "tradefleet/messages/schemas"


def generate() -> dict[str, str]:
    """Return the text of each generated file by its path from the root of the repository.

    Raises ValueError when a type changed in a way that its fingerprint cannot show.
    """
    files: dict[str, str] = {}
    for name, message in MESSAGE_TYPES.items():
        schema = published_schema(message)
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        version = f"{name}.{schema_fingerprint(to_codec_schema(schema)).hex()}.avsc"
        _check_same_meaning(HISTORY / version, schema)
        files[f"{_SCHEMAS}/{name}.avsc"] = text
        files[f"{_SCHEMAS}/history/{version}"] = text
    files["docs/reference/messages.md"] = reference_page()
    files["docs/reference/asyncapi.yaml"] = asyncapi_document()
    return files


def _check_same_meaning(kept: Path, schema: dict[str, Any]) -> None:
    """Raise ValueError when `kept` has other logical types: the parsing canonical form leaves them out."""
    if kept.exists() and _logical_types(json.loads(kept.read_text())) != _logical_types(schema):
        raise ValueError(
            f"message {schema['name']}: a logical type, precision or scale changed, which the schema's fingerprint "
            f"cannot show, so old payloads would be misread; give the field a new name ({kept.name})"
        )


def _logical_types(schema: Schema, path: str = "") -> list[tuple[str, object, object, object]]:
    if isinstance(schema, str):
        return []
    if isinstance(schema, list):
        return [found for branch in schema for found in _logical_types(branch, path)]
    if "logicalType" in schema:
        return [(path, schema["logicalType"], schema.get("precision"), schema.get("scale"))]
    found = []
    for field in schema.get("fields", ()):
        found += _logical_types(field["type"], f"{path}.{field['name']}")
    for key in ("items", "values"):
        if key in schema:
            found += _logical_types(schema[key], f"{path}.{key}")
    return found
