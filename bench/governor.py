"""The Governor over 1,000 TradingBots: how soon every child is there, memory, CPU at rest, a restart, one change.

A real API server without nodes, a real database and a real broker. The peer is Kubernetes' own Deployment controller
in the same cluster, which makes one ReplicaSet for each of as many Deployments: as clusters run it, with its limit of
20 requests a second, and without that limit. The Governor makes five objects for each bot, its finalizer and status,
and a log-in, a row and a command in the database. All are applied while the controller in question runs; the time is
from the first request until the last child exists.

At rest means that the pods are there (played here) and ready. What is written is what the API server counted.

Run alone: python -m bench.governor [--quick]
"""

import copy
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml
from governor.kubernetes.client import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE_ACCOUNT, custom
from governor.kubernetes.manifests import DIGEST_ANNOTATION

from bench.cluster import BOT, REPLICA_SET, Body, Stage, difference, plain_deployments, stage, wait_until
from bench.figure import Result, is_quick, median, tell
from bench.machine import cpu_s, peak_rss_kib, pss_kib
from bench.services import ROOT
from tests.cluster.governor import Cluster, GovernorProcess
from tradefleet.resources.kinds import KINDS

BOTS: Final = 1_000
BOTS_QUICK: Final = 50
RATIO_MAX: Final = 1.5
MEMORY_MIB_MAX: Final = 150
REST_PERCENT_MAX: Final = 1.0
RESTART_S_MAX: Final = 15.0
CHANGE_MS_MAX: Final = 500.0

CHANGES: Final = 60
CHANGES_QUICK: Final = 5
REST_S: Final = 65.0  # with two whole rounds in it
REST_QUICK_S: Final = 15.0
QUIET_S: Final = 10.0  # so long nothing is written before the fleet is taken to be at rest
WATCHED_S: Final = 15.0  # how long a Governor is watched after its restart
BOUND_S: Final = 900.0

PEER: Final = "peer"
FLEET: Final = "fleet"
NO_LIMIT: Final = ("--kube-api-qps=10000", "--kube-api-burst=10000")
CHILDREN: Final = (SERVICE_ACCOUNT, SECRET, CONFIG_MAP, NETWORK_POLICY, DEPLOYMENT)
QUICKSTART: Final = ROOT / "examples" / "quickstart"
CONTENT: Final = {"bars": 2, "gaps": 0, "missingBars": 0, "firstUs": 0, "lastUs": 60_000_000, "contentHash": "sha256:1"}


def _market() -> list[Body]:
    """Return the quickstart's exchange with its market, played at full speed and not in lockstep."""
    found = [
        body
        for path in sorted(QUICKSTART.glob("*.yaml"))
        for body in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if body["kind"] != "BotSet"
    ]
    for body in found:
        body["metadata"]["namespace"] = FLEET
        if body["kind"] == "Feed":
            body["spec"]["replay"]["speed"] = "max"
    return found


def _bots(count: int) -> list[Body]:
    spec: dict[str, Any] = {
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "sma-cross", "params": {"fast": 10, "slow": 50}},
        "instruments": ["BTC-USD"],
        "wallet": {"USD": "10000"},
    }
    return [
        {
            "apiVersion": "tradefleet.dev/v1alpha1",
            "kind": "TradingBot",
            "metadata": {"name": f"bench-{number:04}", "namespace": FLEET},
            "spec": copy.deepcopy(spec),
        }
        for number in range(count)
    ]


def is_ready(body: Body) -> bool:
    """Return whether a resource is Ready as it is now."""
    status = body.get("status") or {}
    return status.get("observedGeneration") == body["metadata"]["generation"] and any(
        each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ()
    )


