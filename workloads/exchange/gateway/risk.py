"""The risk gate: may this order be sent, and how large (design §5)?

The questions come in a fixed order and the first "no" is the answer: halt, books that differ from the venue, trading
state, instrument, exit under way, data age, price collar, order size, position, exposure, open orders, order rate,
daily loss, drawdown, funds. Where bot and account both have a limit, the bot's comes first. (That a request is no
duplicate is known before: its id follows from its number.) A limit on size makes an order smaller before it refuses
it. A sell can only reduce a position on a spot account, so what only limits risk is not asked of it. The gateway's own
exits do not come here at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tradefleet.domain.bar import DAY_US
from tradefleet.domain.bots import RunState
from tradefleet.domain.ids import Symbol
from tradefleet.domain.money import PPM, divide_up, fee_atoms
from tradefleet.domain.orders import OrderTerms, Reason, Side
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.state import GatewayState

# Room for a venue that rounds each of an order's fills on its own, one atom for the notional and one for the fee. The
# simulator never rounds an order above its reservation, however many parts it fills in, and needs none of it.
SLACK_ATOMS = 64
SLACK_PER_FILL_ATOMS = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer: terms to send (perhaps smaller ones), or the reason against."""

    terms: OrderTerms
    reason: Reason = Reason.NONE  # NONE: accepted as asked; with `denied` False: why it was made smaller
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an order locks. `protection_ticks` is the worst price it may fill at, for buys without a limit price."""

    asset: str
    atoms: int
    protection_ticks: int | None = None


class RiskGate:
    """The gate of one account. Reads the books, changes nothing."""

    __slots__ = ("_config", "_state")

    def __init__(self, state: GatewayState) -> None:
        self._state = state
        self._config = state.config

    def judge(self, account: BotAccount, terms: OrderTerms, decided_us: int) -> Verdict:
        """Return the verdict on a bot's new order; `decided_us` is the market time at which it was decided."""
        raises_risk = terms.side is Side.BUY
        reason = self.refusal(account, terms, decided_us, raises_risk=raises_risk)
        if reason is Reason.NONE:
            reason = self.collar_refusal(account, terms)
        if reason is not Reason.NONE:
            return Verdict(terms, reason, denied=True)
        instrument = self._config.instruments[terms.symbol]
        price = reference_ticks(terms, self._state.marks[terms.symbol])
        lots, why = self.allowed_lots(account, terms)
        if lots <= 0 or instrument.notional_atoms(lots, price) < instrument.min_notional_atoms:
            return Verdict(terms, why if why is not Reason.NONE else Reason.MIN_NOTIONAL, denied=True)
        reason = self._crowd_refusal(account)
        if reason is Reason.NONE:
            reason = self.rate_refusal(account)
        if reason is Reason.NONE and raises_risk:
            reason = self.loss_refusal(account)
        if reason is not Reason.NONE:
            return Verdict(terms, reason, denied=True)
        accepted = terms if lots == terms.lots else replace(terms, lots=lots)
        needed = reservation(account, accepted, self._state.marks[terms.symbol], self._config)
        if needed.atoms > account.wallet.free.get(needed.asset, 0):
            return Verdict(terms, Reason.INSUFFICIENT_FUNDS, denied=True)
        return Verdict(accepted, why)

    def refusal(self, account: BotAccount, terms: OrderTerms, decided_us: int, *, raises_risk: bool) -> Reason:
        """Return why an order may not be sent whatever its price and size; NONE when it may.

        A decision grows old like the price: a bot that comes back after a week decides on the bars it has missed.
        """
        state = self._state
        if raises_risk and state.is_halted(account.key):
            return Reason.HALTED
        if raises_risk and state.mismatch:
            return Reason.UNRECONCILED
        if account.closures or account.deleting or account.state is RunState.STOPPED:
            return Reason.NOT_TRADING
        if raises_risk and account.state is RunState.PAUSED:
            return Reason.NOT_TRADING
        if terms.symbol not in account.positions:
            return Reason.UNKNOWN_INSTRUMENT
        if terms.symbol in account.exits:  # a sell too: it would lock what the exit is about to sell
            return account.exits[terms.symbol]
        mark_us = state.mark_us.get(terms.symbol)
        oldest_us = account.config.limits.max_data_age_us
        if mark_us is None or (oldest_us is not None and state.now_us - mark_us > oldest_us):
            return Reason.STALE_DATA
        if raises_risk and oldest_us is not None and state.now_us - decided_us > oldest_us:
            return Reason.STALE_DATA
        return Reason.NONE

    def collar_refusal(self, account: BotAccount, terms: OrderTerms) -> Reason:
        """Return PRICE_COLLAR when the limit price is too far on the expensive side of the mark.

        Far on the passive side it cannot hurt (a grid lives from those). A stop-limit is measured from its trigger,
        since it trades near there. Orders without a limit price reserve at the collar and fill no further.
        """
        if terms.price_ticks is None:
            return Reason.NONE
        base = self._state.marks[terms.symbol] if terms.trigger_ticks is None else terms.trigger_ticks
        beyond = (terms.price_ticks - base) * terms.side.sign
        return Reason.PRICE_COLLAR if beyond * PPM > account.config.limits.price_collar_ppm * base else Reason.NONE

    def allowed_lots(
        self, account: BotAccount, terms: OrderTerms, *, without: ManagedOrder | None = None
    ) -> tuple[int, Reason]:
        """Return the lots that the limits on size allow, and the last limit that made them fewer.

        `without` is an open order that these terms would replace.
        """
        instrument = self._config.instruments[terms.symbol]
        mark = self._state.marks[terms.symbol]
        price = reference_ticks(terms, mark)
        limits = account.config.limits
        lots, why = terms.lots, Reason.NONE
        for most_atoms in (limits.max_order_atoms, self._config.limits.max_order_atoms):
            if most_atoms is not None and instrument.notional_atoms(lots, price) > most_atoms:
                lots, why = instrument.affordable_lots(most_atoms, price), Reason.ORDER_SIZE
        if terms.side is Side.SELL or not lots:
            return lots, why
        everybody = self._state.traders[terms.symbol]
        for limit_atoms, holders in (
            (limits.max_position_atoms, (account,)),
            (self._config.limits.max_position_atoms, everybody),
        ):
            if limit_atoms is not None and lots:
                room = limit_atoms - instrument.notional_atoms_up(planned_lots(holders, terms.symbol, without), mark)
                if instrument.notional_atoms(lots, mark) > room:
                    lots, why = instrument.affordable_lots(room, mark), Reason.POSITION_LIMIT
        if limits.max_exposure_ppm is not None and lots:
            allowed = account.mark_equity(self._state.marks) * limits.max_exposure_ppm // PPM
            room = allowed - self.exposure_atoms(account, without)
            if instrument.notional_atoms(lots, price) > room:
                lots, why = instrument.affordable_lots(room, price), Reason.EXPOSURE_LIMIT
        return lots, why

    def exposure_atoms(self, account: BotAccount, without: ManagedOrder | None = None) -> int:
        """Return all positions at their marks plus all open buys at their own prices, in quote atoms.

        A buy that is being changed counts with the larger size and at the dearer price: the venue may agree or not.
        """
        marks, instruments = self._state.marks, self._config.instruments
        total = 0
        for instrument in account.instruments:
            lots = account.positions[instrument.symbol].lots
            if lots:
                total += instrument.notional_atoms_up(lots, marks.get(instrument.symbol, 0))
        for order in account.orders.values():
            terms = order.terms
            if terms.side is Side.BUY and order is not without:
                price, lots = reference_ticks(terms, marks.get(terms.symbol, 0)), terms.lots - order.filled_lots
                if order.amend is not None:
                    price, lots = max(price, order.asked_ticks or 0), order.open_lots_max
                total += instruments[terms.symbol].notional_atoms_up(lots, price)
        return total

    def _crowd_refusal(self, account: BotAccount) -> Reason:
        own_most, shared_most = account.config.limits.max_open_orders, self._config.limits.max_open_orders
        if own_most is not None and len(account.orders) >= own_most:
            return Reason.OPEN_ORDERS
        if shared_most is not None and len(self._state.orders) >= shared_most:
            return Reason.OPEN_ORDERS
        return Reason.NONE

    def rate_refusal(self, account: BotAccount) -> Reason:
        """Return ORDER_RATE when there were too many in the last minute or second. Older ones must be forgotten."""
        per_minute, per_second = account.config.limits.max_orders_per_minute, self._config.limits.max_orders_per_second
        if per_minute is not None and len(account.accepted_us) >= per_minute:
            return Reason.ORDER_RATE
        if per_second is not None and len(self._state.accepted_us) >= per_second:
            return Reason.ORDER_RATE
        return Reason.NONE

    def loss_refusal(self, account: BotAccount) -> Reason:
        """Return DAILY_LOSS or DRAWDOWN when equity has fallen too far. A day that has no bar yet starts with now.

        A new day heals a loss; only a person clears a drawdown that a bar has shown.
        """
        limits = account.config.limits
        if limits.max_daily_loss_ppm is None and limits.max_drawdown_ppm is None:
            return Reason.NONE
        equity = account.mark_equity(self._state.marks)
        start = account.day_start_equity_atoms
        if (
            limits.max_daily_loss_ppm is not None
            and self._state.now_us // DAY_US == account.day
            and (start - equity) * PPM >= limits.max_daily_loss_ppm * start
        ):
            return Reason.DAILY_LOSS
        return Reason.DRAWDOWN if account.is_drawn_down or account.is_below_peak(equity) else Reason.NONE


