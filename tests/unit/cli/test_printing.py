"""Tables and values as a kubectl user expects them."""

import contextlib
import io
import json

import pytest
import yaml

from tradefleet.cli import printing


def printed(*arguments: object, **options: object) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        printing.print_rows(*arguments, **options)
    return out.getvalue()


def test_a_table_for_a_pipe_is_cut_nowhere_and_has_no_colours() -> None:
    long = "x" * 150
    text = printed(
        ["Name", "Amount"], [[long, "1.00"], ["b", "-22.50"]], numbers={1}, styles=[["red", ""], ["", "red"]]
    )
    head, first, second = text.splitlines()
    assert long in first
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in (head, first, second))
    assert first.endswith("  1.00")
    assert second.endswith("-22.50")


def test_names_are_no_markup() -> None:
    assert "[red]evil[/red]" in printed(["Name"], [["[red]evil[/red]"]])


@pytest.mark.parametrize(("output", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_values_can_be_read_back(output: str, parse, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"b": [1, "zwei", None], "a": {"ü": True}}
    printing.print_values(values, output)
    assert parse(capsys.readouterr().out) == values


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(printing.UnknownOutput, match="-o xml: must be one of table, json"):
        printing.check_output("xml", ("table", "json"))
