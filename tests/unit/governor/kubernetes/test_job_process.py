"""What the pod of a job tells."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from governor.kubernetes.client import CONFIG_MAP, JOB, NETWORK_POLICY, SECRET
from governor.kubernetes.governor import warm_up
from governor.kubernetes.job_manifests import children_of_job, job_name, result_of
from governor.kubernetes.job_process import MESSAGE_BYTES_MAX, main, told
from governor.kubernetes.logins import with_login
from governor.tasks import DATASET_MODULE, jobs_of

from tests.unit.governor import fleets
from tests.unit.governor.kubernetes.test_manifests import SURROUNDINGS
from tradefleet.domain.errors import InvalidValue, Permanent


def dataset_job() -> Any:
    dataset = fleets.dataset()
    (job,) = jobs_of([dataset], {})
    return job, dataset


def message_of(tmp_path: Path, settings: Any) -> dict[str, Any]:
    (tmp_path / "settings.json").write_text(json.dumps(settings, default=str), encoding="utf-8")
    code = main([DATASET_MODULE, str(tmp_path / "settings.json"), str(tmp_path / "message")])
    found: dict[str, Any] = json.loads((tmp_path / "message").read_text(encoding="utf-8"))
    assert code == (1 if "error" in found else 0)
    return found


def test_a_dataset_is_read_and_told_of(tmp_path: Path):
    job, _ = dataset_job()

    found = message_of(tmp_path, job.settings)

    assert found["result"]["bars"] == 200
    assert found["result"]["contentHash"]


def test_a_job_that_breaks_tells_so(tmp_path: Path):
    found = message_of(tmp_path, {"replay": "nonsense"})

    assert found["error"].startswith("its process ended with 1")


def test_nothing_but_a_job_is_run(tmp_path: Path):
    with pytest.raises(Permanent, match="os is no job"):
        main(["os", "x", "y"])
    assert not list(tmp_path.iterdir())


def test_of_a_backtest_the_best_bot_is_told():
    best = {"bot": "a", "parameters": {"fast": 3}, "quote": "USD", "vsHold": "1.5", "trades": ["x" * 9_000]}
    result = {"bots": [best, best], "data": {"contentHash": "h", "more": 1}, "ledgerHash": "l", "synthetic": True}

    message = json.loads(told({"result": result}))

    assert message["result"]["bots"] == [{"bot": "a", "parameters": {"fast": 3}, "quote": "USD", "vsHold": "1.5"}]
    assert message["result"]["data"] == {"contentHash": "h"}


def test_a_message_is_never_longer_than_a_pod_may_tell():
    assert len(told({"error": "😀" * 5_000})) <= MESSAGE_BYTES_MAX
    assert b"a pod tells" in told({"result": {"everything": "x" * 5_000}})


def test_another_question_is_another_job_with_the_same_place_for_its_result():
    job, owner = dataset_job()
    other = type(job)(**{**{name: getattr(job, name) for name in job.__slots__}, "digest": "f" * 16})

    assert job_name(job, owner) != job_name(other, owner)
    assert len(job_name(job, owner)) <= 63
    first, second = (result_of(each, owner, SURROUNDINGS, {"bars": 1}).body for each in (job, other))
    assert first["metadata"]["name"] == second["metadata"]["name"]
    assert first["metadata"]["annotations"] != second["metadata"]["annotations"]


def test_a_jobs_pod_reaches_the_database_alone_and_holds_no_token():
    job, owner = dataset_job()

    children = {child.kind: child.body for child in children_of_job(job, owner, SURROUNDINGS, "postgresql://u:p@h/d")}

    assert list(children) == [CONFIG_MAP, SECRET, NETWORK_POLICY, JOB]
    ports = [each["port"] for rule in children[NETWORK_POLICY]["spec"]["egress"] for each in rule["ports"]]
    assert sorted(ports) == [53, 53, 5432]
    pod = children[JOB]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["command"][3:5] == [DATASET_MODULE, "/etc/tradefleet/workload/settings.json"]
    assert "postgresql" not in json.dumps(children[JOB])


def test_nobodys_own_code_runs_beside_the_owners_login():
    assert warm_up("sma-cross", {"fast": 3, "slow": 9}) > 0
    before = set(sys.modules)

    with pytest.raises(InvalidValue, match="built-in strategies only"):
        warm_up("antigravity:Strategy", {})

    assert "antigravity" not in set(sys.modules) - before


def test_a_url_is_the_same_place_for_another_role():
    url = "postgresql://owner:p%40ss@one:5433,two/db?sslmode=verify-full&sslrootcert=/etc/ca.crt"

    assert with_login(url, "tf_x", "a/b@c") == (
        "postgresql://tf_x:a%2Fb%40c@one:5433,two/db?sslmode=verify-full&sslrootcert=/etc/ca.crt"
    )
