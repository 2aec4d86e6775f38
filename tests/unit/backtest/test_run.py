"""The runner: the same plan gives the same ledger, and the ledger is what the engine did."""

from dataclasses import replace

import pytest

from tests.unit.backtest.scenes import BTC, LTC, MINUTE_US, START_US, Breaks, bot, market, plan, settings, synthetic
from tradefleet.domain.canonical import CanonicalEquity, canonical_hash, canonical_lines
from tradefleet.domain.ids import BotUid
from workloads.backtest.engine import Engine
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.backtest.run import run_backtest
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.venue.venue import Venue
from workloads.feeds.content_hash import SeriesContent, SeriesHash, dataset_hash
from workloads.feeds.errors import UnusableSource
from workloads.feeds.replay import Replay, Selection
from workloads.strategy.bot import Bot
from workloads.strategy.errors import StrategyError
from workloads.strategy.registry import build_strategy


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.bars = 0
        self.progress: list[float | None] = []

    def on_bars(self, bars: list[object]) -> None:
        self.bars += len(bars)

    def on_progress(self, done: float | None, market_us: int, steps: int) -> None:
        self.progress.append(done)


def test_the_ledger_is_that_of_the_engine() -> None:
    config = bot()
    gateway_config = settings().to_gateway_config()
    machine = Bot(
        config,
        gateway_config.instruments,
        build_strategy(config.strategy, config.parameters),
        taker_ppm=gateway_config.fee_ppm_max,
    )
    engine = Engine(venue=Venue(settings().to_venue_config()), gateway=Gateway(gateway_config), bots=[machine])
    engine.run(synthetic().bars())
    result = run_backtest(plan(config))
    lines = canonical_lines(engine.fills, engine.canonical_equity())
    assert len(result.fills) > 10
    assert list(result.ledger()) == lines
    assert result.ledger_hash == canonical_hash(lines)


def test_a_lazily_written_ledger_is_the_canonical_one_of_all_bots() -> None:
    result = run_backtest(plan(bot("demo/b"), bot("demo/a", symbols=(LTC, BTC)), bot("other/c", symbols=(LTC,))))
    equity = [
        CanonicalEquity(market_us, each.key, atoms)
        for each in result.bots
        for market_us, atoms in zip(each.record.market_us, each.record.equity, strict=True)
    ]
    assert {fill.bot for fill in result.fills} == {"demo/a", "demo/b", "other/c"}
    assert list(result.ledger()) == canonical_lines(result.fills, equity)


def test_the_same_plan_gives_the_same_ledger_whatever_the_uids_are() -> None:
    first = run_backtest(plan(bot(), bot("demo/two", symbols=(LTC,))))
    others = (replace(bot(), uid=BotUid("another")), replace(bot("demo/two", symbols=(LTC,)), uid=BotUid("third")))
    assert run_backtest(plan(*others)).ledger_hash == first.ledger_hash


@pytest.mark.parametrize(
    "change",
    [{"wallet": {"USD": 10_001 * 10**8}}, {"parameters": {"fast": 6, "slow": 20}}, {"symbols": (LTC,)}],
    ids=["wallet", "parameter", "instrument"],
)
def test_what_is_run_is_in_the_hash(change: dict[str, object]) -> None:
    assert run_backtest(plan(bot(**change))).ledger_hash != run_backtest(plan(bot())).ledger_hash


def test_a_bot_trades_as_if_it_were_alone() -> None:
    alone = run_backtest(plan(bot("demo/a")))
    together = run_backtest(plan(bot("demo/a"), bot("demo/b", parameters={"fast": 3, "slow": 9})))
    assert list(alone.ledger()) == [line for line in together.ledger() if " demo/a " in line]


def test_several_exchanges_are_run_each_for_itself_and_merged() -> None:
    one, two = market(bot("demo/a"), name="demo/x"), market(bot("demo/b"), name="demo/y", taker_ppm=0, maker_ppm=0)
    both = run_backtest(BacktestPlan(title="both", markets=(two, one)))
    apart = [run_backtest(BacktestPlan(title="one", markets=(each,))) for each in (one, two)]
    assert [each.key for each in both.bots] == ["demo/a", "demo/b"]
    assert sorted(both.ledger()) == sorted(line for result in apart for line in result.ledger())
    assert list(both.ledger()) == sorted(both.ledger())
    assert both.bots[1].fees_atoms == 0
    assert both.bots[0].fees_atoms > 0


def test_several_replays_of_a_market_are_merged_by_time() -> None:
    split = MarketPlan(
        settings=settings(),
        bots=(bot(symbols=(BTC, LTC)),),
        replays=(Replay([synthetic(BTC)]), Replay([synthetic(LTC)])),
    )
    merged = run_backtest(BacktestPlan(title="split", markets=(split,)))
    assert merged.ledger_hash == run_backtest(plan(bot(symbols=(BTC, LTC)))).ledger_hash


def test_a_strategy_that_raises_is_named_with_hook_and_market_time() -> None:
    with pytest.raises(StrategyError, match="nothing left to divide by") as caught:
        run_backtest(plan(bot(warmup_bars=1, parameters={}), build=lambda config: Breaks(**config.parameters)))
    assert (caught.value.bot, caught.value.hook) == ("demo/one", "on_bar")
    assert caught.value.market_us == START_US + 5 * MINUTE_US


def test_a_range_without_bars_is_refused() -> None:
    empty = MarketPlan(
        settings=settings(), bots=(bot(),), replays=(Replay([synthetic()], Selection(from_us=START_US * 2)),)
    )
    with pytest.raises(UnusableSource, match="there is no bar in the range that was asked for"):
        run_backtest(BacktestPlan(title="empty", markets=(empty,)))


def test_data_that_ends_before_warm_up_gives_no_comparison() -> None:
    result = run_backtest(plan(bot(), bars=10))
    assert result.bots[0].vs_hold_atoms is None
    assert result.bots[0].hold_part is None
    assert result.bots[0].equity_atoms == result.bots[0].start_atoms


def test_the_facts_name_the_bars_their_hash_and_that_they_are_made_up() -> None:
    result = run_backtest(plan(bot()))
    digest = SeriesHash()
    for bar in synthetic().bars():
        digest.add(bar)
    content = SeriesContent(BTC, MINUTE_US, 400, digest.hexdigest())
    facts = result.data
    assert facts.series == (content,)
    assert facts.content_hash == dataset_hash([content])
    assert (facts.bars, facts.steps) == (400, 400)
    assert (facts.from_us, facts.to_us) == (START_US, START_US + 400 * MINUTE_US)
    assert facts.is_synthetic


def test_a_watcher_sees_every_bar_and_the_end() -> None:
    seen = Seen()
    run_backtest(plan(bot(symbols=(BTC, LTC)), bars=2_500), watcher=seen)
    assert seen.bars == 5_000
    assert seen.progress[0] == pytest.approx(0.8, abs=0.01)
    assert seen.progress[-1] == 1.0
