"""Feeds and Datasets → the settings of a replay."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tests.unit.resources.cases import body, changed
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.ids import Symbol
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.feed import Feed
from tradefleet.resources.problems import InvalidResource
from tradefleet.resources.replay_plan import Surroundings, dataset_settings, feed_settings
from workloads.feeds.settings import FileSettings, ReplaySettings, SqlSettings, StoredSettings, SyntheticSettings

DAY_US = 1_440 * MINUTE_US
FIRST_US = 1_704_067_200_000_000  # 2024-01-01


def dataset(name: str = "history", **spec: object) -> Dataset:
    return Dataset.parse(body("Dataset", name, spec or {"synthetic": {"bars": 10}, "instruments": ["BTC-USD"]}))


def feed(*datasets: str, **changes: object) -> Feed:
    references = [{"name": name} for name in datasets or ("history",)]
    spec = {"exchangeRef": {"name": "simulator"}, "replay": {"datasetRefs": references}}
    return Feed.parse(changed(body("Feed", "replay", spec), **changes))


def read(values: dict[str, object]) -> ReplaySettings:
    """Return the settings after the way through a file that a workload reads."""
    return msgspec.json.decode(msgspec.json.encode(values), type=ReplaySettings)


def test_made_up_candles_are_described_exactly_with_the_ticks_of_the_exchange() -> None:
    made_up = {
        "seed": 7,
        "start": "2024-01-01",
        "bars": 99,
        "startPrices": {"BTC-USD": "42000.5"},
        "annualVolatilityPercent": "80",
        "annualDriftPercent": "-5",
    }
    source = dataset(synthetic=made_up, instruments=["BTC-USD", "LTC-USD"], intervals=["5m"])
    ticks = {Symbol("BTC-USD"): Decimal("0.5")}
    first, second = read(dataset_settings(source, Surroundings(ticks=ticks))).sources
    assert first == SyntheticSettings(
        seed=7,
        symbol="BTC-USD",
        interval_us=5 * MINUTE_US,
        start_us=FIRST_US,
        bars=99,
        start_price="42000.5",
        tick="0.5",
        annual_volatility="0.8",
        annual_drift="-0.05",
    )
    assert isinstance(second, SyntheticSettings)
    assert (second.symbol, second.start_price, second.tick) == ("LTC-USD", "100", "0.01")


def test_files_start_at_the_folder_of_the_resource_that_names_them() -> None:
    source = dataset(files=[{"path": "btc.csv.gz", "instrument": "BTC-USD", "interval": "5m"}])
    values = dataset_settings(source, Surroundings(folders={"Dataset default/history": Path("/fleet/data")}))
    assert read(values).sources == (
        FileSettings(
            path="/fleet/data/btc.csv.gz", symbol="BTC-USD", interval_us=5 * MINUTE_US, format="csv", time_unit="ms"
        ),
    )


def test_only_columns_that_differ_are_named_so_that_common_names_are_found() -> None:
    named = {"path": "a.csv", "instrument": "BTC-USD", "columns": {"volume": "Volume BTC", "close": "close"}}
    (source,) = read(dataset_settings(dataset(files=[named]), Surroundings())).sources
    assert isinstance(source, FileSettings)
    assert source.columns == {"volume": "Volume BTC"}


def test_a_query_names_the_variable_and_never_the_url() -> None:
    query = {"urlFrom": {"env": "PRICES_URL"}, "query": "SELECT 1", "instrument": "BTC-USD", "timeUnit": "iso8601"}
    (source,) = read(dataset_settings(dataset(sql=[query]), Surroundings())).sources
    assert source == SqlSettings(
        url_env="PRICES_URL", query="SELECT 1", symbol="BTC-USD", interval_us=MINUTE_US, time_unit="iso8601"
    )
    secret = {**query, "urlFrom": {"secretKeyRef": {"name": "prices", "key": "url"}}}
    with pytest.raises(InvalidResource, match="name an environment variable with env"):
        dataset_settings(dataset(sql=[secret]), Surroundings())


def test_a_feed_plays_within_its_own_range_and_that_of_its_datasets() -> None:
    held = dataset(**{"synthetic": {"bars": 10}, "instruments": ["BTC-USD"], "from": "2024-01-02", "to": "2024-01-09"})
    narrowed = feed(spec__replay__to="2024-01-04", spec__instruments=["BTC-USD"], spec__intervals=["5m"])
    settings = read(feed_settings(narrowed, {"history": held}, Surroundings()))
    assert (settings.from_us, settings.to_us) == (FIRST_US + DAY_US, FIRST_US + 3 * DAY_US)
    assert settings.symbols == ("BTC-USD",)
    assert settings.intervals_us == (5 * MINUTE_US,)


def test_datasets_of_different_ranges_are_not_played_together() -> None:
    early = dataset(synthetic={"bars": 10}, instruments=["BTC-USD"], to="2024-01-09")
    late = dataset("late", **{"synthetic": {"bars": 10}, "instruments": ["LTC-USD"], "from": "2024-01-02"})
    with pytest.raises(InvalidResource, match="the Dataset late has another from and to"):
        feed_settings(feed("history", "late"), {"history": early, "late": late}, Surroundings())


def test_what_is_not_there_yet_is_refused_with_the_field() -> None:
    download = dataset(exchangeRef={"name": "binance"}, instruments=["BTC-USD"])
    with pytest.raises(InvalidResource, match=r"Dataset default/history: spec.frozen: still takes in what comes"):
        feed_settings(feed(), {"history": download}, Surroundings())
    with pytest.raises(InvalidResource, match="there is no Dataset history"):
        feed_settings(feed(), {}, Surroundings())


def test_a_frozen_recording_is_played_from_where_it_is_stored() -> None:
    recorded = dataset(exchangeRef={"name": "simulator"}, instruments=["BTC-USD"], intervals=["1m", "5m"], frozen=True)
    settings = read(feed_settings(feed(), {"history": recorded}, Surroundings()))
    assert settings.sources == (
        StoredSettings(dataset="default/history", symbol="BTC-USD", interval_us=MINUTE_US),
        StoredSettings(dataset="default/history", symbol="BTC-USD", interval_us=5 * MINUTE_US),
    )
