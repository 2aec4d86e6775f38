from collections.abc import Iterable, Mapping

import pytest

from tests.unit.resources.cases import (
    BACKTEST,
    BOT,
    BOT_SET,
    BOTS_BACKTEST,
    DOWNLOAD,
    EXCHANGE,
    FILES,
    LIVE_BOT,
    LIVE_EXCHANGE,
    POLICY,
    REPLAY,
    REPLAYED_EXCHANGE,
    Body,
    changed,
)
from tradefleet.resources.findings import Finding, Severity, StrategyProblem, no_strategy_check
from tradefleet.resources.load import parse_body
from tradefleet.resources.model import format_path
from tradefleet.resources.references import check_references

FLEET = [EXCHANGE, FILES, REPLAY, BOT]
LIVE = [LIVE_EXCHANGE, changed(LIVE_BOT, spec__exchangeRef__name="binance", spec__instruments=["BTC-USDT"]), POLICY]
LTC = {"symbol": "LTC-USD", "tickSize": "0.01", "lotSize": "0.001"}
LTC_FILE = {"path": "ltc.csv", "instrument": "LTC-USD"}


def findings_of(*bodies: Body, check=no_strategy_check) -> list[Finding]:
    return check_references([parse_body(body) for body in bodies], strategy_check=check)


def only_finding(*bodies: Body, check=no_strategy_check) -> tuple[str, str, str]:
    (found,) = findings_of(*bodies, check=check)
    return found.key.name, format_path(found.path), f"{found.message}; {found.remedy}"


def test_a_fleet_that_fits_together_has_no_findings():
    assert findings_of(*FLEET) == []
    assert findings_of(*LIVE) == []


def test_a_reference_to_nothing_is_found_with_what_was_probably_meant():
    name, path, text = only_finding(EXCHANGE, FILES, REPLAY, changed(BOT, spec__exchangeRef__name="simulater"))
    assert (name, path) == ("trend", "spec.exchangeRef.name")
    assert text == "there is no Exchange simulater in default; did you mean simulator?"


def test_a_reference_does_not_reach_into_another_namespace():
    elsewhere = changed(BOT, metadata__namespace="other")
    assert "there is no Exchange simulator in other; create the Exchange" in only_finding(*FLEET[:3], elsewhere)[2]


@pytest.mark.parametrize(
    ("bodies", "path"),
    [
        ([changed(DOWNLOAD, spec__exchangeRef__name="gone")], "spec.exchangeRef.name"),
        ([EXCHANGE, changed(REPLAY, spec__replay__datasetRefs__0__name="gone")], "spec.replay.datasetRefs[0].name"),
        ([FILES, changed(REPLAY, spec__exchangeRef__name="gone")], "spec.exchangeRef.name"),
        ([*FLEET[:3], changed(BOT, spec__feedRef={"name": "gone"})], "spec.feedRef.name"),
        ([EXCHANGE, FILES, changed(BACKTEST, spec__exchangeRef__name="gone")], "spec.exchangeRef.name"),
        ([EXCHANGE, changed(BACKTEST, spec__datasetRef__name="gone")], "spec.datasetRef.name"),
        ([*FLEET, changed(BOTS_BACKTEST, spec__botRefs__0__name="gone")], "spec.botRefs[0].name"),
    ],
)
def test_every_kind_of_reference_is_followed(bodies: list[Body], path: str):
    assert only_finding(*bodies)[1] == path


def test_an_instrument_without_tick_and_lot_on_the_simulator_is_an_error():
    replay = changed(REPLAY, spec__instruments=["BTC-USD"])
    both = changed(FILES, spec__files=[*FILES["spec"]["files"], LTC_FILE])
    bot = changed(BOT, spec__instruments=["BTC-USD", "LTC-USD"])
    found = findings_of(EXCHANGE, both, replay, bot)
    assert [format_path(each.path) for each in found] == ["spec.instruments[1]", "spec.instruments[1]"]
    assert "LTC-USD has no tick and lot in spec.instruments of Exchange default/simulator" in found[0].message
    assert "no Feed of simulator brings bars of LTC-USD" in found[1].message


def test_data_of_an_instrument_that_the_exchange_does_not_list_is_an_error():
    both = changed(FILES, spec__files=[*FILES["spec"]["files"], LTC_FILE])
    name, path, text = only_finding(EXCHANGE, both, REPLAY, BOT)
    assert (name, path) == ("replay", "spec.instruments")
    assert text.startswith("LTC-USD has no tick and lot")


def test_a_real_venue_fills_in_what_is_not_listed():
    assert findings_of(*LIVE) == []


