"""What is wrong with files is found before anything changes, and told with file, line and field."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from governor.annotations import OWNER_ANNOTATION
from governor.local.applying import (
    PROBLEMS_MAX,
    FleetCheck,
    check_data,
    has_foreign_strategy,
    located,
    with_absolute_paths,
)

from tests.unit.feeds.candles import bars, cells, csv_text, write_csv
from tests.unit.governor import fleets
from tradefleet.resources.load import Loaded, load
from tradefleet.resources.market_data import FileSource
from tradefleet.resources.problems import InvalidResource, Problem

EXCHANGE = """
apiVersion: tradefleet.dev/v1alpha1
kind: Exchange
metadata: {name: simulator}
spec:
  venue: simulator
  instruments: [{symbol: BTC-USD, tickSize: "0.01", lotSize: "0.00000001", minNotional: "1"}]
"""

BOT = """
apiVersion: tradefleet.dev/v1alpha1
kind: TradingBot
metadata: {name: NAME}
spec:
  exchangeRef: {name: EXCHANGE}
  strategy: {name: buy-and-hold}
  instruments: [BTC-USD]
  wallet: {USD: "10000"}
"""

DATASET = """
apiVersion: tradefleet.dev/v1alpha1
kind: Dataset
metadata: {name: mine}
spec:
  files:
    - {path: PATH, instrument: BTC-USD, interval: 1m}
"""

FEED = """
apiVersion: tradefleet.dev/v1alpha1
kind: Feed
metadata: {name: replay}
spec:
  exchangeRef: {name: simulator}
  replay:
    files:
      - {path: PATH, instrument: BTC-USD, interval: 1m}
"""

REPLAYED = """
apiVersion: tradefleet.dev/v1alpha1
kind: Exchange
metadata: {name: simulator}
spec:
  venue: simulator
  instruments: [{symbol: BTC-USD, tickSize: "0.01", lotSize: "0.00000001"}]
  simulator:
    replay:
      files:
        - {path: PATH, instrument: BTC-USD, interval: 1m}
