from dataclasses import replace

import pytest

from tests.unit.strategy.paper import (
    BTC,
    DOLLAR,
    KEY,
    LTC,
    PaperExchange,
    adoption,
    bar,
    config,
    instrument,
    make_bot,
    through_json,
)
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import RiskLimits, RunState, Sizing, SizingMethod
from tradefleet.domain.errors import InvalidValue, Permanent, StreamGap
from tradefleet.domain.executions import Adoption, Execution, Origin, PositionView
from tradefleet.domain.ids import BotUid, bot_order_id, uid_hash
from tradefleet.domain.orders import (
    AmendRequest,
    CancelRequest,
    OrderRequest,
    OrderStatus,
    OrderTerms,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from workloads.strategy.api import Strategy, param, state
from workloads.strategy.bot import Bot
from workloads.strategy.desk import WISH_BARS_MAX
from workloads.strategy.errors import StrategyError
from workloads.strategy.indicators import SMA


class Script(Strategy):
    """Does on bar number n (from 1) what `plan[n]` says."""

    plan: dict = {}  # noqa: RUF012 - each test gives a class of its own
    seen: int = state(0)

    def on_bar(self, bar):
        self.seen += 1
        action = self.plan.get(self.seen)
        if action is not None:
            action(self)


def script(**plan):
    """Return a strategy that acts on the bars named b1, b2, …"""
    return type("Script", (Script,), {"plan": {int(name[1:]): action for name, action in plan.items()}})()


def orders_of(requests):
    return [(one.terms.side, one.terms.type, one.terms.lots) for one in requests if isinstance(one, OrderRequest)]


# The sizer at work


def test_a_target_is_topped_up_until_the_rest_is_below_the_threshold():
    bot = make_bot(script(b1=lambda self: self.target(1.0)))
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(10))
    sizes = [lots for _, _, lots in orders_of(paper.log)]
    assert len(sizes) == 2
    assert sizes[0] == pytest.approx(95_100, abs=200)  # what 1,000 pays at 105 plus fee
    assert paper.total["USD"] < 0.02 * 1_000 * DOLLAR
    assert paper.refused == []


def test_no_second_order_is_made_while_one_is_open():
    bot = make_bot(script(b1=lambda self: self.target(0.3), b2=lambda self: self.target(0.6)))
    bot.adopt(adoption(bot))
    for number in range(5):
        bot.on_bar(bar(number, 100.0))
    assert orders_of(bot.take_requests()) == [(Side.BUY, OrderType.MARKET, 30_000)]


def test_what_is_left_of_a_target_is_bought_once_the_first_order_is_done():
    bot = make_bot(script(b1=lambda self: self.target(0.3), b2=lambda self: self.target(0.6)))
    paper = PaperExchange(bot)
    paper.halves = True
    paper.run(bar(number, 100.0) for number in range(40))
    assert [lots for _, _, lots in orders_of(paper.log)] == [30_000, pytest.approx(30_000, rel=0.01)]


def test_buy_enters_once_and_sell_leaves_everything():
    bot = make_bot(script(b1=lambda self: self.buy(), b5=lambda self: self.buy(), b7=lambda self: self.sell()))
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0 + number) for number in range(12))
    assert [side for side, _, _ in orders_of(paper.log)] == [Side.BUY, Side.BUY, Side.SELL]
    assert paper.lots[BTC] == 0


def test_buying_for_an_amount_adds_and_is_cut_to_what_can_be_paid():
    bot = make_bot(script(b1=lambda self: self.buy(quote=100), b3=lambda self: self.buy(quote=5_000)))
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(6))
    first, second = (lots for _, _, lots in orders_of(paper.log))
    assert first == 10_000
    assert 84_000 < second < 86_000
    assert paper.refused == []


def test_an_amount_below_the_minimum_notional_makes_no_order():
    told = []
    bot = make_bot(
        script(b1=lambda self: told.append(self.buy(quote=9.5)), b2=lambda self: told.append(self.sell(quote=20)))
    )
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(3))
    assert (told, paper.log) == ([False, False], [])