def test_an_interval_that_no_feed_brings_is_an_error():
    name, path, text = only_finding(*FLEET[:3], changed(BOT, spec__interval="5m"))
    assert (name, path) == ("trend", "spec.interval")
    assert "no Feed of simulator brings bars of BTC-USD at 5m (replay)" in text


def test_an_interval_counts_however_it_is_written():
    hourly = changed(FILES, spec__files__0__interval="60m")
    assert findings_of(EXCHANGE, hourly, REPLAY, changed(BOT, spec__interval="1h")) == []


def test_a_simulator_without_any_feed_is_an_error_unless_its_bots_make_the_market():
    assert "none is there" in only_finding(EXCHANGE, BOT)[2]
    assert findings_of(changed(EXCHANGE, spec__simulator={"market": "book"}), BOT) == []


def test_what_is_recorded_must_be_listed_by_the_exchange():
    recording = changed(DOWNLOAD, spec__exchangeRef__name="simulator", spec__instruments=["BTC-USD", "DOGE-USD"])
    name, path, text = only_finding(EXCHANGE, recording)
    assert (name, path) == ("history", "spec.instruments[1]")
    assert text.startswith("DOGE-USD has no tick and lot")


def test_the_replay_of_an_exchange_is_a_feed_as_good_as_any():
    assert findings_of(REPLAYED_EXCHANGE, FILES, BOT) == []
    assert findings_of(REPLAYED_EXCHANGE, FILES, changed(BOT, spec__feedRef={"name": "simulator"})) == []

    name, path, text = only_finding(REPLAYED_EXCHANGE, FILES, changed(BOT, spec__interval="5m"))

    assert (name, path) == ("trend", "spec.interval")
    assert "no Feed of simulator brings bars of BTC-USD at 5m (simulator)" in text


def test_what_is_wrong_with_the_replay_of_an_exchange_is_said_where_it_is_written():
    name, path, text = only_finding(REPLAYED_EXCHANGE, BOT)
    assert (name, path) == ("simulator", "spec.simulator.replay.datasetRefs[0].name")
    assert text == "there is no Dataset april in default; create the Dataset"

    both = changed(FILES, spec__files=[*FILES["spec"]["files"], LTC_FILE])
    name, path, text = only_finding(REPLAYED_EXCHANGE, both, BOT)
    assert (name, path) == ("simulator", "spec.simulator.replay")
    assert "LTC-USD has no tick and lot" in text


def test_a_feed_of_the_users_own_takes_the_place_of_the_replay_of_its_exchange():
    gone = changed(REPLAYED_EXCHANGE, spec__simulator__replay__datasetRefs=[{"name": "gone"}])
    assert findings_of(gone, FILES, REPLAY, BOT) == []
    assert findings_of(gone, FILES, changed(REPLAY, metadata__name="simulator"), BOT) == []


def test_a_feed_for_something_else_that_has_the_name_of_a_replayed_exchange_is_an_error():
    social = {"social": {"sources": [{"name": "mine:Posts"}]}}
    other = {**REPLAY, "metadata": {"name": "simulator"}, "spec": social}

    found = findings_of(REPLAYED_EXCHANGE, FILES, other, BOT)

    assert [(each.key.name, format_path(each.path)) for each in found] == [
        ("simulator", "metadata.name"),
        ("trend", "spec.instruments[0]"),
    ]
    assert "needs a Feed called simulator to play its replay" in found[0].message


@pytest.mark.parametrize("speed", ["lockstep", "max", "60x"])
def test_a_market_that_two_feeds_play_is_an_error_unless_one_is_suspended(speed: str):
    second = changed(REPLAY, metadata__name="second", spec__replay__speed=speed)
    name, path, text = only_finding(EXCHANGE, FILES, REPLAY, second)
    assert (name, path) == ("second", "spec.replay")
    assert "plays simulator, and so does Feed default/replay: a market is played by one Feed" in text
    assert findings_of(EXCHANGE, FILES, REPLAY, changed(second, spec__suspend=True)) == []


def test_a_feed_of_another_exchange_is_an_error():
    other = changed(EXCHANGE, metadata__name="other")
    foreign = changed(REPLAY, metadata__name="foreign", spec__exchangeRef__name="other")
    found = only_finding(*FLEET[:3], other, foreign, changed(BOT, spec__feedRef={"name": "foreign"}))
    assert found[1:] == (
        "spec.feedRef",
        "the Feed foreign brings the market of another Exchange; name a Feed of simulator",
    )


