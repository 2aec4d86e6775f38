"""The replayed market: orders fill along the path of recorded bars, by rule 22.

Every order meets the bar as if it were alone: it trades with history, moves no price, and takes nothing away from
others. What differs by order is the sequence in which fills reach the accounts: the order of the path, then arrival.

- An order does not meet a bar that had closed when it was decided on: its owner may have been ahead of the market.
- A market order fills at the next open, worsened by the slippage.
- A limit order fills at the open when that is at its limit or better, else at its limit once the path reaches it.
- A stop order triggers at the open when that is at its trigger or beyond, else at its trigger once the path reaches
  it. A stop then fills there, worsened by the slippage. A stop-limit whose limit accepts the price of the trigger fills
  at that price; else it rests, and fills at its limit once the rest of the path reaches it.
- IOC and FOK count at the open of an order's first bar; those of a stop order count at its trigger.
- An order is TAKER when it fills at the open of its first bar or at its trigger, and when it is a market order. A
  post-only order is always MAKER: it was checked against the last close, and rested before the next open came.
- A buy without a limit that could only fill beyond its protection expires (INSUFFICIENT_FUNDS).
- With a participation limit an order takes at most that part of a bar's volume, once a bar.

Not modelled: the queue at a touched limit (a touch fills), and the spread.
"""

import sys
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from tradefleet.domain.bar import Bar
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, divide_up
from tradefleet.domain.orders import OrderStatus, Reason, TimeInForce
from tradefleet.domain.venue import Liquidity, ReportKind
from workloads.exchange.venue.bar_path import AT_OPEN, Path, Position, bar_path, first_reach, price_at
from workloads.exchange.venue.clearing import Clearing
from workloads.exchange.venue.orders import OpenOrder

_ANY_INTERVAL_US = sys.maxsize


class _Tape:
    """One symbol: its last bar and its orders by arrival, with the prices that a bar must reach to touch any."""

    __slots__ = (
        "_at_open",
        "_falling_to",
        "_rising_to",
        "_watch_is_old",
        "bar_count",
        "close",
        "close_us",
        "fixed_interval",
        "instrument",
        "interval_us",
        "orders",
    )

    def __init__(self, instrument: Instrument, intervals_us: tuple[int, ...]) -> None:
        self.instrument = instrument
        self.fixed_interval = bool(intervals_us)
        self.interval_us = min(intervals_us, default=_ANY_INTERVAL_US)
        self.close_us = 0
        self.close: float | None = None
        self.bar_count = 0
        self.orders: dict[int, OpenOrder] = {}
        self.forget_watch()

    def forget_watch(self) -> None:
        """Have the watched prices worked out anew: the orders have changed."""
        self._watch_is_old = True
        self._at_open = False  # some order acts at the open, whatever the price
        self._falling_to = -inf
        self._rising_to = inf

    def is_touched_by(self, bar: Bar) -> bool:
        """Return False when the bar cannot concern any order. The margin of a tick is above any rounding."""
        if self._watch_is_old:
            self._watch()
        return self._at_open or bar.low <= self._falling_to or bar.high >= self._rising_to

    def _watch(self) -> None:
        self._watch_is_old = False
        falling, rising = None, None
        for order in self.orders.values():
            level = order.terms.trigger_ticks if order.waits_for_trigger else order.price_ticks
            if level is None or (order.is_immediate and not order.waits_for_trigger):
                self._at_open = True
            elif order.is_buy != order.waits_for_trigger:
                falling = level if falling is None else max(falling, level)
            else:
                rising = level if rising is None else min(rising, level)
        if falling is not None:
            self._falling_to = (falling + 1) * self.instrument.tick_float
        if rising is not None:
            self._rising_to = (rising - 1) * self.instrument.tick_float


class BarMarket:
    """A market made of recorded bars. Only the finest interval of a symbol trades; a bar seen before is ignored."""

    __slots__ = ("_clearing", "_tapes")

    def __init__(self, clearing: Clearing) -> None:
        config = clearing.config
        self._clearing = clearing
        self._tapes = {
            str(instrument.symbol): _Tape(instrument, config.intervals_us.get(instrument.symbol, ()))
            for instrument in config.instruments
        }

    def on_bars(self, bars: list[Bar]) -> None:
        """Fill what the bars reach, bar by bar."""
        for bar in bars:
            tape = self._tapes.get(bar.symbol)
            if tape is None:
                continue
            interval_us = bar.interval_us
            if interval_us != tape.interval_us:
                if tape.fixed_interval or interval_us > tape.interval_us:
                    continue
                tape.interval_us = interval_us
            close_us = bar.open_us + interval_us
            if close_us <= tape.close_us:
                continue
            before_us, tape.close_us = tape.close_us, close_us
            tape.close = bar.close
            tape.bar_count += 1
            if tape.orders and tape.is_touched_by(bar):
                _Walk(self._clearing, tape, bar, before_us).run()

    def would_take(self, order: OpenOrder) -> bool:
        """Return whether the order's limit is at the last close or beyond; False before the first bar."""
        tape = self._tapes[order.terms.symbol]
        return tape.close is not None and order.accepts_price(max(1, tape.instrument.nearest_ticks(tape.close)))

    def enter(self, order: OpenOrder) -> None:
        """Queue an order for the next bar."""
        tape = self._tapes[order.terms.symbol]
        order.entry_bar = tape.bar_count
        tape.orders[order.arrival] = order
        tape.forget_watch()

    def remove(self, order: OpenOrder) -> None:
        """Take an order out."""
        tape = self._tapes[order.terms.symbol]
        del tape.orders[order.arrival]
        tape.forget_watch()

    def snapshot(self) -> dict[str, Any]:
        """Return each symbol's interval, last close time, last close and number of bars."""
        return {
            symbol: [tape.interval_us, tape.close_us, tape.close, tape.bar_count]
            for symbol, tape in self._tapes.items()
        }

    def restore(self, state: dict[str, Any], orders: list[OpenOrder]) -> None:
        """Take up a snapshot; a symbol that it does not know starts empty, one that is no longer listed is left out."""
        for symbol, (interval_us, close_us, close, bar_count) in state.items():
            tape = self._tapes.get(symbol)
            if tape is None:
                continue
            if not tape.fixed_interval:  # a configured interval may have changed since
                tape.interval_us = interval_us
            tape.close_us, tape.close, tape.bar_count = close_us, close, bar_count
        for order in orders:
            self._tapes[order.terms.symbol].orders[order.arrival] = order


