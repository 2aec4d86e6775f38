"""docs/backtest.md: its commands and its Python run, and its columns are those of the tables."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from tests.unit.backtest.scenes import BOT, BTC, EXCHANGE, candle_file, synthetic
from tests.unit.cli.running import run
from tests.unit.feeds.candles import write_csv
from tradefleet.domain.bar import MINUTE_US
from workloads.backtest.output import COLUMNS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "backtest.md").read_text(encoding="utf-8")
# What a fleet is needed for runs in tests/integration/fleet/test_grid.py.
COMMANDS = re.findall(r"^\$ tradefleet (backtest .*)$", PAGE, re.MULTILINE)
SPRING_US = 1_522_800_000_000_000  # 2018-04-04
NOT_EXPLAINED = {"Bot", "Strategy", "Parameters", "Instruments", "Exchange", "Bars", "Quote"}  # they say it themselves
FEED = """
apiVersion: tradefleet.dev/v1alpha1
kind: Feed
metadata: {name: recorded}
spec:
  exchangeRef: {name: simulator}
  replay: {files: [{path: btc.csv, instrument: BTC-USD}]}
---
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names."""
    (tmp_path / "bots.yaml").write_text(BOT)
    (tmp_path / "exchange.yaml").write_text(EXCHANGE)
    candle_file(tmp_path, BTC, name="kraken_BTC-USD_1m.csv")
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    (fleet / "all.yaml").write_text(EXCHANGE + FEED + BOT)
    bars = list(synthetic(BTC, bars=2_000).bars())
    spring = [bar._replace(open_us=SPRING_US + place * MINUTE_US) for place, bar in enumerate(bars)]
    write_csv(fleet / "btc.csv", spring)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(folder: Path, command: str) -> None:
    arguments, _, target = command.partition(" > ")
    result = run(*shlex.split(arguments))
    assert result.status == 0, result.err
    assert result.out
    if "--report" in arguments:
        assert (folder / "report.html").is_file()
    assert bool(target) == ("-o csv" in arguments)


def test_the_python_of_the_page_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    script = folder / "example.py"
    script.write_text(code)
    runpy.run_path(str(script))
    assert "sma-cross" in capsys.readouterr().out


def test_every_column_is_explained_and_every_explained_one_is_there() -> None:
    table = PAGE.partition("| column | meaning |")[2].partition("\n\n")[0]
    explained = {name for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in row.split(", ")} - {
        "---"
    }
    assert explained == {column.name for column in COLUMNS} - NOT_EXPLAINED