def test_a_refused_buy_is_tried_again_ever_more_slowly():
    bot = make_bot(script(**{f"b{n}": lambda self: self.target(1.0) for n in range(1, 200)}))
    paper = PaperExchange(bot)
    paper.deny_with = Reason.EXPOSURE_LIMIT
    paper.run(bar(number, 100.0) for number in range(199))
    assert [request.market_us // MINUTE_US for request in paper.log] == [1, 2, 4, 8, 16, 32, 64, 128, 192]


def test_a_refused_sell_is_tried_on_every_bar():
    bot = make_bot(script(b1=lambda self: self.buy(), b6=lambda self: self.sell()))
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(5))
    paper.deny_with = Reason.STALE_DATA
    asked = [len(paper.step(bar(number, 100.0))) for number in range(5, 10)]
    assert asked == [1, 1, 1, 1, 1]
    paper.deny_with = None
    paper.run(bar(number, 100.0) for number in range(10, 13))
    assert paper.lots[BTC] == 0


def test_a_wish_that_cannot_be_paid_is_given_up():
    def lock_all(self):
        self.limit(Side.BUY, self.payable(price=50), 50)
        self.buy()

    bot = make_bot(script(b1=lock_all), sizing=Sizing())
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(WISH_BARS_MAX + 1))
    paper.bot.on_command(RunState.RUNNING, 0)
    order_id = next(iter(paper.orders))
    paper._end(order_id, OrderStatus.CANCELED, 0)
    paper.run(bar(number, 100.0) for number in range(20, 25))
    assert len(orders_of(paper.log)) == 1


def test_a_resized_order_is_counted_with_its_accepted_size_and_completed_later():
    bot = make_bot(script(b1=lambda self: self.buy()))
    paper = PaperExchange(bot)
    paper.resize_to = 20_000
    paper.run(bar(number, 100.0) for number in range(9))
    assert len(orders_of(paper.log)) == 5
    assert 98_000 < paper.lots[BTC] < 100_000
    assert bot._desk.portfolio.positions[BTC].lots == paper.lots[BTC]
    assert paper.refused == []


def test_two_instruments_share_the_money_equally():
    class Both(Strategy):
        def on_bar(self, bar):
            self.target(1.0)

    paper = PaperExchange(make_bot(Both(), symbols=(BTC, LTC)))
    for number in range(8):
        paper.step(bar(number, 100.0))
        paper.step(bar(number, 50.0, symbol=LTC))
    assert paper.lots[BTC] == pytest.approx(50_000, rel=0.05)
    assert paper.lots[LTC] == pytest.approx(100_000, rel=0.05)
    assert paper.refused == []


def test_volatility_sizing_waits_for_its_lookback():
    sizing = Sizing(method=SizingMethod.VOLATILITY_TARGET, target_volatility=0.5, lookback_bars=5)
    bot = make_bot(script(b1=lambda self: self.target(1.0)), sizing=sizing)
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0 + number % 2) for number in range(8))
    assert paper.log[0].market_us == 6 * MINUTE_US
    assert 0 < paper.lots[BTC] < 50_000


def test_what_the_protection_sold_is_not_bought_back_by_an_unfinished_entry():
    bot = make_bot(script(b1=lambda self: self.buy()))
    paper = PaperExchange(bot)
    paper.resize_to = 20_000
    paper.run(bar(number, 100.0) for number in range(3))
    while paper.orders:
        paper._fill(*next(iter(paper.orders.items())), 10_000, 0)
    paper.protect(BTC, 9_500, 3 * MINUTE_US)
    asked = len(paper.log)
    paper.run(bar(number, 95.0) for number in range(3, 9))
    assert len(paper.log) == asked
    assert not bot._desk.portfolio.positions[BTC]
    assert bot._desk.portfolio.total == paper.total


