"""The Bot is a fold: same inputs, same requests; and a snapshot taken anywhere goes on as if nothing had been."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.strategy.paper import BTC, LTC, PaperExchange, bar, make_bot, through_json
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import RunState, Sizing, SizingMethod
from tradefleet.domain.orders import Reason
from workloads.strategy.api import Side, Strategy
from workloads.strategy.registry import BUILTINS, build_strategy

PARAMETERS = {
    "dca": {"every_bars": 3, "purchases": 5},
    "sma-cross": {"fast": 2, "slow": 4},
    "rsi-reversion": {"period": 3, "oversold": 40.0},
    "bollinger": {"period": 4, "width": 0.8},
    "grid": {"levels": 3, "spacing": 0.01},
    "random": {"probability": 0.7},
}
SIZINGS = [
    Sizing(),
    Sizing(fraction=0.6, rebalance_threshold=0.0),
    Sizing(method=SizingMethod.VOLATILITY_TARGET, lookback_bars=3),
    Sizing(method=SizingMethod.KELLY),
]

moves = st.lists(
    st.tuples(
        st.sampled_from((BTC, LTC)),
        st.floats(0.95, 1.05),
        st.sampled_from((*[""] * 10, "pause", "resume", "deny", "allow")),
    ),
    min_size=1,
    max_size=60,
)


class Busy(Strategy):
    """Uses what the built-ins do not: timers, amendments, stops, exposure, randomness."""

    def on_bar(self, bar):
        if self.random.random() < 0.3:
            self.target(self.random.random())
        for order in self.open_orders(bar.symbol):
            if order.price is not None:
                self.amend(order.client_order_id, price=bar.close * 0.97)
        if self.random.random() < 0.2:
            self.limit(Side.BUY, 0.2, bar.close * 0.98)
            self.stop(Side.BUY, 0.2, bar.close * 1.02)
        self.set_timer(self.now_us + 90_000_000)

    def on_timer(self, at_us):
        self.buy(self.symbols[0], quote=20)


def build(name, sizing, seed):
    strategy = Busy() if name == "busy" else build_strategy(name, PARAMETERS.get(name, {}))
    return make_bot(strategy, symbols=(BTC, LTC), sizing=sizing, seed=seed, warmup_bars=min(4, strategy.warmup))


def play(bot, steps, *, halves=False):
    """Let the bot trade on a paper exchange; return its inputs and what it asked after each of them."""
    paper = PaperExchange(bot)
    paper.halves = halves
    price = {BTC: 100.0, LTC: 20.0}
    for number, (symbol, move, command) in enumerate(steps):
        if command in ("deny", "allow"):
            paper.deny_with = Reason.EXPOSURE_LIMIT if command == "deny" else None
        elif command:
            state = RunState.PAUSED if command == "pause" else RunState.RUNNING
            paper.inputs.append(("on_command", (state, number * MINUTE_US)))
            bot.on_command(state, number * MINUTE_US)
        opens = price[symbol]
        price[symbol] = round(opens * move, 2)
        paper.step(bar(number, price[symbol], symbol=symbol, opens=opens))
    return paper


def apply(bot, inputs):
    asked = []
    for name, value in inputs:
        if name == "on_command":
            bot.on_command(*value)
        else:
            getattr(bot, name)(value)
        asked += bot.take_requests()
    return asked


names = pytest.mark.parametrize("name", [*BUILTINS, "busy"])


@names
@settings(max_examples=15, deadline=None)
@given(steps=moves, sizing=st.sampled_from(SIZINGS), seed=st.integers(0, 5))
def test_the_same_inputs_give_the_same_requests_and_hash(name, steps, sizing, seed):
    first = build(name, sizing, seed)
    paper = play(first, steps)
    second = build(name, sizing, seed)
    assert apply(second, paper.inputs) == paper.log
    assert second.request_hash == first.request_hash
    assert (second.request_count, second.request_seq) == (len(paper.log), len(paper.log))
    assert second.snapshot() == first.snapshot()


@names
@settings(max_examples=25, deadline=None)
@given(steps=moves, sizing=st.sampled_from(SIZINGS), halves=st.booleans(), data=st.data())
def test_a_snapshot_at_any_point_and_the_rest_make_the_whole(name, steps, sizing, halves, data):
    whole = build(name, sizing, 1)
    inputs = play(whole, steps, halves=halves).inputs
    cut = data.draw(st.integers(0, len(inputs)))
    before = build(name, sizing, 1)
    head = apply(before, inputs[:cut])
    restored = build(name, sizing, 1)
    restored.restore(through_json(before.snapshot()))
    assert restored.next_due_us == before.next_due_us
    tail = apply(restored, inputs[cut:])
    assert restored.request_hash == whole.request_hash
    assert len(head) + len(tail) == whole.request_count
    assert through_json(restored.snapshot()) == through_json(whole.snapshot())


@names
@settings(max_examples=25, deadline=None)
@given(steps=moves, sizing=st.sampled_from(SIZINGS), halves=st.booleans())
def test_the_books_of_the_bot_stay_those_of_the_exchange(name, steps, sizing, halves):
    bot = build(name, sizing, 2)
    paper = play(bot, steps, halves=halves)
    portfolio = bot._desk.portfolio
    assert {asset: atoms for asset, atoms in portfolio.total.items() if atoms} == {
        asset: atoms for asset, atoms in paper.total.items() if atoms
    }
    assert {symbol: position.lots for symbol, position in portfolio.positions.items()} == paper.lots
    assert {order_id: order.filled_lots for order_id, order in portfolio.orders.items()} == {
        order_id: paper.filled.get(order_id, 0) for order_id in paper.orders
    }
    if name != "busy":  # it sends explicit orders without asking what it can pay
        assert paper.refused == []


def test_another_seed_makes_other_random_orders():
    steps = [(BTC, 1.01 if number % 2 else 0.99, "") for number in range(60)]
    one, other = build("random", Sizing(), 1), build("random", Sizing(), 2)
    play(one, steps)
    play(other, steps)
    assert one.request_hash != other.request_hash
