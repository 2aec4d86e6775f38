"""The canonical ledger: what is compared when two runs must be the same run (rule 23).

Epochs, row ids, wall times, venue ids and retries stand outside; what is left are the trades and the equity.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.domain.orders import Side


class CanonicalFill(NamedTuple):
    """One trade of one bot. `number` is the request's number, or `G…` for an order of the gateway."""

    market_us: int
    bot: BotKey
    number: str
    symbol: Symbol
    side: Side
    price_ticks: int
    lots: int
    fee_atoms: int
    fee_asset: str


class CanonicalEquity(NamedTuple):
    """A bot's equity in quote atoms after one step."""

    market_us: int
    bot: BotKey
    equity_atoms: int


def canonical_lines(fills: Iterable[CanonicalFill], equity: Iterable[CanonicalEquity]) -> list[str]:
    """Return the canonical ledger as sorted text lines, one a fill and one an equity figure."""
    lines = [
        f"{fill.market_us:020d} fill {fill.bot} {fill.number} {fill.symbol} {fill.side} "
        f"{fill.price_ticks} {fill.lots} {fill.fee_atoms} {fill.fee_asset}"
        for fill in fills
    ]
    lines += [f"{point.market_us:020d} equity {point.bot} {point.equity_atoms}" for point in equity]
    return sorted(lines)


def canonical_hash(lines: Iterable[str]) -> str:
    """Return the SHA-256 of canonical lines, in hex."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()
