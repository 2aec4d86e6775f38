from pathlib import Path

import pytest

from tests.unit.feeds.candles import bars, write_csv
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.errors import InvalidValue
from workloads.feeds.errors import UnusableSource
from workloads.feeds.sources.csv_file import CsvSource
from workloads.feeds.sources.files import open_file
from workloads.feeds.sources.parquet_file import ParquetSource


@pytest.mark.parametrize(
    ("name", "venue", "symbol", "interval_us"),
    [
        ("coinbase_BTC-USD_1m_2018-04-04_3d.csv.gz", "coinbase", "BTC-USD", MINUTE_US),
        ("binance_ETH-BTC_5m_2018-01.parquet", "binance", "ETH-BTC", 5 * MINUTE_US),
        ("Kraken_LTC-EUR_1h.csv", "kraken", "LTC-EUR", 60 * MINUTE_US),
        ("BTC-USD_1d.csv", "", "BTC-USD", 1440 * MINUTE_US),
        ("okx_BTC-USD-PERP_15m.csv.gz", "okx", "BTC-USD-PERP", 15 * MINUTE_US),
    ],
)
def test_a_name_says_venue_symbol_and_interval(name: str, venue: str, symbol: str, interval_us: int) -> None:
    found = open_file(Path("history") / name)

    description = found.description
    assert (description.venue, description.symbol, description.interval_us) == (venue, symbol, interval_us)
    assert description.label == f"history/{name}"
    assert isinstance(found, ParquetSource if name.endswith(".parquet") else CsvSource)


def test_options_win_over_the_name() -> None:
    description = open_file(Path("coinbase_BTC-USD_1m.csv"), symbol="ETH-EUR", interval="1h").description

    assert (description.symbol, description.interval_us) == ("ETH-EUR", 60 * MINUTE_US)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("candles.csv", {}, "the name does not say the instrument; state --instrument BTC-USD"),
        ("candles.csv", {"symbol": "BTC-USD"}, "the name does not say the interval; state --interval 1m"),
        ("BTCUSD_1m.csv", {}, "the name does not say the instrument"),
        ("coinbase_BTC-USD_minute.csv", {}, "the name does not say the instrument"),
        ("candles.csv", {"symbol": "BTCUSD", "interval": "1m"}, "instrument must be written BASE-QUOTE"),
        ("coinbase_BTC-USD_1m.zip", {}, "the name does not say the format; it must end in .csv, .csv.gz, .parquet"),
    ],
)
def test_a_name_that_does_not_say_enough_is_refused_with_the_option_that_does(
    tmp_path: Path, name: str, options: dict[str, str], message: str
) -> None:
    path = write_csv(tmp_path / name, bars(range(3)))

    with pytest.raises(UnusableSource) as caught:
        open_file(path, **options)

    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_said_before_anything_about_its_name() -> None:
    with pytest.raises(UnusableSource, match=r"nowhere.csv: there is no such file; check the path"):
        open_file(Path("nowhere.csv"))


def test_an_interval_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidValue, match="interval must be a whole number and one of"):
        open_file(Path("candles.csv"), symbol="BTC-USD", interval="hourly")


def test_a_stated_format_wins_over_the_name(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "coinbase_BTC-USD_1m.data", bars(range(3)))

    assert list(open_file(path, file_format="csv").bars()) == bars(range(3))


def test_made_up_candles_keep_their_label() -> None:
    assert open_file(Path("BTC-USD_1m.csv"), is_synthetic=True).description.is_synthetic
    assert open_file(Path("synthetic_BTC-USD_1m.csv")).description.is_synthetic
    assert not open_file(Path("coinbase_BTC-USD_1m.csv")).description.is_synthetic
