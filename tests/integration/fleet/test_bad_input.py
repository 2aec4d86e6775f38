"""What a user can get wrong: one clear message that names file, line or field and the remedy, exit 2, nothing made."""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetCommands]:
    commands = FleetCommands(tmp_path / "fleet", tmp_path)
    yield commands
    commands.stop()
    assert commands.processes() == []


def _market_of_file(path: Path) -> str:
    dataset = files.DATASET.split("spec:")[0] + (
        f"spec:\n  files: [{{path: {path.name}, instrument: BTC-USD, interval: 1m}}]\n"
    )
    return "---".join([files.EXCHANGE, dataset, files.FEED.replace("SPEED", "lockstep")])


def _refused(fleet: FleetCommands, *arguments: str) -> str:
    done = fleet.run(*arguments)
    assert done.code == 2, done.text
    assert done.err.startswith("error: "), done.text
    assert "Traceback" not in done.err
    assert not fleet.folder.exists(), "nothing is made before the files are right"
    return done.err


GOOD = files.bot("alpha", "{name: sma-cross}")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (GOOD.replace("kind: TradingBot", "kind: TradingBto"), ["kind", "TradingBto", "did you mean TradingBot?"]),
        (GOOD.replace("wallet:", "walet:"), ["spec.walet", "is not a field here", "did you mean wallet?"]),
        (GOOD.replace("sma-cross", "sma-cros"), ["spec.strategy.name", "did you mean sma-cross?"]),
        (GOOD.replace("{name: sma-cross}", "{name: sma-cross, params: {fats: 5}}"), ["params.fats", "fast"]),
        (
            GOOD.replace("{name: sma-cross}", "{name: sma-cross, params: {fast: 1}}"),
            ["params.fast", "must be >= 2, was 1"],
        ),
        (
            GOOD.replace("[BTC-USD]", "[DOGE-USD]"),
            ["spec.instruments[0]", "DOGE-USD has no tick and lot", "add it there"],
        ),
        (GOOD.replace('"10000"', '"0.5"'), ["takes orders of at least 1 USD", "give it more money"]),
        (GOOD.replace('"10000"', "-5"), ["spec.wallet.USD", "-5"]),
        (GOOD.replace("name: simulator", "name: simulater"), ["exchangeRef", "did you mean simulator?"]),
    ],
)
def test_a_wrong_resource(fleet: FleetCommands, part: str, words: list[str]) -> None:
    path = files.write(fleet.work / "fleet.yaml", files.market(speed="lockstep", bars=50), part)

    error = _refused(fleet, "up", path)

    assert "fleet.yaml:" in error
    for word in words:
        assert word in error


def test_a_file_that_is_not_there(fleet: FleetCommands) -> None:
    error = _refused(fleet, "up", "nothing.yaml")

    assert "nothing.yaml" in error
    assert "there is no such file" in error


def test_no_files_for_a_new_fleet(fleet: FleetCommands) -> None:
    assert "name files with resources" in _refused(fleet, "up")


def test_an_instrument_without_tick_and_lot(fleet: FleetCommands) -> None:
    data = files.candles(fleet.work / "btc.csv", "BTC-USD", bars=10, price="7000")
    text = _market_of_file(data).replace("symbol: BTC-USD", "symbol: ETH-USD")

    error = _refused(fleet, "up", files.write(fleet.work / "fleet.yaml", text))

    assert "BTC-USD has no tick and lot in spec.instruments" in error


def _swap(lines: list[str]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def _repeat_otherwise(lines: list[str]) -> None:
    lines.insert(4, lines[3].replace(lines[3].split(",")[5], "123.0"))


def _repeat(lines: list[str]) -> None:
    lines.insert(4, lines[3])


def _high_below_low(lines: list[str]) -> None:
    cells = lines[3].split(",")
    cells[2], cells[3] = "1.0", "2.0"
    lines[3] = ",".join(cells)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_swap, ["line 5"]),
        (_repeat, ["line 5", "is on line 4 already", "take one of the two out"]),
        (_repeat_otherwise, ["line 5", "line 4", "keep the one that is right"]),
        (_high_below_low, ["line 4", "high"]),
        (lambda lines: lines.__setitem__(3, "rubbish"), ["line 4"]),
        (lambda lines: lines.__setitem__(0, "a,b,c"), ["column"]),
    ],
)
def test_broken_candles(fleet: FleetCommands, spoil: Callable[[list[str]], None], words: list[str]) -> None:
    data = files.candles(fleet.work / "btc.csv", "BTC-USD", bars=10, price="7000")
    lines = data.read_text().splitlines()
    spoil(lines)
    data.write_text("\n".join(lines) + "\n")

    error = _refused(fleet, "up", files.write(fleet.work / "fleet.yaml", _market_of_file(data)))

    assert "fleet.yaml:" in error
    assert "btc.csv" in error
    for word in words:
        assert word in error


