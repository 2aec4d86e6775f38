"""What an owner wants of a bot: to open, pause, stop, change, flatten and delete it."""

from typing import Any

import pytest

from tests.unit.exchange.gateway.scenes import (
    ATOMS,
    BTC,
    BTC_USD,
    LTC,
    LTC_USD,
    RICH,
    A,
    B,
    Player,
    bot_config,
    gateway_config,
    limits,
    restored,
    tick_bar,
)
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import BotCommand, DeletionPolicy, RunState
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import BotUid, ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.domain.venue import CancelOrder, ReportKind, SubmitOrder
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway

ENDS = [{"state": RunState.STOPPED}, {"deleting": True}]


def canceled(player: Player) -> list[ClientOrderId]:
    """Return the orders that the last input asked the venue to cancel."""
    return [request.client_order_id for request in player.last.venue_requests if isinstance(request, CancelOrder)]


def sent(player: Player) -> list[SubmitOrder]:
    """Return the orders that the last input sent."""
    return [request for request in player.last.venue_requests if isinstance(request, SubmitOrder)]


# --- another end ------------------------------------------------------------------------------------------------------


def selling() -> Player:
    """Return a bot that is deleted with Flatten, whose sale waits for a bar."""
    player = Player(bot_config(deletion_policy=DeletionPolicy.FLATTEN))
    player.hold(5)
    player.command(deleting=True)
    (sale,) = sent(player)
    player.report(ReportKind.ACCEPTED, sale.client_order_id)
    return player


@pytest.mark.parametrize("policy", [DeletionPolicy.CANCEL_ORDERS, DeletionPolicy.KEEP])
def test_a_deleted_bot_may_keep_its_position_after_all(policy: DeletionPolicy) -> None:
    player = selling()
    (sale,) = player.gateway.orders

    player.command(config={"deletion_policy": policy}, deleting=True)

    assert canceled(player) == [sale]
    player.report(ReportKind.CANCELED, sale)
    assert player.gateway.orders == {}
    player.price(100)
    assert sent(player) == []
    assert player.lots() == 5


def test_a_deleted_bot_may_sell_its_position_after_all() -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.KEEP))
    player.hold(5)
    player.command(deleting=True)
    assert sent(player) == []

    player.command(config={"deletion_policy": DeletionPolicy.FLATTEN}, deleting=True)

    assert [request.terms.lots for request in sent(player)] == [5]


def test_what_an_owner_asked_to_sell_before_the_end_is_sold() -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.CANCEL_ORDERS))
    player.hold(5)
    player.command(flatten_no=1)

    player.command(flatten_no=1, deleting=True)

    assert canceled(player) == []
    assert player.gateway.accounts[A].exits == {BTC: Reason.FLATTEN}


# --- open ---------------------------------------------------------------------------------------------------------


def test_a_new_bot_gets_its_wallet_from_outside() -> None:
    player = Player(bot_config(wallet={"USD": 700}), is_quiet=True)
    assert player.free() == 700
    (entry,) = player.last.entries
    assert (entry.seq, entry.reference) == (1, "uid-of-default/a/USD")
    assert player.gateway.accounts[A].peak_equity_atoms == 700


def test_a_repeated_command_changes_nothing_and_writes_nothing() -> None:
    player = Player()
    player.command(state=RunState.PAUSED)
    before = player.gateway.account_snapshot(A)
    effects = player.command(state=RunState.PAUSED)
    assert player.gateway.account_snapshot(A) == before
    assert (effects.accounts, effects.venue_requests, effects.entries) == (set(), [], [])


def test_a_bot_that_is_deleted_before_it_was_seen_is_not_opened() -> None:
    gateway = Gateway(gateway_config())
    gateway.on_command(BotCommand(config=bot_config(), deleting=True), 5)
    assert gateway.accounts == {}


def test_books_are_kept_in_the_order_of_keys() -> None:
    player = Player(bot_config(B), bot_config(A), is_quiet=True)
    assert list(player.gateway.accounts) == [A, B]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbols": (Symbol("DOGE-USD"),)}, "unknown instrument DOGE-USD; the exchange has: BTC-USD, LTC-USD"),
        ({"symbols": ()}, "must share one quote asset"),
        ({"wallet": {"USD": 1, "BTC": 1}}, "must share one quote asset, instruments are quoted in ['USD'], the wallet"),
        ({"wallet": {"USD": -1}}, "wallet must hold at least 0 of USD, was -1 atoms"),
    ],
)
def test_a_bot_that_cannot_trade_here_is_refused_and_changes_nothing(changes: dict[str, Any], message: str) -> None:
    gateway = Gateway(gateway_config())
    before = gateway.own_snapshot()
    with pytest.raises(InvalidValue) as caught:
        gateway.on_command(BotCommand(config=bot_config(**changes)), 0)
    assert message in str(caught.value)
    assert str(caught.value).startswith("bot default/a: ")
    assert (gateway.accounts, gateway.own_snapshot(), gateway.take().entries) == ({}, before, [])


