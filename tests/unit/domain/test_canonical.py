"""The canonical ledger: the same trades in any order give the same hash, and any changed figure another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill, canonical_hash, canonical_lines
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.domain.orders import Side

FILLS = st.lists(
    st.builds(
        CanonicalFill,
        market_us=st.integers(0, 2**62),
        bot=st.sampled_from([BotKey("default/a"), BotKey("default/b")]),
        number=st.sampled_from(["1", "2", "G1"]),
        symbol=st.sampled_from([Symbol("BTC-USD"), Symbol("LTC-USD")]),
        side=st.sampled_from(Side),
        price_ticks=st.integers(1, 10**9),
        lots=st.integers(1, 10**9),
        fee_atoms=st.integers(-(10**9), 10**9),
        fee_asset=st.sampled_from(["USD", "BTC"]),
    ),
    max_size=6,
)
EQUITY = st.lists(
    st.builds(
        CanonicalEquity,
        market_us=st.integers(0, 2**62),
        bot=st.sampled_from([BotKey("default/a"), BotKey("default/b")]),
        equity_atoms=st.integers(0, 10**20),
    ),
    max_size=6,
)

ONE_FILL = CanonicalFill(5, BotKey("default/a"), "7", Symbol("BTC-USD"), Side.BUY, 100, 3, 2, "USD")


@given(FILLS, EQUITY, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(fills: list[Any], equity: list[Any], random: Any) -> None:
    before = canonical_hash(canonical_lines(fills, equity))
    random.shuffle(fills)
    random.shuffle(equity)
    assert canonical_hash(canonical_lines(fills, equity)) == before


@given(FILLS, EQUITY)
def test_no_two_lines_melt_into_one(fills: list[CanonicalFill], equity: list[CanonicalEquity]) -> None:
    lines = canonical_lines(fills, equity)
    assert len(lines) == len(fills) + len(equity)
    assert len(set(lines)) == len(set(fills)) + len(set(equity))


@pytest.mark.parametrize(
    "changes",
    [
        {"market_us": 6},
        {"bot": BotKey("default/b")},
        {"number": "G7"},
        {"symbol": Symbol("LTC-USD")},
        {"side": Side.SELL},
        {"price_ticks": 101},
        {"lots": 4},
        {"fee_atoms": 1},
        {"fee_asset": "BTC"},
    ],
)
def test_one_changed_figure_changes_the_hash(changes: dict[str, Any]) -> None:
    assert canonical_hash(canonical_lines([ONE_FILL], [])) != canonical_hash(
        canonical_lines([ONE_FILL._replace(**changes)], [])
    )


def test_lines_are_sorted_by_time_and_readable() -> None:
    lines = canonical_lines([ONE_FILL._replace(market_us=10)], [CanonicalEquity(9, BotKey("default/a"), 77)])
    assert lines == [
        "00000000000000000009 equity default/a 77",
        "00000000000000000010 fill default/a 7 BTC-USD BUY 100 3 2 USD",
    ]
