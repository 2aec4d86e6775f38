"""Amendments: what is reserved while one is under way, and what the gate refuses."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.exchange.gateway.scenes import ATOMS, LOT, RICH, A, B, Player, bot_config, limits
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import RunState
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.orders import OrderStatus, Reason
from tradefleet.domain.venue import AmendOrder, ReportKind
from workloads.exchange.gateway.config import AccountLimits
from workloads.exchange.gateway.order import ManagedOrder


def resting(player: Player, lots: int = 10, price_ticks: int = 90) -> ClientOrderId:
    """Return an accepted limit buy."""
    order_id = player.buy(lots, price_ticks)
    player.accept(order_id)
    return order_id


def refused(player: Player) -> Reason:
    """Return why the last amendment was refused: it was, and the order stands as it did."""
    assert player.last.venue_requests == []
    assert player.last.entries == []
    assert player.execution.status is not OrderStatus.PENDING_UPDATE
    assert [event.reason for event in player.last.events] == [player.execution.reason]
    return player.execution.reason


def test_a_larger_order_reserves_more_before_it_is_asked_for() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=12, price_ticks=95)
    assert player.last.venue_requests == [
        AmendOrder(
            no=3,
            client_order_id=order_id,
            market_us=player.market_us,
            lots=12,
            price_ticks=95,
            decided_us=player.market_us,
        )
    ]
    assert player.managed(order_id).status is OrderStatus.PENDING_UPDATE
    assert player.locked() == 12 * 95 * ATOMS + 24
    player.report(ReportKind.AMENDED, order_id, lots=12, price_ticks=95)
    assert (player.execution.status, player.execution.terms.lots) == (OrderStatus.ACCEPTED, 12)
    assert player.execution.terms.price_ticks == 95
    assert player.locked() == 12 * 95 * ATOMS + 24


def test_a_smaller_order_gives_back_when_the_venue_has_agreed() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=5)
    assert player.locked() == 900 * ATOMS + 20
    player.report(ReportKind.AMENDED, order_id, lots=5, price_ticks=90)
    assert player.locked() == 450 * ATOMS + 10


def test_a_refused_amendment_gives_back_what_it_had_reserved_and_says_why() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=20)
    player.report(ReportKind.AMEND_REJECTED, order_id, reason=Reason.VENUE_REJECTED)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.ACCEPTED, Reason.VENUE_REJECTED)
    assert player.execution.terms.lots == 10
    assert player.locked() == 900 * ATOMS + 20


def test_the_reason_of_a_refused_amendment_does_not_stay_with_the_order() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=1_000_000)
    assert refused(player) is Reason.INSUFFICIENT_FUNDS
    player.fill(order_id, 10, 90)
    assert (player.execution.status, player.execution.reason) == (OrderStatus.FILLED, Reason.NONE)


def test_lots_are_the_new_total_and_only_the_open_part_is_reserved() -> None:
    player = Player()
    order_id = resting(player)
    player.fill(order_id, 4, 90)
    player.amend(order_id, lots=6)
    player.report(ReportKind.AMENDED, order_id, lots=6, price_ticks=90)
    assert player.execution.status is OrderStatus.PARTIALLY_FILLED
    assert player.locked() == 2 * 90 * ATOMS + 4


def test_a_fill_that_races_an_amendment_counts() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=20)
    player.fill(order_id, 10, 90)
    assert player.execution.status is OrderStatus.FILLED
    assert player.locked() == 0
    player.report(ReportKind.AMEND_REJECTED, order_id, reason=Reason.UNKNOWN_ORDER)
    assert (player.last.events, player.gateway.external_orders) == ([], 0)


def test_a_partial_fill_leaves_an_amendment_under_way() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=20)
    player.fill(order_id, 4, 90)
    assert player.execution.status is OrderStatus.PENDING_UPDATE
    player.report(ReportKind.AMENDED, order_id, lots=20, price_ticks=90)
    assert player.execution.status is OrderStatus.PARTIALLY_FILLED


def test_an_order_may_be_changed_before_the_venue_has_answered() -> None:
    player = Player()
    order_id = player.buy(10, 90)
    player.amend(order_id, lots=5)
    player.accept(order_id)
    assert player.last.executions == []  # still PENDING_UPDATE
    player.report(ReportKind.AMENDED, order_id, lots=5, price_ticks=90)
    assert player.execution.status is OrderStatus.ACCEPTED


def test_a_cancel_beside_an_amendment_waits_for_both_answers() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=5)
    player.cancel(order_id)
    assert player.managed(order_id).status is OrderStatus.PENDING_CANCEL
    player.report(ReportKind.AMENDED, order_id, lots=5, price_ticks=90)
    assert player.execution.status is OrderStatus.PENDING_CANCEL
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    assert player.execution.status is OrderStatus.ACCEPTED


def test_a_refused_cancel_leaves_an_amendment_under_way() -> None:
    player = Player()
    order_id = resting(player)
    player.amend(order_id, lots=5)
    player.cancel(order_id)
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    assert player.execution.status is OrderStatus.PENDING_UPDATE


def test_an_amendment_to_no_more_than_has_filled_is_put_aside() -> None:
    player = Player()
    order_id = resting(player)
    player.fill(order_id, 4, 90)
    player.report(ReportKind.AMENDED, order_id, lots=4, price_ticks=90)
    assert "an amendment to 4 lots leaves nothing, 4 have filled" in player.last.dead_letters[0][1]
    assert player.managed(order_id).terms.lots == 10


def test_a_larger_sell_locks_more_base() -> None:
    player = Player()
    player.hold(9)
    order_id = player.sell(3, 120)
    player.amend(order_id, lots=9)
    assert (player.locked("BTC"), player.free("BTC")) == (9 * LOT, 0)


# --- what the gate refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lots", "price_ticks"), [(4, None), (0, None), (-3, None), (None, 0), (None, -1)])
def test_no_lots_beyond_the_filled_ones_or_no_price_is_refused(lots: int | None, price_ticks: int | None) -> None:
    player = Player()
    order_id = resting(player)
    player.fill(order_id, 4, 90)
    player.amend(order_id, lots=lots, price_ticks=price_ticks)
    assert refused(player) is Reason.ORDER_SIZE


def test_only_limit_orders_without_anything_under_way_can_be_changed() -> None:
    player = Player()
    stop = player.buy(10, trigger_ticks=120)
    player.amend(stop, lots=5)
    assert refused(player) is Reason.UNKNOWN_ORDER
    order_id = resting(player)
    player.cancel(order_id)
    player.amend(order_id, lots=5)
    assert refused(player) is Reason.UNKNOWN_ORDER


def test_an_order_that_has_ended_cannot_be_changed_and_nothing_is_said() -> None:
    player = Player()
    order_id = resting(player)
    player.fill(order_id, 10, 90)
    effects = player.amend(order_id, lots=20)
    assert (effects.executions, effects.venue_requests, effects.events) == ([], [], [])


def pause(player: Player) -> None:
    player.command(state=RunState.PAUSED)


def grow_old(player: Player) -> None:
    player.market_us += 10 * MINUTE_US


def lose(player: Player) -> None:
    player.price(50)


BARS_ONLY = limits(max_data_age_us=5 * MINUTE_US)


@pytest.mark.parametrize(
    ("limit", "obstacle", "lots", "price_ticks", "reason"),
    [
        (limits(), pause, 11, None, Reason.NOT_TRADING),
        (limits(), pause, None, 91, Reason.NOT_TRADING),
        (BARS_ONLY, grow_old, 11, None, Reason.STALE_DATA),
        (limits(), None, None, 106, Reason.PRICE_COLLAR),
        (limits(max_order_atoms=1_000 * ATOMS), None, 12, None, Reason.ORDER_SIZE),
        (limits(max_position_atoms=1_600 * ATOMS), None, 12, None, Reason.POSITION_LIMIT),
        (limits(max_exposure_ppm=20_000), None, 20, None, Reason.EXPOSURE_LIMIT),
        (limits(max_orders_per_minute=2), None, 11, None, Reason.ORDER_RATE),
        (limits(max_daily_loss_ppm=2_000), lose, 11, 45, Reason.DAILY_LOSS),
        (limits(max_drawdown_ppm=2_000), lose, 11, 45, Reason.DRAWDOWN),
        (limits(), None, 2_000, None, Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_what_makes_a_buy_larger_or_dearer_meets_the_gate(
    limit: object, obstacle: Callable[[Player], None] | None, lots: int | None, price_ticks: int | None, reason: Reason
) -> None:
    player = Player(bot_config(limits=limit, wallet={"USD": 100_000 * ATOMS}))
    player.hold(5)
    order_id = resting(player)
    if obstacle:
        obstacle(player)
    player.amend(order_id, lots=lots, price_ticks=price_ticks)
    assert refused(player) is reason


def test_an_old_decision_makes_a_buy_smaller_but_not_larger_or_dearer() -> None:
    player = Player(bot_config(limits=BARS_ONLY))
    order_id = resting(player)
    decided_us = player.market_us - 5 * MINUTE_US
    player.amend(order_id, lots=11, market_us=decided_us - 1)
    assert refused(player) is Reason.STALE_DATA
    player.amend(order_id, price_ticks=91, market_us=decided_us - 1)
    assert refused(player) is Reason.STALE_DATA
    player.amend(order_id, lots=9, market_us=decided_us - 1)
    assert len(player.last.venue_requests) == 1
    player.report(ReportKind.AMENDED, order_id, lots=9, price_ticks=90)
    player.amend(order_id, lots=11, market_us=decided_us)
    assert len(player.last.venue_requests) == 1


def test_the_order_itself_does_not_count_against_its_limits() -> None:
    player = Player(bot_config(limits=limits(max_position_atoms=1_200 * ATOMS, max_open_orders=1)))
    order_id = resting(player)
    player.amend(order_id, lots=12)
    assert len(player.last.venue_requests) == 1


@pytest.mark.parametrize("obstacle", [pause, lose, lambda player: player.halt("fleet")])
def test_making_a_buy_smaller_is_held_by_no_obstacle_to_risk(obstacle: Callable[[Player], None]) -> None:
    limit = limits(max_daily_loss_ppm=1, max_drawdown_ppm=1, max_position_atoms=ATOMS * 1_500)
    player = Player(bot_config(limits=limit))
    player.hold(5)
    order_id = resting(player)
    obstacle(player)
    if player.managed(order_id).status is OrderStatus.PENDING_CANCEL:
        player.report(ReportKind.CANCEL_REJECTED, order_id)
    player.amend(order_id, lots=9, price_ticks=89)
    assert len(player.last.venue_requests) == 1


def test_a_halt_refuses_a_larger_buy() -> None:
    player = Player()
    order_id = resting(player)
    player.halt("fleet")
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    player.amend(order_id, lots=11)
    assert refused(player) is Reason.HALTED


def test_a_sell_into_the_collar_is_refused() -> None:
    player = Player()
    player.hold(5)
    order_id = player.sell(5, 120)
    player.accept(order_id)
    player.amend(order_id, price_ticks=94)
    assert refused(player) is Reason.PRICE_COLLAR


def test_a_stopped_bot_changes_nothing_any_more() -> None:
    player = Player()
    order_id = resting(player)
    player.command(state=RunState.STOPPED)
    player.report(ReportKind.CANCEL_REJECTED, order_id)
    player.amend(order_id, lots=5)
    assert refused(player) is Reason.NOT_TRADING


def test_an_accepted_amendment_counts_for_the_rate() -> None:
    player = Player(bot_config(limits=limits(max_orders_per_minute=2)))
    order_id = resting(player)
    player.amend(order_id, lots=9)
    player.buy(1)
    assert player.execution.reason is Reason.ORDER_RATE
    assert player.gateway.accounts[A].order_count == 2
    assert player.free() < RICH


# --- what counts while one is under way ---------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [ReportKind.AMENDED, ReportKind.AMEND_REJECTED])
def test_a_larger_buy_counts_for_the_position_from_when_it_is_asked_for(answer: ReportKind) -> None:
    player = Player(bot_config(limits=limits(max_position_atoms=10_000 * ATOMS)))
    order_id = resting(player)
    player.amend(order_id, lots=95)
    player.buy(90)
    assert player.submitted.terms.lots == 5
    player.report(answer, order_id, lots=95, price_ticks=90)
    player.buy(90)
    if answer is ReportKind.AMENDED:
        assert player.execution.reason is Reason.POSITION_LIMIT
    else:
        assert player.submitted.terms.lots == 85


def test_a_smaller_buy_counts_in_full_until_the_venue_has_agreed() -> None:
    player = Player(bot_config(limits=limits(max_position_atoms=10_000 * ATOMS)))
    order_id = resting(player, lots=90)
    player.fill(order_id, 10, 90)
    player.amend(order_id, lots=20)
    player.buy(50)
    assert player.submitted.terms.lots == 10


def test_a_larger_buy_under_way_counts_for_the_whole_account() -> None:
    player = Player(bot_config(A), bot_config(B), limits=AccountLimits(max_position_atoms=10_000 * ATOMS))
    order_id = resting(player)
    player.amend(order_id, lots=95)
    player.buy(90, bot=B)
    assert player.submitted.terms.lots == 5


@pytest.mark.parametrize(
    ("lots", "price_ticks", "room"), [(None, 100, 90), (20, None, 82), (20, 100, 80), (5, 80, 91), (None, 80, 91)]
)
def test_exposure_counts_the_dearer_price_and_the_larger_size(
    lots: int | None, price_ticks: int | None, room: int
) -> None:
    player = Player(bot_config(limits=limits(max_exposure_ppm=1_000), wallet={"USD": 10_000_000 * ATOMS}))
    player.amend(resting(player), lots=lots, price_ticks=price_ticks)
    player.buy(100, 100)
    assert player.submitted.terms.lots == room


@given(
    st.lists(st.tuples(st.sampled_from(["buy", "amend", "fill", "agree", "refuse"]), st.integers(1, 120)), max_size=12)
)
@example([("buy", 10), ("amend", 100), ("buy", 90)])
def test_whatever_is_asked_for_a_position_stays_within_its_limit(steps: list[tuple[str, int]]) -> None:
    player = Player(bot_config(limits=limits(max_position_atoms=10_000 * ATOMS)))
    for what, number in steps:
        order = next(iter(player.gateway.orders.values()), None)
        if what == "buy":
            player.buy(number, 100)
        elif order is not None and what == "amend":
            player.amend(order.client_order_id, lots=number)
        elif order is not None and what == "fill":
            player.fill(order.client_order_id, min(number, order.open_lots), 100)
        elif order is not None:
            answer(player, order, is_kind=what == "agree")
    for order in list(player.gateway.orders.values()):
        answer(player, order, is_kind=True)
        player.fill(order.client_order_id, order.open_lots, 100)
    assert player.lots() <= 100


def answer(player: Player, order: ManagedOrder, *, is_kind: bool) -> None:
    """Let the venue answer what is asked of an order, if anything is."""
    if order.amend is None:
        return
    lots = order.amend[0] or 0
    kind = ReportKind.AMENDED if is_kind and lots > order.filled_lots else ReportKind.AMEND_REJECTED
    player.report(kind, order.client_order_id, lots=lots, price_ticks=100)
