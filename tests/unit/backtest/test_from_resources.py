"""From files to a plan: what is run, on which bars, and what is wrong, with its place."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.backtest.scenes import (
    BACKTEST,
    BOT,
    BTC,
    EXCHANGE,
    LTC,
    MARKET,
    MINUTE_US,
    START_US,
    candle_file,
    loaded,
)
from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.bots import BotConfig
from tradefleet.resources.load import Loaded
from tradefleet.resources.problems import InvalidResource, Problem
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.run import run_backtest
from workloads.feeds.errors import BrokenData
from workloads.feeds.sources.files import open_file

SET = """
apiVersion: tradefleet.dev/v1alpha1
kind: BotSet
metadata: {name: fleet}
spec:
  matrix:
    instruments: [BTC-USD, LTC-USD]
    strategies:
      - {name: buy-and-hold}
      - {name: sma-cross, paramLists: {fast: [5, 10]}}
  template:
    spec:
      exchangeRef: {name: simulator}
      wallet: {USD: "10000"}
---
"""
OTHER_EXCHANGE = EXCHANGE.replace("name: simulator}", "name: second}", 1)
POLICY = """
apiVersion: tradefleet.dev/v1alpha1
kind: RiskPolicy
metadata: {name: careful}
spec: {selector: {matchLabels: {}}, limits: {maxExposure: "1"}}
---
"""


def changed(text: str, **changes: Any) -> str:
    """Return a document with fields set; `spec__wallet` is the path, None takes a field out."""
    body = yaml.safe_load(text.rstrip().removesuffix("---"))
    for path, value in changes.items():
        *steps, last = path.split("__")
        target = body
        for step in steps:
            target = target[step]
        if value is None:
            target.pop(last)
        else:
            target[last] = value
    return yaml.safe_dump(body, sort_keys=False) + "---\n"


def problems(files: list[Loaded], wish: Wish | None = None) -> tuple[Problem, ...]:
    with pytest.raises(InvalidResource) as caught:
        plan_backtest(files, wish or Wish())
    return caught.value.problems


def test_all_bots_of_the_files_those_of_sets_included_are_run_together() -> None:
    plan = plan_backtest(loaded(EXCHANGE, MARKET, BOT, SET), Wish())
    assert [bot.key for bot in plan.bots] == [
        "default/fleet-buy-and-hold-btc-usd",
        "default/fleet-buy-and-hold-ltc-usd",
        "default/fleet-sma-cross-fast-10-btc-usd",
        "default/fleet-sma-cross-fast-10-ltc-usd",
        "default/fleet-sma-cross-fast-5-btc-usd",
        "default/fleet-sma-cross-fast-5-ltc-usd",
        "default/trend",
    ]
    result = run_backtest(plan)
    assert result.data.bars == 600
    assert result.data.is_synthetic


def test_a_bot_is_what_its_resource_says() -> None:
    text = changed(
        BOT,
        spec__risk={"maxDrawdownPercent": "12.5", "stopLossPercent": 3, "maxOrderNotional": "250.5"},
        spec__sizing={"method": "fixed", "quoteAmount": "100"},
        spec__seed=5,
    )
    (bot,) = plan_backtest(loaded(EXCHANGE, MARKET, text), Wish()).bots
    assert isinstance(bot, BotConfig)
    assert bot.warmup_bars == 20  # what the strategy asks for
    assert bot.wallet == {"USD": 10_000 * 10**8}
    assert (bot.limits.max_drawdown_ppm, bot.limits.stop_loss_ppm) == (125_000, 30_000)
    assert bot.limits.max_order_atoms == 250_50000000
    assert bot.sizing.quote_amount == 100
    assert bot.seed == 5


def test_the_uid_of_a_backtest_comes_from_the_name_and_not_from_the_resource() -> None:
    stored = changed(BOT, metadata={"name": "trend", "uid": "given-by-a-fleet"})
    plain, other = (plan_backtest(loaded(EXCHANGE, MARKET, text), Wish()).bots[0].uid for text in (BOT, stored))
    assert plain == other
    renamed = changed(BOT, metadata={"name": "other"})
    assert plan_backtest(loaded(EXCHANGE, MARKET, renamed), Wish()).bots[0].uid != plain


def test_each_exchange_is_a_market_of_its_own() -> None:
    feed = changed(MARKET.split("---")[1], metadata={"name": "second"}, spec__exchangeRef={"name": "second"})
    bot = changed(BOT, metadata={"name": "elsewhere"}, spec__exchangeRef={"name": "second"})
    plan = plan_backtest(loaded(EXCHANGE, OTHER_EXCHANGE, MARKET, feed, BOT, bot), Wish())
    assert [(market.settings.exchange, [each.key for each in market.bots]) for market in plan.markets] == [
        ("default/simulator", ["default/trend"]),
        ("default/second", ["default/elsewhere"]),
    ]


def test_an_exchange_without_bots_needs_no_data() -> None:
    plan = plan_backtest(loaded(EXCHANGE, OTHER_EXCHANGE, MARKET, BOT), Wish())
    assert [market.settings.exchange for market in plan.markets] == ["default/simulator"]


def test_fees_slippage_and_intervals_reach_the_machines() -> None:
    (market,) = plan_backtest(loaded(EXCHANGE, MARKET, BOT), Wish()).markets
    venue, gateway = market.settings.to_venue_config(), market.settings.to_gateway_config()
    assert (venue.maker_ppm, venue.taker_ppm, venue.slippage_ppm) == (500, 1_000, 200)
    assert gateway.finest_us == {BTC: MINUTE_US, LTC: MINUTE_US}
    assert gateway.limits.max_orders_per_second == 1_000
    assert gateway.account == "default/simulator:main"


def test_risk_policies_are_named_as_not_part_of_a_backtest() -> None:
    plan = plan_backtest(loaded(EXCHANGE, MARKET, BOT, POLICY), Wish())
    assert plan.notes == ("RiskPolicy default/careful: limits over groups of bots are not part of a backtest",)


# --- data ------------------------------------------------------------------------------------------------------------


def test_a_range_of_the_user_narrows_the_data() -> None:
    wish = Wish(from_us=START_US + 60 * MINUTE_US, to_us=START_US + 90 * MINUTE_US)
    result = run_backtest(plan_backtest(loaded(EXCHANGE, MARKET, BOT), wish))
    assert (result.data.from_us, result.data.to_us, result.data.steps) == (wish.from_us, wish.to_us, 30)


def test_given_files_take_the_place_of_feeds_and_datasets(tmp_path: Path) -> None:
    wish = Wish(data=(open_file(candle_file(tmp_path, BTC, bars=50)),))
    without_data = plan_backtest(loaded(EXCHANGE, BOT), wish)
    named = changed(BOT, spec__feedRef={"name": "replay"})
    with_data = plan_backtest(loaded(EXCHANGE, MARKET, named), wish)
    first, second = run_backtest(without_data), run_backtest(with_data)
    assert first.data.steps == 50
    assert not first.data.is_synthetic
    assert first.ledger_hash == second.ledger_hash


def test_longer_bars_are_made_of_given_ones_and_fills_follow_the_finest(tmp_path: Path) -> None:
    wish = Wish(data=(open_file(candle_file(tmp_path, BTC, bars=300)),))
    plan = plan_backtest(loaded(EXCHANGE, changed(BOT, spec__interval="5m")), wish)
    assert plan.markets[0].settings.to_gateway_config().finest_us == {BTC: MINUTE_US}
    result = run_backtest(plan)
    assert {(each.interval_us, each.bars) for each in result.data.series} == {(MINUTE_US, 300), (5 * MINUTE_US, 60)}
    assert len(result.bots[0].record.market_us) == 60


def test_given_data_that_lacks_an_instrument_is_named_at_the_bots_line(tmp_path: Path) -> None:
    wish = Wish(data=(open_file(candle_file(tmp_path, LTC)),))
    (problem,) = problems(loaded(EXCHANGE, BOT), wish)
    assert problem.path == ("spec", "instruments", 0)
    assert "brings bars of BTC-USD at 1m" in problem.message
    assert problem.place is not None
    assert problem.place.file == "fleet.yaml"


def test_files_of_a_feed_start_at_the_folder_of_the_yaml_file(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    (folder / "data").mkdir(parents=True)
    candle_file(folder / "data", BTC, bars=40, name="btc.csv")
    feed = """
        apiVersion: tradefleet.dev/v1alpha1
        kind: Feed
        metadata: {name: recorded}
        spec:
          exchangeRef: {name: simulator}
          replay: {files: [{path: data/btc.csv, instrument: BTC-USD}]}
        ---
        """
    result = run_backtest(plan_backtest(loaded(EXCHANGE, feed, BOT, file=str(folder / "fleet.yaml")), Wish()))
    assert result.data.steps == 40


REPLAYED = changed(
    EXCHANGE, spec__simulator__replay={"datasetRefs": [{"name": "made-up"}], "to": "2024-01-01T02:00:00Z"}
)
DATASET, FEED = (f"{each}---\n" for each in MARKET.split("---\n")[:2])


def test_the_replay_of_an_exchange_is_history_unless_a_feed_takes_its_place() -> None:
    shorter = run_backtest(plan_backtest(loaded(REPLAYED, DATASET, BOT), Wish()))
    whole = run_backtest(plan_backtest(loaded(REPLAYED, DATASET, FEED, BOT), Wish()))

    assert (shorter.data.steps, whole.data.steps) == (120, 300)


def test_a_file_that_the_replay_of_an_exchange_plays_is_looked_for_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    candle_file(folder, BTC, bars=40, name="btc.csv")
    own = changed(EXCHANGE, spec__simulator__replay={"files": [{"path": "btc.csv", "instrument": "BTC-USD"}]})

    result = run_backtest(plan_backtest(loaded(own, BOT, file=str(folder / "fleet.yaml")), Wish()))

    assert result.data.steps == 40


def test_a_replay_of_an_exchange_that_cannot_be_played_is_told_with_its_line() -> None:
    second = changed(DATASET, metadata__name="second", spec__from="2024-01-01")
    both = changed(EXCHANGE, spec__simulator__replay={"datasetRefs": [{"name": "made-up"}, {"name": "second"}]})

    (problem,) = problems(loaded(both, DATASET, second, BOT))

    assert "has another from and to" in problem.message
    assert problem.place is not None


def test_given_data_take_the_place_of_the_replay_of_every_exchange(tmp_path: Path) -> None:
    data = open_file(candle_file(tmp_path, BTC, bars=40))
    idle = changed(REPLAYED, metadata__name="idle")

    result = run_backtest(plan_backtest(loaded(REPLAYED, idle, BOT), Wish(data=(data,))))

    assert result.data.steps == 40


def test_a_feed_that_replays_nothing_is_not_history() -> None:
    live = textwrap.dedent("""
        apiVersion: tradefleet.dev/v1alpha1
        kind: Feed
        metadata: {name: live}
        spec: {exchangeRef: {name: simulator}, market: {}}
        ---
        """)
    (problem,) = problems(loaded(EXCHANGE, live, BOT))
    assert "no Feed replays history for Exchange default/simulator" in problem.message
    assert "--data" in problem.remedy


def test_a_dataset_that_is_to_be_downloaded_cannot_be_played() -> None:
    download = changed(MARKET.split("---")[0], spec={"exchangeRef": {"name": "simulator"}, "instruments": ["BTC-USD"]})
    (problem,) = problems(loaded(EXCHANGE, download, MARKET.split("---")[1] + "---\n", BOT))
    assert problem.resource == "Dataset default/made-up"
    assert problem.path == ("spec", "frozen")


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"spec__strategy": {"name": "sma-crss"}}, ("spec", "strategy", "name"), "did you mean sma-cross?"),
        (
            {"spec__strategy": {"name": "sma-cross", "params": {"fst": 5}}},
            ("spec", "strategy", "params", "fst"),
            "did you mean fast?",
        ),
        (
            {"spec__strategy": {"name": "sma-cross", "params": {"fast": 1}}},
            ("spec", "strategy", "params", "fast"),
            "must be >= 2, was 1",
        ),
        (
            {"spec__strategy": {"name": "sma-cross", "params": {"fast": 60, "slow": 50}}},
            ("spec", "strategy", "name"),
            "fast must be below slow",
        ),
        ({"spec__instruments": ["XRP-USD"]}, ("spec", "instruments", 0), "XRP-USD has no tick and lot"),
        ({"spec__wallet": {"BTC": "1"}}, ("spec", "wallet", "BTC"), "quoted in USD"),
        ({"spec__wallet": {"USD": "10", "EUR": "5"}}, ("spec", "wallet", "EUR"), "holds EUR"),
        ({"spec__exchangeRef": {"name": "simulatr"}}, ("spec", "exchangeRef", "name"), "there is no Exchange simulatr"),
        ({"spec__interval": "7m"}, ("spec", "interval"), "brings bars of BTC-USD at 7m"),
    ],
)
def test_a_bot_that_cannot_run_is_named_with_file_line_and_field(
    change: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    found = problems(loaded(EXCHANGE, MARKET, changed(BOT, **change)))
    text = next(str(problem) for problem in found if problem.path == path and message in str(problem))
    assert "TradingBot default/trend" in text
    assert text.startswith("fleet.yaml:")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    bad = changed(BOT, spec__strategy={"name": "sma-cross", "params": {"fast": 1}}, spec__instruments=["XRP-USD"])
    assert len(problems(loaded(EXCHANGE, MARKET, bad))) >= 2


def test_what_is_wrong_with_a_bot_of_a_set_is_shown_in_the_set() -> None:
    bad = changed(SET, spec__template={"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"BTC": 1}}})
    found = problems(loaded(EXCHANGE, MARKET, bad))
    assert {problem.place.file for problem in found if problem.place} == {"fleet.yaml"}
    line = next(problem.place.line for problem in found if problem.place and "holds BTC" in problem.message)
    text = f"{EXCHANGE}{MARKET}{bad}".splitlines()
    assert "BTC: 1" in text[line - 1]


def test_an_exchange_without_a_grid_cannot_be_played() -> None:
    real = changed(EXCHANGE, spec={"venue": "binance", "instruments": [{"symbol": "BTC-USD"}]})
    feed = MARKET.replace("instruments: [BTC-USD, LTC-USD]", "instruments: [BTC-USD]")
    (problem,) = problems(loaded(real, feed, BOT))
    assert problem.path == ("spec", "instruments", 0)
    assert "has no tickSize and lotSize" in problem.message


def test_files_without_bots_are_refused() -> None:
    (problem,) = problems(loaded(EXCHANGE, MARKET))
    assert "there is no TradingBot, BotSet or Backtest" in problem.message


# --- one Backtest ----------------------------------------------------------------------------------------------------


def test_a_backtest_runs_its_strategy_on_its_dataset() -> None:
    plan = plan_backtest(loaded(EXCHANGE, MARKET, BACKTEST), Wish())
    assert plan.title == "Backtest trial"
    (bot,) = plan.bots
    assert (bot.key, bot.symbols, bot.wallet) == ("default/trial", (LTC,), {"USD": 500 * 10**8})
    result = run_backtest(plan)
    assert [each.symbol for each in result.data.series] == [LTC]


def test_the_costs_of_a_backtest_take_the_place_of_the_exchanges() -> None:
    text = changed(BACKTEST, spec__costs={"takerBps": 7, "slippageTicks": 3})
    (market,) = plan_backtest(loaded(EXCHANGE, MARKET, text), Wish()).markets
    venue = market.settings.to_venue_config()
    assert (venue.maker_ppm, venue.taker_ppm, venue.slippage_ppm, venue.slippage_ticks) == (500, 700, 0, 3)


def test_a_backtest_may_test_the_bots_of_the_files_as_they_are() -> None:
    text = changed(
        BACKTEST,
        spec={
            "datasetRef": {"name": "made-up"},
            "botRefs": [{"name": "trend"}, {"name": "fleet-buy-and-hold-ltc-usd"}],
        },
    )
    plan = plan_backtest(loaded(EXCHANGE, MARKET, BOT, SET, text), Wish(backtest="trial"))
    assert [bot.key for bot in plan.bots] == ["default/fleet-buy-and-hold-ltc-usd", "default/trend"]


def test_bots_of_the_files_are_run_unless_a_backtest_is_named() -> None:
    files = loaded(EXCHANGE, MARKET, BOT, BACKTEST)
    assert [bot.key for bot in plan_backtest(files, Wish()).bots] == ["default/trend"]
    assert [bot.key for bot in plan_backtest(files, Wish(backtest="trial")).bots] == ["default/trial"]


def test_of_several_backtests_one_must_be_named() -> None:
    second = changed(BACKTEST, metadata={"name": "second"})
    (problem,) = problems(loaded(EXCHANGE, MARKET, BACKTEST, second))
    assert "2 Backtests" in problem.message
    assert "--backtest" in problem.remedy
    (unknown,) = problems(loaded(EXCHANGE, MARKET, BACKTEST, second), Wish(backtest="secnd"))
    assert "did you mean second?" in unknown.remedy


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"spec__datasetRef": {"name": "nothing"}}, ("spec", "datasetRef", "name")),
        ({"spec__instruments": ["XRP-USD"]}, ("spec", "instruments")),
        ({"spec__strategy": {"name": "sma-cross", "params": {"fast": 0}}}, ("spec", "strategy", "params", "fast")),
        ({"spec__wallet": {"LTC": 5}}, ("spec", "wallet", "LTC")),
        ({"spec__search": {"space": {"fast": {"values": [5, 6]}}}}, ("spec", "search")),
    ],
)
def test_a_backtest_that_cannot_run_is_named_with_its_field(
    change: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    found = problems(loaded(EXCHANGE, MARKET, changed(BACKTEST, **change)))
    assert path in [problem.path for problem in found]
    assert all(problem.place is not None for problem in found)


def test_given_data_takes_the_place_of_a_backtests_dataset(tmp_path: Path) -> None:
    wish = Wish(data=(open_file(candle_file(tmp_path, LTC, bars=60)),))
    result = run_backtest(plan_backtest(loaded(EXCHANGE, BACKTEST), wish))
    assert result.data.steps == 60


def test_the_range_of_a_backtest_is_within_its_dataset() -> None:
    text = changed(BACKTEST, spec__from="2024-01-01T01:00:00Z", spec__to="2024-01-01T02:00:00Z")
    result = run_backtest(plan_backtest(loaded(EXCHANGE, MARKET, text), Wish()))
    assert result.data.from_us == START_US + 3_600 * MICROSECONDS
    assert result.data.steps == 60


@pytest.mark.parametrize("what", ["bots", "a Backtest"])
@pytest.mark.parametrize(("policy", "is_refused"), [("Fail", True), ("Report", False)])
def test_a_gap_is_the_end_where_the_dataset_says_so(tmp_path: Path, what: str, policy: str, is_refused: bool) -> None:
    path = candle_file(tmp_path, bars=100)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:60], *lines[63:]]) + "\n")
    files = [{"path": str(path), "instrument": "BTC-USD", "interval": "1m"}]
    dataset = changed(MARKET.split("---")[0], spec={"files": files, "gapPolicy": policy})
    texts = (dataset, MARKET.split("---")[1] + "---\n", BOT)
    if what == "a Backtest":
        texts = (dataset, changed(BACKTEST, spec__instruments=["BTC-USD"]))
    plan = plan_backtest(loaded(EXCHANGE, *texts), Wish())

    if is_refused:
        with pytest.raises(BrokenData, match=r"3 bars .* gapPolicy of the Dataset is Fail: mend the data"):
            run_backtest(plan)
    else:
        assert run_backtest(plan).data.findings.missing_bars == 3
