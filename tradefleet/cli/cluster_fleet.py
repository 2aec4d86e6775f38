"""A fleet in Kubernetes as commands see it: its resources in the API server, the rest through the Governor's pod."""

import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, NamedTuple

from governor.kubernetes.client import MANAGER as GOVERNOR
from governor.kubernetes.client import Body, Conflict, Kind, NotFound, Refused, custom
from governor.kubernetes.resources import merge_patch

from tradefleet.cli import cluster_halts, cluster_logs
from tradefleet.cli.cluster_api import MANAGER, UserApi
from tradefleet.cli.cluster_login import KubeconfigLogin
from tradefleet.cli.cluster_pods import GovernorPod
from tradefleet.cli.fleet_target import CONTEXT_VARIABLE, Event, LogQuery, Place, in_namespace, tell
from tradefleet.cli.inside import NEWEST
from tradefleet.cli.trials_output import TrialQuery
from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.resources.common import Metadata, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.load import Loaded, load
from tradefleet.resources.problems import InvalidResource

CUSTOM: Final[Mapping[str, Kind]] = {name: custom(name, kind.names.plural) for name, kind in KINDS.items()}
# What every role that may read anything may read; the newer group of the same objects is in fewer roles.
EVENT: Final = Kind("Event", "events")
LOOK_S: Final = 1.0
TRIES_MAX: Final = 5  # of a change that somebody else's change overtook


class NotApplied(Permanent):
    """Somebody else keeps what would be changed, or a rule forbids it."""


class ClusterChange(NamedTuple):
    """What became of one applied resource."""

    key: ResourceKey
    verb: str


