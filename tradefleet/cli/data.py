"""`tradefleet data`: candles into datasets, and what is wrong with them."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradefleet.cli import printing
from tradefleet.cli.entry import EXIT_INTERRUPTED
from tradefleet.domain.errors import InvalidValue

if TYPE_CHECKING:
    from workloads.feeds.adapters.datasets import PostgresDatasets
    from workloads.feeds.columns import Layout
    from workloads.feeds.importing import ImportProgress
    from workloads.feeds.ports import BarSource, DatasetKey

OUTPUTS: Final = ("table", "json", "yaml")
FORMATS: Final = ("csv", "parquet")
DEFAULT_NAMESPACE: Final = "default"

EXIT_FOUND = 1  # --strict: gaps or warnings
EXIT_BROKEN = 2

_NAME: Final = re.compile(r"(?:(?P<namespace>[a-z0-9][-a-z0-9]{0,62})/)?(?P<name>[a-z][-a-z0-9]{0,49})", re.ASCII)
_FILE: Final = re.compile(r".*[.](csv|csv[.]gz|parquet)", re.ASCII | re.IGNORECASE)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Import and check candles: CSV (also .gz), Parquet, or a query against your own SQL database.\n\n"
    "[dim]$[/dim] tradefleet data check coinbase_BTC-USD_1m_2018-04-04_3d.csv.gz\n\n"
    "[dim]$[/dim] tradefleet data import coinbase_*.csv.gz --dataset spring-2018\n\n"
    "[dim]$[/dim] tradefleet data check spring-2018\n\n"
    "[dim]$[/dim] tradefleet data export spring-2018 --to candles",
)

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="The local fleet's data folder. Default: TRADEFLEET_HOME, else ~/.local/share/tradefleet/default.",
    ),
]
Output = Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml.")]
Instrument = Annotated[
    str | None,
    typer.Option(metavar="SYMBOL", help="Instrument of the candles, where the file's name does not say it: BTC-USD."),
]
Interval = Annotated[
    str | None,
    typer.Option(metavar="LENGTH", help="Length of the bars, where the file's name does not say it: 1m, 1h, 1d."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="csv or parquet, where the end of the name does not say it."),
]
Columns = Annotated[
    str, typer.Option(metavar="FIELD=NAME,...", help="Columns whose names differ: open_time=Date,volume=Volume BTC.")
]
TimeUnitName = Annotated[
    str, typer.Option("--time-unit", metavar="UNIT", help="How open times are written: auto, s, ms, us, ns or iso8601.")
]
UrlEnvironment = Annotated[
    str | None,
    typer.Option(
        "--sql-url-env",
        metavar="VARIABLE",
        help="Environment variable with the URL of your own database: PRICES_URL=postgresql://me@host/prices.",
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        metavar="SELECT", help='What to run there: "SELECT * FROM candles WHERE symbol = :symbol ORDER BY open_time".'
    ),
]
TableName = Annotated[
    str | None, typer.Option("--table", metavar="TABLE", help="Table to read there, in place of a query: candles.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param", metavar="NAME=VALUE", help="Named parameter of the query: symbol=BTC-USD. May be given often."
    ),
]


@app.command("import")
def import_candles(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILES...", help="Files of candles.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where to: spring-2018. Default: the venue that all files are named after."),
    ] = None,
    exchange: Annotated[
        str,
        typer.Option(
            metavar="NAMESPACE/NAME",
            help="The Exchange whose history this is: default/kraken. What its feed stores and this dataset are then "
            "one.",
        ),
    ] = "",
    instrument: Instrument = None,
    interval: Interval = None,
    file_format: Format = None,
    columns: Columns = "",
    time_unit: TimeUnitName = "auto",
    sql_url_env: UrlEnvironment = None,
    query: Query = None,
    table: TableName = None,
    param: Parameters = None,
    data_dir: DataDir = None,
    output: Output = "table",
) -> None:
    """Import candles into a dataset: checked, exactly once, whole or not at all.

    Gaps are named and stay gaps. A broken line, Ctrl-C or a crash leaves the dataset as it was; the same import again
    adds nothing. The content hash does not depend on the files' format or order.

    [dim]$[/dim] tradefleet data import coinbase_BTC-USD_1m_2018-04-04_3d.csv.gz

    [dim]$[/dim] tradefleet data import candles.csv --instrument BTC-USD --interval 5m --dataset mine

    [dim]$[/dim] tradefleet data import --sql-url-env PRICES_URL --table candles \\
    --instrument BTC-USD --interval 1m --dataset mine
    """
    from workloads.feeds.importing import import_sources  # noqa: PLC0415 - imported by who runs them
    from workloads.feeds.ports import DatasetTarget  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    layout = _layout(columns, time_unit)
    sources = [
        *_files(files or [], instrument, interval, layout, file_format),
        *_queries(sql_url_env, query, table, param or [], instrument, interval, layout),
    ]
    if not sources:
        raise InvalidValue("data import: name files, or your own database with --sql-url-env; --help shows examples")
    target = DatasetTarget(
        dataset=_dataset_key(dataset) if dataset else _dataset_of(sources),
        exchange=_exchange_key(exchange),
        is_synthetic=all(source.description.is_synthetic for source in sources),
    )
    consequence = f"dataset {target.dataset} holds all of the import or nothing of it; repeat it to have all"
    with _interruptible(consequence), _store(data_dir) as store, _progress(f"importing into {target.dataset}") as tell:
        report = import_sources(store, target, sources, on_progress=tell)
    from tradefleet.cli import data_output  # noqa: PLC0415

    data_output.print_import(report, output)


@app.command("check")
def check_candles(
    what: Annotated[
        list[str], typer.Argument(metavar="FILES|DATASETS...", help="Files of candles, or names of imported datasets.")
    ] = [],  # noqa: B006 - Typer's way to say that none may be named
    instrument: Instrument = None,
    interval: Interval = None,
    file_format: Format = None,
    columns: Columns = "",
    time_unit: TimeUnitName = "auto",
    sql_url_env: UrlEnvironment = None,
    query: Query = None,
    table: TableName = None,
    param: Parameters = None,
    data_dir: DataDir = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when there are gaps or warnings.")] = False,
    output: Output = "table",
) -> None:
    """Read candles and name everything that is wrong with them: broken lines, gaps, what looks strange.

    It exits with 0 when the data can be used, with 1 when --strict is given and there are gaps or warnings, with 2
    when the data is broken.

    [dim]$[/dim] tradefleet data check candles.csv --instrument BTC-USD --interval 1m

    [dim]$[/dim] tradefleet data check spring-2018 --strict -o json
    """
    from tradefleet.cli import data_output  # noqa: PLC0415
    from workloads.feeds.checking import check_source  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    layout = _layout(columns, time_unit)
    files = [Path(each) for each in what if _is_file(each)]
    keys = [_dataset_key(each) for each in what if not _is_file(each)]
    sources: list[BarSource] = [
        *_files(files, instrument, interval, layout, file_format),
        *_queries(sql_url_env, query, table, param or [], instrument, interval, layout),
    ]
    if not sources and not keys:
        raise InvalidValue("data check: name files or datasets; --help shows examples")
    with (
        _interruptible("nothing was changed"),
        _sources_of_datasets(keys, data_dir) as stored,
        _progress("checking") as tell,
    ):
        checked = []
        before = 0
        for source in (*sources, *stored):
            checked.append(check_source(source, _counting(tell, before)))
            before += checked[-1].bars
    data_output.print_check(checked, output)
    if any(each.is_broken for each in checked):
        raise typer.Exit(EXIT_BROKEN)
    if strict and not all(each.is_clean for each in checked):
        raise typer.Exit(EXIT_FOUND)


@app.command("export")
def export_candles(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name of an imported or recorded dataset.")],
    folder: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where the files go.")] = Path(),
    data_dir: DataDir = None,
) -> None:
    """Write a dataset's candles as files, one for each instrument and length of bars, that an import reads again.

    [dim]$[/dim] tradefleet data export spring-2018 --to candles
    """
    from workloads.feeds.adapters.csv_export import file_name, write_candles  # noqa: PLC0415

    key = _dataset_key(dataset)
    with _interruptible("files that are there are whole"), _sources_of_datasets([key], data_dir) as sources:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for source in sources:
                path = folder / file_name(source.description, key)
                bars = write_candles(source, path)
                sys.stdout.write(f"{path}: {bars:,} bars\n")
        except OSError as error:
            raise InvalidValue(f"--to {folder}: cannot be written: {error.strerror}: name another folder") from error


@app.command("list")
def list_datasets(data_dir: DataDir = None, output: Output = "table") -> None:
    """List the imported datasets.

    [dim]$[/dim] tradefleet data list
    """
    from tradefleet.cli import data_output  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    with _store(data_dir) as store:
        data_output.print_datasets(store.datasets(), output)


# --- what the options say -----------------------------------------------------------------------------------------


def _layout(columns: str, time_unit: str) -> "Layout":
    from workloads.feeds.columns import ColumnNames, Layout  # noqa: PLC0415
    from workloads.feeds.times import TimeUnit  # noqa: PLC0415

    if time_unit not in set(TimeUnit):
        raise InvalidValue(f"--time-unit {time_unit}: must be one of {', '.join(TimeUnit)}")
    return Layout(columns=ColumnNames.parse(columns), time_unit=TimeUnit(time_unit))


def _files(
    paths: Sequence[Path], instrument: str | None, interval: str | None, layout: "Layout", file_format: str | None
) -> "list[BarSource]":
    from workloads.feeds.sources.files import open_file  # noqa: PLC0415

    if file_format is not None and file_format not in FORMATS:
        raise InvalidValue(f"--format {file_format}: must be one of {', '.join(FORMATS)}")
    return [
        open_file(path, symbol=instrument, interval=interval, layout=layout, file_format=file_format) for path in paths
    ]


def _queries(
    url_env: str | None,
    query: str | None,
    table: str | None,
    parameters: Sequence[str],
    instrument: str | None,
    interval: str | None,
    layout: "Layout",
) -> "list[BarSource]":
    from tradefleet.domain.bar import parse_interval  # noqa: PLC0415
    from tradefleet.domain.ids import Symbol  # noqa: PLC0415
    from workloads.feeds.ports import SourceDescription  # noqa: PLC0415
    from workloads.feeds.sources.sql_query import SqlSelection, SqlSource  # noqa: PLC0415

    if url_env is None:
        if query or table or parameters:
            raise InvalidValue("--query, --table and --param are for your own database: say where with --sql-url-env")
        return []
    url = os.environ.get(url_env)
    if not url:
        raise InvalidValue(f"--sql-url-env {url_env}: this environment variable is not set")
    if instrument is None or interval is None:
        raise InvalidValue("--sql-url-env: state --instrument and --interval of the rows that the query gives")
    for each in parameters:
        if "=" not in each:
            raise InvalidValue(f"--param {each}: must be written NAME=VALUE")
    named = dict(each.split("=", 1) for each in parameters)
    description = SourceDescription(
        label=f"{'query' if query else table} of ${url_env}",
        symbol=Symbol(instrument),
        interval_us=parse_interval(interval),
    )
    return [SqlSource(url, SqlSelection(query=query, table=table, parameters=named), description, layout)]


def _is_file(text: str) -> bool:
    return _FILE.fullmatch(text) is not None or Path(text).exists() or _NAME.fullmatch(text) is None


def _dataset_key(text: str) -> "DatasetKey":
    from workloads.feeds.ports import DatasetKey  # noqa: PLC0415

    found = _NAME.fullmatch(text)
    if found is None or text.endswith("-"):
        raise InvalidValue(
            f"dataset {text!r}: must be NAME or NAMESPACE/NAME of lower-case letters, digits and '-', beginning with a "
            "letter, at most 50 of them"
        )
    return DatasetKey(f"{found['namespace'] or DEFAULT_NAMESPACE}/{found['name']}")


def _dataset_of(sources: "Sequence[BarSource]") -> "DatasetKey":
    venues = {source.description.venue for source in sources}
    if len(venues) == 1 and (venue := venues.pop()) and _NAME.fullmatch(venue):
        return _dataset_key(venue)
    raise InvalidValue("data import: the files are not named after one venue; say where they go with --dataset NAME")


def _exchange_key(text: str) -> str:
    found = _NAME.fullmatch(text)
    if text and (found is None or found["namespace"] is None):
        raise InvalidValue(f"--exchange {text}: must be written NAMESPACE/NAME, such as default/coinbase")
    return text


# --- the database, and what is shown meanwhile --------------------------------------------------------------------


@contextmanager
def _store(data_dir: Path | None) -> "Iterator[PostgresDatasets]":
    """Yield the store of datasets of the fleet to work on."""
    from tradefleet.cli.connection import connect_fleet  # noqa: PLC0415
    from tradefleet.store.schema import require_current  # noqa: PLC0415
    from workloads.feeds.adapters.datasets import PostgresDatasets  # noqa: PLC0415

    fleet = connect_fleet(data_dir)
    require_current(fleet.database_url.reveal())
    store = PostgresDatasets(fleet.database_url.reveal(), fleet=fleet.fleet)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _sources_of_datasets(keys: "Sequence[DatasetKey]", data_dir: Path | None) -> "Iterator[list[BarSource]]":
    """Yield the sources of datasets; without any, no database is needed."""
    from workloads.feeds.sources.stored import open_dataset  # noqa: PLC0415

    if not keys:
        yield []
        return
    with _store(data_dir) as store:
        yield [source for key in keys for source in open_dataset(store, key)]


@contextmanager
def _interruptible(consequence: str) -> Iterator[None]:
    """Say on Ctrl-C what has become of the command."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted: {consequence}\n")
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextmanager
def _progress(what: str) -> "Iterator[Callable[[ImportProgress], None] | None]":
    """Yield what shows progress on standard error; None when that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def tell(now: "ImportProgress") -> None:
            progress.update(
                task,
                completed=now.part or 0.0,
                total=None if now.part is None else 1.0,
                description=f"{what}: {now.bars:,} bars",
            )

        yield tell


def _counting(tell: "Callable[[ImportProgress], None] | None", before: int) -> Callable[[int], None] | None:
    from workloads.feeds.importing import ImportProgress  # noqa: PLC0415

    if tell is None:
        return None
    return lambda bars: tell(ImportProgress(part=None, bars=before + bars))
