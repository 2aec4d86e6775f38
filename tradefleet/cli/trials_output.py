"""The trials of a Backtest as tables and values, out of the fleet's database."""

import csv
import sys
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tradefleet.cli import printing
from tradefleet.domain.errors import Permanent
from tradefleet.domain.times import format_time
from tradefleet.resources.search import parameters_text

if TYPE_CHECKING:
    from tradefleet.domain.trials import Trial
    from tradefleet.store.ports.trials import KeptRun
    from tradefleet.store.postgres.session import Session

OUTPUTS: Final = ("table", "wide", "json", "yaml", "csv", "html")
NOTHING: Final = "–"
SYNTHETIC: Final = "synthetic: made up, it says nothing about a real market"
# Heading, key of a bot's figures, whether it stands in `-o wide` only, and what stands behind the number.
FIGURES: Final = (
    ("Equity", "equity", False, ""),
    ("Return", "returnPercent", False, "%"),
    ("Hold", "holdPercent", False, "%"),
    ("VsHold", "vsHold", False, ""),
    ("MaxDD", "maxDrawdownPercent", False, "%"),
    ("Sharpe", "sharpe", False, ""),
    ("Fees", "fees", False, ""),
    ("Fills", "fills", False, ""),
    ("Orders", "orders", True, ""),
    ("Denied", "denied", True, ""),
    ("InMarket", "inMarketPercent", True, "%"),
    ("RoundTrips", "roundTrips", True, ""),
    ("Wins", "winPercent", True, "%"),
)
COUNTS: Final = ("fills", "orders", "denied", "roundTrips")
DISPENSABLE: Final = ("Wins", "RoundTrips", "InMarket", "Denied", "Orders", "Fills", "Fees", "Hold", "Sharpe", "Equity")


class TrialQuery(NamedTuple):
    """Which trials are wanted, and how they are shown. An empty question is the one that was asked last."""

    output: str = "table"
    limit: int = 20
    question: str = ""


def print_trials(session: "Session", uid: str, name: str, query: TrialQuery) -> None:
    """Print the trials of a Backtest, the best first. Raises Permanent when there are none."""
    from tradefleet.store.postgres.trials import PostgresTrials  # noqa: PLC0415 - where there is a database

    books = PostgresTrials(session)
    runs = books.runs(uid)
    chosen = next((each for each in runs if query.question in ("", each.run.question)), None)
    if chosen is None:
        known = ", ".join(each.run.question for each in runs) or "none: it has not begun yet"
        raise Permanent(f"Backtest {name}: there are no results of {query.question or 'it'}; there are {known}")
    trials = books.ranking(uid, chosen.run.question, limit=query.limit)
    match query.output:
        case "json" | "yaml":
            printing.print_values(_document(name, chosen, runs, trials), query.output)
        case "csv":
            _print_csv(trials)
        case "html":
            _print_report(name, books.report(uid, chosen.run.question))
        case _:
            _print_table(name, chosen, runs, trials, is_wide=query.output == "wide")


def _document(name: str, chosen: "KeptRun", runs: "Sequence[KeptRun]", trials: "Sequence[Trial]") -> dict[str, Any]:
    return {
        "backtest": name,
        "question": chosen.run.question,
        "trials": chosen.run.trials,
        "written": chosen.kept,
        "asked": format_time(chosen.asked_us),
        "results": [
            {
                "trial": each.number,
                "parameters": dict(each.parameters),
                **({"error": each.error} if each.error else {}),
                **({} if each.score is None else {"score": str(each.score)}),
                **{key: value for key, value in each.figures.items() if key != "finished"},
            }
            for each in trials
        ],
        "history": [
            {
                "question": each.run.question,
                "generation": each.run.generation,
                "asked": format_time(each.asked_us),
                "trials": each.run.trials,
                "kept": each.kept,
            }
            for each in runs
        ],
    }


