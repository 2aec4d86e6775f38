"""Exits: the gateway's own orders, which close positions for protection, on command and at the end of a bot.

An exit first cancels what is open for the instrument, since that locks what is to be sold; when all of it is gone it
sells the position at the market. Whatever comes between (a cancel the venue refuses, a sale it rejects) is tried again
at the next bar of the instrument, until the position is sold or what is left is too small to be.
"""

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import Symbol, gateway_order_id
from tradefleet.domain.money import LOTS_MAX
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Reason, Side
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.desk import OrderDesk
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.protection import extremes, path_ticks, stays_calm, triggered
from workloads.exchange.gateway.state import GatewayState


class Exits:
    """Who has to get out of what, and how far that is. The state of it is `BotAccount.exits`."""

    __slots__ = ("_desk", "_state")

    def __init__(self, state: GatewayState, desk: OrderDesk) -> None:
        self._state = state
        self._desk = desk

    def on_bar(self, bar: Bar) -> None:
        """Follow a bar of the finest interval of its instrument: retry what is under way, then ask the protections."""
        state = self._state
        symbol = bar.symbol
        low = high = 0  # in ticks, worked out for the first who asks
        for account in state.traders.get(symbol, ()):
            if account.is_ending or account.exits or account.is_abandoned or state.halts:
                self._retry(account, symbol)
            position = account.positions[symbol]
            if not position.lots or not account.is_protected or symbol in account.exits or account.is_gone:
                continue
            instrument, limits = state.config.instruments[symbol], account.config.limits
            if not high:
                low, high = extremes(bar, instrument)
            peak = position.peak_ticks
            reason = Reason.NONE
            if not stays_calm(position, limits, instrument, low, high):
                reason = triggered(position, limits, instrument, path_ticks(bar, instrument))
            if position.peak_ticks != peak:
                state.effects.accounts.add(account.key)
            if reason is not Reason.NONE and self._sellable_lots(account, symbol, is_alone=False):
                state.event(account.key, reason, f"{symbol}: closing {position.lots} lots at the market")
                self.close_position(account, symbol, reason)

    def _retry(self, account: BotAccount, symbol: Symbol) -> None:
        """Ask again for cancels that the venue has refused, and for the sale that an exit still owes."""
        for order in list(account.orders.values()):
            if order.symbol == symbol:
                reason = self._unwanted(account, order)
                if reason is not Reason.NONE:
                    self._desk.cancel(order, reason)
        self.go_on(account, symbol)

    def _unwanted(self, account: BotAccount, order: ManagedOrder) -> Reason:
        """Return why an open order has to go, NONE when it may stay."""
        if order.origin is Origin.GATEWAY:
            return Reason.NONE
        if order.symbol in account.exits:
            return account.exits[order.symbol]
        if account.is_ending:
            return Reason.USER_CANCEL
        if account.is_abandoned:
            return Reason.DEAD_MAN
        halted = order.terms.side is Side.BUY and self._state.is_halted(account.key)
        return Reason.HALTED if halted else Reason.NONE

    def wind_down(self, account: BotAccount) -> None:
        """Do what the bot's policy says when it is stopped or deleted."""
        policy = account.config.deletion_policy
        if policy is DeletionPolicy.FLATTEN:
            self.flatten(account)
        elif policy is DeletionPolicy.CANCEL_ORDERS:
            self.cancel_all(account)

    def give_up(self, account: BotAccount) -> None:
        """Keep what was to be sold: the owner has changed what becomes of it, perhaps since no bar comes any more."""
        for symbol in [symbol for symbol, reason in account.exits.items() if reason is Reason.FLATTEN]:
            del account.exits[symbol]
            for order in list(account.orders.values()):
                if order.symbol == symbol and order.origin is Origin.GATEWAY:
                    self._desk.cancel(order, Reason.USER_CANCEL)

    def cancel_all(self, account: BotAccount, reason: Reason = Reason.USER_CANCEL) -> None:
        """Cancel every open order of the bot's own; the gateway's are exits, and go on."""
        for order in list(account.orders.values()):
            if order.origin is Origin.BOT:
                self._desk.cancel(order, reason)

    def flatten(self, account: BotAccount, reason: Reason = Reason.FLATTEN) -> None:
        """Close every position of a bot."""
        for symbol in account.config.symbols:
            self.close_position(account, symbol, reason)

    def close_position(self, account: BotAccount, symbol: Symbol, reason: Reason) -> None:
        """Begin an exit, unless there is nothing to cancel and nothing to sell."""
        is_open = False
        for order in list(account.orders.values()):
            if order.symbol == symbol:
                is_open = True
                if order.origin is Origin.BOT:
                    self._desk.cancel(order, reason)
        if is_open or account.positions[symbol].lots:
            self._state.effects.accounts.add(account.key)
            account.exits[symbol] = reason
            self.go_on(account, symbol)

    def go_on(self, account: BotAccount, symbol: Symbol, ended: ManagedOrder | None = None) -> None:
        """Take the next step of an exit, if one is under way. `ended` is the order whose end made it possible.

        A sale that ended without filling is tried again at the next bar only: the venue would refuse it as often as it
        is asked.
        """
        if symbol not in account.exits or any(order.symbol == symbol for order in account.orders.values()):
            return
        if ended is not None and ended.origin is Origin.GATEWAY and ended.status is not OrderStatus.FILLED:
            return
        state = self._state
        held = account.positions[symbol].lots
        if held and symbol not in state.marks:
            return  # what it is worth is not known before the first bar
        state.effects.accounts.add(account.key)
        lots = self._sellable_lots(account, symbol, is_alone=True)
        reason = account.exits[symbol]
        if not lots:
            del account.exits[symbol]
            if held:
                state.event(account.key, reason, f"{symbol}: {held} lots are too small to be sold, and stay")
            return
        account.order_counter += 1
        order = ManagedOrder(
            bot=account.key,
            client_order_id=gateway_order_id(account.prefix, account.order_counter),
            terms=OrderTerms(symbol=symbol, side=Side.SELL, type=OrderType.MARKET, lots=lots, reduce_only=True),
            request_seq=None,
            reason=reason,
            market_us=state.now_us,
        )
        self._desk.send(account, order)

    def _sellable_lots(self, account: BotAccount, symbol: Symbol, *, is_alone: bool) -> int:
        """Return the lots an exit can sell; 0 when they are worth less than the minimum notional.

        Fees taken in the base asset leave less of it than the position counts. `is_alone`: the instrument has no open
        order that will give back what it locks.
        """
        instrument = self._state.config.instruments[symbol]
        wallet, base = account.wallet, instrument.base
        atoms = wallet.free.get(base, 0) if is_alone else wallet.total(base)
        lots = min(account.positions[symbol].lots, atoms // instrument.lot_atoms, LOTS_MAX)
        worth = instrument.notional_atoms(lots, self._state.marks.get(symbol, 0))
        return lots if worth >= instrument.min_notional_atoms else 0
