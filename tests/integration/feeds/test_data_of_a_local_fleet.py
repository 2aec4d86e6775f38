"""`tradefleet data` finds the database of a fleet that runs on this machine."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from governor.local.database import Database
from governor.local.home import Home

from tests.unit.cli.test_data import run
from tests.unit.feeds.candles import bars, write_csv
from tradefleet.store import schema
from tradefleet.store.components import Component
from tradefleet.store.logins import admit, component_login


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A data folder whose Postgres runs; this process poses as the supervisor."""
    for variable in ("TRADEFLEET_DATABASE_URL", "TRADEFLEET_DATABASE_URL_FILE", "TRADEFLEET_FLEET"):
        monkeypatch.delenv(variable, raising=False)
    home = Home(tmp_path / "fleet")
    fleet = home.claim().fleet
    server = Database(home.postgres)
    server.start()
    schema.upgrade(server.dsn())
    role = component_login(fleet, Component.SUPERVISOR)
    server.ensure_login(role)
    with psycopg.connect(server.dsn()) as connection:
        admit(connection, role, fleet=fleet, component=Component.SUPERVISOR)
    home.tell("running", is_up=True)
    yield home
    server.stop()


def test_a_running_fleet_is_found_by_its_folder_or_as_the_users_own(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(10)))

    assert run("data", "import", path, "--data-dir", home.path) == 0
    monkeypatch.setenv("TRADEFLEET_HOME", str(home.path))
    assert run("data", "import", path) == 0
    assert "Nothing was added" in capsys.readouterr().out
    assert run("data", "check", "coinbase", "--data-dir", home.path, "--strict") == 0


def test_a_stopped_fleet_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRADEFLEET_DATABASE_URL", raising=False)
    home = Home(tmp_path / "fleet")
    home.claim()

    assert run("data", "list", "--data-dir", home.path) == 2
    assert f"the fleet in {home.path} is stopped: start it with `tradefleet up`" in capsys.readouterr().err
