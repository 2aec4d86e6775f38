"""A Backtest's job leaves a document and a report."""

import hashlib
import json
from decimal import Decimal
from pathlib import Path

from governor.backtest_job import run
from governor.job import JobFacts
from governor.tasks import finished_reports

from tests.unit.governor import fleets
from tradefleet.domain.bar import MINUTE_US
from tradefleet.resources.common import Resource
from tradefleet.resources.load import dump


def _backtest() -> Resource:
    return fleets.stored(
        "Backtest",
        "test",
        {
            "datasetRef": {"name": "market"},
            "exchangeRef": {"name": "simulator"},
            "strategy": {"name": "buy-and-hold"},
            "wallet": {"USD": "10000"},
        },
    )


def _settings(report: Path) -> dict[str, object]:
    listed = [{"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.00000001", "minNotional": "1"}]
    resources = [fleets.exchange(instruments=listed), fleets.dataset(instruments=["BTC-USD"]), _backtest()]
    return {"resources": dump(resources), "name": "test", "report": str(report)}


def test_a_report_takes_the_place_of_the_one_before_whole(tmp_path: Path) -> None:
    report = tmp_path / "test.html"
    report.write_text("the one before", encoding="utf-8")

    with report.open(encoding="utf-8") as read_meanwhile:
        document = run(_settings(report))
        assert read_meanwhile.read() == "the one before"

    assert document["bots"][0]["bot"] == "default/test"
    finished = document["finished"]
    assert finished["location"] == str(report)
    assert finished["contentHash"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert report.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert list(tmp_path.iterdir()) == [report]


def test_what_is_told_of_a_report_agrees_with_its_document(tmp_path: Path) -> None:
    document = json.loads(json.dumps(run(_settings(tmp_path / "test.html")), default=str))

    (told,) = finished_reports([_backtest()], {"backtest-default-test": JobFacts(result=document)})

    (shown,) = document["bots"]
    assert (told.report, told.bot) == ("backtest/default/test/1", "default/test")
    assert (told.values["endEquity"], told.values["fees"], told.values["fills"]) == (
        shown["equity"],
        shown["fees"],
        shown["fills"],
    )
    assert Decimal(told.values["endEquity"]) - Decimal(told.values["hold"]) == Decimal(shown["vsHold"])
    assert told.to_us - told.from_us == document["data"]["bars"] * MINUTE_US


def test_a_backtest_that_is_not_done_has_no_report() -> None:
    assert (
        finished_reports([_backtest(), fleets.bot("alpha")], {"backtest-default-test": JobFacts(is_running=True)}) == []
    )