class Bench:
    """One run of all figures, in an order in which each finds what it needs."""

    def __init__(self, there: Stage, count: int) -> None:
        self._there = there
        self._count = count
        self._governor = there.governor(FLEET)
        self._cluster = Cluster(there.plain, FLEET)

    @property
    def governor(self) -> GovernorProcess:
        """The process that is measured."""
        return self._governor

    def peer_s(self, *flags: str) -> float:
        """Return how long the Deployment controller takes for its ReplicaSets."""
        with self._there.deployment_controller(*flags):
            first, *rest = plain_deployments(self._count + 1, PEER)
            self._there.create(DEPLOYMENT, [first])
            wait_until(lambda: self._there.count(REPLICA_SET, PEER) == 1, "the Deployment controller", bound_s=BOUND_S)
            began_s = time.monotonic()
            self._there.create(DEPLOYMENT, rest)
            ended_s = wait_until(
                lambda: self._there.count(REPLICA_SET, PEER) > self._count, "the ReplicaSets", bound_s=BOUND_S
            )
        self._there.clear((DEPLOYMENT, REPLICA_SET), PEER)
        return ended_s - began_s

    def begin(self) -> None:
        """Start the Governor over a market without bots, and wait until it has done what there is to do."""
        self._governor.start()
        wait_until(self._governor.is_ready, "the Governor's first round", bound_s=BOUND_S)
        for body in _market():
            self._there.api.create(custom(body["kind"], KINDS[body["kind"]].names.plural), body)
        self._settle()
        for job in self._cluster.names("Job"):
            self._cluster.play_job(job, {"result": CONTENT})
        self._there.play_pods(FLEET)
        self._settle()

    def children_s(self) -> tuple[float, list[str]]:
        """Return how long it takes until every child of the bots exists, and what was done meanwhile."""
        before, writes = self._there.counts(CHILDREN, FLEET), self._there.writes()
        used_s = cpu_s(self._governor.pid)
        began_s = time.monotonic()
        self._there.create(BOT, _bots(self._count))
        applied_s = time.monotonic()

        def are_there() -> bool:
            now = self._there.counts(CHILDREN, FLEET)
            return all(now[kind] >= before[kind] + self._count for kind in before)

        ended_s = wait_until(are_there, f"the children of {self._count} bots", bound_s=BOUND_S)
        used_s = cpu_s(self._governor.pid) - used_s
        self._settle()
        added = difference(self._there.writes(), writes)
        told = ", ".join(f"{count:,} {what}" for what, count in added.items())
        return ended_s - began_s, [
            f"applied within {applied_s - began_s:.1f} s; the Governor used {used_s:.1f} s of processor time",
            f"writes until nothing was left to do, the bots' own among them: {told}",
        ]

    def play(self) -> None:
        """Let all pods be there and ready, and wait until that is shown."""
        self._there.play_pods(FLEET)

        def are_ready() -> bool:
            bots = self._there.api.list(BOT, FLEET).items
            return all(is_ready(each.body()) for each in bots)

        wait_until(are_ready, f"{self._count} bots to be Ready", bound_s=BOUND_S, poll_s=2.0)
        self._settle()

    def rest_percent(self, rest_s: float) -> tuple[float, list[str]]:
        """Return how much of one core the Governor uses when nothing happens."""
        pid, writes = self._governor.pid, self._there.writes()
        used_s, began_s = cpu_s(pid), time.monotonic()
        time.sleep(rest_s)
        percent = 100 * (cpu_s(pid) - used_s) / (time.monotonic() - began_s)
        return percent, [f"writes meanwhile: {difference(self._there.writes(), writes) or 'none'}"]

    def restart_s(self) -> tuple[float, dict[str, int]]:
        """Return how long a Governor takes to be ready after the one before, and what it writes."""
        self._governor.stop()
        writes = self._there.writes()
        began_s = time.monotonic()
        self._governor.start()
        ended_s = wait_until(self._governor.is_ready, "the next Governor", bound_s=BOUND_S, poll_s=0.05)
        time.sleep(WATCHED_S)
        return ended_s - began_s, difference(self._there.writes(), writes)

    def change_ms(self, changes: int) -> list[float]:
        """Return how long each of so many changes takes until the Deployment of its bot is another one."""
        chance = random.Random(5)
        heard: dict[str, tuple[str, Body, float]] = {}

        def hear(deployment: Body, now_s: float) -> None:
            metadata = deployment["metadata"]
            heard[metadata["name"]] = (metadata["annotations"][DIGEST_ANNOTATION], deployment, now_s)

        found = []
        with self._there.watching(DEPLOYMENT, FLEET, hear):
            for number in range(changes):
                bot = f"bench-{chance.randrange(self._count):04}"
                stored = self._there.api.get(DEPLOYMENT, FLEET, f"bot-{bot}")
                digest = stored["metadata"]["annotations"][DIGEST_ANNOTATION]
                patch = {"spec": {"strategy": {"params": {"slow": 60 + number}}}}
                began_s = time.monotonic()
                self._there.api.merge(BOT, FLEET, bot, patch)
                name = f"bot-{bot}"
                wait_until(
                    lambda n=name, d=digest: heard.get(n, (d,))[0] != d, f"the child of {bot}", bound_s=60, poll_s=0.002
                )
                _, deployment, heard_s = heard[name]
                found.append(1_000 * (heard_s - began_s))
                self._there.turn_over_pod(deployment)
                time.sleep(chance.uniform(0.5, 3.0))
        return found

    def _settle(self) -> None:
        """Return once nothing has been written for a while."""
        deadline_s = time.monotonic() + BOUND_S
        while time.monotonic() < deadline_s:
            before = self._there.writes()
            time.sleep(QUIET_S)
            if self._there.writes() == before:
                return
        raise TimeoutError(f"the Governor still writes after {BOUND_S:.0f} s:\n{self._governor.last_lines()}")


