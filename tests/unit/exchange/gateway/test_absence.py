"""The dead man's switch: a running bot that nobody runs loses its orders, and perhaps its positions (rule 24)."""

import pytest

from tests.unit.exchange.gateway.scenes import ATOMS, A, B, Player, bot_config, restored, saved
from tradefleet.domain.bots import DeadManSwitch, RunState
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import BotKey, BotUid, ClientOrderId
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.domain.venue import CancelOrder, ReportKind
from workloads.exchange.gateway.machine import Gateway

SECOND_US = 1_000_000
AFTER_US = 600 * SECOND_US
START_US = 1_700_000_000 * SECOND_US  # of the database's clock
CANCELS = bot_config(A, dead_man=DeadManSwitch(after_us=AFTER_US))
SELLS = bot_config(A, dead_man=DeadManSwitch(after_us=AFTER_US, flattens=True))


class Watched(Player):
    """A player whose gateway hears of absences. `wall_us` is the time of the last one."""

    wall_us = START_US

    def pass_us(self, duration_us: int, *absent: BotKey) -> None:
        """Let time pass, at whose end nobody runs the bots named."""
        self.wall_us += duration_us
        uids = {self.configs[key].uid for key in absent}
        self.gateway.on_absences(uids, self.wall_us, self.market_us)
        self._taken()

    @property
    def canceled(self) -> list[ClientOrderId]:
        return [each.client_order_id for each in self.last.venue_requests if isinstance(each, CancelOrder)]


def resting(player: Watched, bot: BotKey = A) -> ClientOrderId:
    """Return an order that rests at the venue."""
    order_id = player.buy(10, 96, bot=bot)
    player.accept(order_id)
    return order_id


def test_orders_are_canceled_when_nobody_has_run_the_bot_for_long_enough() -> None:
    player = Watched(CANCELS)
    order_id = resting(player)
    player.pass_us(5, A)
    player.pass_us(AFTER_US - 1, A)
    assert player.canceled == []

    player.pass_us(1, A)

    assert player.canceled == [order_id]
    (event,) = player.last.events
    assert (event.bot, event.reason) == (A, Reason.DEAD_MAN)
    assert event.detail == "no process has run it for 600 s: canceling its orders"
    player.report(ReportKind.CANCELED, order_id)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.CANCELED, Reason.DEAD_MAN)


def test_positions_are_sold_where_the_switch_says_so() -> None:
    player = Watched(SELLS)
    player.hold(10)
    order_id = resting(player)
    player.pass_us(5, A)

    player.pass_us(AFTER_US, A)
    assert player.canceled == [order_id]
    player.report(ReportKind.CANCELED, order_id)

    sale = player.submitted
    assert (sale.terms.side, sale.terms.type, sale.terms.lots) == (Side.SELL, OrderType.MARKET, 10)
    player.fill(sale.client_order_id, 10, 100)
    assert (player.execution.origin, player.execution.reason) == (Origin.GATEWAY, Reason.DEAD_MAN)
    assert player.lots() == 0


def test_a_position_stays_where_only_orders_are_to_be_canceled() -> None:
    player = Watched(CANCELS)
    player.hold(10)
    player.pass_us(5, A)
    player.pass_us(AFTER_US, A)
    assert player.last.venue_requests == []
    assert player.lots() == 10


def test_the_switch_acts_once_an_absence() -> None:
    player = Watched(SELLS)
    player.hold(10)
    player.pass_us(5, A)
    player.pass_us(AFTER_US, A)
    assert len(player.last.venue_requests) == 1

    player.pass_us(AFTER_US, A)
    assert (player.last.venue_requests, player.last.events) == ([], [])


def test_a_process_that_comes_back_sets_the_switch_again_and_trades() -> None:
    player = Watched(CANCELS)
    player.pass_us(5, A)
    player.pass_us(AFTER_US, A)

    player.pass_us(5)

    assert [event.detail for event in player.last.events] == ["its dead man's switch is set again"]
    order_id = resting(player)
    player.pass_us(5, A)
    player.pass_us(AFTER_US - 1, A)
    assert player.canceled == []
    player.pass_us(1, A)
    assert player.canceled == [order_id]


def test_short_absences_do_not_add_up() -> None:
    player = Watched(CANCELS)
    resting(player)
    for _ in range(4):
        player.pass_us(AFTER_US - 1, A)
        player.pass_us(AFTER_US - 1, A)
        assert player.canceled == []
        player.pass_us(1)


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.STOPPED])
def test_a_bot_that_is_not_to_run_is_not_absent(state: RunState) -> None:
    player = Watched(CANCELS)
    player.hold(1)
    player.command(state=state)
    player.pass_us(5, A)
    player.pass_us(9 * AFTER_US, A)
    assert player.last.events == []

    player.command(state=RunState.RUNNING)
    order_id = resting(player)
    player.pass_us(5, A)  # it is being started
    assert player.canceled == []
    player.pass_us(AFTER_US, A)
    assert player.canceled == [order_id]


def test_a_bot_without_a_switch_and_its_neighbour_are_left_alone() -> None:
    player = Watched(CANCELS, bot_config(B))
    mine, others = resting(player), resting(player, B)
    player.pass_us(5, A, B)
    player.pass_us(AFTER_US, A, B)
    assert player.canceled == [mine]
    assert others in player.gateway.orders


def test_a_switch_that_is_taken_away_forgets_the_absence() -> None:
    player = Watched(CANCELS)
    resting(player)
    player.pass_us(5, A)
    player.command(config={"dead_man": None, "generation": 2})
    player.pass_us(AFTER_US, A)
    assert player.canceled == []
    assert player.gateway.accounts[A].absent_since_us == 0


def test_a_cancel_that_the_venue_refused_is_asked_for_again_at_the_next_bar() -> None:
    player = Watched(CANCELS)
    order_id = resting(player)
    player.pass_us(5, A)
    player.pass_us(AFTER_US, A)
    player.report(ReportKind.CANCEL_REJECTED, order_id, reason=Reason.VENUE_REJECTED)

    player.price(100)

    assert player.canceled == [order_id]


def test_a_successor_knows_since_when_a_bot_is_absent_and_whether_the_switch_has_acted() -> None:
    player = Watched(CANCELS)
    order_id = resting(player)
    player.pass_us(5, A)
    player.gateway = restored(player.gateway)
    player.pass_us(AFTER_US, A)
    assert player.canceled == [order_id]

    player.gateway = restored(player.gateway)
    player.pass_us(AFTER_US, A)
    assert player.last.events == []
    assert player.gateway.accounts[A].is_abandoned


def test_books_of_before_the_switch_are_read() -> None:
    player = Player()
    player.hold(1)
    own, accounts, orders = saved(player.gateway)
    for account in accounts:
        del account["absent_since_us"], account["is_abandoned"], account["config"]["dead_man"]
    successor = Gateway(player.gateway.config)

    successor.restore(own, accounts, orders)

    assert successor.accounts[A].wallet.free["USD"] == player.free() > ATOMS
    assert successor.accounts[A].config == player.gateway.accounts[A].config


def test_bots_that_nobody_knows_are_nobodys() -> None:
    player = Watched(CANCELS)
    player.gateway.on_absences({BotUid("a-stranger")}, START_US, player.market_us)
    assert player.gateway.take().events == []
