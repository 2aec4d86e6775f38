"""Orders: terms that contradict each other are refused, and the statuses form one way through life."""

from itertools import product
from typing import Any

import pytest

from tradefleet.domain.errors import InvalidOrder, InvalidTransition
from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol
from tradefleet.domain.money import LOTS_MAX, TICKS_MAX
from tradefleet.domain.orders import (
    FINAL_STATUSES,
    AmendRequest,
    OrderStatus,
    OrderTerms,
    OrderType,
    Side,
    TimeInForce,
    check_transition,
)

ORDER = ClientOrderId("ABCDEFGHIJKLM1")


def can_go(before: OrderStatus, after: OrderStatus) -> bool:
    try:
        check_transition(ORDER, before, after)
    except InvalidTransition:
        return False
    return True


def reachable_from(start: OrderStatus) -> set[OrderStatus]:
    found, border = {start}, [start]
    while border:
        before = border.pop()
        fresh = {after for after in OrderStatus if can_go(before, after)} - found
        found |= fresh
        border += fresh
    return found


def test_every_status_is_reachable_from_the_first() -> None:
    assert reachable_from(OrderStatus.INITIALIZED) == set(OrderStatus)


def test_there_is_no_way_out_of_a_final_status() -> None:
    for before in FINAL_STATUSES:
        assert before.is_final
        assert not any(can_go(before, after) for after in OrderStatus)


def test_every_open_status_can_end_at_the_venue() -> None:
    at_venue = set(OrderStatus) - FINAL_STATUSES - {OrderStatus.INITIALIZED}
    for before, after in product(at_venue, (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED)):
        assert can_go(before, after)


def test_no_order_becomes_new_again() -> None:
    assert not any(can_go(before, OrderStatus.INITIALIZED) for before in OrderStatus)


@pytest.mark.parametrize("filled", [OrderStatus.PARTIALLY_FILLED, OrderStatus.TRIGGERED])
def test_what_has_traded_or_triggered_is_not_merely_accepted_again(filled: OrderStatus) -> None:
    assert not can_go(filled, OrderStatus.ACCEPTED)


def test_only_an_unanswered_order_can_be_denied_or_rejected() -> None:
    for refused in (OrderStatus.DENIED, OrderStatus.REJECTED):
        for before in (OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED):
            assert not can_go(before, refused)


def test_a_refused_step_names_order_and_both_statuses() -> None:
    with pytest.raises(InvalidTransition, match=f"order {ORDER}: cannot go from FILLED to CANCELED"):
        check_transition(ORDER, OrderStatus.FILLED, OrderStatus.CANCELED)


def terms(**changes: Any) -> OrderTerms:
    fields: dict[str, Any] = {
        "symbol": Symbol("BTC-USD"),
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "lots": 1,
        "price_ticks": 100,
    }
    return OrderTerms(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lots": 0}, "lots must be > 0, was 0"),
        ({"lots": -5}, "lots must be > 0, was -5"),
        ({"price_ticks": None}, "a price belongs to limit orders only, type is LIMIT"),
        ({"price_ticks": 0}, "price_ticks must be > 0, was 0"),
        ({"type": OrderType.MARKET}, "a price belongs to limit orders only, type is MARKET"),
        ({"type": OrderType.STOP, "trigger_ticks": 5}, "a price belongs to limit orders only, type is STOP"),
        ({"type": OrderType.STOP_LIMIT}, "a trigger belongs to stop orders only, type is STOP_LIMIT"),
        ({"trigger_ticks": 5}, "a trigger belongs to stop orders only, type is LIMIT"),
        ({"type": OrderType.STOP_LIMIT, "trigger_ticks": -1}, "trigger_ticks must be > 0, was -1"),
        ({"lots": LOTS_MAX + 1}, f"lots must be at most {LOTS_MAX}, was {LOTS_MAX + 1}"),
        ({"price_ticks": TICKS_MAX + 1}, f"price_ticks must be at most {TICKS_MAX}, was {TICKS_MAX + 1}"),
        (
            {"type": OrderType.STOP_LIMIT, "trigger_ticks": TICKS_MAX + 1},
            f"trigger_ticks must be at most {TICKS_MAX}, was {TICKS_MAX + 1}",
        ),
        ({"post_only": True, "time_in_force": TimeInForce.IOC}, "post_only needs a GTC limit order"),
        ({"post_only": True, "type": OrderType.MARKET, "price_ticks": None}, "post_only needs a GTC limit order"),
    ],
)
def test_terms_that_no_venue_could_hold_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOrder) as caught:
        terms(**changes)
    assert str(caught.value) == f"order for BTC-USD: {message}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"post_only": True},
        {"type": OrderType.MARKET, "price_ticks": None},
        {"type": OrderType.STOP, "price_ticks": None, "trigger_ticks": 7},
        {"type": OrderType.STOP_LIMIT, "trigger_ticks": 7},
        {"time_in_force": TimeInForce.FOK},
        {"type": OrderType.STOP_LIMIT, "lots": LOTS_MAX, "price_ticks": TICKS_MAX, "trigger_ticks": TICKS_MAX},
    ],
)
def test_terms_of_each_type_are_accepted(changes: dict[str, Any]) -> None:
    assert terms(**changes).lots == changes.get("lots", 1)


def test_a_side_moves_the_position_its_way() -> None:
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lots": LOTS_MAX + 1}, f"lots must be at most {LOTS_MAX}, was {LOTS_MAX + 1}"),
        ({"price_ticks": TICKS_MAX + 1}, f"price_ticks must be at most {TICKS_MAX}, was {TICKS_MAX + 1}"),
    ],
)
def test_a_change_beyond_what_can_be_kept_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOrder) as caught:
        amendment(**changes)
    assert str(caught.value) == f"amendment of order {ORDER}: {message}"


def test_a_change_may_ask_for_the_most_that_can_be_kept() -> None:
    amendment(lots=LOTS_MAX, price_ticks=TICKS_MAX)


def amendment(**changes: Any) -> AmendRequest:
    return AmendRequest(
        bot=BotKey("ns/bot"), seq=1, client_order_id=ORDER, symbol=Symbol("BTC-USD"), market_us=0, **changes
    )
