"""A grid on this machine, from the example: killed, held, asked anew. One story, in the order of the file."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet.commands import FleetCommands

EXAMPLE = Path(__file__).parents[3] / "examples" / "grid"
TRIALS = 16
ROWS = "SELECT trial, error <> '', xmin::text FROM tradefleet.backtest_result WHERE question = %s ORDER BY trial"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("grid")
    shutil.copytree(EXAMPLE, folder / "grid")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def _status(fleet: FleetCommands) -> dict:
    return fleet.values("bt", "sma-grid")[0]["status"]


def _rows(fleet: FleetCommands, question: str) -> list[tuple]:
    return fleet.query(ROWS, [question])


def test_a_grid_ends_with_each_result_once_whatever_is_killed(fleet: FleetCommands) -> None:
    fleet.ok("up", "grid", "--no-wait")
    fleet.wait_for("some results", lambda: _status(fleet).get("completed", 0) >= 2)
    before = _rows(fleet, _status(fleet)["question"])

    fleet.kill_supervisor()
    fleet.ok("up", "--no-wait")
    fleet.wait_for("all of them", lambda: _status(fleet).get("phase") == "Succeeded", timeout_s=240)

    status = _status(fleet)
    rows = _rows(fleet, status["question"])
    assert [number for number, *_ in rows] == list(range(TRIALS))
    assert set(before) <= set(rows), "what was written is not written again"
    assert status["progress"] == f"{TRIALS}/{TRIALS}"
    assert (status["completed"], status["failed"]) == (TRIALS - len(_refused()), len(_refused()))
    assert status["bestParams"].keys() == {"fast", "slow"}
    warning = next(each for each in status["conditions"] if each["type"] == "Warning")
    assert warning["message"].startswith(f"{len(_refused())} of {TRIALS} trials failed, the first: fast=48 slow=24: ")


def test_results_are_shown_as_a_table_and_for_programs(fleet: FleetCommands) -> None:
    table = fleet.ok("results", "sma-grid", "--limit", "100")
    assert "Backtest default/sma-grid: 16 results of 16 trials, the best first" in table
    assert "failed  fast=48 slow=24: " in table
    assert "made up" in table

    listed = list(csv.DictReader(fleet.ok("results", "sma-grid", "-o", "csv", "--limit", "100").splitlines()))
    assert sorted(int(each["trial"]) for each in listed) == list(range(TRIALS))
    gains = [float(each["vsHold"]) for each in listed if each["vsHold"]]
    assert gains == sorted(gains, reverse=True)
    document = json.loads(fleet.ok("results", "bt/sma-grid", "-o", "json", "--limit", "1"))
    assert document["results"][0]["parameters"] == _status(fleet)["bestParams"]
    assert "the best first" in fleet.ok("describe", "bt", "sma-grid")
    assert f"{TRIALS}/{TRIALS}" in fleet.ok("get", "bt")


def test_a_trial_is_what_the_backtest_command_finds_for_the_same_parameters(fleet: FleetCommands) -> None:
    best = json.loads(fleet.ok("results", "sma-grid", "-o", "json", "--limit", "1"))["results"][0]
    text = (EXAMPLE / "backtest.yaml").read_text(encoding="utf-8")
    begin, _, rest = text.partition("  search:\n")
    params = f"    params: {json.dumps(best['parameters'])}\n"
    alone = fleet.work / "alone"
    shutil.copytree(EXAMPLE, alone)
    (alone / "backtest.yaml").write_text(f"{begin}{params}  parallelism: {rest.partition('parallelism: ')[2]}")

    document = json.loads(fleet.ok("backtest", "alone", "--backtest", "sma-grid", "-o", "json"))

    assert document["ledgerHash"] == best["ledgerHash"]


def test_another_question_begins_anew_and_the_results_of_before_stay(fleet: FleetCommands) -> None:
    first = _status(fleet)["question"]
    path = fleet.work / "grid" / "backtest.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[5, 10, 20, 48]", "[5, 12]").replace("parallelism: 4", "parallelism: 1"))

    fleet.ok("apply", "grid")
    fleet.wait_for("the new run", lambda: _status(fleet).get("progress") == "8/8", timeout_s=240)

    assert _status(fleet)["question"] != first
    assert f"--question {first}" in fleet.ok("results", "sma-grid")
    assert f"16 results of {TRIALS} trials" in fleet.ok("results", "sma-grid", "--question", first)
    done = fleet.run("results", "sma-grid", "--question", "nothing")
    assert done.code != 0
    assert f"there are no results of nothing; there are {_status(fleet)['question']}, {first}" in done.err


def _refused() -> list[tuple[int, int]]:
    return [(fast, slow) for fast in (5, 10, 20, 48) for slow in (24, 48, 72, 96) if fast >= slow]


def test_a_single_run_has_a_report_in_the_database(fleet: FleetCommands) -> None:
    text = (EXAMPLE / "backtest.yaml").read_text(encoding="utf-8")
    begin, _, rest = text.partition("  search:\n")
    path = fleet.work / "one.yaml"
    path.write_text(f"{begin}  parallelism: {rest.partition('parallelism: ')[2]}".replace("sma-grid", "one"))

    fleet.ok("apply", str(path), "--wait")

    page = fleet.ok("results", "one", "-o", "html")
    assert page.rstrip().endswith("</html>")
    assert page == (fleet.home.path / "reports" / "backtest-default-one.html").read_text(encoding="utf-8")
    assert "made" in fleet.values("bt", "one")[0]["status"]["reason"]
    refused = fleet.run("results", "sma-grid", "-o", "html")
    assert refused.code != 0
    assert "tradefleet backtest FILES --report OUT.html" in refused.err
