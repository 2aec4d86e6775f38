"""From the name of a file to its source."""

import re
from pathlib import Path
from typing import Final

from tradefleet.domain.bar import parse_interval
from tradefleet.domain.ids import Symbol
from workloads.feeds.columns import Layout
from workloads.feeds.errors import UnusableSource
from workloads.feeds.ports import BarSource, SourceDescription
from workloads.feeds.sources.csv_file import CsvSource
from workloads.feeds.sources.parquet_file import ParquetSource
from workloads.feeds.sources.synthetic import LABEL as SYNTHETIC

SUFFIXES: Final[dict[str, type[CsvSource] | type[ParquetSource]]] = {
    ".csv": CsvSource,
    ".csv.gz": CsvSource,
    ".parquet": ParquetSource,
}
_SYMBOL: Final = r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){1,2}"
# coinbase_BTC-USD_1m_2018-04-04_3d.csv.gz: venue, symbol and interval; what follows is free.
_NAME: Final = re.compile(
    rf"(?:(?P<venue>[A-Za-z0-9]+)_)?(?P<symbol>{_SYMBOL})_(?P<interval>[1-9][0-9]{{0,4}}[smhdw])(?:[_.].*)?", re.ASCII
)


def open_file(
    path: Path,
    *,
    symbol: str | None = None,
    interval: str | None = None,
    layout: Layout | None = None,
    file_format: str | None = None,
    is_synthetic: bool = False,
) -> BarSource:
    """Return the source of a CSV or Parquet file.

    What is not given is taken from a name such as `coinbase_BTC-USD_1m_2018-04-04_3d.csv.gz`; `file_format` is "csv"
    or "parquet". A file whose venue is `synthetic` holds made-up candles. Raises UnusableSource, naming the option
    that helps; InvalidValue for an interval that is none.
    """
    suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), None)
    if file_format is None and suffix is None:
        raise UnusableSource(
            f"{path}: the name does not say the format; it must end in {', '.join(SUFFIXES)}, or state --format"
        )
    kind = SUFFIXES[f".{file_format}" if file_format is not None else suffix or ""]
    named = _NAME.fullmatch(path.name[: -len(suffix)] if suffix else path.name)
    found_symbol = symbol or (named["symbol"] if named else None)
    found_interval = interval or (named["interval"] if named else None)
    for option, value, example in (
        ("instrument", found_symbol, "BTC-USD"),
        ("interval", found_interval, "1m"),
    ):
        if value is None:
            if not path.exists():
                raise UnusableSource(f"{path}: there is no such file; check the path")
            raise UnusableSource(
                f"{path}: the name does not say the {option}; state --{option} {example}, or name the file like "
                "coinbase_BTC-USD_1m.csv.gz"
            )
    assert found_symbol is not None
    assert found_interval is not None
    if re.fullmatch(_SYMBOL, found_symbol, re.ASCII) is None:
        raise UnusableSource(f"{path}: instrument must be written BASE-QUOTE, such as BTC-USD, was {found_symbol!r}")
    venue = (named["venue"] or "").lower() if named else ""
    description = SourceDescription(
        label=str(path),
        symbol=Symbol(found_symbol),
        interval_us=parse_interval(found_interval),
        is_synthetic=is_synthetic or venue == SYNTHETIC,
        venue=venue,
    )
    return kind(path, description, layout)
