"""Whether what is stored is what should be. Pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from .client import Body
from .manifests import OWN_PREFIX

CONTENT: Final = ("spec", "data", "type", "automountServiceAccountToken")
# What an API server fills in by its own lights, the cluster's addresses above all.
FILLED_IN: Final = frozenset({"ipFamilies", "ipFamilyPolicy", "trafficDistribution", "creationTimestamp", "status"})
EMPTY: Final[tuple[object, ...]] = ("", [], {}, None)
AMOUNTS: Final = frozenset({"requests", "limits"})

_QUANTITY: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<suffix>m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
_SUFFIXES: Final = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def is_as_wanted(wanted: Body, stored: Body) -> bool:
    """Return whether a stored object says what `wanted` says, and no more where that would change what it does.

    Labels and annotations of others may stand beside ours; those under our own prefix may not.
    """
    if any(not _same(wanted.get(part), stored.get(part)) for part in CONTENT):
        return False
    new, old = wanted["metadata"], stored["metadata"]
    if not _same(new.get("ownerReferences"), old.get("ownerReferences")):
        return False
    return all(_has_ours(new.get(part) or {}, old.get(part) or {}) for part in ("labels", "annotations"))


def replacement(wanted: Body, stored: Body) -> Body | None:
    """Return `stored` with its content replaced by what is wanted; None when it is as wanted.

    An apply leaves alone what somebody else added, such as a variable of a container: only this takes it away.
    """
    if is_as_wanted(wanted, stored):
        return None
    mended = {name: value for name, value in stored.items() if name not in (*CONTENT, "status")}
    for part in CONTENT:
        if part in wanted:
            mended[part] = _keeping_filled_in(wanted[part], stored.get(part))
    metadata = dict(stored["metadata"])
    metadata["ownerReferences"] = wanted["metadata"].get("ownerReferences") or []
    for part in ("labels", "annotations"):
        others = {name: value for name, value in (metadata.get(part) or {}).items() if not name.startswith(OWN_PREFIX)}
        metadata[part] = {**others, **(wanted["metadata"].get(part) or {})}
    mended["metadata"] = metadata
    return mended


def _keeping_filled_in(wanted: object, stored: object) -> object:
    if isinstance(wanted, Mapping) and isinstance(stored, Mapping):
        return {**{name: value for name, value in stored.items() if name in FILLED_IN}, **wanted}
    return wanted


def _has_ours(wanted: Mapping[str, str], stored: Mapping[str, str]) -> bool:
    ours = {name for name in stored if name.startswith(OWN_PREFIX)}
    return all(stored.get(name) == value for name, value in wanted.items()) and ours <= wanted.keys()


def _same(wanted: object, stored: object, field: str = "") -> bool:
    if isinstance(wanted, Mapping) and isinstance(stored, Mapping):
        if field in AMOUNTS:
            return _amounts(wanted) == _amounts(stored)
        names = (wanted.keys() | stored.keys()) - FILLED_IN
        return all(_same(wanted.get(name), stored.get(name), name) for name in names)
    if isinstance(wanted, list | tuple) and isinstance(stored, list | tuple):
        return len(wanted) == len(stored) and all(_same(a, b) for a, b in zip(wanted, stored, strict=True))
    if wanted in EMPTY and stored in EMPTY:
        return True
    return wanted == stored


def _amounts(values: Mapping[str, Any]) -> dict[str, Decimal | str]:
    """Return amounts by what they mean: an API server writes 1024Mi as 1Gi."""
    return {name: _amount(str(value)) for name, value in values.items()}


def _amount(text: str) -> Decimal | str:
    match = _QUANTITY.fullmatch(text)
    return text if match is None else Decimal(match["number"]) * _SUFFIXES[match["suffix"]]
