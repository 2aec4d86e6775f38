"""What pods and Deployments tell of a process."""

import json
from typing import Any

import pytest
from governor.kubernetes.facts import facts_of, has_finished, restarts_of
from governor.workload import ProcessState
from hypothesis import given
from hypothesis import strategies as st


def pod(*, created: str = "2026-01-01T00:00:00Z", ending: bool = False, **container: Any) -> dict[str, Any]:
    metadata = {"name": "bot-a-1", "creationTimestamp": created}
    if ending:
        metadata["deletionTimestamp"] = created
    return {"metadata": metadata, "status": {"containerStatuses": [{"name": "workload", **container}]}}


def terminated(code: int, words: tuple[str, str] | None = None, **more: Any) -> dict[str, Any]:
    message = "" if words is None else json.dumps({"reason": words[0], "message": words[1]})
    return {"terminated": {"exitCode": code, "message": message, **more}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def test_a_ready_container_is_a_ready_process():
    facts = facts_of(None, [pod(ready=True, restartCount=3, state={"running": {}})])

    assert (facts.state, facts.restarts, facts.message) == (ProcessState.READY, 3, "")


def test_an_image_that_cannot_be_pulled_needs_a_person():
    facts = facts_of(None, [pod(state=waiting("ImagePullBackOff", "no such tag"))])

    assert facts.state is ProcessState.REFUSED
    assert facts.reason == "ImagePull"
    assert "no such tag" in facts.message
    assert "podTemplate.image" in facts.message


def test_a_missing_secret_needs_a_person():
    facts = facts_of(None, [pod(state=waiting("CreateContainerConfigError", 'secret "x" not found'))])

    assert (facts.state, facts.reason) == (ProcessState.REFUSED, "ContainerRefused")
    assert 'secret "x" not found' in facts.message


@pytest.mark.parametrize(
    ("code", "state"), [(4, ProcessState.REFUSED), (3, ProcessState.REFUSED), (1, ProcessState.BACKING_OFF)]
)
def test_a_crash_speaks_in_its_own_last_words(code: int, state: ProcessState):
    last = terminated(code, ("InvalidSettings", "field speed is unknown"))

    facts = facts_of(None, [pod(state=waiting("CrashLoopBackOff"), lastState=last, restartCount=2)])

    assert (facts.state, facts.reason, facts.message) == (state, "InvalidSettings", "field speed is unknown")
    assert facts.restarts == 2


def test_a_crash_without_words_says_how_it_ended():
    facts = facts_of(None, [pod(state=waiting("CrashLoopBackOff"), lastState=terminated(137, signal=9))])

    assert facts.message.startswith("the process was ended by signal 9")


def test_a_process_without_enough_memory_needs_a_person():
    facts = facts_of(None, [pod(state=terminated(137, reason="OOMKilled"))])

    assert (facts.state, facts.reason) == (ProcessState.REFUSED, "OutOfMemory")
    assert "more memory than its node had left" in facts.message


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("tradingbot", "raise podTemplate.resources.limits.memory"),
        ("backtest", "raise podTemplate.resources.limits.memory"),
        ("exchange", "raise workloads.resources.limits.memory in the chart's values"),  # a gateway, a shared host
    ],
)
def test_what_is_killed_for_its_memory_says_at_which_limit_and_where_to_raise_it(kind: str, remedy: str):
    found = pod(state=waiting("CrashLoopBackOff"), lastState=terminated(137, reason="OOMKilled"))
    found["metadata"]["labels"] = {f"tradefleet.dev/{kind}": "alpha"}
    found["spec"] = {"containers": [{"name": "workload", "resources": {"limits": {"memory": "256Mi"}}}]}

    message = facts_of(None, [found]).message

    assert message.startswith(f"its pod was killed for using more memory than 256Mi, its limit: {remedy}")
    assert restarts_of(found)[1] == message, "an event says the same"


@pytest.mark.parametrize("ended", [terminated(137), terminated(255, signal=9)])
def test_a_process_that_was_killed_may_have_been_silent(ended: dict[str, Any]):
    facts = facts_of(None, [pod(state=waiting("CrashLoopBackOff"), lastState=ended)])

    assert "as one is that has not answered for two minutes" in facts.message


def test_a_container_that_runs_again_says_why_it_had_ended():
    last = terminated(1, ("Unreachable", "database: gone"))

    facts = facts_of(None, [pod(state={"running": {}}, ready=False, lastState=last)])

    assert facts.state is ProcessState.STARTING
    assert facts.message == "its process starts again: database: gone"


def test_a_finished_replay_has_ended_and_one_that_was_asked_to_end_has_not():
    finished = pod(state=waiting("CrashLoopBackOff"), lastState=terminated(0, ("Finished", "")))
    asked = pod(state=waiting("CrashLoopBackOff"), lastState=terminated(0))

    assert (has_finished(finished), facts_of(None, [finished]).state) == (True, ProcessState.ENDED)
    assert (has_finished(asked), facts_of(None, [asked]).state) == (False, ProcessState.STARTING)


def test_a_pod_that_no_node_takes_waits_and_says_so():
    found = pod()
    found["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes: too little memory",
        }
    ]

    facts = facts_of(None, [found])

    assert (facts.state, facts.reason) == (ProcessState.STARTING, "Unschedulable")
    assert facts.message == "no node takes its pod: 0/1 nodes: too little memory"


def test_a_quota_is_told_of_with_its_remedy():
    condition = {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: q'}

    facts = facts_of({"status": {"conditions": [condition]}}, [])

    assert (facts.state, facts.reason) == (ProcessState.REFUSED, "QuotaExceeded")
    assert "raise the ResourceQuota" in facts.message


def test_of_two_pods_the_one_that_is_not_ending_counts():
    facts = facts_of(None, [pod(ready=True, ending=True), pod(state=waiting("ContainerCreating"))])

    assert facts.state is ProcessState.STARTING


def test_without_a_pod_a_process_starts():
    assert facts_of(None, []).state is ProcessState.STARTING


def test_restarts_come_with_the_reason_of_the_last_one():
    assert restarts_of(pod(restartCount=2, lastState=terminated(1, ("X", "why")))) == (2, "why")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(message=st.text(max_size=60) | JSON.map(json.dumps), code=st.integers(-1, 255))
def test_no_last_word_upsets_the_governor(message: str, code: int):
    found = pod(lastState={"terminated": {"exitCode": code, "message": message}}, state=waiting("CrashLoopBackOff"))

    assert facts_of(None, [found]).state in ProcessState
    assert restarts_of(found)[0] == 0
