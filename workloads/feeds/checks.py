"""Checks of candles, made once, at the door: everything behind it may rely on sound, sorted, aligned bars.

Data is never altered. A missing bar is named and stays missing; everything else that is wrong, a row that repeats the
one before included, refuses the source.
"""

import math
from collections.abc import Iterable, Iterator

from tradefleet.domain.bar import PRICE_MAX, VOLUME_MAX, Bar, format_interval
from tradefleet.domain.times import format_time
from workloads.feeds.findings import Finding, Findings, Rule
from workloads.feeds.ports import SourceDescription

# Place in the source, open time in microseconds, open, high, low, close, volume.
Row = tuple[int, int, float, float, float, float, float]

ZERO_VOLUME_RUN_MIN = 30  # bars in a row without a trade that are worth a warning
OUTLIER_TIMES = 20.0  # a move this many times the typical one …
OUTLIER_MIN = 0.01  # … and of at least this part of the price is worth a warning
OUTLIER_COUNTS = 4.0  # times the typical move, as which a greater one counts
TYPICAL_BARS = 64  # memory of the typical move, and how many bars are watched before the first warning
REGULAR_STEPS_MAX = 16  # so many steps, all of the same length, show that the interval is wrong
REGULAR_STEPS_MIN = 3  # the same at the end of a short source


