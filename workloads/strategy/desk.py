"""The desk: where a strategy's wishes become numbered requests, and where it reads its books.

The Bot machine tells the desk the time, the bars and the executions; the strategy talks to it through the methods of
`Strategy`. Nothing here acts on its own.
"""

import math
import random
from collections.abc import Mapping
from typing import Any, cast

from tradefleet.domain.bots import BotConfig, RunState
from tradefleet.domain.errors import InvalidOrder, InvalidValue
from tradefleet.domain.executions import Execution, Origin
from tradefleet.domain.ids import ClientOrderId, Symbol, bot_order_id, derive_seed, uid_hash
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM
from tradefleet.domain.orders import (
    AmendRequest,
    BotRequest,
    CancelRequest,
    OrderRequest,
    OrderStatus,
    OrderTerms,
    OrderType,
    Side,
)
from workloads.strategy.holdings import OpenOrder
from workloads.strategy.indicators.base import Indicator
from workloads.strategy.portfolio import Portfolio
from workloads.strategy.portfolio_snapshot import load_portfolio, save_portfolio
from workloads.strategy.request_encoding import EMPTY_HASH, extend_hash
from workloads.strategy.rounding import price_ticks, size_lots
from workloads.strategy.sizer import Sizer, Wish, annualised
from workloads.strategy.snapshot_values import JsonValue, decode_value, encode_value
from workloads.strategy.track import Track

ENTER = Wish(PPM, may_buy=True, may_sell=False)
LEAVE = Wish(0, may_buy=False, may_sell=True)

WISH_BARS_MAX = 10  # a wish that cannot be paid for this many bars is given up
REFUSED_PAUSE_BARS_MAX = 64  # the longest pause of the sizer's buys after refusals in a row


