"""Every command of docs/data.md does what the page says it does: it runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.feeds.candles import BTC, bars, cells, csv_text, write_csv
from tests.unit.feeds.sources.test_sql_query import database
from tradefleet.domain.ids import Symbol

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the page speaks of."""
    for symbol in (BTC, Symbol("LTC-USD")):
        write_csv(tmp_path / f"coinbase_{symbol}_1m.csv.gz", bars(range(100), symbol))
    write_csv(tmp_path / "candles.csv", bars(range(100)))
    header = ("unix", "date", "open", "high", "low", "close", "Volume BTC")
    rows = [[row[0], "-", *row[1:]] for row in map(cells, bars(range(10)))]
    (tmp_path / "named.csv").write_text(csv_text(rows, header), encoding="utf-8")
    return tmp_path


def test_the_commands_of_the_page_run_one_after_the_other(folder: Path, feeds_database: str, fleet: str) -> None:
    environment = {
        **os.environ,
        "TRADEFLEET_DATABASE_URL": feeds_database,
        "TRADEFLEET_FLEET": fleet,
        "PRICES_URL": database(folder, bars(range(100))),
    }
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        words = shlex.split(command)
        assert words[0] == "tradefleet"
        done = subprocess.run(
            [sys.executable, "-m", "tradefleet.cli.main", *words[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"
