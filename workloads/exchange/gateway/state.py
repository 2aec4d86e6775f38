"""What a gateway keeps, and the small parts that all its inputs need: numbers, executions, events."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from tradefleet.domain.bots import Closure
from tradefleet.domain.executions import Adoption, Execution, Fill
from tradefleet.domain.ids import UID_HASH_LENGTH, BotKey, BotUid, ClientOrderId, Symbol, bot_scopes
from tradefleet.domain.orders import Reason, Side
from workloads.exchange.gateway.account import BotAccount, restore_account
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.effects import GatewayEffects, RiskEvent
from workloads.exchange.gateway.order import ManagedOrder, restore_order


class GatewayState:
    """The books of all bots of an account, its open orders, marks and numbers, and the effects not yet taken."""

    __slots__ = (
        "accepted_us",
        "accounts",
        "beside",
        "config",
        "deposits",
        "doubts",
        "effects",
        "external",
        "external_orders",
        "halts",
        "is_vouched",
        "mark_us",
        "marks",
        "mismatch",
        "now_us",
        "orders",
        "prefixes",
        "reconciled_us",
        "refusals",
        "report_no",
        "request_no",
        "traders",
        "voids",
        "watchers",
    )

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.effects = GatewayEffects()
        self.now_us = 0
        self.accounts: dict[BotKey, BotAccount] = {}  # in key order
        self.orders: dict[ClientOrderId, ManagedOrder] = {}  # open ones, oldest first
        self.marks: dict[Symbol, int] = {}  # last close in ticks
        self.mark_us: dict[Symbol, int] = {}  # and its time
        self.halts: frozenset[str] = frozenset()
        self.refusals: dict[BotUid, str] = {}  # bots whose command cannot be carried out, and why
        self.report_no = 0  # last venue report applied
        self.request_no = 0  # last venue request numbered
        # What the last looks at the venue have found (`reconciliation`):
        self.external_orders = 0  # open orders that are not ours
        self.external: dict[ClientOrderId, dict[str, Any]] = {}  # the first of them
        self.doubts = 0  # looks in a row that found a difference
        self.mismatch = ""  # the difference that halts new risk; empty while there is none
        self.beside: dict[str, int] = {}  # atoms at the venue and in no wallet: of bots that are gone, or vouched for
        self.is_vouched = False  # a person reopened a bot whose books were in doubt: the money that is there is right
        self.reconciled_us = 0  # the wall's time when books and venue agreed, 0 before that
        self.accepted_us: list[int] = []  # orders of the last second, for the limit over all bots
        self.deposits: dict[str, tuple[int, BotKey]] = {}  # reference → request number and bot, until confirmed
        self.voids: list[int] = []  # numbers that stand for nothing any more, and may not have reached the venue
        # Derived from the accounts, by `index`:
        self.prefixes: dict[str, BotAccount] = {}
        self.traders: dict[Symbol, tuple[BotAccount, ...]] = {}
        self.watchers: dict[tuple[Symbol, int], tuple[BotAccount, ...]] = {}

    def index(self) -> None:
        """Bring the accounts into key order, and note which bots a bar and an order id concern."""
        self.accounts = {key: self.accounts[key] for key in sorted(self.accounts)}
        self.prefixes = {account.prefix: account for account in self.accounts.values()}
        traders: dict[Symbol, list[BotAccount]] = {}
        watchers: dict[tuple[Symbol, int], list[BotAccount]] = {}
        for account in self.accounts.values():
            for symbol in account.config.symbols:
                traders.setdefault(symbol, []).append(account)
                watchers.setdefault((symbol, account.config.interval_us), []).append(account)
        self.traders = {symbol: tuple(accounts) for symbol, accounts in traders.items()}
        self.watchers = {place: tuple(accounts) for place, accounts in watchers.items()}

    def reach(self, market_us: int) -> None:
        """Let time pass: now is the time of the input at hand, and never goes back."""
        self.now_us = max(self.now_us, market_us)

    def next_request_no(self) -> int:
        """Return the number of the next request to the venue."""
        self.request_no += 1
        return self.request_no

    def settle(self, number: int) -> None:
        """Note that the venue has answered a request. It takes them in order, so earlier voids have reached it too."""
        self.effects.settled.append(number)
        if self.voids:
            self.effects.settled += [void for void in self.voids if void < number]
            self.voids = [void for void in self.voids if void > number]

    def is_halted(self, bot: BotKey) -> bool:
        """True when a switch stops this bot from raising risk."""
        halts = self.halts
        return bool(halts) and not halts.isdisjoint(("fleet", f"account/{self.config.account}", *bot_scopes(bot)))

    def owner(self, client_order_id: ClientOrderId) -> BotAccount | None:
        """Return the bot whose UID an order id opens with; None when it is nobody's here."""
        return self.prefixes.get(client_order_id[:UID_HASH_LENGTH])

    def tell(
        self, account: BotAccount, order: ManagedOrder, *, fill: Fill | None = None, reason: Reason | None = None
    ) -> None:
        """Give the bot its next execution. `reason` is about this event only; without it, it is the order's."""
        account.execution_seq += 1
        self.effects.accounts.add(account.key)
        self.effects.executions.append(
            self._execution(account, order, fill, order.reason if reason is None else reason)
        )

    def _execution(self, account: BotAccount, order: ManagedOrder, fill: Fill | None, reason: Reason) -> Execution:
        return Execution(
            bot=account.key,
            seq=account.execution_seq,
            client_order_id=order.client_order_id,
            origin=order.origin,
            status=order.status,
            terms=order.terms,
            filled_lots=order.filled_lots,
            market_us=self.now_us,
            reason=reason,
            fill=fill,
        )

    def adoption(self, bot: BotKey) -> Adoption:
        """Return a bot's books as the first input of its next generation."""
        account = self.accounts[bot]
        orders = tuple(self._execution(account, order, None, order.reason) for order in account.orders.values())
        return account.adoption(self.now_us, orders)

    def event(
        self, bot: BotKey | None, reason: Reason, detail: str, client_order_id: ClientOrderId | None = None
    ) -> None:
        """Note something that a risk owner asks about; `client_order_id` when an order was refused."""
        self.effects.events.append(RiskEvent(self.now_us, bot, reason, detail, client_order_id))

    def close(self, account: BotAccount, cause: Closure, why: str) -> None:
        """Close a bot's stream: no new risk, cancels allowed, until it is resolved (rule 9)."""
        account.closures.setdefault(cause, why)
        self.effects.accounts.add(account.key)
        self.event(account.key, Reason.NOT_TRADING, why)

    def reopen(self, account: BotAccount, causes: Iterable[Closure]) -> None:
        """Take away what closes a bot's stream, as far as it is one of `causes`."""
        for cause in causes:
            if cause in account.closures:
                self.event(account.key, Reason.NONE, f"reopened: {account.closures.pop(cause)}")
                self.effects.accounts.add(account.key)

    def halted_buys(self) -> list[ManagedOrder]:
        """Return the open buys of the bots that a switch stops."""
        halted = {key for key in self.accounts if self.is_halted(key)}
        return [order for order in self.orders.values() if order.bot in halted and order.terms.side is Side.BUY]

    def snapshot(self) -> dict[str, Any]:
        """Return what belongs to no bot as JSON values."""
        return {
            "marks": dict(self.marks),
            "mark_us": dict(self.mark_us),
            "report_no": self.report_no,
            "request_no": self.request_no,
            "now_us": self.now_us,
            "halts": sorted(self.halts),
            "refusals": dict(self.refusals),
            "external_orders": self.external_orders,
            "external": dict(self.external),
            "doubts": self.doubts,
            "mismatch": self.mismatch,
            "beside": dict(self.beside),
            "is_vouched": self.is_vouched,
            "reconciled_us": self.reconciled_us,
            "accepted_us": list(self.accepted_us),
            "deposits": {reference: list(deposit) for reference, deposit in self.deposits.items()},
            "voids": list(self.voids),
        }

    def restore(
        self, own: Mapping[str, Any], accounts: Iterable[dict[str, Any]], orders: Iterable[dict[str, Any]]
    ) -> None:
        """Take over snapshots, in whatever order accounts and orders come. The state must be a fresh one."""
        self.marks = dict(own["marks"])
        self.mark_us = dict(own["mark_us"])
        self.report_no = own["report_no"]
        self.request_no = own["request_no"]
        self.now_us = own["now_us"]
        self.halts = frozenset(own["halts"])
        self.refusals = dict(own["refusals"])
        self.external_orders = own["external_orders"]
        self.external = dict(own["external"])
        self.doubts = own["doubts"]
        self.mismatch = own["mismatch"]
        self.beside = dict(own["beside"])
        self.is_vouched = own["is_vouched"]
        self.reconciled_us = own["reconciled_us"]
        self.accepted_us = list(own["accepted_us"])
        self.deposits = {reference: (number, BotKey(bot)) for reference, (number, bot) in own["deposits"].items()}
        self.voids = list(own["voids"])
        for state in accounts:
            account = restore_account(state, self.config.instruments, taker_ppm=self.config.taker_ppm)
            self.accounts[account.key] = account
        for order in sorted(map(restore_order, orders), key=lambda order: order.venue_no):
            self.orders[order.client_order_id] = order
            self.accounts[order.bot].orders[order.client_order_id] = order
        self.index()


def forget_before(times_us: list[int], market_us: int) -> None:
    """Drop the times at or before `market_us` from a sorted list."""
    del times_us[: bisect_right(times_us, market_us)]