def test_a_missing_data_file(fleet: FleetCommands) -> None:
    error = _refused(fleet, "up", files.write(fleet.work / "fleet.yaml", _market_of_file(Path("gone.csv"))))

    assert "fleet.yaml:" in error
    assert "gone.csv" in error


def test_a_cut_off_data_file(fleet: FleetCommands) -> None:
    data = files.candles(fleet.work / "btc.csv", "BTC-USD", bars=500, price="7000")
    whole = gzip.compress(data.read_bytes())
    cut = fleet.work / "btc.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])

    error = _refused(fleet, "up", files.write(fleet.work / "fleet.yaml", _market_of_file(cut)))

    assert "btc.csv.gz" in error


def test_the_demo_refuses_broken_candles_before_it_starts_anything(fleet: FleetCommands) -> None:
    data = files.candles(fleet.work / "mine_BTC-USD_1m.csv", "BTC-USD", bars=10, price="7000")
    data.write_text(data.read_text().replace("open_time", "when"))

    done = fleet.run("demo", "--data", str(data), "--data-dir", str(fleet.folder))

    assert done.code == 2, done.text
    assert "mine_BTC-USD_1m.csv" in done.err
    assert not fleet.folder.exists()


@pytest.mark.parametrize("service", ["postgres", "kafka"])
def test_a_port_that_is_taken(fleet: FleetCommands, service: str) -> None:
    path = files.write(fleet.work / "fleet.yaml", files.market(speed="lockstep", bars=50), GOOD)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        error = _refused(fleet, "up", path, f"--{service}-port", port)

    assert f"port {port} on 127.0.0.1 is taken" in error
    assert "set another port" in error


def test_a_data_folder_of_a_newer_release(fleet: FleetCommands) -> None:
    fleet.folder.mkdir()
    (fleet.folder / "fleet.json").write_text(
        json.dumps({"fleet": "abc", "format": 99, "release": "9.0.0", "ports": {}})
    )

    for arguments in (["up"], ["get"], ["down"]):
        done = fleet.run(*arguments)

        assert done.code == 2, done.text
        assert "was written by tradefleet 9.0.0 in format 99" in done.err
        assert "use the newer release" in done.err


def test_a_disk_without_room(fleet: FleetCommands) -> None:
    path = files.write(fleet.work / "fleet.yaml", files.market(speed="lockstep", bars=50), GOOD)
    small = fleet.work / "small"
    small.mkdir()
    # A disk of our own, in a mount namespace: as an ordinary user in a user namespace as well.
    unshare = [shutil.which("unshare") or "unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    command = f"mount -t tmpfs -o size=16m tmpfs {small} && exec {sys.executable} -m tradefleet.cli.main up {path}"

    done = subprocess.run(
        [*unshare, "sh", "-c", f"{command} --data-dir {small}/fleet"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=fleet.work,
    )

    assert done.returncode == 2, done
    assert "MiB free" in done.stderr
    assert "free some space" in done.stderr


@pytest.mark.parametrize("moment", ["starting Postgres", "starting Kafka", "of 4 resources are Ready"])
def test_ctrl_c_leaves_nothing_half_done(fleet: FleetCommands, moment: str) -> None:
    path = files.write(fleet.work / "fleet.yaml", files.market(speed="lockstep", bars=50), GOOD)
    process = fleet.start("up", path)
    assert process.stderr is not None
    for line in process.stderr:
        if moment in line:
            break
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=120)

    assert process.returncode == 130
    if "Ready" not in moment:  # by then the fleet is up, and goes on
        assert fleet.processes() == []


def test_what_needs_a_running_fleet_says_how_to_start_one(fleet: FleetCommands) -> None:
    done = fleet.run("get")

    assert done.code == 2
    assert "tradefleet up FILES" in done.err
