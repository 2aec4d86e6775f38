"""What a gateway and a venue say to each other: numbered requests one way, numbered reports the other.

The terms are the same for the simulator, for paper trading and for a real venue behind an adapter. Requests of an
account are numbered by its gateway, reports of an account by the venue (or by the adapter that speaks for it); both
numbers are gapless, so either side can ask for what it missed (rule 16).

`market_us` is the gateway's market time, `decided_us` that of the newest input which whoever asks has seen: a bot may
be ahead of its gateway, and of the venue. 0 is in requests from before it was kept, and means the same as no time.
"""

from enum import StrEnum

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import AccountId, ClientOrderId, Symbol
from tradefleet.domain.orders import OrderTerms, Reason, Side


class Liquidity(StrEnum):
    """Which side of a trade an order was on; the fee depends on it."""

    MAKER = "MAKER"
    TAKER = "TAKER"


@frozen()
class SubmitOrder:
    """Ask the venue for a new order.

    `protection_ticks` is the worst price at which a market or stop order that buys may fill: the price its funds were
    reserved at. What could only fill beyond it expires with INSUFFICIENT_FUNDS (rule 15).
    """

    no: int
    client_order_id: ClientOrderId
    terms: OrderTerms
    market_us: int
    protection_ticks: int | None = None
    decided_us: int = 0


@frozen()
class CancelOrder:
    """Ask the venue to cancel what is left of an order."""

    no: int
    client_order_id: ClientOrderId
    market_us: int
    decided_us: int = 0


@frozen()
class AmendOrder:
    """Ask the venue to change an open limit order; None leaves as it is. `lots` is the new total size."""

    no: int
    client_order_id: ClientOrderId
    market_us: int
    lots: int | None = None
    price_ticks: int | None = None
    decided_us: int = 0


@frozen()
class DepositFunds:
    """Give the account paper money. Simulators only; `reference` makes a repeat harmless."""

    no: int
    reference: str
    asset: str
    atoms: int
    market_us: int


@frozen()
class VoidRequest:
    """A request number that stands for nothing any more: refused by the halt switch after it was numbered."""

    no: int


VenueRequest = SubmitOrder | CancelOrder | AmendOrder | DepositFunds | VoidRequest


class ReportKind(StrEnum):
    """What a venue report says."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TRIGGERED = "TRIGGERED"
    FILLED = "FILLED"  # one trade; whether the order is done follows from its lots
    AMENDED = "AMENDED"
    AMEND_REJECTED = "AMEND_REJECTED"
    CANCELED = "CANCELED"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    EXPIRED = "EXPIRED"
    DEPOSITED = "DEPOSITED"


@frozen()
class Trade:
    """One trade of one order. `fee_atoms` > 0 is paid, < 0 a rebate, in atoms of `fee_asset`."""

    trade_id: str  # unique per venue
    lots: int
    price_ticks: int
    fee_atoms: int
    fee_asset: str
    liquidity: Liquidity


@frozen()
class VenueReport:
    """What happened to one order of an account. `no` is gapless per account; `market_us` is the venue's time."""

    no: int
    kind: ReportKind
    client_order_id: ClientOrderId  # the deposit's reference for DEPOSITED
    market_us: int
    reason: Reason = Reason.NONE
    trade: Trade | None = None  # FILLED
    lots: int | None = None  # AMENDED: the new total size
    price_ticks: int | None = None  # AMENDED: the new limit price


@frozen()
class VenueOrder:
    """An order as the venue sees it: the answer to a query by client id."""

    account: AccountId
    client_order_id: ClientOrderId
    symbol: Symbol
    side: Side
    lots: int
    filled_lots: int
    price_ticks: int | None
    is_open: bool = True


def untouched_order(account: AccountId, request: SubmitOrder) -> VenueOrder:
    """Return an order as it was asked for, before anything has become of it."""
    terms = request.terms
    return VenueOrder(
        account=account,
        client_order_id=request.client_order_id,
        symbol=terms.symbol,
        side=terms.side,
        lots=terms.lots,
        filled_lots=0,
        price_ticks=terms.price_ticks,
    )
