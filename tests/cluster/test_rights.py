"""What each account may do in a cluster, as a table: the right to each thing is asked of a real API server.

The accounts are the operator's, a workload's (a bot's; all others are like it) and two users with what the chart adds
to Kubernetes' own roles to view and to edit (to administer is the same here). What is not marked is refused.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.control_plane import ControlPlane, kubectl
from tests.cluster.api import Api
from tests.cluster.helm import CHART, helm

RELEASE_NAMESPACE, BOTS_NAMESPACE, ELSEWHERE = "operators", "trading", "elsewhere"
VALUES = {
    "postgres": {"existingSecret": "database"},
    "kafka": {"bootstrap": "kafka:9092"},
    "watchNamespaces": [BOTS_NAMESPACE],
}
OPERATOR = f"system:serviceaccount:{RELEASE_NAMESPACE}:fleet-tradefleet"
WORKLOAD = f"system:serviceaccount:{BOTS_NAMESPACE}:bot-alpha"
# Who, and in which namespace.
SUBJECTS = {
    "operator": (OPERATOR, BOTS_NAMESPACE),
    "at-home": (OPERATOR, RELEASE_NAMESPACE),  # the operator, where its own pod runs
    "elsewhere": (OPERATOR, ELSEWHERE),
    "workload": (WORKLOAD, BOTS_NAMESPACE),
    "viewer": ("viewer", BOTS_NAMESPACE),
    "editor": ("editor", BOTS_NAMESPACE),
}
RBAC = "rbac.authorization.k8s.io"
TABLE = """
verb             what                                            operator at-home elsewhere workload viewer editor
list             tradingbots.tradefleet.dev                      x        x       .         .        x      x
watch            exchanges.tradefleet.dev                        x        x       .         .        x      x
create           tradingbots.tradefleet.dev                      x        .       .         .        .      x
delete           tradingbots.tradefleet.dev                      x        .       .         .        .      x
update           tradingbots.tradefleet.dev                      .        .       .         .        .      x
patch            tradingbots.tradefleet.dev                      x        .       .         .        .      x
create           feeds.tradefleet.dev                            x        .       .         .        .      x
create           exchanges.tradefleet.dev                        .        .       .         .        .      x
delete           exchanges.tradefleet.dev                        .        .       .         .        .      x
create           riskpolicies.tradefleet.dev                     .        .       .         .        .      x
patch            riskpolicies.tradefleet.dev                     x        .       .         .        .      x
delete           riskpolicies.tradefleet.dev                     .        .       .         .        .      x
patch            tradingbots.tradefleet.dev/status               x        .       .         .        .      .
update           tradingbots.tradefleet.dev/finalizers           x        .       .         .        .      .
create           deployments.apps                                x        x       .         .        .      .
patch            deployments.apps                                x        x       .         .        .      .
deletecollection deployments.apps                                .        .       .         .        .      .
create           jobs.batch                                      x        .       .         .        .      .
create           networkpolicies.networking.k8s.io               x        x       .         .        .      .
delete           networkpolicies.networking.k8s.io               x        x       .         .        .      .
create           configmaps                                      x        x       .         .        .      .
get              secrets                                         x        x       .         .        .      .
list             secrets                                         .        .       .         .        .      .
watch            secrets                                         .        .       .         .        .      .
create           secrets                                         x        x       .         .        .      .
deletecollection secrets                                         .        .       .         .        .      .
list             pods                                            x        x       .         .        .      .
create           pods                                            .        .       .         .        .      .
delete           pods                                            .        .       .         .        .      .
create           pods/exec                                       .        .       .         .        .      .
create           pods/ephemeralcontainers                        .        .       .         .        .      .
get              pods/log                                        .        .       .         .        .      .
create           pods/eviction                                   .        .       .         .        .      .
create           serviceaccounts                                 x        x       .         .        .      .
create           serviceaccounts/token                           .        .       .         .        .      .
get              leases.coordination.k8s.io:fleet-tradefleet     .        x       .         .        .      .
update           leases.coordination.k8s.io:fleet-tradefleet     .        x       .         .        .      .
update           leases.coordination.k8s.io:another              .        .       .         .        .      .
create           events.events.k8s.io                            x        .       .         .        .      .
create           roles.RBAC                                      .        .       .         .        .      .
create           rolebindings.RBAC                               .        .       .         .        .      .
patch            rolebindings.RBAC                               .        .       .         .        .      .
patch            rolebindings.RBAC:fleet-tradefleet-governor     x        .       .         .        .      .
get              namespaces:trading                              x        x       x         .        .      .
get              namespaces:elsewhere                            .        .       .         .        .      .
list             namespaces                                      .        .       .         .        .      .
delete           rolebindings.RBAC:fleet-tradefleet-governor     .        .       .         .        .      .
escalate         roles.RBAC                                      .        .       .         .        .      .
bind             clusterroles.RBAC                               .        .       .         .        .      .
impersonate      users                                           .        .       .         .        .      .
impersonate      serviceaccounts                                 .        .       .         .        .      .
get              nodes                                           .        .       .         .        .      .
get              nodes/proxy                                     .        .       .         .        .      .
create           namespaces                                      .        .       .         .        .      .
patch            customresourcedefinitions.apiextensions.k8s.io  .        .       .         .        .      .
create           certificatesigningrequests.certificates.k8s.io  .        .       .         .        .      .
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API server of this module's own, with the chart's accounts and roles in it."""
    server = ControlPlane(tmp_path_factory.mktemp("rights"))
    server.start()
    try:
        api = Api(server.kubeconfig)
        for namespace in (RELEASE_NAMESPACE, BOTS_NAMESPACE, ELSEWHERE):
            assert api.create_namespace(namespace).accepted
        applied = kubectl(server.kubeconfig, "apply", "-f", "-", given=yaml.safe_dump_all(_rules(tmp_path_factory)))
        assert applied.returncode == 0, applied.stderr
        yield api
    finally:
        server.stop()


def _rules(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Return the chart's accounts and roles, and users who have the roles that it makes for users."""
    values: Path = tmp_path_factory.mktemp("values") / "values.yaml"
    values.write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    shown = ("--show-only", "templates/governor/rbac.yaml")
    done = helm("template", "fleet", str(CHART), "-n", RELEASE_NAMESPACE, "-f", str(values), *shown)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    made = {each["metadata"]["name"].rpartition("-")[2]: each for each in objects if each["kind"] == "ClusterRole"}
    labels = {
        role: added
        for role, each in made.items()
        if (added := {name.rpartition("-")[2] for name in each["metadata"]["labels"] if "aggregate-to" in name})
    }
    assert labels == {"view": {"view", "edit", "admin"}, "edit": {"edit", "admin"}}
    includes = {"viewer": ["view"], "editor": ["view", "edit"]}
    bindings = [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{user}-{role}", "namespace": BOTS_NAMESPACE},
            "roleRef": {
                "apiGroup": RBAC,
                "kind": "ClusterRole",
                "name": made[role]["metadata"]["name"],
            },
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
        }
        for user, roles in includes.items()
        for role in roles
    ]
    return [*objects, *bindings]


def may(api: Api, user: str, namespace: str, verb: str, what: str) -> bool:
    """Return whether `user` may do something; `what` is `resource.group/subresource:name`, all but the first if any."""
    place, _, name = what.partition(":")
    full, _, subresource = place.partition("/")
    resource, _, group = full.partition(".")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "name": name,
    }
    groups = ["system:authenticated"]
    if user.startswith("system:serviceaccount:"):
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}"]
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
    }
    answer = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.accepted, answer.body
    return bool(answer.body["status"]["allowed"])


def test_everybody_may_do_what_the_table_says_and_nothing_else(api: Api):
    head, *lines = TABLE.replace("RBAC", RBAC).strip().splitlines()
    assert head.split() == ["verb", "what", *SUBJECTS]

    found, expected = {}, {}
    for line in lines:
        verb, what, *marks = line.split()
        expected[f"{verb} {what}"] = " ".join(marks)
        found[f"{verb} {what}"] = " ".join("x" if may(api, *who, verb, what) else "." for who in SUBJECTS.values())

    assert found == expected
