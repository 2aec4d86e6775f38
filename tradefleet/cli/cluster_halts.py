"""Halts in Kubernetes: a RiskPolicy each, which the Governor obeys at once and which stays until it is taken back."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from governor.kubernetes.client import Body, Kind, NotFound, custom
from governor.local.fleet import user_name

from tradefleet.cli.cluster_api import UserApi
from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.resources.common import API_VERSION, GROUP, ConditionType, Resource
from tradefleet.resources.risk_policy import RiskPolicy, RiskState

POLICY: Final = custom("RiskPolicy", RiskPolicy.names.plural)
BOT: Final = custom("TradingBot", "tradingbots")
NAME: Final = "halted-by-cli"
NAME_LENGTH_MAX: Final = 50  # of a resource's
HASH_LENGTH: Final = 8
BOT_LABEL: Final = f"{GROUP}/halted-bot"
EXCHANGE_LABEL: Final = f"{GROUP}/halted-exchange"
REASON_ANNOTATION: Final = f"{GROUP}/halt-reason"
BY_ANNOTATION: Final = f"{GROUP}/halted-by"
LOOK_S: Final = 0.3
GOVERNOR_PODS: Final = "kubectl get pods -A -l app.kubernetes.io/component=governor"


class NotObeyedYet(Retryable):
    """A halt was asked for, and nobody has said yet that it is obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedHalt:
    """A RiskPolicy that halts `bots` (names): those with `labels`, or all of the namespace."""

    what: str
    namespace: str
    policy: str
    bots: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return namespace and name of the policy, as it is shown."""
        return f"RiskPolicy {self.namespace}/{self.policy}"


def halt_of(resource: Resource, bots: Sequence[Resource]) -> WantedHalt:
    """Return the halt of a bot, or of an exchange's present bots, of which `bots` are those of the namespace."""
    namespace, name = resource.metadata.namespace, resource.metadata.name
    if resource.kind == "TradingBot":
        members, label = [name], BOT_LABEL
    elif resource.kind == "Exchange":
        members = [each.metadata.name for each in bots if _exchange_of(each) == name]
        label = EXCHANGE_LABEL
    else:
        raise Permanent(f"{resource.key}: only bots, exchanges and whole namespaces can be halted")
    word = "bot" if resource.kind == "TradingBot" else "exchange"
    return WantedHalt(
        what=f"{word} {namespace}/{name}",
        namespace=namespace,
        policy=_policy_name(word, name),
        bots=members,
        labels={label: name},
    )


def halt_of_namespace(namespace: str, bots: Sequence[Resource]) -> WantedHalt:
    """Return the halt of every bot of a namespace, those included that come later."""
    names = [each.metadata.name for each in bots]
    return WantedHalt(what=f"namespace {namespace}", namespace=namespace, policy=NAME, bots=names)


def _exchange_of(bot: Resource) -> str:
    spec: Any = bot.body()["spec"]
    return str((spec.get("exchangeRef") or {}).get("name"))


def _policy_name(word: str, name: str) -> str:
    readable = f"{NAME}-{word}-{name}"
    if len(readable) <= NAME_LENGTH_MAX:
        return readable
    ending = hashlib.sha256(name.encode()).hexdigest()[:HASH_LENGTH]
    return f"{readable[: NAME_LENGTH_MAX - HASH_LENGTH - 1].rstrip('-')}-{ending}"


# --- on ---------------------------------------------------------------------------------------------------------------


def halt(api: UserApi, wanted: Sequence[WantedHalt], *, reason: str, timeout_s: float) -> list[str]:
    """Return what is halted, once the Governor says so. Raises NotObeyedYet with what to look at."""
    deadline_s = time.monotonic() + timeout_s
    for each in wanted:  # all are asked for before any is waited for
        for bot in each.bots if each.labels else ():
            api.merge(BOT, each.namespace, bot, {"metadata": {"labels": dict(each.labels)}})
        api.apply_fields(POLICY, _body(each, reason), force=True)
    said = []
    for each in wanted:
        _wait_until_obeyed(api, each, deadline_s, timeout_s)
        count = "1 bot" if len(each.bots) == 1 else f"{len(each.bots)} bots"
        said.append(f"{each.what} is halted ({count}, by {each.name}): {reason}")
        if EXCHANGE_LABEL in each.labels:
            said.append(f"bots that come to it later are not: halt the whole namespace for that, or {each.what} again")
    return said


