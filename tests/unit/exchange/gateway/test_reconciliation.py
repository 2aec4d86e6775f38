"""Books against the venue: what counts as a difference, what it halts, and what an agreement opens again."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.exchange.gateway.scenes import ATOMS, BTC, LOT, LTC, RICH, A, B, Player, bot_config, restored
from tradefleet.domain.bots import Closure
from tradefleet.domain.ids import AccountId, BotUid, ClientOrderId
from tradefleet.domain.orders import OrderStatus, Reason, Side
from tradefleet.domain.venue import CancelOrder, ReportKind, VenueOrder
from workloads.exchange.gateway.reconciliation import LOOKS_MAX, SHOWN_MAX, VenueStatement

STRANGER = VenueOrder(
    account=AccountId("default/sim:main"),
    client_order_id=ClientOrderId("web-7f3a"),
    symbol=LTC,
    side=Side.SELL,
    lots=3,
    filled_lots=1,
    price_ticks=250,
)


class Venue:
    """What an honest venue says of a player's account; tests make it say something else."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.money: dict[str, int] = {}  # beyond what the books have
        self.orders: dict[ClientOrderId, VenueOrder | None] = {}  # in place of what the books have
        self.taken_us = 1_700_000_000_000_000

    def statement(self) -> VenueStatement:
        gateway = self.player.gateway
        orders: dict[ClientOrderId, VenueOrder | None] = {
            order_id: VenueOrder(
                account=gateway.config.account,
                client_order_id=order_id,
                symbol=order.symbol,
                side=order.terms.side,
                lots=order.terms.lots,
                filled_lots=order.filled_lots,
                price_ticks=order.terms.price_ticks,
            )
            for order_id, order in gateway.orders.items()
        }
        orders.update(self.orders)
        money = dict(self.money)
        for account in gateway.accounts.values():
            for side in (account.wallet.free, account.wallet.locked):
                for asset, atoms in side.items():
                    money[asset] = money.get(asset, 0) + atoms
        return VenueStatement(
            report_no=gateway.report_no,
            open_orders=tuple(order for order in orders.values() if order is not None and order.is_open),
            answers={order_id: order for order_id, order in orders.items() if order is None or not order.is_open},
            balances={asset: (atoms, 0) for asset, atoms in money.items()},
            taken_us=self.taken_us,
        )

    def look(self, count: int = 1) -> None:
        """Let the gateway look, and restore it from what it wrote."""
        for _ in range(count):
            assert self.player.gateway.on_statement(self.statement())
            self.player.gateway.take()
        self.player.gateway = restored(self.player.gateway)


def trading() -> tuple[Player, Venue, ClientOrderId]:
    """Return a player whose bot holds 5 lots and has an order of 4 lots open, of which 1 has filled."""
    player = Player(bot_config(A, symbols=(BTC, LTC)), bot_config(B))
    player.price(100, LTC)
    player.hold(5)
    order_id = player.buy(4, 90)
    player.accept(order_id)
    player.fill(order_id, 1, 90)
    return player, Venue(player), order_id


def takes_risk(player: Player, bot: Any = A) -> bool:
    """Return whether a buy is accepted; one that is not must be denied because books and venue differ."""
    player.buy(1, 90, bot=bot)
    if player.last.venue_requests:
        return True
    assert (player.execution.status, player.execution.reason) == (OrderStatus.DENIED, Reason.UNRECONCILED)
    return False


# --- agreement ----------------------------------------------------------------------------------------------------


def test_books_that_agree_are_noted_with_the_time() -> None:
    player, venue, _ = trading()
    venue.look(5)
    own = player.gateway.own_snapshot()
    assert (own["doubts"], own["mismatch"], own["reconciled_us"]) == (0, "", venue.taken_us)
    assert takes_risk(player)


def test_what_the_venue_was_asked_and_has_not_answered_is_no_difference() -> None:
    player, venue, order_id = trading()
    fresh = player.buy(2, 91)
    player.amend(order_id, lots=6)
    venue.orders = {fresh: None, order_id: replace(order_view(venue, order_id), lots=6)}
    venue.look(LOOKS_MAX)
    assert player.gateway.mismatch == ""


def order_view(venue: Venue, order_id: ClientOrderId) -> VenueOrder:
    """Return an order as the honest venue sees it."""
    (found,) = [order for order in venue.statement().open_orders if order.client_order_id == order_id]
    return found


def test_a_statement_about_another_moment_says_nothing() -> None:
    player, venue, _ = trading()
    venue.money = {"USD": -1}
    late = venue.statement()
    player.report(ReportKind.CANCEL_REJECTED, ClientOrderId("nobody's"))
    assert [player.gateway.on_statement(late) for _ in range(LOOKS_MAX)] == [False] * LOOKS_MAX
    assert player.gateway.own_snapshot()["doubts"] == 0


