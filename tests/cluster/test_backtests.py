"""Backtests as Indexed Jobs at a real API server, with a real database. No controller is there: pods are played."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from governor.local.broker import Broker

from tests.cluster.api import Api
from tests.cluster.governor import Cluster, GovernorProcess, eventually
from tests.cluster.test_governor import apply, cluster, condition, quickstart, settled, status_of  # noqa: F401
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures
from tradefleet.store import schema

VERSION = "tradefleet.dev/v1alpha1"
GRID = {"fast": {"values": [3, 5, 90]}, "slow": {"values": [20, 40]}}  # 90 is above slow: two trials are refused
TRIALS = 6
SIMULATIONS_MAX = 3
QUEUE = "research"


@pytest.fixture
def values() -> dict[str, Any]:
    return {"governor": {"resyncSeconds": 5, "simulationsMax": SIMULATIONS_MAX}}


@pytest.fixture
def governor(
    tmp_path: Path,
    api: Api,
    namespace: str,
    values: dict[str, Any],
    fresh_database: str,  # noqa: F811
    broker: Broker,  # noqa: F811
) -> Iterator[GovernorProcess]:
    """A Governor of the test's namespace, which has not been started."""
    schema.upgrade(fresh_database)
    process = GovernorProcess(
        tmp_path, api, database_url=fresh_database, bootstrap=broker.bootstrap, namespace=namespace, values=values
    )
    yield process
    process.kill()


def market() -> list[dict[str, Any]]:
    """Return an exchange and some candles for it."""
    found = [body for body in quickstart() if body["kind"] in ("Exchange", "Dataset")]
    for body in found:
        if body["kind"] == "Dataset":
            body["spec"]["synthetic"]["bars"] = 300
    return found


def grid(name: str = "grid", **spec: Any) -> dict[str, Any]:
    wanted = {
        "datasetRef": {"name": "made-up-market"},
        "exchangeRef": {"name": "simulator"},
        "instruments": ["BTC-USD"],
        "strategy": {"name": "sma-cross"},
        "wallet": {"USD": "10000"},
        "search": {"space": GRID},
        "parallelism": 2,
        **spec,
    }
    return {"apiVersion": VERSION, "kind": "Backtest", "metadata": {"name": name}, "spec": wanted}


def begin(governor: GovernorProcess, cluster: Cluster, *bodies: dict[str, Any]) -> None:  # noqa: F811
    apply(cluster, *market(), *bodies)
    governor.start()
    eventually(governor.is_ready, what="the Governor's first round")


def jobs(cluster: Cluster, backtest: str = "grid") -> list[dict[str, Any]]:  # noqa: F811
    """Return the Jobs of a Backtest."""
    return [
        each for each in cluster.all("Job") if each["metadata"]["labels"].get("tradefleet.dev/backtest") == backtest
    ]


def the_job(cluster: Cluster, backtest: str = "grid") -> dict[str, Any]:  # noqa: F811
    found = eventually(lambda: jobs(cluster, backtest), what=f"the Job of {backtest}")
    assert len(found) == 1
    return found[0]


def change(cluster: Cluster, backtest: str, **spec: Any) -> None:  # noqa: F811
    path = f"/apis/{VERSION}/namespaces/{cluster.namespace}/backtests/{backtest}"
    assert cluster.api.patch(path, {"spec": spec}).accepted


