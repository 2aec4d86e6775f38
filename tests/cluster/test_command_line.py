"""The command line at a real API server. There is no Governor and there are no nodes: what they do is played here."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.control_plane import ControlPlane
from tests.cluster.api import Api
from tests.cluster.conftest import ROOT
from tests.cluster.governor import Cluster, eventually
from tests.cluster.helm import CHART, helm
from tests.unit.cli.running import Run, run
from tests.unit.resources.cases import BACKTEST, BOT, EXCHANGE
from tradefleet.cli.cluster_pods import CONTAINER, FLEET_VARIABLE, SELECTOR

FLATTEN = "tradefleet.dev/flatten-requests"
REOPEN = "tradefleet.dev/reopen-requests"
STATE = "tradefleet.dev/state"


class User:
    """Who runs the command line in a namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def __call__(self, *arguments: str) -> Run:
        return run(*arguments, "--kubeconfig", str(self.kubeconfig), "-n", self.namespace)


@pytest.fixture
def tradefleet(kubeconfig: Path, namespace: str) -> User:
    return User(kubeconfig, namespace)


@pytest.fixture
def cluster(api: Api, namespace: str) -> Cluster:
    return Cluster(api, namespace)


def bot(name: str = "alpha", **spec: Any) -> dict[str, Any]:
    return {**BOT, "metadata": {"name": name}, "spec": {**BOT["spec"], **spec}}


def given(cluster: Cluster, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        answer = cluster.api.create(body, cluster.namespace)
        assert answer.accepted, answer.causes


def stored(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    answer = cluster.api.read(kind, name, cluster.namespace)
    assert answer.accepted, answer.body
    return answer.body


def written(folder: Path, *bodies: dict[str, Any]) -> str:
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump_all(bodies), encoding="utf-8")
    return str(path)


# --- get, describe ----------------------------------------------------------------------------------------------------


def test_get_lists_the_resources_of_the_namespace_with_the_columns_of_their_kind(tradefleet: User, cluster: Cluster):
    given(cluster, EXCHANGE, bot())

    found = tradefleet("get")

    assert found.status == 0, found.err
    assert "exchanges.tradefleet.dev" in found.out
    assert "tradingbots.tradefleet.dev" in found.out
    assert "alpha" in found.out
    assert "Namespace" not in found.out


def test_get_with_all_namespaces_names_them(tradefleet: User, cluster: Cluster, kubeconfig: Path):
    given(cluster, bot("of-this-test"))

    found = run("get", "tb", "-A", "--kubeconfig", str(kubeconfig))

    (line,) = [each for each in found.out.splitlines() if "of-this-test" in each]
    assert line.split()[:2] == [cluster.namespace, "of-this-test"]


def test_get_shows_a_resource_as_it_can_be_applied_again(tradefleet: User, cluster: Cluster):
    given(cluster, bot())

    found = yaml.safe_load(tradefleet("get", "tb/alpha", "-o", "yaml").out)

    assert found["metadata"]["namespace"] == cluster.namespace
    assert found["spec"]["strategy"]["name"] == BOT["spec"]["strategy"]["name"]
    assert "managedFields" not in found["metadata"]


def test_a_name_that_is_not_there_is_answered_with_one_that_is(tradefleet: User, cluster: Cluster):
    given(cluster, bot())

    found = tradefleet("get", "tb", "alpah")

    assert found.status == 2
    assert found.err == f"error: there is no TradingBot {cluster.namespace}/alpah; did you mean alpha?\n"


def test_describe_shows_conditions_and_events_and_says_why_there_are_no_books(tradefleet: User, cluster: Cluster):
    given(cluster, bot())
    uid = stored(cluster, "TradingBot", "alpha")["metadata"]["uid"]
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "NoFeed",
        "message": "no Feed brings BTC-USD",
        "lastTransitionTime": "2026-11-21T18:00:00Z",
    }
    assert cluster.api.patch_status("TradingBot", "alpha", cluster.namespace, {"conditions": [condition]}).accepted
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "alpha.1"},
        "eventTime": "2026-11-21T18:00:00.000000Z",
        "reportingController": "tradefleet.dev/governor",
        "reportingInstance": "governor-1",
        "action": "Reconcile",
        "reason": "NoFeed",
        "note": "waits for a Feed",
        "type": "Normal",
        "regarding": {"kind": "TradingBot", "namespace": cluster.namespace, "name": "alpha", "uid": uid},
    }
    assert cluster.api.post(cluster.path("Event"), event).accepted

    found = tradefleet("describe", "tb", "alpha")

    assert found.status == 0, found.err
    assert "no Feed brings BTC-USD" in found.out
    assert "waits for a Feed" in found.out
    assert "tradefleet.dev/governor" in found.out
    assert "its orders, fills and wallet are not shown: no Governor runs for namespace" in found.err


