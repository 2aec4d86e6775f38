"""What holds for every test: how hypothesis searches here, and that Ctrl-C reaches what a test starts."""

import os
import signal

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