"""

MARKET = FEED.replace("PATH", "a.csv")


def bot(name: str = "alpha", exchange: str = "simulator") -> str:
    return BOT.replace("NAME", name).replace("EXCHANGE", exchange)


def read(folder: Path, *parts: str, file: str = "fleet.yaml") -> list[Loaded]:
    path = folder / file
    path.write_text("---".join(parts), encoding="utf-8")
    return load([path])


def checked(loaded: list[Loaded], there: list[Loaded] | None = None) -> list[str]:
    """Return what is wrong with a fleet of `there` and `loaded`, applied over it."""
    check = FleetCheck(loaded)
    before = {each.resource.key: each.resource for each in there or []}
    check.remember(list(before.values()))
    try:
        check(list((before | {each.resource.key: each.resource for each in loaded}).values()))
    except InvalidResource as error:
        return [str(each) for each in error.problems]
    return []


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (DATASET, lambda spec: spec.files),
        (FEED, lambda spec: spec.replay.files),
        (REPLAYED, lambda spec: spec.simulator.replay.files),
    ],
    ids=["Dataset", "Feed", "Exchange"],
)
def test_relative_paths_start_from_the_folder_of_their_file(
    tmp_path: Path, text: str, files: Callable[[Any], Sequence[FileSource]]
) -> None:
    (found,) = with_absolute_paths(read(tmp_path, text.replace("PATH", "data/a.csv")))

    (source,) = files(found.resource.spec)
    assert source.path == str(tmp_path / "data" / "a.csv")


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    (found,) = with_absolute_paths(read(tmp_path, FEED.replace("PATH", "/data/a.csv")))

    assert found.resource.spec.replay.files[0].path == "/data/a.csv"


def test_a_home_folder_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    (found,) = with_absolute_paths(read(tmp_path, FEED.replace("PATH", "~/a.csv")))

    assert found.resource.spec.replay.files[0].path == "/home/me/a.csv"


def test_what_has_no_paths_stays_as_it_is(tmp_path: Path) -> None:
    (found,) = loaded = read(tmp_path, bot())

    assert with_absolute_paths(loaded)[0].resource == found.resource


# --- strategies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_foreign"), [("buy-and-hold", False), ("mine:Strategy", True)], ids=["built in", "a user's class"]
)
def test_a_user_s_class_is_known_wherever_it_is_named(name: str, is_foreign: bool) -> None:
    strategy = {"name": name}
    template = {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}}
    matrix = {"strategies": [{"name": "dca"}, strategy], "instruments": ["BTC-USD"]}
    named = [
        fleets.bot("alpha", strategy=strategy),
        fleets.stored("BotSet", "many", {"matrix": matrix, "template": template}),
        fleets.stored(
            "Backtest",
            "test",
            {
                "datasetRef": {"name": "market"},
                "exchangeRef": {"name": "simulator"},
                "strategy": strategy,
                "wallet": {"USD": "100"},
            },
        ),
    ]

    assert [has_foreign_strategy(each) for each in named] == [is_foreign] * 3
    assert not has_foreign_strategy(fleets.exchange())


# --- a whole fleet ----------------------------------------------------------------------------------------------------


def test_a_fleet_that_fits_together_is_taken(tmp_path: Path) -> None:
    assert checked(read(tmp_path, EXCHANGE, MARKET, bot())) == []


def test_a_reference_that_leads_nowhere_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = checked(read(tmp_path, EXCHANGE, bot(exchange="simulater")))

    assert problem.startswith(f"{tmp_path}/fleet.yaml:13 (document 2): TradingBot default/alpha: spec.exchangeRef.name")
    assert "there is no Exchange simulater in default" in problem
    assert "did you mean simulator?" in problem


def test_what_is_there_already_may_be_referred_to(tmp_path: Path) -> None:
    there = read(tmp_path, EXCHANGE, MARKET, file="there.yaml")

    assert checked(read(tmp_path, bot()), there) == []


def test_what_was_wrong_before_does_not_stand_in_the_way_of_others(tmp_path: Path) -> None:
    there = read(tmp_path, bot("broken", exchange="gone"), file="there.yaml")

    assert checked(read(tmp_path, EXCHANGE, MARKET, bot()), there) == []


def test_what_this_change_breaks_is_told_of_others_too(tmp_path: Path) -> None:
    there = read(tmp_path, EXCHANGE.replace("BTC-USD", "LTC-USD"), file="old.yaml")
    there += read(tmp_path, bot().replace("BTC-USD", "LTC-USD"), file="bot.yaml")

    (problem,) = checked(read(tmp_path, EXCHANGE), there)

    assert problem.startswith("TradingBot default/alpha: spec.instruments")
    assert "LTC-USD" in problem


def test_bots_of_sets_are_judged_by_their_set_alone(tmp_path: Path) -> None:
    made = fleets.bot("of-a-set", exchangeRef={"name": "gone"}, annotations={OWNER_ANNOTATION: "uid-of-the-set"})
    check = FleetCheck(loaded := read(tmp_path, EXCHANGE))

    check([each.resource for each in loaded] + [made])


def test_a_finding_may_be_ignored(tmp_path: Path) -> None:
    loaded = read(tmp_path, EXCHANGE, bot(exchange="gone"))
    check = FleetCheck(loaded)

    check([each.resource for each in loaded], ignoring=lambda finding: finding.key.name == "alpha")


def test_a_problem_that_others_found_gets_its_place(tmp_path: Path) -> None:
    loaded = read(tmp_path, EXCHANGE, bot())
    told = [
        Problem(resource="TradingBot default/alpha", path=("spec", "wallet"), message="cannot change"),
        Problem(resource="TradingBot default/other", message="is somewhere else"),
    ]

    first, second = located(InvalidResource(told), loaded).problems

    assert (first.place is not None, second.place) == (True, None)
    assert str(first).startswith(f"{tmp_path}/fleet.yaml:16 ")


# --- data -------------------------------------------------------------------------------------------------------------


def _problems(loaded: list[Loaded]) -> list[str]:
    with pytest.raises(InvalidResource) as caught:
        check_data(loaded, lambda _: None)
    return [str(each) for each in caught.value.problems]


def test_good_candles_are_read_whole_and_that_is_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.csv", bars(range(5)))
    told: list[str] = []

    check_data(read(tmp_path, FEED.replace("PATH", str(path))), told.append)

    assert told == [f"reading {path}"]


def test_broken_candles_are_told_at_the_field_that_names_the_file(tmp_path: Path) -> None:
    rows = [cells(each) for each in bars(range(4))]
    rows[2][2] = "1.0"
    path = tmp_path / "coinbase_BTC-USD_1m.csv"
    path.write_text(csv_text(rows), encoding="utf-8")

    (problem,) = _problems(read(tmp_path, FEED.replace("PATH", str(path))))

    assert problem.startswith(f"{tmp_path}/fleet.yaml:9 (document 1): Feed default/replay: spec.replay.files[0].path: ")
    assert "line 4" in problem


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (problem,) = _problems(read(tmp_path, FEED.replace("PATH", str(tmp_path / "none.csv"))))

    assert "none.csv" in problem


def test_a_file_of_an_exchanges_replay_is_told_where_it_is_written(tmp_path: Path) -> None:
    (problem,) = _problems(read(tmp_path, REPLAYED.replace("PATH", str(tmp_path / "none.csv"))))

    assert "Exchange default/simulator: spec.simulator.replay.files[0].path" in problem


def test_a_long_list_of_what_is_wrong_is_cut(tmp_path: Path) -> None:
    rows = [cells(each) for each in bars(range(3 * PROBLEMS_MAX))]
    for row in rows:
        row[2] = "1.0"  # a high below the low
    path = tmp_path / "coinbase_BTC-USD_1m.csv"
    path.write_text(csv_text(rows), encoding="utf-8")

    assert len(_problems(read(tmp_path, FEED.replace("PATH", str(path))))) == PROBLEMS_MAX


def test_what_reads_no_file_is_not_asked_for_data(tmp_path: Path) -> None:
    check_data(read(tmp_path, EXCHANGE, bot()), lambda _: pytest.fail("there is nothing to read"))