def _print_csv(trials: "Sequence[Trial]") -> None:
    names = _parameter_names(trials)
    keys = [key for _, key, _, _ in FIGURES]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["trial", *names, "bot", "quote", *keys, "ledgerHash", "datasetHash", "synthetic", "error"])
    for trial in trials:
        for bot in _bots(trial) or [{}]:
            writer.writerow(
                [
                    trial.number,
                    *(trial.parameters.get(name, "") for name in names),
                    bot.get("bot", ""),
                    bot.get("quote", ""),
                    *(_plain(bot.get(key)) for key in keys),
                    trial.ledger_hash,
                    trial.dataset_hash,
                    "true" if trial.is_synthetic else "false",
                    trial.error,
                ]
            )


def _print_report(name: str, report: bytes) -> None:
    """Print the page of a single run. Raises Permanent when there is none."""
    if not report:
        raise Permanent(
            f"Backtest {name} has no report: a single run has one once it is done; for a trial of a search run "
            "`tradefleet backtest FILES --report OUT.html` with its parameters"
        )
    sys.stdout.write(zlib.decompress(report).decode())


def _print_table(
    name: str, chosen: "KeptRun", runs: "Sequence[KeptRun]", trials: "Sequence[Trial]", *, is_wide: bool
) -> None:
    done = [each for each in trials if not each.error]
    parameters = _parameter_names(trials)
    has_several = any(len(_bots(each)) > 1 for each in done)
    figures = [each for each in FIGURES if is_wide or not each[2]]
    headings = ["Trial", *(["Bot"] if has_several else []), *parameters, *(heading for heading, *_ in figures)]
    rows = [
        [
            str(trial.number),
            *([str(bot.get("bot", ""))] if has_several else []),
            *(str(trial.parameters.get(each, "")) for each in parameters),
            *(_cell(key, bot.get(key), unit) for _, key, _, unit in figures),
        ]
        for trial in done
        for bot in _bots(trial)
    ]
    shown = f"{len(trials)} of " if len(trials) < chosen.kept else ""
    title = f"Backtest {name}: {shown}{chosen.kept} results of {chosen.run.trials} trials, the best first"
    first = 1 + has_several
    printing.print_rows(
        headings,
        rows,
        numbers=[0, *range(first, len(headings))],
        title=title,
        optional=[headings.index(each) for each in DISPENSABLE if each in headings],
    )
    for line in _notes(chosen, runs, trials):
        sys.stdout.write(f"{line}\n")


def _notes(chosen: "KeptRun", runs: "Sequence[KeptRun]", trials: "Sequence[Trial]") -> list[str]:
    """Return what stands below the table: what failed, the data, and what was asked before."""
    failed = [each for each in trials if each.error]
    lines = [f"failed  {parameters_text(each.parameters) or 'the run'}: {each.error}" for each in failed]
    best = next((each for each in trials if not each.error), None)
    if best is not None:
        made_up = f", {SYNTHETIC}" if best.is_synthetic else ""
        lines += [f"hash    {best.dataset_hash} of the data{made_up}", f"ledger  {best.ledger_hash} of the best"]
    for each in runs:
        if each.run.question != chosen.run.question and each.kept:
            lines.append(
                f"before  {format_time(each.asked_us)}: {each.run.trials} trials, --question {each.run.question}"
            )
    return ["", *lines] if lines else []


def _bots(trial: "Trial") -> list[Mapping[str, Any]]:
    found: Any = trial.figures.get("bots") or []
    return list(found)


def _parameter_names(trials: "Sequence[Trial]") -> list[str]:
    return sorted({name for each in trials for name in each.parameters})


def _plain(value: Any) -> Any:  # noqa: ANN401 - any figure
    return "" if value is None else value


def _cell(key: str, value: Any, unit: str) -> str:  # noqa: ANN401 - any figure
    if value is None:
        return NOTHING
    if key in COUNTS:
        return f"{value:,}"
    sign = "+" if key in ("vsHold", "returnPercent", "holdPercent") else ""
    return f"{Decimal(str(value)):{sign},.2f}{unit}"
