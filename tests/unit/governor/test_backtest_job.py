"""A Backtest's job leaves a document and a report."""

from pathlib import Path

from governor.backtest_job import run

from tests.unit.governor import fleets
from tradefleet.resources.load import dump


def _settings(report: Path) -> dict[str, object]:
    backtest = fleets.stored(
        "Backtest",
        "test",
        {
            "datasetRef": {"name": "market"},
            "exchangeRef": {"name": "simulator"},
            "strategy": {"name": "buy-and-hold"},
            "wallet": {"USD": "10000"},
        },
    )
    listed = [{"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.00000001", "minNotional": "1"}]
    resources = [fleets.exchange(instruments=listed), fleets.dataset(instruments=["BTC-USD"]), backtest]
    return {"resources": dump(resources), "name": "test", "report": str(report)}


def test_a_report_takes_the_place_of_the_one_before_whole(tmp_path: Path) -> None:
    report = tmp_path / "test.html"
    report.write_text("the one before", encoding="utf-8")

    with report.open(encoding="utf-8") as read_meanwhile:
        document = run(_settings(report))
        assert read_meanwhile.read() == "the one before"

    assert document["bots"][0]["bot"] == "default/test"
    assert report.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert list(tmp_path.iterdir()) == [report]