def test_instruments_of_two_quotes_are_refused() -> None:
    euro = Instrument(symbol=Symbol("BTC-EUR"), base="BTC", quote="EUR", tick=BTC_USD.tick, lot=BTC_USD.lot)
    gateway = Gateway(gateway_config(instruments={BTC: BTC_USD, LTC: LTC_USD, euro.symbol: euro}))
    with pytest.raises(InvalidValue, match="quoted in \\['EUR', 'USD'\\]"):
        gateway.on_command(BotCommand(config=bot_config(symbols=(BTC, euro.symbol))), 0)


# --- change -------------------------------------------------------------------------------------------------------


def test_new_limits_bind_at_once() -> None:
    player = Player()
    player.command(config={"generation": 2, "limits": limits(max_open_orders=0)})
    player.buy(1)
    assert player.execution.reason is Reason.OPEN_ORDERS


def test_a_command_of_an_older_generation_is_ignored() -> None:
    player = Player()
    player.command(config={"generation": 3})
    player.command(config={"generation": 2}, state=RunState.STOPPED)
    assert player.gateway.accounts[A].state is RunState.RUNNING
    assert player.gateway.accounts[A].config.generation == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wallet": {"USD": 1}}, "wallet cannot change, was {'USD': 1000000000}, is {'USD': 1}: create another bot"),
        ({"symbols": (BTC, LTC)}, "symbols cannot change, was ['BTC-USD'], is ['BTC-USD', 'LTC-USD']"),
    ],
)
def test_what_results_are_measured_against_cannot_change(change: dict[str, Any], message: str) -> None:
    player = Player()
    before = player.gateway.account_snapshot(A)
    with pytest.raises(InvalidValue) as caught:
        player.command(config=change)
    assert f"bot default/a: {message}" in str(caught.value)
    assert player.gateway.account_snapshot(A) == before


def test_a_new_interval_is_followed() -> None:
    player = Player()
    player.command(config={"generation": 2, "interval_us": 5 * MINUTE_US})
    assert player.price(100).statistics == []
    player.market_us += MINUTE_US
    bar = tick_bar(100, 100, 100, 100, open_us=player.market_us - 5 * MINUTE_US, interval_us=5 * MINUTE_US)
    assert [point.bot for point in player.bars([bar]).statistics] == [A]


# --- pause, stop, delete ------------------------------------------------------------------------------------------


def test_a_paused_bot_keeps_its_orders_and_goes_on_when_resumed() -> None:
    player = Player()
    order_id = player.buy(1, 90)
    player.command(state=RunState.PAUSED)
    assert canceled(player) == []
    player.fill(order_id, 1, 90)
    player.command(state=RunState.RUNNING)
    player.buy(1)
    assert len(sent(player)) == 1


@pytest.mark.parametrize("wish", ENDS)
def test_the_policy_cancel_orders_cancels_and_keeps_the_position(wish: dict[str, Any]) -> None:
    player = Player()
    player.hold(5)
    orders = [player.buy(1, 90), player.sell(2, 120)]
    player.command(**wish)
    assert canceled(player) == orders
    assert sent(player) == []
    for order_id in orders:
        player.report(ReportKind.CANCELED, order_id)
        assert player.execution.reason is Reason.USER_CANCEL
    assert player.lots() == 5
    assert player.gateway.accounts[A].is_settled


@pytest.mark.parametrize("wish", ENDS)
def test_the_policy_keep_keeps_everything(wish: dict[str, Any]) -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.KEEP))
    order_id = player.buy(1, 90)
    player.command(**wish)
    player.price(100)
    assert canceled(player) == []
    player.fill(order_id, 1, 90)
    assert player.lots() == 1


@pytest.mark.parametrize("wish", ENDS)
def test_the_policy_flatten_cancels_then_sells(wish: dict[str, Any]) -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.FLATTEN))
    player.hold(5)
    order_id = player.sell(2, 120)
    player.command(**wish)
    assert (canceled(player), sent(player)) == ([order_id], [])
    player.report(ReportKind.CANCELED, order_id)
    (exit_order,) = sent(player)
    assert (exit_order.terms.side, exit_order.terms.type, exit_order.terms.lots) == (Side.SELL, OrderType.MARKET, 5)
    assert exit_order.terms.reduce_only
    assert not player.gateway.accounts[A].is_settled
    player.fill(exit_order.client_order_id, 5, 99)
    assert player.gateway.accounts[A].is_settled
    assert (player.lots(), player.free()) == (0, RICH - 5 * ATOMS)


