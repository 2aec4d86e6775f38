"""What all indicators share: one value, fed bar by bar, whose whole state can be written down and read back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, cast

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue
from workloads.strategy.snapshot_values import JsonValue, decode_value, encode_value


class Indicator(ABC):
    """A number that follows the bars of one instrument.

    `value` is NaN until `ready`, so that every comparison with an indicator that is not ready is false. A subclass
    gives `update(bar)`; its attributes (numbers, strings, lists, dicts, other indicators) are its state, and
    `snapshot` and `restore` need no code of their own.
    """

    __slots__ = ("ready", "value")

    reads_close: ClassVar[bool] = False  # True where the close is all it reads: then `add` may be fed directly

    def __init__(self) -> None:
        self.value = math.nan
        self.ready = False

    @abstractmethod
    def update(self, bar: Bar) -> None:
        """Take one closed bar."""

    @property
    @abstractmethod
    def warmup(self) -> int:
        """The number of bars after which `ready` is true."""

    def snapshot(self) -> JsonValue:
        """Return the whole state for JSON. Raises NotDeclarable when an attribute has no place there."""
        state: dict[str, JsonValue] = {"kind": type(self).__name__}
        for name in _attribute_names(self):
            value = getattr(self, name)
            state[name] = value.snapshot() if isinstance(value, Indicator) else encode_value(value)
        return state

    def restore(self, state: JsonValue) -> None:
        """Become the indicator that wrote `state`. Raises InvalidValue when that was of another kind."""
        fields = dict(cast(dict[str, JsonValue], state))
        kind = fields.pop("kind")
        names = set(_attribute_names(self))
        if kind != type(self).__name__ or set(fields) != names:
            raise InvalidValue(f"indicator {type(self).__name__}: cannot restore the state of {kind}")
        for name, value in fields.items():
            inner = getattr(self, name)
            if isinstance(inner, Indicator):
                inner.restore(value)
            else:
                setattr(self, name, decode_value(value))


class CloseIndicator(Indicator):
    """An indicator of one number a bar: the close, or whatever `add` is given."""

    __slots__ = ()

    reads_close = True

    def update(self, bar: Bar) -> None:
        """Take the close of one bar."""
        self.add(bar.close)

    @abstractmethod
    def add(self, value: float) -> None:
        """Take the next number."""


def check_period(indicator: str, period: int, least: int = 1, name: str = "period") -> int:
    """Return `period`. Raises InvalidValue unless it is a whole number >= `least`."""
    if type(period) is not int or period < least:
        raise InvalidValue(f"indicator {indicator}: {name} must be a whole number >= {least}, was {period!r}")
    return period


def _attribute_names(indicator: Indicator) -> Iterator[str]:
    for cls in type(indicator).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
    yield from getattr(indicator, "__dict__", ())
