"""A report in a real browser: it draws, needs no network, says nothing on the console, and does what a reader asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.unit.backtest.scenes import BTC, LTC, bot, plan
from tradefleet.domain.bots import RiskLimits
from workloads.backtest.report import build_report
from workloads.backtest.report_data import ReportData
from workloads.backtest.report_of_backtest import CandleCollector, report_data
from workloads.backtest.run import run_backtest

READY_MS = 20_000
EVIL = "<img src=x onerror=\"document.title='taken'\">'\"&"
CHARTS = ("versus", "bot", "costs")


@dataclass
class Opened:
    """A page, and everything it said or asked for."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def data() -> ReportData:
    wanted = plan(
        bot("demo/trend"),
        bot("demo/pair", symbols=(BTC, LTC), limits=RiskLimits(stop_loss_ppm=20_000)),
        bot("demo/hold", strategy="buy-and-hold", parameters={}, warmup_bars=1),
        bars=6_000,
    )
    collector = CandleCollector(wanted)
    return report_data(run_backtest(wanted, watcher=collector), collector)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def open_report(report: ReportData, **options: object) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(build_report(report), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        seen = Opened(context.new_page())
        seen.page.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
        seen.page.on("pageerror", lambda error: seen.console.append(f"error: {error}"))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(path.as_uri())
        seen.page.wait_for_selector("html[data-ready=true]", state="attached", timeout=READY_MS)
        return seen

    yield open_report
    for context in contexts:
        context.close()


def colours(page: Page, chart: str) -> int:
    """Return how many colours a chart's canvas has: an empty one has one."""
    return page.evaluate(
        """(name) => {
            const canvas = document.querySelector(`[data-chart="${name}"] canvas`);
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const found = new Set();
            for (let at = 0; at < pixels.length; at += 4) {
                found.add(pixels[at] + "," + pixels[at + 1] + "," + pixels[at + 2] + "," + pixels[at + 3]);
            }
            return found.size;
        }""",
        chart,
    )


def option(page: Page, chart: str) -> dict:
    """Return what a chart shows: its series' names and lengths, and its zoom."""
    return page.evaluate(
        """(name) => {
            const shown = echarts.getInstanceByDom(document.querySelector(`[data-chart="${name}"]`)).getOption();
            return {
                series: shown.series.map((each) => [each.name, (each.data || []).length]),
                zoom: shown.dataZoom.map((each) => [Math.round(each.start), Math.round(each.end)]),
                axis: (shown.yAxis[2] || {}).name || "",
            };
        }""",
        chart,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_without_a_request_or_a_word_on_the_console(opened, data: ReportData, scheme: str) -> None:
    seen = opened(data, color_scheme=scheme)
    for chart in CHARTS:
        assert colours(seen.page, chart) > 10, f"{chart} is empty"
    assert seen.console == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []


def test_dark_and_light_follow_the_reader(opened, data: ReportData) -> None:
    grounds = {
        scheme: opened(data, color_scheme=scheme).page.evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 22, 28)"}


def test_a_phone_shows_the_whole_page_in_its_width(opened, data: ReportData) -> None:
    seen = opened(data, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, device_scale_factor=2)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
    assert all(colours(seen.page, chart) > 10 for chart in CHARTS)
    assert seen.console == []


def test_the_bot_of_the_ranking_that_is_touched_is_shown_with_its_marks(opened, data: ReportData) -> None:
    page = opened(data).page
    for place, each in enumerate(data.bots):
        page.locator(f'a[data-bot="{place}"]').click()
        assert page.locator('[data-select="bot"] option:checked').inner_text() == each.name
        shown = dict(option(page, "bot")["series"])
        assert shown["Equity"] > 1_000
        assert shown["Candles"] > 500
        assert bool(shown["Buy"] + shown["Sell"]) == bool(each.trades)


def test_a_bot_of_two_instruments_shows_either(opened, data: ReportData) -> None:
    page = opened(data).page
    place = next(place for place, each in enumerate(data.bots) if len(each.markets) == 2)
    page.select_option('[data-select="bot"]', index=place)
    assert "BTC-USD" in option(page, "bot")["axis"]
    page.select_option('[data-select="market"]', index=1)
    assert "LTC-USD" in option(page, "bot")["axis"]
    single = next(place for place, each in enumerate(data.bots) if len(each.markets) == 1)
    page.select_option('[data-select="bot"]', index=single)
    assert not page.locator('[data-select="market"]').is_visible()


def test_charts_zoom_and_tell_what_is_under_the_pointer(opened, data: ReportData) -> None:
    page = opened(data).page
    chart = page.locator('[data-chart="bot"]')
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    # The right handle of the slider below the chart, dragged to the middle.
    right, bottom = box["x"] + box["width"] - 14, box["y"] + box["height"] - 19
    page.mouse.move(right, bottom)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, bottom, steps=8)
    page.mouse.up()
    start, end = option(page, "bot")["zoom"][0]
    assert start == 0
    assert 30 < end < 70
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function(
        "document.querySelector('[data-chart=\"bot\"]').innerText.includes('Equity')", timeout=READY_MS
    )
    tip = chart.inner_text()
    for word in ("UTC", "Equity", "Hold", "Drawdown", "open", "volume"):
        assert word in tip


def test_the_ranking_can_be_sorted_by_any_column(opened, data: ReportData) -> None:
    page = opened(data).page

    def names() -> list[str]:
        return page.locator("#ranking td.name a").all_inner_texts()

    place = [column.name for column in data.columns].index("MaxDD")
    by_fall = sorted(data.bots, key=lambda each: each.cells[place].value or 0.0)
    page.get_by_role("button", name="MaxDD").click()
    assert names() == [each.name for each in reversed(by_fall)]
    page.get_by_role("button", name="MaxDD").click()
    assert names() == [each.name for each in by_fall]
    page.get_by_role("button", name="#").click()
    assert names() == [each.name for each in data.bots]


def test_the_page_says_what_it_leaves_out(opened, data: ReportData) -> None:
    text = opened(data).page.locator('[data-text="thinned"]').inner_text()
    assert "of 6,000 points" in text
    assert "joins up to 4 bars of 1m" in text


def test_a_name_that_is_markup_stays_text_everywhere(opened, data: ReportData) -> None:
    evil = replace(
        data,
        title=EVIL,
        bots=tuple(replace(each, name=EVIL, strategy=EVIL, quote=EVIL) for each in data.bots),
        candles={**data.candles, EVIL: next(iter(data.candles.values()))},
    )
    seen = opened(evil)
    for name in ("versus", "bot", "costs"):
        chart = seen.page.locator(f'[data-chart="{name}"]')
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        seen.page.wait_for_function(
            "name => document.querySelector(`[data-chart=\"${name}\"]`).innerText.includes('onerror')",
            arg=name,
            timeout=READY_MS,
        )
    assert seen.page.locator("img").count() == 0
    assert seen.page.title() != "taken"
    assert seen.console == []


def test_a_report_without_bots_opens(opened, data: ReportData) -> None:
    seen = opened(replace(data, bots=(), candles={}))
    assert seen.page.locator("h1").inner_text()
    assert seen.console == []
