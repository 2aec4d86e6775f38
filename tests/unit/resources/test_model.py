from typing import cast

import pytest
from pydantic import Field, ValidationError

from tradefleet.resources.model import Model, format_path, rule, without_nulls
from tradefleet.resources.trading_bot import Sizing, TradingBotSpec
from tradefleet.resources.values import Whole


class Window(Model):
    least: int = Field(default=0, description="Least.")
    most: int = Field(default=1, description="Most.")

    @rule(cel="self.least < self.most", message="least must be below most", field="least")
    def _is_open(self) -> bool:
        return self.least < self.most


class NarrowWindow(Window):
    @rule(cel="self.most < 10", message="most must be below 10", field="most")
    def _is_narrow(self) -> bool:
        return self.most < 10


def test_rules_of_a_base_hold_for_its_subclasses_and_all_broken_ones_are_named():
    with pytest.raises(ValidationError) as caught:
        NarrowWindow(least=30, most=20)
    assert "least must be below most; most must be below 10" in str(caught.value)


def test_a_resource_made_in_python_obeys_the_same_rules():
    with pytest.raises(ValidationError, match="needs quoteAmount"):
        Sizing.model_validate({"method": "fixed"})


def test_the_schema_carries_the_rules_in_cel():
    assert NarrowWindow.model_json_schema()["x-kubernetes-validations"] == [
        {"rule": "self.least < self.most", "message": "least must be below most", "fieldPath": ".least"},
        {"rule": "self.most < 10", "message": "most must be below 10", "fieldPath": ".most"},
    ]


def test_a_model_cannot_be_changed_in_place():
    with pytest.raises(ValidationError, match="frozen"):
        cast("object", Window()).least = 5  # type: ignore[attr-defined]


def test_names_in_yaml_are_camel_case_only():
    with pytest.raises(ValidationError, match="exchange_ref"):
        TradingBotSpec.model_validate({"exchange_ref": {"name": "x"}}, by_alias=True, by_name=False)


def test_a_path_is_written_as_people_write_it():
    assert format_path(("spec", "instruments", 1, "tickSize")) == "spec.instruments[1].tickSize"


def test_nulls_are_dropped_at_every_depth_but_not_from_lists():
    assert without_nulls({"a": None, "b": {"c": None, "d": [{"e": None}, None]}}) == {"b": {"d": [{}, None]}}


class Counted(Model):
    count: Whole | None = Field(default=None, description="Count.")
    names: dict[str, str] = Field(default={}, description="Names.")


def test_a_number_without_a_fraction_is_whole_however_it_is_written():
    assert Counted.model_validate({"count": 5.0}).count == 5
    with pytest.raises(ValidationError):
        Counted.model_validate({"count": 5.5})


def test_what_is_null_is_not_there_in_fields_and_in_maps():
    assert Counted.model_validate({"count": None, "names": {"a": None, "b": "c"}}) == Counted(names={"b": "c"})


def test_a_null_field_that_is_not_there_is_refused_as_misspelt():
    with pytest.raises(ValidationError, match="cuont"):
        Counted.model_validate({"cuont": None})