class Desk:
    """One bot's requests, timers, randomness and books."""

    __slots__ = (
        "_config",
        "_prefix",
        "_random",
        "_requests",
        "_sizer",
        "_warmup_bars",
        "current",
        "indicators",
        "is_muted",
        "is_starting",
        "now_us",
        "portfolio",
        "request_count",
        "request_hash",
        "request_seq",
        "run_state",
        "timers",
        "tracks",
        "wishing",
    )

    def __init__(
        self, config: BotConfig, instruments: Mapping[Symbol, Instrument], *, taker_ppm: int, request_seq: int
    ) -> None:
        own = {symbol: instruments[symbol] for symbol in config.symbols}
        self._config = config
        self._warmup_bars = max(1, config.warmup_bars)  # without a bar there is no price to trade at
        self._prefix = uid_hash(config.uid)
        self._random: random.Random | None = None
        self._requests: list[BotRequest] = []
        self._sizer = Sizer(config.key, config.sizing, config.limits, own)
        self.portfolio = Portfolio(own, taker_ppm=taker_ppm, collar_ppm=config.limits.price_collar_ppm)
        self.tracks = {symbol: Track(instrument, config) for symbol, instrument in own.items()}
        self.current: Track | None = self.tracks[config.symbols[0]] if len(self.tracks) == 1 else None
        self.indicators: list[Indicator] = []
        self.is_starting = False  # inside on_start, where indicators are registered
        self.is_muted = False  # inside an on_start that only rebuilds indicators for a restore
        self.now_us = 0
        self.request_seq = request_seq
        self.request_hash = EMPTY_HASH
        self.request_count = 0
        self.run_state = RunState.RUNNING
        self.timers: list[int] = []
        self.wishing: dict[Symbol, Track] = {}

    # What a strategy asks.

    def track(self, symbol: str | None) -> Track:
        """Return the track of `symbol`, or without one that of the bar at hand. Raises InvalidValue, naming both."""
        if symbol is None:
            if self.current is None:
                raise InvalidValue(f"bot {self._config.key}: name the symbol, one of {', '.join(self.tracks)}")
            return self.current
        found = self.tracks.get(Symbol(symbol))
        if found is None:
            raise InvalidValue(f"bot {self._config.key}: {symbol!r} is none of its symbols {', '.join(self.tracks)}")
        return found

    def can_trade(self, track: Track) -> bool:
        """Return whether a request for this instrument would be sent: running, and warmed up."""
        return track.bars >= self._warmup_bars and self.run_state is RunState.RUNNING and not self.is_muted

    def wish(self, track: Track, wish: Wish) -> bool:
        """Note a wish; it is acted on after the present callback. Return False when the bot may not trade now."""
        if not self.can_trade(track):
            return False
        if wish == LEAVE and track.sizer_order is None and not self.portfolio.positions[track.symbol].lots:
            self._drop(track)  # out already: an entry that has not begun must not begin either
            return True
        if wish == ENTER and (track.wish == ENTER or (track.wish is None and self._is_in(track))):
            return True
        track.wish = wish
        track.wish_bars = 0
        self.wishing[track.symbol] = track
        return True

    def is_settled(self, track: Track) -> bool:
        """Return whether the sizer has nothing to do or wait for."""
        return track.wish is None and track.sizer_order is None

    def trade_amount(self, track: Track, side: Side, quote: float) -> bool:
        """Ask for a market order worth `quote`, or what can be paid or sold of it. Return whether one was asked for."""
        if not (math.isfinite(quote) and quote > 0):
            raise InvalidValue(f"bot {self._config.key}: an amount of quote must be a number > 0, was {quote}")
        if not self.can_trade(track):
            return False
        instrument, mark = track.instrument, track.mark_ticks
        wanted = size_lots(instrument, quote / track.price)
        atoms = instrument.notional_atoms(wanted, mark)
        if side is Side.BUY:
            held = self.equity_atoms() - self.portfolio.total.get(self.portfolio.quote, 0)
            lots = self._sizer.buy(instrument, mark, atoms, self.portfolio, held, self.equity_atoms()).lots
        else:
            lots = min(wanted, self.portfolio.sellable_lots(track.symbol))
            if instrument.notional_atoms(lots, mark) < instrument.min_notional_atoms:
                lots = 0
        if lots == 0:
            return False
        self.submit(track, OrderTerms(symbol=track.symbol, side=side, type=OrderType.MARKET, lots=lots))
        return True

    def submit(self, track: Track, terms: OrderTerms) -> ClientOrderId | None:
        """Ask for an order; return its id, or None when the bot may not trade now."""
        if not self.can_trade(track):
            return None
        seq = self.request_seq + 1
        order_id = bot_order_id(self._prefix, seq)
        base_ticks = terms.trigger_ticks if terms.trigger_ticks is not None else track.mark_ticks
        order = OpenOrder(
            track.instrument, order_id, terms, self.now_us, reserve_ticks=self.portfolio.collar_ticks(base_ticks)
        )
        self.portfolio.ask(order)
        self._request(
            OrderRequest(bot=self._config.key, seq=seq, client_order_id=order_id, terms=terms, market_us=self.now_us)
        )
        return order_id

    def cancel(self, order_id: ClientOrderId) -> bool:
        """Ask to cancel an open order of the bot; return False when there is none, or its cancel is under way."""
        order = self.portfolio.orders.get(order_id)
        if order is None or order.origin is not Origin.BOT or order.status is OrderStatus.PENDING_CANCEL:
            return False
        if self.run_state is RunState.STOPPED or self.is_muted:
            return False
        order.status = OrderStatus.PENDING_CANCEL
        seq = self.request_seq + 1
        self._request(CancelRequest(bot=self._config.key, seq=seq, client_order_id=order_id, market_us=self.now_us))
        return True

    def amend(self, order_id: ClientOrderId, lots: int | None, price: float | None) -> bool:
        """Ask to change an open limit order; return False when there is none, or nothing would change."""
        order = self.portfolio.orders.get(order_id)
        if order is None or order.origin is not Origin.BOT or order.status is OrderStatus.PENDING_CANCEL:
            return False
        terms = order.terms
        if terms.type is not OrderType.LIMIT:
            raise InvalidOrder(f"bot {self._config.key}: only limit orders can be amended, {order_id} is {terms.type}")
        track = self.tracks[terms.symbol]
        if not self.can_trade(track):
            return False
        ticks = None if price is None else price_ticks(track.instrument, price, buy=terms.side is Side.BUY)
        lots = None if lots == terms.lots else lots
        ticks = None if ticks == terms.price_ticks else ticks
        if lots is None and ticks is None:
            return False
        wanted = OrderTerms(
            symbol=terms.symbol,
            side=terms.side,
            type=terms.type,
            lots=terms.lots if lots is None else lots,
            price_ticks=terms.price_ticks if ticks is None else ticks,
            time_in_force=terms.time_in_force,
            post_only=terms.post_only,
            reduce_only=terms.reduce_only,
        )
        self.portfolio.ask_amend(order, wanted)
        seq = self.request_seq + 1
        self._request(
            AmendRequest(
                bot=self._config.key,
                seq=seq,
                client_order_id=order_id,
                symbol=terms.symbol,
                market_us=self.now_us,
                lots=lots,
                price_ticks=ticks,
            )
        )
        return True

    def set_timer(self, at_us: int) -> None:
        """Ask for on_timer at a market time after now. Raises InvalidValue for one that has passed."""
        if self.is_muted:
            return  # the timers that were set then are restored
        if at_us <= self.now_us:
            raise InvalidValue(
                f"bot {self._config.key}: a timer must be after the market time {self.now_us} us, was {at_us}"
            )
        if at_us not in self.timers:
            self.timers.append(at_us)
            self.timers.sort()

    def register(self, indicator: Indicator, symbol: str | None) -> None:
        """Feed `indicator` with each closed bar of `symbol` from now on. Raises InvalidValue outside on_start."""
        if not self.is_starting:
            raise InvalidValue(f"bot {self._config.key}: indicators are registered in on_start, not later")
        self.track(symbol).feed(indicator)
        self.indicators.append(indicator)

    @property
    def random(self) -> random.Random:
        """The bot's own random numbers, seeded from its name and the seed of its config."""
        if self._random is None:
            self._random = random.Random(derive_seed(self._config.key, self._config.seed))
        return self._random

    def equity_atoms(self) -> int:
        """Return quote plus all positions at their last closes; a position without a bar yet counts as nothing."""
        atoms = self.portfolio.total.get(self.portfolio.quote, 0)
        for symbol, position in self.portfolio.positions.items():
            track = self.tracks[symbol]
            if position.lots and track.last_bar is not None:
                atoms += track.instrument.notional_atoms(position.lots, track.mark_ticks)
        return atoms

    def payable_size(self, track: Track, price: float | None) -> float:
        """Return the most base that free quote can buy now: at `price`, or at market with its reserve."""
        if price is None:
            ticks = self.portfolio.collar_ticks(track.mark_ticks)
        else:
            ticks = price_ticks(track.instrument, price, buy=True)
        return float(track.instrument.size(self.portfolio.payable_lots(track.instrument, ticks)))

    # What the Bot machine says.

    def take_terms(self, instruments: Mapping[Symbol, Instrument], *, taker_ppm: int) -> None:
        """Reckon with another fee and other least amounts; the grid of every instrument is what it was."""
        self._sizer.take_terms(instruments)
        self.portfolio.take_terms(instruments, taker_ppm=taker_ppm)
        for symbol, track in self.tracks.items():
            track.instrument = instruments[symbol]

    def advance(self, market_us: int) -> None:
        """Take the market time of an input. It never goes back: a fill may be stamped with the open of a past bar."""
        self.now_us = max(self.now_us, market_us)

    def take_requests(self) -> list[BotRequest]:
        """Return the requests made since the last call, in their order."""
        taken = self._requests
        if taken:
            self._requests = []
        return taken

    @property
    def has_requests(self) -> bool:
        """Whether requests wait to be taken."""
        return bool(self._requests)

    def settle(self, ended: Track | None = None) -> None:
        """Act on the wishes of the callback that has just ended; `ended` is the instrument whose bar has closed."""
        marks = {symbol: track.mark_ticks for symbol, track in self.tracks.items() if track.last_bar is not None}
        for track in list(self.wishing.values()):
            if ended is track:
                track.wish_bars += 1
            if track is ended or track.wish_bars == 0:
                self._settle(track, marks)

    def on_execution(self, execution: Execution) -> None:
        """Fold an execution into the books, and let the sizer learn from it."""
        self.portfolio.apply(execution)
        track = self.tracks.get(execution.terms.symbol)
        if track is None:
            return
        if execution.client_order_id != track.sizer_order:
            sold = execution.fill is not None and execution.terms.side is Side.SELL
            if sold and track.wish is not None and track.wish.may_buy:
                self._drop(track)  # a stop has sold, the strategy's or the gateway's: do not buy it back
            return
        if execution.status.is_final:
            track.sizer_order = None
        if execution.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
            track.pause_bars = min(REFUSED_PAUSE_BARS_MAX, max(1, 2 * track.pause_bars))
            track.resume_bar = track.bars + track.pause_bars
        elif execution.fill is not None:
            track.pause_bars = 0
            track.wish_bars = min(track.wish_bars, 1)

    def snapshot(self) -> dict[str, JsonValue]:
        """Return everything, registered indicators included, for JSON."""
        return {
            "now_us": self.now_us,
            "run_state": self.run_state.value,
            "request": [self.request_seq, self.request_count, self.request_hash],
            "timers": list(self.timers),
            "random": None if self._random is None else encode_value(self._random.getstate()),
            "wishing": list(self.wishing),
            "portfolio": save_portfolio(self.portfolio),
            "tracks": {symbol: track.snapshot() for symbol, track in self.tracks.items()},
            "indicators": [indicator.snapshot() for indicator in self.indicators],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Become the desk that wrote `saved`, but for the indicators: `restore_indicators` follows on_start."""
        self.now_us = saved["now_us"]
        self.run_state = RunState(saved["run_state"])
        self.request_seq, self.request_count, self.request_hash = saved["request"]
        self.timers = list(saved["timers"])
        self._random = None
        if saved["random"] is not None:
            self._random = random.Random()
            self._random.setstate(cast(tuple[Any, ...], decode_value(saved["random"])))
        load_portfolio(self.portfolio, saved["portfolio"])
        for symbol, track in self.tracks.items():
            track.restore(saved["tracks"][symbol])
        self.wishing = {Symbol(symbol): self.tracks[Symbol(symbol)] for symbol in saved["wishing"]}

    def restore_indicators(self, saved: dict[str, Any]) -> None:
        """Give the registered indicators their state. Raises InvalidValue when there are others than were saved."""
        states = saved["indicators"]
        if len(states) != len(self.indicators):
            raise InvalidValue(
                f"bot {self._config.key}: the snapshot has {len(states)} indicators, on_start registered "
                f"{len(self.indicators)}: fold the recorded inputs instead"
            )
        for indicator, state in zip(self.indicators, states, strict=True):
            indicator.restore(state)

    def _settle(self, track: Track, marks: Mapping[Symbol, int]) -> None:
        wish = track.wish
        if wish is None or track.sizer_order is not None or not self.can_trade(track):
            return
        volatility = annualised(track.volatility.value, self._config.interval_us) if track.volatility else math.nan
        change = self._sizer.change(wish, track.symbol, marks, self.portfolio, volatility)
        if change.is_met or (change.lots == 0 and track.wish_bars >= WISH_BARS_MAX):
            self._drop(track)
        elif change.lots < 0:
            self._market(track, Side.SELL, -change.lots)
        elif change.lots > 0 and track.bars >= track.resume_bar:
            self._market(track, Side.BUY, change.lots)

    def _market(self, track: Track, side: Side, lots: int) -> None:
        terms = OrderTerms(symbol=track.symbol, side=side, type=OrderType.MARKET, lots=lots)
        track.sizer_order = self.submit(track, terms)

    def _is_in(self, track: Track) -> bool:
        """Return whether the position is large enough to be sold; less is dust, and as good as nothing."""
        lots = self.portfolio.positions[track.symbol].lots
        return lots > 0 and (
            track.instrument.notional_atoms(lots, track.mark_ticks) >= track.instrument.min_notional_atoms
        )

    def _drop(self, track: Track) -> None:
        track.wish = None
        self.wishing.pop(track.symbol, None)

    def _request(self, request: BotRequest) -> None:
        self.request_seq = request.seq
        self.request_count += 1
        self.request_hash = extend_hash(self.request_hash, request)
        self._requests.append(request)
