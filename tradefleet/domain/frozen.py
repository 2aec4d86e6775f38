"""Frozen values: `@frozen()` makes what `@dataclass(frozen=True, slots=True, kw_only=True)` makes, but at need.

The standard library compiles six methods for each of its classes as soon as the module of the class is imported. With
some fifty classes that was a fifth of the start of a bot's process on Python 3.11. Here the methods that do the same
in every class are shared, and the standard library is asked for `__init__` when the first value of a class is made: a
process pays for the values it has, not for all there are.

To the standard library, msgspec and mypy the classes are dataclasses: `replace`, `fields` and `asdict` work. Not
supported are inheritance among values, their order, and fields left out of comparison or representation.
"""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, make_dataclass
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, cast, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool = True) -> Callable[[type[T]], type[T]]:
    """Return the decorator of a class of frozen values. With `kw_only=False` fields may be given by position, too."""

    def decorate(cls: type[T]) -> type[T]:
        made = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        _add_methods(made, kw_only=kw_only)
        return made

    return decorate


def _add_methods(made: Any, *, kw_only: bool) -> None:  # noqa: ANN401 - a class, of which attributes are set
    read = attrgetter(*(each.name for each in fields(made)))

    def first_init(self: object, *positional: object, **named: object) -> None:
        made.__init__ = _init_of(made, kw_only=kw_only)
        made.__init__(self, *positional, **named)

    def is_equal(self: object, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is made else NotImplemented

    def hash_of(self: object) -> int:
        return hash(read(self))

    made.__init__, made.__eq__, made.__hash__ = first_init, is_equal, hash_of
    made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete
    made.__repr__, made.__setstate__ = _show, _set


def _init_of(made: Any, *, kw_only: bool) -> Callable[..., None]:  # noqa: ANN401 - a class, of which attributes are read
    """Return the standard library's `__init__` for the fields of `made`."""
    namespace = {"__doc__": made.__doc__}  # without one, the library would write one from the signature
    if hasattr(made, "__post_init__"):
        namespace["__post_init__"] = made.__post_init__
    same: Any = make_dataclass(  # Any: the `__init__` of a class is wanted, which mypy takes for a slip
        made.__qualname__,
        [(each.name, each.type, each) for each in fields(made)],
        namespace=namespace,
        repr=False,
        eq=False,
        frozen=True,
        kw_only=kw_only,
    )
    return cast("Callable[..., None]", same.__init__)


def _show(self: Any) -> str:  # noqa: ANN401 - any value
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self))
    return f"{self.__class__.__qualname__}({shown})"


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    del value
    raise FrozenInstanceError(f"cannot assign to {name!r} of a {self.__class__.__qualname__}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete {name!r} of a {self.__class__.__qualname__}")


def _set(self: object, state: tuple[None, dict[str, object]]) -> None:
    """Fill the slots of a copy."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)
