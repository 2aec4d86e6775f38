"""The API server, spoken to in plain dictionaries: typed models of every kind would fill the memory.

What an answer means is said by the class of the error. That an object is not there is believed only when the API
server says so of this very object: a proxy's page, a kind that is not served at the moment and a time-out are
Retryable, or a Governor would take a cluster in trouble for an empty one and end what trades.

Every write can be repeated: an apply states the whole wish, a patch of status names the version that it was made
from, a deletion names the UID. So a write whose answer was lost is Retryable, too.
"""

import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar, overload

import msgspec
import urllib3

from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.resources.common import GROUP, VERSION

from .login import Login

MANAGER: Final = "tradefleet-governor"  # the one field manager of all that we write
REQUEST_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
PAGE: Final = 500  # objects in one page of a list
PAGES_MAX: Final = 1_000
LIST_TRIES_MAX: Final = 3
CONNECTIONS_MAX: Final = 16
MESSAGE_LENGTH_MAX: Final = 500

APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
PLAIN: Final = "application/json"

Body = dict[str, Any]
WantedT = TypeVar("WantedT")


class NotFound(Permanent):
    """The API server knows the kind, and there is no object of that name."""


class Conflict(Retryable):
    """Somebody else changed the object, or owns a field of it: look at it anew, and decide again."""


class AlreadyExists(Conflict):
    """There is an object of that name."""


class Refused(Permanent):
    """The API server does not take what was sent: a rule of the kind, a quota, or no right to do it."""


class Forbidden(Refused):
    """We have no right to do it, there is no room for it, or its namespace is about to go."""


class NameTaken(Permanent):
    """An object of that name is there, and not ours: it is left alone."""


class Unreachable(Retryable):
    """The API server did not answer, or could not."""


class Expired(Retryable):
    """A list took so long that its pages are gone: it must begin again."""


class Kind(NamedTuple):
    """A kind of object and where it is served."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"

    @property
    def api_version(self) -> str:
        """Return what stands in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or of all of a namespace."""
        base = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        parts = [base, "namespaces", namespace, self.plural, name, subresource]
        return "/".join(urllib.parse.quote(part, safe="/") if part == base else part for part in parts if part)


SERVICE_ACCOUNT: Final = Kind("ServiceAccount", "serviceaccounts")
SECRET: Final = Kind("Secret", "secrets")
CONFIG_MAP: Final = Kind("ConfigMap", "configmaps")
SERVICE: Final = Kind("Service", "services")
POD: Final = Kind("Pod", "pods")
NETWORK_POLICY: Final = Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io")
DEPLOYMENT: Final = Kind("Deployment", "deployments", "apps")
ROLE_BINDING: Final = Kind("RoleBinding", "rolebindings", "rbac.authorization.k8s.io")
JOB: Final = Kind("Job", "jobs", "batch")
LEASE: Final = Kind("Lease", "leases", "coordination.k8s.io")
EVENT: Final = Kind("Event", "events", "events.k8s.io")


def custom(kind: str, plural: str) -> Kind:
    """Return a kind of our own group."""
    return Kind(kind, plural, GROUP, VERSION)


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    namespace: str = ""
    uid: str = ""
    version: str = msgspec.field(default="", name="resourceVersion")


class _Head(msgspec.Struct, frozen=True):
    metadata: _Metadata


class _PageMetadata(msgspec.Struct, frozen=True):
    version: str = msgspec.field(default="", name="resourceVersion")
    more: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, frozen=True):
    metadata: _PageMetadata = _PageMetadata()
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a list. What most lists tell is known already, so the rest is decoded only when it is asked for."""

    key: tuple[str, str]  # namespace, name
    uid: str
    version: int
    data: bytes

    def body(self) -> Body:
        """Return the object."""
        found: Body = msgspec.json.decode(self.data)
        return found