def _body(each: WantedHalt, reason: str) -> Body:
    return {
        "apiVersion": API_VERSION,
        "kind": "RiskPolicy",
        "metadata": {
            "namespace": each.namespace,
            "name": each.policy,
            "annotations": {REASON_ANNOTATION: reason, BY_ANNOTATION: user_name()},
        },
        "spec": {"halt": True, **({"selector": {"matchLabels": dict(each.labels)}} if each.labels else {})},
    }


def _wait_until_obeyed(api: UserApi, each: WantedHalt, deadline_s: float, timeout_s: float) -> None:
    while True:
        body = api.get(POLICY, each.namespace, each.policy)
        if is_obeyed(body, len(each.bots)):
            return
        if time.monotonic() > deadline_s:
            status = body.get("status") or {}
            shown = f"{status.get('phase')}: {status.get('reason')}" if status else "nobody has given it a status"
            raise NotObeyedYet(
                f"{each.name} asks for the halt of {each.what}, and is not obeyed after {timeout_s:.0f} s: {shown}: "
                f"see that a Governor runs and looks after this namespace (`{GOVERNOR_PODS}`); what was asked for stays"
            )
        time.sleep(LOOK_S)


def is_obeyed(policy: Body, bots: int) -> bool:
    """Return whether the Governor says of a policy, as it is now, that it halts at least so many bots."""
    status = policy.get("status") or {}
    ready = [each.get("status") for each in status.get("conditions") or () if each.get("type") == ConditionType.READY]
    return (
        status.get("observedGeneration") == policy["metadata"].get("generation")
        and status.get("state") == RiskState.HALTED
        and ready == ["True"]
        and int(status.get("bots") or 0) >= bots
    )


# --- off --------------------------------------------------------------------------------------------------------------


def clear(api: UserApi, wanted: Sequence[WantedHalt], *, timeout_s: float) -> list[str]:
    """Return what is not halted any more, and by whom it is all the same."""
    deadline_s = time.monotonic() + timeout_s
    said = []
    for each in wanted:
        policy = _stored(api, POLICY, each.namespace, each.policy)
        if policy is None:
            said.append(f"there is no halt of {each.what} by this command")
        else:
            api.delete(POLICY, each.namespace, each.policy, uid=policy["metadata"]["uid"])
            said.append(f"the halt of {each.what} is cleared")
        for name, value in each.labels.items():
            for bot in api.list_in(BOT, each.namespace, labelSelector=f"{name}={value}"):
                api.merge(BOT, each.namespace, bot["metadata"]["name"], {"metadata": {"labels": {name: None}}})
        _wait_until_gone(api, each, deadline_s, timeout_s)
    for namespace in sorted({each.namespace for each in wanted}):
        others = [body for body in api.list_in(POLICY, namespace) if "deletionTimestamp" not in body["metadata"]]
        said += [f"{_says(body)} all the same" for body in others if (body.get("spec") or {}).get("halt")]
    return said


def _wait_until_gone(api: UserApi, each: WantedHalt, deadline_s: float, timeout_s: float) -> None:
    while (policy := _stored(api, POLICY, each.namespace, each.policy)) is not None:
        if time.monotonic() > deadline_s:
            reason = (policy.get("status") or {}).get("reason")
            raise NotObeyedYet(
                f"{each.name} is being deleted, and is there after {timeout_s:.0f} s: {reason}: see that a Governor "
                f"runs (`{GOVERNOR_PODS}`): until then the halt stays"
            )
        time.sleep(LOOK_S)


def shown(policies: Sequence[Resource]) -> list[str]:
    """Return, in sentences, which of the policies halt."""
    return [_says(body) for body in (each.body() for each in policies) if (body.get("spec") or {}).get("halt")]


def _says(policy: Body) -> str:
    metadata = policy["metadata"]
    notes = metadata.get("annotations") or {}
    labels = ((policy["spec"].get("selector") or {}).get("matchLabels")) or {}
    which = ", ".join(f"{name}={value}" for name, value in labels.items())
    reason = notes.get(REASON_ANNOTATION) or (policy.get("status") or {}).get("reason") or "no reason given"
    by = f" for {notes[BY_ANNOTATION]}" if BY_ANNOTATION in notes else ""
    return (
        f"RiskPolicy {metadata['namespace']}/{metadata['name']} halts "
        f"{f'the bots with {which}' if which else 'every bot of its namespace'}{by}: {reason}"
    )


def _stored(api: UserApi, kind: Kind, namespace: str, name: str) -> Body | None:
    try:
        return api.get(kind, namespace, name)
    except NotFound:
        return None
