"""The scalar types of the custom resources: each checks one value, explains itself, and knows its CRD schema.

Amounts, prices and shares are decimal strings (or whole numbers), never floats: 0.1 read as a binary float is not
0.1, and a fleet's money must be exact. Text types carry the pattern that the API server checks as well.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tradefleet.domain.bots import ParameterValue

INTEGER_MAX = 2**53 - 1  # the largest whole number that every JSON reader keeps exactly
DECIMAL_LENGTH_MAX = 40  # sign, 20 digits, point, 18 decimals
DIGITS_MAX = 20  # numeric(38, 18) holds 20 digits before the point
DECIMALS_MAX = 18

INTEGER_OR_TEXT = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}

_DURATION_UNITS_US = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}

_NOT_ON_CALENDAR = "must be a day and time that exist, from 1970 on"

ItemT = TypeVar("ItemT")


def wrong_value(message: str) -> PydanticCustomError:
    """Return the error of a value type. `message` says what the value must be, in words a trader understands."""
    return PydanticCustomError("wrong_value", "{message}", {"message": message})


def whole_number(value: object) -> object:
    """Return 5.0 as 5, which it is in JSON; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, slots=True, kw_only=True)
class DecimalNumber:
    """An exact decimal: written as a string or a whole number, a `Decimal` inside, a string when dumped.

    `noun` says in the error message what it is. Bounds are inclusive but for `above`. `decimals` is the finest place
    allowed, so that the machines' integers (parts per million, atoms) hold every value that was accepted.
    """

    noun: str
    example: str
    decimals: int = DECIMALS_MAX
    above: int | None = None
    at_least: int | None = None
    at_most: int | None = None

    def parse(self, value: object) -> Decimal:
        """Return `value` as a Decimal. Raises a pydantic error that says why a float is refused."""
        if isinstance(value, float):
            raise wrong_value(
                f"must be {self.noun}, which is exact: a number with a point is read as a binary fraction, so put it "
                f'in quotes: "{value!r}"'
            )
        if isinstance(value, int) and not isinstance(value, bool):
            number = Decimal(value)
        elif isinstance(value, Decimal) and value.is_finite():
            number = value
        elif isinstance(value, str) and re.fullmatch(self.pattern.strip("^$"), value, re.ASCII):
            number = Decimal(value)
        else:
            raise wrong_value(self.expected)
        return self._within_bounds(number)

    def _within_bounds(self, number: Decimal) -> Decimal:
        too_fine = int(number.as_tuple().exponent) < -self.decimals
        too_low = (self.above is not None and number <= self.above) or (
            self.at_least is not None and number < self.at_least
        )
        too_high = (self.at_most is not None and number > self.at_most) or abs(number) >= 10**DIGITS_MAX
        if too_fine or too_low or too_high:
            raise wrong_value(self.expected)
        return number

    @property
    def signed(self) -> bool:
        """Whether a minus sign is allowed."""
        return (self.above is None or self.above < 0) and (self.at_least is None or self.at_least < 0)

    @property
    def pattern(self) -> str:
        """The regular expression of the string form, the same in Python and in the CRD."""
        return f"^{'-?' if self.signed else ''}[0-9]{{1,{DIGITS_MAX}}}([.][0-9]{{1,{self.decimals}}})?$"

    @property
    def bounds(self) -> str:
        """The bounds in words: `above 0 and at most 100`; empty when there are none."""
        parts = [
            f"{word} {bound}"
            for word, bound in (("above", self.above), ("at least", self.at_least), ("at most", self.at_most))
            if bound is not None
        ]
        return " and ".join(parts)

    @property
    def expected(self) -> str:
        """The rule as one sentence without its full stop."""
        bounds = f" {self.bounds}" if self.bounds else ""
        return (
            f"must be {self.noun}{bounds}, whole or a decimal in quotes with at most {self.decimals} decimals, such as "
            f'"{self.example}"'
        )

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(_as_written, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described: dict[str, Any] = {**INTEGER_OR_TEXT, "pattern": self.pattern, "maxLength": DECIMAL_LENGTH_MAX}
        checks = [
            f"double(self) {sign} {float(bound)}"
            for sign, bound in ((">", self.above), (">=", self.at_least), ("<=", self.at_most))
            if bound is not None
        ]
        if checks:
            described["x-kubernetes-validations"] = [{"rule": " && ".join(checks), "message": self.expected}]
        return described


def _as_written(number: Decimal) -> str:
    """Return `number` in plain digits, all that its author wrote: a resource comes back as it was applied."""
    return format(number, "f")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string of a known shape. `rule` ends the sentence "must be …" of the error message.

    With `or_integer`, a whole number of at least that size may stand in its place, and becomes its text.
    """

    pattern: str
    rule: str
    length_max: int
    or_integer: int | None = None

    def parse(self, value: object) -> str:
        """Return `value` when it has the shape. Raises a pydantic error otherwise."""
        whole = whole_number(value)
        if self.or_integer is not None and isinstance(whole, int) and not isinstance(whole, bool):
            if whole < self.or_integer:
                raise wrong_value(f"must be {self.rule}")
            return str(whole)
        if not isinstance(value, str):
            raise wrong_value(f"must be {self.rule}; it is read as a {_yaml_name(value)}, so write it in quotes")
        # `$` in Python also matches before a final line break, so the whole text is matched instead.
        if len(value) > self.length_max or not re.fullmatch(self.pattern.strip("^$"), value, re.ASCII):
            raise wrong_value(f"must be {self.rule}")
        return value

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shape: dict[str, Any] = {"type": "string"} if self.or_integer is None else dict(INTEGER_OR_TEXT)
        if self.or_integer is not None:
            shape["minimum"] = self.or_integer
        return {**shape, "pattern": self.pattern, "maxLength": self.length_max}


def _yaml_name(value: object) -> str:
    """Return what YAML calls the type of `value`."""
    names = {bool: "boolean", int: "number", float: "number", list: "list", dict: "mapping"}
    return names.get(type(value), type(value).__name__)


class _Parameter:
    """A strategy parameter: a number, text, true or false; its meaning and range belong to the strategy.

    A float without a fraction becomes a whole number, as it does on its way through the API server: otherwise 2.0
    would have another digest in a cluster than on one machine.
    """

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"x-kubernetes-preserve-unknown-fields": True}

    @staticmethod
    def _parse(value: object) -> ParameterValue:
        number = whole_number(value)
        if not isinstance(number, (bool, int, float, str)):
            raise wrong_value(f"must be a number, text, true or false, not a {_yaml_name(value)}")
        if isinstance(number, float) and not math.isfinite(number):
            raise wrong_value("must be a finite number")
        if isinstance(number, int) and abs(number) > INTEGER_MAX:
            raise wrong_value(f"must be a number of at most {INTEGER_MAX}")
        return number


def duration_us(text: str) -> int:
    """Return the microseconds of a `Duration` that was checked on creation."""
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * _DURATION_UNITS_US[unit]


def instant_us(text: str) -> int:
    """Return an `Instant` in UTC microseconds since 1970. Raises ValueError for a day that does not exist."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000


class _ExistingInstant(Text):
    """An instant must have the shape, and be on the calendar from 1970 on."""

    __slots__ = ()

    def parse(self, value: object) -> str:
        """Return `value` when it is a moment. Raises a pydantic error otherwise."""
        text = Text.parse(self, value)
        try:
            exists = instant_us(text) >= 0
        except ValueError:
            exists = False
        if not exists:
            raise wrong_value(_NOT_ON_CALENDAR)
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        check = "timestamp(size(self) == 10 ? self + 'T00:00:00Z' : self) >= timestamp('1970-01-01T00:00:00Z')"
        described = Text.__get_pydantic_json_schema__(self, schema, handler)
        return {**described, "x-kubernetes-validations": [{"rule": check, "message": _NOT_ON_CALENDAR}]}


@dataclass(frozen=True, slots=True)
class Distinct:
    """No two items of the list are alike; with `key`, no two have the same value of that field.

    In the CRD the list is a set, or a map by `key`: server-side apply then merges it item by item.
    """

    key: str | None = None

    def check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return `items` as they are. Raises a pydantic error that names the first one that is there twice."""
        seen = set()
        for item in items:
            value = item if self.key is None else getattr(item, self.key)
            if value in seen:
                raise wrong_value(f"must name each {self.key or 'item'} once, {value} is there twice")
            seen.add(value)
        return items

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler.resolve_ref_schema(handler(schema))
        described["x-kubernetes-list-type"] = "set" if self.key is None else "map"
        if self.key is not None:
            described["x-kubernetes-list-map-keys"] = [self.key]
        return described


# YAML lists: inside they are tuples, so that a resource cannot change under its readers.
Many = Annotated[tuple[ItemT, ...], Strict(False)]
ManyDistinct = Annotated[tuple[ItemT, ...], Strict(False), Distinct()]

Amount = Annotated[Decimal, DecimalNumber(noun="an amount", example="250.5", at_least=0)]
PositiveAmount = Annotated[Decimal, DecimalNumber(noun="an amount", example="0.01", above=0)]
Share = Annotated[Decimal, DecimalNumber(noun="a share", example="0.25", decimals=6, above=0, at_most=1)]
Multiple = Annotated[Decimal, DecimalNumber(noun="a multiple", example="1.5", decimals=6, above=0, at_most=1000)]
Percent = Annotated[Decimal, DecimalNumber(noun="a percentage", example="2.5", decimals=4, above=0, at_most=100)]
GainPercent = Annotated[Decimal, DecimalNumber(noun="a percentage", example="15", decimals=4, above=0, at_most=100_000)]
FeeBps = Annotated[
    Decimal, DecimalNumber(noun="a fee in basis points", example="7.5", decimals=2, at_least=-100, at_most=1000)
]
SlippageBps = Annotated[
    Decimal, DecimalNumber(noun="slippage in basis points", example="2", decimals=2, at_least=0, at_most=1000)
]
VolatilityPercent = Annotated[
    Decimal, DecimalNumber(noun="a percentage", example="60", decimals=4, at_least=0, at_most=1000)
]
SignedPercent = Annotated[
    Decimal, DecimalNumber(noun="a percentage", example="-5", decimals=4, at_least=-1000, at_most=1000)
]
SignedAmount = Annotated[Decimal, DecimalNumber(noun="an amount", example="-12.34")]

Whole = Annotated[int, Strict()]
Parameter = Annotated[ParameterValue, _Parameter()]

ParameterNumber = Annotated[Decimal, DecimalNumber(noun="a number", example="0.5", decimals=12)]

ResourceName = Annotated[
    str,
    Text(
        pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$",
        rule="lower-case letters, digits and '-', beginning with a letter, at most 50 of them",
        length_max=50,
    ),
]
KubernetesName = Annotated[
    str,
    Text(
        pattern="^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
        rule="the name of a Kubernetes object: lower-case letters, digits, '-' and '.'",
        length_max=253,
    ),
]
NameSuffix = Annotated[
    str,
    Text(
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        rule="lower-case letters, digits and '-', at most 30 of them",
        length_max=30,
    ),
]
Asset = Annotated[
    str, Text(pattern="^[A-Za-z0-9]{1,20}$", rule="the name of an asset, such as BTC or USD", length_max=20)
]
InstrumentSymbol = Annotated[
    str,
    Text(
        pattern="^[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){1,2}$",
        rule="an instrument written BASE-QUOTE, such as BTC-USD",
        length_max=62,
    ),
]
VenueName = Annotated[
    str,
    Text(pattern="^[a-z0-9]+$", rule="simulator, or the ccxt id of an exchange, such as binance", length_max=40),
]
Interval = Annotated[
    str,
    Text(pattern="^[1-9][0-9]{0,4}[smhdw]$", rule="the length of a bar, such as 1m, 5m, 1h or 1d", length_max=6),
]
Duration = Annotated[
    str,
    Text(
        pattern="^[0-9]{1,9}(ms|s|m|h|d)$",
        rule="a duration: a whole number and one of ms, s, m, h, d, such as 90s or 10m",
        length_max=11,
    ),
]
Speed = Annotated[
    str,
    Text(
        pattern="^(lockstep|max|[1-9][0-9]{0,4}([.][0-9]{1,3})?x)$",
        rule="lockstep, max, or a multiple of real time such as 60x",
        length_max=10,
    ),
]
Instant = Annotated[
    str,
    _ExistingInstant(
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$",
        rule="a UTC day or time, such as 2018-04-04 or 2018-04-04T12:30:00Z",
        length_max=20,
    ),
]
StrategyName = Annotated[
    str,
    Text(
        pattern="^([a-z][a-z0-9-]*|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$",
        rule="a built-in strategy, such as sma-cross, or your own class written module:Class",
        length_max=200,
    ),
]
PluginName = Annotated[
    str,
    Text(
        pattern="^([a-z][a-z0-9-]*|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$",
        rule="a built-in source, or your own class written module:Class",
        length_max=200,
    ),
]
ParameterName = Annotated[
    str,
    Text(pattern="^[A-Za-z_][A-Za-z0-9_]*$", rule="the name of a strategy's parameter", length_max=60),
]
EnvironmentName = Annotated[
    str,
    Text(pattern="^[A-Za-z_][A-Za-z0-9_]*$", rule="the name of an environment variable", length_max=200),
]
Quantity = Annotated[
    str,
    Text(
        pattern="^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
        rule="a Kubernetes quantity, such as 250m or 128Mi",
        length_max=30,
        or_integer=0,
    ),
]
CountOrPercent = Annotated[
    str,
    Text(
        pattern="^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)$",
        rule="a whole number of at least 1, or a percentage such as 25%",
        length_max=6,
        or_integer=1,
    ),
]