def test_while_a_deposit_is_under_way_nothing_is_compared() -> None:
    player = Player(is_quiet=True)
    venue = Venue(player)
    venue.money = {"USD": -RICH}
    assert not player.gateway.on_statement(venue.statement())


# --- difference ---------------------------------------------------------------------------------------------------


def differs(venue: Venue, order_id: ClientOrderId, kind: str) -> str:
    """Make the venue differ, and return what must be said of it."""
    view = order_view(venue, order_id)
    match kind:
        case "unknown":
            venue.orders = {order_id: None}
            return f"order {order_id} is open in the books, the venue does not know it"
        case "ended":
            venue.orders = {order_id: replace(view, is_open=False)}
            return f"order {order_id} is open in the books, at the venue it has ended"
        case "filled":
            venue.orders = {order_id: replace(view, filled_lots=2)}
            return f"order {order_id}: 1 of 4 lots at 90 ticks in the books, 2 of 4 at 90 at the venue"
        case "price":
            venue.orders = {order_id: replace(view, price_ticks=91)}
            return f"order {order_id}: 1 of 4 lots at 90 ticks in the books, 1 of 4 at 91 at the venue"
        case "not ours any more":
            ended = ClientOrderId(f"{order_id[:13]}999")
            venue.orders = {ended: replace(view, client_order_id=ended)}
            return f"order {ended} is open at the venue, in the books it is not"
        case "less":
            venue.money = {"BTC": -LOT}
            return "BTC: 0.06000000 in the books, the venue has 0.05000000"
        case "more":
            venue.money = {"BTC": LOT}
            return "BTC: 0.06000000 in the books, the venue has 0.07000000"
    raise AssertionError(kind)


DIFFERENCES = ["unknown", "ended", "filled", "price", "not ours any more", "less", "more"]


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_a_difference_that_stays_halts_new_risk_of_the_whole_account(kind: str) -> None:
    player, venue, order_id = trading()
    told = differs(venue, order_id, kind)
    venue.look(LOOKS_MAX - 1)
    assert (player.gateway.mismatch, takes_risk(player)) == ("", True)
    venue.orders.pop(player.submitted.client_order_id, None)
    venue.look()
    assert player.gateway.mismatch == told
    assert [takes_risk(player, bot) for bot in (A, B)] == [False, False]


def test_the_gateway_says_when_it_begins_to_halt_and_when_it_ends() -> None:
    player, venue, _ = trading()
    venue.money = {"USD": -1}
    found = []
    for _ in range(LOOKS_MAX + 2):
        player.gateway.on_statement(venue.statement())
        found += [event.reason for event in player.gateway.take().events]
    assert found == [Reason.UNRECONCILED]
    venue.money = {}
    player.gateway.on_statement(venue.statement())
    assert [event.reason for event in player.gateway.take().events] == [Reason.NONE]


def test_while_books_differ_cancels_sells_and_exits_go_on() -> None:
    player, venue, order_id = trading()
    venue.money = {"USD": -1}
    venue.look(LOOKS_MAX)
    (request,) = player.cancel(order_id).venue_requests
    assert isinstance(request, CancelOrder)
    player.sell(1, 110)
    assert player.submitted.terms.side is Side.SELL
    player.command(flatten_no=1)
    assert any(isinstance(request, CancelOrder) for request in player.last.venue_requests)


def test_while_books_differ_an_order_is_not_made_larger() -> None:
    player, venue, order_id = trading()
    venue.money = {"USD": -1}
    venue.look(LOOKS_MAX)
    player.amend(order_id, lots=9)
    assert (player.last.venue_requests, player.execution.reason) == ([], Reason.UNRECONCILED)
    player.amend(order_id, lots=3)
    assert len(player.last.venue_requests) == 1


def test_one_agreement_heals_and_the_count_begins_anew() -> None:
    player, venue, _ = trading()
    venue.money = {"USD": -1}
    venue.look(LOOKS_MAX - 1)
    venue.money = {}
    venue.look()
    venue.money = {"USD": -1}
    venue.look(LOOKS_MAX - 1)
    assert takes_risk(player)
    player.report(ReportKind.REJECTED, player.submitted.client_order_id)
    venue.look()
    assert not takes_risk(player)
    venue.money = {}
    venue.look()
    assert takes_risk(player)


def test_only_the_first_differences_are_named() -> None:
    player, venue, order_id = trading()
    for seq in range(SHOWN_MAX + 2):
        ended = ClientOrderId(f"{order_id[:13]}90{seq}")
        venue.orders[ended] = replace(order_view(venue, order_id), client_order_id=ended)
    venue.look(LOOKS_MAX)
    assert player.gateway.mismatch.count("is open at the venue") == SHOWN_MAX
    assert player.gateway.mismatch.endswith("and 2 more")


