import pytest

from tests.unit.feeds.candles import HEADER
from workloads.feeds.columns import ColumnNames, find_columns
from workloads.feeds.errors import UnusableSource


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        ("Open Time", "Open", "High", "Low", "Close", "Volume"),
        ("timestamp", "o", "h", "l", "c", "v"),
        ("DATE", "open_price", "high_price", "low_price", "close_price", "vol"),
        ("opentime", "OPEN", "HIGH", "LOW", "CLOSE", "Base Volume"),
    ],
)
def test_common_names_of_the_columns_are_understood(header: tuple[str, ...]) -> None:
    assert find_columns(header, ColumnNames(), "candles.csv") == (0, 1, 2, 3, 4, 5)


def test_columns_are_found_in_any_order_among_others() -> None:
    header = ("trades", "volume", "close", "low", "close_time", "high", "open", "open_time")

    assert find_columns(header, ColumnNames(), "candles.csv") == (7, 6, 5, 3, 2, 1)


def test_the_exact_name_wins_over_another_name_of_it() -> None:
    header = ("date", "open_time", "open", "high", "low", "close", "volume")

    assert find_columns(header, ColumnNames(), "candles.csv")[0] == 1


def test_a_mapping_says_which_column_is_meant() -> None:
    names = ColumnNames.parse("open_time=Start of bar, volume=Volume BTC")
    header = ("Start of bar", "open", "high", "low", "close", "Volume BTC", "Volume USD")

    assert find_columns(header, names, "candles.csv") == (0, 1, 2, 3, 4, 5)


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(UnusableSource) as caught:
        find_columns(("open_time", "open", "high", "low", "close"), ColumnNames(), "candles.csv")

    assert str(caught.value) == (
        "candles.csv: no column volume, nor another name of it; columns are: open_time, open, high, low, close; name "
        "the column, as in --columns volume=NAME"
    )


def test_two_columns_that_could_both_be_meant_are_not_guessed_between() -> None:
    with pytest.raises(UnusableSource, match="open_time could be any of the columns unix, date; name the one"):
        find_columns(("unix", "date", "open", "high", "low", "close", "volume"), ColumnNames(), "candles.csv")


@pytest.mark.parametrize(
    ("header", "rule"), [(HEADER, "no column of that name"), (("Day", *HEADER, "Day"), "2 columns")]
)
def test_a_mapped_column_must_be_there_once(header: tuple[str, ...], rule: str) -> None:
    with pytest.raises(UnusableSource, match=rule):
        find_columns(header, ColumnNames(open_time="Day"), "candles.csv")


@pytest.mark.parametrize("text", ["time=Day", "open_time", "open_time=", "=Day"])
def test_a_mapping_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UnusableSource, match="must be one of open_time, open, high, low, close, volume"):
        ColumnNames.parse(text)
