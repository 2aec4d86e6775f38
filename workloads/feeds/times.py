"""Open times of candles as files and databases write them, read into UTC microseconds.

The four numeric units are told apart by size alone: each of them covers 1973-03-03 to 2286-11-20 in a range of its
own, so a number that is wrong by a factor of a thousand can never pass for a time. That is why candles from before
1973-03-03 are refused.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from tradefleet.domain.bar import DAY_US, MICROSECONDS

OLDEST_US: Final = 10**8 * MICROSECONDS  # 1973-03-03T09:46:40Z
NEWEST_US: Final = 10**10 * MICROSECONDS  # 2286-11-20T17:46:40Z

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_NUMBER_LIMIT = 10**25  # far above any time; keeps exact arithmetic short when a cell says 1e999999


class TimeUnit(StrEnum):
    """How an open time is written. AUTO looks at the first candle of a source and then stays with what it saw."""

    AUTO = "auto"
    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    TEXT = "iso8601"


class UnreadableTime(ValueError):
    """An open time that cannot be read. `rule` is what it should be, `remedy` what to do."""

    def __init__(self, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.remedy = remedy


# Microseconds in one unit, as a ratio: a nanosecond is a part of one.
_RATIOS: Final = {
    TimeUnit.SECONDS: (MICROSECONDS, 1),
    TimeUnit.MILLISECONDS: (1_000, 1),
    TimeUnit.MICROSECONDS: (1, 1),
    TimeUnit.NANOSECONDS: (1, 1_000),
}
_NAMES: Final = {
    TimeUnit.SECONDS: "seconds",
    TimeUnit.MILLISECONDS: "milliseconds",
    TimeUnit.MICROSECONDS: "microseconds",
    TimeUnit.NANOSECONDS: "nanoseconds",
    TimeUnit.TEXT: "ISO 8601 text",
}


def unit_of_number(number: int | Decimal) -> TimeUnit | None:
    """Return the unit in which `number` is a time between 1973 and 2286, None when there is none."""
    for unit, (numerator, denominator) in _RATIOS.items():
        if OLDEST_US * denominator <= number * numerator < NEWEST_US * denominator:
            return unit
    return None


def reader_of(unit: TimeUnit, first: object) -> Callable[[object], int]:
    """Return the function that reads the open times of a source, given its first value. Raises UnreadableTime.

    Text, whole numbers, `Decimal`, `datetime` and `date` are read; a time without a zone is UTC. A numeric unit and a
    value that is a moment by type (a database's timestamp) are no contradiction: the type wins.
    """
    if isinstance(first, date):
        return _read_moment
    number = _number(first)
    if unit is TimeUnit.AUTO:
        if number is None:
            unit = TimeUnit.TEXT
        else:
            found = unit_of_number(number)
            if found is None:
                raise UnreadableTime(
                    "is no time between 1973 and 2286 in seconds, milliseconds, microseconds or nanoseconds",
                    "check that the right column is read as the open time",
                )
            unit = found
    if unit is TimeUnit.TEXT:
        return _read_text
    return _number_reader(unit)


def _number_reader(unit: TimeUnit) -> Callable[[object], int]:
    """Return the reader of whole numbers in `unit`."""
    factor, divisor = _RATIOS[unit]

    def read(value: object) -> int:
        try:
            # int() is the fast way for nearly every row; it would cut the decimals off other types.
            time_us = int(value) * factor if divisor == 1 and isinstance(value, (str, int)) else _exact_us(value, unit)
        except UnreadableTime:
            raise
        except ValueError:
            time_us = _exact_us(value, unit)
        if OLDEST_US <= time_us < NEWEST_US:
            return time_us
        raise _wrong_unit(value, unit)

    return read


def _exact_us(value: object, unit: TimeUnit) -> int:
    """Return a number such as 1522800000.0 or 1.5228e9 in microseconds. Raises UnreadableTime unless it is whole."""
    number = _number(value)
    if number is None:
        if isinstance(value, date):
            return _read_moment(value)
        raise UnreadableTime(
            f"is not a time in {_NAMES[unit]}",
            "correct it; every open time of a source must be written in one way",
        )
    factor, divisor = _RATIOS[unit]
    scaled = number * factor / divisor
    if scaled != int(scaled):
        if unit_of_number(number) is not unit:
            raise _wrong_unit(value, unit)
        raise UnreadableTime("is finer than a microsecond", "round the open times to whole microseconds")
    return int(scaled)


def _wrong_unit(value: object, unit: TimeUnit) -> UnreadableTime:
    number = _number(value)
    found = None if number is None else unit_of_number(number)
    rule = f"is not between 1973 and 2286 when read in {_NAMES[unit]}"
    if found is None:
        return UnreadableTime(rule, "correct the open time, or take the row out")
    return UnreadableTime(
        f"{rule}, but is in {_NAMES[found]}",
        f"set the time unit to {found}, or write all open times of the source in {_NAMES[unit]}",
    )


def _read_text(value: object) -> int:
    """Return ISO 8601 text in microseconds; without a zone it is UTC."""
    if isinstance(value, date):
        return _read_moment(value)
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        number = _number(value)
        remedy = "write it as 2018-04-04T00:01:00Z" if number is None else "set the time unit to s, ms, us or ns"
        raise UnreadableTime("is not a time in ISO 8601", remedy) from None
    return _read_moment(moment)


def _read_moment(value: object) -> int:
    """Return a `datetime` or `date` in microseconds; without a zone it is UTC."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        passed = moment - _EPOCH
        time_us = (passed.days * 86_400 + passed.seconds) * MICROSECONDS + passed.microseconds
    elif isinstance(value, date):
        time_us = (value.toordinal() - _EPOCH_DAY) * DAY_US
    elif isinstance(value, str):
        return _read_text(value)
    else:
        raise UnreadableTime("is not a time", "correct it; every open time of a source must be written in one way")
    if not OLDEST_US <= time_us < NEWEST_US:
        raise UnreadableTime("is not between 1973 and 2286", "correct the open time, or take the row out")
    return time_us


def _number(value: object) -> Decimal | None:
    """Return `value` as an exact finite number, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < _NUMBER_LIMIT else None
