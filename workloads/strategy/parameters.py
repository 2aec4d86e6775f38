"""Parameters: declared in a class body, typed by their annotation, checked before a strategy is built."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.frozen import frozen

T = TypeVar("T", int, float, str, bool)

_TYPES: dict[object, type[ParameterValue]] = {kind: kind for kind in (int, float, str, bool)}
_TYPES |= {kind.__name__: kind for kind in (int, float, str, bool)}  # under `from __future__ import annotations`


@frozen()
class ParameterDescription:
    """One parameter for people and schemas. `least` and `most` are the inclusive range, None where it is open."""

    name: str
    type: str  # int, float, str or bool
    default: ParameterValue
    least: float | None
    most: float | None
    choices: tuple[ParameterValue, ...] | None
    doc: str

    @property
    def rule(self) -> str:
        """The allowed values in words: `2 to 200`, `middle or upper`, `any`."""
        if self.choices is not None:
            return " or ".join(str(choice) for choice in self.choices)
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        if self.least is not None:
            return f">= {self.least}"
        return "any" if self.most is None else f"<= {self.most}"


@frozen()
class StrategyDescription:
    """A strategy for documentation, schemas and the command line."""

    name: str
    doc: str
    parameters: tuple[ParameterDescription, ...]


class Parameter:
    """The declaration of one parameter. Reading it from an instance is a plain attribute; setting it is refused.

    Without `__get__`, an instance's own value is found at the speed of any attribute, while `__set__` still guards it.
    """

    def __init__(
        self,
        default: ParameterValue,
        least: float | None,
        most: float | None,
        choices: tuple[ParameterValue, ...] | None,
        doc: str,
    ) -> None:
        self.default = default
        self.least = least
        self.most = most
        self.choices = choices
        self.doc = doc
        self.name = ""
        self.owner = ""
        self._annotation: object = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner = owner.__qualname__
        self._annotation = inspect.get_annotations(owner).get(name)

    def __set__(self, instance: object, value: object) -> None:
        raise InvalidValue(
            f"strategy {type(instance).__qualname__}: parameter {self.name} is fixed for the life of a bot; keep what "
            "changes in a state(...) attribute"
        )

    @property
    def type(self) -> type[ParameterValue]:
        """The annotated type. Raises InvalidValue when the annotation is missing or none of the four."""
        kind = _TYPES.get(self._annotation)
        if kind is None:
            raise InvalidValue(
                f"strategy {self.owner}: parameter {self.name} needs an annotation of int, float, str or bool, as in "
                f"`{self.name}: int = param(...)`"
            )
        return kind

    def check(self, strategy: str, value: object) -> ParameterValue:
        """Return `value` in the parameter's type (an int becomes a float where one is due). Raises InvalidValue."""
        where = f"strategy {strategy}: parameter {self.name}"
        kind = self.type
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise InvalidValue(f"{where} must be of type {kind.__name__}, was {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidValue(f"{where} must be a finite number, was {value}")
        if self.choices is not None and value not in self.choices:
            allowed = ", ".join(repr(choice) for choice in self.choices)
            raise InvalidValue(f"{where} must be one of {allowed}, was {value!r}")
        if isinstance(value, int | float):
            if self.least is not None and value < self.least:
                raise InvalidValue(f"{where} must be >= {self.least}, was {value}")
            if self.most is not None and value > self.most:
                raise InvalidValue(f"{where} must be <= {self.most}, was {value}")
        return value

    def describe(self) -> ParameterDescription:
        """Return the declaration for people and schemas."""
        return ParameterDescription(
            name=self.name,
            type=self.type.__name__,
            default=self.default,
            least=self.least,
            most=self.most,
            choices=self.choices,
            doc=self.doc,
        )


def param(
    default: T,
    *,
    ge: float | None = None,
    le: float | None = None,
    choices: Sequence[T] | None = None,
    doc: str = "",
) -> T:
    """Declare a parameter in a class body: `fast: int = param(10, ge=2, le=200, doc="bars of the fast average")`.

    `ge` and `le` are the inclusive range of a number; `choices` the only values allowed. The declared type is the
    default's, so that a type checker reads `self.fast` as an int.
    """
    allowed = None if choices is None else tuple(choices)
    return cast(T, Parameter(default, ge, le, allowed, doc))


def parameters_of(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a class by name, those of its bases first, each in the order of its body."""
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Parameter):
                found[name] = value
            elif name in found and not name.startswith("__"):
                del found[name]  # a subclass pinned it with a plain value
    return found


def check_parameters(cls: type, strategy: str, given: Mapping[str, object]) -> dict[str, ParameterValue]:
    """Return every parameter of `cls` with its given or default value, checked. Raises InvalidValue."""
    known = parameters_of(cls)
    for name in given:
        if name not in known:
            import difflib  # noqa: PLC0415 - only a mistake needs it

            near = difflib.get_close_matches(name, known, n=1)
            names = ", ".join(known) or "none"
            hint = f"did you mean {near[0]}? " if near else ""
            raise InvalidValue(f"strategy {strategy}: unknown parameter {name!r}: {hint}its parameters are: {names}")
    return {name: one.check(strategy, given.get(name, one.default)) for name, one in known.items()}


def description_of(cls: type, title: str) -> StrategyDescription:
    """Return documentation and parameters of a class that declares them."""
    return StrategyDescription(
        name=title,
        doc=inspect.cleandoc(cls.__doc__ or ""),
        parameters=tuple(one.describe() for one in parameters_of(cls).values()),
    )
