"""What a data folder can do to us comes out as one clear error."""

import errno
import shutil
from pathlib import Path

import pytest
from governor.local.folder import FREE_BYTES_MIN, LOG_BYTES_MAX, ServiceFolder, start_failure
from governor.local.loopback import PORTS, choose_port, free_port, is_free

from tradefleet.domain.errors import Permanent, Retryable


def test_a_folder_in_use_names_its_holder(tmp_path: Path) -> None:
    holder = ServiceFolder(tmp_path, "kafka")
    holder.claim()

    with pytest.raises(Permanent, match=r"in use by the running process \d+"):
        ServiceFolder(tmp_path, "kafka").claim()

    holder.release()
    ServiceFolder(tmp_path, "kafka").claim()


def test_a_disk_with_too_little_room_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=FREE_BYTES_MIN - 1))

    with pytest.raises(Permanent, match=r"255 MiB free, at least 256 MiB are needed: free some space"):
        ServiceFolder(tmp_path / "data", "kafka").claim()

    assert list((tmp_path / "data").iterdir()) == []


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(Permanent, match="the disk is full: free some space"),
        ServiceFolder(tmp_path, "kafka").errors(),
        Path("/dev/full").open("w") as file,  # every write to it fails as on a full disk
    ):
        file.write("x")


def test_a_path_through_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Permanent, match=r"a part of the path is a file: name another data folder"):
        ServiceFolder(tmp_path / "file" / "data", "postgres").claim()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_we_may_not_write_is_one_clear_error(tmp_path: Path, code: int) -> None:
    with pytest.raises(Permanent, match="name another data folder"), ServiceFolder(tmp_path, "kafka").errors():
        raise OSError(code, "refused", str(tmp_path))


def test_an_error_we_do_not_know_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd"), ServiceFolder(tmp_path, "kafka").errors():
        raise OSError(errno.EIO, "odd")


def test_settings_are_remembered_and_readable_by_us_alone(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path, "postgres")

    folder.remember({"port": 5, "password.bot": "secret"})

    assert folder.remembered() == {"port": 5, "password.bot": "secret"}
    assert (tmp_path / "settings.json").stat().st_mode & 0o777 == 0o600


def test_settings_that_were_spoilt_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")

    with pytest.raises(Permanent, match=r"settings.json is not JSON"):
        ServiceFolder(tmp_path, "postgres").remembered()


def test_a_log_that_grew_too_large_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "some.log").write_bytes(b"x" * (LOG_BYTES_MAX + 1))

    path = ServiceFolder(tmp_path, "kafka").turn_log("some.log")

    assert not path.exists()
    assert (tmp_path / "some.log.1").exists()


def test_a_log_that_tells_of_a_full_disk_is_explained(tmp_path: Path) -> None:
    (tmp_path / "some.log").write_text("one\nwrite failed: No space left on device\ntwo\n")

    error = start_failure("kafka", tmp_path / "some.log")

    assert isinstance(error, Permanent)
    assert str(error).startswith("kafka: the disk is full: free some space")


def test_a_log_with_an_unknown_cause_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "some.log").write_text("one\nodd trouble\n")

    error = start_failure("kafka: the broker ended", tmp_path / "some.log")

    assert isinstance(error, Retryable)
    assert str(error).endswith("one\nodd trouble")


def test_a_port_is_kept_while_it_is_free_and_below_those_the_kernel_gives_to_clients() -> None:
    port = free_port()

    assert port in PORTS
    assert choose_port("kafka", wanted=None, last=port) == port
    assert is_free(port)
