"""The venue's reports: what they make of orders, wallets and positions."""

from collections.abc import Iterable

from tradefleet.domain.bots import Closure
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.errors import FleetError, StreamGap
from tradefleet.domain.ids import order_number
from tradefleet.domain.orders import OrderStatus, Reason
from tradefleet.domain.venue import ReportKind, Trade, VenueReport
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.bookkeeping import settle_trade
from workloads.exchange.gateway.desk import OrderDesk, amended_terms
from workloads.exchange.gateway.effects import FillEffect
from workloads.exchange.gateway.exits import Exits
from workloads.exchange.gateway.order import AMEND, CANCEL, SUBMIT, ManagedOrder
from workloads.exchange.gateway.state import GatewayState

_ENDS = {ReportKind.REJECTED: OrderStatus.REJECTED, ReportKind.EXPIRED: OrderStatus.EXPIRED}


class ReportHandling:
    """Applies reports in the order of their numbers."""

    __slots__ = ("_desk", "_exits", "_state")

    def __init__(self, state: GatewayState, desk: OrderDesk, exits: Exits) -> None:
        self._state = state
        self._desk = desk
        self._exits = exits

    def apply(self, reports: Iterable[VenueReport]) -> None:
        """Apply those that were not applied yet. Raises StreamGap before anything is applied when one is missing."""
        state = self._state
        fresh: list[VenueReport] = []
        last = state.report_no
        for report in reports:
            if report.no <= last:
                continue
            if report.no != last + 1:
                raise StreamGap(f"account {state.config.account}: venue report {report.no} after {last}")
            last = report.no
            fresh.append(report)
        for report in fresh:
            state.report_no = report.no
            state.reach(report.market_us)
            self._report(report)

    def _report(self, report: VenueReport) -> None:
        state = self._state
        order = state.orders.get(report.client_order_id)
        if order is None:
            self._not_open(report)
            return
        account = state.accounts[order.bot]
        try:
            self._apply(account, order, report)
        except FleetError as error:
            self._cannot_apply(account, report, str(error))

    def _not_open(self, report: VenueReport) -> None:
        """Take a report about something that is not an open order.

        A trade of a bot's order that has ended is money that the books do not know. Anything else about such an order
        is the late answer to a request that its end overtook.
        """
        state = self._state
        if report.client_order_id in state.deposits:
            self._deposit(report)
            return
        account = state.owner(report.client_order_id)
        if account is None:
            if report.kind is not ReportKind.DEPOSITED:  # a deposit may be confirmed twice
                detail = f"venue report {report.no}: {report.client_order_id} is not an order of ours"
                state.event(None, Reason.UNKNOWN_ORDER, detail)
        elif report.kind is ReportKind.FILLED:
            self._cannot_apply(account, report, f"order {report.client_order_id} is not open")

    def _deposit(self, report: VenueReport) -> None:
        state = self._state
        number, bot = state.deposits.pop(report.client_order_id)
        state.settle(number)
        if report.kind is not ReportKind.DEPOSITED and bot in state.accounts:
            why = f"the venue refused the deposit {report.client_order_id}: {report.reason}"
            self._cannot_apply(state.accounts[bot], report, why)

    def _cannot_apply(self, account: BotAccount, report: VenueReport, why: str) -> None:
        """Put a report aside that bears money; until somebody resolves it the bot takes no new risk (rule 9)."""
        self._state.effects.dead_letters.append((report, why))
        self._state.close(account, Closure.REPORT, f"venue report {report.no}: {why}")

    def _apply(self, account: BotAccount, order: ManagedOrder, report: VenueReport) -> None:
        state, desk, kind = self._state, self._desk, report.kind
        state.effects.orders[order.client_order_id] = order
        order.updated_us = state.now_us
        match kind:
            case ReportKind.ACCEPTED | ReportKind.TRIGGERED:
                desk.settle(order, SUBMIT)
                order.is_triggered = order.is_triggered or kind is ReportKind.TRIGGERED
                if order.follow(state.now_us):
                    state.tell(account, order)
            case ReportKind.FILLED:
                assert report.trade is not None
                self._trade(account, order, report.trade, report.market_us)
            case ReportKind.AMENDED:
                order.terms = amended_terms(order, report.lots, report.price_ticks)
                desk.settle(order, AMEND)
                desk.end_amendment(account, order)
                state.tell(account, order)
            case ReportKind.AMEND_REJECTED:
                desk.settle(order, AMEND)
                desk.end_amendment(account, order)
                state.tell(account, order, reason=report.reason)
            case ReportKind.CANCEL_REJECTED:
                desk.settle(order, CANCEL)
                order.follow(state.now_us)
                state.tell(account, order, reason=report.reason)
            case ReportKind.CANCELED:
                asked = order.cancel_reason is not Reason.NONE
                self._end(account, order, OrderStatus.CANCELED, order.cancel_reason if asked else report.reason)
            case ReportKind.REJECTED | ReportKind.EXPIRED:
                self._end(account, order, _ENDS[kind], report.reason)

    def _trade(self, account: BotAccount, order: ManagedOrder, trade: Trade, market_us: int) -> None:
        if trade.trade_id in order.trade_ids:
            return
        state = self._state
        instrument = state.config.instruments[order.symbol]
        fill = settle_trade(account, order, trade, instrument, state.effects, market_us=market_us)
        self._desk.settle(order, SUBMIT)
        state.effects.fills.append(
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
        if order.open_lots:
            order.follow(state.now_us)
            state.tell(account, order, fill=fill)
        else:
            self._desk.finish(account, order, OrderStatus.FILLED, order.reason, fill)
            self._exits.go_on(account, order.symbol, order)

    def _end(self, account: BotAccount, order: ManagedOrder, status: OrderStatus, reason: Reason) -> None:
        self._desk.finish(account, order, status, reason)
        self._exits.go_on(account, order.symbol, order)
