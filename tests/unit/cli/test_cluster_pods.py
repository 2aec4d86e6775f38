"""What is read from pods, and what runs in them: at a server that speaks HTTP and websockets as an API server does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.api_server import Pods, pod, running
from tests.unit.cli.running import run

GOVERNOR = {"app.kubernetes.io/part-of": "tradefleet", "app.kubernetes.io/component": "governor"}
OURS = {"app.kubernetes.io/managed-by": "tradefleet-governor", "tradefleet.dev/fleet": "fleet"}
SUCCESS = json.dumps({"status": "Success"}).encode()
OUT, ERR, END = 1, 2, 3


def failure(status: int) -> bytes:
    details = {"causes": [{"reason": "ExitCode", "message": str(status)}]}
    return json.dumps({"status": "Failure", "reason": "NonZeroExitCode", "details": details}).encode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Pods, Path]]:
    with running(tmp_path) as found:
        yield found


def test_an_audit_prints_what_it_printed_in_the_pod_and_ends_as_it_ended(server: Any):
    pods, kubeconfig = server
    pods.pods = [pod("governor-1", GOVERNOR, "governor")]
    text = "Invariant  Findings\n3 × none – ok\n".encode()
    # A character whose bytes come in two pieces.
    cut = text.index("×".encode()) + 1
    pods.frames = [(OUT, text[:cut]), (OUT, text[cut:]), (ERR, b"row 7: wrong\n"), (END, failure(1))]

    found = run("audit", "-o", "json", "--kubeconfig", str(kubeconfig))

    assert found == (1, text.decode(), "row 7: wrong\n")
    path, query = pods.requests[-1]
    assert path == "/api/v1/namespaces/default/pods/governor-1/exec"
    assert query["command"] == ["python", "-m", "tradefleet.cli.inside", "audit", "json"]
    assert query["container"] == ["governor"]


def test_a_topic_is_read_with_the_same_words_in_the_pod(server: Any):
    pods, kubeconfig = server
    pods.pods = [pod("governor-1", GOVERNOR, "governor")]
    pods.frames = [(OUT, b"{}\n"), (END, SUCCESS)]

    words = ("--key", "default/alpha", "--limit", "3", "--from-beginning")
    found = run("topic", "read", "trading.executions", *words, "--kubeconfig", str(kubeconfig))

    assert found == (0, "{}\n", "")
    _, query = pods.requests[-1]
    assert query["command"] == [
        *("python", "-m", "tradefleet.cli.entry", "topic", "read", "trading.executions", "--output", "json"),
        *words,
    ]


def test_a_connection_that_ends_before_the_command_is_not_taken_for_its_end(server: Any):
    pods, kubeconfig = server
    pods.pods = [pod("governor-1", GOVERNOR, "governor")]
    pods.frames = [(OUT, b"half\n")]

    found = run("audit", "--kubeconfig", str(kubeconfig))

    assert (found.status, found.out) == (1, "half\n")
    assert "the connection ended before the command did" in found.err


def test_of_several_governors_that_of_the_namespaces_fleet_is_asked(server: Any):
    pods, kubeconfig = server
    bot = pod("bot-alpha-1", {**OURS, "tradefleet.dev/fleet": "second"}, "workload")
    pods.pods = [
        pod("governor-1", GOVERNOR, "governor", fleet="first"),
        pod("governor-2", GOVERNOR, "governor", fleet="second", phase="Pending"),
        pod("governor-3", GOVERNOR, "governor", fleet="second"),
        bot,
    ]
    pods.frames = [(END, SUCCESS)]

    assert run("audit", "--kubeconfig", str(kubeconfig)).status == 0
    assert pods.requests[-1][0].endswith("/pods/governor-3/exec")

    pods.pods.remove(bot)
    found = run("audit", "--kubeconfig", str(kubeconfig))

    assert found.status == 2
    assert "which of the fleets first, second looks after namespace default cannot be told" in found.err


def test_a_log_is_shown_as_text_from_its_last_lines(server: Any):
    pods, kubeconfig = server
    pods.pods = [pod("bot-alpha-1", {**OURS, "tradefleet.dev/tradingbot": "alpha"}, "workload")]
    pods.log = '{"time": "2026-11-21T18:00:00Z", "level": "INFO", "message": "bought", "lots": 3}\nplain\n'

    found = run("logs", "alpha", "--tail", "7", "--since", "5m", "--kubeconfig", str(kubeconfig))

    assert found == (0, "2026-11-21T18:00:00Z INFO     bought lots=3\nplain\n", "")
    _, query = pods.requests[-1]
    assert query == {"container": ["workload"], "tailLines": ["7"], "sinceSeconds": ["300"], "follow": ["false"]}


def test_lines_of_several_containers_say_of_which_they_are(server: Any):
    pods, kubeconfig = server
    labels = {**OURS, "tradefleet.dev/exchange": "simulator"}
    pods.pods = [pod("gateway-1", labels, "workload", "proxy"), pod("venue-1", labels, "workload")]
    pods.log = "hello\n"

    found = run("logs", "simulator", "--kubeconfig", str(kubeconfig))

    assert found.out == "gateway-1/proxy: hello\ngateway-1/workload: hello\nvenue-1/workload: hello\n"
