import copy
import dataclasses
from dataclasses import FrozenInstanceError, field

import msgspec
import pytest

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.frozen import frozen


@frozen()
class Size:
    """Some lots, and what follows from them."""

    lots: int
    unit: str = "lot"
    tags: dict[str, int] = field(default_factory=dict)
    doubled: int = field(init=False)

    def __post_init__(self) -> None:
        if self.lots <= 0:
            raise InvalidValue(f"lots must be > 0, was {self.lots}")
        object.__setattr__(self, "doubled", 2 * self.lots)


@frozen(kw_only=False)
class Place:
    """Where something is."""

    row: int
    column: int = 0


@frozen(kw_only=False)
class Seat:
    """As many fields as a place, but no place."""

    row: int
    column: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """What the standard library makes."""

    row: int
    column: int = 0


def test_fields_defaults_and_derived_fields_are_as_declared() -> None:
    size = Size(lots=3)

    assert (size.lots, size.unit, size.tags, size.doubled) == (3, "lot", {}, 6)
    assert Size(lots=1).tags is not size.tags


def test_every_value_is_checked_on_creation_not_only_the_first() -> None:
    for _ in range(2):
        with pytest.raises(InvalidValue):
            Size(lots=0)
        assert Size(lots=1).doubled == 2


def test_values_are_equal_when_class_and_fields_are() -> None:
    assert Place(1, 2) == Place(1, 2)
    assert Place(1, 2) != Place(1, 3)
    assert Place(1, 2) != Seat(1, 2)
    assert Place(1, 2) != (1, 2)


def test_equal_values_have_the_same_hash() -> None:
    assert {Place(1, 2), Place(1, 2), Place(2, 1)} == {Place(2, 1), Place(1, 2)}
    with pytest.raises(TypeError):  # as with the standard library: one of its fields has no hash
        hash(Size(lots=1))


def test_a_value_cannot_be_changed() -> None:
    place = Place(1)

    with pytest.raises(FrozenInstanceError):
        place.row = 2
    with pytest.raises(FrozenInstanceError):
        place.other = 2
    with pytest.raises(FrozenInstanceError):
        del place.row
    assert place == Place(1)
    assert not hasattr(place, "__dict__")


@pytest.mark.parametrize("cls", [Place, Model])
def test_wrong_arguments_are_refused_as_by_the_standard_library(cls: type) -> None:
    for _ in range(2):
        with pytest.raises(
            TypeError, match=rf"{cls.__name__}.__init__\(\) missing 1 required positional argument: 'row'"
        ):
            cls()
        with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
            cls(row=1, depth=2)


def test_fields_are_given_by_name_unless_position_is_allowed() -> None:
    with pytest.raises(TypeError, match="positional"):
        Size(3)
    assert Place(1, 2) == Place(row=1, column=2)


def test_a_value_shows_its_class_and_fields() -> None:
    assert repr(Place(1, 2)) == "Place(row=1, column=2)"
    assert repr(Place(1, 2)) == repr(Model(1, 2)).replace("Model", "Place")


def test_the_standard_library_takes_a_value_for_a_dataclass() -> None:
    place = Place(1, 2)

    assert dataclasses.replace(place, row=5) == Place(5, 2)
    assert dataclasses.asdict(place) == {"row": 1, "column": 2}
    assert [each.name for each in dataclasses.fields(Size)] == ["lots", "unit", "tags", "doubled"]
    with pytest.raises(InvalidValue):
        dataclasses.replace(Size(lots=1), lots=0)


def test_a_copy_is_equal() -> None:
    size = Size(lots=2, tags={"a": 1})

    assert copy.copy(size) == size
    assert copy.deepcopy(size) == size
    assert copy.deepcopy(size).tags is not size.tags


def test_msgspec_writes_and_reads_a_value() -> None:
    written = msgspec.json.encode(Place(1, 2))

    assert written == b'{"row":1,"column":2}'
    assert msgspec.json.decode(written, type=Place) == Place(1, 2)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"row":"x"}', type=Place)


def test_a_value_is_matched_by_its_fields() -> None:
    match Place(1, 2):
        case Place(row, column=2):
            assert row == 1
        case _:
            pytest.fail("it is a place in column 2")