# --- apply ------------------------------------------------------------------------------------------------------------


def test_apply_says_of_each_resource_what_became_of_it(tradefleet: User, cluster: Cluster, tmp_path: Path):
    path = written(tmp_path, EXCHANGE, bot())
    first = tradefleet("apply", path)
    second = tradefleet("apply", path)
    third = tradefleet("apply", written(tmp_path, EXCHANGE, bot(state="Paused")))

    assert first.out == "exchange/simulator created\ntradingbot/alpha created\n", first.err
    assert second.out == "exchange/simulator unchanged\ntradingbot/alpha unchanged\n"
    assert third.out == "exchange/simulator unchanged\ntradingbot/alpha configured\n"
    assert stored(cluster, "TradingBot", "alpha")["spec"]["state"] == "Paused"


def test_the_quickstart_is_applied_as_it_is(tradefleet: User, cluster: Cluster):
    found = tradefleet("apply", str(ROOT / "examples" / "quickstart"))

    assert found.status == 0, found.err
    assert "botset/quickstart created" in found.out


def test_nothing_is_applied_when_one_of_several_is_refused(tradefleet: User, cluster: Cluster, tmp_path: Path):
    given(cluster, bot("beta"))
    other = {**BOT["spec"], "exchangeRef": {"name": "another"}}  # cannot change

    found = tradefleet("apply", written(tmp_path, EXCHANGE, bot("beta", **other)))

    assert found.status == 2
    assert "fleet.yaml" in found.err
    assert "exchangeRef" in found.err
    assert len(found.err.splitlines()) == 1
    assert not cluster.api.read("Exchange", "simulator", cluster.namespace).accepted


def test_what_somebody_else_declares_is_taken_over_only_by_force(tradefleet: User, cluster: Cluster, tmp_path: Path):
    given_by(cluster, "kustomize-controller", bot(state="Running"))
    path = written(tmp_path, bot(state="Paused"))

    refused, forced = tradefleet("apply", path), tradefleet("apply", path, "--force")

    assert refused.status == 2
    assert "kustomize-controller" in refused.err
    assert ".spec.state" in refused.err
    assert "--force" in refused.err
    assert forced.out == "tradingbot/alpha configured\n", forced.err


def given_by(cluster: Cluster, manager: str, body: dict[str, Any]) -> None:
    """Apply a resource as a GitOps agent does."""
    path = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/{body['metadata']['name']}"
    answer = cluster.api._send(
        "PATCH",
        f"{path}?fieldManager={manager}",
        body,
        content_type="application/apply-patch+yaml",
        strict=False,
    )
    assert answer.accepted, answer.body


def test_a_file_that_names_another_namespace_is_refused(tradefleet: User, cluster: Cluster, tmp_path: Path):
    body = bot()
    body["metadata"] = {"name": "alpha", "namespace": "elsewhere"}

    found = tradefleet("apply", written(tmp_path, body))

    assert found.status == 2
    assert f"its file names another namespace than -n {cluster.namespace}" in found.err


