"""Datasets of files and of the user's own database, in a cluster: checked by jobs, played by feeds, mended."""

import base64
from typing import Any

import psycopg
from governor.kubernetes.jobs import READINGS_MAX

from tests.cluster.governor import Cluster
from tests.cluster.test_governor import apply, cluster, governor, quickstart, status_of  # noqa: F401 - fixtures
from tests.cluster.test_own_strategies import Stage, stage  # noqa: F401 - fixture
from tests.integration.conftest import broker, database, fresh_database  # noqa: F401 - fixtures

MINUTES = 300
START_MS = 1_704_067_200_000  # 2024-01-01


def candles(*, without: range = range(0)) -> list[tuple[int, float, float, float, float, float]]:
    return [
        (START_MS + minute * 60_000, 100.0, 102.0, 99.0, 100.0 + minute % 3, 5.0)
        for minute in range(MINUTES)
        if minute not in without
    ]


def csv(*, header: str = "open_time,open,high,low,close,volume", without: range = range(0)) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in candles(without=without)), ""])


def dataset(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "tradefleet.dev/v1alpha1", "kind": "Dataset", "metadata": metadata, "spec": spec}


def config_map(cluster: Cluster, name: str, **body: Any) -> None:  # noqa: F811
    """Apply a ConfigMap, whatever it was before."""
    cluster.api.delete(cluster.path("ConfigMap", name))
    whole = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **body}
    assert cluster.api.post(cluster.path("ConfigMap"), whole).accepted


