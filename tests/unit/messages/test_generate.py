"""The generated files."""

import json
from copy import deepcopy
from pathlib import Path

import fastavro
import pytest
import yaml

from tradefleet.messages import generate as generate_module
from tradefleet.messages.avro import published_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.generate import _check_same_meaning, generate
from tradefleet.messages.topics import TOPICS
from tradefleet.messages.trading import OrderRequested

ROOT = Path(generate_module.__file__).parents[2]


@pytest.mark.parametrize("path", generate())
def test_what_is_committed_is_what_the_types_say(path: str) -> None:
    assert (ROOT / path).read_text() == generate()[path], "run `make generate`"


def test_every_message_has_a_schema_that_a_stranger_can_parse() -> None:
    files = generate()
    for name in MESSAGE_TYPES:
        fastavro.parse_schema(json.loads(files[f"tradefleet/messages/schemas/{name}.avsc"]))


def test_every_field_is_documented() -> None:
    page = generate()["docs/reference/messages.md"]
    assert [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")] == []


def test_the_asyncapi_document_names_every_topic_and_every_message() -> None:
    document = yaml.safe_load(generate()["docs/reference/asyncapi.yaml"])
    assert list(document["channels"]) == list(TOPICS)
    assert set(document["components"]["messages"]) == set(MESSAGE_TYPES)
    for channel in document["channels"].values():
        for reference in channel["messages"].values():
            assert reference["$ref"].rpartition("/")[2] in document["components"]["messages"]


def test_a_changed_scale_is_refused_since_the_fingerprint_would_not_show_it(tmp_path: Path) -> None:
    schema = published_schema(OrderRequested)
    kept = tmp_path / "OrderRequested.0000000000000000.avsc"
    kept.write_text(json.dumps(schema))
    _check_same_meaning(kept, schema)
    changed = deepcopy(schema)
    [size] = [field for field in changed["fields"] if field["name"] == "size"]
    size["type"]["scale"] = 8
    with pytest.raises(ValueError, match="message OrderRequested: a logical type, precision or scale changed"):
        _check_same_meaning(kept, changed)
