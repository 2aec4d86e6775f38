"""Children die with their parent, and what is left of an earlier supervisor is told apart from strangers."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from governor.local.identity import choose_identity
from governor.local.processes import (
    LAUNCHER,
    Child,
    Command,
    ProcessRecord,
    boot_id,
    clear_leftovers,
    spawn,
    started_ticks,
)

WAIT_S = 10.0


def gone(pid: int) -> bool:
    """Whether the process has ended, after waiting for that for a bounded time."""
    deadline = time.monotonic() + WAIT_S
    while started_ticks(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def start(folder: Path, *arguments: str, name: str = "child") -> Child:
    return spawn(Command(name=name, arguments=arguments, folder=folder, log=folder / "child.log"), folder)


def wait_for_line(path: Path) -> str:
    deadline = time.monotonic() + WAIT_S
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"nothing was written to {path}"
        time.sleep(0.01)
    return path.read_text()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", textwrap.dedent(code))


def test_children_die_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
        import time
        from pathlib import Path
        from governor.local.identity import choose_identity
        from governor.local.processes import Command, spawn
        folder = Path({str(tmp_path)!r})
        identities = {{"same", choose_identity().launch}}
        children = [
            spawn(Command(name=f"sleeper{{number}}", arguments=("/bin/sleep", "600"), folder=folder,
                          log=folder / "log", identity=identity), folder)
            for number, identity in enumerate(sorted(identities))
        ]
        (folder / "pids").write_text(" ".join(str(child.pid) for child in children) + "\\n")
        time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)]) as parent:
        pids = [int(pid) for pid in wait_for_line(tmp_path / "pids").split()]
        assert all(started_ticks(pid) is not None for pid in pids)

        parent.kill()

        assert [gone(pid) for pid in pids] == [True] * len(pids)


def test_a_child_whose_parent_died_before_it_could_ask_does_not_start() -> None:
    grandparent = os.getppid()  # any process that is alive and not the parent

    command = [sys.executable, "-I", "-S", str(LAUNCHER), str(grandparent), "same", "0", "/bin/echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 126
    assert done.stdout == ""
    assert "is gone" in done.stderr


EATS = """
    try:
        kept = [bytes(2**20) for _ in range(400)]
    except MemoryError:
        kept = []
        print("refused", open("/proc/self/oom_score_adj").read().strip())
    else:
        print("had it", open("/proc/self/oom_score_adj").read().strip())
"""


def test_a_child_that_may_have_so_much_memory_gets_no_more_and_is_the_first_to_go(tmp_path: Path) -> None:
    free, held = tmp_path / "free.log", tmp_path / "held.log"
    for log, memory_bytes in ((free, 0), (held, 200 * 2**20)):
        command = Command(name=log.stem, arguments=python(EATS), folder=tmp_path, log=log, memory_bytes=memory_bytes)
        assert spawn(command, tmp_path).wait(WAIT_S) == 0

    ours = Path("/proc/self/oom_score_adj").read_text(encoding="ascii").strip()
    assert free.read_text() == f"had it {ours}\n"
    assert held.read_text() == "refused 500\n"


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    children: list[Child] = []
    thread = threading.Thread(target=lambda: children.append(start(tmp_path, "/bin/sleep", "600")))
    thread.start()
    thread.join()

    assert children[0].wait(0.3) is None

    assert children[0].kill() == -signal.SIGKILL


def test_a_child_that_ignores_the_request_is_killed_with_its_group(tmp_path: Path) -> None:
    child = start(
        tmp_path,
        *python("""
            import os, signal, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            grandchild = os.fork()
            if grandchild:
                print(grandchild, flush=True)
            time.sleep(600)
        """),
    )
    grandchild = int(wait_for_line(tmp_path / "child.log"))

    assert child.stop(grace_s=0.2) == -signal.SIGKILL

    assert gone(grandchild)


def test_a_child_that_obeys_ends_with_its_own_status_and_its_output_is_in_the_log(tmp_path: Path) -> None:
    child = start(
        tmp_path,
        *python("""
            import signal, sys, time
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            print("ready", flush=True)
            time.sleep(600)
        """),
    )

    assert wait_for_line(tmp_path / "child.log") == "ready\n"
    assert child.stop(grace_s=WAIT_S) == 7
    assert not child.is_alive()
    assert list(tmp_path.glob("*.process")) == []


def test_a_leftover_is_killed_and_named(tmp_path: Path) -> None:
    child = start(tmp_path, "/bin/sleep", "600", name="forgotten")

    cleared = clear_leftovers(tmp_path)

    assert [(record.name, record.pid) for record in cleared] == [("forgotten", child.pid)]
    assert gone(child.pid)
    assert clear_leftovers(tmp_path) == []


@pytest.mark.parametrize("difference", ["start time", "boot"])
def test_a_stranger_with_the_pid_of_a_dead_child_is_left_alone(tmp_path: Path, difference: str) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], start_new_session=True) as stranger:
        ticks = started_ticks(stranger.pid)
        assert ticks is not None
        record = {
            "name": "old",
            "pid": stranger.pid,
            "started_ticks": ticks - (difference == "start time"),
            "boot": "an earlier one" if difference == "boot" else boot_id(),
        }
        (tmp_path / "old.process").write_text(json.dumps(record))

        assert not ProcessRecord(**record).is_alive()
        assert clear_leftovers(tmp_path) == []

        assert stranger.poll() is None
        assert not (tmp_path / "old.process").exists()
        stranger.kill()


def test_a_record_torn_by_a_crash_of_the_machine_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "torn.process").write_text('{"name": "to')

    assert clear_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_does_not_exist_ends_with_a_line_in_the_log(tmp_path: Path) -> None:
    child = start(tmp_path, "/nowhere/program")

    assert child.wait(WAIT_S) == 126
    assert "cannot run /nowhere/program" in (tmp_path / "child.log").read_text()


def test_an_identity_is_unprivileged_whoever_we_are(tmp_path: Path) -> None:
    command = Command(
        name="who",
        arguments=("/usr/bin/id", "-u"),
        folder=Path("/"),
        log=tmp_path / "who.log",
        identity=choose_identity().launch,
    )
    assert spawn(command, tmp_path).wait(WAIT_S) == 0

    assert int((tmp_path / "who.log").read_text()) != 0
