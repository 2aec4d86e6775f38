"""Namespaces that end: where their fleets are wound down, and how long we keep our rights in them.

Kubernetes takes everything out of a namespace that is deleted, at once and in no order: pods are told to end whatever
finalizers they bear, nothing new can be made there, and the RoleBinding goes by which we may do anything at all. So
what a bot needs for its end, its gateway and its market, runs in our own namespace meanwhile; and the RoleBinding bears
our finalizer as long as there is a resource of ours beside it (decision 14).
"""

import logging
import time
from collections.abc import Callable, Collection
from enum import Enum
from typing import Final

from governor.annotations import FINALIZER
from tradefleet.domain.errors import FleetError, Retryable

from .client import ROLE_BINDING, Api, Conflict, Forbidden, NotFound

_LOG: Final = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 2.0


class Stage(Enum):
    """Where a namespace is in its life."""

    THERE = "there"
    ENDING = "ending"
    GONE = "gone"


class Namespaces:
    """The namespaces that a Governor looks after. `own` is the one that it runs in. Not for several threads.

    `binding` is the name of the RoleBinding that gives it its rights in the others, empty when that is not known.
    """

    def __init__(
        self,
        api: Api,
        *,
        own: str,
        watched: Collection[str],
        binding: str,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._own = own
        self._others = sorted(set(watched) - {own})
        self._binding = binding
        self._clock_s = clock_s
        self._stages: dict[str, Stage] = {}
        self._ended: dict[str, str] = {}  # when the deletion of a namespace was asked for
        self._looked_s: dict[str, float] = {}
        self._held: dict[str, bool] = {}  # whether a binding bears our finalizer
        self._complained: set[str] = set()

    def look(self, namespaces: Collection[str], *, anew: Collection[str] = ()) -> None:
        """Find out whether these namespaces still stand; what was found a moment ago is believed, but not of `anew`."""
        for namespace in sorted({*namespaces, *anew}):
            is_fresh = self._clock_s() - self._looked_s.get(namespace, -LOOK_AGAIN_S) < LOOK_AGAIN_S
            if is_fresh and namespace not in anew:
                continue
            before, stage = self._stages.get(namespace), self._find(namespace)
            self._stages[namespace] = stage
            self._looked_s[namespace] = self._clock_s()
            if stage is Stage.ENDING and before is not Stage.ENDING and namespace != self._own:
                _LOG.warning("namespace %s is being deleted: its bots are wound down from %s", namespace, self._own)

    def stage(self, namespace: str) -> Stage:
        """Return where a namespace is, as `look` found it last."""
        return self._stages.get(namespace, Stage.THERE)

    def ended(self, namespace: str) -> str:
        """Return when the deletion of a namespace was asked for; empty for one that stays, as far as `look` found."""
        return self._ended.get(namespace, "") if self.stage(namespace) is Stage.ENDING else ""

    def home_of(self, namespace: str) -> str:
        """Return the namespace that runs the workloads of one: itself, or ours while it ends."""
        return self._own if self.stage(namespace) is Stage.ENDING else namespace

    def _find(self, namespace: str) -> Stage:
        try:
            body = self._api.namespace(namespace)
        except NotFound:
            return Stage.GONE
        except Forbidden as error:
            self._complain(namespace, f"namespace {namespace}: whether it is being deleted cannot be seen: {error}")
            return Stage.THERE
        self._ended[namespace] = str(body["metadata"].get("deletionTimestamp", ""))
        return Stage.ENDING if self._ended[namespace] else Stage.THERE

    # --- our rights -----------------------------------------------------------------------------------------------

    def forget_bindings(self) -> None:
        """Look at the RoleBindings anew next time: somebody may have changed them."""
        self._held.clear()

    def keep_rights(self, used: Collection[str]) -> None:
        """Let the RoleBindings stay in the namespaces that hold resources of ours, and let the others go."""
        if not self._binding:
            return
        for namespace in self._others:
            is_used = namespace in used
            if self._held.get(namespace) is not is_used:
                self._hold(namespace, is_used=is_used)

    def _hold(self, namespace: str, *, is_used: bool) -> None:
        try:
            metadata = self._api.get(ROLE_BINDING, namespace, self._binding)["metadata"]
            finalizers = list(metadata.get("finalizers") or ())
            if (FINALIZER in finalizers) is not is_used:
                kept = [each for each in finalizers if each != FINALIZER]
                wanted = [*kept, FINALIZER] if is_used else kept
                patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": wanted}}
                self._api.merge(ROLE_BINDING, namespace, self._binding, patch)
            self._held[namespace] = is_used
        except (NotFound, Conflict):
            return  # looked at again next time
        except Retryable:
            raise
        except FleetError as error:
            self._held[namespace] = is_used
            text = f"RoleBinding {namespace}/{self._binding} cannot be kept for the end of its namespace: {error}"
            if is_used:
                self._complain(namespace, text)

    def _complain(self, namespace: str, text: str) -> None:
        if namespace not in self._complained:
            self._complained.add(namespace)
            _LOG.warning("%s", text)
