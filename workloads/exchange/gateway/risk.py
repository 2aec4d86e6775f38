"""The risk gate: may this order be sent, and how large (design §5)?

The questions come in a fixed order and the first "no" is the answer: halt, trading state, data age, duplicate, price
collar, order size, position, exposure, open orders, order rate, daily loss, drawdown, funds. A limit on size makes an
order smaller before it refuses it. An order that reduces a position is asked only what protects the market: data age,
collar and rate do not hold back an exit of the gateway's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tradefleet.domain.bots import RunState
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, divide_up, fee_atoms
from tradefleet.domain.orders import OrderTerms, OrderType, Reason, Side
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.config import GatewayConfig

SLACK_ATOMS = 64  # a reservation's room for the roundings of partial fills: one atom each


@dataclass(frozen=True, slots=True)
class Mark:
    """The last close of an instrument: price in ticks and the market time of that close."""

    ticks: int
    close_us: int


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

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config

    def judge(
        self,
        account: BotAccount,
        terms: OrderTerms,
        mark: Mark | None,
        *,
        marks: Mapping[Symbol, int],
        market_us: int,
        halted: bool,
        open_orders: int,
        recent_orders: int,
    ) -> Verdict:
        """Return the verdict on a bot's order. `open_orders` and `recent_orders` (last second) are the account's."""
        raises_risk = terms.side is Side.BUY
        reason = self._refusal(account, terms, mark, market_us=market_us, halted=halted and raises_risk)
        if reason is not Reason.NONE:
            return Verdict(terms, reason, denied=True)
        instrument = self._config.instruments[terms.symbol]
        assert mark is not None  # _refusal answers STALE_DATA without a mark
        price = reference_ticks(terms, mark.ticks)
        lots, why = self._allowed_lots(account, terms, instrument, price, marks)
        if lots <= 0 or instrument.notional_atoms(lots, price) < instrument.min_notional_atoms:
            return Verdict(terms, why if why is not Reason.NONE else Reason.MIN_NOTIONAL, denied=True)
        reason = self._pace_refusal(account, open_orders, recent_orders)
        if reason is Reason.NONE and raises_risk:
            reason = self._loss_refusal(account, account.mark_equity(marks))
        if reason is not Reason.NONE:
            return Verdict(terms, reason, denied=True)
        accepted = terms if lots == terms.lots else replace(terms, lots=lots)
        needed = self.reservation(account, accepted, mark.ticks)
        if needed.atoms > account.wallet.free.get(needed.asset, 0):
            return Verdict(terms, Reason.INSUFFICIENT_FUNDS, denied=True)
        return Verdict(accepted, why)

    def _refusal(
        self, account: BotAccount, terms: OrderTerms, mark: Mark | None, *, market_us: int, halted: bool
    ) -> Reason:
        if halted:
            return Reason.HALTED
        if account.closed or account.deleting or account.state is RunState.STOPPED:
            return Reason.NOT_TRADING
        if account.state is RunState.PAUSED and terms.side is Side.BUY:
            return Reason.NOT_TRADING
        if terms.symbol not in account.positions:
            return Reason.UNKNOWN_INSTRUMENT
        if terms.side is Side.BUY and terms.symbol in account.exits:
            return account.exits[terms.symbol]
        limits = account.config.limits
        if mark is None:
            return Reason.STALE_DATA
        if limits.max_data_age_us is not None and market_us - mark.close_us > limits.max_data_age_us:
            return Reason.STALE_DATA
        if terms.price_ticks is not None and terms.type is OrderType.LIMIT:
            away = abs(terms.price_ticks - mark.ticks)
            if self._is_aggressive(terms, mark.ticks) and away * PPM > limits.price_collar_ppm * mark.ticks:
                return Reason.PRICE_COLLAR
        return Reason.NONE

    @staticmethod
    def _is_aggressive(terms: OrderTerms, mark_ticks: int) -> bool:
        """A limit far on the passive side cannot hurt; a grid lives from those."""
        assert terms.price_ticks is not None
        return terms.price_ticks > mark_ticks if terms.side is Side.BUY else terms.price_ticks < mark_ticks

    def _allowed_lots(
        self, account: BotAccount, terms: OrderTerms, instrument: Instrument, price: int, marks: Mapping[Symbol, int]
    ) -> tuple[int, Reason]:
        limits = account.config.limits
        lots, why = terms.lots, Reason.NONE
        for most_atoms in (limits.max_order_atoms, self._config.limits.max_order_atoms):
            if most_atoms is not None and instrument.notional_atoms(lots, price) > most_atoms:
                lots, why = instrument.affordable_lots(most_atoms, price), Reason.ORDER_SIZE
        if terms.side is Side.SELL:
            return lots, why
        if limits.max_position_atoms is not None:
            held = account.positions[terms.symbol].lots + open_buy_lots(account, terms.symbol)
            room = limits.max_position_atoms - instrument.notional_atoms(held, price)
            if instrument.notional_atoms(lots, price) > room:
                lots, why = instrument.affordable_lots(room, price), Reason.POSITION_LIMIT
        if limits.max_exposure_ppm is not None:
            allowed = account.mark_equity(marks) * limits.max_exposure_ppm // PPM
            room = allowed - exposure_atoms(account, marks)
            if instrument.notional_atoms(lots, price) > room:
                lots, why = instrument.affordable_lots(room, price), Reason.EXPOSURE_LIMIT
        return lots, why

    def _pace_refusal(self, account: BotAccount, open_orders: int, recent_orders: int) -> Reason:
        limits, shared = account.config.limits, self._config.limits
        if limits.max_open_orders is not None and len(account.orders) >= limits.max_open_orders:
            return Reason.OPEN_ORDERS
        if shared.max_open_orders is not None and open_orders >= shared.max_open_orders:
            return Reason.OPEN_ORDERS
        per_minute = limits.max_orders_per_minute
        if per_minute is not None and len(account.accepted_us) >= per_minute:  # the machine has dropped older ones
            return Reason.ORDER_RATE
        if shared.max_orders_per_second is not None and recent_orders >= shared.max_orders_per_second:
            return Reason.ORDER_RATE
        return Reason.NONE

    @staticmethod
    def _loss_refusal(account: BotAccount, equity_atoms: int) -> Reason:
        limits = account.config.limits
        start, peak = account.day_start_equity_atoms, account.peak_equity_atoms
        if limits.max_daily_loss_ppm is not None and (start - equity_atoms) * PPM >= limits.max_daily_loss_ppm * start:
            return Reason.DAILY_LOSS
        if limits.max_drawdown_ppm is not None and (peak - equity_atoms) * PPM >= limits.max_drawdown_ppm * peak:
            return Reason.DRAWDOWN
        return Reason.NONE

    def reservation(self, account: BotAccount, terms: OrderTerms, mark_ticks: int) -> Reservation:
        """Return what the order locks: base lots to sell, or quote for the worst price it may pay, fee included."""
        instrument = self._config.instruments[terms.symbol]
        if terms.side is Side.SELL:
            return Reservation(instrument.base, instrument.base_atoms(terms.lots))
        protection: int | None = None
        if terms.price_ticks is not None:
            worst = terms.price_ticks
        else:
            from_ticks = terms.trigger_ticks if terms.trigger_ticks is not None else mark_ticks
            worst = divide_up(from_ticks * (PPM + account.config.limits.price_collar_ppm), PPM)
            protection = worst
        return Reservation(instrument.quote, self.cost_atoms(instrument, terms.lots, worst), protection)

    def cost_atoms(self, instrument: Instrument, lots: int, price_ticks: int) -> int:
        """Return the most that buying `lots` at `price_ticks` can cost, fee and roundings included."""
        notional = instrument.notional_atoms_up(lots, price_ticks)
        return notional + fee_atoms(notional, self._config.fee_ppm_max) + SLACK_ATOMS


def reference_ticks(terms: OrderTerms, mark_ticks: int) -> int:
    """Return the price at which an order's size is judged: its limit, else its trigger, else the mark."""
    if terms.price_ticks is not None:
        return terms.price_ticks
    return terms.trigger_ticks if terms.trigger_ticks is not None else mark_ticks


def open_buy_lots(account: BotAccount, symbol: str) -> int:
    """Return the lots that open buy orders of `symbol` may still add."""
    return sum(
        order.open_lots
        for order in account.orders.values()
        if order.terms.symbol == symbol and order.terms.side is Side.BUY
    )


def exposure_atoms(account: BotAccount, marks: Mapping[Symbol, int]) -> int:
    """Return all positions at their marks plus all open buys at their prices, in quote atoms."""
    total = 0
    for instrument in account.instruments:
        lots = account.positions[instrument.symbol].lots
        if lots:
            total += instrument.notional_atoms(lots, marks.get(instrument.symbol, 0))
    for order in account.orders.values():
        if order.terms.side is Side.BUY:
            total += order.reserved_atoms
    return total
