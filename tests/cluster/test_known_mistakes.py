"""What operators of this sort are known to get wrong, and bad input, each with the test that would find it here.

Known mistakes:

=====================================================================  ================================================
a changed kind or placement leaves the old workload running            here: test_a_bot_that_moves_…; the storm
a finalizer that waits blocks every other resource                     here: test_a_resource_that_waits_for_its_end_…
a phase that never leaves Failed after the cause is gone               here: test_bad_input_…; test_governor:
                                                                       test_somebody_elses_object_…
a healthy resource with an empty phase                                 test_governor_chaos (outcome.silence_of)
specs or Secrets printed in logs                                       test_governor_chaos: test_no_secret_and_no_spec_…
an immutable Job template updated for ever                             unit/governor/kubernetes/test_job_process:
                                                                       test_another_question_…; test_governor_chaos:
                                                                       test_then_nothing_is_written_…
a Job whose results vanish with its pod                                test_governor: test_a_dataset_is_read_by_a_job_…
a field accepted and silently ignored                                  unit/governor/test_spec_fields
an optional section missing crashes the operator                       test_governor_chaos: test_every_change_of_a_…
a transient API error taken as "not found"                             unit/governor/kubernetes/test_client:
                                                                       test_only_the_api_servers_own_word_…; here:
                                                                       test_an_api_server_that_was_away_…
a metrics port that chart and process disagree on                      test_chart: test_chart_and_processes_agree_…
a CRD too large for `kubectl apply`                                    conftest.kubeconfig; test_definitions:
                                                                       test_a_plain_apply_…
status written with a stale copy undoing a change of spec              test_governor_parts: test_a_stale_status_…
a live bot restarted by an unrelated edit                              here: test_what_does_not_concern_a_bot_…
a second live bot on the same account                                  unit/resources/test_references:
                                                                       test_two_live_exchanges_…; here:
                                                                       test_a_live_bot_is_not_run_…
only missing children created, drifted ones never mended               test_governor: test_a_changed_or_deleted_child_…
a switched-off watch that nobody notices                               unit/governor/kubernetes/test_cache:
                                                                       test_a_watch_that_does_not_tell_…
=====================================================================  ================================================

Bad input:

=====================================================================  ================================================
wrong references, a name in another namespace                          here: test_a_reference_to_nothing_…
a missing Secret, an image that cannot be pulled, too little memory,   here: test_bad_input_is_shown_where_it_matters…;
no node, a process that ends, quota exceeded                           with a real kubelet: test_fleet_on_a_node
a strategy that raises or loops for ever                               integration/test_local_fleet_*, the host's own
                                                                       tests; here its last words: test_bad_input_…
someone else's field manager                                           here: test_a_foreign_field_manager_…
someone else's object under a child's name                             test_governor: test_somebody_elses_object_…
=====================================================================  ================================================
"""

import copy
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from governor.local.broker import Broker
from governor.local.database import Database

from cluster.control_plane import ControlPlane, kubectl
from tests.cluster.api import Api
from tests.cluster.attack import Place
from tests.cluster.governor import eventually
from tests.cluster.outcome import MADE, silence_of
from tests.cluster.series import bystanders
from tests.integration.conftest import broker, database  # noqa: F401 - fixtures
from tradefleet.resources.common import API_VERSION

AWAY_S = 12.0  # longer than a request waits for its answer
SOON_S = 10.0
FLEETS = ("mover", "left", "waiter", "steady", "bad", "poor", "managed")  # one for each test that needs one at rest
ELSEWHERE = "known-mistakes-elsewhere"

Body = dict[str, Any]


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    control_plane: ControlPlane,
    api: Api,
    database: Database,  # noqa: F811
    broker: Broker,  # noqa: F811
) -> Iterator[Place]:
    """A namespace with a Governor at work, and fleets in it; one must be left alone by all that happens here."""
    folder = tmp_path_factory.mktemp("known") / "mistakes"
    made = Place("known-mistakes", folder, control_plane=control_plane, api=api, database=database, broker=broker)
    made.apply(bystanders())
    for name in FLEETS:  # all at once: to wait for each to come to rest would take most of the time
        made.apply(fleet(name))
    made.governor.start()
    made.rest()
    yield made
    made.close()


