"""The edge of bots: one process, one or many bots, one transaction a batch (rules 2, 19, 27)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.executions import Adoption
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.runtime.follower import RunFollower
from tradefleet.runtime.ports import Clock, Publisher, Streams
from tradefleet.store.ports import BotStore, RunId, RunStore
from workloads.backtest.lockstep import RunView
from workloads.strategy.slot import Slot

UPKEEP_US = 1_000_000  # how often commands are looked at


class BotDatabase(BotStore, RunStore, Protocol):
    """Everything the host reads and writes."""

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return the bot's desired state."""

    def bot_books(self, uid: BotUid) -> Adoption | None:
        """Return the bot's books as its gateway committed them last; None before the gateway opened them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """How this host runs. `instruments` are the exchange's."""

    bots: tuple[BotConfig, ...]
    exchange: str  # "namespace/name"
    account: AccountId
    instruments: Mapping[Symbol, Instrument]
    taker_ppm: int
    holder: str
    orders_topic: str
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000


class HostWorker:
    """Runs bots. One that was fenced is dropped, its neighbours go on; without any left the worker is fenced."""

    def __init__(
        self,
        plan: HostPlan,
        *,
        store: BotDatabase,
        streams: Streams,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._store = store
        self._streams = streams
        self._publisher = publisher
        self._clock = clock
        self.slots: dict[BotKey, Slot] = {}
        self._readers: dict[StreamName, list[Slot]] = {}
        self._upkeep_at_us = 0
        self._view: RunView | None = None
        self._follower: RunFollower | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take every bot's lease and fold every bot's record."""
        plan = self._plan
        self.slots = {}
        for config in sorted(plan.bots, key=lambda config: config.key):
            self.slots[config.key] = self._open(config)
        self._index()
        self._publisher.sweep([f"orders/{slot.config.uid}" for slot in self.slots.values()])  # type: ignore[list-item]
        self._streams.start(self._positions())
        self._upkeep_at_us = 0
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follower = RunFollower(self._store, plan.run, "bots", self._view)
