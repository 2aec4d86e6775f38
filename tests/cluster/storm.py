"""A storm of changes, from a seed: resources of every kind are made, edited, marked and deleted, and so are children.

It has many hands that know nothing of each other, as a cluster has: people, a pipeline, another operator. Whatever the
API server takes may happen, as long as it is meant: a foreign object in the place of a child is the matter of another
test. What depends on the order in which things were done is left out (lockstep runs, `updateStrategy: Manual`), so that
a fleet after a storm can be compared with one that was applied in calm weather.
"""

import random
from collections.abc import Callable
from typing import Any, Final

from tests.cluster.governor import Cluster
from tests.cluster.pods import Pods
from tradefleet.resources.common import API_VERSION

Body = dict[str, Any]

EXCHANGES: Final = ("alpha", "beta")
DATASETS: Final = ("candles", "more")
FEEDS: Final = {"play-alpha": "alpha", "play-beta": "beta", "extra": "alpha"}
BOTS: Final = tuple(f"bot-{number}" for number in range(6))
SETS: Final = ("few", "many")
POLICIES: Final = ("calm", "strict")
BACKTESTS: Final = ("trial", "as-is")
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "Exchange": EXCHANGES,
    "Dataset": DATASETS,
    "Feed": tuple(FEEDS),
    "TradingBot": BOTS,
    "BotSet": SETS,
    "RiskPolicy": POLICIES,
    "Backtest": BACKTESTS,
}
STRATEGIES: Final[tuple[Body, ...]] = (
    {"name": "buy-and-hold"},
    {"name": "sma-cross", "params": {"fast": 5, "slow": 20}},
    {"name": "sma-cross", "params": {"fast": 15, "slow": 60}},
    {"name": "sma-cross", "params": {"fast": 60, "slow": 15}},  # cannot run: the status says so
    {"name": "rsi-reversion", "params": {"period": 14}},
    {"name": "bollinger", "params": {"period": 20, "width": 2.0}},
)
LABELS: Final = ({"team": "a"}, {"team": "b"}, {"team": None}, {"tier": "x"})
NOTES: Final = ({"note": "seen"}, {"note": None}, {"tradefleet.dev/flatten-requests": "3"}, {"example.com/by": "them"})
BACKGROUND: Final = "propagationPolicy=Background"  # as kubectl does it; a Job would wait for its pods' controller
CHILDREN: Final = ("Deployment", "ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy", "Job")
DAMAGE: Final[dict[str, tuple[Body, ...]]] = {
    "Deployment": (
        {"spec": {"replicas": 3}},
        {"spec": {"template": {"spec": {"hostNetwork": True}}}},
        {"spec": {"template": {"metadata": {"annotations": {"example.com/restarted": "now"}}}}},
    ),
    "ConfigMap": ({"data": {"settings.json": "{}"}}, {"data": {"more": "of it"}}, {"data": None}),
    "Secret": ({"data": {"database-url": "bm9uZQ=="}}, {"data": None}),
    "Service": ({"spec": {"selector": {"app": "somebody-else"}}},),
    "ServiceAccount": ({"automountServiceAccountToken": True},),
    "NetworkPolicy": ({"spec": {"egress": [{}], "ingress": [{}]}},),
    "Job": ({"spec": {"suspend": True}},),
}
COMMON_DAMAGE: Final[tuple[Body, ...]] = (
    {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
    {"metadata": {"annotations": {"tradefleet.dev/unknown": "x"}}},
    {"metadata": {"annotations": {"example.com/theirs": "x"}}},
    {"metadata": {"ownerReferences": None}},
)
TROUBLES: Final[tuple[Body, ...]] = (
    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
    {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}},
    {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
)


class Storm:
    """Changes in a namespace, one with each `step`. `done` counts them by what they were."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._pods = Pods(cluster)
        self.done: dict[str, int] = {}

    def step(self) -> None:
        """Make one change. What the API server refuses has not happened, and that is no failure."""
        actions: list[tuple[Callable[[], bool], int]] = [
            (self._create, 30),
            (self._edit, 25),
            (self._delete, 10),
            (self._replace_by_a_namesake, 3),
            (self._label, 8),
            (self._annotate, 8),
            (self._take_finalizers, 3),
            (self._damage_a_child, 25),
            (self._delete_a_child, 20),
            (self._move_pods, 8),
        ]
        action = self._rng.choices([each for each, _ in actions], [weight for _, weight in actions])[0]
        if action():
            name = action.__name__.strip("_")
            self.done[name] = self.done.get(name, 0) + 1

    def begin(self) -> None:
        """Make some of each kind that are not there, so that there is something to change."""
        for kind, names in NAMES.items():
            for name in names:
                self._cluster.api.create(self._body(kind, name), self._cluster.namespace)

    def clear_up(self) -> None:
        """Do what statuses ask a person to do: bots hold up the end of their Exchange, and of a Feed until they sold.

        There is no gateway here that could sell, so bots that are to do so while they stay are deleted, too.
        """
        ending = {
            kind: [each for each in self._items(kind) if "deletionTimestamp" in each["metadata"]]
            for kind in ("Exchange", "Feed")
        }
        closing = {_name(each) for each in ending["Exchange"]}
        unfed = {each["spec"]["exchangeRef"]["name"] for each in ending["Feed"]}
        for kind in ("BotSet", "TradingBot"):  # a set would make its bots again
            for each in self._items(kind):
                spec = each["spec"] if kind == "TradingBot" else each["spec"]["template"]["spec"]
                place = spec["exchangeRef"]["name"]
                sells = (spec.get("state"), spec.get("deletionPolicy")) == ("Stopped", "Flatten")
                if place in closing or (place in unfed and sells):
                    self._cluster.api.delete(self._cluster.place(kind, _name(each)))

    def clear(self) -> None:
        """Let the exchanges be traded on and all pods come up, so that what is left of the storm has much to do."""
        self._pods.heal()
        for name in EXCHANGES:
            self._cluster.api.patch(self._cluster.place("Exchange", name), {"spec": {"suspend": False}})

    # --- resources ------------------------------------------------------------------------------------------------

    def _create(self) -> bool:
        kind, name = self._any_name()
        return self._cluster.api.create(self._body(kind, name), self._cluster.namespace).accepted

    def _edit(self) -> bool:
        found = self._any_resource()
        if found is None:
            return False
        kind, stored = found
        name = stored["metadata"]["name"]
        new = self._body(kind, name) if name in NAMES[kind] else {"spec": {"state": "Paused"}}
        if self._rng.random() < 0.5:  # all of the spec is replaced, by somebody who has just read it
            body = {**stored, "spec": {**stored["spec"], **new["spec"]}}
            return self._cluster.api.replace(body, self._cluster.namespace).accepted
        return self._cluster.api.patch(self._cluster.place(kind, name), {"spec": new["spec"]}).accepted

    def _delete(self) -> bool:
        found = self._any_resource()
        if found is None or (found[0] == "Exchange" and self._some(0.9)):  # its end takes half of the fleet with it
            return False
        return self._cluster.api.delete(self._cluster.place(found[0], _name(found[1]))).accepted

    def _replace_by_a_namesake(self) -> bool:
        """Delete something and make it again at once, which is taken only when it went without having to wait."""
        found = self._any_resource()
        if found is None or found[0] == "Exchange":
            return False
        kind, stored = found
        self._cluster.api.delete(self._cluster.place(kind, _name(stored)))
        if _name(stored) not in NAMES[kind]:
            return True
        return self._cluster.api.create(self._body(kind, _name(stored)), self._cluster.namespace).accepted

    def _label(self) -> bool:
        found = self._any_resource()
        if found is None or _name(found[1]) not in NAMES[found[0]]:  # a bot of a set keeps what somebody adds to it
            return False
        return self._patch_metadata(found, {"labels": self._rng.choice(LABELS)})

    def _annotate(self) -> bool:
        found = self._any_resource()
        return found is not None and self._patch_metadata(found, {"annotations": self._rng.choice(NOTES)})

    def _take_finalizers(self) -> bool:
        """Take all finalizers off something that nobody has deleted."""
        found = self._any_resource()
        if found is None or "deletionTimestamp" in found[1]["metadata"]:
            return False
        version = found[1]["metadata"]["resourceVersion"]
        return self._patch_metadata(found, {"resourceVersion": version, "finalizers": []})

    def _patch_metadata(self, found: tuple[str, Body], metadata: Body) -> bool:
        kind, stored = found
        return self._cluster.api.patch(self._cluster.place(kind, _name(stored)), {"metadata": metadata}).accepted

    # --- children -------------------------------------------------------------------------------------------------

    def _damage_a_child(self) -> bool:
        found = self._any_child()
        if found is None:
            return False
        kind, name = found
        damage = self._rng.choice((*DAMAGE[kind], *COMMON_DAMAGE))
        return self._cluster.api.patch(self._cluster.path(kind, name), damage).accepted

    def _delete_a_child(self) -> bool:
        found = self._any_child()
        return found is not None and self._cluster.api.delete(f"{self._cluster.path(*found)}?{BACKGROUND}").accepted

    def _move_pods(self) -> bool:
        names = self._cluster.names("Deployment")
        if names:
            self._pods.troubles[self._rng.choice(names)] = self._rng.choice(TROUBLES)
        return self._pods.step()

    # --- choices --------------------------------------------------------------------------------------------------

    def _any_name(self) -> tuple[str, str]:
        kind = self._rng.choice(list(NAMES))
        return kind, self._rng.choice(NAMES[kind])

    def _any_resource(self) -> tuple[str, Body] | None:
        kind = self._rng.choice(list(NAMES))
        items = self._items(kind)
        if not items:
            return None
        stored = self._rng.choice(sorted(items, key=_name))
        return kind, {"apiVersion": API_VERSION, "kind": kind, **stored}

    def _items(self, kind: str) -> list[Body]:
        return self._cluster.ours(kind)

    def _any_child(self) -> tuple[str, str] | None:
        kind = self._rng.choice(CHILDREN)
        names = self._cluster.names(kind)
        return (kind, self._rng.choice(names)) if names else None

    # --- specs ----------------------------------------------------------------------------------------------------

    def _body(self, kind: str, name: str) -> Body:
        """Return a resource of that name: some of these are refused, some cannot run, some wait for others."""
        specs: dict[str, Callable[[str], Body]] = {
            "Exchange": self._exchange,
            "Dataset": self._dataset,
            "Feed": self._feed,
            "TradingBot": self._bot,
            "BotSet": self._set,
            "RiskPolicy": self._policy,
            "Backtest": self._backtest,
        }
        metadata: Body = {"name": name, "labels": {"team": self._rng.choice("ab")}}
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": specs[kind](name)}

    def _some(self, chance: float) -> bool:
        return self._rng.random() < chance

    def _exchange(self, name: str) -> Body:
        steps = {"tickSize": "0.01", "lotSize": "0.00000001"}
        return {
            "venue": "kraken" if name == "beta" and self._some(0.1) else "simulator",
            "instruments": [{"symbol": symbol, **steps} for symbol in ("BTC-USD", "LTC-USD")],
            "fees": {"takerBps": str(self._rng.randrange(20))},
            "suspend": self._some(0.15),
        }

    def _dataset(self, _: str) -> Body:
        return {
            "synthetic": {
                "seed": self._rng.randrange(5),
                "bars": self._rng.choice((100, 200)),
                "start": "2024-01-01",
                "startPrices": {"BTC-USD": "42000", "LTC-USD": "70"},
            },
            "instruments": ["BTC-USD", "LTC-USD"],
            "intervals": ["1m"],
            "suspend": self._some(0.1),
        }

    def _feed(self, name: str) -> Body:
        datasets = ["missing"] if self._some(0.1) else [self._rng.choice(DATASETS)]
        return {
            "exchangeRef": {"name": FEEDS[name]},
            "replay": {
                "datasetRefs": [{"name": each} for each in datasets],
                "speed": self._rng.choice(("max", "60x")),
            },
            "suspend": self._some(0.15),
        }

    def _bot(self, name: str) -> Body:
        number = BOTS.index(name)
        body: Body = {
            **self._traded(number),
            "strategy": self._rng.choice(STRATEGIES),
            "instruments": [("BTC-USD", "LTC-USD")[number % 2]],
            "placement": "Dedicated" if self._some(0.6) else "Shared",
        }
        if self._some(0.2):
            body["podTemplate"] = {"resources": {"limits": {"memory": self._rng.choice(("128Mi", "0.25Gi"))}}}
        return body

    def _traded(self, number: int) -> Body:
        """Return what bots have in common, those of sets included."""
        return {
            "exchangeRef": {"name": "nowhere" if self._some(0.05) else EXCHANGES[number % len(EXCHANGES)]},
            "wallet": {"USD": "-1" if self._some(0.03) else "1000"},
            "state": self._rng.choice(("Running", "Running", "Running", "Paused", "Stopped")),
            "deletionPolicy": self._rng.choice(("CancelOrders", "Flatten", "Keep")),
        }

    def _set(self, name: str) -> Body:
        return {
            "matrix": {
                "strategies": self._rng.sample([STRATEGIES[0], STRATEGIES[1], STRATEGIES[4]], self._rng.randint(1, 3)),
                "instruments": self._rng.sample(("BTC-USD", "LTC-USD"), self._rng.randint(1, 2)),
            },
            "template": {"metadata": {"labels": {"set": name}}, "spec": self._traded(SETS.index(name))},
            "maxUnavailable": self._rng.choice((1, 2, "50%")),
            "suspend": self._some(0.1),
        }

    def _policy(self, _: str) -> Body:
        return {"selector": {"matchLabels": {"team": self._rng.choice("ab")}}, "halt": self._some(0.5)}

    def _backtest(self, name: str) -> Body:
        tested: Body = {"botRefs": [{"name": self._rng.choice(BOTS)}]}
        if name == "trial":
            strategy = self._rng.choice(STRATEGIES)
            tested = {"strategy": strategy, "exchangeRef": {"name": "alpha"}, "wallet": {"USD": "1000"}}
        return {**tested, "datasetRef": {"name": self._rng.choice(DATASETS)}, "suspend": self._some(0.2)}


def _name(body: Body) -> str:
    return str(body["metadata"]["name"])