def test_what_a_feed_leaves_out_is_not_brought():
    exchange = changed(EXCHANGE, spec__instruments=[*EXCHANGE["spec"]["instruments"], LTC])
    both = changed(FILES, spec__files=[*FILES["spec"]["files"], LTC_FILE])
    narrow = changed(REPLAY, spec__instruments=["LTC-USD"])
    assert "no Feed of simulator brings bars of BTC-USD" in only_finding(exchange, both, narrow, BOT)[2]


def test_a_feed_cannot_bring_what_its_data_lacks():
    wanting = changed(REPLAY, spec__instruments=["BTC-USD", "BTC-USE"], spec__intervals=["1m", "5m"])
    found = [(format_path(each.path), each.message) for each in findings_of(*FLEET[:2], wanting, BOT)]
    assert found == [
        ("spec.instruments[1]", "the replay has no data of BTC-USE"),
        ("spec.intervals[1]", "the replay has no bars of 5m"),
    ]


def test_two_feeds_cannot_both_set_the_pace_of_one_exchange():
    second = changed(REPLAY, metadata__name="second")
    assert only_finding(*FLEET, second)[:2] == ("second", "spec.replay")
    assert findings_of(*FLEET, changed(second, spec__suspend=True)) == []


@pytest.mark.parametrize(("bot_mode", "exchange"), [("live", EXCHANGE), ("paper", LIVE_EXCHANGE)])
def test_real_money_needs_both_sides(bot_mode: str, exchange: Body):
    name = exchange["metadata"]["name"]
    bot = changed(BOT, spec__mode=bot_mode, spec__exchangeRef__name=name)
    feed = changed(REPLAY, spec__exchangeRef__name=name)
    found = only_finding(exchange, FILES, feed, POLICY, bot)
    assert found[1] == "spec.mode"
    assert "real money needs mode live on both" in found[2]


def test_a_live_bot_trades_under_a_risk_policy_that_chooses_it():
    other_team = changed(POLICY, spec__selector={"matchLabels": {"team": "b"}})
    found = findings_of(*LIVE[:2], other_team)
    assert {(each.key.kind, each.severity) for each in found} == {
        ("TradingBot", Severity.ERROR),
        ("RiskPolicy", Severity.WARNING),
    }


def test_two_live_bots_without_wallets_cannot_share_an_instrument_of_an_account():
    rival = changed(LIVE[1], metadata__name="rival")
    found = findings_of(*LIVE, rival)
    assert {(each.key.name, format_path(each.path)) for each in found} == {
        ("trend", "spec.wallet"),
        ("rival", "spec.wallet"),
    }
    assert findings_of(*LIVE, changed(rival, spec__instruments=["ETH-USDT"])) == []


def test_two_live_exchanges_cannot_share_an_account():
    twin = changed(LIVE_EXCHANGE, metadata__name="twin")
    assert only_finding(*LIVE, twin)[:2] == ("twin", "spec.account")
    assert findings_of(*LIVE, changed(twin, spec__account="second")) == []


def test_a_wallet_in_another_asset_than_the_quote_is_an_error():
    name, path, text = only_finding(*FLEET[:3], changed(BOT, spec__wallet={"EUR": "1000", "USD": "1000"}))
    assert (name, path) == ("trend", "spec.wallet.EUR")
    assert text.endswith("quoted in USD, the only asset it starts with; give the amount in USD")


def test_instruments_quoted_in_two_assets_are_an_error():
    pair = {"symbol": "LTC-BTC", "tickSize": "0.000001", "lotSize": "0.001"}
    exchange = changed(EXCHANGE, spec__instruments=[*EXCHANGE["spec"]["instruments"], pair])
    both = changed(FILES, spec__files=[*FILES["spec"]["files"], {**LTC_FILE, "instrument": "LTC-BTC"}])
    found = only_finding(exchange, both, REPLAY, changed(BOT, spec__instruments=["BTC-USD", "LTC-BTC"]))
    assert found[1] == "spec.instruments"
    assert "must all be quoted in one asset" in found[2]


def test_an_amount_finer_than_its_asset_is_an_error():
    exchange = changed(EXCHANGE, spec__assetScales={"USD": 2})
    assert only_finding(exchange, *FLEET[1:3], changed(BOT, spec__wallet__USD="1.001"))[1] == "spec.wallet.USD"


