"""What a plan has worked out, kept for the next one: a change of one bot costs as much as one bot.

Kept are values of pure functions beside what they were made from. They are used again only for the very same objects,
which a Governor keeps as long as nothing has changed; so a plan with a memory is the plan without one.
"""

import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from governor.workload import Workload
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.ids import BotUid
from tradefleet.resources.common import ResourceKey

ValueT = TypeVar("ValueT")


class Kept(Generic[ValueT]):
    """Values by UID, each made from some objects. What a plan does not ask for is forgotten by the next one."""

    def __init__(self) -> None:
        self._now: dict[BotUid, tuple[tuple[object, ...], ValueT]] = {}
        self._before: dict[BotUid, tuple[tuple[object, ...], ValueT]] = {}

    def begin(self) -> None:
        """Begin a plan."""
        self._before, self._now = self._now, {}

    def get(self, uid: BotUid, origin: tuple[object, ...], make: Callable[[], ValueT]) -> ValueT:
        """Return what was made from these very objects, or make it. What `make` raises passes through."""
        known = self._before.get(uid)
        if known is None or any(one is not other for one, other in zip(known[0], origin, strict=True)):
            known = (origin, make())
        self._now[uid] = known
        return known[1]


class Memory:
    """What is kept between two plans of one fleet."""

    def __init__(self) -> None:
        self.configs: Kept[BotConfig] = Kept()
        self.workloads: Kept[Workload] = Kept()
        self._settings: dict[ResourceKey, tuple[str, dict[str, Any]]] = {}

    def begin(self) -> None:
        """Begin a plan."""
        self.configs.begin()
        self.workloads.begin()

    def settings(self, exchange: ResourceKey, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of an exchange: those that were given before, if they say the same."""
        text = json.dumps(settings, sort_keys=True, default=str)
        known = self._settings.get(exchange)
        if known is None or known[0] != text:
            known = self._settings[exchange] = (text, settings)
        return known[1]
