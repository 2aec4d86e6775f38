"""A bot's own view of its money, positions and orders: adopted once, then folded from its executions.

What was filled and paid is exact. What is locked for open orders is an estimate by the gateway's rule (a market order
reserves at its collar price plus fee, correctness rule 15), kept so that the bot never plans with money that is
already promised; the gateway's books are the truth.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from tradefleet.domain.executions import Adoption, Execution, Fill
from tradefleet.domain.ids import ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, divide_up, fee_atoms, from_atoms
from tradefleet.domain.orders import OrderTerms, Side
from workloads.strategy.holdings import FillView, OpenOrder, Position
from workloads.strategy.round_trips import RoundTrips

RESERVE_SLACK_ATOMS = 64  # the gateway's room for the roundings of partial fills, one atom each
FILLS_KEPT = 100  # the last fills a strategy can read; older ones are in the ledger


class Portfolio:
    """Wallet, positions, open orders and last fills of one bot. `taker_ppm` is the fee a reservation must cover."""

    __slots__ = (
        "_collar_ppm",
        "_taker_ppm",
        "fills",
        "instruments",
        "locked",
        "orders",
        "positions",
        "quote",
        "round_trips",
        "scales",
        "total",
    )

    def __init__(self, instruments: Mapping[Symbol, Instrument], *, taker_ppm: int, collar_ppm: int) -> None:
        self.instruments = dict(instruments)
        self._taker_ppm = taker_ppm
        self._collar_ppm = collar_ppm
        self.quote = next(iter(instruments.values())).quote
        self.scales: dict[str, int] = {}
        for instrument in instruments.values():
            self.scales[instrument.base] = instrument.base_scale
            self.scales[instrument.quote] = instrument.quote_scale
        self.total: dict[str, int] = {}
        self.locked: dict[str, int] = {}
        self.positions = {symbol: Position(instrument) for symbol, instrument in instruments.items()}
        self.orders: dict[ClientOrderId, OpenOrder] = {}
        self.fills: deque[FillView] = deque(maxlen=FILLS_KEPT)
        self.round_trips = RoundTrips()

    def take_terms(self, instruments: Mapping[Symbol, Instrument], *, taker_ppm: int) -> None:
        """Reckon with another fee from here on. An open order keeps what it has reserved until it is heard of."""
        self.instruments = dict(instruments)
        self._taker_ppm = taker_ppm

    def adopt(self, adoption: Adoption) -> None:
        """Take over the books as the gateway has them.

        Base beyond the positions (a start wallet that holds some) counts as a position too, without cost, for the
        first instrument of that base: it is held and can be sold.
        """
        assets = adoption.free.keys() | adoption.locked.keys()
        self.total = {asset: adoption.free.get(asset, 0) + adoption.locked.get(asset, 0) for asset in sorted(assets)}
        for view in adoption.positions:
            if view.symbol in self.positions:
                self.positions[view.symbol].add(view.lots, view.cost_atoms)
        seen: set[str] = set()
        for instrument in self.instruments.values():
            if instrument.base not in seen:
                seen.add(instrument.base)
                held = sum(
                    position.lots * self.instruments[symbol].lot_atoms
                    for symbol, position in self.positions.items()
                    if self.instruments[symbol].base == instrument.base
                )
                spare = self.total.get(instrument.base, 0) - held
                self.positions[instrument.symbol].add(max(0, spare // instrument.lot_atoms), 0)
        for execution in adoption.orders:
            self._adopt_order(execution, adoption.locked)

    def _adopt_order(self, execution: Execution, locked: Mapping[str, int]) -> None:
        """Take over one open order. Without a price we cannot know its mark: it holds what else is locked."""
        order = self._track(execution)
        if order is None:
            return
        self._follow(order, execution)
        terms = execution.terms
        if terms.side is Side.BUY and terms.price_ticks is None and terms.trigger_ticks is None:
            rest = locked.get(self.quote, 0) - self.locked.get(self.quote, 0) + order.reserved_atoms
            self._reserve(order, max(0, rest))

    def ask(self, order: OpenOrder) -> None:
        """Note an order that the bot has just asked for."""
        self.orders[order.client_order_id] = order
        self._reserve(order, self.reservation(order, order.terms))

    def ask_amend(self, order: OpenOrder, terms: OrderTerms) -> None:
        """Note that an order may become `terms`: the larger of both reservations stands until the answer."""
        self._reserve(order, max(order.reserved_atoms, self.reservation(order, terms)))

    def apply(self, execution: Execution) -> None:
        """Fold one execution: the order's new state, and the trade if there is one."""
        order = self.orders.get(execution.client_order_id) or self._track(execution)
        if order is None:
            return
        if execution.fill is not None:
            self._book_fill(order, execution, execution.fill)
        self._follow(order, execution)

    def free(self, asset: str) -> int:
        """Return the atoms of `asset` that are not promised to an open order; never below 0."""
        return max(0, self.total.get(asset, 0) - self.locked.get(asset, 0))

    def amount(self, asset: str, atoms: int) -> float:
        """Return atoms of `asset` as an amount of it."""
        return float(from_atoms(atoms, self.scales[asset]))

    def orders_of(self, symbol: Symbol) -> Iterable[OpenOrder]:
        """Return the open orders of one instrument, oldest first."""
        return (order for order in self.orders.values() if order.terms.symbol == symbol)

    def projected_lots(self, symbol: Symbol, side: Side) -> int:
        """Return the position as it will be when all open orders of one side of the instrument have filled."""
        lots = self.positions[symbol].lots
        for order in self.orders_of(symbol):
            if order.terms.side is side:
                lots += side.sign * order.remaining_lots
        return lots

    def sellable_lots(self, symbol: Symbol) -> int:
        """Return the lots that are held and not promised to an open order (a fee in base may have taken some)."""
        instrument = self.instruments[symbol]
        waiting = sum(order.remaining_lots for order in self.orders_of(symbol) if order.terms.side is Side.SELL)
        free_lots = self.free(instrument.base) // instrument.lot_atoms
        return max(0, min(self.positions[symbol].lots - waiting, free_lots))

    def collar_ticks(self, ticks: int) -> int:
        """Return the highest price a market buy must be able to pay when the mark is `ticks`."""
        return divide_up(ticks * (PPM + self._collar_ppm), PPM)

    def payable_lots(self, instrument: Instrument, ticks: int) -> int:
        """Return the most lots whose notional at `ticks` and taker fee the free quote can pay."""
        free = self.free(instrument.quote) - RESERVE_SLACK_ATOMS - 1  # the fee is rounded up by less than an atom
        return instrument.affordable_lots(free * PPM // (PPM + max(0, self._taker_ppm)), ticks)

    def reservation(self, order: OpenOrder, terms: OrderTerms) -> int:
        """Return the atoms that the unfilled part of an order with `terms` ties up."""
        instrument = self.instruments[terms.symbol]
        lots = max(0, terms.lots - order.filled_lots)
        if terms.side is Side.SELL:
            return instrument.base_atoms(lots)
        ticks = terms.price_ticks if terms.price_ticks is not None else order.reserve_ticks
        if ticks == 0:
            return order.reserved_atoms  # adopted without a price: all of it until it is final
        return self._cost(instrument, lots, ticks)

    def _cost(self, instrument: Instrument, lots: int, ticks: int) -> int:
        notional = instrument.notional_atoms_up(lots, ticks)
        return notional + max(0, fee_atoms(notional, self._taker_ppm)) + RESERVE_SLACK_ATOMS

    def _track(self, execution: Execution) -> OpenOrder | None:
        """Return a new entry for an order the bot has not asked for (the gateway's, or adopted); None if not ours."""
        terms = execution.terms
        instrument = self.instruments.get(terms.symbol)
        if instrument is None:
            return None
        ticks = terms.trigger_ticks
        order = OpenOrder(
            instrument,
            execution.client_order_id,
            terms,
            execution.market_us,
            0 if ticks is None else self.collar_ticks(ticks),
            execution.origin,
        )
        self.orders[execution.client_order_id] = order
        return order

    def _follow(self, order: OpenOrder, execution: Execution) -> None:
        order.status = execution.status
        order.terms = execution.terms
        order.filled_lots = execution.filled_lots
        if execution.status.is_final:
            self._reserve(order, 0)
            del self.orders[order.client_order_id]
        else:
            self._reserve(order, self.reservation(order, order.terms))

    def _reserve(self, order: OpenOrder, atoms: int) -> None:
        instrument = self.instruments[order.terms.symbol]
        asset = instrument.quote if order.terms.side is Side.BUY else instrument.base
        self.locked[asset] = self.locked.get(asset, 0) + atoms - order.reserved_atoms
        order.reserved_atoms = atoms

    def _book_fill(self, order: OpenOrder, execution: Execution, fill: Fill) -> None:
        terms = execution.terms
        instrument = self.instruments[terms.symbol]
        position = self.positions[terms.symbol]
        sign = terms.side.sign
        self._move(instrument.base, sign * instrument.base_atoms(fill.lots))
        self._move(instrument.quote, -sign * fill.notional_atoms)
        self._move(fill.fee_asset, -fill.fee_atoms)
        if terms.side is Side.BUY:
            position.add(fill.lots, fill.notional_atoms)
            cost = 0
        else:
            cost = position.remove(fill.lots)
        fee = fill.fee_atoms if fill.fee_asset == instrument.quote else 0
        self.round_trips.book(terms.symbol, fill.realized_atoms - fee, cost, is_over=not position)
        self.fills.append(
            FillView(
                market_us=execution.market_us,
                client_order_id=order.client_order_id,
                symbol=terms.symbol,
                side=terms.side,
                size=float(instrument.size(fill.lots)),
                price=float(instrument.price(fill.price_ticks)),
                fee=self.amount(fill.fee_asset, fill.fee_atoms) if fill.fee_asset in self.scales else 0.0,
                fee_asset=fill.fee_asset,
                liquidity=fill.liquidity,
            )
        )

    def _move(self, asset: str, atoms: int) -> None:
        self.total[asset] = self.total.get(asset, 0) + atoms