def test_what_the_strategy_s_own_stop_sold_is_not_bought_back_by_an_unfinished_entry():
    def protect(self):
        self.stop(Side.SELL, self.sellable(), 95)

    bot = make_bot(script(b1=lambda self: self.buy(), b2=protect))
    paper = PaperExchange(bot)
    paper.resize_to = 20_000
    paper.run([bar(0, 100.0), bar(1, 100.0), bar(2, 90.0), bar(3, 90.0), bar(4, 90.0), bar(5, 90.0)])
    assert [(side, kind) for side, kind, _ in orders_of(paper.log)] == [
        (Side.BUY, OrderType.MARKET),
        (Side.SELL, OrderType.STOP),
        (Side.BUY, OrderType.MARKET),  # on the bar of the stop order, which then sold on the next one
    ]


# Warm-up, pause, stop


def test_the_close_of_the_warmup_bar_may_trade_and_none_before():
    told = []
    bot = make_bot(
        script(**{f"b{n}": lambda self: told.append((self.can_trade(), self.buy())) for n in range(1, 5)}),
        warmup_bars=3,
    )
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(4))
    assert told == [(False, False), (False, False), (True, True), (True, True)]
    assert paper.log[0].market_us == 3 * MINUTE_US


def test_warmup_is_counted_per_instrument():
    class Both(Strategy):
        def on_bar(self, bar):
            self.buy()

    paper = PaperExchange(make_bot(Both(), symbols=(BTC, LTC), warmup_bars=2))
    paper.step(bar(0, 100.0))
    paper.step(bar(1, 100.0))
    asked = paper.step(bar(0, 50.0, symbol=LTC))
    assert [request.terms.symbol for request in paper.log] == [BTC]
    assert asked == []


def test_a_paused_bot_sees_bars_and_sends_cancels_only():
    bot = make_bot(
        script(
            b1=lambda self: self.limit(Side.BUY, 1, 50),
            b2=lambda self: (
                self.buy(),
                self.limit(Side.BUY, 1, 40),
                self.amend(self.open_orders()[0].client_order_id, size=2),
            ),
            b3=lambda self: self.cancel_all(),
        )
    )
    paper = PaperExchange(bot)
    paper.step(bar(0, 100.0))
    bot.on_command(RunState.PAUSED, MINUTE_US)
    assert paper.step(bar(1, 100.0)) == []
    assert [type(request) for request in paper.step(bar(2, 100.0))] == [CancelRequest]
    assert bot._strategy.seen == 3


def test_a_stopped_bot_sees_nothing_and_its_timers_are_gone():
    stopped = []

    class Timed(Script):
        plan = {1: lambda self: self.set_timer(10 * MINUTE_US)}  # noqa: RUF012

        def on_stop(self):
            stopped.append(self.buy())

    bot = make_bot(Timed())
    paper = PaperExchange(bot)
    paper.step(bar(0, 100.0))
    assert bot.next_due_us == 10 * MINUTE_US
    bot.on_command(RunState.STOPPED, MINUTE_US)
    bot.on_command(RunState.STOPPED, MINUTE_US)
    assert paper.step(bar(1, 100.0)) == []
    bot.on_timer(20 * MINUTE_US)
    assert (stopped, bot.next_due_us, bot._strategy.seen) == ([False], None, 1)


# Explicit orders