def test_a_namespace_that_is_not_there_is_named_with_the_command_that_makes_it(kubeconfig: Path, tmp_path: Path):
    found = run("apply", written(tmp_path, bot()), "--kubeconfig", str(kubeconfig), "-n", "nowhere")

    assert found.status == 2
    assert "kubectl create namespace nowhere" in found.err


def test_apply_waits_until_what_it_applied_is_ready(tradefleet: User, cluster: Cluster, tmp_path: Path):
    given(cluster, bot("somebody-elses"))
    done: list[Run] = []
    thread = threading.Thread(
        target=lambda: done.append(tradefleet("apply", written(tmp_path, bot()), "--wait", "--timeout", "60"))
    )
    thread.start()
    eventually(lambda: cluster.api.read("TradingBot", "alpha", cluster.namespace).accepted, what="the bot")
    generation = stored(cluster, "TradingBot", "alpha")["metadata"]["generation"]
    assert cluster.api.patch_status("TradingBot", "alpha", cluster.namespace, ready(generation)).accepted
    thread.join(60)

    assert done[0].status == 0, done[0].err
    assert "1 of 1 resources are Ready" in done[0].err


def ready(generation: int, **more: Any) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Played",
        "message": "",
        "lastTransitionTime": "2026-11-21T18:00:00Z",
    }
    return {"observedGeneration": generation, "conditions": [condition], **more}


# --- delete, pause, resume, flatten -----------------------------------------------------------------------------------


def test_delete_waits_for_what_the_finalizer_winds_down_and_names_it(tradefleet: User, cluster: Cluster):
    held = bot()
    held["metadata"] = {"name": "alpha", "finalizers": ["tradefleet.dev/wind-down"]}
    given(cluster, held, bot("beta"))
    status = {"phase": "Stopping", "reason": "2 orders are being canceled"}
    assert cluster.api.patch_status("TradingBot", "alpha", cluster.namespace, status).accepted

    found = tradefleet("delete", "tb", "alpha", "beta", "--timeout", "2")

    assert found.status == 1
    assert "tradingbot/beta deleted" in found.out
    assert f"TradingBot {cluster.namespace}/alpha: still Stopping: 2 orders are being canceled" in found.err
    path = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/alpha"
    assert cluster.api.patch(path, {"metadata": {"finalizers": []}}).accepted


def test_a_rollout_is_of_the_generation_that_is_there(tradefleet: User, cluster: Cluster):
    given(cluster, EXCHANGE, bot(updateStrategy="Manual"), bot("beta"))

    found = tradefleet("rollout", "alpha", "beta")

    assert found.status == 0, found.err
    assert found.out.splitlines() == [
        "tradingbot/alpha generation 1 of its spec comes into force",
        "tradingbot/beta takes over each change by itself",
    ]
    assert stored(cluster, "TradingBot", "alpha")["metadata"]["annotations"] == {"tradefleet.dev/rollout": "1"}
    assert "annotations" not in stored(cluster, "TradingBot", "beta")["metadata"]


def test_a_rollback_goes_back_to_the_last_good_spec_whole(tradefleet: User, cluster: Cluster):
    changed = {"sizing": {"method": "fixed", "quoteAmount": "5"}, "risk": {"maxOpenOrders": 3}, "state": "Paused"}
    given(cluster, EXCHANGE, bot(updateStrategy="Manual", **changed), bot("beta"))
    good = {name: value for name, value in bot(updateStrategy="Manual")["spec"].items() if name not in changed}
    history = [{"generation": 7, "since": "2024-01-01T00:00:00Z", "spec": json.dumps(good)}]
    assert cluster.api.patch_status("TradingBot", "alpha", cluster.namespace, {"history": history}).accepted

    found = tradefleet("rollback", "alpha")

    assert found.status == 0, found.err
    assert found.out == "tradingbot/alpha goes back to generation 7 of its spec\n"
    after = stored(cluster, "TradingBot", "alpha")
    given(cluster, {**bot("as-it-was"), "spec": good})
    expected = stored(cluster, "TradingBot", "as-it-was")["spec"]
    assert after["spec"] == {**expected, "state": "Paused"}, "what the good spec does not say has its default again"
    assert after["metadata"]["annotations"] == {"tradefleet.dev/rollout": str(after["metadata"]["generation"])}

    refused = tradefleet("rollback", "beta")

    assert refused.status == 2
    assert "there is no such spec to go back to" in refused.err