def secret(cluster: Cluster, name: str, **entries: str) -> None:  # noqa: F811
    cluster.api.delete(cluster.path("Secret", name))
    data = {key: base64.b64encode(value.encode()).decode() for key, value in entries.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    assert cluster.api.post(cluster.path("Secret"), body).accepted


FROM_MAP = {"volume": {"configMapRef": {"name": "candles"}}, "files": [{"path": "btc.csv", "instrument": "BTC-USD"}]}


def test_files_of_a_config_map_are_checked_frozen_and_played(stage: Stage):  # noqa: F811
    exchange, *_ = (body for body in quickstart() if body["kind"] == "Exchange")
    feed = {
        "apiVersion": "tradefleet.dev/v1alpha1",
        "kind": "Feed",
        "metadata": {"name": "history"},
        "spec": {
            "exchangeRef": {"name": "simulator"},
            "replay": {"datasetRefs": [{"name": "kept"}], "speed": "max"},
        },
    }
    apply(stage.cluster, exchange, dataset("kept", **FROM_MAP), feed)
    stage.governor.start()
    stage.says("Dataset", "kept", type="Ready", reason="ConfigMapNotFound", message="apply it")
    stage.says("Feed", "history", type="Ready", reason="DatasetNotReady", message="waits for ConfigMap candles")

    config_map(stage.cluster, "candles", data={"btc.csv": csv(header="when,first,high,low,close,volume")})
    refused = stage.says("Dataset", "kept", reason="DataRefused", status="True")
    assert "first" in refused["message"], "the columns that are there are named"

    config_map(stage.cluster, "candles", data={"btc.csv": csv(without=range(100, 110))})
    stage.says("Dataset", "kept", type="Ready", status="True")
    status = status_of(stage.cluster, "Dataset", "kept")
    assert (status["bars"], status["gaps"], status["missingBars"]) == (MINUTES - 10, 1, 10)
    assert (status["firstBarTime"], status["lastBarTime"]) == ("2024-01-01T00:00:00Z", "2024-01-01T04:59:00Z")
    stage.until(lambda: status_of(stage.cluster, "Feed", "history").get("phase") == "Succeeded", "the feed to play it")
    assert status_of(stage.cluster, "Feed", "history")["bars"] == MINUTES - 10

    place = f"/apis/tradefleet.dev/v1alpha1/namespaces/{stage.cluster.namespace}/datasets/kept"
    assert stage.cluster.api.patch(place, {"spec": {"frozen": True}}).accepted
    config_map(stage.cluster, "candles", data={"btc.csv": csv()})
    changed = stage.says("Dataset", "kept", reason="ContentChanged", status="True")
    assert "restore it" in changed["message"]
    assert status_of(stage.cluster, "Dataset", "kept")["contentHash"] == status["contentHash"]

    config_map(stage.cluster, "candles", data={"btc.csv": csv(without=range(100, 110))})
    stage.says("Dataset", "kept", type="Ready", status="True")


def test_a_database_of_the_user_s_is_read_with_the_url_of_a_secret(
    stage: Stage,  # noqa: F811
    fresh_database: str,  # noqa: F811
):
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE candles (t bigint, o float, h float, l float, c float, v float)")
        connection.cursor().executemany("INSERT INTO candles VALUES (%s, %s, %s, %s, %s, %s)", candles())
    columns = {"openTime": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    source = {
        "urlFrom": {"secretKeyRef": {"name": "prices", "key": "url"}},
        "query": "SELECT * FROM candles ORDER BY t",
        "instrument": "BTC-USD",
        "columns": columns,
    }
    apply(stage.cluster, dataset("asked", sql=[source]))
    stage.governor.start()
    stage.says("Dataset", "asked", type="Ready", reason="SecretNotFound", message="waits for Secret prices")

    secret(stage.cluster, "prices", uri=fresh_database)
    stage.says("Dataset", "asked", type="Ready", reason="SecretKeyNotFound", message="it has uri: add it")

    wrong = fresh_database.rpartition("/")[0] + "/nowhere"
    secret(stage.cluster, "prices", url=wrong)
    refused = stage.says("Dataset", "asked", reason="DataRefused", status="True")
    assert "nowhere" in refused["message"]
    password = psycopg.conninfo.conninfo_to_dict(fresh_database).get("password")
    assert password is None or str(password) not in refused["message"]

    secret(stage.cluster, "prices", url=fresh_database)
    stage.says("Dataset", "asked", type="Ready", status="True")
    status = status_of(stage.cluster, "Dataset", "asked")
    assert (status["bars"], status["gaps"], status["source"]) == (MINUTES, 0, "sql")
    assert fresh_database not in stage.governor.log.read_text(encoding="utf-8")
    reasons = {each["reason"] for each in stage.cluster.all("Event")}
    assert {"SecretNotFound", "SecretKeyNotFound", "DataRefused", "Complete"} <= reasons


def test_a_claim_is_mounted_read_only_where_the_job_looks(stage: Stage):  # noqa: F811
    files = [{"path": "deep/btc.csv.gz", "instrument": "BTC-USD"}]
    apply(stage.cluster, dataset("archived", volume={"claimName": "archive"}, files=files))
    stage.governor.start()

    (name,) = stage.until_alone(lambda: stage.cluster.names("Job"))
    job = stage.cluster.get("Job", name)
    assert job is not None
    pod = job["spec"]["template"]["spec"]
    (volume,) = (each for each in pod["volumes"] if "persistentVolumeClaim" in each)
    assert volume["persistentVolumeClaim"] == {"claimName": "archive", "readOnly": True}
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == volume["name"])
    assert mount["readOnly"] is True
    (source,) = stage.cluster.settings(name)["replay"]["sources"]
    assert source["path"] == f"{mount['mountPath']}/deep/btc.csv.gz"


def test_pods_that_cannot_start_hold_up_no_other_reading(stage: Stage):  # noqa: F811
    files = [{"path": "btc.csv", "instrument": "BTC-USD"}]
    lost = [dataset(f"lost-{number}", volume={"claimName": "nowhere"}, files=files) for number in range(READINGS_MAX)]
    apply(stage.cluster, *lost)
    stage.governor.start()
    jobs = stage.until_alone(lambda: len(stage.cluster.names("Job")) == READINGS_MAX and stage.cluster.names("Job"))

    apply(stage.cluster, dataset("waits", volume={"claimName": "archive"}, files=files))
    for name in jobs:
        job = stage.cluster.get("Job", name)
        assert job is not None
        why = {"reason": "ErrImagePull", "message": "nobody has it"}
        stage.cluster.put_pod(name, job["spec"]["template"], ready=False, state={"waiting": why})

    stage.until_alone(lambda: set(stage.cluster.names("Job")) - set(jobs))
