"""A whole process: signals, exit statuses, last words."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tradefleet.domain.errors import MEMORY_REMEDY
from tradefleet.runtime.loop import ExitStatus
from tradefleet.runtime.process import FINISHED

PROGRAM = """
import gc, os, sys, time
from tradefleet.domain.errors import *
from tradefleet.runtime.process import Process, run_process
from tradefleet.runtime.settings import process_settings

behaviour = sys.argv[1]
if behaviour == "collecting": gc.disable()  # as a `main` may do while it loads

class Worker:
    def start(self):
        print("started", flush=True)
        if behaviour == "collecting": print(sys.modules in gc.get_objects(), gc.isenabled(), flush=True)
        if behaviour == "fenced": raise Fenced("epoch 4 holds it")
        if behaviour == "refused": raise NonDeterministic("request 7 of postgresql://u:hunter2@h differs")
        if behaviour == "full": raise MemoryError
        if behaviour == "stubborn": gave.give_up("CallbackOverdue", "on_bar did not return")
        if behaviour == "crash": raise ZeroDivisionError("oops")
    def step(self, timeout_us):
        if behaviour == "stuck": time.sleep(60)
        if behaviour == "slow": time.sleep(1); print("committed", flush=True); return True
        time.sleep(0.01)
        return True
    def stop(self): print("released", flush=True)

def build(process: Process):
    global gave
    gave = process
    if behaviour == "cannot start": raise InvalidValue("tick of zero")
    process.resources.callback(lambda: print("closed", flush=True))
    if behaviour == "finished": process.is_finished = lambda: True
    return Worker()

sys.exit(run_process(process_settings(os.environ), build))
"""

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    children: list[subprocess.Popen[str]] = []

    def start(behaviour: str, **environment: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, behaviour],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "TRADEFLEET_FLEET": "f1",
                "TRADEFLEET_COMPONENT": "bot/default/alpha",
                "TRADEFLEET_HOLDER": "slot-1",
                "TRADEFLEET_DATABASE_URL": "postgresql://bot:hunter2@127.0.0.1/f1",
                "TRADEFLEET_KAFKA_BOOTSTRAP": "127.0.0.1:1",
                "TRADEFLEET_LAST_WORDS_PATH": str(tmp_path / "last-words"),
                **environment,
            },
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def wait_for(child: "subprocess.Popen[str]", line: str) -> None:
    assert child.stdout is not None
    for found in child.stdout:
        if found.strip() == line:
            return
    raise AssertionError(f"the process never said {line!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_gives_everything_back(run: Run, number: signal.Signals) -> None:
    child = run("slow")
    wait_for(child, "started")
    child.send_signal(number)
    out, _ = child.communicate(timeout=30)
    assert out.split() == ["committed", "released", "closed"]
    assert child.returncode == ExitStatus.ENDED


def test_a_second_signal_ends_at_once(run: Run) -> None:
    child = run("stuck")
    wait_for(child, "started")
    child.send_signal(signal.SIGTERM)
    # The first one is only noted while the step sleeps; how soon it was taken is not to be seen from outside.
    while child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert child.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("behaviour", "status", "reason", "message"),
    [
        ("fenced", ExitStatus.SUPERSEDED, "Fenced", "epoch 4 holds it"),
        ("refused", ExitStatus.REFUSED, "NonDeterministic", "request 7 of postgresql://u:***@h differs"),
        ("crash", ExitStatus.CRASHED, "ZeroDivisionError", "oops"),
        ("full", ExitStatus.REFUSED, "OutOfMemory", f"it needed more memory than its process may use: {MEMORY_REMEDY}"),
        ("stubborn", ExitStatus.REFUSED, "CallbackOverdue", "on_bar did not return"),
        ("cannot start", ExitStatus.REFUSED, "InvalidValue", "tick of zero"),
    ],
)
def test_the_exit_status_and_the_last_words_say_why_it_ended(
    run: Run, tmp_path: Path, behaviour: str, status: ExitStatus, reason: str, message: str
) -> None:
    child = run(behaviour)
    out, log = child.communicate(timeout=30)
    assert child.returncode == status
    assert json.loads((tmp_path / "last-words").read_text()) == {"reason": reason, "message": message}
    assert "released" not in out
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[0]["component"] == "bot/default/alpha"
    assert "hunter2" not in log


def test_a_run_that_has_ended_is_told_from_an_end_that_was_asked_for(run: Run, tmp_path: Path) -> None:
    finished = run("finished")
    finished.communicate(timeout=30)
    assert finished.returncode == ExitStatus.ENDED
    assert json.loads((tmp_path / "last-words").read_text()) == {"reason": FINISHED, "message": ""}

    (tmp_path / "last-words").unlink()
    asked = run("slow")
    wait_for(asked, "started")
    asked.send_signal(signal.SIGTERM)
    asked.communicate(timeout=30)
    assert asked.returncode == ExitStatus.ENDED
    assert not (tmp_path / "last-words").exists()


def test_health_is_served_while_it_runs(run: Run) -> None:
    child = run("work", TRADEFLEET_HEALTH_PORT="0")
    wait_for(child, "started")
    assert child.stderr is not None
    port = json.loads(child.stderr.readline())["health_port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        assert answer.read() == b"ok\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert b'tradefleet_steps_total{worked="yes"}' in answer.read()


def test_garbage_is_collected_but_not_looked_for_in_what_was_imported(run: Run) -> None:
    process = run("collecting")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["started\n", "False True\n"]
