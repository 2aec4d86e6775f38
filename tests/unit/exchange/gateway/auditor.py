"""Checks every invariant of design §5 on a gateway and the stream of its effects."""

from collections import Counter
from typing import Any

from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import BotKey, ClientOrderId
from tradefleet.domain.ledger import Book, check_balanced
from tradefleet.domain.orders import Side
from tradefleet.domain.venue import SubmitOrder, VenueRequest, VoidRequest
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway


class Auditor:
    """Sees all effects of one gateway from its first input on, each batch right after the input that caused it."""

    def __init__(self) -> None:
        self.requests: dict[int, VenueRequest] = {}
        self.settled: set[int] = set()
        self.fills: list[CanonicalFill] = []
        self._trades: set[tuple[ClientOrderId, str]] = set()
        self._submitted: set[ClientOrderId] = set()
        self._books: dict[tuple[BotKey, Book, str], int] = {}
        self._entry_seq: Counter[BotKey] = Counter()
        self._execution_seq: Counter[BotKey] = Counter()
        self._last: dict[ClientOrderId, Execution] = {}

    def forget(self, bot: BotKey) -> None:
        """Forget a bot whose books a namesake replaces: another ledger, other executions."""
        self.fills = [fill for fill in self.fills if fill.bot != bot]
        self._books = {place: atoms for place, atoms in self._books.items() if place[0] != bot}
        self._entry_seq[bot] = self._execution_seq[bot] = 0

    def check(self, gateway: Gateway, effects: GatewayEffects) -> None:
        self._check_requests(gateway, effects)
        self._check_ledger(effects)
        self._check_executions(effects)
        for fill in effects.fills:
            assert (fill.client_order_id, fill.trade_id) not in self._trades, "a trade was applied twice"
            self._trades.add((fill.client_order_id, fill.trade_id))
            self.fills.append(fill.canonical)
        for order in effects.orders.values():
            if order.status.is_final:
                assert order.reserved_atoms == 0, f"{order.client_order_id} has ended and still holds a reservation"
                assert not order.open_requests
                assert order.client_order_id not in gateway.orders
        for account in gateway.accounts.values():
            self._check_account(account)
        together = [order for account in gateway.accounts.values() for order in account.orders.values()]
        assert {order.client_order_id: order for order in together} == dict(gateway.orders)
        assert list(gateway.orders.values()) == sorted(gateway.orders.values(), key=lambda order: order.venue_no)
        for order in gateway.orders.values():
            assert order.status is order.live_status, f"{order.client_order_id}: {order.status}, {order.open_requests}"

    def _check_requests(self, gateway: Gateway, effects: GatewayEffects) -> None:
        for request in effects.venue_requests:
            if isinstance(request, VoidRequest) and request.no in self.requests:
                assert request.no not in self.settled
            else:
                assert request.no == len(self.requests) + 1, "the numbers of venue requests have a gap"
            self.requests[request.no] = request
            if isinstance(request, SubmitOrder):
                assert request.client_order_id not in self._submitted, "an order was submitted twice"
                self._submitted.add(request.client_order_id)
                if request.terms.side is Side.BUY:
                    bot = gateway.orders[request.client_order_id].bot
                    assert not gateway.is_halted(bot), "a buy of a halted bot was sent"
        assert gateway.request_no == len(self.requests)
        assert len(set(effects.settled)) == len(effects.settled)
        assert not self.settled & set(effects.settled), "a request was settled twice"
        self.settled |= set(effects.settled)
        assert self.settled <= self.requests.keys()
        own = gateway.own_snapshot()
        waiting = [number for number, _ in own["deposits"].values()] + own["voids"]
        for order in gateway.orders.values():
            waiting += order.open_requests.values()
        assert sorted(waiting) == sorted(self.requests.keys() - self.settled)

    def _check_ledger(self, effects: GatewayEffects) -> None:
        for entry in effects.entries:
            self._entry_seq[entry.bot] += 1
            assert entry.seq == self._entry_seq[entry.bot]
            check_balanced(entry.reference, entry.postings)
            for posting in entry.postings:
                place = (entry.bot, posting.book, posting.asset)
                self._books[place] = self._books.get(place, 0) + posting.atoms

    def _check_executions(self, effects: GatewayEffects) -> None:
        for execution in effects.executions:
            self._execution_seq[execution.bot] += 1
            assert execution.seq == self._execution_seq[execution.bot]
            before = self._last.get(execution.client_order_id)
            if before is not None:
                assert not before.status.is_final, "something happened to an order that had ended"
                assert execution.filled_lots >= before.filled_lots
            filled = 0 if before is None else before.filled_lots
            assert execution.filled_lots - filled == (execution.fill.lots if execution.fill else 0)
            self._last[execution.client_order_id] = execution

    def _check_account(self, account: BotAccount) -> None:
        wallet = account.wallet
        for book, side in ((Book.FREE, wallet.free), (Book.LOCKED, wallet.locked)):
            assert min(side.values(), default=0) >= 0, f"{account.key} has a negative {book}"
            posted = {
                asset: atoms
                for (bot, posted_book, asset), atoms in self._books.items()
                if bot == account.key and posted_book is book and atoms
            }
            assert posted == {asset: atoms for asset, atoms in side.items() if atoms}, "wallet and postings differ"
        reserved: Counter[str] = Counter()
        for order in account.orders.values():
            reserved[order.reserved_asset] += order.reserved_atoms
        assert +reserved == {asset: atoms for asset, atoms in wallet.locked.items() if atoms}
        for symbol, position in account.positions.items():
            filled = sum(
                fill.side.sign * fill.lots for fill in self.fills if fill.bot == account.key and fill.symbol == symbol
            )
            assert position.lots == filled, "position and fills differ"
            assert position.cost_atoms == 0 or position.lots


def comparable(effects: GatewayEffects) -> dict[str, Any]:
    """Return effects as values that can be compared: orders by what they say."""
    return {
        "venue_requests": effects.venue_requests,
        "executions": effects.executions,
        "entries": effects.entries,
        "fills": effects.fills,
        "statistics": effects.statistics,
        "settled": effects.settled,
        "events": effects.events,
        "dead_letters": effects.dead_letters,
        "orders": {order_id: order.snapshot() for order_id, order in effects.orders.items()},
        "accounts": effects.accounts,
        "gone": effects.gone,
    }