def test_explicit_orders_become_terms_in_ticks_and_lots_on_their_safe_side():
    ids = []

    def act(self):
        ids.append(self.limit(Side.BUY, 0.12345, 99.999, time_in_force=TimeInForce.IOC))
        ids.append(self.limit(Side.SELL, 1, 100.001, post_only=True))
        ids.append(self.stop(Side.SELL, 1, 90.005, reduce_only=True))
        ids.append(self.stop_limit(Side.BUY, 1, 110.001, 111.009))
        ids.append(self.market(Side.BUY, 0.5))

    bot = make_bot(script(b1=act))
    bot.adopt(adoption(bot))
    bot.on_bar(bar(0, 100.0))
    requests = bot.take_requests()
    terms = [request.terms for request in requests]
    assert terms == [
        OrderTerms(
            symbol=BTC,
            side=Side.BUY,
            type=OrderType.LIMIT,
            lots=1_234,
            price_ticks=9_999,
            time_in_force=TimeInForce.IOC,
        ),
        OrderTerms(symbol=BTC, side=Side.SELL, type=OrderType.LIMIT, lots=10_000, price_ticks=10_001, post_only=True),
        OrderTerms(symbol=BTC, side=Side.SELL, type=OrderType.STOP, lots=10_000, trigger_ticks=9_000, reduce_only=True),
        OrderTerms(
            symbol=BTC, side=Side.BUY, type=OrderType.STOP_LIMIT, lots=10_000, price_ticks=11_100, trigger_ticks=11_001
        ),
        OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.MARKET, lots=5_000),
    ]
    prefix = uid_hash(BotUid("uid-1"))
    assert ids == [bot_order_id(prefix, seq) for seq in range(1, 6)]
    assert [request.seq for request in requests] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "action",
    [
        lambda self: self.market(Side.BUY, 0),
        lambda self: self.market(Side.BUY, float("nan")),
        lambda self: self.limit(Side.BUY, 1, -1),
        lambda self: self.buy(quote=0),
        lambda self: self.target(float("nan")),
        lambda self: self.set_timer(self.now_us),
        lambda self: self.position("ETH-USD"),
        lambda self: self.indicator(SMA(3)),
    ],
)
def test_nonsense_from_a_strategy_is_an_error_that_names_bot_hook_and_time(action):
    bot = make_bot(script(b1=action))
    bot.adopt(adoption(bot))
    with pytest.raises(StrategyError, match="bot demo/one: on_bar at 1970-01-01T00:01:00Z raised") as caught:
        bot.on_bar(bar(0, 100.0))
    assert isinstance(caught.value.__cause__, InvalidValue)
    assert isinstance(caught.value, Permanent)


def test_less_than_a_lot_is_no_order():
    told = []
    bot = make_bot(script(b1=lambda self: told.append(self.market(Side.BUY, 0.00009))))
    paper = PaperExchange(bot)
    paper.step(bar(0, 100.0))
    assert (told, paper.log) == ([None], [])


def test_an_amendment_asks_for_what_changes_only():
    told = []

    def amend(self):
        (order,) = self.open_orders(BTC)
        told.append(self.amend(order.client_order_id, price=60.0))
        told.append(self.amend(order.client_order_id, size=1))

    bot = make_bot(script(b1=lambda self: self.limit(Side.BUY, 1, 50), b2=amend))
    paper = PaperExchange(bot)
    paper.run([bar(0, 100.0), bar(1, 100.0)])
    (request,) = [one for one in paper.log if isinstance(one, AmendRequest)]
    assert told == [True, False]
    assert (request.symbol, request.lots, request.price_ticks) == (BTC, None, 6_000)
    assert bot._desk.portfolio.locked["USD"] > 60 * DOLLAR


def test_a_cancel_is_asked_for_once():
    told = []

    def cancel(self):
        (order,) = self.open_orders()
        told.extend([self.cancel(order.client_order_id), self.cancel(order.client_order_id), self.cancel("UNKNOWN")])

    bot = make_bot(script(b1=lambda self: self.limit(Side.BUY, 1, 50), b2=cancel))
    paper = PaperExchange(bot)
    paper.run([bar(0, 100.0), bar(1, 100.0)])
    assert told == [True, False, False]
    assert bot._desk.portfolio.orders == {}
    assert bot._desk.portfolio.locked["USD"] == 0


