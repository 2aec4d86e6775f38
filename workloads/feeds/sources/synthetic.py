"""Seeded candles of a market that never was: for trying things out, labelled "synthetic" wherever they show.

What it models: a common factor and one of its own for each instrument, so that instruments move together; volatility
that clusters (GARCH(1,1), T. Bollerslev, "Generalized autoregressive conditional heteroskedasticity", Journal of
Econometrics 31, 1986); fat tails (Student's t with 4 degrees of freedom); days and weekends; rare jumps; volume that
rises with movement. What it does not model: an order book, trends one could forecast, or gaps.

The same seed gives the same candles on every machine and Python version: only +, -, *, / and the square root of
doubles are used, which IEEE 754 defines to the last bit, and `random.Random(int).random()`, whose sequence the
standard library guarantees. Logarithm, exponential and cosine differ between C libraries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt
from random import Random
from typing import Final

from tradefleet.domain.bar import DAY_US, MICROSECONDS, Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol, derive_seed
from workloads.feeds.findings import Findings
from workloads.feeds.ports import SourceDescription

LABEL: Final = "synthetic"

_YEAR_US: Final = 365 * DAY_US
_WEEK_DAYS: Final = 7
_MONDAY_OFFSET_DAYS: Final = 3  # 1970-01-01 was a Thursday
_COMMON_SHARE: Final = 0.6  # of an instrument's variance: two instruments correlate by as much
_GARCH_NEWS: Final = 0.05
_GARCH_MEMORY: Final = 0.94
_VARIANCE_MAX: Final = 40.0  # times the long-run one
_SHOCK_MAX: Final = 9.0  # standard deviations: t with 4 degrees of freedom has no bound of its own
_PATH_POINTS: Final = 5  # moves within a bar, from which high and low come
_MOVED_MAX: Final = 30.0  # times the typical path: more movement brings no more volume
_JUMPS_PER_YEAR: Final = 150.0
_JUMP_SIGMAS: Final = 0.25  # a jump's least size, in standard deviations of a day; at most three times that
_MOVE_MIN: Final = -0.5  # of the price, in one bar
_TICKS_MAX: Final = 10**12
# Activity by hour of the day, UTC, in hundredths: quiet in the Asian night, busiest when New York opens.
_HOURS: Final = (
    *(92, 88, 84, 80, 76, 74, 78, 92, 104, 106, 102, 100),
    *(106, 128, 142, 136, 126, 116, 108, 104, 102, 100, 98, 96),
)
_WEEKEND: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticInstrument:
    """One made-up instrument. `tick` is its smallest price step; volatility and drift are per year, as fractions."""

    symbol: Symbol
    start_price: Decimal = Decimal(100)
    tick: Decimal = Decimal("0.01")
    annual_volatility: float = 0.6
    annual_drift: float = 0.0
    daily_volume: float = 20_000.0  # of base

    def __post_init__(self) -> None:
        for name, value in (("start_price", self.start_price), ("tick", self.tick)):
            if not (value.is_finite() and value > 0):
                raise InvalidValue(f"synthetic {self.symbol}: {name} must be a number > 0, was {value}")
        if self.start_price < self.tick:
            raise InvalidValue(
                f"synthetic {self.symbol}: start_price {self.start_price} is below one tick of {self.tick}"
            )
        if not 0 <= self.annual_volatility <= 10:
            raise InvalidValue(
                f"synthetic {self.symbol}: annual_volatility must be 0 to 10, was {self.annual_volatility}"
            )


class SyntheticSource:
    """Candles of one instrument from `seed`; those of other instruments with the same seed belong to the same market.

    An instrument's candles do not depend on which others are asked for. Prices are whole ticks.
    """

    def __init__(
        self, instrument: SyntheticInstrument, *, seed: int, interval_us: int, start_us: int, bars: int
    ) -> None:
        if interval_us <= 0 or start_us % interval_us:
            raise InvalidValue(
                f"synthetic {instrument.symbol}: start {start_us} us is not a multiple of the interval {interval_us} us"
            )
        self.description = SourceDescription(
            label=f"{LABEL} seed {seed}", symbol=instrument.symbol, interval_us=interval_us, is_synthetic=True
        )
        self._instrument = instrument
        self._seed = seed
        self._start_us = start_us
        self._bars = bars
        self._made = 0

    @property
    def progress(self) -> float | None:
        """The part of the bars that has been made."""
        return self._made / self._bars if self._bars else 1.0

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:  # noqa: ARG002 - made right, so nothing is found
        """Yield the candles."""
        description, instrument = self.description, self._instrument
        prices = _Prices(instrument)
        moves = _Moves(instrument, seed=self._seed, interval_us=description.interval_us)
        volumes = _Volumes(instrument, seed=self._seed, interval_us=description.interval_us)
        price = float(instrument.start_price)
        for index in range(self._bars):
            open_us = self._start_us + index * description.interval_us
            open_ticks = prices.ticks(price)
            high_ticks = low_ticks = close_ticks = open_ticks
            activity = activity_at(open_us)
            moved = 0.0
            for move in moves.of_bar(activity):
                moved += abs(move)
                price *= 1.0 + move
                close_ticks = prices.ticks(price)
                high_ticks = max(high_ticks, close_ticks)
                low_ticks = min(low_ticks, close_ticks)
            price = prices.within_bounds(price)
            self._made = index + 1
            yield Bar(
                description.symbol,
                description.interval_us,
                open_us,
                prices.price(open_ticks),
                prices.price(high_ticks),
                prices.price(low_ticks),
                prices.price(close_ticks),
                volumes.of_bar(activity, moved / moves.typical_path if moves.typical_path else 1.0),
            )


def activity_at(time_us: int) -> float:
    """Return how busy the market is at a time: 1 on average on a week-day, changing smoothly from hour to hour."""
    seconds = time_us // MICROSECONDS
    hour, second = divmod(seconds % 86_400, 3_600)
    here, then = _HOURS[hour], _HOURS[(hour + 1) % 24]
    level = (here + (then - here) * second / 3_600) / 100.0
    is_weekend = (seconds // 86_400 + _MONDAY_OFFSET_DAYS) % _WEEK_DAYS >= 5
    return level * _WEEKEND if is_weekend else level


class _Prices:
    """Turns prices into whole ticks and back into the double that is nearest to them."""

    def __init__(self, instrument: SyntheticInstrument) -> None:
        self._numerator, self._denominator = instrument.tick.as_integer_ratio()
        self._tick = float(instrument.tick)

    def ticks(self, price: float) -> int:
        """Return `price` in ticks, at least one."""
        return min(max(int(price / self._tick + 0.5), 1), _TICKS_MAX)

    def price(self, ticks: int) -> float:
        """Return the double nearest to so many ticks: an integer division rounds right, a product would not."""
        return ticks * self._numerator / self._denominator

    def within_bounds(self, price: float) -> float:
        """Return `price`, kept where ticks can express it."""
        return min(max(price, self._tick), self._tick * _TICKS_MAX)


class _Shocks:
    """Random numbers with mean 0, variance 1 and fat tails: Student's t with 4 degrees of freedom, scaled.

    R. W. Bailey, "Polar generation of random variates with the t-distribution", Mathematics of Computation 62 (1994).
    For 4 degrees of freedom its power of -2/4 is a square root.
    """

    def __init__(self, seed: int) -> None:
        self._uniform = Random(seed).random

    def next(self) -> float:
        """Return the next one."""
        uniform = self._uniform
        while True:
            x = 2.0 * uniform() - 1.0
            y = 2.0 * uniform() - 1.0
            square = x * x + y * y
            if 0.0 < square < 1.0:
                break
        # The variance of t with 4 degrees of freedom is 2; hence 2 and not 4 under the root.
        shock = x * sqrt(2.0 * (1.0 / sqrt(square) - 1.0) / square)
        return min(max(shock, -_SHOCK_MAX), _SHOCK_MAX)


class _Cluster:
    """A GARCH(1,1) variance around 1: quiet and wild times."""

    def __init__(self) -> None:
        self._variance = 1.0

    def scale(self) -> float:
        """Return the standard deviation of the next bar."""
        return sqrt(self._variance)

    def learn(self, shock: float) -> None:
        """Take note of the bar's shock, in units of its own standard deviation."""
        variance = self._variance
        news = _GARCH_NEWS * variance * shock * shock + _GARCH_MEMORY * variance
        self._variance = min(1.0 - _GARCH_NEWS - _GARCH_MEMORY + news, _VARIANCE_MAX)


