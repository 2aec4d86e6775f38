"""A fleet that records its own market, plays the recording to others, and obeys the conditions of its datasets."""

from collections.abc import Iterator

import pytest
from governor.local.fleet import LocalFleet

from tests.integration.fleet import files
from tests.integration.fleet.commands import FleetCommands
from tradefleet.bus.kafka import KafkaBus
from tradefleet.domain.ids import StreamName
from tradefleet.domain.orders import Side
from tradefleet.messages.codec import encode
from tradefleet.messages.market import MarketTraded, TickerChanged

BARS = 300
RECORDING = """
apiVersion: tradefleet.dev/v1alpha1
kind: Dataset
metadata: {name: recorded}
spec:
  exchangeRef: {name: simulator}
  instruments: [BTC-USD]
  ticks: [ticker, trades]
  frozen: FROZEN
"""
SECOND = """
apiVersion: tradefleet.dev/v1alpha1
kind: Exchange
metadata: {name: second}
spec:
  venue: simulator
  instruments:
    - {symbol: BTC-USD, tickSize: "0.01", lotSize: "0.00000001", minNotional: "1"}
---
apiVersion: tradefleet.dev/v1alpha1
kind: Feed
metadata: {name: again}
spec:
  exchangeRef: {name: second}
  replay: {datasetRefs: [{name: recorded}], speed: lockstep}
"""
BACKTEST = """
apiVersion: tradefleet.dev/v1alpha1
kind: Backtest
metadata: {name: on-the-recording}
spec:
  datasetRef: {name: recorded}
  exchangeRef: {name: second}
  strategy: {name: sma-cross}
  wallet: {USD: "10000"}
"""
HOLED = """
apiVersion: tradefleet.dev/v1alpha1
kind: Dataset
metadata: {name: holed}
spec:
  files: [{path: holed.csv, instrument: BTC-USD, interval: 1m}]
  gapPolicy: POLICY
---
apiVersion: tradefleet.dev/v1alpha1
kind: Exchange
metadata: {name: third}
spec:
  venue: simulator
  instruments:
    - {symbol: BTC-USD, tickSize: "0.01", lotSize: "0.00000001", minNotional: "1"}
---
apiVersion: tradefleet.dev/v1alpha1
kind: Feed
metadata: {name: with-holes}
spec:
  exchangeRef: {name: third}
  replay: {datasetRefs: [{name: holed}], speed: max}
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetCommands]:
    folder = tmp_path_factory.mktemp("recording")
    commands = FleetCommands(folder / "fleet", folder)
    yield commands
    commands.stop()
    assert commands.processes() == []


def _status(fleet: FleetCommands, kind: str, name: str) -> dict:
    return fleet.values(kind, name)[0].get("status", {})


def _apply(fleet: FleetCommands, name: str, *parts: str) -> None:
    fleet.ok("apply", files.write(fleet.work / f"{name}.yaml", *parts))


def test_what_a_feed_brings_is_recorded(fleet: FleetCommands) -> None:
    market = files.market(speed="max", bars=BARS)
    recording = RECORDING.replace("FROZEN", "false")

    fleet.ok("up", files.write(fleet.work / "fleet.yaml", market, recording))

    fleet.wait_for("all bars", lambda: _status(fleet, "dset", "recorded").get("bars") == BARS)
    status = _status(fleet, "dset", "recorded")
    assert (status["phase"], status["gaps"], status["source"]) == ("Running", 0, "exchange")
    assert "synthetic" in status["conditions"][0]["message"]  # what is recorded of made-up candles is made up


def test_ticks_are_recorded_and_rubbish_is_put_aside(fleet: FleetCommands) -> None:
    place = {"stream": StreamName("t"), "exchange": "default/simulator", "symbol": "BTC-USD"}
    prices = {"bid": 99.0, "bid_size": 1.0, "ask": 101.0, "ask_size": 2.0, "last": 100.0}
    with KafkaBus(LocalFleet(fleet.home).kafka()) as bus:
        for number in (1, 2, 3):
            ticker = TickerChanged(**place, stream_seq=number, event_time_us=files.START_US + number, **prices)
            bus.publish("market.ticker", "default/simulator:BTC-USD", encode(ticker))
        bus.publish("market.trades", "default/simulator:BTC-USD", b"rubbish")
        trade = {"trade_id": "t1", "price": 100.0, "size": 1.0, "taker_side": Side.BUY}
        traded = MarketTraded(**place, stream_seq=1, event_time_us=files.START_US, **trade)
        bus.publish("market.trades", "default/simulator:BTC-USD", encode(traded))
        bus.flush(10_000_000)

    counts = "SELECT (SELECT count(*) FROM tradefleet.ticker), (SELECT count(*) FROM tradefleet.market_trade)"
    fleet.wait_for("the ticks", lambda: fleet.query(counts) == [(3, 1)])
    letters = "SELECT topic, split_part(reason, ':', 1) FROM tradefleet.dead_letter"
    assert fleet.query(letters) == [("market.trades", "recorder-default-recorded")]


def test_a_killed_recorder_holds_the_same_again(fleet: FleetCommands) -> None:
    before = _status(fleet, "dset", "recorded")["contentHash"]
    fleet.kill_supervisor()
    fleet.ok("up")

    fleet.wait_for("recording again", lambda: _status(fleet, "dset", "recorded").get("phase") == "Running")
    assert _status(fleet, "dset", "recorded")["contentHash"] == before
    counts = "SELECT (SELECT count(*) FROM tradefleet.ticker), (SELECT count(*) FROM tradefleet.market_trade)"
    assert fleet.query(counts) == [(3, 1)]


def test_the_recording_is_a_dataset_like_others(fleet: FleetCommands) -> None:
    out = fleet.ok("data", "check", "recorded", "-o", "json", "--data-dir", str(fleet.folder))

    content_hash = _status(fleet, "dset", "recorded")["contentHash"]
    assert content_hash in out
    fleet.ok("data", "export", "recorded", "--to", str(fleet.work / "out"), "--data-dir", str(fleet.folder))
    exported = str(fleet.work / "out" / "synthetic_BTC-USD_1m.csv.gz")
    assert content_hash in fleet.ok("data", "check", exported, "-o", "json")


def test_a_recording_that_still_grows_is_not_played(fleet: FleetCommands) -> None:
    bot = files.bot("copy", "{name: sma-cross}").replace("{name: simulator}", "{name: second}")
    _apply(fleet, "second", SECOND, bot)

    def reason() -> str:
        return _status(fleet, "fd", "again").get("reason") or ""

    fleet.wait_for("why not", lambda: "still takes in what comes from its Exchange" in reason())


def test_a_frozen_recording_is_played_and_gives_the_market_again(fleet: FleetCommands) -> None:
    before = _status(fleet, "dset", "recorded")["contentHash"]
    _apply(fleet, "frozen", RECORDING.replace("FROZEN", "true"), BACKTEST)

    fleet.wait_for("the end", lambda: _status(fleet, "fd", "again").get("phase") == "Succeeded")
    same = (
        "SELECT count(*) FROM tradefleet.bar AS one JOIN tradefleet.bar AS two USING (symbol, interval_us, open_us) "
        "WHERE one.exchange = 'default/simulator' AND two.exchange = 'default/second' AND one.close = two.close"
    )
    assert fleet.query(same) == [(BARS,)]
    status = _status(fleet, "dset", "recorded")
    assert (status["phase"], status["contentHash"]) == ("Succeeded", before)
    assert _status(fleet, "fd", "again")["synthetic"] is True
    fleet.wait_for("the backtest", lambda: _status(fleet, "bt", "on-the-recording").get("phase") == "Succeeded")
    backtest = _status(fleet, "bt", "on-the-recording")
    assert (backtest["datasetHash"], backtest["synthetic"]) == (before, True)


def test_data_with_gaps_is_not_played_where_gap_policy_says_fail(fleet: FleetCommands) -> None:
    lines = files.candles(fleet.work / "holed.csv", "BTC-USD", bars=60, price="7000").read_text().splitlines()
    (fleet.work / "holed.csv").write_text("\n".join([*lines[:20], *lines[25:]]) + "\n")
    _apply(fleet, "holed", HOLED.replace("POLICY", "Fail"))

    fleet.wait_for("refused", lambda: _status(fleet, "dset", "holed").get("phase") == "Failed")
    assert "1 gaps with 5 bars missing" in _status(fleet, "dset", "holed")["reason"]
    fleet.wait_for("stalled", lambda: _status(fleet, "fd", "with-holes").get("phase") == "Failed")
    assert "Dataset holed cannot be played" in _status(fleet, "fd", "with-holes")["reason"]
    assert fleet.query("SELECT count(*) FROM tradefleet.bar WHERE exchange = 'default/third'") == [(0,)]

    _apply(fleet, "holed", HOLED.replace("POLICY", "Report"))

    fleet.wait_for("played", lambda: _status(fleet, "fd", "with-holes").get("phase") == "Succeeded")
    assert _status(fleet, "dset", "holed")["missingBars"] == 5


def test_the_audit_is_clean(fleet: FleetCommands) -> None:
    fleet.ok("audit")