def test_several_instruments_need_a_name_outside_of_on_bar():
    class Timed(Strategy):
        def on_bar(self, bar):
            if self.now_us == MINUTE_US:
                self.set_timer(2 * MINUTE_US)

        def on_timer(self, at_us):
            self.buy()

    bot = make_bot(Timed(), symbols=(BTC, LTC))
    bot.adopt(adoption(bot))
    bot.on_bar(bar(0, 100.0))
    with pytest.raises(StrategyError, match=r"on_timer .* name the symbol, one of BTC-USD, LTC-USD"):
        bot.on_timer(2 * MINUTE_US)


# Reading


def test_a_strategy_reads_its_books():
    read = {}

    def look(self):
        read.update(
            now=self.now_us,
            symbols=self.symbols,
            size=self.position().size,
            price=self.position().average_price,
            held=bool(self.position()),
            free=self.free(),
            locked=self.locked(),
            equity=self.equity,
            orders=[(one.side, one.size, one.remaining, one.price) for one in self.open_orders()],
            fill=self.fills[-1],
            close=self.last_bar().close,
            sellable=self.sellable(),
        )

    def rest(self):
        self.limit(Side.SELL, 1.5, 200)
        self.limit(Side.BUY, 2, 50)

    bot = make_bot(script(b1=lambda self: self.market(Side.BUY, 4), b2=rest, b3=look))
    paper = PaperExchange(bot)
    paper.run([bar(0, 100.0), bar(1, 110.0, opens=101.0), bar(2, 120.0)])
    fill = read.pop("fill")
    assert (fill.size, fill.price, fill.fee, fill.side) == (4.0, 101.0, 0.404, Side.BUY)
    assert read.pop("locked") == pytest.approx(100.1, abs=1e-5)
    assert read.pop("free") == pytest.approx(1_000 - 404.404 - 100.1, abs=1e-5)
    assert read == {
        "now": 3 * MINUTE_US,
        "symbols": (BTC,),
        "size": 4.0,
        "price": 101.0,
        "held": True,
        "equity": pytest.approx(1_000 - 404.404 + 4 * 120),
        "orders": [(Side.SELL, 1.5, 1.5, 200.0), (Side.BUY, 2.0, 2.0, 50.0)],
        "close": 120.0,
        "sellable": 2.5,
    }


def test_open_orders_and_position_are_adopted():
    read = {}

    def look(self):
        read["size"], read["price"] = self.position().size, self.position().average_price
        read["orders"] = [(one.price, one.remaining) for one in self.open_orders()]
        self.cancel_all()

    bot = Bot(config(), {BTC: instrument()}, script(b1=look), taker_ppm=1_000, request_seq=41)
    terms = OrderTerms(symbol=BTC, side=Side.SELL, type=OrderType.LIMIT, lots=20_000, price_ticks=15_000)
    open_order = Execution(
        bot=KEY,
        seq=9,
        client_order_id=bot_order_id(uid_hash(BotUid("uid-1")), 40),
        origin=Origin.BOT,
        status=OrderStatus.PARTIALLY_FILLED,
        terms=terms,
        filled_lots=5_000,
        market_us=0,
    )
    bot.adopt(
        Adoption(
            bot=KEY,
            market_us=0,
            execution_seq=12,
            free={"USD": 0, "BTC": 0},
            locked={"BTC": 15_000 * 10_000},
            positions=(PositionView(symbol=BTC, lots=15_000, cost_atoms=135 * DOLLAR),),
            orders=(open_order,),
        )
    )
    bot.on_bar(bar(0, 100.0))
    (request,) = bot.take_requests()
    assert read == {"size": 1.5, "price": 90.0, "orders": [(150.0, 1.5)]}
    assert (request.seq, request.client_order_id) == (42, open_order.client_order_id)
    assert bot.execution_seq == 12
    assert (bot.request_count, bot._desk.portfolio.locked["BTC"]) == (1, 15_000 * 10_000)


