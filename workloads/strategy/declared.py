"""Declared state: what of a strategy can be written down and read back without running it again.

`count: int = state(0)` in a class body declares an attribute. An object whose attributes are parameters, declared
state and registered indicators can be snapshotted; anything else is an *obstacle*, and a bot with obstacles is folded
again from the start of its generation instead (correctness rule 19). What sits outside the object (a module's
globals, a closure) cannot be seen from here: a strategy must not keep anything there.
"""

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar, cast

from tradefleet.domain.errors import InvalidValue
from workloads.strategy.indicators.base import Indicator
from workloads.strategy.parameters import Parameter, check_parameters
from workloads.strategy.snapshot_values import JsonValue, NotDeclarable, decode_value, encode_value

S = TypeVar("S")


class StateField:
    """The declaration of one state attribute. It has no `__get__`: the value lives in the instance, at full speed."""

    def __init__(self, initial: object) -> None:
        self.initial = initial


def state(initial: S) -> S:
    """Declare state in a class body: `count: int = state(0)`, `bought: dict[str, float] = state({})`.

    Each strategy gets a copy of its own. May hold None, bool, int, float, str, Decimal, and lists, tuples and dicts
    of them. The declared type is the initial value's, for type checkers.
    """
    return cast(S, StateField(initial))


def state_fields(cls: type) -> dict[str, StateField]:
    """Return the state declared by a class and its bases, by name."""
    found: dict[str, StateField] = {}
    for base in reversed(cls.__mro__):
        found.update({name: value for name, value in vars(base).items() if isinstance(value, StateField)})
    return found


def prepare(instance: object, title: str, parameters: Mapping[str, object]) -> None:
    """Give a new `instance` its checked parameters, and its own copy of every declared initial value."""
    vars(instance).update(check_parameters(type(instance), title, parameters))
    for name, field in state_fields(type(instance)).items():
        vars(instance)[name] = copy.deepcopy(field.initial)


def obstacles(instance: object, indicators: Iterable[Indicator], known: Collection[str] = ()) -> list[str]:
    """Return why `instance` cannot be snapshotted, one line an attribute; empty when it can.

    `indicators` are the registered ones; attributes named in `known` are kept by somebody else.
    """
    cls = type(instance)
    registered = {id(indicator) for indicator in indicators}
    declared = state_fields(cls)
    found = []
    for name, value in vars(instance).items():
        if name in known or isinstance(getattr(cls, name, None), Parameter):
            continue
        if name in declared:
            try:
                encode_value(value)
            except NotDeclarable as error:
                found.append(f"{name}: {error}")
        elif not _only_indicators(value, registered):
            found.append(f"{name}: is neither a parameter nor declared with state(...) nor a registered indicator")
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else tuple(slots)
        found += [f"{name}: a slot cannot be declared state" for name in names if not name.startswith("__")]
    return found


def save_state(instance: object) -> dict[str, JsonValue]:
    """Return the declared state of an instance without obstacles, for JSON."""
    return {name: encode_value(vars(instance)[name]) for name in state_fields(type(instance)) if name in vars(instance)}


def load_state(instance: object, saved: dict[str, JsonValue]) -> None:
    """Give `instance` the declared state that `save_state` wrote. Raises InvalidValue when other names were saved."""
    declared = state_fields(type(instance))
    for name in saved:
        if name not in declared:
            raise InvalidValue(f"strategy {type(instance).__qualname__}: snapshot holds {name}, which is not declared")
    for name in declared:
        vars(instance).pop(name, None)
    for name, value in saved.items():
        vars(instance)[name] = decode_value(value)


def _only_indicators(value: object, registered: Collection[int]) -> bool:
    """Return whether `value` is a registered indicator, or a list, tuple or dict of nothing else, however nested."""
    if isinstance(value, Indicator):
        return id(value) in registered
    if isinstance(value, list | tuple):
        return all(_only_indicators(item, registered) for item in value)
    if isinstance(value, dict):
        return all(_only_indicators(item, registered) for item in value.values())
    return False
