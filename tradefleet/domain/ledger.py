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
    EXTERNAL = "EXTERNAL"  # where wallets are filled from


class EntryKind(StrEnum):
    """What a transaction was for."""

    DEPOSIT = "DEPOSIT"
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
        free: dict[str, int] = {}  # what the changed assets come to
        locked: dict[str, int] = {}
        for posting in postings:
            book, asset = posting.book, posting.asset
            if book is Book.FREE:
                free[asset] = free.get(asset, self.free.get(asset, 0)) + posting.atoms
            elif book is Book.LOCKED:
                locked[asset] = locked.get(asset, self.locked.get(asset, 0)) + posting.atoms
        for book, found in ((Book.FREE, free), (Book.LOCKED, locked)):
            for asset, atoms in found.items():
                if atoms < 0:
                    raise LedgerImbalance(f"ledger transaction {reference}: {book} {asset} would be {atoms} atoms")
        self.free.update(free)
        self.locked.update(locked)

    def total(self, asset: str) -> int:
        """Return free plus locked atoms of `asset`."""
        return self.free.get(asset, 0) + self.locked.get(asset, 0)
