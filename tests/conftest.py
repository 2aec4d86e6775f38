"""What holds for every test: how hypothesis searches here."""

import os

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