def test_an_adopted_market_order_holds_what_else_is_locked():
    def order(seq, lots, price):
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        return Execution(
            bot=KEY,
            seq=seq,
            client_order_id=bot_order_id(uid_hash(BotUid("uid-1")), seq),
            origin=Origin.BOT,
            status=OrderStatus.ACCEPTED,
            terms=OrderTerms(symbol=BTC, side=Side.BUY, type=kind, lots=lots, price_ticks=price),
            filled_lots=0,
            market_us=0,
        )

    bot = make_bot(script())
    free, locked = {"USD": 100 * DOLLAR}, {"USD": 300 * DOLLAR}
    orders = (order(1, 10_000, 10_000), order(2, 19_000, None))
    bot.adopt(Adoption(bot=KEY, market_us=0, execution_seq=2, free=free, locked=locked, orders=orders))
    portfolio = bot._desk.portfolio
    assert (portfolio.free("USD"), portfolio.locked["USD"]) == (100 * DOLLAR, 300 * DOLLAR)
    assert portfolio.projected_lots(BTC, Side.BUY) == 29_000


def test_base_in_the_start_wallet_is_a_position_that_can_be_sold():
    bot = make_bot(script(b1=lambda self: self.sell()), wallet={"USD": 0, "BTC": 2 * 10**8})
    bot.adopt(adoption(bot))
    bot.on_bar(bar(0, 100.0))
    assert orders_of(bot.take_requests()) == [(Side.SELL, OrderType.MARKET, 20_000)]


# Streams, timers, wrong inputs


def test_an_execution_that_was_applied_is_skipped_and_a_gap_is_an_error():
    bot = make_bot(script(b1=lambda self: self.market(Side.BUY, 1)))
    paper = PaperExchange(bot)
    paper.run([bar(0, 100.0), bar(1, 100.0)])
    repeated = next(value for name, value in paper.inputs if name == "on_execution" and value.fill)
    bot.on_execution(repeated)
    assert bot._desk.portfolio.positions[BTC].lots == 10_000
    with pytest.raises(StreamGap, match="bot demo/one: execution 5 came after 2"):
        bot.on_execution(Execution(**{name: getattr(repeated, name) for name in repeated.__slots__} | {"seq": 5}))


def test_an_execution_before_the_adoption_is_refused():
    terms = OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.MARKET, lots=1)
    execution = Execution(
        bot=KEY,
        seq=1,
        client_order_id="X",
        origin=Origin.BOT,
        status=OrderStatus.ACCEPTED,
        terms=terms,
        filled_lots=0,
        market_us=0,
    )
    with pytest.raises(InvalidValue, match="an execution before its adoption"):
        make_bot(script()).on_execution(execution)