class _Walk:
    """One bar on its way along its path: each order's next event, in the order in which the path reaches them.

    `before_us` is the close of the bar before it.
    """

    __slots__ = ("_before_us", "_clearing", "_close_us", "_events", "_lots_max", "_path", "_tape")

    def __init__(self, clearing: Clearing, tape: _Tape, bar: Bar, before_us: int) -> None:
        self._clearing = clearing
        self._tape = tape
        self._before_us, self._close_us = before_us, tape.close_us
        self._path: Path = bar_path(bar, tape.instrument)
        participation_ppm = clearing.config.participation_ppm
        self._lots_max: int | None = None
        if participation_ppm is not None:
            self._lots_max = tape.instrument.whole_lots(bar.volume) * participation_ppm // PPM
        self._events: list[tuple[Position, int]] = []

    def run(self) -> None:
        """Apply the events. An order has at most one that waits, and only its trigger can be followed by another."""
        for order in self._tape.orders.values():
            if order.decided_us >= self._close_us:
                continue
            position = self._first_event(order)
            if position is not None:
                self._events.append((position, order.arrival))
        if not self._events:
            return
        heapify(self._events)
        while self._events:
            position, arrival = heappop(self._events)
            order = self._tape.orders[arrival]
            if order.waits_for_trigger:
                self._trigger(order, position)
            else:
                self._act(order, position)
            if order.status is not None:
                del self._tape.orders[arrival]
        self._tape.forget_watch()

    def _first_event(self, order: OpenOrder) -> Position | None:
        if order.waits_for_trigger:
            trigger = order.terms.trigger_ticks
            assert trigger is not None
            return first_reach(self._path, trigger, falling=not order.is_buy)
        if order.price_ticks is None or order.is_immediate:
            return AT_OPEN
        return first_reach(self._path, order.price_ticks, falling=order.is_buy)

    def _trigger(self, order: OpenOrder, position: Position) -> None:
        order.triggered = True
        self._clearing.report(order.account, ReportKind.TRIGGERED, order.client_order_id)
        price_ticks = price_at(self._path, position)
        if order.price_ticks is None:
            self._fill(order, self._slipped(order, price_ticks), Liquidity.TAKER)
        elif order.accepts_price(price_ticks):
            if order.terms.post_only:
                self._clearing.end(order, OrderStatus.EXPIRED, Reason.WOULD_TAKE)
            else:
                self._fill(order, price_ticks, Liquidity.TAKER)
        elif order.is_immediate:
            self._clearing.end(order, OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
        else:
            later = first_reach(self._path, order.price_ticks, falling=order.is_buy, start=position)
            if later is not None:
                heappush(self._events, (later, order.arrival))

    def _act(self, order: OpenOrder, position: Position) -> None:
        price_ticks = price_at(self._path, position)
        if order.price_ticks is None:
            self._fill(order, self._slipped(order, price_ticks), Liquidity.TAKER)
        elif order.accepts_price(price_ticks):
            takes = position == AT_OPEN and self._is_first_of(order) and not order.terms.post_only
            self._fill(order, price_ticks, Liquidity.TAKER if takes else Liquidity.MAKER)
        else:  # only IOC and FOK come here at a price they do not accept
            self._clearing.end(order, OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)

    def _is_first_of(self, order: OpenOrder) -> bool:
        """Return whether this bar is the first that the order may fill with."""
        return order.entry_bar == self._tape.bar_count - 1 or order.decided_us >= self._before_us

    def _slipped(self, order: OpenOrder, price_ticks: int) -> int:
        config = self._clearing.config
        if order.is_buy:
            return divide_up(price_ticks * (PPM + config.slippage_ppm), PPM) + config.slippage_ticks
        return max(1, price_ticks * (PPM - config.slippage_ppm) // PPM - config.slippage_ticks)

    def _fill(self, order: OpenOrder, price_ticks: int, liquidity: Liquidity) -> None:
        clearing = self._clearing
        wanted = order.remaining_lots
        offered = wanted if self._lots_max is None else min(wanted, self._lots_max)
        payable = clearing.payable_lots(order, offered, price_ticks, liquidity)
        fill_or_kill = order.terms.time_in_force is TimeInForce.FOK
        if payable and not (fill_or_kill and payable < wanted):
            clearing.fill(order, payable, price_ticks, liquidity)
        if payable < offered:
            clearing.end(order, OrderStatus.EXPIRED, Reason.INSUFFICIENT_FUNDS)
        elif offered < wanted and order.is_immediate:
            clearing.end(order, OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
