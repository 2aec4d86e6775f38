"""The halt switch: once it is on, nothing that raises risk is accepted or sent (rule 11)."""

from tests.unit.exchange.gateway.scenes import RICH, A, B, Player, bot_config
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.orders import OrderStatus, Reason
from tradefleet.domain.venue import AmendOrder, CancelOrder, ReportKind, SubmitOrder, VoidRequest


def canceled(player: Player) -> list[ClientOrderId]:
    """Return the orders that the last input asked the venue to cancel."""
    return [request.client_order_id for request in player.last.venue_requests if isinstance(request, CancelOrder)]


def test_a_halt_cancels_open_buys_and_leaves_sells() -> None:
    player = Player()
    player.hold(5)
    buy = player.buy(1, 90)
    player.sell(5, 120)
    player.halt("fleet")
    assert canceled(player) == [buy]
    player.report(ReportKind.CANCELED, buy)
    assert player.execution.reason is Reason.HALTED


def test_a_halt_of_one_bot_leaves_its_neighbour() -> None:
    player = Player(bot_config(A), bot_config(B))
    own = player.buy(1, 90, bot=A)
    player.buy(1, 90, bot=B)
    player.halt("bot/default/a")
    assert canceled(player) == [own]
    assert player.gateway.is_halted(A)
    assert not player.gateway.is_halted(B)


def test_a_repeated_halt_and_a_lifted_one_cancel_nothing() -> None:
    player = Player(bot_config(A), bot_config(B))
    player.buy(1, 90, bot=B)
    player.halt("bot/default/a", "bot/default/c")
    player.halt("bot/default/a", "bot/default/c")
    assert canceled(player) == []
    player.halt("bot/default/a")
    assert canceled(player) == []
    player.halt()
    player.buy(1, 90, bot=A)
    assert player.submitted.terms.lots == 1


def test_a_halt_asks_again_for_a_cancel_that_was_refused() -> None:
    player = Player()
    order_id = player.buy(1, 90)
    player.halt("fleet")
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    player.price(100)
    assert canceled(player) == [order_id]
    player.price(100)
    assert canceled(player) == []


# --- between commit and send --------------------------------------------------------------------------------------


def test_what_raises_risk_is_what_a_halt_must_stop_from_being_sent() -> None:
    player = Player()
    player.hold(5)
    buy = player.buy(10, 90)
    (submit,) = player.last.venue_requests
    assert player.gateway.risk_of(submit) == A
    player.sell(5, 120)
    assert player.gateway.risk_of(player.last.venue_requests[0]) is None
    for lots, price_ticks, expected in ((9, None, None), (11, None, A), (None, 91, A), (None, 89, None), (9, 91, A)):
        request = AmendOrder(no=99, client_order_id=buy, market_us=0, lots=lots, price_ticks=price_ticks)
        assert player.gateway.risk_of(request) == expected
    player.cancel(buy)
    assert player.gateway.risk_of(player.last.venue_requests[0]) is None
    assert player.gateway.risk_of(VoidRequest(no=1)) is None


def test_an_unsent_order_is_denied_and_its_number_stands_for_nothing() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    (submit,) = player.last.venue_requests
    player.unsent(submit)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.DENIED, Reason.HALTED)
    assert player.last.venue_requests == [VoidRequest(no=submit.no)]
    assert player.free() == RICH
    assert order_id not in player.gateway.orders
    assert player.last.settled == []  # the venue has to learn of the number, or it would wait for it for ever


def test_a_void_is_settled_by_the_answer_to_a_later_request() -> None:
    player = Player()
    player.buy(10, 90)
    (submit,) = player.last.venue_requests
    player.unsent(submit)
    later = player.buy(1, 90)
    assert player.accept(later).settled == [submit.no + 1, submit.no]


def test_what_followed_an_unsent_order_is_not_sent_either() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    (submit,) = player.last.venue_requests
    player.amend(order_id, lots=12)
    player.cancel(order_id)
    player.unsent(submit)
    assert player.last.venue_requests == [VoidRequest(no=submit.no + after) for after in range(3)]
    assert player.execution.status is OrderStatus.DENIED


def test_the_cancel_of_the_same_halt_is_voided_with_its_order() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    (submit,) = player.last.venue_requests
    player.gateway.on_halts(["fleet"], player.market_us)  # the edge tells of the halt and of what it stopped at once
    player.unsent(submit)
    assert player.last.venue_requests == [VoidRequest(no=submit.no + 1), VoidRequest(no=submit.no)]
    assert order_id not in player.gateway.orders


def test_an_unsent_amendment_leaves_the_order_as_the_venue_has_it() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    locked = player.locked()
    player.accept(order_id)
    player.amend(order_id, lots=12)
    (amend,) = player.last.venue_requests
    player.unsent(amend)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.ACCEPTED, Reason.HALTED)
    assert player.execution.terms.lots == 10
    assert player.locked() == locked
    assert player.last.venue_requests == [VoidRequest(no=amend.no)]


def test_an_unsent_amendment_of_an_unanswered_order_leads_back_to_submitted() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.amend(order_id, lots=12)
    (amend,) = player.last.venue_requests
    player.unsent(amend)
    assert player.managed(order_id).status is OrderStatus.SUBMITTED


def test_taking_back_what_the_venue_has_answered_does_nothing() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    (submit,) = player.last.venue_requests
    assert isinstance(submit, SubmitOrder)
    player.accept(order_id)
    assert player.unsent(submit).venue_requests == []
    player.fill(order_id, 10, 90)
    assert player.unsent(submit).venue_requests == []
