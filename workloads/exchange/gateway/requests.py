"""The bots' requests: new orders through the risk gate, cancels and amendments of what is open."""

from collections.abc import Sequence

from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.bots import Closure
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.executions import Execution, Origin
from tradefleet.domain.ids import BotKey, bot_order_id
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
from workloads.exchange.gateway.account import RATE_WINDOW_US, BotAccount
from workloads.exchange.gateway.amendments import check_amendment
from workloads.exchange.gateway.desk import OrderDesk
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.risk import RiskGate
from workloads.exchange.gateway.state import GatewayState, forget_before


class RequestHandling:
    """Applies requests in the order of their numbers."""

    __slots__ = ("_desk", "_gate", "_state")

    def __init__(self, state: GatewayState, desk: OrderDesk) -> None:
        self._state = state
        self._desk = desk
        self._gate = RiskGate(state)

    def apply(self, requests: Sequence[BotRequest], refuse: Reason) -> None:
        """Apply those that were not applied yet. Raises before anything is applied when one is missing."""
        for account, request in self._fresh(requests):
            account.request_seq = request.seq
            self._state.effects.accounts.add(account.key)
            match request:
                case OrderRequest():
                    self._order(account, request, refuse)
                case CancelRequest():
                    self._cancel(account, request)
                case AmendRequest():
                    self._amend(account, request)

    def _fresh(self, requests: Sequence[BotRequest]) -> list[tuple[BotAccount, BotRequest]]:
        fresh: list[tuple[BotAccount, BotRequest]] = []
        last: dict[BotKey, int] = {}
        for request in requests:
            account = self._state.accounts.get(request.bot)
            if account is None:
                raise InvalidValue(f"request {request.seq} of bot {request.bot}: the gateway has no such bot")
            before = last.get(request.bot, account.request_seq)
            if request.seq <= before:
                continue
            if request.seq != before + 1:
                raise StreamGap(f"bot {request.bot}: request {request.seq} after {before}")
            last[request.bot] = request.seq
            fresh.append((account, request))
        return fresh

    def _order(self, account: BotAccount, request: OrderRequest, refuse: Reason) -> None:
        """Judge a new order. Its id follows from its number, so another id is that of another order (rule 1).

        Nothing is said about such a one: the answer would be taken for that other order's.
        """
        state = self._state
        if request.client_order_id != bot_order_id(account.prefix, request.seq):
            why = f"request {request.seq}: {request.client_order_id} is not the id of that number"
            state.effects.dead_letters.append((request, why))
            state.close(account, Closure.REQUEST, why)
            return
        account.order_count += 1
        order = ManagedOrder(
            bot=account.key,
            client_order_id=request.client_order_id,
            terms=request.terms,
            request_seq=request.seq,
            reason=Reason.NONE,
            market_us=state.now_us,
        )
        if refuse is Reason.NONE and request.market_us <= account.backlog_until_us:
            refuse = Reason.NOT_TRADING
        if refuse is not Reason.NONE:
            self._desk.deny(account, order, refuse)
            return
        self._forget(account)
        verdict = self._gate.judge(account, request.terms, request.market_us)
        if verdict.denied:
            self._desk.deny(account, order, verdict.reason)
            return
        order.terms = verdict.terms
        order.reason = verdict.reason
        self._count(account)
        self._desk.send(account, order, request.market_us)

    def _cancel(self, account: BotAccount, request: CancelRequest) -> None:
        """Cancel an order of the bot's own; an exit of the gateway is not the bot's to stop."""
        order = account.orders.get(request.client_order_id)
        if order is not None and order.request_seq is not None:
            self._desk.cancel(order, Reason.USER_CANCEL, request.market_us)

    def _amend(self, account: BotAccount, request: AmendRequest) -> None:
        order = account.orders.get(request.client_order_id)
        if order is None:
            return
        self._forget(account)
        refusal = Reason.NOT_TRADING
        if request.market_us > account.backlog_until_us:
            refusal = check_amendment(order, request, account, self._gate, self._state)
        if refusal is not Reason.NONE:
            detail = f"amendment of order {order.client_order_id} denied"
            self._state.event(account.key, refusal, detail, order.client_order_id)
            self._state.tell(account, order, reason=refusal)
            return
        self._count(account)
        self._desk.amend(
            account, order, lots=request.lots, price_ticks=request.price_ticks, decided_us=request.market_us
        )

    # --- a request that cannot be read ----------------------------------------------------------------------------

    def hold_up(self, account: BotAccount, seq: int, why: str) -> None:
        """Stop a bot's stream at a request that cannot be read: it and what follows wait for a person (rule 9)."""
        account.unreadable_seq = seq
        self._state.close(account, Closure.UNREADABLE, why)

    def go_on(self, account: BotAccount) -> None:
        """Let a stream that was held be read again, from the request that could not be read.

        What the bot decided while its stream was held was right then, perhaps hours ago: it may cancel, but raises no
        risk now.
        """
        if account.unreadable_seq:
            account.unreadable_seq = 0
            account.backlog_until_us = self._state.now_us
            self._state.reopen(account, [Closure.UNREADABLE])

    def skip(self, account: BotAccount) -> None:
        """Leave out the request at which a stream is held.

        What it asked for is not known, so the bot is told everything that it may wait for: an order of that number is
        denied (with terms that say nothing), and every open order is shown as it is.
        """
        state, seq = self._state, account.unreadable_seq
        self.go_on(account)
        account.request_seq = seq
        account.execution_seq += 1
        state.effects.executions.append(
            Execution(
                bot=account.key,
                seq=account.execution_seq,
                client_order_id=bot_order_id(account.prefix, seq),
                origin=Origin.BOT,
                status=OrderStatus.DENIED,
                terms=OrderTerms(symbol=account.config.symbols[0], side=Side.BUY, type=OrderType.MARKET, lots=1),
                filled_lots=0,
                market_us=state.now_us,
                reason=Reason.UNREADABLE,
            )
        )
        for order in account.orders.values():
            state.tell(account, order)

    # --- what the gate counts -------------------------------------------------------------------------------------

    def _forget(self, account: BotAccount) -> None:
        forget_before(self._state.accepted_us, self._state.now_us - MICROSECONDS)
        forget_before(account.accepted_us, self._state.now_us - RATE_WINDOW_US)

    def _count(self, account: BotAccount) -> None:
        account.accepted_us.append(self._state.now_us)
        self._state.accepted_us.append(self._state.now_us)
