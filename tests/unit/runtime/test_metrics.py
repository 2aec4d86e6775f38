"""Metrics as Prometheus reads them."""

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from tradefleet.runtime.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_counts_and_levels_are_shown_with_their_labels() -> None:
    metrics = Metrics()
    metrics.errors.add("Fenced")
    metrics.errors.add("Fenced", amount=2)
    metrics.dependency_up.set(0, "broker")
    metrics.dependency_up.set(1, "broker")
    found = samples(metrics)
    assert found["tradefleet_errors_total", (("error", "Fenced"),)] == 3
    assert found["tradefleet_dependency_up", (("dependency", "broker"),)] == 1
    assert found["tradefleet_reloads_total", ()] == 0


def test_durations_are_counted_in_every_bucket_they_fit() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.004, 0.2, 60.0):
        metrics.step_seconds.add(seconds)
    found = samples(metrics)
    buckets = {
        dict(labels)["le"]: value for (name, labels), value in found.items() if name == "tradefleet_step_seconds_bucket"
    }
    assert (buckets["0.0005"], buckets["0.005"], buckets["0.25"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 3, 3, 4)
    assert found["tradefleet_step_seconds_count", ()] == 4
    assert found["tradefleet_step_seconds_sum", ()] == 60.2045


def test_numbers_kept_elsewhere_are_read_when_somebody_asks() -> None:
    metrics = Metrics()
    published = [1.0]
    metrics.watch_count("tradefleet_published_total", "Messages sent", lambda: published[0])
    metrics.watch_level("tradefleet_last_bar_age_seconds", "Age", lambda: published[0] / 2)
    published[0] = 8.0
    found = samples(metrics)
    assert found["tradefleet_published_total", ()] == 8
    assert found["tradefleet_last_bar_age_seconds", ()] == 4


def test_the_process_itself_is_measured() -> None:
    assert samples(Metrics())["process_resident_memory_bytes", ()] > 1_000_000


def test_nothing_heavy_is_imported_before_somebody_asks() -> None:
    code = (
        "import sys; from tradefleet.runtime import process, health_server; "
        "print([name for name in ('prometheus_client', 'http.server', 'difflib', 'asyncio') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
