"""Series of generated changes of specs, right and wrong ones, each of which has to end as wished or clearly reported.

All kinds are changed at the same time, one change of each in a step: they refer to each other, so that a change of one
is felt by others. Beside them stands a fleet that nobody changes, and of which nothing may be written.
"""

import copy
import time
from collections import Counter
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.cluster.attack import Place
from tests.cluster.outcome import place_of, silence_of
from tests.cluster.variants import bodies
from tests.unit.resources.cases import BROKEN, VALID, Body
from tradefleet.resources.common import API_VERSION
from tradefleet.resources.kinds import KINDS

ENDS_WITHIN_S: Final = 60.0
POLL_S: Final = 0.3
# Under these names the examples that the changes begin with refer to each other.
NAMES: Final = {
    "Exchange": "simulator",
    "Dataset": "april",
    "Feed": "replay",
    "TradingBot": "trend",
    "BotSet": "fleet",
    "RiskPolicy": "desk",
    "Backtest": "sweep",
}
BYSTANDER: Final = "bystander"
CHILDREN: Final = ("Deployment", "ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy")


def changes_of(kind: str, count: int, seed_no: int) -> list[Body]:
    """Return as many bodies of a kind, the same for the same seed: first what is right, and what only we can refuse."""
    known = [body for body in VALID.values() if body["kind"] == kind]
    known += [case.body for case in BROKEN if case.body["kind"] == kind and not case.by_server]
    found: list[Body] = []

    @seed(seed_no)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(body=bodies(kind))
    def collect(body: Body) -> None:
        found.append(body)

    collect()
    chosen = copy.deepcopy([*known, *found][:count])
    for body in chosen:
        if kind == "Feed" and isinstance(body["spec"], dict) and "exchangeRef" in body["spec"]:
            body["spec"]["exchangeRef"] = {"name": NAMES["Exchange"]}  # it cannot change, so nothing else would
    return chosen


def bystanders() -> list[Body]:
    """Return a fleet that has nothing to do with the one that is changed."""
    exchange, feed, bot = (copy.deepcopy(VALID[name]) for name in ("exchange", "replay", "bot"))
    dataset = copy.deepcopy(VALID["synthetic"])
    dataset["spec"]["instruments"], dataset["spec"]["intervals"] = ["BTC-USD"], ["1m"]
    feed["spec"]["replay"] = {"datasetRefs": [{"name": BYSTANDER}], "speed": "60x"}
    for each in (feed, bot):
        each["spec"]["exchangeRef"] = {"name": BYSTANDER}
    for each in (exchange, dataset, feed, bot):
        each["metadata"]["name"] = BYSTANDER
    return [exchange, dataset, feed, bot]


class Series:
    """Changes of every kind in a place. `counts` says how many of a kind were taken and how many refused."""

    def __init__(self, place: Place, count: int, seed_no: int) -> None:
        self._place = place
        self._changes = {kind: changes_of(kind, count, seed_no) for kind in NAMES}
        self.counts: Counter[str] = Counter()

    def step(self, number: int) -> None:
        """Make the change of that number in every kind, and wait until each has ended in one way or another."""
        for kind, changes in self._changes.items():
            if number < len(changes):
                self._change(kind, changes[number])
        deadline = time.monotonic() + ENDS_WITHIN_S
        while unclear := self._unclear():
            assert time.monotonic() < deadline, f"change {number}: {unclear}: {self._place.governor.last_lines()}"
            time.sleep(POLL_S)
            self._place.pods.step()

    def _change(self, kind: str, body: Body) -> None:
        """Put a spec in the place of the stored one. Who is refused is told where and why, and nothing has changed."""
        cluster = self._place.cluster
        stored = cluster.api.read(kind, NAMES[kind], cluster.namespace)
        if stored.accepted:
            answer = cluster.api.replace({**stored.body, "spec": body["spec"]}, cluster.namespace)
        else:
            new = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": NAMES[kind]}, "spec": body["spec"]}
            answer = cluster.api.create(new, cluster.namespace)
        if answer.status == 409:  # the Governor wrote its status meanwhile
            self._change(kind, body)
            return
        self.counts[f"{kind} {'taken' if answer.accepted else 'refused'}"] += 1
        if not answer.accepted:
            assert answer.status in (400, 422), answer
            assert all(cause.message for cause in answer.causes), answer
            after = cluster.api.read(kind, NAMES[kind], cluster.namespace)
            assert after.status == stored.status
            assert after.body.get("spec") == stored.body.get("spec")

    def _unclear(self) -> list[str]:
        """Return the resources that are neither as wished nor say why, and what is missing of those that start."""
        cluster = self._place.cluster
        assert self._place.governor.is_running, self._place.governor.last_lines()
        found = []
        for kind in KINDS:
            for each in cluster.ours(kind):
                problem = silence_of(each) or self._unmade(kind, each)
                if problem:
                    found.append(f"{place_of({**each, 'kind': kind})} {problem}: {each.get('status')}")
        return found

    def _unmade(self, kind: str, body: dict[str, Any]) -> str:
        """Return what a bot lacks that says of itself that it starts or runs."""
        status = body["status"]
        if kind != "TradingBot" or status["phase"] not in ("Starting", "WarmingUp", "Running", "Paused"):
            return ""
        names = self._place.cluster.names("Deployment")
        is_there = f"bot-{body['metadata']['name']}" in names or any(name.startswith("host-") for name in names)
        return "" if is_there else f"is {status['phase']} without a process"


def untouched(place: Place) -> dict[str, str]:
    """Return the versions of all that was made for the bystanders, to see whether anything of it was written."""
    return {
        f"{kind}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for kind in CHILDREN
        for each in place.cluster.all(kind)
        if BYSTANDER in each["metadata"]["name"]
    }