def listed(data: bytes) -> Listed:
    """Return an object of a list, from its JSON."""
    head = msgspec.json.decode(data, type=_Head).metadata
    return Listed((head.namespace, head.name), head.uid, _number(head.version), data)


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind in a namespace, as they were at `version` (a resourceVersion)."""

    items: Sequence[Listed]
    version: int


class Api:
    """One API server. Any thread may use it. `permit` is called before each write; it raises when there may be none."""

    def __init__(self, login: Login, permit: Callable[[], None] = lambda: None) -> None:
        self._login = login
        self._permit = permit
        self._server = login.server
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=CONNECTIONS_MAX, block=False, retries=False, ssl_context=login.trust()
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.clear()

    def get(self, kind: Kind, namespace: str, name: str) -> Body:
        """Return an object. Raises NotFound."""
        return self._send("GET", kind.path(namespace, name))

    def namespace(self, name: str) -> Body:
        """Return a namespace. Raises NotFound."""
        return self._send("GET", f"/api/v1/namespaces/{urllib.parse.quote(name, safe='')}")

    def list(self, kind: Kind, namespace: str, *, selector: str = "") -> Listing:
        """Return all objects of a kind in a namespace that have the labels."""
        for _ in range(LIST_TRIES_MAX - 1):
            try:
                return self._list(kind, namespace, selector)
            except Expired:  # a page was asked for too late
                continue
        return self._list(kind, namespace, selector)

    def _list(self, kind: Kind, namespace: str, selector: str) -> Listing:
        items: list[Listed] = []
        version, more = 0, ""
        for _ in range(PAGES_MAX):
            parameters = {"limit": str(PAGE), "labelSelector": selector, "continue": more}
            status, data = self._ask("GET", kind.path(namespace), parameters=parameters)
            page = read_answer(status, data, f"GET {kind.path(namespace)}", _Page)
            # A copy each: what is kept of one object shall not keep the whole page.
            items += [listed(bytes(each)) for each in page.items or ()]
            version = version or _number(page.metadata.version)
            more = page.metadata.more
            if not more:
                return Listing(items, version)
        raise Retryable(f"API server: {kind.plural} in {namespace}: more than {PAGES_MAX * PAGE} of them")

    def apply(self, kind: Kind, body: Body, *, is_ours: bool) -> Body:
        """Return the object after its fields were made those of `body` (server-side apply).

        `is_ours` says that the object is our own, where our word counts more than anybody's. Raises Conflict when it
        is not and somebody owns a field that would change.
        """
        metadata = body["metadata"]
        parameters = {"fieldManager": MANAGER, "force": "true" if is_ours else "false"}
        path = kind.path(metadata["namespace"], metadata["name"])
        return self._send("PATCH", path, body, parameters=parameters, content_type=APPLY)

    def create(self, kind: Kind, body: Body) -> Body:
        """Return the new object. Raises AlreadyExists."""
        path = kind.path(body["metadata"]["namespace"])
        return self._send("POST", path, body, parameters={"fieldManager": MANAGER})

    def replace(self, kind: Kind, body: Body) -> Body:
        """Return the object after it was made `body`, which names the version it replaces. Raises Conflict."""
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return self._send("PUT", path, body, parameters={"fieldManager": MANAGER})

    def rewrite(self, kind: Kind, stored: Body, wanted: Body) -> Body:
        """Return the object after what differs from `stored` was made as in `wanted`; raises Conflict when it is stale.

        A patch, since a Governor may patch objects and not replace them.
        """
        namespace, name = key_of(stored)
        return self._send(
            "PATCH",
            kind.path(namespace, name),
            rewriting(stored, wanted),
            parameters={"fieldManager": MANAGER},
            content_type=JSON_PATCH,
        )

    def merge(self, kind: Kind, namespace: str, name: str, patch: Body, *, subresource: str = "") -> Body:
        """Return the object after a JSON merge patch; raises Conflict when the version in it is stale."""
        path = kind.path(namespace, name, subresource)
        return self._send("PATCH", path, patch, parameters={"fieldManager": MANAGER}, content_type=MERGE)

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> Body | None:
        """Ask for the deletion of this very object, and of what it owns after it; nothing happens when it is gone.

        Return the object when it stays for a while, as finalizers or a grace period ask.
        """
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            answer = self._send("DELETE", kind.path(namespace, name), options)
        except (NotFound, Conflict):
            return None  # gone, or another object of the same name is there by now
        return answer if answer.get("metadata", {}).get("deletionTimestamp") else None

    def serves(self, group: str) -> bool:
        """Return whether a group of kinds is there, such as another operator brings."""
        return any(each.get("name") == group for each in self._send("GET", "/apis").get("groups") or ())

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = PLAIN,
    ) -> Body:
        status, data = self._ask(method, path, body, parameters=parameters, content_type=content_type)
        return read_answer(status, data, f"{method} {path}")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = PLAIN,
    ) -> tuple[int, bytes]:
        if method != "GET":
            self._permit()
        given = {name: value for name, value in (parameters or {}).items() if value}
        url = f"{self._server}{path}{'?' + urllib.parse.urlencode(given) if given else ''}"
        headers = {"Accept": PLAIN, "User-Agent": MANAGER}
        token = self._login.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            answer = self._pool.request(
                method,
                url,
                body=None if body is None else msgspec.json.encode(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=REQUEST_TIMEOUT_S),
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise Unreachable(f"API server: {method} {path}: no answer: {error}") from error
        return answer.status, answer.data


def rewriting(stored: Body, wanted: Body) -> list[Body]:
    """Return the JSON patch (RFC 6902) from a stored object to what it should be."""
    # Not as a test: an API server calls a version that is another one by now a conflict, a failed test a bad request.
    version = stored["metadata"]["resourceVersion"]
    steps: list[Body] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
    for path, old, new in (("", stored, wanted), ("/metadata", stored["metadata"], wanted["metadata"])):
        for name in sorted((old.keys() | new.keys()) - {"metadata", "status", "resourceVersion", "managedFields"}):
            if name not in new:
                steps.append({"op": "remove", "path": f"{path}/{name}"})
            elif old.get(name) != new[name]:
                steps.append({"op": "add", "path": f"{path}/{name}", "value": new[name]})
    return steps


@overload
def read_answer(status: int, data: bytes, what: str) -> Body: ...
@overload
def read_answer(status: int, data: bytes, what: str, wanted: type[WantedT]) -> WantedT: ...
def read_answer(status: int, data: bytes, what: str, wanted: Any = Body) -> Any:
    """Return what an answer of the API server holds, by default an object. Raises what it means: see the module."""
    is_good = 200 <= status < 300
    try:
        found = msgspec.json.decode(data, type=wanted if is_good else Body)
    except msgspec.DecodeError:  # not the API server's own word
        found = None
    if is_good and found is not None:
        return found
    found = None if is_good else found
    said = found if found is not None and found.get("kind") == "Status" else {}
    reason = str(said.get("reason", ""))
    message = str(said.get("message", "") or f"status {status}")[:MESSAGE_LENGTH_MAX]
    text = f"API server: {what}: {message}"
    match status, reason:
        case 404, "NotFound" if _is_about_the_object(said):
            raise NotFound(text)
        case 409, "AlreadyExists":
            raise AlreadyExists(text)
        case 409, _:
            raise Conflict(text)
        case 410, _:
            raise Expired(text)
        case 403, _ if said:
            raise Forbidden(text)
        case ((400 | 405 | 406 | 413 | 415 | 422), _) if said:
            raise Refused(text)
        case _:
            raise Unreachable(text)


def _is_about_the_object(said: Mapping[str, Any]) -> bool:
    """Return whether a "not found" names an object. One about a path that is not served comes with a cause, or bare."""
    details = said.get("details") or {}
    causes = [each.get("reason") for each in details.get("causes") or ()]
    return bool(details.get("name")) and "UnexpectedServerResponse" not in causes


def number_of(body: Mapping[str, Any]) -> int:
    """Return the resourceVersion of an object or list as a number, 0 without one. They grow (KEP-5504)."""
    return _number(str(body.get("metadata", {}).get("resourceVersion", "")))


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


def key_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return namespace and name of an object."""
    metadata = body["metadata"]
    return metadata["namespace"], metadata["name"]


def owners_of(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the UIDs of an object's owners."""
    for each in body["metadata"].get("ownerReferences") or ():
        yield each["uid"]
