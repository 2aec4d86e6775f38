import pytest

from tradefleet.cli.inside import named
from tradefleet.domain.errors import Permanent


def test_bots_are_named_by_uid_and_name():
    assert named(["u-1=default/alpha", "u-2=default/beta"]) == {"u-1": "default/alpha", "u-2": "default/beta"}


@pytest.mark.parametrize("word", ["u-1", "u-1=", "=default/alpha"])
def test_half_a_name_is_refused(word: str):
    with pytest.raises(Permanent, match="UID=NAMESPACE/NAME"):
        named([word])
