"""The resources of a fleet in memory, with the rules of the real ones: UIDs, generations, finalizers, annotations."""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governor.annotations import FINALIZER, OWNER_ANNOTATION

from tradefleet.resources.common import GROUP, Metadata, Resource, ResourceKey
from tradefleet.resources.model import refused_changes
from tradefleet.resources.problems import InvalidResource, Problem

DELETED = "2024-01-01T00:00:00Z"


@dataclass(frozen=True)
class MemoryChange:
    key: ResourceKey
    verb: str


class MemoryResources:
    """Implements `governor.ports.Resources`. `notes` and `written` are what was noted and how often statuses were."""

    def __init__(self, resources: Iterable[Resource] = (), *, deleted_at: Callable[[], str] = lambda: DELETED) -> None:
        self._numbers = itertools.count(1)
        self._there = {each.key: each for each in resources}
        self._deleted_at = deleted_at
        self.notes: list[tuple[ResourceKey, str, str]] = []
        self.written = 0

    def all(self) -> list[Resource]:
        return sorted(self._there.values(), key=lambda each: each.key)

    def apply(self, wanted: Sequence[Resource], *, owner: str | None = None) -> list[MemoryChange]:
        problems = [problem for each in wanted for problem in _refusals(self._there.get(each.key), each)]
        if problems:
            raise InvalidResource(problems)
        return [self._apply_one(each, owner) for each in wanted]

    def _apply_one(self, new: Resource, owner: str | None) -> MemoryChange:
        old = self._there.get(new.key)
        kept = {} if old is None else {k: v for k, v in old.metadata.annotations.items() if k.startswith(f"{GROUP}/")}
        if owner is not None:
            kept[OWNER_ANNOTATION] = owner
        metadata: dict[str, Any] = {"annotations": {**new.metadata.annotations, **kept}, "labels": new.metadata.labels}
        if old is None:
            metadata |= {"uid": f"uid-{next(self._numbers)}", "generation": 1, "finalizers": (FINALIZER,)}
            self._there[new.key] = _with(new, **metadata)
            return MemoryChange(new.key, "created")
        changed = old.digest() != new.digest()
        if not changed and all(getattr(old.metadata, name) == value for name, value in metadata.items()):
            return MemoryChange(new.key, "unchanged")
        metadata["generation"] = (old.metadata.generation or 0) + changed
        self._there[new.key] = _with(old, **metadata).model_copy(update={"spec": new.spec})
        return MemoryChange(new.key, "configured")

    def delete(self, keys: Collection[ResourceKey]) -> list[ResourceKey]:
        asked = []
        for key in sorted(keys):
            there = self._there.get(key)
            if there is not None and there.metadata.deletion_timestamp is None:
                self._there[key] = _with(there, deletion_timestamp=self._deleted_at())
                asked.append(key)
        return asked

    def annotate(self, key: ResourceKey, name: str, value: str) -> None:
        """Note something, as a person would."""
        there = self._there[key]
        self._there[key] = _with(there, annotations={**there.metadata.annotations, name: value})

    def remove(self, resource: Resource) -> None:
        there = self._there.get(resource.key)
        if there is not None and there.metadata.uid == resource.metadata.uid:
            del self._there[resource.key]

    def is_gone(self, key: ResourceKey, uid: str) -> bool:
        there = self._there.get(key)
        return there is None or there.metadata.uid != uid

    def write_statuses(self, statuses: Mapping[str, Mapping[str, object]]) -> None:
        for each in self.all():
            if each.metadata.uid in statuses:
                status = type(each.status).model_validate(statuses[each.metadata.uid], by_alias=True)
                self._there[each.key] = each.model_copy(update={"status": status})
                self.written += 1

    def note(self, key: ResourceKey, action: str, detail: str) -> None:
        self.notes.append((key, action, detail))


def _with(resource: Resource, **changes: object) -> Resource:
    metadata = Metadata(**{**resource.metadata.model_dump(), **changes})
    return resource.model_copy(update={"metadata": metadata})


def _refusals(old: Resource | None, new: Resource) -> Iterable[Problem]:
    if old is None:
        return
    if old.metadata.deletion_timestamp is not None:
        yield Problem(resource=str(new.key), path=("metadata", "name"), message="is being deleted", remedy="wait")
    for broken in refused_changes(old.spec, new.spec):
        yield Problem(resource=str(new.key), path=("spec", *broken.path), message=broken.message)