class ClusterTarget:
    """Implements `Fleet` over an API server, with the rights of the context's user."""

    look_s = LOOK_S

    def __init__(self, api: UserApi, login: KubeconfigLogin, place: Place) -> None:
        self.namespace = place.namespace or login.namespace
        self.every_namespace = place.every_namespace
        self._is_asked = place.namespace is not None
        self._api = api
        self._login = login
        self._threads = ThreadPoolExecutor(len(KINDS), thread_name_prefix="kinds")

    def close(self) -> None:
        """Let go of connections and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._api.close()

    def check(self) -> None:
        """Nothing: whether a Governor runs shows in what it writes."""

    # --- reading --------------------------------------------------------------------------------------------------

    def all(self, kinds: Collection[str] = (), *, namespace: str | None = None) -> list[Resource]:
        """Return resources, sorted by kind as a fleet needs them, namespace and name."""
        wanted = [name for name in KINDS if not kinds or name in kinds]
        place = namespace or (None if self.every_namespace else self.namespace)
        pages = self._threads.map(lambda name: self._api.list_in(CUSTOM[name], place), wanted)
        found = [read_resource(name, body) for name, bodies in zip(wanted, pages, strict=True) for body in bodies]
        return sorted(found, key=lambda each: (list(KINDS).index(each.kind), each.key))

    def events(self, resource: Resource, *, limit: int) -> list[Event]:
        """Return the last events of a resource, the newest first; none, and say so, when they may not be read."""
        try:
            selector = f"involvedObject.uid={resource.metadata.uid}"
            bodies = self._api.list_in(EVENT, resource.metadata.namespace, fieldSelector=selector)
        except Permanent as error:
            tell(f"its events are not shown: {error}")
            return []
        return sorted(map(_event, bodies), reverse=True)[:limit]

    # --- changing -------------------------------------------------------------------------------------------------

    def load(self, files: Sequence[str]) -> list[Loaded]:
        """Return the resources of files. What they refer to may come later, so it is not asked for."""
        return in_namespace(load(files), self.namespace, is_asked_for=self._is_asked)

    def apply(self, loaded: Sequence[Loaded], *, force: bool) -> list[ClusterChange]:
        """Apply on the server side, after a trial of all. Raises NotApplied, naming file and line."""
        for each in loaded:
            self._apply_one(each, force=force, dry_run=True)
        changes = []
        for each in loaded:
            before = self._stored(each.resource.key)
            after = self._apply_one(each, force=force)
            is_same = before is not None and _version(before) == _version(after)
            verb = "unchanged" if is_same else "created" if before is None else "configured"
            changes.append(ClusterChange(each.resource.key, verb))
        return changes

    def _apply_one(self, loaded: Loaded, *, force: bool, dry_run: bool = False) -> Body:
        key = loaded.resource.key
        metadata = {**(loaded.body.get("metadata") or {}), "namespace": key.namespace}
        body = {**loaded.body, "metadata": metadata}
        body.pop("status", None)
        try:
            return self._api.apply_fields(CUSTOM[key.kind], body, force=force, dry_run=dry_run)
        except Conflict as error:
            raise NotApplied(
                f"{loaded.place()}: {key}: {_line(error)}: change these fields where they are kept, such as in Git, or "
                "take them over with --force"
            ) from error
        except NotFound as error:
            raise NotApplied(
                f"{loaded.place()}: {key}: {_line(error)}: make it with `kubectl create namespace {key.namespace}`"
            ) from error
        except Refused as error:
            raise NotApplied(f"{loaded.place()}: {key}: {_line(error)}") from error

    def waits_for(self, loaded: Sequence[Loaded]) -> set[ResourceKey]:
        """Return what was applied: others of the namespace may be somebody else's."""
        return {each.resource.key for each in loaded}

    def delete(self, keys: Collection[ResourceKey]) -> list[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before."""
        asked = []
        for key in sorted(keys):
            body = self._stored(key)
            if body is not None and "deletionTimestamp" not in body["metadata"]:
                self._api.delete(CUSTOM[key.kind], key.namespace, key.name, uid=body["metadata"]["uid"])
                asked.append(key)
        return asked

    def change_spec(self, key: ResourceKey, changes: Mapping[str, object]) -> bool:
        """Set fields of a spec; False when they are so already. Who may set them back is said."""
        body = self._api.get(CUSTOM[key.kind], key.namespace, key.name)
        if all(body["spec"].get(name) == value for name, value in changes.items()):
            return False
        self._api.merge(CUSTOM[key.kind], key.namespace, key.name, {"spec": dict(changes)})
        for name in changes:
            for keeper in keepers_of(body, name):
                tell(f"{key}: {keeper} keeps spec.{name} and may set it back: change it where {keeper} takes it from")
        return True

    def replace_spec(self, key: ResourceKey, spec: Mapping[str, object]) -> None:
        """Make a spec another one, whole. Who may set fields of it back is said."""
        kind = CUSTOM[key.kind]
        body = self._api.get(kind, key.namespace, key.name)
        changes = merge_patch(body["spec"], spec)
        version = {"resourceVersion": body["metadata"]["resourceVersion"]}  # what somebody changed since is not undone
        stored = self._api.merge(kind, key.namespace, key.name, {"metadata": version, "spec": changes})
        # What is left out gets its default, so only now it is known what has changed.
        names = {*changes} & {name for name in {*body["spec"], *stored["spec"]} if _differ(body, stored, name)}
        keepers = {keeper for name in names for keeper in keepers_of(body, name)}
        for keeper in sorted(keepers):
            tell(
                f"{key}: {keeper} keeps fields of its spec and may set them back: change them where it takes them from"
            )

    def annotate(self, key: ResourceKey, name: str, value: Callable[[str | None], str]) -> None:
        """Set an annotation to what `value` makes of the one before."""
        kind = CUSTOM[key.kind]
        for number in range(TRIES_MAX):
            metadata = self._api.get(kind, key.namespace, key.name)["metadata"]
            noted = {name: value((metadata.get("annotations") or {}).get(name))}
            patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": noted}}
            try:
                self._api.merge(kind, key.namespace, key.name, patch)
            except Conflict:
                if number == TRIES_MAX - 1:
                    raise
            else:
                return

    def _stored(self, key: ResourceKey) -> Body | None:
        try:
            return self._api.get(CUSTOM[key.kind], key.namespace, key.name)
        except NotFound:
            return None

    # --- halts ----------------------------------------------------------------------------------------------------

    def halt(self, chosen: Sequence[Resource], *, reason: str, timeout_s: float) -> list[str]:
        """Halt by RiskPolicies, and return when the Governor says that it is obeyed."""
        return cluster_halts.halt(self._api, self._halts_of(chosen), reason=reason, timeout_s=timeout_s)

    def clear_halt(self, chosen: Sequence[Resource], *, timeout_s: float) -> list[str]:
        """Take back the RiskPolicies of `halt`; what others halt is said."""
        return cluster_halts.clear(self._api, self._halts_of(chosen), timeout_s=timeout_s)

    def halts(self) -> list[str]:
        """Return the RiskPolicies that halt."""
        return cluster_halts.shown(self.all(["RiskPolicy"]))

    def _halts_of(self, chosen: Sequence[Resource]) -> list[cluster_halts.WantedHalt]:
        if chosen:
            spaces = {each.metadata.namespace for each in chosen}
            there = {space: self.all(["TradingBot"], namespace=space) for space in spaces}
            return [cluster_halts.halt_of(each, there[each.metadata.namespace]) for each in chosen]
        found = self.all(["TradingBot", "RiskPolicy"])
        bots = [each for each in found if each.kind == "TradingBot"]
        spaces = {self.namespace}
        if self.every_namespace:
            halted = [each for each in found if each.kind == "RiskPolicy" and each.metadata.name == cluster_halts.NAME]
            spaces = {each.metadata.namespace for each in (*bots, *halted)}
        if not spaces:
            raise Permanent("no namespace has a TradingBot: name one with -n to halt what comes to it later")
        return [
            cluster_halts.halt_of_namespace(space, [each for each in bots if each.metadata.namespace == space])
            for space in sorted(spaces)
        ]

    # --- what needs the database, or the pods -----------------------------------------------------------------------

    def print_books(self, bot: Resource) -> None:
        """Print a bot's books as the Governor's pod reads them; say so when it cannot be asked."""
        sys.stdout.flush()
        try:
            self._governor(bot.metadata.namespace).run_inside("books", bot.metadata.uid or "")
        except FleetError as error:
            tell(f"its orders, fills and wallet are not shown: {error}")

    def print_trials(self, backtest: Resource, query: TrialQuery) -> None:
        """Print the trials of a Backtest as the Governor's pod reads them. Raises Permanent when it cannot."""
        sys.stdout.flush()
        space = backtest.metadata.namespace
        name = f"{space}/{backtest.metadata.name}"
        words = [backtest.metadata.uid or "", name, query.output, str(query.limit), query.question or NEWEST]
        if self._governor(space).run_inside("trials", *words):
            raise Permanent(f"the results of Backtest {name} could not be read in the Governor's pod")

    def audit(self, output: str) -> int:
        """Print what every invariant found; return the exit status."""
        return self._governor(self.namespace).run_inside("audit", output)

    def verify_parity(self, bots: Sequence[Resource]) -> int:
        """Print whether bots decide again as recorded; return the exit status."""
        status = 0
        for space in sorted({each.metadata.namespace for each in bots}):
            words = [
                f"{each.metadata.uid}={space}/{each.metadata.name}" for each in bots if each.key.namespace == space
            ]
            status = self._governor(space).run_inside("verify-parity", *words) or status
        return status

    def read_topic(self, arguments: Sequence[str]) -> int:
        """Print a topic's messages; return the exit status."""
        return self._governor(self.namespace).run("tradefleet.cli.entry", "topic", "read", *arguments)

    def _governor(self, namespace: str) -> GovernorPod:
        return GovernorPod.find(self._api, self._login, namespace)

    def log_names(self) -> list[str]:
        """Return the names of the fleet's workloads and jobs, the Governor's included."""
        return cluster_logs.names(self._api, None if self.every_namespace else self.namespace)

    def print_logs(self, name: str, query: LogQuery) -> None:
        """Print lines of the pods of a workload or job, or of a resource."""
        space, _, bare = name.rpartition("/")
        cluster_logs.print_logs(self._api, space or self.namespace, bare, query)


def open_cluster(place: Place, environment: Mapping[str, str]) -> ClusterTarget:
    """Return the fleet of a context, which must be in the kubeconfig. Nothing is asked of the API server yet."""
    context = place.context or environment.get(CONTEXT_VARIABLE) or None
    if place.kubeconfig is not None and not place.context:
        context = None  # the file that was named has a current context of its own
    login = KubeconfigLogin(place.kubeconfig, context, environment)
    return ClusterTarget(UserApi(login), login, place)


# --- parts ------------------------------------------------------------------------------------------------------------


def read_resource(kind: str, body: Body) -> Resource:
    """Return an object of ours, without who owns which field.

    One that a newer release wrote, whose spec this one cannot read, has its spec as plain values.
    """
    body = {"apiVersion": CUSTOM[kind].api_version, "kind": kind, **body}
    body["metadata"] = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    try:
        return KINDS[kind].parse(body)
    except InvalidResource:
        model = KINDS[kind]
        warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)
        known = {name: value for name, value in body["metadata"].items() if name in _METADATA}
        status_model = model.model_fields["status"].annotation
        assert status_model is not None, f"{kind} has a status"
        return model.model_construct(
            api_version=CUSTOM[kind].api_version,
            kind=kind,
            metadata=Metadata.model_construct(**Metadata.model_validate(known, by_alias=True).__dict__),
            spec=body.get("spec") or {},
            status=status_model.model_validate(body.get("status") or {}, by_alias=True),
        )