def test_a_deletion_by_force_is_noted_on_bots_that_are_deleted_and_on_nothing_else(tradefleet: User, cluster: Cluster):
    held = bot()
    held["metadata"] = {"name": "alpha", "finalizers": ["tradefleet.dev/wind-down"]}
    given(cluster, EXCHANGE, held, bot("beta"))

    found = tradefleet("delete", "tb", "alpha", "--force", "--no-wait")

    assert found.status == 0, found.err
    assert found.out.splitlines() == [
        "tradingbot/alpha deletion asked for",
        "tradingbot/alpha let go: what it has open at the venue stays",
    ]
    noted = stored(cluster, "TradingBot", "alpha")["metadata"]
    assert "deletionTimestamp" in noted
    assert noted["annotations"]["tradefleet.dev/let-go"] == "true"
    assert "annotations" not in stored(cluster, "TradingBot", "beta")["metadata"]
    path = f"/apis/tradefleet.dev/v1alpha1/namespaces/{cluster.namespace}/tradingbots/alpha"
    assert cluster.api.patch(path, {"metadata": {"finalizers": []}}).accepted


def test_delete_takes_the_resources_of_files(tradefleet: User, cluster: Cluster, tmp_path: Path):
    given(cluster, EXCHANGE, bot())

    found = tradefleet("delete", "-f", written(tmp_path, EXCHANGE, bot(), bot("never-made")))

    assert found.status == 0, found.err
    assert sorted(found.out.splitlines()) == [
        "exchange/simulator deleted",
        "exchange/simulator deletion asked for",
        "tradingbot/alpha deleted",
        "tradingbot/alpha deletion asked for",
    ]


def test_pause_and_resume_change_the_state_of_the_bots_that_are_named(tradefleet: User, cluster: Cluster):
    given(cluster, bot(), bot("beta"))

    first, second = tradefleet("pause", "alpha"), tradefleet("pause", "alpha")
    states = [stored(cluster, "TradingBot", name)["spec"]["state"] for name in ("alpha", "beta")]
    third = tradefleet("resume", "--all", "--reopen")

    assert (first.out, second.out) == ("tradingbot/alpha paused\n", "tradingbot/alpha is Paused already\n")
    assert states == ["Paused", "Running"]
    assert third.status == 0, third.err
    after = [stored(cluster, "TradingBot", name) for name in ("alpha", "beta")]
    assert [each["spec"]["state"] for each in after] == ["Running", "Running"]
    assert [each["metadata"]["annotations"][REOPEN] for each in after] == ["1", "1"]


def test_the_state_of_a_bot_of_a_set_is_noted_so_that_the_set_keeps_it(tradefleet: User, cluster: Cluster):
    owned = bot()
    owned["metadata"] = {"name": "alpha", "annotations": {"tradefleet.dev/owner": "uid-of-a-set"}}
    given(cluster, owned)

    assert tradefleet("pause", "alpha").status == 0

    assert stored(cluster, "TradingBot", "alpha")["metadata"]["annotations"][STATE] == "Paused"


def test_pause_says_who_may_set_the_state_back(tradefleet: User, cluster: Cluster):
    given_by(cluster, "kustomize-controller", bot(state="Running"))

    found = tradefleet("pause", "alpha")

    assert found.status == 0
    assert stored(cluster, "TradingBot", "alpha")["spec"]["state"] == "Paused"
    assert "kustomize-controller keeps spec.state and may set it back" in found.err