def check_rows(
    rows: Iterable[Row], description: SourceDescription, findings: Findings, *, place: str = "line"
) -> Iterator[Bar]:
    """Yield a bar for each sound row; `place` is what the source calls one of its rows.

    Raises BrokenData, through `findings`, for rows that are broken, out of order or contradict each other.
    """
    symbol, interval_us = description.symbol, description.interval_us
    report = _Report(description, findings, place)
    watch = _Watch(report)
    steps = _Steps(report)
    expected_us: int | None = None
    last: Bar | None = None
    last_number = 0
    for number, open_us, open_, high, low, close, volume in rows:
        # NaN fails every comparison, so this one line finds it too.
        sound = 0.0 < low <= open_ <= high <= PRICE_MAX and low <= close <= high and 0.0 <= volume <= VOLUME_MAX
        if not sound:
            report.broken_values(number, open_, high, low, close, volume)
        if open_us == expected_us:
            steps.adjacent = True
        elif open_us % interval_us:
            report.misaligned(number, open_us, last)
            continue
        elif expected_us is not None:
            if open_us < expected_us:
                if last is not None and open_us == last.open_us and sound:
                    again = Bar(symbol, interval_us, open_us, open_, high, low, close, volume)
                    report.repeated(number, again, last_number, last)
                elif open_us != expected_us - interval_us:
                    report.out_of_order(number, open_us, expected_us - interval_us)
                continue
            report.gap(number, expected_us, open_us)
            steps.skipped((open_us - expected_us) // interval_us)
            watch.restart()
        expected_us = open_us + interval_us
        if not sound:
            continue
        # + 0.0 turns a volume of -0.0 into 0.0: the two are equal, and must not hash as different data.
        last = Bar(symbol, interval_us, open_us, open_, high, low, close, volume + 0.0)
        last_number = number
        watch.see(number, last)
        yield last
    watch.end_of_quiet()
    steps.end()


def missing_text(from_us: int, to_us: int, interval_us: int) -> str:
    """Return a gap in words: its bars, the open time of its first bar and of the next that is there."""
    missing = (to_us - from_us) // interval_us
    return f"{missing} bar{'' if missing == 1 else 's'} missing from {format_time(from_us)} to {format_time(to_us)}"


class _Report:
    """Words what was found in one source."""

    def __init__(self, description: SourceDescription, findings: Findings, place: str) -> None:
        self.description = description
        self._findings = findings
        self._place = place

    def add(
        self,
        rule: Rule,
        message: str,
        *,
        number: int = 0,
        field: str = "",
        remedy: str = "",
        from_us: int | None = None,
        to_us: int | None = None,
        count: int = 1,
    ) -> None:
        """Hand a finding on; `number` 0 is the source as a whole."""
        self._findings.add(
            Finding(
                rule=rule,
                source=self.description.label,
                place=f"{self._place} {number}" if number else "",
                field=field,
                message=message,
                remedy=remedy,
                symbol=self.description.symbol,
                interval_us=self.description.interval_us,
                from_us=from_us,
                to_us=to_us,
                count=count,
            )
        )

    def broken_values(self, number: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """Say which value is the first that cannot be; the caller knows that one is."""
        fix = f"correct the {self._place} or take it out"
        prices = {"open": open_, "high": high, "low": low, "close": close}
        bounds = {**dict.fromkeys(prices, PRICE_MAX), "volume": VOLUME_MAX}
        for name, value in {**prices, "volume": volume}.items():
            if not math.isfinite(value):
                self.add(
                    Rule.NOT_A_NUMBER, f"must be a finite number, was {value}", number=number, field=name, remedy=fix
                )
                return
            if value > bounds[name]:
                message = f"must be at most {bounds[name]:g}, was {value}"
                self.add(Rule.TOO_LARGE, message, number=number, field=name, remedy=fix)
                return
        for name, value in prices.items():
            if value <= 0:
                self.add(Rule.NOT_POSITIVE, f"must be above 0, was {value}", number=number, field=name, remedy=fix)
                return
        if volume < 0:
            self.add(Rule.NOT_POSITIVE, f"must not be below 0, was {volume}", number=number, field="volume", remedy=fix)
        elif high < low:
            self.add(Rule.HIGH_BELOW_LOW, f"{high} is below low {low}", number=number, field="high", remedy=fix)
        else:
            name, value = ("open", open_) if not low <= open_ <= high else ("close", close)
            self.add(
                Rule.OUTSIDE_RANGE,
                f"{value} is not between low {low} and high {high}",
                number=number,
                field=name,
                remedy=fix,
            )

    def misaligned(self, number: int, open_us: int, last: Bar | None) -> None:
        """Say that a bar does not open at a multiple of the interval."""
        interval_us = self.description.interval_us
        remedy = "correct the open time, or state the right interval"
        if last is not None and 0 < open_us - last.open_us < interval_us and not (open_us - last.open_us) % 1_000_000:
            remedy += f": the bar before opens {format_interval(open_us - last.open_us)} earlier"
        self.add(
            Rule.MISALIGNED,
            f"{format_time(open_us)} is not a multiple of the interval of {format_interval(interval_us)}",
            number=number,
            field="open_time",
            remedy=remedy,
        )

    def repeated(self, number: int, again: Bar, last_number: int, last: Bar) -> None:
        """Say that a bar came twice, with the same content or another."""
        if again == last:
            self.add(
                Rule.DUPLICATE,
                f"the bar of {format_time(last.open_us)} is on {self._place} {last_number} already",
                number=number,
                remedy="take one of the two out",
                from_us=last.open_us,
                to_us=last.close_us,
            )
            return
        name = next(
            name for name in ("open", "high", "low", "close", "volume") if getattr(again, name) != getattr(last, name)
        )
        self.add(
            Rule.CONFLICT,
            f"{getattr(again, name)} for {format_time(last.open_us)}, but {getattr(last, name)} on "
            f"{self._place} {last_number}",
            number=number,
            field=name,
            remedy="keep the one that is right",
        )

    def out_of_order(self, number: int, open_us: int, last_us: int) -> None:
        """Say that a bar is older than the one before it."""
        self.add(
            Rule.OUT_OF_ORDER,
            f"{format_time(open_us)} comes after {format_time(last_us)}",
            number=number,
            field="open_time",
            remedy="sort by open time, and take out what is there twice",
        )

    def gap(self, number: int, expected_us: int, open_us: int) -> None:
        """Name the bars that are missing before the bar that opens at `open_us`."""
        interval_us = self.description.interval_us
        self.add(
            Rule.GAP,
            missing_text(expected_us, open_us, interval_us),
            number=number,
            from_us=expected_us,
            to_us=open_us,
            count=(open_us - expected_us) // interval_us,
        )


class _Steps:
    """Notices an interval that cannot be right: the bars are all further apart, by the same length."""

    def __init__(self, report: _Report) -> None:
        self.adjacent = False  # two bars followed each other without a gap: the interval is right
        self._report = report
        self._missing = 0
        self._count = 0

    def skipped(self, missing: int) -> None:
        """Take note of a gap."""
        if self.adjacent:
            return
        self._count += 1
        if self._missing not in (0, missing):
            self.adjacent = True  # irregular: an instrument that trades rarely
            return
        self._missing = missing
        if self._count == REGULAR_STEPS_MAX:
            self._tell()

    def end(self) -> None:
        """Look at a source that was short."""
        if not self.adjacent and REGULAR_STEPS_MIN <= self._count < REGULAR_STEPS_MAX:
            self._tell()

    def _tell(self) -> None:
        interval_us = self._report.description.interval_us
        found = format_interval(interval_us * (self._missing + 1))
        self._report.add(
            Rule.INTERVAL,
            f"bars are {found} apart, not {format_interval(interval_us)}",
            remedy=f"state the interval as {found}, or bring the bars that are missing",
        )


class _Watch:
    """Looks for what is possible and yet strange: long times without a trade, and moves far out of the ordinary."""

    def __init__(self, report: _Report) -> None:
        self._report = report
        self._quiet: list[Bar] = []  # first and last bar of a run without volume
        self._quiet_count = 0
        self._quiet_number = 0
        self._close = 0.0
        self._typical = 0.0
        self._seen = 0

    def restart(self) -> None:
        """Forget the last close: across a gap any move is possible. A quiet run ends there too."""
        self._close = 0.0
        self.end_of_quiet()

    def see(self, number: int, bar: Bar) -> None:
        """Look at the next bar."""
        _, _, _, _, high, low, bar_close, volume = bar
        if volume == 0.0:
            if not self._quiet_count:
                self._quiet_number = number
                self._quiet = [bar, bar]
            self._quiet[1] = bar
            self._quiet_count += 1
        elif self._quiet_count:
            self.end_of_quiet()
        close = self._close
        if close:
            up = high / close - 1.0
            down = close / low - 1.0
            move = down if down > up else up
            typical = self._typical
            seen = self._seen
            if seen < TYPICAL_BARS:
                self._seen = seen = seen + 1
                self._typical = typical + (move - typical) / seen
            else:
                if move > OUTLIER_MIN and move > OUTLIER_TIMES * typical:
                    self._outlier(number, bar, move, down > up)
                # An outlier counts as a moderate move: it must not hide the next one.
                most = OUTLIER_COUNTS * typical
                self._typical = typical + ((move if move < most else most) - typical) / TYPICAL_BARS
        self._close = bar_close

    def end_of_quiet(self) -> None:
        """Close a run without volume, if there is one."""
        count, self._quiet_count = self._quiet_count, 0
        if count >= ZERO_VOLUME_RUN_MIN:
            first, last = self._quiet
            self._report.add(
                Rule.ZERO_VOLUME,
                f"{count} bars without volume from {format_time(first.open_us)} to {format_time(last.close_us)}",
                number=self._quiet_number,
                field="volume",
                from_us=first.open_us,
                to_us=last.close_us,
                count=count,
            )

    def _outlier(self, number: int, bar: Bar, move: float, is_down: bool) -> None:
        name, value, part = ("low", bar.low, 1.0 - bar.low / self._close) if is_down else ("high", bar.high, move)
        self._report.add(
            Rule.OUTLIER,
            f"{value} at {format_time(bar.open_us)} is {part:.1%} from the close before, {self._close}; a bar "
            f"typically moves {self._typical:.2%}",
            number=number,
            field=name,
            from_us=bar.open_us,
            to_us=bar.close_us,
        )
