"""Runs one Backtest over its dataset. Run as `python -m … SETTINGS RESULT`."""

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
from workloads.backtest.run import run_backtest
from workloads.strategy.errors import StrategyError


def run(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the backtest's document: bots ranked, hashes of data and ledger. The report is written beside the log."""
    loaded: list[Loaded] = parse_text(settings["resources"], "<fleet>")
    plan = plan_backtest(loaded, Wish(backtest=settings["name"]))
    collector = CandleCollector(plan)
    result = run_backtest(plan, watcher=collector)
    Path(settings["report"]).write_text(build_report(report_data(result, collector)), encoding="utf-8")
    return document(result)


if __name__ == "__main__":
    from governor.job_process import run_job

    sys.exit(run_job(run, (FleetError, StrategyError)))
