"""What docs/strategies.md shows runs, and does what the page says."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.unit.strategy.paper import BTC, PaperExchange, bar, make_bot
from tradefleet.domain.orders import OrderType, Side
from workloads.strategy.api import Strategy
from workloads.strategy.registry import BUILTINS, build_strategy

PAGE = (Path(__file__).parents[3] / "docs" / "strategies.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def block(mark):
    (found,) = (text for text in BLOCKS if mark in text)
    return found


@pytest.fixture
def mybots(tmp_path, monkeypatch):
    package = tmp_path / "mybots"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "breakout.py").write_text(block("class Breakout"))
    (package / "dips.py").write_text(block("def buy_dips"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "mybots"]:
        del sys.modules[name]


def test_the_example_buys_the_breakout_protects_it_and_leaves(mybots):
    strategy = build_strategy("mybots.breakout:Breakout", {"length": 3, "patience": 10})
    paper = PaperExchange(make_bot(strategy, warmup_bars=strategy.warmup))
    closes = [100.0, 101, 100, 101, 103, 104, 105, 105, 95, 95, 95]
    for number, close in enumerate(closes):
        paper.step(bar(number, close, high=close + 1, low=close - 1))
    asked = [(request.terms.side, request.terms.type) for request in paper.log]
    assert asked[0] == (Side.BUY, OrderType.MARKET)
    assert (Side.SELL, OrderType.STOP) in asked
    assert paper.lots[BTC] == 0
    assert paper.refused == []
    assert paper.bot.obstacles() == []


def test_the_example_leaves_when_its_patience_ends(mybots):
    strategy = build_strategy("mybots.breakout:Breakout", {"length": 3, "patience": 4})
    paper = PaperExchange(make_bot(strategy, warmup_bars=strategy.warmup))
    closes = [100.0, 101, 100, 101, 103] + [103.0] * 12
    for number, close in enumerate(closes):
        paper.step(bar(number, close, high=close + 1, low=close - 1))
    assert (Side.SELL, OrderType.MARKET) in [
        (request.terms.side, request.terms.type) for request in paper.log if hasattr(request, "terms")
    ]
    assert paper.lots[BTC] == 0


def test_the_smallest_client_bids_below_the_market(mybots):
    paper = PaperExchange(make_bot(build_strategy("mybots.dips:buy_dips", {})))
    paper.run([bar(0, 100.0), bar(1, 100.0), bar(2, 98.0)])
    assert [request.terms.price_ticks for request in paper.log] == [9_900, 9_702]


def test_the_trial_without_a_fleet_asks_for_an_order(mybots, tmp_path, capsys):
    script = tmp_path / "trial.py"
    script.write_text(block("print(request.terms"))
    runpy.run_path(str(script))
    side, lots = capsys.readouterr().out.split()
    assert side == "BUY"
    assert int(lots) > 0


def test_the_page_names_what_there_is():
    table = PAGE[PAGE.index("## Built in") :]
    assert re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE) == list(BUILTINS)
    for name in re.findall(r"`(?:self\.)?([a-z_]+)\([^`]*\)`", PAGE):
        known = {"next_order", "add", "update", "param", "state"}
        assert name in known or hasattr(Strategy, name), f"the page shows {name}(), which the API does not have"
