import json
import subprocess
import sys

import pytest

from tradefleet.domain.errors import Permanent
from workloads.strategy.api import Strategy
from workloads.strategy.builtins.sma_cross import SmaCross
from workloads.strategy.client import ClientStrategy
from workloads.strategy.registry import BUILTINS, StrategyNotFound, build_strategy, load_strategy

MODULE = '''
from workloads.strategy.api import Strategy, param

class Breakout(Strategy):
    """Mine."""
    length: int = param(20, ge=2)

class Asked:
    def next_order(self, context):
        return None

def ask(context):
    return None

class Neither:
    pass
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mybots_for_test.py").write_text(MODULE)
    (tmp_path / "mybots_broken.py").write_text("import no_such_package\n")
    (tmp_path / "mybots_raising.py").write_text("raise RuntimeError('not today')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mybots_for_test"
    sys.modules.pop("mybots_for_test", None)


def test_built_ins_are_loaded_by_name():
    assert load_strategy("sma-cross") is SmaCross
    assert build_strategy("sma-cross", {"fast": 3}).fast == 3
    assert len(BUILTINS) == 9


def test_a_strategy_of_one_s_own_is_named_module_and_class(module):
    strategy = build_strategy(f"{module}:Breakout", {"length": 5})
    assert isinstance(strategy, Strategy)
    assert strategy.length == 5


@pytest.mark.parametrize("name", ["Asked", "ask"])
def test_a_client_with_next_order_is_wrapped(module, name):
    assert issubclass(load_strategy(f"{module}:{name}"), ClientStrategy)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sma-corss", r"strategy 'sma-corss' is not known: did you mean sma-cross\? built in are buy-and-hold, dca"),
        ("mybots_for_test:Brakeout", r"has no class Brakeout; did you mean Breakout\?"),
        ("mybots_for_test:Neither", "Neither is neither a Strategy nor has it next_order"),
        ("mybots_nowhere:Some", "cannot import module mybots_nowhere: ModuleNotFoundError"),
        ("mybots_broken:Some", "cannot import module mybots_broken: ModuleNotFoundError: No module named 'no_such_pac"),
        ("mybots_raising:Some", "cannot import module mybots_raising: RuntimeError: not today"),
        ("mybots_for_test:", "must be written module:Class"),
        (":Breakout", "must be written module:Class"),
        (".relative:Some", "cannot import module .relative"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_its_reason(module, name, message):
    with pytest.raises(StrategyNotFound, match=message) as caught:
        load_strategy(name)
    assert isinstance(caught.value, Permanent)


def test_a_bot_s_process_holds_one_strategy_and_nothing_heavy():
    code = (
        "import json, sys; from workloads.strategy.registry import build_strategy; import workloads.strategy.bot; "
        "build_strategy('sma-cross', {}); "
        "print(json.dumps(sorted(name for name in sys.modules if name.split('.')[0] in "
        "('numpy', 'pandas', 'pydantic', 'sqlalchemy', 'msgspec', 'tradefleet', 'workloads'))))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules = json.loads(found)
    assert {name for name in modules if ".builtins." in name} == {"workloads.strategy.builtins.sma_cross"}
    assert {name.split(".")[0] for name in modules} == {"tradefleet", "workloads"}
    assert {name for name in modules if name.startswith("tradefleet.")} <= {
        name for name in modules if name.startswith("tradefleet.domain")
    }


def test_a_module_that_is_not_there_names_the_folders_searched_and_a_remedy(module, tmp_path):
    with pytest.raises(StrategyNotFound) as caught:
        load_strategy("mybots_nowhere.trend:Breakout")

    assert str(tmp_path) in str(caught.value)
    assert "put mybots_nowhere/trend.py into one of them, or run `tradefleet up`" in str(caught.value)


def test_a_module_that_imports_what_is_not_there_names_no_folders(module):
    with pytest.raises(StrategyNotFound, match="no_such_package") as caught:
        load_strategy("mybots_broken:Breakout")

    assert "searched" not in str(caught.value)
