"""Only the released jars are used: every other file is refused, and nothing of it stays."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from governor.local.broker import Broker
from governor.local.jars import KAFKA_VERSION, REPOSITORY_VARIABLE, ensure_jars, locked_jars

from tradefleet.domain.errors import Permanent, Retryable


@pytest.fixture
def jar_folder(tmp_path: Path) -> Path:
    """A cache of jars that a test may spoil."""
    folder = tmp_path / "jars"
    folder.mkdir()
    for jar in ensure_jars():
        (folder / jar.name).symlink_to(jar)
    return folder


class WrongBytes(http.server.BaseHTTPRequestHandler):
    """Answers every request for a jar with something else."""

    def do_GET(self) -> None:
        found = self.path.endswith(".jar")
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(b"not a jar")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror_of_wrong_bytes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WrongBytes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv(REPOSITORY_VARIABLE, f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_lock_names_one_version_of_each_jar_and_the_wanted_kafka() -> None:
    jars = locked_jars()

    assert len({(jar.group, jar.artifact) for jar in jars}) == len(jars)
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {KAFKA_VERSION}


def test_a_tampered_jar_is_refused_and_no_broker_starts(jar_folder: Path, tmp_path: Path) -> None:
    victim = jar_folder / f"kafka-clients-{KAFKA_VERSION}.jar"
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content + b"\0")
    broker = Broker(tmp_path / "kafka", jar_folder=jar_folder)

    with pytest.raises(Permanent, match=r"kafka-clients-.* is not the file that was released .* run `make setup`"):
        broker.start()

    assert broker.child is None
    assert not (tmp_path / "kafka" / "topics").exists()


def test_a_download_of_wrong_bytes_is_refused_and_not_kept(jar_folder: Path, mirror_of_wrong_bytes: None) -> None:
    missing = jar_folder / f"kafka-clients-{KAFKA_VERSION}.jar"
    missing.unlink()

    with pytest.raises(Permanent, match="SHA-256 must be"):
        ensure_jars(jar_folder)

    assert not missing.exists()
    assert list(jar_folder.glob(".download*")) == []


def test_a_download_without_a_network_can_be_repeated(jar_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = jar_folder / f"kafka-clients-{KAFKA_VERSION}.jar"
    original = missing.resolve()
    missing.unlink()
    monkeypatch.setenv(REPOSITORY_VARIABLE, "http://127.0.0.1:1")
    heard: list[tuple[int, int]] = []

    with pytest.raises(Retryable, match="check the network or proxy"):
        ensure_jars(jar_folder, lambda _, done, total: heard.append((done, total)))

    assert heard == [(0, 1)]
    missing.symlink_to(original)
    assert missing in ensure_jars(jar_folder)
