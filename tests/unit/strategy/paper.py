"""A paper exchange for one bot, small enough to be seen through: it answers requests as a gateway and a venue would.

Market orders fill at the next open, limits at the better of limit and open when touched, stops at the worse of trigger
and open; whole, or half of what is left per bar with `halves`. It refuses what the wallet cannot pay, so a test that
counts refusals sees a bot that planned with money it does not have.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotConfig, RiskLimits, Sizing
from tradefleet.domain.executions import Adoption, Execution, Fill, Origin
from tradefleet.domain.ids import BotKey, BotUid, ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, divide_up, fee_atoms
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
from tradefleet.domain.venue import Liquidity
from workloads.strategy.api import Strategy
from workloads.strategy.bot import Bot

BTC = Symbol("BTC-USD")
LTC = Symbol("LTC-USD")
KEY = BotKey("demo/one")
TAKER_PPM = 1_000
DOLLAR = 10**8  # quote atoms


def instrument(symbol: Symbol = BTC, min_notional: str = "10") -> Instrument:
    return Instrument(
        symbol=symbol,
        base=symbol[:3],
        quote="USD",
        tick=Decimal("0.01"),
        lot=Decimal("0.0001"),
        min_notional=Decimal(min_notional),
    )


def config(**changes: object) -> BotConfig:
    base = BotConfig(
        key=KEY,
        uid=BotUid("uid-1"),
        generation=1,
        strategy="test",
        symbols=(BTC,),
        interval_us=MINUTE_US,
        wallet={"USD": 1_000 * DOLLAR},
    )
    return replace(base, **changes)


def make_bot(
    strategy: Strategy,
    *,
    symbols: Sequence[Symbol] = (BTC,),
    sizing: Sizing | None = None,
    limits: RiskLimits | None = None,
    wallet: dict[str, int] | None = None,
    warmup_bars: int = 1,
    seed: int = 0,
) -> Bot:
    return Bot(
        config(
            symbols=tuple(symbols),
            sizing=sizing or Sizing(),
            limits=limits or RiskLimits(),
            wallet=wallet or {"USD": 1_000 * DOLLAR},
            warmup_bars=warmup_bars,
            seed=seed,
        ),
        {symbol: instrument(symbol) for symbol in (BTC, LTC)},
        strategy,
        taker_ppm=TAKER_PPM,
    )


def adoption(bot: Bot) -> Adoption:
    return Adoption(bot=KEY, market_us=0, execution_seq=0, free=dict(bot.config.wallet), locked={})


def bar(number: int, close: float, *, symbol: Symbol = BTC, opens: float | None = None, **wide: float) -> Bar:
    """Return the bar with this number, from 0; it opens at its close unless said otherwise."""
    start = close if opens is None else opens
    high = max(start, close, wide.get("high", 0.0))
    low = min(start, close, wide.get("low", close))
    return Bar(symbol, MINUTE_US, number * MINUTE_US, start, high, low, close, 100.0)


def through_json(saved: object) -> dict:
    """Return a snapshot as it comes back from a database."""
    return json.loads(json.dumps(saved))


class PaperExchange:
    """The other side of one bot. `log` has everything that was asked, `refused` the orders that could not be paid."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.instruments = {symbol: instrument(symbol) for symbol in (BTC, LTC)}
        self.total = dict(bot.config.wallet)
        self.locked: dict[ClientOrderId, tuple[str, int]] = {}
        self.orders: dict[ClientOrderId, OrderTerms] = {}
        self.filled: dict[ClientOrderId, int] = {}
        self.halves = False
        self.lots = dict.fromkeys(self.instruments, 0)
        self.cost = dict.fromkeys(self.instruments, 0)
        self.marks: dict[Symbol, int] = {}
        self.seq = 0
        self.trades = 0
        self.log: list[BotRequest] = []
        self.refused: list[OrderRequest] = []
        self.deny_with: Reason | None = None
        self.resize_to: int | None = None
        self.inputs: list[tuple[str, object]] = []
        bot.adopt(adoption(bot))
        self.inputs.append(("adopt", adoption(bot)))

    def run(self, bars: Iterable[Bar]) -> None:
        for one in bars:
            self.step(one)

    def step(self, one: Bar) -> list[BotRequest]:
        """Fill what the bar fills, show it to the bot, and answer what it asks. Return what it asked."""
        before = len(self.log)
        self._match(one)
        self.marks[one.symbol] = self.instruments[one.symbol].nearest_ticks(one.close)
        due = self.bot.next_due_us
        if due is not None and due <= one.close_us:
            self._input("on_timer", one.close_us)
        self._input("on_bar", one)
        self._answer(one.close_us)
        return self.log[before:]

    def _input(self, name: str, value: object) -> None:
        self.inputs.append((name, value))
        getattr(self.bot, name)(value)

    def _answer(self, now_us: int) -> None:
        for _ in range(10):
            requests = self.bot.take_requests()
            if not requests:
                return
            self.log += requests
            for request in requests:
                match request:
                    case OrderRequest():
                        self._accept(request, now_us)
                    case CancelRequest():
                        if request.client_order_id in self.orders:
                            self._end(request.client_order_id, OrderStatus.CANCELED, now_us)
                    case AmendRequest():
                        terms = self.orders[request.client_order_id]
                        terms = replace(
                            terms,
                            lots=request.lots or terms.lots,
                            price_ticks=request.price_ticks or terms.price_ticks,
                        )
                        self.orders[request.client_order_id] = terms
                        self.locked[request.client_order_id] = self._need(request.client_order_id, terms)
                        self.say(request.client_order_id, OrderStatus.ACCEPTED, terms, now_us)
        raise AssertionError("the bot asks for ever")

    def _accept(self, request: OrderRequest, now_us: int) -> None:
        terms = (
            request.terms
            if self.resize_to is None
            else replace(request.terms, lots=min(self.resize_to, request.terms.lots))
        )
        need = self._need(request.client_order_id, terms)
        promised = sum(atoms for asset, atoms in self.locked.values() if asset == need[0])
        if self.deny_with is not None:
            self.say(request.client_order_id, OrderStatus.DENIED, terms, now_us, reason=self.deny_with)
        elif need[1] > self.total.get(need[0], 0) - promised:
            self.refused.append(request)
            reason = Reason.INSUFFICIENT_FUNDS
            self.say(request.client_order_id, OrderStatus.DENIED, terms, now_us, reason=reason)
        else:
            self.locked[request.client_order_id] = need
            self.orders[request.client_order_id] = terms
            self.say(request.client_order_id, OrderStatus.ACCEPTED, terms, now_us)

    def _need(self, order_id: ClientOrderId, terms: OrderTerms) -> tuple[str, int]:
        """Return the asset and atoms that what is left of an order ties up, as a gateway reserves them."""
        one = self.instruments[terms.symbol]
        lots = terms.lots - self.filled.get(order_id, 0)
        if terms.side is Side.SELL:
            return one.base, one.base_atoms(lots)
        ticks = terms.price_ticks
        if not ticks:
            collar = self.bot.config.limits.price_collar_ppm
            ticks = divide_up((terms.trigger_ticks or self.marks[terms.symbol]) * (PPM + collar), PPM)
        notional = one.notional_atoms_up(lots, ticks)
        return one.quote, notional + fee_atoms(notional, TAKER_PPM)

    def _match(self, one: Bar) -> None:
        rules = self.instruments[one.symbol]
        first, high, low = (rules.nearest_ticks(price) for price in (one.open, one.high, one.low))
        for order_id, terms in list(self.orders.items()):
            if terms.symbol != one.symbol:
                continue
            buys = terms.side is Side.BUY
            price = None
            if terms.type is OrderType.MARKET:
                price = first
            elif terms.type is OrderType.LIMIT and (low <= terms.price_ticks if buys else high >= terms.price_ticks):
                price = min(terms.price_ticks, first) if buys else max(terms.price_ticks, first)
            elif terms.type is OrderType.STOP and (high >= terms.trigger_ticks if buys else low <= terms.trigger_ticks):
                price = max(terms.trigger_ticks, first) if buys else min(terms.trigger_ticks, first)
            if price is not None:
                self._fill(order_id, terms, price, one.open_us)

    def _fill(self, order_id: ClientOrderId, terms: OrderTerms, ticks: int, now_us: int) -> None:
        rules = self.instruments[terms.symbol]
        left = terms.lots - self.filled.get(order_id, 0)
        lots = (left + 1) // 2 if self.halves else left
        notional = rules.notional_atoms(lots, ticks)
        fee = fee_atoms(notional, TAKER_PPM)
        sign = terms.side.sign
        realized = 0
        if terms.side is Side.BUY:
            self.cost[terms.symbol] += notional
        else:
            cost = self.cost[terms.symbol] * lots // self.lots[terms.symbol]
            realized = notional - cost
            self.cost[terms.symbol] -= cost
        self.lots[terms.symbol] += sign * lots
        self.total[rules.base] = self.total.get(rules.base, 0) + sign * rules.base_atoms(lots)
        self.total[rules.quote] -= sign * notional + fee
        self.trades += 1
        asset, atoms = self.locked.pop(order_id)
        self.filled[order_id] = terms.lots - left + lots
        if lots == left:
            del self.orders[order_id]
        else:
            self.locked[order_id] = (asset, atoms * (left - lots) // left)
        fill = Fill(
            trade_id=f"t{self.trades}",
            lots=lots,
            price_ticks=ticks,
            notional_atoms=notional,
            fee_atoms=fee,
            fee_asset=rules.quote,
            liquidity=Liquidity.TAKER,
            realized_atoms=realized,
        )
        status = OrderStatus.FILLED if lots == left else OrderStatus.PARTIALLY_FILLED
        self.say(order_id, status, terms, now_us, fill=fill)

    def _end(self, order_id: ClientOrderId, status: OrderStatus, now_us: int) -> None:
        terms = self.orders.pop(order_id)
        self.locked.pop(order_id, None)
        self.say(order_id, status, terms, now_us)

    def say(
        self,
        order_id: ClientOrderId,
        status: OrderStatus,
        terms: OrderTerms,
        now_us: int,
        *,
        reason: Reason = Reason.NONE,
        fill: Fill | None = None,
        origin: Origin = Origin.BOT,
    ) -> None:
        self.seq += 1
        execution = Execution(
            bot=KEY,
            seq=self.seq,
            client_order_id=order_id,
            origin=origin,
            status=status,
            terms=terms,
            filled_lots=self.filled.get(order_id, 0),
            market_us=now_us,
            reason=reason,
            fill=fill,
        )
        self._input("on_execution", execution)

    def protect(self, symbol: Symbol, ticks: int, now_us: int) -> None:
        """Sell the whole position as a stop-loss of the gateway would."""
        terms = OrderTerms(symbol=symbol, side=Side.SELL, type=OrderType.MARKET, lots=self.lots[symbol])
        order_id = ClientOrderId("PROTECTIONXXXG1")
        rules = self.instruments[symbol]
        notional = rules.notional_atoms(terms.lots, ticks)
        fill = Fill(
            trade_id="protect",
            lots=terms.lots,
            price_ticks=ticks,
            notional_atoms=notional,
            fee_atoms=0,
            fee_asset=rules.quote,
            liquidity=Liquidity.TAKER,
            realized_atoms=notional - self.cost[symbol],
        )
        self.total[rules.base] -= rules.base_atoms(terms.lots)
        self.total[rules.quote] += notional
        self.lots[symbol] = self.cost[symbol] = 0
        self.filled[order_id] = terms.lots
        self.say(order_id, OrderStatus.FILLED, terms, now_us, fill=fill, origin=Origin.GATEWAY)