def test_time_does_not_go_back_with_a_fill_that_is_stamped_with_a_past_open():
    seen = []

    class Watching(Script):
        plan = {2: lambda self: self.market(Side.BUY, 1)}  # noqa: RUF012

        def on_execution(self, execution):
            seen.append((execution.market_us // MINUTE_US, self.now_us // MINUTE_US))

    paper = PaperExchange(make_bot(Watching()))
    paper.run(bar(number, 100.0) for number in range(2))
    paper.bot.on_timer(3 * MINUTE_US)
    paper.step(bar(2, 100.0))
    assert seen == [(2, 2), (2, 3)]


def test_timers_come_in_their_order_and_once():
    rung = []

    class Timed(Script):
        plan = {1: lambda self: [self.set_timer(minute * MINUTE_US) for minute in (5, 3, 3)]}  # noqa: RUF012

        def on_timer(self, at_us):
            rung.append((at_us // MINUTE_US, self.now_us // MINUTE_US))
            if at_us == 3 * MINUTE_US:
                self.set_timer(9 * MINUTE_US)

    bot = make_bot(Timed())
    bot.adopt(adoption(bot))
    bot.on_bar(bar(0, 100.0))
    assert bot.next_due_us == 3 * MINUTE_US
    bot.on_timer(2 * MINUTE_US)
    bot.on_timer(6 * MINUTE_US)
    assert rung == [(3, 6), (5, 6)]
    assert bot.next_due_us == 9 * MINUTE_US


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (bar(0, 1.0, symbol=LTC), "got a bar of LTC-USD over 60000000 us; it trades BTC-USD over 60000000 us"),
        (bar(0, 1.0)._replace(interval_us=5 * MINUTE_US), "got a bar of BTC-USD over 300000000 us"),
    ],
)
def test_a_bar_for_somebody_else_is_refused(wrong, message):
    bot = make_bot(script())
    bot.adopt(adoption(bot))
    with pytest.raises(InvalidValue, match=message):
        bot.on_bar(wrong)


def test_the_adoption_comes_first_and_once():
    bot = make_bot(script())
    with pytest.raises(InvalidValue, match="a bar before its adoption"):
        bot.on_bar(bar(0, 1.0))
    bot.adopt(adoption(bot))
    with pytest.raises(InvalidValue, match="adopted its books already"):
        bot.adopt(adoption(bot))


def test_configs_that_cannot_run_are_refused():
    rules = {BTC: instrument()}
    for changed, message in (
        ({"symbols": ()}, "needs one or more different symbols"),
        ({"symbols": (BTC, BTC)}, "needs one or more different symbols"),
        ({"symbols": (LTC,)}, "unknown instrument LTC-USD; the exchange has: BTC-USD"),
        ({"interval_us": 0}, "interval_us must be > 0, was 0"),
    ):
        with pytest.raises(InvalidValue, match=f"bot demo/one: {message}"):
            Bot(config(**changed), rules, script(), taker_ppm=0)


def test_a_strategy_object_serves_one_bot():
    strategy = script()
    make_bot(strategy)
    with pytest.raises(InvalidValue, match="runs in a bot already"):
        make_bot(strategy)


def test_an_error_in_any_hook_names_it_and_keeps_the_cause():
    class Breaks(Strategy):
        where: str = param("on_start")

        def on_start(self):
            self._break("on_start")

        def on_execution(self, execution):
            self._break("on_execution")

        def on_stop(self):
            self._break("on_stop")

        def on_bar(self, bar):
            self.market(Side.BUY, 1)

        def _break(self, hook):
            if hook == self.where:
                raise ZeroDivisionError("so it goes")

    with pytest.raises(StrategyError, match="on_start at 1970-01-01T00:00:00Z raised ZeroDivisionError: so it goes"):
        PaperExchange(make_bot(Breaks()))
    with pytest.raises(StrategyError, match="on_execution"):
        PaperExchange(make_bot(Breaks(where="on_execution"))).step(bar(0, 100.0))
    paper = PaperExchange(make_bot(Breaks(where="on_stop")))
    with pytest.raises(StrategyError, match="on_stop") as caught:
        paper.bot.on_command(RunState.STOPPED, 5)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# Snapshots: what the properties in test_bot_determinism do not reach


def test_undeclared_state_means_no_snapshot_and_is_named():
    class Loose(Strategy):
        def on_start(self):
            self.average = self.indicator(SMA(3))
            self.bars = []

    bot = make_bot(Loose())
    bot.adopt(adoption(bot))
    assert bot.snapshot() is None
    assert bot.obstacles() == ["bars: is neither a parameter nor declared with state(...) nor a registered indicator"]


def test_an_attribute_that_points_to_another_indicator_by_now_is_restored_so():
    class Switching(Strategy):
        def on_start(self):
            self.pair = [self.indicator(SMA(2)), self.indicator(SMA(3))]
            self.active = self.pair[0]

        def on_bar(self, bar):
            self.active = self.pair[1]

    bot = make_bot(Switching())
    bot.adopt(adoption(bot))
    bot.on_bar(bar(0, 1.0))
    restored = make_bot(Switching())
    restored.restore(through_json(bot.snapshot()))
    assert restored._strategy.active is restored._strategy.pair[1]
    restored.on_bar(bar(1, 3.0))
    assert restored._strategy.pair[0].value == 2.0


def test_a_snapshot_of_another_version_or_strategy_is_refused():
    class One(Strategy):
        def on_start(self):
            self.average = self.indicator(SMA(3))

    class Other(Strategy):
        pass

    bot = make_bot(One())
    bot.adopt(adoption(bot))
    saved = through_json(bot.snapshot())
    with pytest.raises(InvalidValue, match="snapshot version must be 2, was 3"):
        make_bot(One()).restore(saved | {"version": 3})
    with pytest.raises(InvalidValue, match="has 1 indicators, on_start registered 0"):
        make_bot(Other()).restore(saved)


def test_on_start_asks_for_nothing_when_it_runs_again_for_a_restore():
    class Eager(Strategy):
        started: int = state(0)

        def on_start(self):
            self.started += 1
            self.set_timer(self.now_us + MINUTE_US)
            self.cancel_all()
            self.random.random()

        def on_bar(self, bar):
            self.limit(Side.BUY, 1, 50)

    bot = make_bot(Eager())
    paper = PaperExchange(bot)
    paper.step(bar(0, 100.0))
    saved = through_json(bot.snapshot())
    restored = make_bot(Eager())
    restored.restore(saved)
    assert restored.take_requests() == []
    assert restored._strategy.started == 1
    assert through_json(restored.snapshot()) == saved


def test_a_timer_at_a_fixed_time_is_no_obstacle_to_a_restore_after_it():
    class EndOfSession(Strategy):
        rang: int = state(0)

        def on_start(self):
            self.set_timer(3 * MINUTE_US)

        def on_timer(self, at_us):
            self.rang += 1

    bot = make_bot(EndOfSession())
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(5))
    saved = through_json(bot.snapshot())

    restored = make_bot(EndOfSession())
    restored.restore(saved)

    assert restored._strategy.rang == 1
    assert through_json(restored.snapshot()) == saved


def test_limits_of_the_bot_reach_the_sizer():
    bot = make_bot(script(b1=lambda self: self.buy()), limits=RiskLimits(max_position_atoms=100 * DOLLAR))
    paper = PaperExchange(bot)
    paper.run(bar(number, 100.0) for number in range(4))
    assert paper.lots[BTC] == 10_000


# What the gateway could not read


def unreadable(order_id):
    """Return the answer to a request that could not be read: whose order it was is known, and nothing else."""
    return Execution(
        bot=KEY,
        seq=1,
        client_order_id=order_id,
        origin=Origin.BOT,
        status=OrderStatus.DENIED,
        terms=OrderTerms(symbol=BTC, side=Side.BUY, type=OrderType.MARKET, lots=1),
        filled_lots=0,
        market_us=0,
        reason=Reason.UNREADABLE,
    )


def test_an_order_that_could_not_be_read_is_given_up_with_what_it_tied_up():
    heard = []

    class Listening(Script):
        plan = {1: lambda self: self.limit(Side.SELL, 1, 120.0)}  # noqa: RUF012

        def on_execution(self, execution):
            heard.append(execution)

    bot = make_bot(Listening())
    position = PositionView(symbol=BTC, lots=20_000, cost_atoms=DOLLAR)
    bot.adopt(replace(adoption(bot), free={"USD": 0, "BTC": 20_000 * 10_000}, positions=(position,)))
    bot.on_bar(bar(0, 100.0))
    (request,) = bot.take_requests()
    assert bot.portfolio.locked["BTC"] > 0
    bot.on_execution(unreadable(request.client_order_id))
    assert bot.portfolio.orders == {}
    assert not any(bot.portfolio.locked.values())
    assert [execution.terms for execution in heard] == [request.terms]


def test_what_could_not_be_read_and_was_no_order_leaves_the_books_alone():
    bot = make_bot(script())
    bot.adopt(adoption(bot))
    bot.on_execution(unreadable(bot_order_id(uid_hash(BotUid("uid-1")), 9)))
    assert (bot.portfolio.orders, bot.execution_seq) == ({}, 1)
