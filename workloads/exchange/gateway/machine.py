"""The Gateway machine: the only way from a bot to a venue.

Inputs are commands, halts, venue reports, bars and bots' requests; what they cause is collected in `GatewayEffects`,
which the edge takes, commits in one transaction and only then sends. The same inputs in the same order give the same
effects, and a gateway restored from `snapshot` equals the one that wrote it (rule 12).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, DeletionPolicy, RunState
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.errors import FleetError, InvalidValue, StreamGap
from tradefleet.domain.executions import Adoption, Execution, Fill
from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol, bot_order_id, gateway_order_id, order_number
from tradefleet.domain.orders import (
    AmendRequest,
    BotRequest,
    CancelRequest,
    OrderRequest,
    OrderStatus,
    OrderTerms,
    OrderType,
    Reason,
    Side,
)
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    ReportKind,
    SubmitOrder,
    Trade,
    VenueReport,
    VoidRequest,
)
from workloads.exchange.gateway.account import RATE_WINDOW_US, BotAccount, restore_account
from workloads.exchange.gateway.amendments import amended_terms, check_amendment, open_part
from workloads.exchange.gateway.bookkeeping import deposit, release, reserve, settle_trade
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.effects import FillEffect, GatewayEffects, RiskEvent
from workloads.exchange.gateway.order import AMEND, CANCEL, SUBMIT, ManagedOrder, restore_order
from workloads.exchange.gateway.protection import path_ticks, triggered
from workloads.exchange.gateway.risk import Mark, RiskGate

SECOND_US = 1_000_000

_SETTLES = {
    ReportKind.ACCEPTED: SUBMIT,
    ReportKind.REJECTED: SUBMIT,
    ReportKind.TRIGGERED: SUBMIT,
    ReportKind.FILLED: SUBMIT,
    ReportKind.AMENDED: AMEND,
    ReportKind.AMEND_REJECTED: AMEND,
    ReportKind.CANCELED: CANCEL,
    ReportKind.CANCEL_REJECTED: CANCEL,
}
_FINAL = {
    ReportKind.REJECTED: OrderStatus.REJECTED,
    ReportKind.CANCELED: OrderStatus.CANCELED,
    ReportKind.EXPIRED: OrderStatus.EXPIRED,
}


class Gateway:
    """Order management of one exchange account."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.accounts: dict[BotKey, BotAccount] = {}
        self.orders: dict[ClientOrderId, ManagedOrder] = {}  # open ones
        self.marks: dict[Symbol, int] = {}  # last close in ticks
        self.report_no = 0  # last venue report applied
        self.request_no = 0  # last venue request numbered
        self.now_us = 0
        self.halts: frozenset[str] = frozenset()
        self.external_orders = 0  # reports about orders that are not ours
        self.effects = GatewayEffects()
        self._gate = RiskGate(config)
        self._mark_us: dict[Symbol, int] = {}
        self._accepted_us: list[int] = []  # of the last second, for the limit over all bots
        self._deposits: dict[str, int] = {}  # reference → request number, until the venue confirms
        self._watchers: dict[tuple[Symbol, int], tuple[BotAccount, ...]] = {}

    # --- taking effects -------------------------------------------------------------------------------------------

    def take(self) -> GatewayEffects:
        """Return all effects since the last call."""
        effects, self.effects = self.effects, GatewayEffects()
        return effects

    # --- commands and halts ---------------------------------------------------------------------------------------

    def on_command(self, command: BotCommand, market_us: int) -> None:
        """Take a bot's desired state: open its books, pause, stop, flatten, wind down. Repeats change nothing."""
        self.now_us = max(self.now_us, market_us)
        account = self.accounts.get(command.config.key)
        if account is None or account.config.uid != command.config.uid:
            if command.deleting:
                return
            account = self._open(command)
        before = (account.state, account.deleting)
        account.take_command(command)
        self.effects.accounts.add(account.key)
        if command.flatten_no > account.flatten_no:
            account.flatten_no = command.flatten_no
            self._flatten(account, Reason.FLATTEN)
        if before != (account.state, account.deleting) and (account.deleting or account.state is RunState.STOPPED):
            self._wind_down(account)

    def _open(self, command: BotCommand) -> BotAccount:
        config = command.config
        quotes = {self.config.instruments[symbol].quote for symbol in config.symbols}
        if len(quotes) != 1 or set(config.wallet) - quotes:
            raise InvalidValue(
                f"bot {config.key}: instruments and wallet must share one quote asset, instruments are quoted in "
                f"{sorted(quotes)}, the wallet holds {sorted(config.wallet)}"
            )
        account = BotAccount(config, self.config.instruments, taker_ppm=self.config.taker_ppm)
        account.flatten_no = command.flatten_no
        self.accounts[config.key] = account
        self._index()
        for asset, atoms in sorted(config.wallet.items()):
            reference = deposit(account, self.effects, asset=asset, atoms=atoms, market_us=self.now_us)
            if self.config.paper:
                number = self._number()
                self._deposits[reference] = number
                self.effects.venue_requests.append(
                    DepositFunds(no=number, reference=reference, asset=asset, atoms=atoms, market_us=self.now_us)
                )
        account.keep_equity(account.mark_equity(self.marks), self.now_us)
        return account

    def on_halts(self, scopes: Iterable[str], market_us: int) -> None:
        """Take the halt switches that are on. New ones cancel the open buys of the bots they stop."""
        self.now_us = max(self.now_us, market_us)
        before, self.halts = self.halts, frozenset(scopes)
        if self.halts <= before:
            return
        for account in self._in_order():
            if self.is_halted(account.key):
                for order in list(account.orders.values()):
                    if order.terms.side is Side.BUY:
                        self._cancel(order, Reason.HALTED)

    def is_halted(self, bot: BotKey) -> bool:
        """True when a switch stops this bot from raising risk."""
        halts = self.halts
        return bool(halts) and ("fleet" in halts or f"account/{self.config.account}" in halts or f"bot/{bot}" in halts)

    def _wind_down(self, account: BotAccount) -> None:
        policy = account.config.deletion_policy
        if policy is DeletionPolicy.FLATTEN:
            self._flatten(account, Reason.FLATTEN)
        elif policy is DeletionPolicy.CANCEL_ORDERS:
            for order in list(account.orders.values()):
                self._cancel(order, Reason.USER_CANCEL)

    def _flatten(self, account: BotAccount, reason: Reason) -> None:
        for symbol in account.config.symbols:
            self._exit(account, symbol, reason)

    # --- prices ---------------------------------------------------------------------------------------------------

    def on_bars(self, market_us: int, bars: Sequence[Bar]) -> None:
        """Take the bars of one step, sorted by (symbol, interval): marks, protection, then every bot's statistics."""
        self.now_us = max(self.now_us, market_us)
        finest = self.config.finest_us
        for bar in bars:
            if bar.interval_us == finest.get(bar.symbol):
                self.marks[bar.symbol] = self.config.instruments[bar.symbol].nearest_ticks(bar.close)
                self._mark_us[bar.symbol] = market_us
                self._protect(bar)
        touched: dict[BotKey, BotAccount] = {}
        for bar in bars:
            for account in self._watchers.get((bar.symbol, bar.interval_us), ()):
                touched[account.key] = account
                if account.hold.waits_for(bar.symbol):
                    account.hold.on_bar(bar.symbol, self.config.instruments[bar.symbol].nearest_ticks(bar.open))
                    self.effects.accounts.add(account.key)
        for account in touched.values():
            self._statistics(account, market_us)

    def _protect(self, bar: Bar) -> None:
        path: tuple[int, ...] | None = None
        instrument = self.config.instruments[bar.symbol]
        for account in self.accounts.values():
            if account.exits:
                self._continue_exit(account, bar.symbol)
            position = account.positions.get(bar.symbol)
            if position is None or not position.lots or not account.limits_protect or bar.symbol in account.exits:
                continue
            path = path or path_ticks(bar, instrument)
            peak = position.peak_ticks
            reason = triggered(position, account.config.limits, instrument, path)
            if position.peak_ticks != peak:
                self.effects.accounts.add(account.key)
            if reason is not Reason.NONE:
                self._event(account.key, reason, f"{bar.symbol}: closing {position.lots} lots at the market")
                self._exit(account, bar.symbol, reason)

    def _statistics(self, account: BotAccount, market_us: int) -> None:
        equity = account.mark_equity(self.marks)
        if account.keep_equity(equity, market_us):
            self.effects.accounts.add(account.key)
        self.effects.statistics.append(
            BotStatistics(
                account.key,
                market_us,
                account.quote,
                equity,
                account.hold.value_atoms(self.marks),
                account.peak_equity_atoms,
                account.realized_atoms,
                account.fees_atoms,
                account.order_count,
                account.fill_count,
                len(account.orders),
                tuple([(symbol, held.lots) for symbol, held in account.positions.items()]),
            )
        )

    # --- exits: the gateway's own orders --------------------------------------------------------------------------

    def _exit(self, account: BotAccount, symbol: Symbol, reason: Reason) -> None:
        """Close a position: first its open orders go, since they lock what is to be sold; then a market order."""
        for order in list(account.orders.values()):
            if order.symbol == symbol and not (order.request_seq is None and order.terms.side is Side.SELL):
                self._cancel(order, reason)
        if account.positions[symbol].lots or any(order.symbol == symbol for order in account.orders.values()):
            account.exits[symbol] = reason
            self._continue_exit(account, symbol)

    def _continue_exit(self, account: BotAccount, symbol: Symbol) -> None:
        reason = account.exits.get(symbol)
        if reason is None or any(order.symbol == symbol for order in account.orders.values()):
            return
        self.effects.accounts.add(account.key)
        instrument = self.config.instruments[symbol]
        lots = account.positions[symbol].lots
        mark = self.marks.get(symbol, 0)
        if lots == 0 or instrument.notional_atoms(lots, mark) < instrument.min_notional_atoms:
            del account.exits[symbol]
            if lots:
                self._event(account.key, reason, f"{symbol}: {lots} lots are below the minimum notional and stay")
            return
        account.order_counter += 1
        order = ManagedOrder(
            bot=account.key,
            client_order_id=gateway_order_id(account.prefix, account.order_counter),
            terms=OrderTerms(symbol=symbol, side=Side.SELL, type=OrderType.MARKET, lots=lots, reduce_only=True),
            request_seq=None,
            reason=reason,
            market_us=self.now_us,
        )
        self._send(account, order)

    # --- bots' requests -------------------------------------------------------------------------------------------

    def on_requests(self, requests: Sequence[BotRequest], market_us: int, *, refuse: Reason = Reason.NONE) -> None:
        """Take bots' requests, sorted by (bot, seq). Numbers that were applied are skipped, a gap raises StreamGap.

        With `refuse`, every new order is denied for that reason (a step that needed too many rounds).
        """
        self.now_us = max(self.now_us, market_us)
        for request in requests:
            account = self.accounts.get(request.bot)
            if account is None:
                raise InvalidValue(f"request {request.seq} of bot {request.bot}: the gateway has no such bot")
            if request.seq <= account.request_seq:
                continue
            if request.seq != account.request_seq + 1:
                raise StreamGap(f"bot {request.bot}: request {request.seq} after {account.request_seq}")
            account.request_seq = request.seq
            self.effects.accounts.add(account.key)
            match request:
                case OrderRequest():
                    self._on_order(account, request, refuse)
                case CancelRequest():
                    order = account.orders.get(request.client_order_id)
                    if order is not None:
                        self._cancel(order, Reason.USER_CANCEL)
                case AmendRequest():
                    self._on_amend(account, request)

    def _on_order(self, account: BotAccount, request: OrderRequest, refuse: Reason) -> None:
        account.order_count += 1
        order = ManagedOrder(
            bot=account.key,
            client_order_id=request.client_order_id,
            terms=request.terms,
            request_seq=request.seq,
            reason=Reason.NONE,
            market_us=self.now_us,
        )
        if request.client_order_id != bot_order_id(account.prefix, request.seq):
            return self._deny(account, order, Reason.DUPLICATE)
        if refuse is not Reason.NONE:
            return self._deny(account, order, refuse)
        symbol = request.terms.symbol
        mark = Mark(self.marks[symbol], self._mark_us[symbol]) if symbol in self.marks else None
        forget_before(self._accepted_us, self.now_us - SECOND_US)
        forget_before(account.accepted_us, self.now_us - RATE_WINDOW_US)
        verdict = self._gate.judge(
            account,
            request.terms,
            mark,
            marks=self.marks,
            market_us=self.now_us,
            halted=self.is_halted(account.key),
            open_orders=len(self.orders),
            recent_orders=len(self._accepted_us),
        )
        if verdict.denied:
            return self._deny(account, order, verdict.reason)
        order.terms = verdict.terms
        order.reason = verdict.reason
        account.accepted_us.append(self.now_us)
        self._accepted_us.append(self.now_us)
        self._send(account, order)
        return None

    def _deny(self, account: BotAccount, order: ManagedOrder, reason: Reason) -> None:
        order.reason = reason
        order.advance(OrderStatus.DENIED, self.now_us)
        self.effects.orders[order.client_order_id] = order
        self._event(account.key, reason, f"order {order.client_order_id} denied")
        self._tell(account, order)

    def _send(self, account: BotAccount, order: ManagedOrder) -> None:
        """Reserve, number and queue an order for the venue. The commit comes first, then the send (rule 13)."""
        needed = self._gate.reservation(account, order.terms, self.marks.get(order.symbol, 0))
        order.protection_ticks = needed.protection_ticks
        reserve(account, order, self.effects, asset=needed.asset, atoms=needed.atoms, market_us=self.now_us)
        order.advance(OrderStatus.SUBMITTED, self.now_us)
        account.orders[order.client_order_id] = order
        self.orders[order.client_order_id] = order
        number = order.venue_no = order.open_requests[SUBMIT] = self._number()
        self.effects.orders[order.client_order_id] = order
        self.effects.venue_requests.append(
            SubmitOrder(
                no=number,
                client_order_id=order.client_order_id,
                terms=order.terms,
                market_us=self.now_us,
                protection_ticks=order.protection_ticks,
            )
        )

    def _cancel(self, order: ManagedOrder, reason: Reason) -> None:
        if CANCEL in order.open_requests or order.status.is_final:
            return
        order.reason = reason
        order.advance(OrderStatus.PENDING_CANCEL, self.now_us)
        number = order.open_requests[CANCEL] = self._number()
        self.effects.orders[order.client_order_id] = order
        self.effects.venue_requests.append(
            CancelOrder(no=number, client_order_id=order.client_order_id, market_us=self.now_us)
        )

    def _on_amend(self, account: BotAccount, request: AmendRequest) -> None:
        order = account.orders.get(request.client_order_id)
        if order is None:
            return
        refusal = check_amendment(
            order, request, account, self._gate, self.config, self.marks, halted=self.is_halted(account.key)
        )
        if refusal is not Reason.NONE:
            order.reason = refusal
            self._event(account.key, refusal, f"amendment of order {order.client_order_id} denied")
            self._tell(account, order)
            return
        wanted = open_part(order, request.lots, request.price_ticks)
        needed = self._gate.reservation(account, wanted, self.marks.get(order.symbol, 0))
        if needed.atoms > order.reserved_atoms:
            more = needed.atoms - order.reserved_atoms
            reserve(account, order, self.effects, asset=needed.asset, atoms=more, market_us=self.now_us)
        order.amend = (request.lots, request.price_ticks)
        order.advance(OrderStatus.PENDING_UPDATE, self.now_us)
        number = order.open_requests[AMEND] = self._number()
        self.effects.orders[order.client_order_id] = order
        self.effects.venue_requests.append(
            AmendOrder(
                no=number,
                client_order_id=order.client_order_id,
                market_us=self.now_us,
                lots=request.lots,
                price_ticks=request.price_ticks,
            )
        )

    def on_unsent(self, client_order_ids: Iterable[ClientOrderId], market_us: int) -> None:
        """Take back orders that the halt switch stopped between commit and send: denied, and their numbers voided."""
        self.now_us = max(self.now_us, market_us)
        for client_order_id in client_order_ids:
            order = self.orders[client_order_id]
            number = order.open_requests[SUBMIT]
            self.effects.venue_requests.append(VoidRequest(no=number))
            self._finish(self.accounts[order.bot], order, OrderStatus.DENIED, Reason.HALTED)

    # --- venue reports --------------------------------------------------------------------------------------------

    def on_reports(self, reports: Iterable[VenueReport]) -> None:
        """Take the venue's reports in order. Numbers that were applied are skipped, a gap raises StreamGap.

        A report that cannot be applied closes the bot's stream and becomes a dead letter (rule 9).
        """
        for report in reports:
            if report.no <= self.report_no:
                continue
            if report.no != self.report_no + 1:
                raise StreamGap(f"account {self.config.account}: venue report {report.no} after {self.report_no}")
            self.report_no = report.no
            self.now_us = max(self.now_us, report.market_us)
            if report.kind is ReportKind.DEPOSITED:
                number = self._deposits.pop(report.client_order_id, None)
                if number is not None:
                    self.effects.settled.append(number)
                continue
            order = self.orders.get(report.client_order_id)
            if order is None:
                self.external_orders += 1
                self._event(
                    None, Reason.UNKNOWN_ORDER, f"venue report {report.no}: {report.client_order_id} is not open"
                )
                continue
            account = self.accounts[order.bot]
            try:
                self._on_report(account, order, report)
            except FleetError as error:
                account.closed = f"venue report {report.no}: {error}"
                self.effects.dead_letters.append((report, str(error)))
                self._event(account.key, Reason.NOT_TRADING, account.closed)
                self.effects.accounts.add(account.key)

    def _on_report(self, account: BotAccount, order: ManagedOrder, report: VenueReport) -> None:
        if report.kind in _SETTLES:
            self._settle(order, _SETTLES[report.kind])
        self.effects.orders[order.client_order_id] = order
        match report.kind:
            case ReportKind.ACCEPTED:
                if order.status is OrderStatus.SUBMITTED:
                    order.advance(OrderStatus.ACCEPTED, report.market_us)
                    self._tell(account, order)
            case ReportKind.TRIGGERED:
                if order.status is OrderStatus.ACCEPTED:
                    order.advance(OrderStatus.TRIGGERED, report.market_us)
                    self._tell(account, order)
            case ReportKind.FILLED:
                assert report.trade is not None
                self._on_trade(account, order, report.trade, report.market_us)
            case ReportKind.AMENDED | ReportKind.AMEND_REJECTED:
                self._on_amended(account, order, report)
            case ReportKind.CANCEL_REJECTED:
                self._back_to_live(order, report.market_us)
                self._tell(account, order)
            case ReportKind.REJECTED | ReportKind.CANCELED | ReportKind.EXPIRED:
                keeps = report.kind is ReportKind.CANCELED and order.reason is not Reason.NONE
                self._finish(account, order, _FINAL[report.kind], order.reason if keeps else report.reason)

    def _on_trade(self, account: BotAccount, order: ManagedOrder, trade: Trade, market_us: int) -> None:
        if trade.trade_id in order.trade_ids:
            return
        instrument = self.config.instruments[order.symbol]
        fill = settle_trade(account, order, trade, instrument, self.effects, market_us=market_us)
        self.effects.fills.append(
            FillEffect(
                order.client_order_id,
                trade.trade_id,
                CanonicalFill(
                    market_us,
                    account.key,
                    order_number(order.client_order_id),
                    order.symbol,
                    order.terms.side,
                    trade.price_ticks,
                    trade.lots,
                    trade.fee_atoms,
                    trade.fee_asset,
                ),
            )
        )
        if order.open_lots == 0:
            self._finish(account, order, OrderStatus.FILLED, order.reason, fill)
        else:
            if CANCEL not in order.open_requests and AMEND not in order.open_requests:
                order.advance(OrderStatus.PARTIALLY_FILLED, market_us)
            self._tell(account, order, fill)

    def _on_amended(self, account: BotAccount, order: ManagedOrder, report: VenueReport) -> None:
        if report.kind is ReportKind.AMENDED:
            order.terms = amended_terms(order.terms, report.lots, report.price_ticks)
        else:
            order.reason = report.reason
        order.amend = None
        needed = self._gate.reservation(account, open_part(order, None, None), self.marks.get(order.symbol, 0)).atoms
        if order.reserved_atoms > needed:
            spare = order.reserved_atoms - needed
            release(account, order, self.effects, market_us=report.market_us, atoms=spare)
        self._back_to_live(order, report.market_us)
        self._tell(account, order)

    def _back_to_live(self, order: ManagedOrder, market_us: int) -> None:
        if CANCEL not in order.open_requests:
            live = OrderStatus.PARTIALLY_FILLED if order.filled_lots else OrderStatus.ACCEPTED
            order.advance(live, market_us)

    def _settle(self, order: ManagedOrder, request: str) -> None:
        number = order.open_requests.pop(request, None)
        if number is not None:
            self.effects.settled.append(number)

    def _finish(
        self,
        account: BotAccount,
        order: ManagedOrder,
        status: OrderStatus,
        reason: Reason,
        fill: Fill | None = None,
    ) -> None:
        order.advance(status, self.now_us)
        order.reason = reason
        self.effects.settled.extend(order.open_requests.values())
        order.open_requests.clear()
        release(account, order, self.effects, market_us=self.now_us)
        self.effects.orders[order.client_order_id] = order
        del account.orders[order.client_order_id]
        del self.orders[order.client_order_id]
        self._tell(account, order, fill)
        self._continue_exit(account, order.symbol)

    # --- small parts ----------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self.request_no += 1
        return self.request_no

    def _tell(self, account: BotAccount, order: ManagedOrder, fill: Fill | None = None) -> None:
        account.execution_seq += 1
        self.effects.accounts.add(account.key)
        self.effects.executions.append(self._execution(account, order, account.execution_seq, fill))

    def _execution(self, account: BotAccount, order: ManagedOrder, seq: int, fill: Fill | None = None) -> Execution:
        return Execution(
            bot=account.key,
            seq=seq,
            client_order_id=order.client_order_id,
            origin=order.origin,
            status=order.status,
            terms=order.terms,
            filled_lots=order.filled_lots,
            market_us=self.now_us,
            reason=order.reason,
            fill=fill,
        )

    def _event(self, bot: BotKey | None, reason: Reason, detail: str) -> None:
        self.effects.events.append(RiskEvent(self.now_us, bot, reason, detail))

    def _in_order(self) -> list[BotAccount]:
        return [self.accounts[key] for key in sorted(self.accounts)]

    def _index(self) -> None:
        """Rebuild which bots a bar concerns, in key order, so that statistics come out in that order."""
        watchers: dict[tuple[Symbol, int], list[BotAccount]] = {}
        for account in self._in_order():
            for symbol in account.config.symbols:
                watchers.setdefault((symbol, account.config.interval_us), []).append(account)
        self._watchers = {place: tuple(accounts) for place, accounts in watchers.items()}
        self.accounts = {account.key: account for account in self._in_order()}

    def adoption(self, bot: BotKey) -> Adoption:
        """Return a bot's books as the first input of its next generation."""
        account = self.accounts[bot]
        orders = tuple(self._execution(account, order, account.execution_seq) for order in account.orders.values())
        return account.adoption(self.now_us, orders)

    # --- state ----------------------------------------------------------------------------------------------------

    def account_snapshot(self, bot: BotKey) -> dict[str, Any]:
        """Return a bot's books as JSON values."""
        return self.accounts[bot].snapshot()

    def own_snapshot(self) -> dict[str, Any]:
        """Return what belongs to no bot as JSON values."""
        return {
            "marks": dict(self.marks),
            "mark_us": dict(self._mark_us),
            "report_no": self.report_no,
            "request_no": self.request_no,
            "now_us": self.now_us,
            "halts": sorted(self.halts),
            "external_orders": self.external_orders,
            "accepted_us": list(self._accepted_us),
            "deposits": dict(self._deposits),
        }

    def restore(
        self, own: Mapping[str, Any], accounts: Iterable[dict[str, Any]], orders: Iterable[dict[str, Any]]
    ) -> None:
        """Become the gateway that wrote these snapshots; `orders` are the open ones, oldest first."""
        self.marks = dict(own["marks"])
        self._mark_us = dict(own["mark_us"])
        self.report_no = own["report_no"]
        self.request_no = own["request_no"]
        self.now_us = own["now_us"]
        self.halts = frozenset(own["halts"])
        self.external_orders = own["external_orders"]
        self._accepted_us = list(own["accepted_us"])
        self._deposits = dict(own["deposits"])
        for state in accounts:
            account = restore_account(state, self.config.instruments, taker_ppm=self.config.taker_ppm)
            self.accounts[account.key] = account
        for values in orders:
            order = restore_order(values)
            self.orders[order.client_order_id] = order
            self.accounts[order.bot].orders[order.client_order_id] = order
        self._index()


def forget_before(times_us: list[int], market_us: int) -> None:
    """Drop the times at or before `market_us` from a sorted list."""
    del times_us[: bisect_right(times_us, market_us)]