def fleet(name: str, **spec: Any) -> list[Body]:
    """Return an exchange with a market and one bot, all of that name."""
    bodies = copy.deepcopy(bystanders())
    for body in bodies:
        body["metadata"]["name"] = name
        if "exchangeRef" in body["spec"]:
            body["spec"]["exchangeRef"] = {"name": name}
        if body["kind"] == "Feed":
            body["spec"]["replay"]["datasetRefs"] = [{"name": name}]
    bodies[-1]["spec"] |= spec
    return bodies


def path(place: Place, kind: str, name: str) -> str:
    return place.cluster.place(kind, name)


def status(place: Place, name: str, kind: str = "TradingBot") -> Body:
    found: Body = place.cluster.api.get(path(place, kind, name)).get("status", {})
    return found


def condition(place: Place, name: str, wanted: str, kind: str = "TradingBot") -> Body:
    return next((each for each in status(place, name, kind).get("conditions", []) if each["type"] == wanted), {})


def children(place: Place) -> dict[str, str]:
    """Return the versions of all that was made for resources, but for what is told of them."""
    return {name: version for name, version in place.cluster.everything().items() if name.partition("/")[0] in MADE}


def template_generation(place: Place, name: str) -> int:
    """Return how often the Deployment of a bot was changed: each change of its template restarts the pod."""
    deployment = place.cluster.get("Deployment", f"bot-{name}")
    assert deployment is not None
    return int(deployment["metadata"]["generation"])


def test_a_bot_that_moves_leaves_no_process_where_it_was(place: Place):
    cluster = place.cluster
    assert "bot-mover" in cluster.names("Deployment")

    assert cluster.api.patch(path(place, "TradingBot", "mover"), {"spec": {"placement": "Shared"}}).accepted
    eventually(lambda: "host-mover-0" in cluster.names("Deployment"), what="its host", patience_s=SOON_S)
    for kind in ("Deployment", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy"):
        eventually(lambda kind=kind: "bot-mover" not in cluster.names(kind), what=f"{kind} to go", patience_s=SOON_S)

    assert cluster.api.patch(path(place, "TradingBot", "mover"), {"spec": {"placement": "Dedicated"}}).accepted
    eventually(lambda: "bot-mover" in cluster.names("Deployment"), what="its own process", patience_s=SOON_S)
    for kind in ("Deployment", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy"):
        eventually(lambda kind=kind: "host-mover-0" not in cluster.names(kind), what=f"{kind} to go", patience_s=SOON_S)


def test_what_a_governor_died_in_the_midst_of_clearing_away_goes_all_the_same(place: Place):
    cluster = place.cluster
    place.governor.kill()
    assert cluster.api.patch(path(place, "TradingBot", "left"), {"spec": {"placement": "Shared"}}).accepted
    assert cluster.api.delete(cluster.path("Deployment", "bot-left")).accepted, "so far it has come"
    relabelled = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "a-tool-that-means-well"}}}
    for kind in ("ServiceAccount", "NetworkPolicy"):
        assert cluster.api.patch(cluster.path(kind, "bot-left"), relabelled).accepted

    place.governor.start()

    for kind in ("ConfigMap", "NetworkPolicy", "Secret", "ServiceAccount"):
        eventually(lambda kind=kind: cluster.get(kind, "bot-left") is None, what=f"its {kind} to go")
    eventually(lambda: "host-left-0" in cluster.names("Deployment"), what="its host")


def test_a_job_that_has_not_begun_gets_back_what_was_taken_from_it(place: Place):
    cluster = place.cluster
    job = next(name for name in cluster.names("Job") if "bystander" in name)

    for kind in ("Secret", "NetworkPolicy", "ConfigMap"):
        assert cluster.api.delete(cluster.path(kind, job)).accepted

    for kind in ("Secret", "NetworkPolicy", "ConfigMap"):
        eventually(lambda kind=kind: cluster.get(kind, job), what=f"its {kind}", patience_s=3 * SOON_S)


def test_a_resource_that_waits_for_its_end_holds_up_no_other(place: Place):
    assert place.cluster.api.delete(path(place, "Exchange", "waiter")).accepted
    eventually(
        lambda: "waits for 1 bots" in status(place, "waiter", "Exchange").get("reason", ""), what="it to say why"
    )

    place.apply(fleet("newcomer"))

    eventually(
        lambda: {"bot-newcomer", "gateway-newcomer"} <= set(place.cluster.names("Deployment")),
        what="another fleet to be made",
        patience_s=SOON_S,
    )
    assert "bot-waiter" in place.cluster.names("Deployment"), "the bot goes on until somebody deletes it"
    assert place.cluster.api.delete(path(place, "TradingBot", "waiter")).accepted
    gone = path(place, "Exchange", "waiter")
    eventually(lambda: place.pods.step() or place.cluster.api.get(gone).get("code") == 404, what="both to go")


