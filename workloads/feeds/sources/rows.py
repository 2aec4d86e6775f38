"""The way from the raw cells of any source to checked bars: one for all formats, so they read alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tradefleet.domain.bar import Bar
from workloads.feeds.checks import Row, check_rows
from workloads.feeds.columns import FIELDS
from workloads.feeds.errors import UnusableSource
from workloads.feeds.findings import Finding, Findings, Rule
from workloads.feeds.ports import SourceDescription
from workloads.feeds.times import TimeUnit, UnreadableTime, reader_of

# Number of the row in its source, and its cells as the format gives them.
RawRow = tuple[int, Sequence[object]]

_SHOWN_MAX = 40  # characters of a broken cell that an error repeats


class Unreadable(Exception):
    """The source broke off after row `number`. Raised by readers of a format, turned into a finding here."""

    def __init__(self, number: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.remedy = remedy


def bars_of(
    raw_rows: Iterable[RawRow],
    places: Sequence[int],
    *,
    time_unit: TimeUnit,
    description: SourceDescription,
    findings: Findings | None,
    place: str,
    width: int | None = None,
) -> Iterator[Bar]:
    """Yield the checked bars of a source. `places` say which cell is open time, open, high, low, close, volume.

    `width` is the number of cells that every row must have; `place` is what the source calls a row. Raises
    UnusableSource when there is not a single row, and what `findings` raises.
    """
    reader = _RowReader(places, time_unit, description, findings or Findings(), place=place, width=width)
    yield from check_rows(reader.read(raw_rows), description, reader.findings, place=place)


class _RowReader:
    """Turns raw cells into numbers, and words what cannot be turned."""

    def __init__(
        self,
        places: Sequence[int],
        time_unit: TimeUnit,
        description: SourceDescription,
        findings: Findings,
        *,
        place: str,
        width: int | None,
    ) -> None:
        self.findings = findings
        self._places = places
        self._time_unit = time_unit
        self._description = description
        self._place = place
        self._width = width
        self._read_time: Callable[[object], int] | None = None

    def read(self, raw_rows: Iterable[RawRow]) -> Iterator[Row]:
        """Yield the rows whose cells are numbers."""
        time_at, open_at, high_at, low_at, close_at, volume_at = self._places
        width = self._width
        is_empty = True
        try:
            for number, cells in raw_rows:
                if not cells:  # an empty line
                    continue
                is_empty = False
                if width is not None and len(cells) != width:
                    self._wrong_width(number, len(cells), width)
                    continue
                try:
                    row = (
                        number,
                        (self._read_time or self._first_time)(cells[time_at]),
                        float(cells[open_at]),  # type: ignore[arg-type]  # what float() refuses is worded below
                        float(cells[high_at]),  # type: ignore[arg-type]
                        float(cells[low_at]),  # type: ignore[arg-type]
                        float(cells[close_at]),  # type: ignore[arg-type]
                        float(cells[volume_at]),  # type: ignore[arg-type]
                    )
                except UnreadableTime as error:
                    self._add(Rule.TIME, number, f"{_shown(cells[time_at])} {error.rule}", error.remedy, "open_time")
                    continue
                except (ValueError, TypeError, OverflowError):
                    self._not_a_number(number, cells)
                    continue
                yield row
        except Unreadable as error:
            self._add(Rule.UNREADABLE, error.number, error.message, error.remedy)
            return
        if is_empty:
            raise UnusableSource(f"{self._description.label}: holds no candle; check that it is the right source")

    def _first_time(self, cell: object) -> int:
        """Read the first open time; those after it are read in the same way."""
        read = reader_of(self._time_unit, cell)
        time_us = read(cell)
        self._read_time = read
        return time_us

    def _not_a_number(self, number: int, cells: Sequence[object]) -> None:
        for name, at in zip(FIELDS[1:], self._places[1:], strict=True):
            try:
                float(cells[at])  # type: ignore[arg-type]
            except (ValueError, TypeError, OverflowError):
                message = "is missing" if cells[at] in (None, "") else f"must be a number, was {_shown(cells[at])}"
                self._add(Rule.NOT_A_NUMBER, number, message, f"correct the {self._place} or take it out", name)
                return

    def _wrong_width(self, number: int, found: int, width: int) -> None:
        self._add(
            Rule.UNREADABLE,
            number,
            f"has {found} column{'' if found == 1 else 's'}, the header has {width}",
            f"correct the {self._place}; the end of the file may be cut off",
        )

    def _add(self, rule: Rule, number: int, message: str, remedy: str, field: str = "") -> None:
        self.findings.add(
            Finding(
                rule=rule,
                source=self._description.label,
                place=f"{self._place} {number}" if number else "",
                field=field,
                message=message,
                remedy=remedy,
                symbol=self._description.symbol,
                interval_us=self._description.interval_us,
            )
        )


def _shown(cell: object) -> str:
    text = repr(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
