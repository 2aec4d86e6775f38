"""Strategies by name: the built-in ones, and `module:Class` for everybody else's.

Importing a strategy runs its module's code, which is why only a bot's own process (or one trusted with it) may load a
foreign one. A built-in's module is imported when it is first asked for: a bot's process holds one strategy, not nine.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping

from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import Permanent
from workloads.strategy.api import Strategy

_FOLDER = "workloads.strategy.builtins"

BUILTINS: dict[str, str] = {
    "buy-and-hold": f"{_FOLDER}.buy_and_hold:BuyAndHold",
    "dca": f"{_FOLDER}.dca:DollarCostAveraging",
    "sma-cross": f"{_FOLDER}.sma_cross:SmaCross",
    "rsi-reversion": f"{_FOLDER}.rsi_reversion:RsiReversion",
    "bollinger": f"{_FOLDER}.bollinger:BollingerReversion",
    "grid": f"{_FOLDER}.grid:Grid",
    "maker": f"{_FOLDER}.maker:Maker",
    "taker": f"{_FOLDER}.taker:Taker",
    "random": f"{_FOLDER}.random_client:RandomClient",
}


class StrategyNotFound(Permanent):
    """No strategy can be loaded under this name. The message says what was looked for and why it failed."""


def load_strategy(name: str) -> type[Strategy]:
    """Return the strategy class of a built-in name or of `module:Class`. Raises StrategyNotFound."""
    if name in BUILTINS:
        return _import(BUILTINS[name])
    if ":" in name:
        return _import(name)
    near = _nearest(name, BUILTINS)
    hint = f"did you mean {near}? " if near else ""
    raise StrategyNotFound(
        f"strategy {name!r} is not known: {hint}built in are {', '.join(BUILTINS)}; your own is named module:Class"
    )


def build_strategy(name: str, parameters: Mapping[str, ParameterValue]) -> Strategy:
    """Return a new strategy with its parameters checked. Raises StrategyNotFound or InvalidValue."""
    return load_strategy(name)(**parameters)


def _import(address: str) -> type[Strategy]:
    module_name, _, class_name = address.partition(":")
    if not module_name or not class_name:
        raise StrategyNotFound(f"strategy {address!r}: must be written module:Class, as in mybots.trend:Breakout")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever the module's code raises while it is imported
        from workloads.strategy.errors import own_line  # noqa: PLC0415 - only a mistake needs it

        place = "" if isinstance(error, SyntaxError) else own_line(error)
        raise StrategyNotFound(
            f"strategy {address}: cannot import module {module_name}: {type(error).__name__}: {error}"
            + (_searched(module_name) if _is_missing(error, module_name) else f" ({place})" if place else "")
        ) from error
    found = getattr(module, class_name, None)
    if found is None:
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        near = _nearest(class_name, classes)
        hint = f"; did you mean {near}?" if near else ""
        raise StrategyNotFound(f"strategy {address}: module {module_name} has no class {class_name}{hint}")
    if inspect.isclass(found) and issubclass(found, Strategy):
        return found
    from workloads.strategy.client import client_strategy, is_client  # noqa: PLC0415 - most bots have none

    if is_client(found):
        return client_strategy(found)
    raise StrategyNotFound(f"strategy {address}: {class_name} is neither a Strategy nor has it next_order(context)")


def _is_missing(error: BaseException, module_name: str) -> bool:
    """Return whether the module itself was not found, rather than one that it imports."""
    return isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")


def _searched(module_name: str) -> str:
    """Return where a user's module was looked for, and where it may lie."""
    installed = (sys.prefix, sys.base_prefix)
    folders = ", ".join(folder for folder in sys.path if folder and not folder.startswith(installed)) or "none"
    file = module_name.replace(".", "/")
    return (
        f": searched beside the installed packages: {folders}: put {file}.py into one of them, or run `tradefleet up` "
        "or `tradefleet apply` in the folder that holds it; in a cluster, name a ConfigMap with it in "
        "strategy.codeFrom, or an image in podTemplate.image"
    )


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, if any."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)
