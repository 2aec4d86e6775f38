"""Files are written whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradefleet.cli.files import UnwritableFile, check_writable, write_whole


def test_chunks_become_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    write_whole(path, ["one\n", "two\n"])
    assert path.read_text() == "one\ntwo\n"
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_in_between_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def chunks() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, chunks())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_with_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[str]:
        yield "some"
        raise OSError(28, "No space left on device")

    with pytest.raises(UnwritableFile, match=r"out.txt: cannot be written: No space left on device; free space"):
        write_whole(tmp_path / "out.txt", chunks())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFile, match=r"--report .*: there is no folder .*missing; create it first"):
        check_writable(tmp_path / "missing" / "report.html", "--report")
    with pytest.raises(UnwritableFile, match=r"--ledger .*: is a folder; name a file in it"):
        check_writable(tmp_path, "--ledger")
    check_writable(tmp_path / "report.html", "--report")
