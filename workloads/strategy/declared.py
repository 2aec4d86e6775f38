"""Declared state: what of a strategy can be written down and read back without running it again.

`count: int = state(0)` in a class body declares an attribute. An object whose attributes are parameters, declared
state and registered indicators can be snapshotted; anything else is an *obstacle*, and a bot with obstacles is folded
again from the start of its generation instead (correctness rule 19). What sits outside the object (a module's
globals, a closure) cannot be seen from here: a strategy must not keep anything there.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

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


def obstacles(instance: object, indicators: Sequence[Indicator], known: Collection[str] = ()) -> list[str]:
    """Return why `instance` cannot be snapshotted, one line an attribute; empty when it can.

    `indicators` are the registered ones; attributes named in `known` are kept by somebody else.
    """
    cls = type(instance)
    declared = state_fields(cls)
    places = _places(indicators)
    found = []
    for name, value in vars(instance).items():
        if name in known or isinstance(getattr(cls, name, None), Parameter):
            continue
        try:
            if name in declared:
                encode_value(value)
            else:
                _save_references(value, places)
        except NotDeclarable as error:
            found.append(f"{name}: {error}")
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else tuple(slots)
        found += [f"{name}: a slot cannot be declared state" for name in names if not name.startswith("__")]
    return found


def save_state(instance: object, indicators: Sequence[Indicator], known: Collection[str] = ()) -> dict[str, JsonValue]:
    """Return the declared state of an instance without obstacles, and which attribute is which indicator, for JSON."""
    cls = type(instance)
    declared = state_fields(cls)
    places = _places(indicators)
    state: dict[str, JsonValue] = {}
    references: dict[str, JsonValue] = {}
    for name, value in vars(instance).items():
        if name in declared:
            state[name] = encode_value(value)
        elif name not in known and not isinstance(getattr(cls, name, None), Parameter):
            references[name] = _save_references(value, places)
    return {"state": state, "indicators": references}


def load_state(instance: object, indicators: Sequence[Indicator], saved: dict[str, Any]) -> None:
    """Give `instance` what `save_state` wrote. Raises InvalidValue when other names were saved."""
    declared = state_fields(type(instance))
    for name in saved["state"]:
        if name not in declared:
            raise InvalidValue(f"strategy {type(instance).__qualname__}: snapshot holds {name}, which is not declared")
    for name in declared:
        vars(instance).pop(name, None)
    for name, value in saved["state"].items():
        vars(instance)[name] = decode_value(value)
    for name, value in saved["indicators"].items():
        vars(instance)[name] = _load_references(value, indicators)


def _places(indicators: Sequence[Indicator]) -> dict[int, int]:
    return {id(indicator): place for place, indicator in enumerate(indicators)}


def _save_references(value: object, places: Mapping[int, int]) -> JsonValue:
    """Return where the registered indicators in `value` stand: alone, or in lists, tuples and dicts.

    An indicator becomes its place among the registered ones. Raises NotDeclarable for anything else; for an empty
    container too, since what it is meant for cannot be seen.
    """
    if isinstance(value, Indicator) and id(value) in places:
        return places[id(value)]
    if type(value) in (list, tuple) and value:
        items = cast("list[object] | tuple[object, ...]", value)
        return {type(value).__name__: [_save_references(item, places) for item in items]}
    if type(value) is dict and value:
        pairs = cast(dict[object, object], value).items()
        return {"dict": [[encode_value(key), _save_references(item, places)] for key, item in pairs]}
    raise NotDeclarable("is neither a parameter nor declared with state(...) nor a registered indicator")


def _load_references(saved: JsonValue, indicators: Sequence[Indicator]) -> object:
    if isinstance(saved, int):
        return indicators[saved]
    ((kind, items),) = cast(dict[str, list[Any]], saved).items()
    if kind == "dict":
        return {decode_value(key): _load_references(item, indicators) for key, item in items}
    loaded = [_load_references(item, indicators) for item in items]
    return tuple(loaded) if kind == "tuple" else loaded
