"""Looks at ConfigMaps and Secrets of other people's that resources name. No watch tells of them: they bear no label."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from governor.references import Found, Reference, Referenced, ReferenceKind, found_config_map, found_secret

from .client import CONFIG_MAP, SECRET, Api, NotFound

LOOK_AGAIN_S: Final = 5.0  # what somebody changes is known so soon
LOOKS_MAX: Final = 10  # at what is known already, in one round: a thousand references cost little


@dataclass(frozen=True, slots=True)
class _Look:
    found: Referenced | None
    at_s: float


class ClusterReferences:
    """Implements `governor.ports.References`. Not for several threads."""

    def __init__(self, api: Api, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock_s = clock_s
        self._looks: dict[Reference, _Look] = {}

    def __call__(self, wanted: Collection[Reference]) -> Found:
        """Return what there is of each reference: now what is new, and of the others those seen longest ago."""
        self._looks = {each: look for each, look in self._looks.items() if each in wanted}
        for each in wanted:
            if each not in self._looks:
                self._looks[each] = self._look(each)
        self._look_again()
        return {each: look.found for each, look in self._looks.items()}

    def has_news(self) -> bool:
        """Look at what is due; return whether something is not as it was when it was asked for last."""
        before = {each: look.found for each, look in self._looks.items()}
        self._look_again()
        return any(self._looks[each].found != found for each, found in before.items())

    def _look_again(self) -> None:
        now_s = self._clock_s()
        due = [each for each, look in self._looks.items() if now_s - look.at_s >= LOOK_AGAIN_S]
        for each in sorted(due, key=lambda one: self._looks[one].at_s)[:LOOKS_MAX]:
            self._looks[each] = self._look(each)

    def _look(self, reference: Reference) -> _Look:
        is_secret = reference.kind is ReferenceKind.SECRET
        found: Referenced | None = None
        try:
            body = self._api.get(SECRET if is_secret else CONFIG_MAP, reference.namespace, reference.name)
            found = found_secret(body) if is_secret else found_config_map(body)
        except NotFound:
            pass
        before = self._looks.get(reference)
        if before is not None and before.found == found:
            found = before.found  # one copy of it, however often it is looked at
        return _Look(found, self._clock_s())