def work(cluster: Cluster, job: dict[str, Any], index: int, folder: Path) -> int:  # noqa: F811
    """Run what the pod of an index would run; return its exit status."""
    name = job["metadata"]["name"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    secret = cluster.get("Secret", name)
    assert secret is not None
    settings = folder / f"{name}.json"
    settings.write_text(json.dumps(cluster.settings(name)), encoding="utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("TRADEFLEET_")},
        **{each["name"]: each["value"] for each in container["env"] if each["name"] == "TRADEFLEET_FLEET"},
        "TRADEFLEET_DATABASE_URL": base64.b64decode(secret["data"]["database-url"]).decode(),
        "JOB_COMPLETION_INDEX": str(index),
    }
    assert container["command"][:2] == ["python", "-m"]
    command = [sys.executable, "-m", *container["command"][2:-1], str(settings)]
    return subprocess.run(command, env=environment, timeout=120, check=False).returncode


def say(cluster: Cluster, job: dict[str, Any], **status: Any) -> None:  # noqa: F811
    """Let the Job be as a controller says it is."""
    path = f"{cluster.path('Job', job['metadata']['name'])}/status"
    answer = cluster.api.patch(path, {"status": status})
    assert answer.accepted, answer.body


def rows(database_url: str) -> list[tuple[int, bool]]:
    """Return each trial that is written, and whether it failed."""
    with psycopg.connect(database_url) as connection:
        query = "SELECT trial, error <> '' FROM tradefleet.backtest_result ORDER BY question, trial"
        return connection.execute(query).fetchall()


def test_a_grid_is_one_indexed_job_whose_results_outlive_it(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
    fresh_database: str,  # noqa: F811
    tmp_path: Path,
):
    begin(governor, cluster, grid())
    job = the_job(cluster)

    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", TRIALS, 2)
    assert (spec["suspend"], spec["backoffLimitPerIndex"], spec["podReplacementPolicy"]) == (False, 3, "Failed")
    assert [work(cluster, job, index, tmp_path) for index in (0, 3, 3)] == [0, 0, 0]
    eventually(lambda: status_of(cluster, "Backtest", "grid").get("progress") == "2/6", what="some progress")
    before = settled(governor, cluster)
    assert before[f"Job/{job['metadata']['name']}"] == the_job(cluster)["metadata"]["resourceVersion"]

    governor.kill()
    governor.start()
    for index in (1, 2, 4, 5):
        assert work(cluster, job, index, tmp_path) == 0
    eventually(lambda: status_of(cluster, "Backtest", "grid").get("phase") == "Succeeded", what="the result")

    shown = status_of(cluster, "Backtest", "grid")
    assert (shown["progress"], shown["completed"], shown["failed"]) == ("6/6", 4, 2)
    assert shown["bestParams"].keys() == GRID.keys()
    warning = condition(cluster, "Backtest", "grid", "Warning")
    assert warning["message"].startswith("2 of 6 trials failed, the first: fast=90 slow=20: ")
    assert rows(fresh_database) == [(number, number >= 4) for number in range(TRIALS)]
    eventually(lambda: jobs(cluster) == [], what="the Job to go")
    eventually(
        lambda: not [each for kind in ("ConfigMap", "NetworkPolicy") for each in cluster.names(kind) if "grid" in each],
        what="what its pods stood on to go",
    )
    settled(governor, cluster)
    assert jobs(cluster) == [], "the result is known"


def test_a_job_is_held_and_let_run_and_nothing_else_of_it_is_ever_written(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
    tmp_path: Path,
):
    begin(governor, cluster, grid())
    first = the_job(cluster)
    assert work(cluster, first, 0, tmp_path) == 0

    change(cluster, "grid", suspend=True)
    eventually(lambda: the_job(cluster)["spec"]["suspend"], what="the Job to be held")
    held = eventually(
        lambda: (found := status_of(cluster, "Backtest", "grid")).get("phase") == "Stopped" and found, what="Stopped"
    )
    assert held["progress"] == "1/6"
    change(cluster, "grid", suspend=False, parallelism=1)
    eventually(lambda: not the_job(cluster)["spec"]["suspend"], what="the Job to go on")

    again = the_job(cluster)
    assert again["spec"]["parallelism"] == 1
    assert (again["metadata"]["uid"], again["spec"]["template"]) == (
        first["metadata"]["uid"],
        first["spec"]["template"],
    )
    settled(governor, cluster)

    managed = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "a-tool-that-means-well"}}}
    assert cluster.api.patch(cluster.path("Job", first["metadata"]["name"]), managed).accepted
    change(cluster, "grid", search={"space": {**GRID, "fast": {"values": [3]}}})
    eventually(
        lambda: (
            (there := {each["metadata"]["uid"] for each in jobs(cluster)}) and first["metadata"]["uid"] not in there
        ),
        what="another question to be another Job",
    )
    assert the_job(cluster)["spec"]["completions"] == 2
    eventually(lambda: status_of(cluster, "Backtest", "grid").get("progress") == "0/2", what="a run from the beginning")


