"""The Bot: the deterministic machine around a strategy (design §1).

Inputs are method calls, in the order in which they were recorded; outputs are numbered requests. Its time is the
market time of the input at hand, its randomness comes from its name and seed, so the same inputs give the same
requests, byte for byte.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotConfig, RunState
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.executions import Adoption, Execution
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import BotRequest, Reason
from workloads.strategy.api import Strategy, overrides
from workloads.strategy.desk import Desk
from workloads.strategy.errors import CallbackOverdue, StrategyError
from workloads.strategy.market_data import Book, Tick
from workloads.strategy.portfolio import Portfolio
from workloads.strategy.snapshot_values import JsonValue
from workloads.strategy.terms import Terms, terms_from_values, terms_of

SNAPSHOT_VERSION = 2

A = TypeVar("A")


class Bot:
    """One bot. `taker_ppm` is the fee that its market orders reserve; `request_seq` the last number it ever used.

    The first input, but for `on_terms`, is the adoption. After a StrategyError the object must be thrown away.
    Raises InvalidValue for a config that cannot run.
    """

    __slots__ = (
        "_desk",
        "_has_on_bar",
        "_has_on_execution",
        "_interval_us",
        "_is_adopted",
        "_is_open",
        "_strategy",
        "config",
        "execution_seq",
        "terms",
    )

    def __init__(
        self,
        config: BotConfig,
        instruments: Mapping[Symbol, Instrument],
        strategy: Strategy,
        *,
        taker_ppm: int,
        request_seq: int = 0,
    ) -> None:
        _check(config, instruments)
        self.config = config
        self.terms = terms_of(config.symbols, instruments, taker_ppm)
        self.execution_seq = 0
        self._desk = Desk(config, instruments, taker_ppm=taker_ppm, request_seq=request_seq)
        self._strategy = strategy
        self._interval_us = config.interval_us
        self._is_adopted = False
        self._is_open = False  # adopted and not stopped
        self._has_on_bar = overrides(strategy, "on_bar")
        self._has_on_execution = overrides(strategy, "on_execution")
        strategy.attach(self._desk)

    # Inputs.

    def adopt(self, adoption: Adoption) -> None:
        """Take over the books and start the strategy. The first input, and only once."""
        if self._is_adopted:
            raise InvalidValue(f"bot {self.config.key}: adopted its books already; a new generation is a new Bot")
        self._desk.portfolio.adopt(adoption)
        self._desk.now_us = adoption.market_us
        self.execution_seq = adoption.execution_seq
        self._is_adopted = self._is_open = True
        self._start()

    def on_terms(self, terms: Terms) -> None:
        """Trade on other terms from here on. Nothing is decided: what follows from them comes with the next input.

        Raises InvalidValue for terms on which the bot's orders and books would mean something else.
        """
        self.terms.check_successor(terms)
        self.terms = terms
        self._desk.take_terms(terms.instruments, taker_ppm=terms.taker_ppm)

    def on_bar(self, bar: Bar) -> None:
        """Take a closed bar of one of the bot's instruments, of its own interval."""
        desk = self._desk
        track = desk.tracks.get(bar.symbol)
        if track is None or bar.interval_us != self._interval_us or not self._is_open:
            self._refuse(bar)
            return
        desk.advance(bar.open_us + bar.interval_us)
        track.bars += 1
        track.last_bar = bar
        close = bar.close
        try:  # an indicator may be the author's own as well
            for feed in track.close_feeds:
                feed(close)
            for feed_bar in track.bar_feeds:
                feed_bar(bar)
            if self._has_on_bar:
                before = desk.current
                desk.current = track
                self._strategy.on_bar(bar)
                desk.current = before
        except (Exception, CallbackOverdue) as error:
            raise StrategyError(self.config.key, "on_bar", desk.now_us, error) from error
        if desk.wishing:
            desk.settle(track)

    def on_execution(self, execution: Execution) -> None:
        """Take the next execution. One that was applied is skipped; a missing one raises StreamGap."""
        if not self._is_adopted:
            raise InvalidValue(f"bot {self.config.key}: got an execution before its adoption, the first input")
        if execution.seq <= self.execution_seq:
            return
        if execution.seq != self.execution_seq + 1:
            raise StreamGap(
                f"bot {self.config.key}: execution {execution.seq} came after {self.execution_seq}: "
                "the ones between must be applied first"
            )
        self.execution_seq = execution.seq
        desk = self._desk
        desk.advance(execution.market_us)
        if execution.reason is Reason.UNREADABLE:
            known = desk.portfolio.orders.get(execution.client_order_id)
            if known is None:
                return  # what could not be read was no order of this generation
            execution = replace(execution, terms=known.terms)  # the gateway does not know them
        desk.on_execution(execution)
        if self._has_on_execution and self._is_open and execution.terms.symbol in desk.tracks:
            self._call("on_execution", self._strategy.on_execution, execution, execution.terms.symbol)

    def on_tick(self, tick: Tick) -> None:
        """Take a quote of one of the bot's instruments."""
        track = self._desk.track(tick.symbol)
        if not self._is_open:
            return
        self._desk.advance(tick.market_us)
        track.tick = tick
        if overrides(self._strategy, "on_tick"):
            self._call("on_tick", self._strategy.on_tick, tick, tick.symbol)

    def on_book(self, book: Book) -> None:
        """Take a book of one of the bot's instruments."""
        track = self._desk.track(book.symbol)
        if not self._is_open:
            return
        self._desk.advance(book.market_us)
        track.book = book
        if overrides(self._strategy, "on_book"):
            self._call("on_book", self._strategy.on_book, book, book.symbol)

    def on_timer(self, market_us: int) -> None:
        """Let market time reach `market_us`: calls the strategy once for each of its timers that is due."""
        desk = self._desk
        if not self._is_open:
            return
        desk.advance(market_us)
        while desk.timers and desk.timers[0] <= market_us:
            self._call("on_timer", self._strategy.on_timer, desk.timers.pop(0), None)

    def on_command(self, state: RunState, market_us: int) -> None:
        """Take the state the owner wants.

        Paused: the strategy still sees everything, only its cancels are sent. Stopped: it sees nothing any more, and
        its timers are dropped.
        """
        desk = self._desk
        desk.advance(market_us)
        before = desk.run_state
        desk.run_state = state
        if state is RunState.STOPPED and before is not RunState.STOPPED:
            desk.timers.clear()
            if self._is_open:
                self._call_plain("on_stop", self._strategy.on_stop)
        self._is_open = self._is_adopted and state is not RunState.STOPPED

    # Outputs.

    def take_requests(self) -> list[BotRequest]:
        """Return the requests since the last call, in the order of their numbers."""
        return self._desk.take_requests()

    @property
    def next_due_us(self) -> int | None:
        """The market time of the next timer; None when there is none."""
        timers = self._desk.timers
        return timers[0] if timers else None

    @property
    def request_seq(self) -> int:
        """The number of the last request, of this generation or of one before."""
        return self._desk.request_seq

    @property
    def request_count(self) -> int:
        """How many requests this generation has made."""
        return self._desk.request_count

    @property
    def request_hash(self) -> str:
        """The running hash over this generation's requests, 64 hex digits."""
        return self._desk.request_hash

    @property
    def portfolio(self) -> Portfolio:
        """What the bot believes of its books. To read: they change with its executions only."""
        return self._desk.portfolio

    @property
    def run_state(self) -> RunState:
        """The state the owner wants."""
        return self._desk.run_state

    # Snapshots.

    def obstacles(self) -> list[str]:
        """Return why there can be no snapshot, one line an attribute of the strategy; empty when there can."""
        return self._strategy.obstacles()

    def snapshot(self) -> dict[str, JsonValue] | None:
        """Return the whole state for JSON; None when the strategy has state it did not declare.

        Requests must have been taken: they belong to whoever commits them together with this state.
        """
        assert not self._desk.has_requests, "take the requests before the snapshot"
        if self._strategy.obstacles():
            return None
        return {
            "version": SNAPSHOT_VERSION,
            "terms": [self.terms.taker_ppm, [list(each) for each in self.terms.listings]],
            "adopted": self._is_adopted,
            "execution_seq": self.execution_seq,
            "desk": self._desk.snapshot(),
            "strategy": self._strategy.save_state(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Become the bot that wrote `saved`: a fresh one of the same config and parameters, and no input so far.

        Raises InvalidValue for a snapshot of another version or of a strategy with other indicators or state.
        """
        if saved.get("version") != SNAPSHOT_VERSION:
            raise InvalidValue(
                f"bot {self.config.key}: snapshot version must be {SNAPSHOT_VERSION}, was {saved.get('version')}: "
                "fold the recorded inputs instead"
            )
        if self._is_adopted:
            raise InvalidValue(f"bot {self.config.key}: only a Bot without any input can be restored")
        desk = self._desk
        self.on_terms(terms_from_values(saved["terms"]))
        self.execution_seq = saved["execution_seq"]
        self._is_adopted = saved["adopted"]
        desk.restore(saved["desk"])
        if self._is_adopted:
            # Only on_start knows which indicators there are. What else it did is undone by restoring once more.
            desk.is_muted = True
            self._start()
            desk.is_muted = False
            desk.restore(saved["desk"])
            desk.restore_indicators(saved["desk"])
        self._strategy.load_state(saved["strategy"])
        self._is_open = self._is_adopted and desk.run_state is not RunState.STOPPED

    def _start(self) -> None:
        self._desk.is_starting = True
        self._call_plain("on_start", self._strategy.on_start)
        self._desk.is_starting = False

    def _call(self, hook: str, callback: Callable[[A], None], argument: A, symbol: Symbol | None) -> None:
        """Call a hook about one instrument (None: about none), then act on its wishes."""
        desk = self._desk
        before = desk.current
        if symbol is not None:
            desk.current = desk.tracks[symbol]
        try:
            callback(argument)
        except (Exception, CallbackOverdue) as error:
            raise StrategyError(self.config.key, hook, desk.now_us, error) from error
        desk.current = before
        if desk.wishing:
            desk.settle()

    def _call_plain(self, hook: str, callback: Callable[[], None]) -> None:
        try:
            callback()
        except (Exception, CallbackOverdue) as error:
            raise StrategyError(self.config.key, hook, self._desk.now_us, error) from error

    def _refuse(self, bar: Bar) -> None:
        """Raise InvalidValue for a bar that was brought to the wrong bot or too early; a stopped bot skips it."""
        if not self._is_adopted:
            raise InvalidValue(f"bot {self.config.key}: got a bar before its adoption, which must be the first input")
        if bar.symbol not in self._desk.tracks or bar.interval_us != self._interval_us:
            raise InvalidValue(
                f"bot {self.config.key}: got a bar of {bar.symbol} over {bar.interval_us} us; it trades "
                f"{', '.join(self._desk.tracks)} over {self._interval_us} us"
            )


def _check(config: BotConfig, instruments: Mapping[Symbol, Instrument]) -> None:
    """Raise InvalidValue for symbols that are missing, doubled, unknown, or of different quotes."""
    if not config.symbols or len(set(config.symbols)) != len(config.symbols):
        raise InvalidValue(f"bot {config.key}: needs one or more different symbols, has {list(config.symbols)}")
    for symbol in config.symbols:
        if symbol not in instruments:
            known = ", ".join(instruments) or "none"
            raise InvalidValue(f"bot {config.key}: unknown instrument {symbol}; the exchange has: {known}")
    quotes = sorted({instruments[symbol].quote for symbol in config.symbols})
    if len(quotes) > 1:
        raise InvalidValue(f"bot {config.key}: its instruments must share one quote asset, they have {quotes}")
    if config.interval_us <= 0:
        raise InvalidValue(f"bot {config.key}: interval_us must be > 0, was {config.interval_us}")
