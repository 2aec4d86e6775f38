"""Files that a command writes: whole, or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tradefleet.domain.errors import Permanent


class UnwritableFile(Permanent):
    """A file cannot be written. The message names it, the reason and the remedy."""


def check_writable(path: Path, option: str) -> None:
    """Raise UnwritableFile, naming `option`, when `path` cannot become a file: before hours of work, not after."""
    if path.is_dir():
        raise UnwritableFile(f"{option} {path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise UnwritableFile(f"{option} {path}: there is no folder {path.parent}; create it first")
    if not os.access(path.parent, os.W_OK):
        raise UnwritableFile(f"{option} {path}: this user may not write in {path.parent}; name another folder")


def write_whole(path: Path, chunks: Iterable[str]) -> None:
    """Write `chunks` of text to `path`; a file of that name is replaced at the end, or stays as it was.

    Raises UnwritableFile (disk full, no permission), leaving nothing behind.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UnwritableFile(f"{path}: cannot be written: {error.strerror}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(chunks)
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are for their owner alone
        temporary.replace(path)
    except OSError as error:
        raise UnwritableFile(f"{path}: cannot be written: {error.strerror}; free space or name another file") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
