"""How many simulations each Backtest may run, of those that the fleet can afford. Pure.

Fair between namespaces first, and between the Backtests of a namespace then: slots are dealt out one by one, each to
the namespace, and in it to the Backtest, that has the fewest and wants more. Among equals the oldest comes first, so
nobody waits for ever behind newer ones. It is decided anew each time: one that comes later gets its part at once, and
costs the others no more than the trials that they were at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """How many slots one Backtest wants. `since` tells its age; names are unique."""

    name: str
    namespace: str
    since: str
    slots: int


def shares(demands: Iterable[Demand], capacity: int) -> dict[str, int]:
    """Return how many slots each gets, by name: never more than it wants, nor than there are together."""
    wanted = [each for each in demands if each.slots > 0]
    granted = dict.fromkeys((each.name for each in wanted), 0)
    queues: dict[str, list[tuple[int, str, str, int]]] = {}
    for each in wanted:
        queues.setdefault(each.namespace, []).append((0, each.since, each.name, each.slots))
    namespaces = []
    for namespace, queue in queues.items():
        heapify(queue)
        namespaces.append((0, min((since, name) for _, since, name, _ in queue), namespace))
    heapify(namespaces)
    for _ in range(capacity):
        if not namespaces:
            break
        held, age, namespace = namespaces[0]
        queue = queues[namespace]
        own, since, name, slots = queue[0]
        granted[name] = own + 1
        if own + 1 < slots:
            heapreplace(queue, (own + 1, since, name, slots))
        else:
            heappop(queue)
        if queue:
            heapreplace(namespaces, (held + 1, age, namespace))
        else:
            heappop(namespaces)
    return granted
