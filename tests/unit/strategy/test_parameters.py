import pytest

from tradefleet.domain.errors import InvalidValue
from workloads.strategy.api import Strategy, param, state


class Trend(Strategy):
    """Follow the trend.

    More words.
    """

    fast: int = param(10, ge=2, le=200, doc="bars of the fast average")
    part: float = param(0.5, ge=0, le=1)
    exit: str = param("middle", choices=("middle", "upper"))
    eager: bool = param(False)


def test_defaults_hold_where_nothing_is_given():
    trend = Trend()
    assert (trend.fast, trend.part, trend.exit, trend.eager) == (10, 0.5, "middle", False)


def test_a_whole_number_is_taken_as_float_where_one_is_due():
    part = Trend(part=1).part
    assert part == 1.0
    assert type(part) is float


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fast": 1}, "strategy Trend: parameter fast must be >= 2, was 1"),
        ({"fast": 201}, "strategy Trend: parameter fast must be <= 200, was 201"),
        ({"fast": 2.0}, "strategy Trend: parameter fast must be of type int, was 2.0"),
        ({"fast": True}, "strategy Trend: parameter fast must be of type int, was True"),
        ({"fast": "7"}, "strategy Trend: parameter fast must be of type int, was '7'"),
        ({"part": float("nan")}, "strategy Trend: parameter part must be a finite number, was nan"),
        ({"exit": "lower"}, "strategy Trend: parameter exit must be one of 'middle', 'upper', was 'lower'"),
        ({"eager": 1}, "strategy Trend: parameter eager must be of type bool, was 1"),
        (
            {"fats": 3},
            "strategy Trend: unknown parameter 'fats': did you mean fast? its parameters are: fast, part, exit, eager",
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_its_rule_and_value(given, message):
    with pytest.raises(InvalidValue) as caught:
        Trend(**given)
    assert str(caught.value) == message


def test_a_parameter_cannot_be_changed_later():
    with pytest.raises(InvalidValue, match="parameter fast is fixed"):
        Trend().fast = 3


def test_a_parameter_without_a_usable_annotation_is_refused_by_name():
    class Loose(Strategy):
        speed = param(3)

    with pytest.raises(InvalidValue, match="parameter speed needs an annotation"):
        Loose()


def test_annotations_as_strings_are_understood():
    class Later(Strategy):
        speed: "int" = param(3, ge=1)

    assert Later(speed=4).speed == 4


def test_a_subclass_may_pin_a_parameter():
    class Fixed(Trend):
        fast = 5

    assert Fixed().fast == 5
    with pytest.raises(InvalidValue, match="unknown parameter 'fast'"):
        Fixed(fast=6)


def test_a_name_of_the_api_cannot_be_declared():
    with pytest.raises(InvalidValue, match="position is a name of the strategy API"):

        class Hiding(Strategy):
            position: int = state(0)


def test_the_description_has_documentation_and_rules():
    described = Trend.describe()
    assert described.name == "Trend"
    assert described.doc.startswith("Follow the trend.\n\nMore words.")
    assert [(one.name, one.type, one.default, one.rule, one.doc) for one in described.parameters] == [
        ("fast", "int", 10, "2 to 200", "bars of the fast average"),
        ("part", "float", 0.5, "0 to 1", ""),
        ("exit", "str", "middle", "middle or upper", ""),
        ("eager", "bool", False, "any", ""),
    ]


def test_a_strategy_without_a_bot_says_so_when_it_acts():
    with pytest.raises(InvalidValue, match="strategy Trend: is not run by a bot yet"):
        Trend().buy()
