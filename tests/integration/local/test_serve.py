"""Kafka and Postgres as a pod runs them: reached from beyond loopback's own address, by the name that is advertised."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from governor.local.loopback import free_port
from governor.local.serve import main

OTHER_ADDRESS = "127.0.0.2"  # of this machine too, and not the one that a service on loopback alone listens on
PASSWORD = "not-a-secret"
END_TIMEOUT_S = 40


@contextmanager
def serving(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "TRADEFLEET_POSTGRES_PASSWORD": PASSWORD}
    process = subprocess.Popen(
        [sys.executable, "-m", "governor.local.serve", *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_TIMEOUT_S) == 0


def test_a_broker_is_found_by_the_name_that_it_advertises(tmp_path: Path):
    port = free_port()
    address = f"{OTHER_ADDRESS}:{port}"
    with serving("kafka", str(tmp_path), "--port", str(port), "--advertise", address):
        brokers = AdminClient({"bootstrap.servers": address}).list_topics(timeout=20).brokers

    assert [f"{broker.host}:{broker.port}" for broker in brokers.values()] == [address]


def test_a_database_asks_everybody_for_the_given_password_and_keeps_it(tmp_path: Path):
    port = free_port()
    url = f"postgresql://postgres:{PASSWORD}@{OTHER_ADDRESS}:{port}/tradefleet"
    with serving("postgres", str(tmp_path), "--port", str(port)):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (number integer)")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(PASSWORD, "another"))

    with serving("postgres", str(tmp_path), "--port", str(port)), psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_database_without_a_password_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("TRADEFLEET_POSTGRES_PASSWORD", raising=False)

    assert main(["postgres", str(tmp_path)]) == 1
    assert "set TRADEFLEET_POSTGRES_PASSWORD" in capsys.readouterr().err
