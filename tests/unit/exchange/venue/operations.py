"""Random operations on a venue, for properties."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.unit.exchange.venue.scenes import ALICE, BOB, Player, order_id, terms
from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.orders import OrderTerms, OrderType, Side, TimeInForce
from tradefleet.domain.venue import VenueReport

ORDER_NUMBERS_MAX = 12  # few, so that ids repeat and cancels meet living and dead orders
LOTS_MAX = 6


@dataclass(frozen=True)
class Submit:
    account: AccountId
    id: ClientOrderId
    terms: OrderTerms


@dataclass(frozen=True)
class Cancel:
    account: AccountId
    id: ClientOrderId


@dataclass(frozen=True)
class Amend:
    account: AccountId
    id: ClientOrderId
    lots: int | None
    price_ticks: int | None


@dataclass(frozen=True)
class CloseBar:
    prices: tuple[int, int, int, int]
    volume: float


Operation = Submit | Cancel | Amend | CloseBar

PRICES = st.integers(96, 104)


@st.composite
def order_terms(draw: st.DrawFn, **fixed: Any) -> OrderTerms:
    kind = draw(st.sampled_from([*OrderType, OrderType.LIMIT, OrderType.LIMIT, OrderType.LIMIT]))
    limited = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    time_in_force = draw(st.sampled_from([*TimeInForce, TimeInForce.GTC, TimeInForce.GTC]))
    return terms(
        draw(st.sampled_from(Side)),
        draw(st.integers(1, LOTS_MAX)),
        draw(PRICES) if limited else None,
        trigger_ticks=draw(PRICES) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=time_in_force,
        post_only=limited and time_in_force is TimeInForce.GTC and draw(st.sampled_from([False, False, True])),
        **fixed,
    )


ACCOUNTS = st.sampled_from([ALICE, BOB])
IDS = st.builds(order_id, st.integers(1, ORDER_NUMBERS_MAX), st.sampled_from(["a", "b"]))


@st.composite
def bar_prices(draw: st.DrawFn) -> tuple[int, int, int, int]:
    prices = [draw(PRICES) for _ in range(4)]
    return prices[0], max(prices), min(prices), prices[1]


def requests(**fixed: Any) -> st.SearchStrategy[Operation]:
    """Return submissions (most often), cancels and amendments."""
    submit = st.builds(Submit, ACCOUNTS, IDS, order_terms(**fixed))
    amend = st.builds(Amend, ACCOUNTS, IDS, st.none() | st.integers(1, LOTS_MAX), st.none() | PRICES)
    return st.one_of(submit, submit, submit, st.builds(Cancel, ACCOUNTS, IDS), amend)


def operations(**fixed: Any) -> st.SearchStrategy[Operation]:
    """Return requests, and bars between them."""
    bars = st.builds(CloseBar, bar_prices(), st.sampled_from([0.02, 0.1, 100.0]))
    return st.one_of(requests(**fixed), requests(**fixed), bars)


def apply(player: Player, operation: Operation) -> list[VenueReport]:
    match operation:
        case Submit():
            return player.submit(operation.id, operation.terms, operation.account)
        case Cancel():
            return player.cancel(operation.id, operation.account)
        case Amend():
            return player.amend(operation.id, operation.account, lots=operation.lots, price_ticks=operation.price_ticks)
        case CloseBar():
            return player.bar(*operation.prices, volume=operation.volume)
