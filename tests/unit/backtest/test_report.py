"""The report's page: whole in one file, escaped, and saying what it leaves out."""

import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.backtest.scenes import BOT, BTC, EXCHANGE, LTC, bot, candle_file, loaded, plan
from workloads.backtest import report as report_module
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.report import build_report
from workloads.backtest.report_data import ReportData
from workloads.backtest.report_of_backtest import CandleCollector, report_data
from workloads.backtest.run import run_backtest
from workloads.feeds.sources.files import open_file

ASSETS = Path(report_module.__file__).parent / "report_assets"
# Of npm's echarts 6.1.0, dist/echarts.min.js: what is inside every report is what its makers released.
ECHARTS_SHA256 = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
SIZE_MAX = 2_000_000
EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\u2028&"


class Page(HTMLParser):
    """Collects elements, the text of cells and the data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.data = ""
        self._in_data = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_data = tag == "script" and dict(attrs).get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data
        else:
            self.texts.append(data)


def data_of(*bots: object, bars: int = 400) -> ReportData:
    wanted = plan(*(bots or (bot("demo/a"), bot("demo/b", symbols=(BTC, LTC)))), bars=bars)
    collector = CandleCollector(wanted)
    return report_data(run_backtest(wanted, watcher=collector), collector)


@pytest.fixture(scope="module")
def data() -> ReportData:
    return data_of()


def payload(text: str) -> dict:
    return json.loads(Page(text).data)


def test_the_library_inside_is_the_released_one_with_its_licence() -> None:
    assert hashlib.sha256((ASSETS / "echarts.min.js").read_bytes()).hexdigest() == ECHARTS_SHA256
    assert "Apache License" in (ASSETS / "echarts.LICENSE").read_text(encoding="utf-8")
    assert (ASSETS / "echarts.NOTICE").is_file()


def test_a_page_names_nothing_outside_itself(data: ReportData) -> None:
    page = Page(build_report(data))
    for tag, attributes in page.tags:
        assert tag not in {"iframe", "object", "embed", "base"}
        assert attributes.get("src") is None
        assert (attributes.get("href") or "#").startswith(("#", "data:"))
    policy = next(each["content"] for _, each in page.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    styles = build_report(data).partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in styles
    assert "@import" not in styles


def test_a_report_of_eight_bots_over_three_days_stays_small() -> None:
    bots = [bot(f"demo/{symbol}-{place}", symbols=(symbol,)) for place in range(4) for symbol in (BTC, LTC)]
    assert len(build_report(data_of(*bots, bars=3 * 1_440))) < SIZE_MAX


def test_names_cannot_become_markup_or_scripts(data: ReportData) -> None:
    evil = replace(data.bots[0], name=EVIL, strategy=EVIL, quote=EVIL)
    text = build_report(replace(data, title=EVIL, subtitle=EVIL, bots=(evil,), facts=((EVIL, EVIL),), notes=(EVIL,)))
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert "img" not in [tag for tag, _ in page.tags]
    assert payload(text)["bots"][0]["name"] == EVIL
    assert EVIL in page.texts
    assert "<" not in page.data


def test_made_up_data_is_labelled_at_the_top(data: ReportData) -> None:
    label = '<span class="badge">synthetic data</span>'
    assert label in build_report(data)
    assert label not in build_report(replace(data, is_synthetic=False))


def test_bots_stand_in_the_order_of_their_ranking_with_their_figures(data: ReportData) -> None:
    text = build_report(data)
    rows = re.findall(r'<tr><td class="rank">(\d+)</td><td class="name"><a href="#bot" data-bot="(\d+)">([^<]*)', text)
    assert rows == [(str(place + 1), str(place), each.name) for place, each in enumerate(data.bots)]
    texts = Page(text).texts
    for each in data.bots:
        assert all(cell.text in texts for cell in each.cells)


def test_fills_and_round_trips_go_by_their_names(data: ReportData) -> None:
    html = build_report(data)

    assert f"<dt>Fills</dt><dd>{sum(len(bot.trades) for bot in data.bots):,}</dd>" in html
    assert "<dt>Trades</dt>" not in html


def test_curves_keep_their_extremes_and_say_how_many_points_there_were() -> None:
    long = data_of(bot("demo/a"), bars=20_000)
    curve = payload(build_report(long))["bots"][0]["curve"]
    whole = long.bots[0].curve
    unit = 10**whole.scale
    assert curve["points"] == 20_000
    assert len(curve["equity"]) < 6_000
    assert len(curve["equity"]) == len(curve["hold"]) == len(curve["drawdown"]) == len(curve["steps"]) + 1
    assert max(curve["equity"]) == round(max(whole.equity_atoms) / unit, 2)
    assert min(curve["equity"]) == round(min(whole.equity_atoms) / unit, 2)
    assert curve["start"] + sum(curve["steps"]) == whole.market_us[-1] // 10**6


def test_holding_is_absent_before_it_begins(data: ReportData) -> None:
    curve = payload(build_report(data))["bots"][0]["curve"]
    start = data.bots[0].curve.hold_start
    assert start == 20
    assert curve["hold"][:start] == [None] * start
    assert all(value is not None for value in curve["hold"][start:])


def test_every_trade_is_in_a_mark_within_its_candle(data: ReportData) -> None:
    shown = payload(build_report(data))
    for each, drawn in zip(data.bots, shown["bots"], strict=True):
        marks = [mark for market in drawn["marks"].values() for mark in market]
        assert sum(mark[5] for mark in marks) == len(each.trades) > 0
        for market, of_market in drawn["marks"].items():
            candles = shown["candles"][market]
            opens = [candles["start"]]
            for step in candles["steps"]:
                opens.append(opens[-1] + step)
            assert {mark[0] for mark in of_market} <= set(opens)


def test_a_candle_that_joins_bars_says_how_many() -> None:
    shown = payload(build_report(data_of(bot("demo/a"), bars=5_000)))
    (candles,) = shown["candles"].values()
    assert candles["barsEach"] == 4
    assert len(candles["open"]) == 1_250


def test_positions_and_wallets_are_those_at_the_end(data: ReportData) -> None:
    text = build_report(data)
    for each in data.bots:
        for asset, free, _ in each.wallet:
            assert f'<td class="text">{asset}</td><td class="number">{free}</td>' in text
        for row in each.positions:
            assert row[1] in text


def test_a_report_without_bots_is_still_a_page(data: ReportData) -> None:
    empty = build_report(replace(data, bots=(), candles={}))
    assert payload(empty)["bots"] == []
    assert "0 of 0" in empty


def test_bots_of_several_namespaces_keep_their_whole_names() -> None:
    assert {each.name for each in data_of(bot("one/a"), bot("two/a")).bots} == {"one/a", "two/a"}
    assert {each.name for each in data_of(bot("one/a"), bot("one/b")).bots} == {"a", "b"}


def test_the_folders_of_files_are_not_passed_on(tmp_path: Path) -> None:
    wanted = plan_backtest(loaded(EXCHANGE, BOT), Wish(data=(open_file(candle_file(tmp_path)),)))
    collector = CandleCollector(wanted)
    text = build_report(report_data(run_backtest(wanted, watcher=collector), collector))
    assert str(tmp_path) not in text
    assert "test_BTC-USD_1m.csv" in text
