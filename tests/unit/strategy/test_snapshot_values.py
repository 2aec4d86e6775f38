import json
import math
from collections import deque
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workloads.strategy.snapshot_values import NotDeclarable, decode_value, encode_value

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(allow_nan=False)
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
values = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


def same(left, right):
    """Equal in value, type and order; NaN equals NaN, and -0.0 does not equal 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return all(map(same, left.items(), right.items())) and len(left) == len(right)
    return left == right


def as_a_column_gives_it_back(text):
    """Read JSON as jsonb does: keys sorted by length and bytes, and a number without a point is an integer."""

    def sort(pairs):
        return dict(sorted(pairs, key=lambda pair: (len(pair[0].encode()), pair[0].encode())))

    def number(digits):
        exact = Decimal(digits)
        whole = "e" in digits.lower() and exact == exact.to_integral_value()
        return int(exact) if whole else float(digits)

    return json.loads(text, object_pairs_hook=sort, parse_float=number, parse_constant=pytest.fail)


@given(values)
@example(1e16)
@example(-0.0)
@example(math.inf)
@example({"b": 1, "a": 2})
@example({"$float": "x"})
def test_what_goes_through_the_database_comes_back_equal(value):
    assert same(decode_value(as_a_column_gives_it_back(json.dumps(encode_value(value)))), value)


@pytest.mark.parametrize("value", [object(), {1, 2}, deque([1]), [b"x"], {"a": lambda: 0}])
def test_other_types_are_refused(value):
    with pytest.raises(NotDeclarable):
        encode_value(value)