def test_each_flatten_is_one_request_more(tradefleet: User, cluster: Cluster):
    given(cluster, bot())

    for _ in range(2):
        assert tradefleet("flatten", "alpha").out == "tradingbot/alpha is being flattened\n"

    assert stored(cluster, "TradingBot", "alpha")["metadata"]["annotations"][FLATTEN] == "2"


# --- halt -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def obedient(cluster: Cluster) -> Iterator[None]:
    """Somebody who says of each RiskPolicy that it is obeyed, as a Governor does."""
    stop = threading.Event()
    api = cluster.api

    def obey() -> None:
        while not stop.wait(0.1):
            bots = api.get("/apis/tradefleet.dev/v1alpha1/tradingbots")["items"]
            for policy in api.get("/apis/tradefleet.dev/v1alpha1/riskpolicies")["items"]:
                wanted = policy["spec"].get("selector", {}).get("matchLabels", {}).items()
                metadata = policy["metadata"]
                chosen = [
                    each
                    for each in bots
                    if each["metadata"]["namespace"] == metadata["namespace"]
                    and wanted <= each["metadata"].get("labels", {}).items()
                ]
                status = ready(metadata["generation"], state="Halted", bots=len(chosen))
                api.patch_status("RiskPolicy", metadata["name"], metadata["namespace"], status)

    thread = threading.Thread(target=obey)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("obedient")
def test_halt_returns_when_every_bot_of_the_namespace_is_halted(tradefleet: User, cluster: Cluster):
    given(cluster, bot(), bot("beta"))

    found = tradefleet("halt", "--reason", "the exchange looks wrong")
    shown = tradefleet("halt", "--show")
    cleared = tradefleet("halt", "--clear")

    assert found.status == 0, found.err
    name = f"RiskPolicy {cluster.namespace}/halted-by-cli"
    assert f"namespace {cluster.namespace} is halted (2 bots, by {name}): the exchange looks wrong" in found.out
    assert f"-n {cluster.namespace} --clear`" in found.out
    assert f"{name} halts every bot of its namespace" in shown.out
    assert cleared.out == f"the halt of namespace {cluster.namespace} is cleared\n", cleared.err
    assert tradefleet("halt", "--show").out == "there is no halt\n"


@pytest.mark.usefixtures("obedient")
def test_a_bot_or_the_bots_of_an_exchange_are_halted_alone(tradefleet: User, cluster: Cluster):
    given(cluster, EXCHANGE, bot(), bot("beta"), bot("gamma", exchangeRef={"name": "another"}))

    one, exchange = tradefleet("halt", "tb/alpha"), tradefleet("halt", "ex/simulator")

    assert one.status == exchange.status == 0, one.err + exchange.err
    policy = stored(cluster, "RiskPolicy", "halted-by-cli-bot-alpha")["spec"]
    assert policy["halt"] is True
    assert policy["selector"] == {"matchLabels": {"tradefleet.dev/halted-bot": "alpha"}}
    labels = {
        name: stored(cluster, "TradingBot", name)["metadata"].get("labels") for name in ("alpha", "beta", "gamma")
    }
    assert labels == {
        "alpha": {"tradefleet.dev/halted-bot": "alpha", "tradefleet.dev/halted-exchange": "simulator"},
        "beta": {"tradefleet.dev/halted-exchange": "simulator"},
        "gamma": None,
    }
    assert "(2 bots" in exchange.out

    cleared = tradefleet("halt", "tb/alpha", "--clear")

    assert f"the halt of bot {cluster.namespace}/alpha is cleared" in cleared.out
    assert f"RiskPolicy {cluster.namespace}/halted-by-cli-exchange-simulator halts" in cleared.out
    assert "all the same" in cleared.out
    after = stored(cluster, "TradingBot", "alpha")["metadata"]["labels"]
    assert after == {"tradefleet.dev/halted-exchange": "simulator"}


