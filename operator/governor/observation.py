"""What is seen of a fleet, at about one moment: what its bots, gateways, feeds and recorders have committed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from governor.dataset_status import DatasetFacts
from governor.status import AccountView
from tradefleet.domain.bots import BotConfig, Closure
from tradefleet.domain.ids import BotUid, Symbol
from tradefleet.domain.progress import Participant
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.trials import Trial, TrialProgress
from tradefleet.store.ports import Halt


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What a gateway keeps of one bot, as far as its end and its troubles are concerned."""

    is_ending: bool  # it knows of the bot's deletion or stop
    has_exits: bool  # a position is being sold
    lots: Mapping[Symbol, int]
    closures: Mapping[Closure, str]
    unreadable_seq: int
    is_drawn_down: bool
    absent_since_us: int = 0  # when nobody was seen to run it, UTC; 0 while somebody does
    is_abandoned: bool = False  # its dead man's switch has acted since


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Who runs a bot: `host` is the shared process it is assigned to, empty for one of its own.

    `generation` is the newest that was taken up, 0 while nobody holds the bot's lease. `trouble` says why its host has
    put it out.
    """

    host: str = ""
    generation: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All of it. Rows by UID or account."""

    runs: Mapping[str, frozenset[Participant]] = field(default_factory=dict)
    terms: Mapping[str, dict[str, object]] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    left: frozenset[Participant] = frozenset()
    configs: Mapping[BotUid, BotConfig] = field(default_factory=dict)
    books: Mapping[str, Books] = field(default_factory=dict)
    open_orders: Mapping[str, int] = field(default_factory=dict)
    statistics: Mapping[str, BotStatistics] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    refolds: Mapping[str, int] = field(default_factory=dict)  # inputs since a bot's snapshot, or since it has a record
    gateway_epochs: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, AccountView] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)  # why a gateway does not trade a bot as its owner wants
    bars: Mapping[str, int] = field(default_factory=dict)  # by exchange, over all its streams
    halts: tuple[Halt, ...] = ()
    recorded: Mapping[str, DatasetFacts] = field(default_factory=dict)  # by "namespace/name"
    trials: Mapping[str, TrialProgress] = field(default_factory=dict)  # of what each Backtest asks now
    best_trials: Mapping[str, Trial] = field(default_factory=dict)  # with figures, of the Backtests that are done
