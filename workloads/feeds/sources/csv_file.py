"""Candles from a CSV file, plain or gzip."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, BinaryIO, cast

from tradefleet.domain.bar import Bar
from workloads.feeds.columns import Layout, find_columns
from workloads.feeds.errors import UnusableSource
from workloads.feeds.findings import Findings
from workloads.feeds.ports import SourceDescription
from workloads.feeds.sources.rows import RawRow, Unreadable, bars_of

_GZIP_MAGIC = b"\x1f\x8b"
_DELIMITERS = ",;\t"
_HEADER_MAX = 65_536  # characters: a file without a line break must not be read whole to find its header


class CsvSource:
    """One file with a header line; columns by name, in any order. The encoding is UTF-8, the decimal sign a point."""

    def __init__(self, path: Path, description: SourceDescription, layout: Layout | None = None) -> None:
        self.description = description
        self._path = path
        self._layout = layout or Layout()
        self._raw: BinaryIO | None = None
        self._size = 0
        self._done = 0.0

    @property
    def progress(self) -> float | None:
        """The part of the file's bytes that has been read."""
        if self._raw is not None and not self._raw.closed and self._size:
            self._done = self._raw.tell() / self._size
        return self._done

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        """Yield the file's bars. Raises UnusableSource, BrokenData."""
        with self._open() as text:
            delimiter, header = self._header(text)
            places = find_columns(header, self._layout.columns, self.description.label)
            yield from bars_of(
                self._lines(text, delimiter),
                places,
                time_unit=self._layout.time_unit,
                description=self.description,
                findings=findings,
                place="line",
                width=len(header),
            )
            self._done = 1.0

    @contextmanager
    def _open(self) -> Iterator[TextIOWrapper]:
        try:
            raw = self._path.open("rb")
        except OSError as error:
            raise unusable_file(self.description.label, error) from error
        with raw:
            self._raw, self._size, self._done = raw, self._path.stat().st_size, 0.0
            is_gzip = raw.read(2) == _GZIP_MAGIC  # the content decides: names lie
            raw.seek(0)
            binary = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            # What is no UTF-8 comes as lone surrogates, so the error is found in its own line and not in a whole block.
            with TextIOWrapper(
                cast("IO[bytes]", binary), encoding="utf-8-sig", errors="surrogateescape", newline=""
            ) as text:
                yield text

    def _header(self, text: TextIOWrapper) -> tuple[str, list[str]]:
        """Return delimiter and column names of the first line."""
        label = self.description.label
        try:
            line = text.readline(_HEADER_MAX)
        except (OSError, EOFError, zlib.error) as error:
            raise UnusableSource(f"{label}: {_why_unreadable(error)}; fetch the file again") from error
        if not line.strip():
            raise UnusableSource(f"{label}: holds no candle; check that it is the right file")
        if "\0" in line or len(line) == _HEADER_MAX or any("\ud800" <= each <= "\udfff" for each in line):
            raise UnusableSource(f"{label}: is no CSV file in UTF-8; give a CSV file (also .gz) or a Parquet file")
        delimiter = max(_DELIMITERS, key=line.count)
        header = next(csv.reader([line], delimiter=delimiter))
        if _is_number(header[0]) and len(header) > 1:
            raise UnusableSource(
                f"{label} line 1: is a candle, not the names of the columns; put a header line before it, such as "
                "open_time,open,high,low,close,volume"
            )
        return delimiter, header

    @staticmethod
    def _lines(text: TextIOWrapper, delimiter: str) -> Iterator[RawRow]:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                yield reader.line_num + 1, cells  # the header was line 1
        except (csv.Error, OSError, EOFError, zlib.error) as error:
            raise Unreadable(reader.line_num + 2, _why_unreadable(error), "fetch or write the file again") from error


def unusable_file(label: str, error: OSError) -> UnusableSource:
    """Return the error for a file that cannot be opened."""
    match error:
        case FileNotFoundError():
            return UnusableSource(f"{label}: there is no such file; check the path")
        case IsADirectoryError():
            return UnusableSource(f"{label}: is a folder; name the files in it")
        case PermissionError():
            return UnusableSource(f"{label}: may not be read by this user; change its permissions")
        case _:
            return UnusableSource(f"{label}: cannot be read: {error.strerror or error}")


def _why_unreadable(error: Exception) -> str:
    match error:
        case EOFError():
            return "the gzip file is cut off"
        case gzip.BadGzipFile() | zlib.error():
            return "the gzip file is corrupt"
        case csv.Error():
            return f"is no CSV: {error}"
        case _:
            return f"cannot be read: {error}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
