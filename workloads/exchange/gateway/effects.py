"""What a batch of inputs did to a gateway: everything its edge must commit, and then send."""

from dataclasses import dataclass

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
    """Something a risk owner asks about: an exit set off, a limit that refused, an order that is not ours.

    `client_order_id` names the order that was refused.
    """

    market_us: int
    bot: BotKey | None
    reason: Reason
    detail: str
    client_order_id: ClientOrderId | None = None


class GatewayEffects:
    """In the order in which they came about. `orders` and `accounts` are what changed, to be written as they are.

    `gone` are bots whose books a namesake has replaced: their state row can be deleted. A plain class, since a replay
    makes several of them a step.
    """

    __slots__ = (
        "accounts",
        "dead_letters",
        "entries",
        "events",
        "executions",
        "fills",
        "gone",
        "orders",
        "settled",
        "statistics",
        "venue_requests",
    )

    def __init__(self, *, executions: list[Execution] | None = None) -> None:
        self.venue_requests: list[VenueRequest] = []
        self.executions: list[Execution] = executions or []
        self.entries: list[LedgerEntry] = []
        self.fills: list[FillEffect] = []
        self.statistics: list[BotStatistics] = []
        self.settled: list[int] = []
        self.events: list[RiskEvent] = []
        self.dead_letters: list[tuple[VenueReport | BotRequest, str]] = []  # what could not be applied, and why
        self.orders: dict[ClientOrderId, ManagedOrder] = {}
        self.accounts: set[BotKey] = set()
        self.gone: list[BotUid] = []
