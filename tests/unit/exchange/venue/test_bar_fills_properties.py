"""Bar fills against an oracle that walks every tick of the path and reads rule 22 word by word."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.exchange.venue.scenes import RICH, TICK, Player, brief, config, order_id, terms, tick_bar
from tradefleet.domain.bar import Bar
from tradefleet.domain.orders import OrderTerms, OrderType, Reason, Side, TimeInForce
from tradefleet.domain.venue import Liquidity

SLIPPAGE_PPM = 30_000


def every_tick(bar: Bar) -> list[int]:
    """Return each price of the bar's path, tick by tick."""
    o, h, low, c = (
        int((Decimal(repr(price)) / TICK).to_integral_value(ROUND_HALF_EVEN))
        for price in (bar.open, bar.high, bar.low, bar.close)
    )
    corners = [o, low, h, c] if bar.close >= bar.open else [o, h, low, c]
    prices = [o]
    for corner in corners[1:]:
        while prices[-1] != corner:
            prices.append(prices[-1] + (1 if corner > prices[-1] else -1))
    return prices


@dataclass
class Wish:
    """An order as the oracle sees it."""

    number: int
    terms: OrderTerms
    left: int
    first_bar: bool = True
    triggered: bool = False
    done: bool = False
    taken_in_bar: bool = False


@dataclass
class Oracle:
    """Every order on its own against every price of the path, in the simplest way. Money is no object here."""

    participation_ppm: int | None
    wishes: list[Wish] = field(default_factory=list)
    log: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)

    def bar(self, bar: Bar) -> list[tuple[int, tuple[Any, ...]]]:
        self.log = []
        cap = None
        if self.participation_ppm is not None:
            volume_lots = int(Decimal(repr(bar.volume)) / Decimal("0.01"))
            cap = int(Decimal(volume_lots) * self.participation_ppm / 1_000_000)
        for wish in self.wishes:
            wish.taken_in_bar = False
        for step, price in enumerate(every_tick(bar)):
            for wish in self.wishes:
                if not wish.done:
                    self.meet(wish, price, at_open=step == 0, cap=cap)
        for wish in self.wishes:
            wish.first_bar = False
        self.wishes = [wish for wish in self.wishes if not wish.done]
        return self.log

    def meet(self, wish: Wish, price: int, *, at_open: bool, cap: int | None) -> None:
        order = wish.terms
        buying = order.side is Side.BUY
        gtc = order.time_in_force is TimeInForce.GTC
        just_triggered = False
        if order.trigger_ticks is not None and not wish.triggered:
            if (buying and price < order.trigger_ticks) or (not buying and price > order.trigger_ticks):
                return
            wish.triggered = just_triggered = True
            self.log.append((wish.number, ("TRIGGERED",)))
        if order.type in (OrderType.MARKET, OrderType.STOP):
            if at_open or just_triggered:
                self.fill(wish, slipped(price, buying=buying), "TAKER", cap)
            return
        assert order.price_ticks is not None
        good = price <= order.price_ticks if buying else price >= order.price_ticks
        if just_triggered and good and order.post_only:
            self.expire(wish, Reason.WOULD_TAKE)
        elif just_triggered and good:
            self.fill(wish, price, "TAKER", cap)
        elif good:
            takes = at_open and wish.first_bar and order.trigger_ticks is None and not order.post_only
            self.fill(wish, price, "TAKER" if takes else "MAKER", cap)
        elif not gtc and (at_open or just_triggered):
            self.expire(wish, Reason.NO_LIQUIDITY)

    def fill(self, wish: Wish, price: int, liquidity: str, cap: int | None) -> None:
        if wish.taken_in_bar:
            return
        wish.taken_in_bar = True
        lots = wish.left if cap is None else min(wish.left, cap)
        if wish.terms.time_in_force is TimeInForce.FOK and lots < wish.left:
            lots = 0
        if lots:
            wish.left -= lots
            self.log.append((wish.number, ("FILLED", lots, price, Liquidity(liquidity))))
        if wish.left == 0:
            wish.done = True
        elif wish.terms.time_in_force is not TimeInForce.GTC:
            self.expire(wish, Reason.NO_LIQUIDITY)

    def expire(self, wish: Wish, reason: Reason) -> None:
        wish.done = True
        self.log.append((wish.number, ("EXPIRED", reason)))


def slipped(price: int, *, buying: bool) -> int:
    factor = 1 + Decimal(SLIPPAGE_PPM if buying else -SLIPPAGE_PPM) / 1_000_000
    return int((price * factor).to_integral_value(ROUND_CEILING if buying else ROUND_FLOOR))


PRICES = st.integers(85, 115)
NOISE = st.sampled_from([0.0, 0.0, 0.004, -0.004, 0.005])  # up to half a tick


@st.composite
def bars(draw: st.DrawFn, number: int) -> Bar:
    ticks = [draw(PRICES) * 0.01 + draw(NOISE) for _ in range(4)]
    low, high = min(ticks), max(ticks)
    bar = tick_bar(number, (100, 100, 100, 100))
    volume = draw(st.sampled_from([0.0, 0.01, 0.05, 0.3, 100.0]))
    return bar._replace(open=ticks[0], close=ticks[1], low=low, high=high, volume=volume)


@st.composite
def order_terms(draw: st.DrawFn) -> OrderTerms:
    kind = draw(st.sampled_from(OrderType))
    limited = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    time_in_force = draw(st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]))
    return terms(
        draw(st.sampled_from(Side)),
        draw(st.integers(1, 9)),
        draw(PRICES) if limited else None,
        trigger_ticks=draw(PRICES) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=time_in_force,
        post_only=limited and time_in_force is TimeInForce.GTC and draw(st.booleans()),
    )


@st.composite
def sessions(draw: st.DrawFn) -> list[tuple[list[OrderTerms], Bar]]:
    count = draw(st.integers(1, 5))
    return [(draw(st.lists(order_terms(), max_size=5)), draw(bars(number + 1))) for number in range(count)]


@settings(max_examples=300, deadline=None)
@given(sessions(), st.sampled_from([None, None, 1_000_000, 300_000]))
def test_fills_are_those_of_rule_22(session: list[tuple[list[OrderTerms], Bar]], participation_ppm: int | None) -> None:
    player = Player(config(slippage_ppm=SLIPPAGE_PPM, participation_ppm=participation_ppm)).fund(USD=RICH, BTC=RICH)
    oracle = Oracle(participation_ppm)
    number_of = {}
    for orders, bar in session:
        for order in orders:
            number = len(number_of) + 1
            number_of[order_id(number)] = number
            if brief(player.submit(order_id(number), order)) == [("ACCEPTED",)]:
                oracle.wishes.append(Wish(number, order, order.lots))
        reports = player.close(bar)
        seen = list(zip([number_of[report.client_order_id] for report in reports], brief(reports), strict=True))
        assert seen == oracle.bar(bar)
        assert player.venue.accounts.imbalance() == {}
