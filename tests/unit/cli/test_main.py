"""`tradefleet`: what it lists, how fast, and with what it ends."""

import re
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.unit.cli.running import run
from tradefleet.cli import main
from tradefleet.domain.errors import Fenced, Permanent, Retryable

HEAVY = ("pydantic", "pandas", "numpy", "sqlalchemy", "pyarrow", "confluent_kafka", "psycopg", "numba", "ccxt")
START_S_MAX = 0.3


def test_help_lists_every_command_that_is_there_with_its_sentence() -> None:
    result = run("--help")
    assert result.status == 0
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.out).split())
    for name, entry in main.COMMANDS.items():
        if main.is_there(entry):
            assert f"{name} {entry.help}" in words


@pytest.mark.parametrize("name", [name for name, entry in main.COMMANDS.items() if main.is_there(entry)])
def test_a_command_is_found_where_the_list_says_and_its_help_teaches_by_example(name: str) -> None:
    result = run(name, "--help")
    assert result.status == 0, result.err
    assert f"$ tradefleet {name}" in result.out


def options() -> Iterator[tuple[str, Any]]:
    """Yield every option of every command with the command's name."""
    for name, entry in main.COMMANDS.items():
        command = main.LazyCommand(name, entry).load()
        for each in (command, *getattr(command, "commands", {}).values()):
            yield from ((f"{name} {each.name}", param) for param in each.params if param.param_type_name == "option")


def test_every_option_says_what_it_does_and_what_its_value_is() -> None:
    for command, option in options():
        assert option.help, f"{command}: {option.opts}"
        assert option.is_flag or option.metavar, f"{command}: {option.opts} says nothing of its value"


def test_the_paragraphs_of_a_help_flow_to_the_width_of_the_terminal() -> None:
    command = main.LazyCommand("data", main.COMMANDS["data"]).load().commands["import"]
    *paragraphs, example = command.help.split("\n\n")
    assert len(paragraphs) == 4
    assert not any("\n" in each for each in paragraphs)
    assert example.partition("\n")[0].endswith(" \\")  # this break belongs to the command that is shown


def test_help_imports_nothing_heavy() -> None:
    code = textwrap.dedent(f"""
        import sys
        from tradefleet.cli.main import main
        try:
            main(["--help"])
        except SystemExit:
            pass
        print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
        """)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "heavy: []"


def test_help_is_there_at_once() -> None:
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tradefleet.cli.main", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # The processor's time, and of the fastest run: what else this machine does is not our start-up time.
    assert min(seconds) < START_S_MAX, seconds


def test_an_unknown_command_is_answered_with_the_one_that_was_meant() -> None:
    result = run("backtset")
    assert result.status == 2
    assert "Did you mean 'backtest'?" in " ".join(result.err.split())


def test_without_a_command_the_commands_are_listed() -> None:
    result = run()
    assert result.status == 2
    assert "backtest" in result.out + result.err


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").out == f"tradefleet {version('tradefleet')}\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [(Permanent("a field\nanother field"), 2), (Retryable("broker is away"), 1), (Fenced("somebody newer"), 1)],
)
def test_an_error_is_said_on_standard_error_and_in_the_exit_status(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fails)
    result = run("anything")
    assert result == (status, "", "".join(f"error: {line}\n" for line in str(error).splitlines()))


def test_an_error_of_our_own_making_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(AssertionError, match="a bug"):
        run("anything")


def test_every_entry_names_a_module_of_the_command_line() -> None:
    for name, entry in main.COMMANDS.items():
        assert entry.module.startswith("tradefleet.cli.")
        assert entry.help.endswith(".")
        assert name == name.lower()
    assert isinstance(main.app, typer.Typer)


def test_ctrl_c_ends_a_command_with_130_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(
        textwrap.dedent("""
            apiVersion: tradefleet.dev/v1alpha1
            kind: Exchange
            metadata: {name: simulator}
            spec: {venue: simulator, instruments: [{symbol: BTC-USD, tickSize: "0.01", lotSize: "0.0001"}]}
            ---
            apiVersion: tradefleet.dev/v1alpha1
            kind: Dataset
            metadata: {name: long}
            spec: {synthetic: {bars: 5000000}, instruments: [BTC-USD]}
            ---
            apiVersion: tradefleet.dev/v1alpha1
            kind: Feed
            metadata: {name: replay}
            spec: {exchangeRef: {name: simulator}, replay: {datasetRefs: [{name: long}]}}
            ---
            apiVersion: tradefleet.dev/v1alpha1
            kind: TradingBot
            metadata: {name: first}
            spec:
              strategy: {name: "slow:Announces"}
              instruments: [BTC-USD]
              exchangeRef: {name: simulator}
              wallet: {USD: 100}
            """)
    )
    (tmp_path / "slow.py").write_text(
        textwrap.dedent("""
            from pathlib import Path

            from workloads.strategy.api import Strategy

            class Announces(Strategy):
                def on_bar(self, bar):
                    Path("running").touch()
            """)
    )
    # What a user runs: under `python -m` Python may end by the signal itself, when it came in compiled code.
    command = [Path(sys.executable).with_name("tradefleet"), "backtest", "fleet.yaml", "--ledger", "out.txt"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "running").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*out.txt*"))


@pytest.mark.parametrize("moment", ["typer", "tradefleet.cli.main"])
def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_word(moment: str) -> None:
    code = textwrap.dedent(f"""
        import os, signal, sys

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == {moment!r}:
                    os.kill(os.getpid(), signal.SIGINT)

        sys.meta_path.insert(0, Finder())
        sys.argv = ["tradefleet", "--help"]
        from tradefleet.cli.entry import main
        main()
        """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_entry_runs_the_command_line() -> None:
    command = [sys.executable, "-m", "tradefleet.cli.entry", "--version"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out == f"tradefleet {version('tradefleet')}\n"
