"""What a batch of inputs did to a gateway: everything its edge must commit, and then send."""

from dataclasses import dataclass, field

from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import BotKey, BotUid, ClientOrderId
from tradefleet.domain.ledger import LedgerEntry
from tradefleet.domain.orders import BotRequest, Reason
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import VenueReport, VenueRequest
from workloads.exchange.gateway.order import ManagedOrder


@dataclass(frozen=True, slots=True)
class FillEffect:
    """A trade that was applied."""

    client_order_id: ClientOrderId
    trade_id: str
    canonical: CanonicalFill


@dataclass(frozen=True, slots=True)
class RiskEvent:
    """Something a risk owner asks about: an exit set off, a limit that refused, an order that is not ours."""

    market_us: int
    bot: BotKey | None
    reason: Reason
    detail: str


@dataclass(slots=True)
class GatewayEffects:
    """In the order in which they came about. `orders` and `accounts` are what changed, to be written as they are.

    `gone` are bots whose books a namesake has replaced: their state row can be deleted.
    """

    venue_requests: list[VenueRequest] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    entries: list[LedgerEntry] = field(default_factory=list)
    fills: list[FillEffect] = field(default_factory=list)
    statistics: list[BotStatistics] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    events: list[RiskEvent] = field(default_factory=list)
    dead_letters: list[tuple[VenueReport | BotRequest, str]] = field(default_factory=list)  # not applied, and why
    orders: dict[ClientOrderId, ManagedOrder] = field(default_factory=dict)
    accounts: set[BotKey] = field(default_factory=set)
    gone: list[BotUid] = field(default_factory=list)