class _Moves:
    """Relative price moves of one instrument, `_PATH_POINTS` a bar."""

    def __init__(self, instrument: SyntheticInstrument, *, seed: int, interval_us: int) -> None:
        years = interval_us / _YEAR_US
        self._sigma = instrument.annual_volatility * sqrt(years)
        self._drift = instrument.annual_drift * years
        self._jump_chance = _JUMPS_PER_YEAR * years
        self._jump_least = _JUMP_SIGMAS * instrument.annual_volatility * sqrt(DAY_US / _YEAR_US)
        self._common = _Shocks(derive_seed("synthetic/market", seed))
        self._common_cluster = _Cluster()
        self._own = _Shocks(derive_seed(f"synthetic/{instrument.symbol}", seed))
        self._own_cluster = _Cluster()
        self._rare = Random(derive_seed(f"synthetic/{instrument.symbol}/jumps", seed)).random
        self.typical_path = self._sigma * sqrt(_PATH_POINTS)

    def of_bar(self, activity: float) -> list[float]:
        """Return the moves of the next bar; `activity` scales them as the hour of the day does."""
        sigma = self._sigma * activity
        common_scale = self._common_cluster.scale() * sqrt(_COMMON_SHARE)
        own_scale = self._own_cluster.scale() * sqrt(1.0 - _COMMON_SHARE)
        part = sigma / sqrt(_PATH_POINTS)
        common_sum = own_sum = 0.0
        moves = []
        for _ in range(_PATH_POINTS):
            common, own = self._common.next(), self._own.next()
            common_sum += common
            own_sum += own
            moves.append(self._drift / _PATH_POINTS + part * (common_scale * common + own_scale * own))
        self._common_cluster.learn(common_sum / sqrt(_PATH_POINTS))
        self._own_cluster.learn(own_sum / sqrt(_PATH_POINTS))
        if self._rare() < self._jump_chance:
            size = self._jump_least * (1.0 + 2.0 * self._rare())
            moves[0] += size if self._rare() < 0.5 else -size
        return [max(move, _MOVE_MIN) for move in moves]


class _Volumes:
    """Traded amounts: more when the market is awake, and when the price moves."""

    def __init__(self, instrument: SyntheticInstrument, *, seed: int, interval_us: int) -> None:
        self._typical = instrument.daily_volume * interval_us / DAY_US
        self._uniform = Random(derive_seed(f"synthetic/{instrument.symbol}/volume", seed)).random

    def of_bar(self, activity: float, moved: float) -> float:
        """Return the volume of a bar; `moved` is the length of its path against the typical one. Above 0."""
        # A quotient of uniforms is skewed to the right, as real volume is.
        skew = (0.25 + self._uniform()) / (0.35 + self._uniform())
        atoms = int(self._typical * activity * (0.25 + 0.75 * min(moved, _MOVED_MAX)) * skew * 1e8)
        return max(atoms, 1) / 100_000_000
