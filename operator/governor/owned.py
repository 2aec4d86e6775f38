"""What resources make for themselves: bots of sets, and Feeds of Exchanges. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from governor.annotations import OWNER_ANNOTATION
from tradefleet.resources.common import Resource, ResourceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedChange:
    """What brings the resources that one makes closer to what they should be: those to apply, and those to delete."""

    apply: tuple[Resource, ...] = ()
    delete: tuple[ResourceKey, ...] = ()


def is_of(resource: Resource, owner: Resource) -> bool:
    """Return whether `owner` made a resource."""
    return resource.metadata.annotations.get(OWNER_ANNOTATION) == owner.metadata.uid


def has_owned(owner: Resource, resources: Iterable[Resource]) -> bool:
    """Return whether something that `owner` made is still there."""
    return any(is_of(each, owner) for each in resources)


def is_ending(resource: Resource) -> bool:
    """Return whether the deletion of a resource was asked for."""
    return resource.metadata.deletion_timestamp is not None