def end_pod(cluster: Cluster, job: dict[str, Any], index: int, **terminated: Any) -> None:  # noqa: F811
    """Let the pod of an index be there, and its container have ended."""
    metadata, template = job["metadata"], job["spec"]["template"]
    name = f"{metadata['name']}-{index}"
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    noted = {**template["metadata"], "ownerReferences": [owner], "annotations": annotations}
    answer = cluster.put_pod(
        name, {**template, "metadata": noted}, ready=False, state={"terminated": {"exitCode": 137, **terminated}}
    )
    assert answer.accepted, answer.body
    assert cluster.api.patch(f"{cluster.path('Pod', name)}/status", {"status": {"phase": "Failed"}}).accepted


def test_pods_are_as_the_backtest_says_and_other_pods_are_another_question(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
    tmp_path: Path,
):
    said = {
        "image": "mine:1",
        "labels": {"team": "research"},
        "annotations": {"cost-center": "7"},
        "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
    }
    begin(governor, cluster, grid(podTemplate=said))
    first = the_job(cluster)

    template = first["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("mine:1", "IfNotPresent")
    assert container["resources"] == said["resources"]
    assert (template["spec"]["nodeSelector"], template["spec"]["tolerations"]) == (
        said["nodeSelector"],
        said["tolerations"],
    )
    assert said["labels"].items() <= template["metadata"]["labels"].items()
    assert template["metadata"]["annotations"] == said["annotations"]
    assert work(cluster, first, 0, tmp_path) == 0
    eventually(lambda: status_of(cluster, "Backtest", "grid").get("progress") == "1/6", what="some progress")

    change(cluster, "grid", podTemplate={"resources": {"limits": {"memory": "4Gi"}}})
    eventually(
        lambda: [each["metadata"]["uid"] for each in jobs(cluster)] not in ([], [first["metadata"]["uid"]]),
        what="another Job",
    )
    (container,) = the_job(cluster)["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "4Gi"}
    eventually(lambda: status_of(cluster, "Backtest", "grid").get("progress") == "0/6", what="a run from the beginning")


def test_a_simulation_that_is_killed_for_its_memory_says_at_which_limit(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
    tmp_path: Path,
):
    limit = {"resources": {"limits": {"memory": "48Mi"}}}
    begin(governor, cluster, grid(search={"space": {"fast": {"values": [3, 5]}}}, podTemplate=limit), grid("neighbour"))
    job = the_job(cluster)
    why = (
        "its pod was killed for using more memory than 48Mi, its limit: raise podTemplate.resources.limits.memory, "
        "or let the strategy keep less"
    )

    end_pod(cluster, job, 1, reason="OOMKilled")

    eventually(lambda: status_of(cluster, "Backtest", "grid").get("reason") == why, what="it to say so at once")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert work(cluster, job, 0, tmp_path) == 0
    ended = {
        "status": "True",
        "reason": "FailedIndexes",
        "message": "Job has failed indexes",
        "lastTransitionTime": now,
    }
    conditions = [{"type": kind, **ended} for kind in ("FailureTarget", "Failed")]
    indexes = {"completedIndexes": "0", "failedIndexes": "1"}
    say(cluster, job, startTime=now, succeeded=1, failed=4, conditions=conditions, **indexes)

    eventually(lambda: status_of(cluster, "Backtest", "grid").get("phase") == "Succeeded", what="an end")
    told = f"1 of 2 trials failed, the first: fast=5: {why}"
    assert condition(cluster, "Backtest", "grid", "Warning")["message"] == told
    events = [each for each in cluster.all("Event") if each["regarding"]["name"] == "grid"]
    assert any(why in each["note"] for each in events), events
    assert status_of(cluster, "Backtest", "neighbour")["phase"] not in ("Failed", "Pending")


def test_namespaces_and_backtests_share_what_the_fleet_can_afford(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
):
    begin(governor, cluster, *(grid(name, parallelism=3) for name in ("one", "two")))

    eventually(
        lambda: sorted(each["spec"]["parallelism"] for each in cluster.all("Job") if "backtest" in str(each)) == [1, 2],
        what="three slots for two",
    )
    apply(cluster, *(grid(name) for name in ("three", "four")))
    names = ("one", "two", "three", "four")

    def waiting() -> list[str]:
        return [each for each in names if condition(cluster, "Backtest", each, "Ready").get("reason") == "Queued"]

    (queued,) = eventually(waiting, what="the last one to wait")
    assert queued in ("three", "four")
    assert "simulationsMax" in status_of(cluster, "Backtest", queued)["reason"]
    assert jobs(cluster, queued) == []
    eventually(
        lambda: (
            [each["spec"]["parallelism"] for name in names if name != queued for each in jobs(cluster, name)]
            == [1, 1, 1]
        ),
        what="one slot for each of the others",
    )


def test_what_failed_for_good_is_named_and_a_run_of_which_all_failed_is_tried_again(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
    fresh_database: str,  # noqa: F811
    tmp_path: Path,
):
    begin(governor, cluster, grid(search={"space": {"fast": {"values": [3, 5]}}}))
    job = the_job(cluster)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    failed = {"status": "True", "reason": "FailedIndexes", "message": "Job has failed indexes"}

    assert work(cluster, job, 0, tmp_path) == 0
    say(
        cluster,
        job,
        startTime=now,
        succeeded=1,
        failed=4,
        completedIndexes="0",
        failedIndexes="1",
        conditions=[{"type": kind, "lastTransitionTime": now, **failed} for kind in ("FailureTarget", "Failed")],
    )

    eventually(lambda: status_of(cluster, "Backtest", "grid").get("phase") == "Succeeded", what="an end")
    warning = condition(cluster, "Backtest", "grid", "Warning")
    assert warning["message"] == "1 of 2 trials failed, the first: fast=5: its pods failed 4 times"
    assert rows(fresh_database) == [(0, False), (1, True)]
    eventually(lambda: jobs(cluster) == [], what="the Job to go")


def test_a_missing_dataset_is_waited_for_and_what_is_not_supported_says_so(
    governor: GovernorProcess,
    cluster: Cluster,  # noqa: F811
):
    exchange, dataset = market()
    apply(cluster, exchange, grid(), grid("random", search={"space": GRID, "method": "random", "trials": 3}))
    governor.start()
    eventually(
        lambda: "apply it" in status_of(cluster, "Backtest", "grid").get("reason", ""), what="the Backtest to wait"
    )
    eventually(lambda: condition(cluster, "Backtest", "random", "Stalled").get("status") == "True", what="a refusal")
    assert "search.method random is not supported yet" in status_of(cluster, "Backtest", "random")["reason"]
    assert jobs(cluster) == jobs(cluster, "random") == []

    apply(cluster, dataset)

    the_job(cluster)


class TestWithKueue:
    """An installation that has Kueue, and a queue for us."""

    @pytest.fixture
    def values(self) -> dict[str, Any]:
        return {"governor": {"resyncSeconds": 5, "simulationsMax": 1, "kueueQueue": QUEUE}}

    @pytest.fixture(autouse=True)
    def kueue(self, api: Api) -> Iterator[None]:
        """The definition of Kueue's queues, which is how its being there shows."""
        group, plural = "kueue.x-k8s.io", "localqueues"
        place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        schema_of_all = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        names = {"plural": plural, "singular": "localqueue", "kind": "LocalQueue", "listKind": "LocalQueueList"}
        version = {"name": "v1beta1", "served": True, "storage": True, "schema": schema_of_all}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
        }
        answer = api.post(place, body)
        assert answer.accepted, answer.body
        eventually(
            lambda: any(each["name"] == group for each in api.get("/apis")["groups"]), what="the group to be served"
        )
        yield
        api.delete(f"{place}/{plural}.{group}")

    def test_kueue_says_when_a_job_runs(self, governor: GovernorProcess, cluster: Cluster):  # noqa: F811
        begin(governor, cluster, grid(), grid("other", parallelism=5))

        job, other = the_job(cluster), the_job(cluster, "other")

        assert [each["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] for each in (job, other)] == [QUEUE, QUEUE]
        assert [(each["spec"]["suspend"], each["spec"]["parallelism"]) for each in (job, other)] == [
            (True, 2),
            (True, 5),
        ]
        assert "Kueue" in eventually(lambda: status_of(cluster, "Backtest", "grid").get("reason"), what="a status")
        path = cluster.path("Job", job["metadata"]["name"])
        assert cluster.api.patch(path, {"spec": {"suspend": False}}).accepted

        settled(governor, cluster)

        assert the_job(cluster)["spec"]["suspend"] is False, "it is Kueue's to say"
        change(cluster, "grid", suspend=True)
        eventually(lambda: jobs(cluster) == [], what="the Job of a suspended Backtest to go")
