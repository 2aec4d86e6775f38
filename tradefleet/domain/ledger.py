"""The double-entry ledger: every movement of money is a transaction whose postings sum to zero per asset."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from tradefleet.domain.errors import LedgerImbalance
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey


class Book(StrEnum):
    """The accounts of one bot. FREE and LOCKED are its wallet and never negative; the others mirror the world."""

    FREE = "FREE"  # can be spent
    LOCKED = "LOCKED"  # reserved for open orders
    TRADE = "TRADE"  # what the other sides of its trades received (positive) and gave (negative)
    FEE = "FEE"  # what the venue received in fees
    EXTERNAL = "EXTERNAL"  # where wallets are filled from and emptied to


class EntryKind(StrEnum):
    """What a transaction was for."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    RESERVE = "RESERVE"
    RELEASE = "RELEASE"
    TRADE = "TRADE"


@frozen(kw_only=False)
class Posting:
    """`atoms` of `asset` moved into (positive) or out of (negative) one book of a bot."""

    book: Book
    asset: str
    atoms: int


@frozen()
class LedgerEntry:
    """One transaction. `seq` is gapless per bot; `reference` names the order, the trade or the deposit behind it."""

    bot: BotKey
    seq: int
    kind: EntryKind
    reference: str
    market_us: int
    postings: tuple[Posting, ...]


def check_balanced(reference: str, postings: Sequence[Posting]) -> None:
    """Raise LedgerImbalance, naming asset and sum, unless the postings sum to zero for each asset."""
    sums: dict[str, int] = {}
    for posting in postings:
        sums[posting.asset] = sums.get(posting.asset, 0) + posting.atoms
    for asset, total in sums.items():
        if total:
            raise LedgerImbalance(f"ledger transaction {reference}: {asset} sums to {total} atoms, must be 0")


class Wallet:
    """Free and locked atoms per asset of one bot. Refuses to go below zero; every change is a balanced entry."""

    __slots__ = ("free", "locked")

    def __init__(self, free: dict[str, int] | None = None, locked: dict[str, int] | None = None) -> None:
        self.free = dict(free or {})
        self.locked = dict(locked or {})

    def apply(self, reference: str, postings: Iterable[Posting]) -> None:
        """Post to FREE and LOCKED; the other books are only written down. Raises LedgerImbalance, changing nothing."""
        changes: dict[tuple[Book, str], int] = {}
        for posting in postings:
            if posting.book is Book.FREE or posting.book is Book.LOCKED:
                place = (posting.book, posting.asset)
                changes[place] = changes.get(place, 0) + posting.atoms
        for (book, asset), atoms in changes.items():
            found = self._side(book).get(asset, 0) + atoms
            if found < 0:
                raise LedgerImbalance(f"ledger transaction {reference}: {book} {asset} would be {found} atoms")
        for (book, asset), atoms in changes.items():
            side = self._side(book)
            side[asset] = side.get(asset, 0) + atoms

    def _side(self, book: Book) -> dict[str, int]:
        return self.free if book is Book.FREE else self.locked

    def total(self, asset: str) -> int:
        """Return free plus locked atoms of `asset`."""
        return self.free.get(asset, 0) + self.locked.get(asset, 0)
