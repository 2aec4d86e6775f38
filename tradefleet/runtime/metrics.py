"""Metrics of a process, shown in Prometheus' format when somebody asks.

What counts is plain Python, so that a count costs an addition, and the client library (a tenth of a bot's start time
and some megabytes) is imported at the first question.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from prometheus_client.core import CollectorRegistry, Metric

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[str, ...]


class Count:
    """A number per combination of label values that only grows. Its name ends in `_total`."""

    __slots__ = ("about", "labels", "name", "values")

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.about = about
        self.labels = tuple(labels)
        self.values: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, *labels: str, amount: float = 1) -> None:
        """Add to the number of these label values."""
        self.values[labels] = self.values.get(labels, 0) + amount


class Level:
    """A number per combination of label values that goes up and down."""

    __slots__ = ("about", "labels", "name", "values")

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.about = about
        self.labels = tuple(labels)
        self.values: dict[Labels, float] = {}

    def set(self, value: float, *labels: str) -> None:
        """Set the number of these label values."""
        self.values[labels] = value


class Durations:
    """How long something took, in seconds, in buckets."""

    __slots__ = ("about", "bounds", "counts", "name", "sum")

    def __init__(self, name: str, about: str, bounds: Sequence[float] = SECONDS) -> None:
        self.name = name
        self.about = about
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)  # the last one is for longer ones
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


M = TypeVar("M", Count, Level, Durations)


class Metrics:
    """The metrics of one process. Names begin with `tradefleet_`."""

    def __init__(self) -> None:
        self._shown: list[Count | Level | Durations] = []
        self._watched: list[tuple[bool, str, str, Callable[[], float]]] = []
        self._registry: CollectorRegistry | None = None
        self.steps = self.count(
            "tradefleet_steps_total", "Steps of the main loop, by whether there was work", ["worked"]
        )
        self.step_seconds = self.durations("tradefleet_step_seconds", "Duration of steps that had work")
        self.errors = self.count("tradefleet_errors_total", "Errors of the main loop, by class", ["error"])
        self.reloads = self.count("tradefleet_reloads_total", "How often the state was loaded again after an error")
        self.dependency_up = self.level("tradefleet_dependency_up", "1 while the dependency answers", ["dependency"])
        self.dead_letters = self.count("tradefleet_dead_letters_total", "Messages put aside, by topic", ["topic"])

    def count(self, name: str, about: str, labels: Sequence[str] = ()) -> Count:
        """Return a new count that is shown."""
        return self._show(Count(name, about, labels))

    def level(self, name: str, about: str, labels: Sequence[str] = ()) -> Level:
        """Return a new level that is shown."""
        return self._show(Level(name, about, labels))

    def durations(self, name: str, about: str, bounds: Sequence[float] = SECONDS) -> Durations:
        """Return new durations that are shown."""
        return self._show(Durations(name, about, bounds))

    def _show(self, metric: M) -> M:
        self._shown.append(metric)
        return metric

    def watch_count(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Show a number that only grows and is kept elsewhere; it is read when somebody asks."""
        self._watched.append((True, name, about, read))

    def watch_level(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Show a number that goes up and down and is kept elsewhere; it is read when somebody asks."""
        self._watched.append((False, name, about, read))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format, memory and processor time of the process included."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415 - see above

        if self._registry is None:
            self._registry = CollectorRegistry()
            ProcessCollector(registry=self._registry)
            self._registry.register(_Collector(self.families))
        return generate_latest(self._registry)

    def families(self) -> Iterator["Metric"]:
        """Return what is known now, as the client library's values."""
        from prometheus_client.core import (  # noqa: PLC0415 - see above
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for metric in self._shown:
            if isinstance(metric, Durations):
                histogram = HistogramMetricFamily(metric.name, metric.about)
                histogram.add_metric([], _cumulative(metric), metric.sum)
                yield histogram
                continue
            kind = CounterMetricFamily if isinstance(metric, Count) else GaugeMetricFamily
            family = kind(metric.name, metric.about, labels=metric.labels)
            for labels, value in list(metric.values.items()):
                family.add_metric(labels, value)
            yield family
        for only_grows, name, about, read in self._watched:
            yield CounterMetricFamily(name, about, read()) if only_grows else GaugeMetricFamily(name, about, read())


def _cumulative(metric: Durations) -> list[tuple[str, float]]:
    """Return each bucket's bound with the number of durations up to it, as the format wants."""
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip([*map(str, metric.bounds), "+Inf"], metric.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets


class _Collector:
    """What the client library asks."""

    def __init__(self, families: Callable[[], Iterator["Metric"]]) -> None:
        self._families = families

    def collect(self) -> Iterator["Metric"]:
        return self._families()

    def describe(self) -> list["Metric"]:
        return []
