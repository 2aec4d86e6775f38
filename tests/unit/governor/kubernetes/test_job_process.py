"""What the pod of a job tells."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from governor.kubernetes.client import CONFIG_MAP, JOB, NETWORK_POLICY, SECRET
from governor.kubernetes.governor import warm_up
from governor.kubernetes.job_manifests import children_of_job, job_changes, job_name, result_of
from governor.kubernetes.job_process import MESSAGE_BYTES_MAX, main, told
from governor.kubernetes.logins import with_login
from governor.plan import AskedByJob
from governor.strategy_job import look_at
from governor.tasks import DATASET_MODULE, STRATEGY_MODULE, jobs_of
from governor.workload import Code, Question

from tests.unit.governor import fleets
from tests.unit.governor.kubernetes.test_manifests import SURROUNDINGS
from tradefleet.domain.errors import Permanent


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


def test_of_a_job_is_brought_back_what_can_change():
    job, owner = dataset_job()
    wanted = next(each.body for each in children_of_job(job, owner, SURROUNDINGS, "") if each.kind == JOB)
    metadata, spec = wanted["metadata"], wanted["spec"]
    theirs = {**wanted, "metadata": {**metadata, "labels": {**metadata["labels"], "their": "own"}}}

    assert job_changes(wanted, theirs) == {}
    assert job_changes(wanted, {**wanted, "spec": {**spec, "suspend": True}}) == {"spec": {"suspend": False}}
    nobodys = {name: value for name, value in metadata.items() if name not in ("ownerReferences", "labels")}
    assert job_changes(wanted, {**wanted, "metadata": nobodys}) == {
        "metadata": {"ownerReferences": metadata["ownerReferences"], "labels": metadata["labels"]}
    }


def test_nobodys_own_code_runs_beside_the_owners_login():
    assert warm_up("sma-cross", {"fast": 3, "slow": 9}) > 0
    before = set(sys.modules)

    with pytest.raises(AskedByJob):
        warm_up("antigravity:Strategy", {})

    assert "antigravity" not in set(sys.modules) - before


def test_a_url_is_the_same_place_for_another_role():
    url = "postgresql://owner:p%40ss@one:5433,two/db?sslmode=verify-full&sslrootcert=/etc/ca.crt"

    assert with_login(url, "tf_x", "a/b@c") == (
        "postgresql://tf_x:a%2Fb%40c@one:5433,two/db?sslmode=verify-full&sslrootcert=/etc/ca.crt"
    )


def test_a_job_that_looks_at_somebodys_strategy_speaks_with_nobody():
    owner = fleets.bot("alpha", podTemplate={"image": "mine:1", "imagePullSecrets": [{"name": "registry"}]})
    question = Question(
        bot=owner.key, strategy="trend:Trend", params={"fast": 3}, code=Code(files_digest="1", files={"trend.py": "…"})
    )
    (job,) = jobs_of([owner], {}, [question])
    children = {child.kind: child.body for child in children_of_job(job, owner, SURROUNDINGS, "")}

    assert list(children) == [CONFIG_MAP, NETWORK_POLICY, JOB], "and has no log-in"
    policy = children[NETWORK_POLICY]["spec"]
    assert (policy["policyTypes"], "egress" in policy, "ingress" in policy) == (["Ingress", "Egress"], False, False)
    pod = children[JOB]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], pod["imagePullSecrets"]) == ("mine:1", [{"name": "registry"}])
    assert {each["name"] for each in container["env"]} == {"TRADEFLEET_FLEET", "PYTHONPATH"}
    (code,) = (each["configMap"] for each in pod["volumes"] if each["name"] == "code")
    (item,) = code["items"]
    assert (children[CONFIG_MAP]["data"][item["key"]], item["path"]) == ("…", "trend.py")


# --- looking at a strategy --------------------------------------------------------------------------------------------

GOOD = """
from workloads.strategy.api import Strategy, param
class Good(Strategy):
    length: int = param(20, ge=2, le=500)
    @property
    def warmup(self) -> int:
        return self.length + 1
"""


def looked_at(folder: Path, text: str, name: str, params: dict[str, Any] | None = None) -> Mapping[str, Any]:
    (folder / "mine.py").write_text(text, encoding="utf-8")
    settings, found = folder / "settings.json", folder / "found.json"
    settings.write_text(json.dumps({"question": "q", "strategy": name, "params": params or {}}), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(
        [sys.executable, "-m", STRATEGY_MODULE, str(settings), str(found)], env=environment, check=False, timeout=120
    )
    answer: Mapping[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return answer


def test_a_strategy_tells_its_warm_up(tmp_path: Path):
    found = looked_at(tmp_path, GOOD, "mine:Good", {"length": 30})

    assert found == {"result": {"question": "q", "warmupBars": 31}}


@pytest.mark.parametrize(
    ("text", "name", "params", "message"),
    [
        (GOOD, "mine:Goood", {}, "module mine has no class Goood; did you mean Good?"),
        (GOOD, "other:Good", {}, "No module named 'other': searched beside the installed packages"),
        (GOOD, "mine:Good", {"length": 1}, "length"),
        (GOOD, "mine:Good", {"size": 1}, "size"),
        ("class Bad(:\n", "mine:Bad", {}, "SyntaxError: invalid syntax (mine.py, line 1)"),
        (
            "x = 1\ny = x.z\n",
            "mine:Bad",
            {},
            "AttributeError: 'int' object has no attribute 'z' (mine.py:2 in <module>",
        ),
        ("import sys\nsys.exit(3)\n", "mine:Bad", {}, "SystemExit: 3 (mine.py:2 in <module>"),
        ("class Bad:\n    pass\n", "mine:Bad", {}, "Bad is neither a Strategy nor has it next_order(context)"),
        (
            GOOD.replace("self.length + 1", "self.lengthh"),
            "mine:Good",
            {},
            "cannot be made: AttributeError: 'Good' object has no attribute 'lengthh' (mine.py:7 in warmup",
        ),
    ],
)
def test_what_is_wrong_with_a_strategy_is_told_with_file_and_line(
    tmp_path: Path, text: str, name: str, params: dict[str, Any], message: str
):
    assert message in looked_at(tmp_path, text, name, params)["error"]


def test_a_strategy_that_never_comes_to_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "endless.py").write_text("while True:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("governor.strategy_job.TIME_S_MAX", 1)

    with pytest.raises(Permanent, match=r"took longer than 1 s \(endless.py:[12] in <module>"):
        look_at({"question": "q", "strategy": "endless:Bad", "params": {}})
