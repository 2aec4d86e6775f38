"""Feed and Dataset → what a replay is told, as JSON values: the feeds' `ReplaySettings`, the same in every wiring."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tradefleet.domain.bar import parse_interval
from tradefleet.domain.ids import Symbol
from tradefleet.domain.money import plain_decimal
from tradefleet.resources.common import Resource, TimeRange
from tradefleet.resources.dataset import DEFAULT_INTERVAL, Dataset
from tradefleet.resources.feed import Feed
from tradefleet.resources.market_data import CandleColumns, FileSource, SqlSource
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, Problem, suggestion
from tradefleet.resources.values import instant_us

DEFAULT_START_PRICE = Decimal(100)
DEFAULT_TICK = Decimal("0.01")
PERCENT = Decimal(100)

Range = tuple[int | None, int | None]  # from, to in microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a resource does not say itself: `folders` that relative paths start from, and the instruments' `ticks`."""

    folders: Mapping[str, Path] = field(default_factory=dict)  # by str(resource.key)
    ticks: Mapping[Symbol, Decimal] = field(default_factory=dict)

    def path(self, owner: Resource, written: str) -> str:
        """Return a path as `owner` means it."""
        return str(self.folders.get(str(owner.key), Path()) / written)


def feed_settings(feed: Feed, datasets: Mapping[str, Dataset], surroundings: Surroundings) -> dict[str, object]:
    """Return what `feed` plays; `datasets` are those of its namespace by name.

    Raises InvalidResource for a feed that replays nothing, and for a Dataset that is not there or cannot be played.
    """
    replay = feed.spec.replay
    if replay is None:
        raise invalid(feed, ("spec", "replay"), "is not there: a live feed has no history to play", "add a replay")
    sources = [_file(feed, each, surroundings) for each in replay.files]  # there are files or Datasets, never both
    ranges: set[Range] = set()
    for index, reference in enumerate(replay.dataset_refs):
        dataset = datasets.get(reference.name)
        path = ("spec", "replay", "datasetRefs", index, "name")
        if dataset is None:
            message = f"there is no Dataset {reference.name} in {feed.metadata.namespace}"
            raise invalid(feed, path, message, suggestion(reference.name, datasets))
        sources += _dataset_sources(dataset, surroundings)
        ranges.add(range_of(dataset.spec))
        if len(ranges) > 1:
            message = f"the Dataset {reference.name} has another from and to than the ones before it"
            raise invalid(feed, path, message, "give them one range, and narrow it here with replay.from and replay.to")
    return _settings(
        sources,
        symbols=feed.spec.instruments,
        intervals=feed.spec.intervals,
        within=[range_of(replay), *ranges],
    )


def dataset_settings(
    dataset: Dataset, surroundings: Surroundings, *, symbols: Iterable[str] = (), within: Range = (None, None)
) -> dict[str, object]:
    """Return what plays `dataset`, or of it the `symbols` and the range `within`. Raises InvalidResource."""
    return _settings(
        _dataset_sources(dataset, surroundings),
        symbols=symbols,
        intervals=(),
        within=[range_of(dataset.spec), within],
    )


def range_of(spec: TimeRange) -> Range:
    """Return from and to of a spec in microseconds."""
    start = None if spec.start is None else instant_us(spec.start)
    return start, None if spec.end is None else instant_us(spec.end)


def _settings(
    sources: list[dict[str, object]], *, symbols: Iterable[str], intervals: Iterable[str], within: list[Range]
) -> dict[str, object]:
    starts = [start for start, _ in within if start is not None]
    ends = [end for _, end in within if end is not None]
    return {
        "sources": sources,
        "symbols": list(symbols),
        "intervals_us": [parse_interval(each) for each in intervals],
        "from_us": max(starts, default=None),
        "to_us": min(ends, default=None),
    }


def _dataset_sources(dataset: Dataset, surroundings: Surroundings) -> list[dict[str, object]]:
    spec = dataset.spec
    if spec.exchange_ref is not None:
        if not spec.frozen:
            message = "still takes in what comes from its Exchange, so it would be another one at every start"
            raise invalid(dataset, ("spec", "frozen"), message, "set it to true to play what is there by now")
        return [_stored(dataset, symbol, interval) for symbol, interval in spec.series]
    return [
        *(_file(dataset, each, surroundings) for each in spec.files),
        *(_sql(dataset, index, each) for index, each in enumerate(spec.sql)),
        *_synthetic(dataset, surroundings),
    ]


def _stored(owner: Dataset, symbol: str, interval: str) -> dict[str, object]:
    return {
        "type": "stored",
        "dataset": owner.key.full_name,
        "symbol": symbol,
        "interval_us": parse_interval(interval),
    }


def _file(owner: Resource, each: FileSource, surroundings: Surroundings) -> dict[str, object]:
    return {
        "type": "file",
        "path": surroundings.path(owner, each.path),
        "symbol": each.instrument,
        "interval_us": parse_interval(each.interval),
        "format": str(each.file_format),
        "columns": _columns(each.columns),
        "time_unit": str(each.time_unit),
    }


def _sql(owner: Dataset, index: int, each: SqlSource) -> dict[str, object]:
    if each.url_from.env is None:
        path = ("spec", "sql", index, "urlFrom", "secretKeyRef")
        raise invalid(owner, path, "Secrets are there in a cluster only", "name an environment variable with env")
    return {
        "type": "sql",
        "url_env": each.url_from.env,
        "query": each.query,
        "symbol": each.instrument,
        "interval_us": parse_interval(each.interval),
        "columns": _columns(each.columns),
        "time_unit": str(each.time_unit),
    }


def _synthetic(owner: Dataset, surroundings: Surroundings) -> list[dict[str, object]]:
    made_up = owner.spec.synthetic
    if made_up is None:
        return []
    return [
        {
            "type": "synthetic",
            "seed": made_up.seed,
            "symbol": symbol,
            "interval_us": parse_interval(interval),
            "start_us": instant_us(made_up.start),
            "bars": made_up.bars,
            "start_price": plain_decimal(made_up.start_prices.get(symbol, DEFAULT_START_PRICE)),
            "tick": plain_decimal(surroundings.ticks.get(Symbol(symbol), DEFAULT_TICK)),
            "annual_volatility": plain_decimal(made_up.annual_volatility_percent / PERCENT),
            "annual_drift": plain_decimal(made_up.annual_drift_percent / PERCENT),
        }
        for symbol in owner.spec.instruments
        for interval in owner.spec.intervals or (DEFAULT_INTERVAL,)
    ]


def _columns(columns: CandleColumns) -> dict[str, str]:
    """Return the names that differ: under the usual ones, a source also looks for their common other names."""
    usual = CandleColumns()
    return {
        name: getattr(columns, name)
        for name in CandleColumns.model_fields
        if getattr(columns, name) != getattr(usual, name)
    }


def invalid(owner: Resource, path: FieldPath, message: str, remedy: str = "") -> InvalidResource:
    """Return the error about one field of `owner`."""
    return InvalidResource([Problem(resource=str(owner.key), path=path, message=message, remedy=remedy)])
