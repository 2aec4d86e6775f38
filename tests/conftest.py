"""What holds for every test: how hypothesis searches here, that Ctrl-C reaches what a test starts, and the order."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a shared machine is slow at times, and a slow example is not a wrong one. In CI the examples are the same
# in each run, so that a red build says something about its change; a developer's runs go on searching.
settings.register_profile(
    "tradefleet",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tradefleet")

# A run in the background of a shell starts with Ctrl-C ignored, and whatever it starts inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent
LONG_FOLDERS = ("cluster", "integration", "simulation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, those first that ask for most time: else one worker waits for the other."""
    asked_s: dict[Path, float] = {}
    for item in items:
        marker = item.get_closest_marker("timeout")
        asked_s[item.path] = max(asked_s.get(item.path, 0.0), float(marker.args[0]) if marker is not None else 0.0)

    def rank(item: pytest.Item) -> tuple[float, int]:
        folder = item.path.relative_to(TESTS).parts[0]
        return -asked_s[item.path], LONG_FOLDERS.index(folder) if folder in LONG_FOLDERS else len(LONG_FOLDERS)

    items.sort(key=rank)
