"""Bars: open, high, low, close and volume of one instrument over one interval."""

import math
from typing import NamedTuple

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol

MICROSECONDS = 1_000_000
MINUTE_US = 60 * MICROSECONDS
DAY_US = 24 * 60 * MINUTE_US
PRICE_MAX = 1e15  # of market data: what is dearer is no price, and no column holds what would be reckoned with it
VOLUME_MAX = 1e30  # of a bar: what is more is no amount, and a sum of some might be infinite

_INTERVAL_DIGITS_MAX = 9
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Bar(NamedTuple):
    """A closed bar. Prices are doubles in quote per base, volume in base; times are UTC microseconds.

    A tuple, since a replay makes millions of them. `check_bar` says whether one is sound; feeds call it once, at the
    door, and everybody behind it relies on that.
    """

    symbol: Symbol
    interval_us: int
    open_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def close_us(self) -> int:
        """The time at which the bar is known: its open time plus its interval."""
        return self.open_us + self.interval_us


def check_bar(bar: Bar, price_max: float = PRICE_MAX) -> None:
    """Raise InvalidValue, naming the field, when `bar` could not have been traded, or not at up to `price_max`."""
    symbol, interval_us, open_us, open_, high, low, close, volume = bar
    if (
        0.0 < low <= open_ <= high <= price_max
        and low <= close <= high
        and 0.0 <= volume <= VOLUME_MAX
        and interval_us > 0
        and not open_us % interval_us
    ):
        return
    where = f"bar {symbol} at {open_us} us"
    for name in ("open", "high", "low", "close"):
        price = getattr(bar, name)
        if not (math.isfinite(price) and price > 0):
            raise InvalidValue(f"{where}: {name} must be a finite price > 0, was {price}")
        if price > price_max:
            raise InvalidValue(f"{where}: {name} must be at most {price_max:g}, was {price}")
    if not (math.isfinite(bar.volume) and bar.volume >= 0):
        raise InvalidValue(f"{where}: volume must be a finite number >= 0, was {bar.volume}")
    if bar.volume > VOLUME_MAX:
        raise InvalidValue(f"{where}: volume must be at most {VOLUME_MAX:g}, was {bar.volume}")
    if bar.high < bar.low:
        raise InvalidValue(f"{where}: high {bar.high} is below low {bar.low}")
    if not (bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high):
        raise InvalidValue(f"{where}: open {bar.open} and close {bar.close} must lie between low and high")
    if bar.interval_us <= 0:
        raise InvalidValue(f"{where}: interval_us must be > 0, was {bar.interval_us}")
    if bar.open_us % bar.interval_us:
        raise InvalidValue(f"{where}: open time is not a multiple of the interval of {bar.interval_us} us")


def parse_interval(text: str) -> int:
    """Return the microseconds of an interval such as `1m`, `5m`, `1h`, `1d`. Raises InvalidValue."""
    digits, unit = text[:-1], _UNITS_S.get(text[-1:])
    is_count = digits.isascii() and digits.isdigit() and len(digits) <= _INTERVAL_DIGITS_MAX
    if unit is None or not is_count or int(digits) == 0:
        raise InvalidValue(f"interval must be a whole number and one of s, m, h, d, w (1m, 5m, 1h), was {text!r}")
    return int(digits) * unit * MICROSECONDS


def format_interval(interval_us: int) -> str:
    """Return an interval in its largest whole unit up to days: 60,000,000 is `1m`. Raises InvalidValue."""
    seconds, rest = divmod(interval_us, MICROSECONDS)
    if rest or seconds <= 0:
        raise InvalidValue(f"interval must be a whole number of seconds > 0, was {interval_us} us")
    unit = next(unit for unit in "dhms" if seconds % _UNITS_S[unit] == 0)
    return f"{seconds // _UNITS_S[unit]}{unit}"