def test_on_a_live_account_only_less_than_ours_is_a_difference() -> None:
    player = Player(bot_config(), paper=False, is_quiet=True)
    player.price(100)
    venue = Venue(player)
    venue.money = {"USD": 5, "ETH": 7}
    venue.look(LOOKS_MAX)
    assert player.gateway.mismatch == ""
    venue.money = {"USD": -5}
    venue.look(LOOKS_MAX)
    assert player.gateway.mismatch == "USD: 1000.000000 in the books, the venue has 999.999995"


def test_orders_of_others_are_shown_and_left_alone() -> None:
    player, venue, _ = trading()
    others = {ClientOrderId(f"web-{number}"): number for number in range(SHOWN_MAX + 1)}
    venue.orders = {order_id: replace(STRANGER, client_order_id=order_id) for order_id in others}
    venue.look()
    own = player.gateway.own_snapshot()
    assert (player.gateway.external_orders, player.gateway.mismatch) == (SHOWN_MAX + 1, "")
    assert list(own["external"]) == list(others)[:SHOWN_MAX]
    assert own["external"]["web-0"] == {
        "symbol": "LTC-USD",
        "side": "SELL",
        "lots": 3,
        "filled_lots": 1,
        "price_ticks": 250,
    }
    assert takes_risk(player)
    venue.orders = {}
    player.report(ReportKind.REJECTED, player.submitted.client_order_id)
    venue.look()
    assert (player.gateway.external_orders, player.gateway.own_snapshot()["external"]) == (0, {})


# --- bots whose books were in doubt -------------------------------------------------------------------------------


def test_a_bot_that_a_report_has_closed_reopens_when_everything_agrees() -> None:
    player, venue, order_id = trading()
    player.fill(order_id, 9, 90)
    assert player.gateway.is_in_doubt
    venue.look()
    assert (player.gateway.accounts[A].closures, player.gateway.is_in_doubt) == ({}, False)
    assert takes_risk(player)


def test_it_stays_closed_while_anything_differs() -> None:
    player, venue, order_id = trading()
    player.fill(order_id, 9, 90)
    venue.money = {"BTC": 9 * LOT, "USD": -9 * 90 * ATOMS}  # the venue did trade that much
    venue.look(LOOKS_MAX)
    assert Closure.REPORT in player.gateway.accounts[A].closures
    assert not takes_risk(player, B)


@pytest.mark.parametrize("cause", [Closure.REQUEST, Closure.UNREADABLE])
def test_what_a_request_has_closed_only_a_person_reopens(cause: Closure) -> None:
    player, venue, order_id = trading()
    if cause is Closure.REQUEST:
        player.order(player.managed(order_id).terms, client_order_id=order_id)
    else:
        player.gateway.on_unreadable(A, player.gateway.accounts[A].request_seq + 1, "no such field")
    venue.look()
    assert list(player.gateway.accounts[A].closures) == [cause]


def test_a_person_who_reopens_a_bot_in_doubt_vouches_for_the_money_that_is_there() -> None:
    player, venue, order_id = trading()
    player.fill(order_id, 9, 90)
    venue.money = {"BTC": 9 * LOT, "USD": -9 * 90 * ATOMS}
    venue.look(LOOKS_MAX)
    player.command(reopen_no=1)
    venue.look()
    assert takes_risk(player, B)
    player.report(ReportKind.REJECTED, player.submitted.client_order_id)
    venue.look(LOOKS_MAX)
    assert player.gateway.mismatch == ""
    venue.money = {"BTC": 9 * LOT, "USD": -9 * 90 * ATOMS - 1}  # and for no other
    venue.look(LOOKS_MAX)
    assert "USD" in player.gateway.mismatch


def test_a_person_who_reopens_a_bot_for_another_reason_vouches_for_nothing() -> None:
    player, venue, _ = trading()
    venue.money = {"USD": -1}
    venue.look(LOOKS_MAX)
    player.command(reopen_no=1)
    venue.look()
    assert not takes_risk(player)


def test_the_money_of_a_bot_that_is_gone_is_still_at_the_venue() -> None:
    player, venue, order_id = trading()
    player.command(deleting=True)
    player.report(ReportKind.CANCELED, order_id)
    held = {asset: sum(parts) for asset, parts in venue.statement().balances.items()}
    player.auditor.forget(A)
    player.command(config={"uid": BotUid("another"), "generation": 1})
    player.report(ReportKind.DEPOSITED, ClientOrderId("another/USD"))
    held["USD"] += RICH
    statement = replace(venue.statement(), balances={asset: (atoms, 0) for asset, atoms in held.items()})
    for _ in range(LOOKS_MAX):
        assert player.gateway.on_statement(statement)
    assert player.gateway.mismatch == ""
