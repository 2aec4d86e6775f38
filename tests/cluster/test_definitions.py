"""Our kinds as a user of kubectl meets them: applied, listed, explained, waited for."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.control_plane import kubectl
from tests.cluster.api import Api
from tests.cluster.conftest import ROOT
from tests.unit.resources.cases import BOT, EXCHANGE, FULL_FILES, POLICY, REPLAY, VALID, changed
from tradefleet.resources.common import CATEGORY, GROUP
from tradefleet.resources.crd import definition, schema_of
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.trading_bot import TradingBot

TRANSITION = "2026-01-02T03:04:05Z"


def asked(kubeconfig: Path, *arguments: str, given: str | None = None) -> str:
    """Return what kubectl printed; a test that asks expects it to succeed."""
    answer = kubectl(kubeconfig, *arguments, given=given)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def ready(*, generation: int = 1) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "Trading",
        "message": "trading",
        "observedGeneration": generation,
        "lastTransitionTime": TRANSITION,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_is_accepted_whole(api: Api, kind: str):
    name = definition(KINDS[kind])["metadata"]["name"]

    stored = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")

    conditions = {each["type"]: each["status"] for each in stored["status"]["conditions"]}
    assert (conditions["Established"], conditions["NamesAccepted"]) == ("True", "True")
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert stored["status"]["acceptedNames"]["shortNames"] == [KINDS[kind].names.short]
    assert stored["status"]["storedVersions"] == ["v1alpha1"]


def test_a_plain_apply_of_what_is_there_changes_nothing(kubeconfig: Path):
    lines = asked(kubeconfig, "apply", "-f", str(ROOT / "crds")).splitlines()

    assert len(lines) == len(KINDS)
    assert [line for line in lines if not line.endswith(" unchanged")] == []


def test_no_name_of_ours_is_one_of_kubernetes_own(api: Api):
    ours: dict[str, str] = {}
    others: set[str] = set()
    paths = ["/api/v1", *(f"/apis/{each['preferredVersion']['groupVersion']}" for each in api.get("/apis")["groups"])]
    for path in paths:
        found = api.get(path)
        for resource in found["resources"]:
            if "/" in resource["name"]:
                continue
            names = [resource["name"], resource["singularName"], *resource.get("shortNames", [])]
            if found["groupVersion"].startswith(f"{GROUP}/"):
                ours |= dict.fromkeys(names, resource["kind"])
                assert resource["categories"] == [CATEGORY]
            else:
                others |= set(names)

    assert set(ours.values()) == set(KINDS)
    assert {"pods", "po", "deploy", "crd"} <= others
    assert sorted(set(ours) & others) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_answers_to_its_plural_singular_and_short_name(kubeconfig: Path, namespace: str, kind: str):
    names = (KINDS[kind].names.plural, kind.lower(), KINDS[kind].names.short)

    for name in names:
        answer = kubectl(kubeconfig, "get", name, "--namespace", namespace)
        assert (answer.returncode, "No resources found" in answer.stderr) == (0, True)


def test_the_category_lists_a_whole_fleet(api: Api, kubeconfig: Path, namespace: str):
    for body in (BOT, EXCHANGE, REPLAY, FULL_FILES, POLICY):
        assert api.create(body, namespace).accepted

    listed = asked(kubeconfig, "get", CATEGORY, "--namespace", namespace, "-o", "name")

    assert sorted(listed.split()) == [
        "dataset.tradefleet.dev/april",
        "exchange.tradefleet.dev/simulator",
        "feed.tradefleet.dev/replay",
        "riskpolicy.tradefleet.dev/desk",
        "tradingbot.tradefleet.dev/trend",
    ]


def test_the_columns_of_a_bot_show_how_it_does(api: Api, kubeconfig: Path, namespace: str):
    assert api.create(BOT, namespace).accepted
    status = {
        "phase": "Running",
        "equity": "10012.34",
        "vsHold": "-3.21",
        "conditions": [ready()],
        "reason": "trading",
        "openOrders": 2,
        "lastBarAge": "42s",
    }
    assert api.patch_status("TradingBot", "trend", namespace, status).accepted

    head, row = asked(kubeconfig, "get", "tb", "--namespace", namespace).splitlines()
    wide_head, wide_row = asked(kubeconfig, "get", "tb", "--namespace", namespace, "-o", "wide").splitlines()

    assert head.split() == ["NAME", "MODE", "EXCHANGE", "INSTRUMENTS", "READY", "PHASE", "EQUITY", "VSHOLD", "AGE"]
    assert row.split()[:-1] == ["trend", "paper", "simulator", '["BTC-USD"]', "True", "Running", "10012.34", "-3.21"]
    assert {"STRATEGY", "ORDERS", "BAR", "REASON"} <= set(wide_head.split())
    assert {"sma-cross", "2", "42s", "trading"} <= set(wide_row.split())


@pytest.mark.parametrize("name", VALID)
def test_every_kind_is_listed_without_a_status(api: Api, kubeconfig: Path, namespace: str, name: str):
    body = VALID[name]
    assert api.create(body, namespace).accepted

    head, row = asked(kubeconfig, "get", body["kind"], "--namespace", namespace, "-o", "wide").splitlines()

    columns = [column.name.upper() for column in KINDS[body["kind"]].columns]
    assert sorted(head.split()) == sorted(["NAME", *columns])
    assert row.split()[0] == body["metadata"]["name"]


def test_status_and_spec_are_written_apart(api: Api, namespace: str):
    created = api.create(changed(BOT, status={"phase": "Running"}), namespace)
    assert "status" not in created.body

    reported = api.patch_status("TradingBot", "trend", namespace, {"phase": "Running", "equity": "1", "unheardOf": 1})
    assert (reported.status, reported.body["metadata"]["generation"]) == (200, 1)
    assert reported.body["status"] == {"phase": "Running", "equity": "1"}

    applied = changed(reported.body, spec__state="Paused", status={"phase": "Failed"})
    answer = api.replace(applied, namespace)
    assert (answer.body["metadata"]["generation"], answer.body["status"]["phase"]) == (2, "Running")


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Sleeping"},
        {"conditions": [ready(), ready()]},
        {"conditions": [{"type": "Ready"}]},
        {"equity": 1.5},
        {"observedGeneration": "1"},
    ],
)
def test_a_status_that_says_nonsense_is_refused(api: Api, namespace: str, status: dict[str, Any]):
    assert api.create(BOT, namespace).accepted

    assert not api.patch_status("TradingBot", "trend", namespace, status).accepted


def test_a_stored_bot_is_waited_for_by_its_condition(api: Api, kubeconfig: Path, namespace: str):
    assert api.create(BOT, namespace).accepted
    place = ("--namespace", namespace, "tb/trend")

    missing = kubectl(kubeconfig, "wait", "--for=condition=Ready", "--timeout=0s", *place)
    api.patch_status("TradingBot", "trend", namespace, {"conditions": [ready()], "observedGeneration": 1})

    assert missing.returncode != 0
    assert "condition met" in asked(kubeconfig, "wait", "--for=condition=Ready", "--timeout=5s", *place)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_spec_is_explained(kubeconfig: Path, kind: str):
    spec = definition(KINDS[kind])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    about = asked(kubeconfig, "explain", KINDS[kind].names.short)
    fields = asked(kubeconfig, "explain", f"{KINDS[kind].names.plural}.spec")

    first_words = " ".join((KINDS[kind].__doc__ or "").split()[:5])
    assert first_words in " ".join(about.split())
    for name, field in spec["properties"].items():
        assert f"  {name}\t<" in fields
        assert field["description"] in " ".join(fields.split())


def test_a_field_deep_in_a_resource_is_explained_with_its_choices(kubeconfig: Path):
    collar = asked(kubeconfig, "explain", "tb.spec.risk.priceCollarPercent")
    policy = asked(kubeconfig, "explain", "tb.spec.deletionPolicy")
    pod = asked(kubeconfig, "explain", "bs.spec.template.spec.podTemplate.tolerations.effect")

    described = schema_of(TradingBot)["properties"]["spec"]["properties"]["risk"]["properties"]["priceCollarPercent"]
    assert described["description"] in " ".join(collar.split())
    assert "ENUM: CancelOrders Flatten Keep" in " ".join(policy.split())
    assert "ENUM: NoSchedule PreferNoSchedule NoExecute" in " ".join(pod.split())


def test_two_people_apply_their_own_parts_of_a_bot(kubeconfig: Path, namespace: str):
    arguments = ("apply", "--server-side", "--namespace", namespace, "-f", "-")
    limit = {**BOT, "spec": {"risk": {"maxOpenOrders": 7}}}
    other_limit = changed(BOT, spec__risk__maxOpenOrders=9)

    asked(kubeconfig, *arguments, "--field-manager=team", given=json.dumps(BOT))
    asked(kubeconfig, *arguments, "--field-manager=desk", given=json.dumps(limit))
    asked(kubeconfig, *arguments, "--field-manager=team", given=json.dumps(changed(BOT, spec__state="Paused")))

    stored = json.loads(asked(kubeconfig, "get", "tb", "trend", "--namespace", namespace, "-o", "json"))
    assert (stored["spec"]["risk"]["maxOpenOrders"], stored["spec"]["state"]) == (7, "Paused")
    refused = kubectl(kubeconfig, *arguments, "--field-manager=team", given=json.dumps(other_limit))
    assert "conflict with" in refused.stderr
