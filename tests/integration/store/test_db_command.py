"""`tradefleet db upgrade` beside a database that is not there yet, as in a cluster that has just been told of both."""

import os
import subprocess
import sys
from pathlib import Path

from governor.local.database import Database
from governor.local.loopback import LOOPBACK, free_port

PASSWORD = "not-a-secret"
END_TIMEOUT_S = 120


def upgrade(port: int, *options: str) -> "subprocess.Popen[str]":
    url = f"postgresql://postgres:{PASSWORD}@{LOOPBACK}:{port}/tradefleet"
    return subprocess.Popen(
        [sys.executable, "-m", "tradefleet.cli.main", "db", "upgrade", *options],
        env={**os.environ, "TRADEFLEET_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_upgrade_waits_for_its_database_when_told_to(tmp_path: Path):
    port = free_port()
    waiting = upgrade(port, "--wait", str(END_TIMEOUT_S))
    server = Database(tmp_path, port=port, password=PASSWORD)
    server.start()
    try:
        said, complained = waiting.communicate(timeout=END_TIMEOUT_S)
    finally:
        server.stop()

    assert (waiting.returncode, "Upgraded the schema from none" in said) == (0, True), complained


def test_an_upgrade_alone_says_at_once_that_nobody_answers():
    alone = upgrade(free_port())

    _, complained = alone.communicate(timeout=END_TIMEOUT_S)

    assert alone.returncode == 1
    assert "Connection refused" in " ".join(complained.split())
    assert PASSWORD not in complained
