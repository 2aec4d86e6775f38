import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings

from tests.unit.resources.cases import VALID
from tests.unit.resources.generated import SCHEMAS, resources
from tradefleet.resources.common import Resource
from tradefleet.resources.crd import ANNOTATION_BYTES_MAX, PRESERVE, VALIDATIONS, definition
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.load import parse_body

DEFINITIONS = {name: definition(kind) for name, kind in KINDS.items()}


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    """Return `value` as the API server stores it: what is absent has its default, at every depth."""
    if isinstance(value, dict):
        result = {**value}
        for name, field in schema.get("properties", {}).items():
            if name not in result and "default" in field:
                result[name] = copy.deepcopy(field["default"])
        fields = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        return {name: with_defaults(fields.get(name, others), item) for name, item in result.items()}
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), item) for item in value]
    return str(value) if schema.get("x-kubernetes-int-or-string") else value


def every_schema(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, field in schema.get("properties", {}).items():
        found += every_schema(field, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            found += every_schema(schema[name], f"{path}[]")
    return found


ALL_SCHEMAS = [each for name, schema in SCHEMAS.items() for each in every_schema(schema, name)]


@pytest.mark.parametrize("name", VALID)
def test_the_defaults_of_the_schema_are_those_of_the_models(name: str):
    body = VALID[name]
    spec = SCHEMAS[body["kind"]]["properties"]["spec"]
    assert with_defaults(spec, body["spec"]) == parse_body(body).body()["spec"]


@given(resources())
@settings(max_examples=100, deadline=None)
def test_a_stored_resource_has_every_default_already(resource: Resource):
    spec = SCHEMAS[resource.kind]["properties"]["spec"]
    stored = resource.body()["spec"]
    assert with_defaults(spec, stored) == stored


def test_every_part_of_a_schema_is_structural():
    for path, schema in ALL_SCHEMAS:
        has_type = schema.get("type") in ("object", "array", "string", "integer", "boolean")
        either = schema.get("x-kubernetes-int-or-string") is True
        assert has_type or either or schema.get(PRESERVE) is True, path
        assert not (either and "type" in schema), path
        assert not schema.keys() & {"$ref", "title", "const", "patternProperties", "propertyNames", "oneOf", "not"}, (
            path
        )
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert schema.get("additionalProperties") is not False, path
        assert ("anyOf" in schema) == either, path
        assert schema.get("default", 0) is not None, path
        assert "default" not in schema or ".status" not in path, path


def test_every_field_is_described_in_sentences_that_say_more_than_its_name():
    for path, schema in ALL_SCHEMAS:
        if path.endswith("[]") or ".metadata" in path:
            continue
        text = schema.get("description", "")
        assert text.endswith("."), f"{path}: {text!r}"
        assert len(text.split()) >= 3 or path.endswith(".kind"), f"{path}: {text!r}"


def test_free_form_is_nothing_but_parameters():
    free = {path.rpartition(".")[2].rstrip("[]") for path, schema in ALL_SCHEMAS if schema.get(PRESERVE)}
    assert free == {"params", "paramLists", "values", "bestParams"}


def test_patterns_mean_the_same_to_go_and_to_python():
    # RE2 knows no look-around and no back references, and its \d and \s are not Python's.
    for path, schema in ALL_SCHEMAS:
        if "pattern" in schema:
            assert not re.search(r"\\|\(\?", schema["pattern"]), path
            assert re.fullmatch(r"\^.*\$", schema["pattern"]), path
            assert "maxLength" in schema, path


def test_every_rule_has_a_message_for_people_and_a_place_that_exists():
    for path, schema in ALL_SCHEMAS:
        for rule in schema.get(VALIDATIONS, ()):
            assert len(rule["message"]) > 15, path
            field = schema
            for step in rule.get("fieldPath", "").split(".")[1:]:
                field = field["properties"][step]


def test_lists_and_maps_that_rules_walk_are_bounded():
    # The API server estimates what a rule may cost at most, and refuses the CRD when there is no bound.
    for path, schema in ALL_SCHEMAS:
        if ".spec" in path and schema.get("type") == "array":
            assert "maxItems" in schema, path


@pytest.mark.parametrize("name", KINDS)
def test_a_crd_is_small_enough_for_a_client_side_apply(name: str):
    assert len(json.dumps(DEFINITIONS[name]).encode()) < ANNOTATION_BYTES_MAX / 4


@pytest.mark.parametrize("name", KINDS)
def test_a_crd_has_names_columns_and_a_status_subresource(name: str):
    spec = DEFINITIONS[name]["spec"]
    (version,) = spec["versions"]
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert DEFINITIONS[name]["metadata"]["name"] == f"{spec['names']['plural']}.tradefleet.dev"
    assert (spec["names"]["categories"], spec["scope"]) == (["tradefleet"], "Namespaced")
    assert version["subresources"] == {"status": {}}
    assert {"Ready", "Phase", "Age"} <= set(columns)
    assert len(set(columns)) == len(columns)


def test_the_columns_of_a_bot_answer_the_first_questions():
    (version,) = DEFINITIONS["TradingBot"]["spec"]["versions"]
    shown = [each["name"] for each in version["additionalPrinterColumns"] if not each.get("priority")]
    assert shown == ["Mode", "Exchange", "Instruments", "Ready", "Phase", "Equity", "VsHold", "Age"]


def test_every_column_shows_a_field_that_exists():
    for name, body in DEFINITIONS.items():
        (version,) = body["spec"]["versions"]
        for column in version["additionalPrinterColumns"]:
            field = SCHEMAS[name]
            for step in column["jsonPath"].split("[")[0].split(".")[1:]:
                if step in ("creationTimestamp",):
                    break
                assert step in field["properties"], (name, column)
                field = field["properties"][step]


def test_the_wide_output_of_a_bot_says_more():
    (version,) = DEFINITIONS["TradingBot"]["spec"]["versions"]
    assert {each["name"] for each in version["additionalPrinterColumns"] if each.get("priority")} == {
        "Strategy",
        "Orders",
        "Bar",
        "Reason",
    }
