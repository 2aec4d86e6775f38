"""`tradefleet backtest`: the fleet's own machines over history, in one process."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradefleet.cli import printing
from tradefleet.cli.files import check_writable, write_whole
from tradefleet.cli.ranking import print_ranking
from tradefleet.cli.strategy import import_from_here
from tradefleet.domain.errors import InvalidValue

if TYPE_CHECKING:
    from workloads.backtest.given_data import Wish
    from workloads.backtest.plan import BacktestPlan
    from workloads.backtest.results import BacktestResult
    from workloads.backtest.run import Watcher
    from workloads.feeds.ports import BarSource
    from workloads.strategy.errors import StrategyError

OUTPUTS = ("table", "wide", "json", "yaml", "csv")

# One line a paragraph: Typer keeps the line breaks of a docstring.
HELP = (
    "Run bots over history and rank them against holding.\n\n"
    "All TradingBots and BotSets of the files trade together, each with its own wallet, by the very code that trades "
    "live; or one Backtest. Their Feed or Dataset brings the bars, or --data does. The same input gives the same "
    "ledger, and the same hash of it, everywhere.\n\n"
    "[dim]$[/dim] tradefleet backtest examples/quickstart\n\n"
    "[dim]$[/dim] tradefleet backtest bots.yaml exchange.yaml --data kraken_BTC-USD_1m.csv --report report.html\n\n"
    "[dim]$[/dim] tradefleet backtest fleet/ --from 2018-04-04 --to 2018-04-05 -o csv > results.csv\n\n"
    "[dim]$[/dim] tradefleet backtest research/ --backtest spring --ledger spring.txt\n\n"
    "Exit status: 0 when the run is done, 1 when a strategy raised, 2 when something in the files is wrong."
)

app = typer.Typer(rich_markup_mode="rich", add_completion=False)


@app.command(help=HELP)
def backtest(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="YAML files or folders with resources; - is standard input.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Candles in place of the files' own data: btc.csv, btc.parquet. May be given often.",
        ),
    ] = None,
    instrument: Annotated[
        str | None,
        typer.Option(metavar="SYMBOL", help="Instrument of --data, where the file's name does not say it: BTC-USD."),
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH", help="Length of the bars in --data, where the name does not say it: 1m, 1h, 1d."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="First moment, UTC: 2018-04-04 or 2018-04-04T12:30:00Z."),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="First moment that is no longer part of it, UTC: 2018-04-05."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--backtest", metavar="NAME", help="Run this Backtest instead of the files' bots: spring."),
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FORMAT", help="table, wide, json, yaml or csv.")
    ] = "table",
    report: Annotated[
        Path | None, typer.Option(metavar="OUT.html", help="Write a report: one file that opens without a network.")
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.txt",
            help="Write the canonical ledger: every fill and equity figure, to compare two runs with diff.",
        ),
    ] = None,
) -> None:
    """Run the command; its help is `HELP`."""
    from workloads.backtest.given_data import Wish  # noqa: PLC0415 - the machines are imported by who runs them
    from workloads.strategy.errors import StrategyError  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    for path, option in ((report, "--report"), (ledger, "--ledger")):
        if path is not None:
            check_writable(path, option)
    import_from_here()
    wish = Wish(
        data=tuple(_sources(data or [], instrument, interval)),
        from_us=_instant(start, "--from"),
        to_us=_instant(end, "--to"),
        backtest=name,
    )
    plan = _plan(files, wish)
    try:
        result, page = _run(plan, with_report=report is not None)
    except StrategyError as error:
        sys.stderr.write(_strategy_failure(error))
        raise typer.Exit(1) from error
    if ledger is not None:
        write_whole(ledger, (f"{line}\n" for line in result.ledger()))
    if report is not None:
        write_whole(report, [page])
    _print(result, output)
    for path, what in ((ledger, "ledger"), (report, "report")):
        if path is not None:
            sys.stderr.write(f"{what} written to {path}\n")


def _plan(files: list[str], wish: "Wish") -> "BacktestPlan":
    from tradefleet.resources.load import load  # noqa: PLC0415
    from workloads.backtest.from_resources import plan_backtest  # noqa: PLC0415

    return plan_backtest(load(files), wish)


def _sources(paths: list[Path], instrument: str | None, interval: str | None) -> Iterator["BarSource"]:
    from workloads.feeds.sources.files import open_file  # noqa: PLC0415

    if not paths and (instrument or interval):
        raise InvalidValue("--instrument and --interval describe the files of --data: name some with --data FILE")
    for path in paths:
        yield open_file(path, symbol=instrument, interval=interval)


def _instant(text: str | None, option: str) -> int | None:
    from tradefleet.resources.values import Instant, instant_us  # noqa: PLC0415

    if text is None:
        return None
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    try:
        return instant_us(TypeAdapter(Instant).validate_python(text))
    except ValidationError as error:
        raise InvalidValue(f"{option} {text}: {error.errors()[0]['msg']}") from error


def _run(plan: "BacktestPlan", *, with_report: bool) -> "tuple[BacktestResult, str]":
    """Return the result, and the report's page where one is wanted."""
    from workloads.backtest.run import NoWatcher, run_backtest  # noqa: PLC0415

    watcher: Watcher = NoWatcher()
    collector = None
    if with_report:
        from workloads.backtest.report_of_backtest import CandleCollector  # noqa: PLC0415

        watcher = collector = CandleCollector(plan)
    with _progress(watcher) as shown:
        result = run_backtest(plan, watcher=shown)
    if collector is None:
        return result, ""
    from workloads.backtest.report import build_report  # noqa: PLC0415
    from workloads.backtest.report_of_backtest import report_data  # noqa: PLC0415

    return result, build_report(report_data(result, collector))


@contextmanager
def _progress(watcher: "Watcher") -> "Iterator[Watcher]":
    """Yield a watcher that also shows a bar on standard error, when that is a terminal."""
    if not sys.stderr.isatty():
        yield watcher
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from tradefleet.domain.times import format_time  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=1.0)

        class Shown:
            """Hands everything on, and draws."""

            on_bars = staticmethod(watcher.on_bars)

            @staticmethod
            def on_progress(done: float | None, market_us: int, steps: int) -> None:
                watcher.on_progress(done, market_us, steps)
                progress.update(task, completed=done, total=None if done is None else 1.0)
                progress.update(task, description=f"{format_time(market_us)} · {steps:,} steps")

        yield Shown()


def _print(result: "BacktestResult", output: str) -> None:
    from workloads.backtest.output import csv_text, document  # noqa: PLC0415

    if output == "csv":
        sys.stdout.write(csv_text(result))
    elif output in ("json", "yaml"):
        printing.print_values(document(result), output)
    else:
        print_ranking(result, result.title, wide=output == "wide")


def _strategy_failure(error: "StrategyError") -> str:
    """Return what a strategy's author needs: bot, hook, market time, the error, and the line of their own code."""
    from tradefleet.domain.times import format_time  # noqa: PLC0415

    cause = error.__cause__
    place = ""
    if cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        if frames:
            last = frames[-1]
            place = f"\n  {last.filename}:{last.lineno} in {last.name}: {last.line}"
    return (
        f"error: bot {error.bot}: {error.hook} at {format_time(error.market_us)} raised "
        f"{type(cause).__name__}: {cause}{place}\n"
    )