@pytest.mark.usefixtures("obedient")
def test_a_halt_of_all_namespaces_halts_those_that_have_bots(cluster: Cluster, kubeconfig: Path):
    given(cluster, bot())
    everywhere = ("-A", "--kubeconfig", str(kubeconfig))

    found = run("halt", *everywhere)

    assert found.status == 0, found.err
    assert f"namespace {cluster.namespace} is halted (1 bot" in found.out
    assert "-A --clear`" in found.out
    assert f"the halt of namespace {cluster.namespace} is cleared" in run("halt", "--clear", *everywhere).out


def test_a_halt_that_nobody_obeys_says_what_to_look_at_and_stays(tradefleet: User, cluster: Cluster):
    given(cluster, bot())

    found = tradefleet("halt", "--timeout", "1")

    assert found.status == 1
    assert "is not obeyed after 1 s: nobody has given it a status" in found.err
    assert "kubectl get pods -A -l app.kubernetes.io/component=governor" in found.err
    assert stored(cluster, "RiskPolicy", "halted-by-cli")["spec"]["halt"] is True


# --- pods -------------------------------------------------------------------------------------------------------------


def pod(cluster: Cluster, name: str, labels: dict[str, str], container: str) -> None:
    if cluster.get("ServiceAccount", "default") is None:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        assert cluster.api.post(cluster.path("ServiceAccount"), account).accepted
    env = [{"name": "TRADEFLEET_FLEET", "value": "fleet"}]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": container, "image": "x", "env": env}]},
    }
    answer = cluster.api.post(cluster.path("Pod"), body)
    assert answer.accepted, answer.body


def test_logs_are_found_by_the_name_of_the_resource_and_of_the_workload(tradefleet: User, cluster: Cluster):
    labels = {
        "app.kubernetes.io/managed-by": "tradefleet-governor",
        "tradefleet.dev/workload": "bot-alpha",
        "tradefleet.dev/tradingbot": "alpha",
    }
    pod(cluster, "bot-alpha-1", labels, "workload")

    listed, by_bot, unknown = tradefleet("logs"), tradefleet("logs", "alpha"), tradefleet("logs", "alpah")

    assert listed.out == "bot-alpha\n", listed.err
    # A pod without a node has no log: the API server answers with none, or says so.
    assert (by_bot.status, by_bot.out) == (0, "") or "bot-alpha-1" in by_bot.err
    assert unknown.status == 2
    assert f"no pod in namespace {cluster.namespace} is of 'alpah'; did you mean alpha?" in unknown.err


def test_the_charts_governor_is_found_by_the_labels_that_are_looked_for():
    answer = helm(
        *(
            "template",
            "any",
            str(CHART),
            "--namespace",
            "any",
            "--set",
            "postgres.existingSecret=x,kafka.bootstrap=x:1",
        ),
        *("--show-only", "templates/governor/deployment.yaml"),
    )
    assert answer.returncode == 0, answer.stderr
    template = yaml.safe_load(answer.stdout)["spec"]["template"]

    wanted = dict(each.split("=") for each in SELECTOR.split(","))
    assert wanted.items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert container["name"] == CONTAINER
    assert {"name": FLEET_VARIABLE, "value": "any-any"} in container["env"]


def test_an_audit_without_a_governor_says_where_one_was_looked_for(tradefleet: User, cluster: Cluster):
    found = tradefleet("audit")

    assert found.status == 2
    assert f"no Governor runs for namespace {cluster.namespace}" in found.err
    assert "kubectl get pods -A" in found.err


@pytest.mark.parametrize(
    "command",
    [
        ("audit",),
        ("verify-parity", "alpha"),
        ("topic", "read", "trading.executions"),
        ("results", "sweep", "-o", "csv"),
    ],
)
def test_what_needs_the_database_or_the_broker_runs_in_the_governors_pod(
    command: tuple[str, ...], cluster: Cluster, kubeconfig: Path
):
    given(cluster, bot(), BACKTEST)
    labels = {"app.kubernetes.io/part-of": "tradefleet", "app.kubernetes.io/component": "governor"}
    pod(cluster, "governor-1", labels, "governor")
    assert cluster.api.patch(f"{cluster.path('Pod', 'governor-1')}/status", {"status": {"phase": "Running"}}).accepted

    found = run(*command, "--kubeconfig", str(kubeconfig), "--namespace", cluster.namespace)

    # No node runs it, which the API server says once it has taken the request.
    assert found.status == 2
    assert f"pod {cluster.namespace}/governor-1: no command can be run in it" in found.err
    assert "does not have a host assigned" in found.err
    assert len(found.err.splitlines()) == 1


