"""`tradefleet strategy`."""

import json
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.running import run
from workloads.strategy.registry import BUILTINS


def test_the_list_names_every_built_in_strategy_with_its_idea_and_defaults() -> None:
    result = run("strategy", "list")
    assert result.status == 0
    lines = {line.split()[0]: line for line in result.out.splitlines() if line.strip()}
    assert set(BUILTINS) <= set(lines)
    assert "Be in while the fast average is above the slow one." in lines["sma-cross"]
    assert "fast=10, slow=50" in lines["sma-cross"]


def test_a_description_has_ranges_and_meanings() -> None:
    result = run("strategy", "describe", "sma-cross")
    assert result.status == 0
    assert "Source: W. Brock" in result.out
    row = next(line for line in result.out.splitlines() if line.split()[:2] == ["fast", "int"])
    assert " ".join(row.split()) == "fast int 10 2 to 5000 bars of the fast average"


@pytest.mark.parametrize(("output", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_same_as_values(output: str, parse) -> None:
    values = parse(run("strategy", "describe", "bollinger", "-o", output).out)
    assert values["name"] == "bollinger"
    by_name = {each["name"]: each for each in values["parameters"]}
    assert by_name["exit"]["choices"] == ["middle", "upper"]
    assert "max" in by_name["period"]
    assert [each["name"] for each in parse(run("strategy", "list", "-o", output).out)] == list(BUILTINS)


def test_a_class_in_the_folder_where_the_user_stands_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_bots.py").write_text(
        textwrap.dedent('''
            from workloads.strategy.api import Strategy, param

            class Breakout(Strategy):
                """Follow a breakout."""

                bars: int = param(20, ge=2)
            ''')
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    result = run("strategy", "describe", "my_own_bots:Breakout")
    assert result.status == 0, result.err
    assert "Follow a breakout." in result.out
    assert ">= 2" in result.out


def test_an_unknown_strategy_is_answered_with_a_suggestion() -> None:
    result = run("strategy", "describe", "sma-crss")
    assert result.status == 2
    assert "did you mean sma-cross?" in result.err
    assert result.out == ""


def test_an_unknown_form_of_output_is_refused() -> None:
    assert run("strategy", "list", "-o", "xml").status == 2