def test_a_lot_finer_than_its_asset_is_an_error():
    exchange = changed(EXCHANGE, spec__assetScales={"BTC": 2})
    name, path, text = only_finding(exchange, *FLEET[1:])
    assert (name, path) == ("simulator", "spec.instruments[0]")
    assert text.endswith("change lotSize or assetScales")


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"wallet": {"USD": "9.99"}}, False),
        ({"wallet": {"USD": "10"}}, True),
        ({"wallet": {"USD": "100"}, "sizing": {"fraction": "0.09"}}, False),
        ({"wallet": {"USD": "100"}, "sizing": {"method": "fixed", "quoteAmount": 9}}, False),
        ({"wallet": {"USD": "100"}, "sizing": {"method": "fixed", "quoteAmount": 11}}, True),
    ],
)
def test_a_bot_whose_largest_order_is_below_the_minimum_is_an_error(spec: Body, fits: bool):
    exchange = changed(EXCHANGE, spec__instruments__0__minNotional="10")
    bot = {**BOT, "spec": {**BOT["spec"], **spec}}
    found = findings_of(exchange, *FLEET[1:3], bot)
    assert (found == []) is fits
    assert all("takes orders of at least 10 USD" in each.message for each in found)


def known_strategies(name: str, params: Mapping[str, object]) -> Iterable[StrategyProblem]:
    if name == "sma-cros":
        yield StrategyProblem(message="there is no strategy sma-cros", remedy="did you mean sma-cross?")
    if params.get("fast", 0) == 10:
        yield StrategyProblem(message="fast must be below 10", parameter="fast")


def test_strategies_are_judged_by_the_caller():
    found = findings_of(*FLEET[:3], changed(BOT, spec__strategy__name="sma-cros"), check=known_strategies)
    assert [(format_path(each.path), each.message) for each in found] == [
        ("spec.strategy.name", "there is no strategy sma-cros"),
        ("spec.strategy.params.fast", "fast must be below 10"),
    ]


def test_what_is_wrong_with_the_bots_of_a_set_is_said_of_the_set_once():
    bot_set = changed(BOT_SET, spec__matrix__instruments=["BTC-USD"], spec__template__spec__exchangeRef__name="gone")
    found = only_finding(*FLEET[:3], bot_set)
    assert found[:2] == ("fleet", "spec.template.spec.exchangeRef.name")


def test_problems_in_the_matrix_of_a_set_are_shown_where_they_are_written():
    found = [
        (format_path(each.path), each.message) for each in findings_of(*FLEET[:3], BOT_SET, check=known_strategies)
    ]
    assert ("spec.matrix.strategies[1].paramLists.fast", "fast must be below 10") in found
    assert any(path == "spec.matrix.instruments" and "LTC-USD" in message for path, message in found)


def test_a_set_that_makes_a_bot_which_is_there_already_is_an_error():
    narrow = changed(BOT_SET, spec__matrix__instruments=["BTC-USD"])
    taken = changed(BOT, metadata__name="fleet-buy-and-hold-btc-usd")
    found = only_finding(*FLEET[:3], narrow, taken)
    assert found[:2] == ("fleet", "spec.matrix.strategies[0]")
    assert "is there already" in found[2]


def test_a_set_that_cannot_be_expanded_is_an_error():
    clash = changed(BOT_SET, spec__matrix__strategies=[{"name": "sma-cross"}] * 2)
    assert "give one of them a label" in only_finding(*FLEET[:3], clash)[2]


def test_bots_of_a_set_can_be_backtested_and_chosen_by_a_policy():
    narrow = changed(BOT_SET, spec__matrix__instruments=["BTC-USD"])
    backtest = changed(BOTS_BACKTEST, spec__botRefs=[{"name": "fleet-buy-and-hold-btc-usd"}])
    chosen = changed(POLICY, spec__selector={"matchLabels": {"team": "a"}})
    assert findings_of(*FLEET[:3], narrow, backtest, chosen) == []


def test_a_backtest_needs_data_and_grid_of_what_it_trades():
    lacking = changed(BACKTEST, spec__instruments=["BTC-USD", "LTC-USD"], spec__interval="1m")
    found = [each.message for each in findings_of(*FLEET, lacking)]
    assert found == [
        "the Dataset april has no bars of LTC-USD at 1m",
        "LTC-USD has no tick and lot in spec.instruments of Exchange default/simulator",
    ]
    assert "no bars of BTC-USD at 1h" in only_finding(*FLEET, changed(BACKTEST, spec__interval="1h"))[2]


def test_a_finding_reads_as_one_line():
    (found,) = findings_of(EXCHANGE, BOT)
    assert str(found) == (
        "TradingBot default/trend: spec.instruments[0]: no Feed of simulator brings bars of BTC-USD at 1m "
        "(none is there); add a Feed or its data, or trade what is brought"
    )
