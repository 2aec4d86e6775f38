"""Makes the strategy of some bots raise, from outside the product: Python imports this file by its name.

A test puts this folder on the PYTHONPATH of the processes it starts and the bots that raise by their number of
purchases in RAISING_PURCHASES. No built-in strategy is known to raise, and a shared host runs no other.
"""

import os
import sys

if "RAISING_PURCHASES" in os.environ and "workloads.strategy.main" in sys.orig_argv:
    from tradefleet.domain.bar import Bar
    from workloads.strategy.builtins.dca import DollarCostAveraging

    _healthy = DollarCostAveraging.on_bar

    def _on_bar(self: DollarCostAveraging, bar: Bar) -> None:
        if str(self.purchases) == os.environ["RAISING_PURCHASES"] and self.can_trade():
            raise ZeroDivisionError("as a bug of a strategy would")
        _healthy(self, bar)

    DollarCostAveraging.on_bar = _on_bar  # type: ignore[method-assign]  # this is what the file is for
