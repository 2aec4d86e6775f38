"""Streams that are closed (rule 9): what a bot may still do, what holds up its requests, and who opens them again."""

from typing import Any

import pytest

from tests.unit.exchange.gateway.scenes import A, B, Player, bot_config, gateway_config, restored, terms
from tradefleet.domain.bots import BotCommand, Closure
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import ClientOrderId, bot_order_id, uid_hash
from tradefleet.domain.orders import OrderStatus, Reason, Side
from tradefleet.domain.venue import CancelOrder
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.machine import Gateway

ID = bot_order_id(uid_hash(bot_config().uid), 7)


def account(player: Player) -> BotAccount:
    return player.gateway.accounts[A]


def closed_by_report(*bots: Any) -> tuple[Player, ClientOrderId]:
    """Return a player whose bot A has an order of 4 lots open, and a fill that could not be applied."""
    player = Player(*bots)
    order_id = player.buy(4, 90, bot=A)
    player.accept(order_id)
    player.fill(order_id, 9, 90)
    return player, order_id


def held_up(seq: int = 7) -> tuple[Player, ClientOrderId]:
    """Return a player whose bot A has an order open, and whose next request, number `seq`, cannot be read."""
    player = Player()
    order_id = player.buy(1, 90)
    player.accept(order_id)
    for _ in range(seq - 2):
        player.cancel(ClientOrderId("nobody's"))
    player.gateway.on_unreadable(A, seq, f"request {seq} cannot be read: no such field")
    player.gateway.take()
    return player, order_id


def denial(player: Player) -> Reason:
    """Return why the last request was denied."""
    assert player.execution.status is OrderStatus.DENIED
    assert player.last.venue_requests == []
    return player.execution.reason


# --- closed -------------------------------------------------------------------------------------------------------


def test_a_bot_that_a_report_has_closed_takes_no_new_risk_and_may_cancel() -> None:
    player, order_id = closed_by_report()
    player.buy(1, 90)
    assert denial(player) is Reason.NOT_TRADING
    player.amend(order_id, lots=5)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.ACCEPTED, Reason.NOT_TRADING)
    (request,) = player.cancel(order_id).venue_requests
    assert isinstance(request, CancelOrder)


def test_an_unreadable_request_closes_the_stream_of_its_bot_and_of_no_other() -> None:
    player = Player(bot_config(A), bot_config(B))
    player.gateway.on_unreadable(A, 1, "request 1: no such field")
    assert player.gateway.take().accounts == {A}
    assert (account(player).unreadable_seq, account(player).request_seq) == (1, 0)
    assert account(player).closures == {Closure.UNREADABLE: "request 1: no such field"}
    player.buy(1, bot=B)
    assert len(player.last.venue_requests) == 1


def test_a_stream_that_was_closed_for_two_reasons_has_both() -> None:
    player, _ = closed_by_report()
    player.gateway.on_unreadable(A, 2, "request 2: no such field")
    assert list(account(player).closures) == [Closure.REPORT, Closure.UNREADABLE]


def test_a_successor_knows_what_is_closed_and_where() -> None:
    player, _ = held_up()
    player.command(skip_seq=6, reopen_no=0)
    successor = restored(player.gateway)
    assert successor.accounts[A].unreadable_seq == 7
    assert successor.accounts[A].closures == account(player).closures
    assert successor.account_snapshot(A) == player.gateway.account_snapshot(A)


# --- reopened by a person -----------------------------------------------------------------------------------------


def test_a_person_reopens_what_a_report_has_closed() -> None:
    player, _ = closed_by_report()
    player.command(reopen_no=1)
    assert account(player).closures == {}
    assert [event.reason for event in player.last.events] == [Reason.NONE]
    player.buy(1, 90)
    assert len(player.last.venue_requests) == 1


def test_one_word_reopens_once() -> None:
    player, order_id = closed_by_report()
    player.command(reopen_no=1)
    player.fill(order_id, 9, 90)
    player.command(reopen_no=1)
    assert account(player).closures
    player.command(reopen_no=2)
    assert not account(player).closures


def test_a_word_from_before_the_books_were_opened_is_not_heard_later() -> None:
    gateway = Gateway(gateway_config())
    gateway.on_command(BotCommand(config=bot_config(), reopen_no=3, skip_seq=1), 0)
    gateway.on_unreadable(A, 2, "request 2: no such field")
    gateway.on_command(BotCommand(config=bot_config(), reopen_no=3, skip_seq=1), 0)
    assert gateway.accounts[A].closures


def test_reopening_lets_the_same_request_be_read_again() -> None:
    player, _ = held_up()
    player.command(reopen_no=1)
    assert (account(player).unreadable_seq, account(player).request_seq) == (0, 6)
    assert account(player).closures == {}
    assert player.last.executions == []


@pytest.mark.parametrize("wish", [{"reopen_no": 1}, {"skip_seq": 7}])
def test_what_was_decided_while_the_stream_was_held_up_raises_no_risk(wish: dict[str, int]) -> None:
    player, order_id = held_up()
    decided_us = player.market_us
    player.price(100)
    player.command(**wish)
    player.buy(1, 90)
    assert denial(player) is Reason.NOT_TRADING
    player.order(terms(Side.BUY, 1, 90), market_us=decided_us)
    assert denial(player) is Reason.NOT_TRADING
    player.amend(order_id, lots=2)
    assert player.execution.reason is Reason.NOT_TRADING
    assert len(player.cancel(order_id).venue_requests) == 1
    player.price(100)
    player.buy(1, 90)
    assert len(player.last.venue_requests) == 1
    assert restored(player.gateway).accounts[A].backlog_until_us == account(player).backlog_until_us


# --- left out by a person -----------------------------------------------------------------------------------------


def test_a_request_that_is_left_out_is_passed_over_and_its_order_is_denied() -> None:
    player, order_id = held_up()
    effects = player.command(skip_seq=7)
    assert (account(player).unreadable_seq, account(player).request_seq, account(player).closures) == (0, 7, {})
    denied, shown = effects.executions
    assert (denied.client_order_id, denied.status, denied.reason) == (ID, OrderStatus.DENIED, Reason.UNREADABLE)
    assert denied.origin is Origin.BOT
    # The request may have been a cancel or an amendment: the bot must not wait for its answer.
    assert (shown.client_order_id, shown.status) == (order_id, OrderStatus.ACCEPTED)
    assert (effects.orders, effects.venue_requests, effects.entries) == ({}, [], [])


def test_another_number_than_that_of_the_unreadable_request_leaves_nothing_out() -> None:
    player, _ = held_up()
    for seq in (0, 6, 8):
        player.command(skip_seq=seq)
    assert (account(player).unreadable_seq, account(player).request_seq) == (7, 6)
    player.command(skip_seq=7)
    player.command(skip_seq=7)
    assert account(player).request_seq == 7


def test_leaving_out_a_request_does_not_reopen_what_a_report_has_closed() -> None:
    player, _ = closed_by_report()
    player.gateway.on_unreadable(A, 2, "request 2: no such field")
    player.command(skip_seq=2)
    assert list(account(player).closures) == [Closure.REPORT]


def test_a_bot_is_wound_down_although_its_stream_is_closed() -> None:
    player, order_id = held_up()
    assert [request.client_order_id for request in player.command(deleting=True).venue_requests] == [order_id]
