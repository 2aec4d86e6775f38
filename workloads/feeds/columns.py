"""Which column of a source holds what: by the user's mapping, by exact name, or by a common other name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

from workloads.feeds.errors import UnusableSource
from workloads.feeds.times import TimeUnit

# Names under which exchanges and libraries save candles, letters and digits only.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "open_time": ("opentime", "timestamp", "time", "datetime", "date", "unix", "unixtime", "ts", "t", "starttime"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "v", "basevolume", "volumebase"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """The user's mapping. None leaves a column to be found by its name or a common other name."""

    open_time: str | None = None
    open: str | None = None
    high: str | None = None
    low: str | None = None
    close: str | None = None
    volume: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ColumnNames":
        """Return the mapping in `open_time=Date,volume=Volume BTC`. Raises UnusableSource."""
        given: dict[str, str] = {}
        for part in filter(None, text.split(",")):
            name, equals, column = part.partition("=")
            if name.strip() not in FIELDS or not equals or not column.strip():
                raise UnusableSource(
                    f"columns: {part!r} must be one of {', '.join(FIELDS)}, an equals sign and the name of a column, "
                    "as in open_time=Date"
                )
            given[name.strip()] = column.strip()
        return cls(**given)


FIELDS: Final = tuple(each.name for each in fields(ColumnNames))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How candles lie in a file or a result of a query."""

    columns: ColumnNames = field(default_factory=ColumnNames)
    time_unit: TimeUnit = TimeUnit.AUTO


def find_columns(header: Sequence[str], names: ColumnNames, source: str) -> tuple[int, ...]:
    """Return the places of open_time, open, high, low, close and volume in `header`.

    Raises UnusableSource, naming what is there, for a column that is missing or that two columns could be.
    """
    return tuple(_find_column(header, wanted, getattr(names, wanted), source) for wanted in FIELDS)


def _find_column(header: Sequence[str], wanted: str, mapped: str | None, source: str) -> int:
    there = ", ".join(header) if header else "none"
    if mapped is not None:
        found = [place for place, name in enumerate(header) if name.strip() == mapped]
        if len(found) == 1:
            return found[0]
        rule = "there is no column of that name" if not found else f"{len(found)} columns have that name"
        raise UnusableSource(f"{source}: column {mapped!r} for {wanted}: {rule}; columns are: {there}")
    exact = [place for place, name in enumerate(header) if name.strip() == wanted]
    found = exact or [place for place, name in enumerate(header) if _letters(name) in ALIASES[wanted]]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnusableSource(
            f"{source}: no column {wanted}, nor another name of it; columns are: {there}; name the column, as in "
            f"--columns {wanted}=NAME"
        )
    several = ", ".join(header[place] for place in found)
    raise UnusableSource(
        f"{source}: {wanted} could be any of the columns {several}; name the one, as in "
        f"--columns {wanted}={header[found[0]]}"
    )


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
