"""The double-entry ledger: what does not balance is refused, and no wallet goes below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.errors import LedgerImbalance
from tradefleet.domain.ledger import Book, Posting, Wallet, check_balanced

ASSETS = st.sampled_from(["BTC", "USD", "ETH"])
POSTINGS = st.lists(st.builds(Posting, st.sampled_from(Book), ASSETS, st.integers(-50, 50)), max_size=8)
FUNDS = st.dictionaries(ASSETS, st.integers(0, 100))


def sums(postings: list[Posting]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for posting in postings:
        totals[posting.asset] = totals.get(posting.asset, 0) + posting.atoms
    return totals


@given(POSTINGS)
def test_exactly_the_postings_that_sum_to_zero_per_asset_are_balanced(postings: list[Posting]) -> None:
    unbalanced = {asset: total for asset, total in sums(postings).items() if total}
    if not unbalanced:
        check_balanced("t1", postings)
    else:
        with pytest.raises(LedgerImbalance) as caught:
            check_balanced("t1", postings)
        asset, total = next(iter(unbalanced.items()))
        assert str(caught.value) == f"ledger transaction t1: {asset} sums to {total} atoms, must be 0"


@given(FUNDS, FUNDS, POSTINGS)
def test_a_wallet_takes_all_postings_or_none(
    free: dict[str, int], locked: dict[str, int], postings: list[Posting]
) -> None:
    wallet = Wallet(free, locked)
    wanted_free, wanted_locked = dict(free), dict(locked)
    for posting in postings:
        if posting.book is Book.FREE:
            wanted_free[posting.asset] = wanted_free.get(posting.asset, 0) + posting.atoms
        if posting.book is Book.LOCKED:
            wanted_locked[posting.asset] = wanted_locked.get(posting.asset, 0) + posting.atoms
    if min([0, *wanted_free.values(), *wanted_locked.values()]) < 0:
        with pytest.raises(LedgerImbalance, match=r"ledger transaction t1: (FREE|LOCKED) .* would be -"):
            wallet.apply("t1", postings)
        assert (wallet.free, wallet.locked) == (free, locked)
    else:
        wallet.apply("t1", postings)
        assert (wallet.free, wallet.locked) == (wanted_free, wanted_locked)
        for asset in ("BTC", "USD", "ETH"):
            assert wallet.total(asset) == wanted_free.get(asset, 0) + wanted_locked.get(asset, 0)


def test_a_wallet_does_not_share_the_books_it_was_made_from() -> None:
    free = {"USD": 5}
    Wallet(free).apply("t1", [Posting(Book.FREE, "USD", 5)])
    assert free == {"USD": 5}
