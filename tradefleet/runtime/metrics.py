"""Metrics of a process in Prometheus' format, in a registry of our own.

Hot paths count in plain attributes; `Metrics.watch` reads those when somebody asks, so that a count costs an addition.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one process. All are named `tradefleet_…` and carry the component as a label where it is asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._watched = _Watched()
        self.registry.register(self._watched)
        self.steps = Counter(
            "tradefleet_steps_total",
            "Steps of the main loop, by whether there was work",
            ["worked"],
            registry=self.registry,
        )
        self.step_seconds = Histogram(
            "tradefleet_step_seconds",
            "Duration of steps that had work",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.errors = Counter(
            "tradefleet_errors_total", "Errors of the main loop, by class", ["error"], registry=self.registry
        )
        self.reloads = Counter(
            "tradefleet_reloads_total", "How often the state was thrown away and loaded again", registry=self.registry
        )
        self.dependency_up = Gauge(
            "tradefleet_dependency_up", "1 while the dependency answers", ["dependency"], registry=self.registry
        )
        self.dead_letters = Counter(
            "tradefleet_dead_letters_total", "Messages put aside, by topic", ["topic"], registry=self.registry
        )

    def watch_count(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Show a number that only grows; `name` ends in `_total`."""
        self._watched.add(lambda: CounterMetricFamily(name, about, value=read()))

    def watch_level(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Show a number that goes up and down."""
        self._watched.add(lambda: GaugeMetricFamily(name, about, value=read()))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _Watched:
    """A collector that reads plain attributes at the time of asking."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Metric]] = []

    def add(self, family: Callable[[], Metric]) -> None:
        self._families.append(family)

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            yield family()

    def describe(self) -> Iterable[Metric]:
        return []