def reservation(account: BotAccount, terms: OrderTerms, mark_ticks: int, config: GatewayConfig) -> Reservation:
    """Return what an order locks: base lots to sell, or quote for the worst price it may pay, fee and roundings too."""
    instrument = config.instruments[terms.symbol]
    if terms.side is Side.SELL:
        return Reservation(instrument.base, instrument.base_atoms(terms.lots))
    protection: int | None = None
    worst = terms.price_ticks
    if worst is None:
        from_ticks = reference_ticks(terms, mark_ticks)
        worst = protection = divide_up(from_ticks * (PPM + account.config.limits.price_collar_ppm), PPM)
    notional = instrument.notional_atoms_up(terms.lots, worst)
    slack = min(SLACK_ATOMS, SLACK_PER_FILL_ATOMS * terms.lots)  # a fill takes at least one lot
    return Reservation(instrument.quote, notional + fee_atoms(notional, config.fee_ppm_max) + slack, protection)


def amendment_atoms(
    account: BotAccount, order: ManagedOrder, wanted: OrderTerms, mark_ticks: int, config: GatewayConfig
) -> int:
    """Return what an order must lock while it may become `wanted`, the terms of what would then be open.

    All that is open may still fill as it is before the venue hears of the change, and what is added fill after that:
    for a buy made larger and cheaper that costs more than its new terms.
    """
    needed = reservation(account, wanted, mark_ticks, config).atoms
    added = wanted.lots - order.open_lots
    if added <= 0:
        return needed
    before = reservation(account, replace(order.terms, lots=order.open_lots), mark_ticks, config).atoms
    return max(needed, before + reservation(account, replace(wanted, lots=added), mark_ticks, config).atoms)


def reference_ticks(terms: OrderTerms, mark_ticks: int) -> int:
    """Return the price at which an order's size is judged: its limit, else its trigger, else the mark."""
    if terms.price_ticks is not None:
        return terms.price_ticks
    return terms.trigger_ticks if terms.trigger_ticks is not None else mark_ticks


def planned_lots(accounts: Iterable[BotAccount], symbol: Symbol, without: ManagedOrder | None) -> int:
    """Return the lots of `symbol` that bots hold together, and that their open buys may add, `without` apart."""
    lots = 0
    for account in accounts:
        lots += account.positions[symbol].lots
        for order in account.orders.values():
            if order.symbol == symbol and order.terms.side is Side.BUY and order is not without:
                lots += order.open_lots_max
    return lots
