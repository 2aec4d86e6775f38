"""Tables and values as a kubectl user expects them."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys

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


ROWS = [["a-long-name", "12,345.67", "text", "1"], ["b", "-1.00", "more text", "22"]]
NAMES = ["Name", "Amount", "Words", "Count"]


def test_columns_are_left_out_in_their_order_until_the_table_fits() -> None:
    # the whole table: 11 + 9 + 9 + 5 and three gaps of 2
    assert printing.too_many(NAMES, ROWS, (3, 2), 40) == []
    assert printing.too_many(NAMES, ROWS, (3, 2), 39) == [3]
    assert printing.too_many(NAMES, ROWS, (3, 2), 33) == [3]
    assert printing.too_many(NAMES, ROWS, (3, 2), 32) == [3, 2]
    assert printing.too_many(NAMES, ROWS, (3, 2), 5) == [3, 2]


def shown_in_a_terminal(arguments: str, columns: int) -> str:
    """Return what `print_rows` shows in a window of so many columns."""
    primary, secondary = pty.openpty()
    code = f"from tradefleet.cli.printing import print_rows\nprint_rows({arguments})"
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], stdout=secondary, env=environment, check=True)
    os.close(secondary)
    text = ""
    with contextlib.suppress(OSError):  # how a pseudo-terminal says that its other end is closed
        while chunk := os.read(primary, 4_096):
            text += chunk.decode()
    os.close(primary)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("columns", [200, 35, 30, 24])
def test_a_terminal_shows_every_digit_of_a_number_and_names_what_it_leaves_out(columns: int) -> None:
    plain = shown_in_a_terminal(f"{NAMES!r}, {ROWS!r}, numbers=(1, 3), optional=(3, 2)", columns)
    assert "12,345.67" in plain
    assert "-1.00" in plain
    assert ("Words" in plain.splitlines()[0]) == (columns >= 35)
    assert ("a wider window also shows" in " ".join(plain.split())) == (columns < 40)


def test_sentences_take_several_lines_so_that_nothing_beside_them_is_cut_off() -> None:
    rows = [["whoever reads this has a narrow window", "1,303 entries", "none"]]
    plain = shown_in_a_terminal(f"['Rule', 'Checked', 'Findings'], {rows!r}, numbers=(1,), is_prose=True", 50)
    assert "Findings" in plain.splitlines()[0]
    assert "1,303 entries  none" in plain
    assert "…" not in plain
    assert "narrow window" in " ".join(plain.split())


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
