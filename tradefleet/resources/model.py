"""The base of every resource model, and the rules that one object can break by itself.

A rule is written once and stands in two places: its Python method checks a resource wherever it is read, its CEL
expression becomes `x-kubernetes-validations` in the CRD, so that the API server refuses the same object with the
same words. The tests hold the two together. CEL cannot see the free-form parameters of strategies; rules about those
have no CEL side, and what breaks them is shown in the resource's status instead.
"""

import builtins
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError

from tradefleet.resources.values import Distinct, whole_number

ModelT = TypeVar("ModelT", bound="Model")

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[ModelT]):
    """What must hold within one object. `field` (as in YAML, dots between) is where the error is shown."""

    cel: str | None
    message: str
    field: str
    holds: Callable[[ModelT], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(Generic[ModelT]):
    """What a change may not do. `allows` gets the new model and the old one."""

    cel: str
    message: str
    field: str
    allows: Callable[[ModelT, ModelT], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """One rule that does not hold: where (field names as in YAML) and why."""

    path: FieldPath
    message: str


def rule(*, cel: str | None, message: str, field: str = "") -> Callable[[Callable[[ModelT], bool]], Rule[ModelT]]:
    """Make a method of a model the Python side of a rule whose CEL side is `cel`."""
    return lambda holds: Rule(cel=cel, message=message, field=field, holds=holds)


def transition(
    *, cel: str, message: str, field: str = ""
) -> Callable[[Callable[[ModelT, ModelT], bool]], Transition[ModelT]]:
    """Make a method (new, old) of a model the Python side of a rule about changes, `oldSelf` in CEL."""
    return lambda allows: Transition(cel=cel, message=message, field=field, allows=allows)


def format_path(path: FieldPath) -> str:
    """Return a field path as people write it: spec.instruments[1]."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def split_field(field: str) -> FieldPath:
    """Return the path of a rule's `field`: `matrix.strategies` is two steps, the empty text none."""
    return tuple(field.split(".")) if field else ()


class Model(BaseModel):
    """A part of a resource: strict, frozen, unknown fields refused; camelCase in YAML, snake_case in Python."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        ignored_types=(Rule, Transition),
    )

    rules: ClassVar[tuple[Rule[Any], ...]] = ()
    transitions: ClassVar[tuple[Transition[Any], ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - pydantic's own signature
        """Collect the rules of the class and of its bases, in the order in which they are written."""
        super().__pydantic_init_subclass__(**kwargs)
        members = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
        cls.rules = tuple(member for member in members.values() if isinstance(member, Rule))
        cls.transitions = tuple(member for member in members.values() if isinstance(member, Transition))

    @model_validator(mode="before")
    @classmethod
    def _read_as_the_api_server_does(cls, value: object) -> object:
        """Return the fields without those that are null, and whole numbers as such however they are written.

        A null field that the model does not have stays, to be refused like any other: it is a misspelt one.
        """
        if not isinstance(value, Mapping):
            return value
        fields = {key: info for name, info in cls.model_fields.items() for key in (name, info.alias)}
        return {
            name: _stored(item, fields[name].annotation) if name in fields else item
            for name, item in value.items()
            if item is not None or name not in fields
        }

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        broken = [BrokenRule(path=split_field(each.field), message=each.message) for each in self.broken_rules()]
        if broken:
            message = "; ".join(each.message for each in broken)
            raise PydanticCustomError("broken_rules", "{message}", {"message": message, "broken": broken})
        return self

    def broken_rules(self) -> list[Rule[Any]]:
        """Return the rules of this model that do not hold; those of nested models are checked by themselves."""
        return [each for each in self.rules if not each.holds(self)]

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return pydantic's schema with the rules of the model in CEL."""
        schema = handler.resolve_ref_schema(handler(core))
        every: tuple[Rule[Any] | Transition[Any], ...] = (*cls.rules, *cls.transitions)
        validations = [cel_validation(each, each.cel) for each in every if each.cel is not None]
        if validations:
            schema["x-kubernetes-validations"] = validations
        return schema


def _stored(value: object, annotation: object) -> object:
    """Return the value of a field as the API server keeps it."""
    match _kind_of(annotation):
        case builtins.int:
            return whole_number(value)
        case builtins.dict if isinstance(value, Mapping):
            return {name: item for name, item in value.items() if item is not None}
        case _:
            return value


def _kind_of(annotation: object) -> object:
    """Return the type behind an annotation: int for `Annotated[int, ...] | None`, dict for `dict[str, str]`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return next((_kind_of(each) for each in get_args(annotation) if each is not NoneType), None)
    return origin or annotation


def cel_validation(each: Rule[Any] | Transition[Any], cel: str) -> dict[str, str]:
    """Return a rule, written `cel`, as an entry of `x-kubernetes-validations`."""
    entry = {"rule": cel, "message": each.message}
    if each.field:
        entry["fieldPath"] = f".{each.field}"
    return entry


def refused_changes(old: Model, new: Model) -> list[BrokenRule]:
    """Return what the change from `old` to `new` may not do, as the API server would refuse it.

    Walks the models nested in each other, items of a list only when a key tells which was which before: that is what
    the API server does too.
    """
    return list(_refused(old, new, ()))


def _refused(old: Model, new: Model, path: FieldPath) -> Iterator[BrokenRule]:
    for each in new.transitions:
        if not each.allows(new, old):
            yield BrokenRule(path=(*path, *split_field(each.field)), message=each.message)
    for name, info in type(new).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        place = (*path, info.alias or name)
        if isinstance(before, Model) and isinstance(after, Model):
            yield from _refused(before, after, place)
        for key in (each.key for each in info.metadata if isinstance(each, Distinct) and each.key is not None):
            known = {getattr(item, key): item for item in before}
            for index, item in enumerate(after):
                if getattr(item, key) in known:
                    yield from _refused(known[getattr(item, key)], item, (*place, index))


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON is what it is
    """Return `value` without the fields that are null: the API server takes those for absent as well."""
    if isinstance(value, Mapping):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def same_amounts(new: Mapping[str, object], old: Mapping[str, object]) -> bool:
    """Return whether two maps of amounts are written alike: what `string()` of both sides compares in CEL."""
    return {key: str(value) for key, value in new.items()} == {key: str(value) for key, value in old.items()}