UNRELATED: dict[str, Body] = {
    "a label": {"metadata": {"labels": {"team": "b"}}},
    "an annotation": {"metadata": {"annotations": {"example.com/note": "seen"}}},
    "what happens at its end": {"spec": {"deletionPolicy": "Keep"}},
    "its dead man's switch": {"spec": {"deadManSwitch": {"after": "5m"}}},
    "a pause": {"spec": {"state": "Paused"}},
    "an end of the pause": {"spec": {"state": "Running"}},
    "how it is updated": {"spec": {"updateStrategy": "Manual"}},
}


def test_what_does_not_concern_a_bot_does_not_restart_it(place: Place):
    before = template_generation(place, "steady")

    for what, patch in UNRELATED.items():
        assert place.cluster.api.patch(path(place, "TradingBot", "steady"), patch).accepted, what
    policy = {"apiVersion": API_VERSION, "kind": "RiskPolicy", "metadata": {"name": "halting"}, "spec": {"halt": True}}
    place.apply([policy])
    eventually(
        lambda: condition(place, "steady", "Warning").get("reason") == "Halted", what="the halt", patience_s=SOON_S
    )
    place.governor.kill()
    place.governor.start()
    eventually(place.governor.is_ready, what="the next Governor")
    assert place.cluster.api.delete(path(place, "RiskPolicy", "halting")).accepted
    place.rest()

    assert template_generation(place, "steady") == before


def test_a_live_bot_is_not_run_where_its_exchange_is_none(place: Place):
    place.apply(fleet("serious", mode="live", wallet=None))

    stalled = eventually(
        lambda: (found := condition(place, "serious", "Stalled")).get("status") == "True" and found, what="a refusal"
    )

    assert stalled["reason"] == "ModeMismatch"
    assert "live needs mode: live in both" in stalled["message"]
    assert "bot-serious" not in place.cluster.names("Deployment")


def test_a_reference_to_nothing_waits_and_says_where_it_looked(place: Place, api: Api):
    assert api.create_namespace(ELSEWHERE).accepted
    assert api.create(fleet("foreign")[0], ELSEWHERE).accepted, "an exchange of that name, in another namespace"
    *market, bot = fleet("foreign")

    place.apply([bot])

    eventually(
        lambda: (
            status(place, "foreign").get("reason") == "waits for Exchange foreign in namespace known-mistakes: apply it"
        ),
        what="it to say what it waits for",
        patience_s=SOON_S,
    )
    assert condition(place, "foreign", "Stalled")["status"] == "False", "it heals without a touch"
    place.apply(market)
    eventually(lambda: "bot-foreign" in place.cluster.names("Deployment"), what="it to heal", patience_s=SOON_S)


BAD_PODS: dict[str, tuple[Body, str, str, str]] = {
    "an image that cannot be pulled": (
        {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}},
        "Stalled",
        "ImagePull",
        "mend podTemplate.image or imagePullSecrets",
    ),
    "a Secret that is missing": (
        {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "key" not found'}}},
        "Stalled",
        "ContainerRefused",
        'secret "key" not found',
    ),
    "too little memory": (
        {
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        },
        "Stalled",
        "OutOfMemory",
        "using more memory than 256Mi, its limit: raise podTemplate.resources.limits.memory",
    ),
    "a strategy that raises": (
        {
            "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {
                "terminated": {
                    "exitCode": 4,
                    "message": json.dumps(
                        {"reason": "StrategyFailed", "message": "on_bar: ZeroDivisionError in my.py:7"}
                    ),
                }
            },
        },
        "Stalled",
        "StrategyFailed",
        "on_bar: ZeroDivisionError in my.py:7",
    ),
    "a strategy that does not return": (
        {
            "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {
                "terminated": {
                    "exitCode": 4,
                    "message": json.dumps(
                        {"reason": "CallbackOverdue", "message": "on_bar did not return within 45 s"}
                    ),
                }
            },
        },
        "Stalled",
        "CallbackOverdue",
        "on_bar did not return within 45 s",
    ),
    "a process that is ended": (
        {
            "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "Error"}},
        },
        "Reconciling",
        "ProcessEnded",
        "kubectl logs --previous shows its last lines",
    ),
}


