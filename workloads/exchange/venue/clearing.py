"""Clearing: what every kind of market needs to turn matches into money, reports and finished orders."""

from bisect import bisect_right

from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.money import fee_atoms
from tradefleet.domain.orders import OrderStatus, OrderTerms, Reason
from tradefleet.domain.venue import Liquidity, ReportKind, Trade, VenueOrder, VenueReport
from workloads.exchange.venue.accounts import Account, Accounts
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.orders import FinishedOrder, OpenOrder

Output = tuple[AccountId, VenueReport]

_KIND_OF_END = {OrderStatus.CANCELED: ReportKind.CANCELED, OrderStatus.EXPIRED: ReportKind.EXPIRED}


class Clearing:
    """Moves money, numbers trades and reports. `market_us` is the time of the input that is being applied.

    A limit buy locks its notional, rounded up, and the largest fee on it; a sell locks its base. A buy without a
    limit locks nothing, since its price is not known: what it cannot pay when it fills, it does not get.
    """

    __slots__ = ("_outputs", "accounts", "arrival_no", "config", "market_us", "trade_no")

    def __init__(self, config: VenueConfig) -> None:
        self.config = config
        self.accounts = Accounts()
        self.market_us = 0
        self.arrival_no = 0
        self.trade_no = 0
        self._outputs: list[Output] = []

    def next_arrival(self) -> int:
        """Return the next number in the one order of arrivals."""
        self.arrival_no += 1
        return self.arrival_no

    def take_outputs(self) -> list[Output]:
        """Return the reports made since the last call, in their order."""
        if not self._outputs:
            return []
        outputs, self._outputs = self._outputs, []
        return outputs

    def report(
        self,
        account: Account,
        kind: ReportKind,
        client_order_id: ClientOrderId,
        *,
        reason: Reason = Reason.NONE,
        trade: Trade | None = None,
        lots: int | None = None,
        price_ticks: int | None = None,
    ) -> None:
        """Give out the account's next numbered report and keep it until it is confirmed."""
        account.report_no += 1
        report = VenueReport(
            no=account.report_no,
            kind=kind,
            client_order_id=client_order_id,
            market_us=self.market_us,
            reason=reason,
            trade=trade,
            lots=lots,
            price_ticks=price_ticks,
        )
        account.reports.append(report)
        self._outputs.append((account.id, report))

    def locks(self, order: OpenOrder) -> tuple[str, int]:
        """Return asset and atoms that what remains of `order` locks."""
        instrument = order.instrument
        if not order.is_buy:
            return instrument.base, instrument.base_atoms(order.remaining_lots)
        if order.price_ticks is None:
            return instrument.quote, 0
        return instrument.quote, _set_aside_atoms(order, order.price_ticks)

    def can_lock(self, order: OpenOrder, *, locked_atoms: int = 0) -> bool:
        """Return whether the account can lock what `order` needs beyond the `locked_atoms` it already has."""
        asset, atoms = self.locks(order)
        return atoms - locked_atoms <= order.account.free.get(asset, 0)

    def cost_atoms(self, order: OpenOrder, lots: int, price_ticks: int, liquidity: Liquidity) -> int:
        """Return notional and fee, in quote atoms, of `lots` at `price_ticks`."""
        notional = order.instrument.notional_atoms(lots, price_ticks)
        return notional + fee_atoms(notional, self._fee_ppm(order, liquidity))

    def payable_lots(self, order: OpenOrder, lots: int, price_ticks: int, liquidity: Liquidity) -> int:
        """Return how many of `lots` the order can pay. All of them, but for a buy that has locked nothing.

        Such a one pays out of what the account has free, and not above its protection: the account is shared, and the
        order's owner has set no more aside (rule 15).
        """
        if not order.is_buy or order.price_ticks is not None:
            return lots
        if order.is_beyond_protection(price_ticks):
            return 0
        budget = order.account.free.get(order.instrument.quote, 0)
        if self.cost_atoms(order, lots, price_ticks, liquidity) <= budget:
            return lots
        return bisect_right(
            range(1, lots + 1), budget, key=lambda count: self.cost_atoms(order, count, price_ticks, liquidity)
        )

    def fill(self, order: OpenOrder, lots: int, price_ticks: int, liquidity: Liquidity) -> None:
        """Trade `lots` (> 0) of `order` against the market's balance; an order without a rest is done.

        The fee is rounded up (rule 17), but never so far that a buy would cost more than its owner set aside for it:
        an order that trades in parts is rounded at each of them. The venue bears that difference, an atom or two.
        """
        instrument, account = order.instrument, order.account
        worst_ticks = order.worst_ticks if order.is_buy else None
        set_aside = 0 if worst_ticks is None else _set_aside_atoms(order, worst_ticks)
        asset, locked_before = self.locks(order)
        order.filled_lots += lots
        _, locked_after = self.locks(order)
        released = locked_before - locked_after
        notional = instrument.notional_atoms(lots, price_ticks)
        fee = fee_atoms(notional, self._fee_ppm(order, liquidity))
        base = instrument.base_atoms(lots)
        if order.is_buy:
            if worst_ticks is not None:
                fee = min(fee, set_aside - _set_aside_atoms(order, worst_ticks) - notional)
            paid, received = notional, base
        else:
            paid, received = -notional, -base
        account.lock(asset, -released)
        account.credit(instrument.quote, -paid - fee)
        account.credit(instrument.base, received)
        books = self.accounts
        books.fees[instrument.quote] = books.fees.get(instrument.quote, 0) + fee
        books.market[instrument.quote] = books.market.get(instrument.quote, 0) + paid
        books.market[instrument.base] = books.market.get(instrument.base, 0) - received
        self.trade_no += 1
        trade = Trade(
            trade_id=str(self.trade_no),
            lots=lots,
            price_ticks=price_ticks,
            fee_atoms=fee,
            fee_asset=instrument.quote,
            liquidity=liquidity,
        )
        self.report(account, ReportKind.FILLED, order.client_order_id, trade=trade)
        if order.remaining_lots == 0:
            self._finish(order, OrderStatus.FILLED, Reason.NONE)

    def end(self, order: OpenOrder, status: OrderStatus, reason: Reason) -> None:
        """End what is left of an order as CANCELED or EXPIRED: release what it locks and report it."""
        asset, atoms = self.locks(order)
        order.account.lock(asset, -atoms)
        self._finish(order, status, reason)
        self.report(order.account, _KIND_OF_END[status], order.client_order_id, reason=reason)

    def reject(self, account: Account, client_order_id: ClientOrderId, terms: OrderTerms, reason: Reason) -> None:
        """Refuse an order that was never accepted, and remember that."""
        order = VenueOrder(
            account=account.id,
            client_order_id=client_order_id,
            symbol=terms.symbol,
            side=terms.side,
            lots=terms.lots,
            filled_lots=0,
            price_ticks=terms.price_ticks,
        )
        account.remember(FinishedOrder(order=order, terms=terms, status=OrderStatus.REJECTED, reason=reason))
        self.report(account, ReportKind.REJECTED, client_order_id, reason=reason)

    def _finish(self, order: OpenOrder, status: OrderStatus, reason: Reason) -> None:
        order.status = status
        del order.account.orders[order.client_order_id]
        order.account.remember(FinishedOrder(order=order.view(), terms=order.terms, status=status, reason=reason))

    def _fee_ppm(self, order: OpenOrder, liquidity: Liquidity) -> int:
        fee_ppm = self.config.maker_ppm if liquidity is Liquidity.MAKER else self.config.taker_ppm
        return min(fee_ppm, order.fee_ppm)


def _set_aside_atoms(order: OpenOrder, price_ticks: int) -> int:
    """Return the quote atoms that what remains of a buy may cost up to a price: notional and fee, each rounded up."""
    notional = order.instrument.notional_atoms_up(order.remaining_lots, price_ticks)
    return notional + fee_atoms(notional, order.fee_ppm)