_METADATA: Final = frozenset(field.alias or name for name, field in Metadata.model_fields.items())


def keepers_of(body: Body, field: str) -> list[str]:
    """Return who, beside people with a command line and the Governor, declares a field of an object's spec."""
    return [
        str(each.get("manager"))
        for each in body["metadata"].get("managedFields") or ()
        if each.get("operation") == "Apply"
        and each.get("manager") not in (MANAGER, GOVERNOR, "kubectl")
        and f"f:{field}" in ((each.get("fieldsV1") or {}).get("f:spec") or {})
    ]


def _event(body: Body) -> Event:
    times = (body.get("eventTime"), body.get("lastTimestamp"), body.get("firstTimestamp"))
    at = next((each for each in times if each), body["metadata"]["creationTimestamp"])
    actor = body.get("reportingComponent") or (body.get("source") or {}).get("component") or ""
    at_us = int(datetime.fromisoformat(at).timestamp() * 1_000_000)
    return Event(at_us, str(actor), str(body.get("reason") or ""), str(body.get("message") or ""))


def _version(body: Body) -> Any:  # noqa: ANN401 - opaque
    return body["metadata"]["resourceVersion"]


def _line(error: Exception) -> str:
    """Return the API server's own words."""
    return str(error).partition(": ")[2].partition(": ")[2] or str(error)


def _differ(before: Body, after: Body, name: str) -> bool:
    return bool(before["spec"].get(name) != after["spec"].get(name))