def test_a_change_of_policy_while_stopped_is_carried_out() -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.KEEP))
    order_id = player.buy(1, 90)
    player.command(state=RunState.STOPPED)
    player.command(config={"deletion_policy": DeletionPolicy.CANCEL_ORDERS}, state=RunState.STOPPED)
    assert canceled(player) == [order_id]


@pytest.mark.parametrize("wish", ENDS)
def test_a_cancel_that_the_venue_refuses_is_asked_for_again_at_each_bar(wish: dict[str, Any]) -> None:
    player = Player()
    order_id = player.buy(1, 90)
    player.command(**wish)
    for _ in range(2):
        player.report(ReportKind.CANCEL_REJECTED, order_id, reason=Reason.VENUE_REJECTED)
        assert canceled(player) == []
        player.price(100)
        assert canceled(player) == [order_id]
    player.report(ReportKind.CANCELED, order_id)
    assert player.gateway.accounts[A].is_settled


def test_nothing_is_done_for_a_bot_that_was_deleted_and_has_settled() -> None:
    player = Player(bot_config(limits=limits(stop_loss_ppm=10_000)))
    player.hold(5)
    player.command(deleting=True)
    effects = player.price(50)
    assert (effects.statistics, effects.venue_requests) == ([], [])


def test_a_stopped_bot_keeps_its_protection() -> None:
    player = Player(bot_config(limits=limits(stop_loss_ppm=10_000)))
    player.hold(5)
    player.command(state=RunState.STOPPED)
    player.price(50)
    assert sent(player)[0].terms.lots == 5


# --- flatten ------------------------------------------------------------------------------------------------------


def test_flatten_acts_once_per_number() -> None:
    player = Player()
    player.hold(5)
    player.command(flatten_no=3)
    (exit_order,) = sent(player)
    player.fill(exit_order.client_order_id, 5, 100)
    assert player.execution.reason is Reason.FLATTEN
    player.hold(2)
    assert sent(player) == []
    player.command(flatten_no=3)
    player.command(flatten_no=2)
    assert sent(player) == []
    player.command(flatten_no=4)
    assert sent(player)[0].terms.lots == 2


def test_a_flatten_from_before_the_bot_was_opened_is_not_carried_out() -> None:
    player = Player(is_quiet=True)
    gateway = Gateway(gateway_config())
    gateway.on_command(BotCommand(config=player.configs[A], flatten_no=7), 0)
    assert gateway.accounts[A].flatten_no == 7
    assert gateway.accounts[A].exits == {}


def test_flatten_of_nothing_does_nothing() -> None:
    player = Player()
    player.command(flatten_no=1)
    assert (player.last.venue_requests, player.gateway.accounts[A].exits) == ([], {})
    player.buy(1)
    assert len(sent(player)) == 1


def test_flatten_closes_every_instrument() -> None:
    player = Player(bot_config(symbols=(BTC, LTC)))
    player.price(100, LTC)
    player.hold(5)
    player.hold(7, symbol=LTC)
    player.command(flatten_no=1)
    assert [(request.terms.symbol, request.terms.lots) for request in sent(player)] == [(BTC, 5), (LTC, 7)]


# --- gone ---------------------------------------------------------------------------------------------------------


def forget(player: Player, *wanted: str) -> GatewayEffects:
    """Tell the gateway which bots their owners still want."""
    player.gateway.forget([BotUid(uid) for uid in wanted])
    return player.gateway.take()


def test_a_bot_that_was_wound_down_and_forgotten_leaves_memory_row_and_statistics() -> None:
    player = Player(bot_config(A), bot_config(B))
    player.command(A, deleting=True)
    effects = forget(player, "uid-of-default/b")
    assert (effects.gone, effects.accounts) == (["uid-of-default/a"], set())
    assert list(player.gateway.accounts) == [B]
    player.auditor.forget(A)
    assert [point.bot for point in player.price(101).statistics] == [B]
    assert player.gateway.own_snapshot()["beside"] == {"USD": RICH}  # its paper money is still at the venue
    assert list(restored(player.gateway).accounts) == [B]


@pytest.mark.parametrize("wish", [{}, {"state": RunState.STOPPED}])
def test_a_bot_that_nobody_has_deleted_stays_although_its_command_is_not_there(wish: dict[str, Any]) -> None:
    player = Player()
    player.command(**wish)
    assert forget(player).gone == []
    assert list(player.gateway.accounts) == [A]


def test_a_deleted_bot_stays_until_its_owner_has_seen_that_it_ended() -> None:
    player = Player()
    player.command(deleting=True)
    assert forget(player, "uid-of-default/a").gone == []


