"""From the simulations of a Backtest to an Indexed Job, and what its pods may reach."""

import json
from dataclasses import replace
from typing import Any

import pytest
from governor.backtest_job import numbers_of
from governor.kubernetes.client import CONFIG_MAP, JOB, NETWORK_POLICY, SECRET
from governor.kubernetes.simulation_manifests import (
    QUEUE_LABEL,
    SIMULATION_LABEL,
    children_of_simulation,
    indexes_in,
    simulation_name,
)
from governor.simulation import TRIAL_FAILED, Simulation
from governor.tasks import simulations_of

from tests.unit.governor import fleets
from tests.unit.governor.kubernetes.test_manifests import SURROUNDINGS
from tradefleet.resources.common import Resource

URL = "postgresql://u:p@h/d"


def asked(name: str = "grid", **spec: Any) -> tuple[Simulation, Resource]:
    body = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "sma-cross"},
        "wallet": {"USD": "10000"},
        "search": {"space": {"fast": {"values": list(range(2, 22))}}},
        "parallelism": 8,
        **spec,
    }
    backtest = fleets.stored("Backtest", name, body)
    (found,) = simulations_of([fleets.exchange(), fleets.dataset(), backtest], {}, {})
    return found, backtest


def children(*, slots: int = 3, queue: str = "") -> dict[Any, dict[str, Any]]:
    simulation, owner = asked()
    made = children_of_simulation(simulation, owner, SURROUNDINGS, URL, slots=slots, queue=queue)
    return {child.kind: child.body for child in made}


def test_the_pods_reach_the_database_alone_and_hold_no_token() -> None:
    made = children()

    assert list(made) == [CONFIG_MAP, SECRET, NETWORK_POLICY, JOB]
    policy, job = made[NETWORK_POLICY]["spec"], made[JOB]["spec"]
    ports = [each["port"] for rule in policy["egress"] for each in rule["ports"]]
    assert sorted(ports) == [53, 53, 5432]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    assert policy["podSelector"]["matchLabels"].items() <= job["template"]["metadata"]["labels"].items()
    assert job["template"]["spec"]["automountServiceAccountToken"] is False
    assert "postgresql" not in json.dumps(made[JOB])
    assert "KAFKA" not in json.dumps(list(made.values()))


def test_the_pods_are_what_the_backtest_says() -> None:
    said = {
        "image": "mine:1",
        "labels": {"team": "research", "tradefleet.dev/backtest": "somebody-elses"},
        "resources": {"limits": {"memory": "2Gi"}},
        "nodeSelector": {"disk": "fast"},
        "priorityClassName": "batch",
    }
    simulation, owner = asked(podTemplate=said)
    job = children_of_simulation(simulation, owner, SURROUNDINGS, URL, slots=1, queue="")[-1].body
    template = job["spec"]["template"]
    (container,) = template["spec"]["containers"]

    assert (container["image"], container["resources"]) == ("mine:1", {"limits": {"memory": "2Gi"}})
    assert (template["spec"]["nodeSelector"], template["spec"]["priorityClassName"]) == ({"disk": "fast"}, "batch")
    labels = template["metadata"]["labels"]
    assert (labels["team"], labels["tradefleet.dev/backtest"]) == ("research", "grid")


def test_other_pods_are_another_question_and_on_one_machine_another_limit() -> None:
    (plain, _), (limited, _) = asked(), asked(podTemplate={"resources": {"limits": {"memory": "2Gi"}}})

    assert simulation_name(plain) != simulation_name(limited)
    assert (plain.memory_bytes, limited.memory_bytes) == (None, 2 * 1024**3)


def test_without_a_word_of_its_own_a_simulation_does_not_have_the_priority_of_bots() -> None:
    assert "priorityClassName" not in children()[JOB]["spec"]["template"]["spec"]


def test_as_many_pods_run_as_are_granted_and_none_when_none_is() -> None:
    job, held = children()[JOB]["spec"], children(slots=0)[JOB]["spec"]

    assert (job["completions"], job["parallelism"], job["suspend"]) == (20, 3, False)
    assert (held["suspend"], held["template"]) == (True, job["template"])


def test_kueue_is_asked_for_all_and_lets_it_run() -> None:
    job = children(queue="research")[JOB]

    assert job["metadata"]["labels"][QUEUE_LABEL] == "research"
    assert (job["spec"]["parallelism"], job["spec"]["suspend"]) == (8, True)
    assert QUEUE_LABEL not in children()[JOB]["metadata"]["labels"]


def test_a_strategy_that_raises_fails_its_index_and_a_drained_node_does_not() -> None:
    spec = children()[JOB]["spec"]

    failing, ignored = spec["podFailurePolicy"]["rules"]
    assert (failing["action"], failing["onExitCodes"]["values"]) == ("FailIndex", [TRIAL_FAILED])
    assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (3, 10)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", ["grid", "a" + "b" * 49])
def test_another_question_has_another_name_that_fits_a_label_with_its_index(name: str) -> None:
    (first, _), (second, _) = asked(name), asked(name, seed=2)

    names = {simulation_name(each) for each in (first, second)}
    assert len(names) == 2
    assert all(len(f"{each}-{first.indexes - 1}") <= 63 for each in names)


def test_the_settings_say_which_trials_an_index_has() -> None:
    simulation, owner = asked()
    many = replace(simulation, trials=1_000, remaining=1_000)
    (found,) = (
        json.loads(child.body["data"]["settings.json"])
        for child in children_of_simulation(many, owner, SURROUNDINGS, URL, slots=1, queue="")
        if child.kind == CONFIG_MAP
    )

    assert numbers_of({**found, "trials": 1_000}, 249) == range(996, 1_000)
    assert many.indexes == 250


@pytest.mark.parametrize(("text", "indexes"), [("", []), ("3", [3]), ("1,3-5,9", [1, 3, 4, 5, 9])])
def test_indexes_of_a_status_are_read(text: str, indexes: list[int]) -> None:
    assert indexes_in(text) == indexes


def test_pods_are_found_by_a_label_of_their_own() -> None:
    made = children()

    assert {body["metadata"]["labels"][SIMULATION_LABEL] for body in made.values()} == {made[JOB]["metadata"]["name"]}