def test_bad_input_is_shown_where_it_matters_and_heals(place: Place):
    cluster = place.cluster
    for what, (container, kind, reason, remedy) in BAD_PODS.items():
        cluster.play_pod("bot-bad", ready=False, **container)
        found = eventually(
            lambda kind=kind, reason=reason: (one := condition(place, "bad", kind)).get("reason") == reason and one,
            what=what,
            patience_s=SOON_S,
        )
        assert found["status"] == "True", what
        assert remedy in found["message"], what
        bystander = status(place, "bystander")
        assert bystander["phase"] not in ("Failed", "Pending"), (what, bystander)

        cluster.play_pod("bot-bad", ready=True, state={"running": {}}, lastState=None)
        eventually(
            lambda: condition(place, "bad", "Ready")["status"] == "True", what=f"{what} to heal", patience_s=SOON_S
        )
    events = {(each["regarding"]["name"], each["reason"]) for each in cluster.all("Event")}
    assert {("bad", reason) for _, _, reason, _ in BAD_PODS.values()} <= events
    assert not {each for each in events if each[0] == "bystander" and each[1] in {"ImagePull", "OutOfMemory"}}


def test_a_quota_that_refuses_a_pod_is_told_of(place: Place):
    cluster = place.cluster
    assert cluster.api.delete(f"{cluster.path('Pod', 'bot-poor')}?gracePeriodSeconds=0").accepted
    refusal = 'pods "bot-poor-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}

    assert cluster.api.patch(
        f"{cluster.path('Deployment', 'bot-poor')}/status", {"status": {"conditions": [failure]}}
    ).accepted

    found = eventually(
        lambda: (one := condition(place, "poor", "Stalled")).get("status") == "True" and one,
        what="the refusal",
        patience_s=SOON_S,
    )
    assert found["reason"] == "QuotaExceeded"
    assert "exceeded quota: small" in found["message"]
    assert "raise the ResourceQuota or lower podTemplate.resources" in found["message"]


def test_a_foreign_field_manager_keeps_its_marks_and_loses_what_is_ours(place: Place):
    before = place.cluster.get("Deployment", "bot-managed")
    assert before is not None
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bot-managed", "annotations": {"example.com/owner": "them"}},
        "spec": {"replicas": 4, "paused": True},
    }
    applied = kubectl(
        place.cluster.api.kubeconfig,
        *("--namespace", place.cluster.namespace, "apply", "--server-side", "--force-conflicts"),
        *("--field-manager=them", "-f", "-"),
        given=json.dumps(theirs),
    )
    assert applied.returncode == 0, applied.stderr

    def is_ours_again() -> bool:
        found = place.cluster.get("Deployment", "bot-managed")
        return found is not None and found["spec"] == before["spec"]

    eventually(is_ours_again, what="our fields to be ours again", patience_s=SOON_S)
    after = place.cluster.get("Deployment", "bot-managed")
    assert after is not None
    assert after["metadata"]["annotations"]["example.com/owner"] == "them", "marks of others may stand beside ours"
    place.rest()  # and the two do not write in turns for ever


def test_an_api_server_that_was_away_is_not_taken_for_an_empty_one(place: Place, control_plane: ControlPlane):
    place.rest()
    before = children(place)
    os.kill(control_plane.pid, signal.SIGSTOP)
    try:
        time.sleep(AWAY_S)
        assert place.governor.is_running
    finally:
        os.kill(control_plane.pid, signal.SIGCONT)

    eventually(place.governor.is_ready, what="it to be at work again")
    assert place.cluster.api.delete(place.cluster.path("ConfigMap", "bot-bystander")).accepted
    eventually(lambda: place.cluster.get("ConfigMap", "bot-bystander"), what="the child that was deleted since")
    place.rest()

    after = children(place)
    del before["ConfigMap/bot-bystander"], after["ConfigMap/bot-bystander"]
    assert after == before, "nothing of what trades was touched"
    assert [each for each in place.cluster.ours("TradingBot") if silence_of(each)] == []