def measure() -> list[Result]:
    """Return the figures."""
    count, changes, rest_s = (BOTS_QUICK, CHANGES_QUICK, REST_QUICK_S) if is_quick() else (BOTS, CHANGES, REST_S)
    with _bench(count) as bench:
        shipped_s = bench.peer_s()
        free_s = bench.peer_s(*NO_LIMIT)
        print(f"  the peer: {shipped_s:.1f} s, without a limit {free_s:.1f} s", file=sys.stderr, flush=True)
        bench.begin()
        ours_s, done = bench.children_s()
        print(f"  children: {ours_s:.1f} s; {done}", file=sys.stderr, flush=True)
        bench.play()
        rest_percent, rested = bench.rest_percent(rest_s)
        print(f"  at rest: {rest_percent:.2f} %; {rested}", file=sys.stderr, flush=True)
        change_ms = sorted(bench.change_ms(changes))
        print(f"  changes: {change_ms[0]:.0f} to {change_ms[-1]:.0f} ms", file=sys.stderr, flush=True)
        peak_mib = peak_rss_kib(bench.governor.pid) / 1024
        pss_mib = pss_kib(bench.governor.pid) / 1024
        restart_s, written = bench.restart_s()
    p99_ms = change_ms[min(len(change_ms) - 1, round(0.99 * len(change_ms)))]
    wrote = sum(written.values())
    return [
        Result(
            name=f"{count:,} bots applied at once: every child exists",
            goal=f"≤ {RATIO_MAX}× the Deployment controller making {count:,} ReplicaSets",
            found=f"{ours_s:.1f} s, {ours_s / shipped_s:.2f}× ({ours_s / free_s:.2f}× one without a limit of requests)",
            is_met=ours_s <= RATIO_MAX * shipped_s,
            numbers=(
                f"Governor                                     {ours_s:6.1f} s, {5 * count / ours_s:,.0f} objects/s",
                f"Deployment controller, 20 requests/s         {shipped_s:6.1f} s, {count / shipped_s:,.0f} objects/s",
                f"Deployment controller, no limit of requests  {free_s:6.1f} s, {count / free_s:,.0f} objects/s",
                *done,
            ),
        ),
        Result(
            name=f"The Governor's memory with {count:,} bots",
            goal=f"≤ {MEMORY_MIB_MAX} MB",
            found=f"{peak_mib * 1.048576:.0f} MB at most",
            is_met=peak_mib * 1.048576 <= MEMORY_MIB_MAX,
            numbers=(f"resident at most {peak_mib:.1f} MiB (VmHWM), in the end {pss_mib:.1f} MiB (PSS)",),
        ),
        Result(
            name=f"The Governor's processor time at rest, {count:,} bots",
            goal=f"≤ {REST_PERCENT_MAX:.0f} % of a core",
            found=f"{rest_percent:.2f} %",
            is_met=rest_percent <= REST_PERCENT_MAX,
            numbers=(f"over {rest_s:.0f} s", *rested),
        ),
        Result(
            name=f"The Governor's restart, {count:,} bots",
            goal=f"0 writes, ready within {RESTART_S_MAX:.0f} s",
            found=f"{wrote} writes, ready after {restart_s:.1f} s",
            is_met=wrote == 0 and restart_s <= RESTART_S_MAX,
            numbers=(f"from the start of the process; writes within {WATCHED_S:.0f} s more: {written or 'none'}",),
        ),
        Result(
            name=f"One bot of {count:,} changed: its child is",
            goal=f"p99 ≤ {CHANGE_MS_MAX:.0f} ms",
            found=f"p50 {median(change_ms):.0f} ms, p99 {p99_ms:.0f} ms",
            is_met=p99_ms <= CHANGE_MS_MAX,
            numbers=(
                f"{len(change_ms)} changes, from the request until a watch tells of the Deployment",
                f"ms: {', '.join(f'{each:.0f}' for each in change_ms)}",
            ),
        ),
    ]


@contextmanager
def _bench(count: int) -> Iterator[Bench]:
    with stage() as there:
        there.prepare(PEER, FLEET)
        bench = Bench(there, count)
        try:
            yield bench
        except BaseException:
            sys.stderr.write(bench.governor.last_lines() if bench.governor.log.exists() else "")
            raise
        finally:
            bench.governor.kill()


if __name__ == "__main__":
    raise SystemExit(tell(*measure()))