def test_a_deleted_bot_stays_until_nothing_of_it_is_open() -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.KEEP))
    order_id = player.buy(2, 90)
    player.accept(order_id)
    player.command(deleting=True)
    assert forget(player).gone == []
    player.fill(order_id, 2, 90)
    assert player.lots() == 2
    assert forget(player).gone == ["uid-of-default/a"]


def test_a_deleted_bot_stays_until_its_deposit_is_confirmed_and_its_last_effects_are_taken() -> None:
    player = Player(is_quiet=True)
    player.gateway.on_command(BotCommand(config=player.configs[A], deleting=True), 0)
    player.gateway.forget([])
    assert list(player.gateway.accounts) == [A]
    player.gateway.take()
    assert forget(player).gone == []
    player.report(ReportKind.DEPOSITED, ClientOrderId("uid-of-default/a/USD"))
    assert forget(player).gone == ["uid-of-default/a"]


def test_a_bot_of_the_same_name_opens_books_of_its_own_after_one_that_is_gone() -> None:
    player = Player()
    player.command(deleting=True)
    forget(player)
    player.auditor.forget(A)
    player.command(config={"uid": BotUid("another"), "generation": 1})
    assert player.gateway.accounts[A].request_seq == 0


# --- a namesake ---------------------------------------------------------------------------------------------------


def namesake(player: Player) -> None:
    """Create the bot again under its old name."""
    player.command(config={"uid": BotUid("another"), "generation": 1})


def test_a_namesake_gets_its_own_books() -> None:
    player = Player()
    player.command(deleting=True)
    player.auditor.forget(A)
    namesake(player)
    assert player.last.gone == ["uid-of-default/a"]
    account = player.gateway.accounts[A]
    assert (account.config.uid, account.request_seq, account.order_count) == ("another", 0, 0)


def test_a_namesake_waits_until_nothing_of_its_predecessor_is_open() -> None:
    player = Player(bot_config(deletion_policy=DeletionPolicy.KEEP))
    order_id = player.buy(2, 90)
    player.accept(order_id)
    player.command(deleting=True)
    namesake(player)
    assert canceled(player) == [order_id]  # it was kept, but would fill into books that nobody reads any more
    assert player.gateway.accounts[A].config.uid == "uid-of-default/a"
    player.fill(order_id, 1, 90)
    assert player.lots() == 1
    namesake(player)
    assert canceled(player) == []
    player.report(ReportKind.CANCELED, order_id)
    assert player.last.executions[0].status is OrderStatus.CANCELED
    assert player.gateway.accounts[A].config.uid == "uid-of-default/a"


def test_a_namesake_does_not_take_over_in_the_batch_that_ends_its_predecessor() -> None:
    player = Player()
    order_id = player.buy(2, 90)
    player.command(deleting=True)
    player.gateway.on_reports([player.next_report(ReportKind.CANCELED, order_id)])
    player.gateway.on_command(BotCommand(config=bot_config(uid=BotUid("another"))), player.market_us)
    assert player.gateway.accounts[A].config.uid == "uid-of-default/a"  # its last execution is not committed yet
    player.gateway.take()
    player.gateway.on_command(BotCommand(config=bot_config(uid=BotUid("another"))), player.market_us)
    assert player.gateway.accounts[A].config.uid == "another"


def test_a_namesake_that_cannot_trade_here_leaves_its_predecessors_books_as_they_are() -> None:
    player = Player()
    order_id = player.buy(1, 90)
    player.command(deleting=True)
    player.report(ReportKind.CANCELED, order_id)
    before = player.gateway.account_snapshot(A)
    with pytest.raises(InvalidValue, match="unknown instrument DOGE-USD"):
        player.command(config={"uid": BotUid("another"), "symbols": (Symbol("DOGE-USD"),)})
    effects = player.gateway.take()
    assert (effects.gone, effects.venue_requests, effects.accounts) == ([], [], set())
    assert player.gateway.account_snapshot(A) == before


def test_the_deletion_of_a_namesake_that_never_came_changes_nothing() -> None:
    player = Player()
    player.command(config={"uid": BotUid("another")}, deleting=True)
    account = player.gateway.accounts[A]
    assert (account.config.uid, account.deleting) == ("uid-of-default/a", False)


def test_a_fill_for_the_predecessor_does_not_reach_the_namesake() -> None:
    player = Player()
    order_id = player.buy(2, 90)
    player.report(ReportKind.CANCELED, order_id)
    player.command(deleting=True)
    player.auditor.forget(A)
    namesake(player)
    player.fill(order_id, 2, 90)
    assert [event.reason for event in player.last.events] == [Reason.UNKNOWN_ORDER]
    assert player.lots() == 0
