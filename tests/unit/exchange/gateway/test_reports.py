"""Reports that fit no open order, and reports that cannot be applied (rule 9)."""

import pytest

from tests.unit.exchange.gateway.scenes import RICH, A, B, Player, bot_config
from tradefleet.domain.bots import Closure
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.orders import OrderStatus, Reason
from tradefleet.domain.venue import ReportKind

LATE = [ReportKind.CANCEL_REJECTED, ReportKind.AMEND_REJECTED, ReportKind.CANCELED, ReportKind.ACCEPTED]


def ended(player: Player) -> ClientOrderId:
    """Return an order that has been filled."""
    order_id = player.buy(1, 90)
    player.fill(order_id, 1, 90)
    return order_id


@pytest.mark.parametrize("kind", LATE)
def test_the_late_answer_to_a_request_about_an_ended_order_is_nothing(kind: ReportKind) -> None:
    player = Player()
    player.report(kind, ended(player), reason=Reason.UNKNOWN_ORDER)
    assert (player.last.executions, player.last.events, player.last.dead_letters) == ([], [], [])


def test_a_fill_of_an_order_that_has_ended_is_money_the_books_do_not_know() -> None:
    player = Player()
    order_id = player.buy(2, 90)
    player.report(ReportKind.CANCELED, order_id)
    player.fill(order_id, 2, 90)
    ((report, why),) = player.last.dead_letters
    assert why == f"order {order_id} is not open"
    assert player.gateway.accounts[A].closures == {Closure.REPORT: f"venue report {report.no}: {why}"}
    assert player.lots() == 0


def test_a_report_about_an_order_that_is_not_ours_is_noted_and_left_alone() -> None:
    player = Player()
    player.report(ReportKind.ACCEPTED, ClientOrderId("somebody-elses"))
    (event,) = player.last.events
    assert (event.bot, event.reason) == (None, Reason.UNKNOWN_ORDER)
    player.fill(ClientOrderId("somebody-elses"), 1, 90)
    assert (player.last.dead_letters, player.last.entries, player.last.venue_requests) == ([], [], [])


def test_a_fill_of_more_lots_than_are_open_is_put_aside_and_changes_no_money() -> None:
    player = Player()
    order_id = player.buy(2, 90)
    free = player.free()
    player.fill(order_id, 3, 90)
    ((_, why),) = player.last.dead_letters
    assert why == f"trade t1: 3 lots for order {order_id}, which has 2 open"
    assert (player.free(), player.lots(), player.last.entries, player.last.executions) == (free, 0, [], [])
    assert [event.reason for event in player.last.events] == [Reason.NOT_TRADING]


def test_a_fill_that_cannot_be_paid_is_put_aside_and_changes_no_money() -> None:
    player = Player(bot_config(wallet={"USD": 10_000}))
    order_id = player.buy(1, 95)
    player.fill(order_id, 1, 5_000)
    assert "FREE USD would be -" in player.last.dead_letters[0][1]
    assert player.free() + player.locked() == 10_000
    assert player.managed(order_id).filled_lots == 0


@pytest.mark.parametrize(
    ("price_ticks", "fee", "why"),
    [
        (10**17, 0, "must be worth less than 10^20 USD"),
        (2**63, 0, "must be at most 9223372036854775807 ticks"),
        (100, 10**26, "must have a fee of less than 10^20 USD"),
        (100, -(10**26), "must have a fee of less than 10^20 USD"),
    ],
)
def test_a_fill_that_no_message_or_column_holds_is_put_aside(price_ticks: int, fee: int, why: str) -> None:
    player = Player(bot_config(wallet={"USD": 10**15}))
    lots = 10**7 if price_ticks > 100 else 10
    player.hold(lots, 1)
    order_id = player.sell(lots)
    player.fill(order_id, lots, price_ticks, fee)
    ((_, found),) = player.last.dead_letters
    assert why in found
    assert (player.lots(), player.last.entries, player.last.fills) == (lots, [], [])


def test_a_fee_in_an_asset_that_the_bot_does_not_have_is_put_aside() -> None:
    player = Player()
    order_id = player.buy(1, 90)
    player.fill(order_id, 1, 90, 5, fee_asset="BNB")
    assert "FREE BNB would be -5 atoms" in player.last.dead_letters[0][1]
    assert player.lots() == 0


def test_a_step_back_in_life_is_put_aside() -> None:
    player = Player()
    order_id = player.buy(2, 90)
    player.accept(order_id)
    player.report(ReportKind.REJECTED, order_id)
    assert "cannot go from ACCEPTED to REJECTED" in player.last.dead_letters[0][1]
    assert player.managed(order_id).status is OrderStatus.ACCEPTED


def test_a_closed_stream_still_takes_fills_and_cancels_and_keeps_its_first_reason() -> None:
    player = Player()
    order_id = player.buy(4, 90)
    player.fill(order_id, 9, 90)
    first = player.gateway.accounts[A].closures[Closure.REPORT]
    player.fill(order_id, 1, 90)
    assert player.lots() == 1
    assert len(player.cancel(order_id).venue_requests) == 1
    player.fill(order_id, 9, 90)
    assert player.gateway.accounts[A].closures == {Closure.REPORT: first}


def test_a_neighbours_stream_stays_open() -> None:
    player = Player(bot_config(A), bot_config(B))
    order_id = player.buy(2, 90, bot=A)
    player.fill(order_id, 3, 90)
    assert player.gateway.accounts[A].closures
    assert not player.gateway.accounts[B].closures


def test_deposits_are_asked_of_a_paper_venue_once_and_settled() -> None:
    player = Player(bot_config(wallet={"USD": RICH}), is_quiet=True)
    (request,) = player.auditor.requests.values()
    reference = ClientOrderId(request.reference)
    assert (request.asset, request.atoms, request.reference) == ("USD", RICH, "uid-of-default/a/USD")
    assert player.report(ReportKind.DEPOSITED, reference).settled == [1]
    assert player.report(ReportKind.DEPOSITED, reference).events == []
    assert player.command().venue_requests == []


def test_a_refused_deposit_closes_the_stream() -> None:
    player = Player(is_quiet=True)
    player.report(ReportKind.REJECTED, ClientOrderId("uid-of-default/a/USD"), reason=Reason.DUPLICATE)
    ((_, why),) = player.last.dead_letters
    assert why == "the venue refused the deposit uid-of-default/a/USD: DUPLICATE"
    assert player.gateway.accounts[A].closures


def test_a_wallet_without_money_needs_no_deposit() -> None:
    assert Player(bot_config(wallet={"USD": 0}), is_quiet=True).auditor.requests == {}
