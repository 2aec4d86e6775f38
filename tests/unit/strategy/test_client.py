import pytest

from tests.unit.strategy.paper import BTC, PaperExchange, bar, make_bot, through_json
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.orders import CancelRequest, OrderRequest, OrderTerms, OrderType, Side, TimeInForce
from workloads.strategy.client import CancelDescription, OrderDescription, client_strategy
from workloads.strategy.errors import StrategyError
from workloads.strategy.market_data import Tick
from workloads.strategy.parameters import param


class Counting:
    """Buys a little on every second bar."""

    size: float = param(1.0, ge=0.1)

    def __init__(self):
        self.asked = self.size - self.size  # its parameters are there already

    def next_order(self, context):
        self.asked += 1
        return OrderDescription(Side.BUY, self.size) if self.asked % 2 == 0 else None


def answering(*answers):
    """Return a client strategy that gives these answers, one a bar."""
    left = list(answers)

    def scripted(context):
        answer = left.pop(0)
        return answer(context) if callable(answer) else answer

    return client_strategy(scripted)()


def run(strategy, closes=(100.0, 100.0, 100.0)):
    paper = PaperExchange(make_bot(strategy))
    paper.run(bar(number, close) for number, close in enumerate(closes))
    return paper


def test_a_class_with_next_order_is_asked_once_a_bar():
    paper = run(client_strategy(Counting)(size=2), [100.0] * 4)
    assert [request.terms.lots for request in paper.log] == [20_000, 20_000]


def test_it_is_not_asked_before_it_may_trade():
    strategy = client_strategy(Counting)()
    paper = PaperExchange(make_bot(strategy, warmup_bars=3))
    paper.run(bar(number, 100.0) for number in range(4))
    assert strategy._client.asked == 2


def test_the_description_is_the_client_s():
    described = client_strategy(Counting).describe()
    assert (described.name, described.doc) == ("Counting", "Buys a little on every second bar.")
    assert [parameter.name for parameter in described.parameters] == ["size"]


def test_undeclared_attributes_of_a_client_are_obstacles():
    strategy = client_strategy(Counting)()
    paper = run(strategy)
    assert [line.split(":")[0] for line in paper.bot.obstacles()] == ["asked"]


def test_every_kind_of_order_can_be_described():
    answers = [
        OrderDescription(Side.BUY, 1, 90, time_in_force=TimeInForce.IOC),
        OrderDescription(Side.SELL, 1, trigger=95, reduce_only=True),
        [OrderDescription(Side.BUY, 1, 111, trigger=110), OrderDescription(Side.BUY, 1, 80, post_only=True)],
    ]
    bot = make_bot(answering(*answers))
    PaperExchange(bot)
    asked = []
    for number in range(3):
        bot.on_bar(bar(number, 100.0))
        asked += [request.terms for request in bot.take_requests()]
    ioc = {"lots": 10_000, "symbol": BTC}
    assert asked == [
        OrderTerms(**ioc, side=Side.BUY, type=OrderType.LIMIT, price_ticks=9_000, time_in_force=TimeInForce.IOC),
        OrderTerms(**ioc, side=Side.SELL, type=OrderType.STOP, trigger_ticks=9_500, reduce_only=True),
        OrderTerms(**ioc, side=Side.BUY, type=OrderType.STOP_LIMIT, price_ticks=11_100, trigger_ticks=11_000),
        OrderTerms(**ioc, side=Side.BUY, type=OrderType.LIMIT, price_ticks=8_000, post_only=True),
    ]


def test_an_order_can_be_canceled():
    paper = run(
        answering(
            OrderDescription(Side.BUY, 1, 90),
            lambda context: CancelDescription(context.open_orders[0].client_order_id),
            None,
        )
    )
    assert [type(request) for request in paper.log] == [OrderRequest, CancelRequest]
    assert paper.orders == {}


def test_the_context_shows_the_market_and_the_books():
    seen = {}

    def look(context):
        seen.update(
            symbol=context.symbol,
            last=context.last,
            bid=context.bid,
            ask=context.ask,
            size=context.position.size,
            sellable=context.sellable,
            now=context.now_us,
            payable=context.payable(50),
            free=context.free(),
            locked=context.locked("BTC"),
            equity=context.equity,
            dice=0 <= context.random.random() < 1,
            small=context.is_worth_an_order(0.01, 100),
        )

    run(answering(OrderDescription(Side.BUY, 2), OrderDescription(Side.SELL, 1, 200), look), (100.0, 100.0, 110.0))
    assert seen == {
        "symbol": BTC,
        "last": 110.0,
        "bid": 109.99,
        "ask": 110.01,
        "size": 2.0,
        "sellable": 1.0,
        "now": 180_000_000,
        "payable": pytest.approx(799.8 / 50 / 1.001, abs=1e-4),
        "free": pytest.approx(799.8),
        "locked": 1.0,
        "equity": pytest.approx(1_019.8),
        "dice": True,
        "small": False,
    }


def test_a_quote_since_the_bar_is_a_better_guess():
    seen = []
    strategy = answering(lambda context: seen.append((context.bid, context.ask)))
    bot = make_bot(strategy)
    PaperExchange(bot)
    bot.on_tick(Tick(BTC, 60_000_000, 99.5, 100.5, 100.0))
    bot.on_bar(bar(0, 100.0))
    assert seen == [(99.5, 100.5)]


def test_another_answer_is_an_error_that_says_what_it_must_be():
    with pytest.raises(StrategyError, match=r"next_order must return an OrderDescription, .* was 'buy'") as caught:
        run(answering("buy"))
    assert isinstance(caught.value.__cause__, InvalidValue)


def test_a_function_without_memory_can_be_snapshotted():
    paper = run(answering(None, None, None))
    saved = through_json(paper.bot.snapshot())
    restored = make_bot(answering(OrderDescription(Side.BUY, 1)))
    restored.restore(saved)
    restored.on_bar(bar(3, 100.0))
    assert len(restored.take_requests()) == 1