# --- what goes wrong --------------------------------------------------------------------------------------------------


def as_user(api: Api, cluster: Cluster, folder: Path, role: str) -> Path:
    """Return a kubeconfig of an account with one of the cluster's roles in the namespace; "" is none."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "person"}}
    assert api.post(cluster.path("ServiceAccount"), account).accepted
    answer = api.post(
        f"{cluster.path('ServiceAccount', 'person')}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    assert answer.accepted, answer.body
    config = yaml.safe_load(api.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": answer.body["status"]["token"]}
    path = folder / "person"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    if role:
        rules = [{"apiGroups": ["tradefleet.dev"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
        rbac = "rbac.authorization.k8s.io/v1"
        place = f"/apis/{rbac}/namespaces/{cluster.namespace}"
        body = {"apiVersion": rbac, "kind": "Role", "metadata": {"name": role}, "rules": rules}
        assert api.post(f"{place}/roles", body).accepted
        binding = {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "person", "namespace": cluster.namespace}],
        }
        assert api.post(f"{place}/rolebindings", binding).accepted
    return path


def test_what_a_user_may_not_do_is_said_with_the_role_that_may(api: Api, cluster: Cluster, tmp_path: Path):
    given(cluster, bot())
    reader = as_user(api, cluster, tmp_path, "reader")
    place = ("--kubeconfig", str(reader), "-n", cluster.namespace)

    # A role that was just bound counts a moment later.
    eventually(lambda: run("get", "tb", *place).status == 0, what="the right to list")
    paused, everywhere = run("pause", "alpha", *place), run("get", "tb", "-A", "--kubeconfig", str(reader))

    assert paused.status == everywhere.status == 2
    assert "cannot patch resource" in paused.err
    assert "the role edit may" in paused.err
    assert "the role view may" in everywhere.err
    assert "-n instead of -A" in everywhere.err


def test_a_user_that_the_api_server_does_not_know_logs_in_again(api: Api, tmp_path: Path):
    config = yaml.safe_load(api.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": "of-nobody"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")

    found = run("get", "--kubeconfig", str(path))

    assert found.status == 2
    assert "does not know the user" in found.err
    assert "log in to the cluster again" in found.err


def test_a_cluster_without_the_definitions_is_told_from_one_without_resources(
    tmp_path_factory: pytest.TempPathFactory,
):
    server = ControlPlane(tmp_path_factory.mktemp("bare"))
    server.start()
    try:
        found = run("get", "--kubeconfig", str(server.kubeconfig))
    finally:
        server.stop()

    assert found.status == 2
    assert "does not know the kinds of tradefleet.dev" in found.err
    assert "helm install" in found.err
    assert len(found.err.splitlines()) == 1


def test_watch_prints_what_changes(kubeconfig: Path, cluster: Cluster):
    given(cluster, bot())
    command = ["get", "tb", "-w", "--kubeconfig", str(kubeconfig), "-n", cluster.namespace]
    process = subprocess.Popen(
        [sys.executable, "-m", "tradefleet.cli.main", *command], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
        reader.start()
        eventually(lambda: any("alpha" in line for line in lines), what="the bot")
        assert cluster.api.patch_status("TradingBot", "alpha", cluster.namespace, {"phase": "WarmingUp"}).accepted
        eventually(lambda: any("WarmingUp" in line for line in lines), what="its new phase")
    finally:
        process.kill()
        process.wait()
