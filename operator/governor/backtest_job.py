"""Runs one Backtest over its dataset. Run as `python -m … SETTINGS RESULT`."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradefleet.domain.errors import FleetError
from tradefleet.resources.load import Loaded, parse_text
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.output import document
from workloads.backtest.report import build_report
from workloads.backtest.report_of_backtest import CandleCollector, report_data
from workloads.backtest.results import BacktestResult
from workloads.backtest.run import run_backtest
from workloads.strategy.errors import StrategyError


def run(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the backtest's document: bots ranked, hashes of data and ledger, where its report is and what it says."""
    loaded: list[Loaded] = parse_text(settings["resources"], "<fleet>")
    plan = plan_backtest(loaded, Wish(backtest=settings["name"]))
    collector = CandleCollector(plan)
    result = run_backtest(plan, watcher=collector)
    report = Path(settings["report"])
    unfinished = report.with_suffix(".partial")  # whoever opens the report of an earlier run sees all of it
    page = build_report(report_data(result, collector)).encode()
    unfinished.write_bytes(page)
    unfinished.replace(report)
    return {**document(result), "finished": finished_values(result, str(report), hashlib.sha256(page).hexdigest())}


def finished_values(result: BacktestResult, location: str, content_hash: str) -> dict[str, object]:
    """Return what `reports.performance` tells of a run: amounts exact, as text, in each bot's quote asset."""
    return {
        "location": location,
        "contentHash": content_hash,
        "fromUs": result.data.from_us or 0,
        "toUs": result.data.to_us or 0,
        "bots": [
            {
                "bot": bot.key,
                "quote": bot.quote,
                "startEquity": str(bot.amount(bot.start_atoms)),
                "endEquity": str(bot.amount(bot.equity_atoms)),
                "hold": None if bot.hold_atoms is None else str(bot.amount(bot.hold_atoms)),
                "fees": str(bot.amount(bot.fees_atoms)),
                "fills": bot.fills,
                "measures": {
                    "return": bot.return_part,
                    "drawdown": bot.drawdown_part,
                    "in_market": bot.in_market_part,
                    **({} if bot.sharpe is None else {"sharpe": bot.sharpe}),
                },
            }
            for bot in result.ranked
        ],
    }


if __name__ == "__main__":
    from governor.job_process import run_job

    sys.exit(run_job(run, (FleetError, StrategyError)))
