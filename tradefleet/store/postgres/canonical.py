"""The canonical ledger of a fleet as Postgres holds it (rule 23)."""

from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill, canonical_lines
from tradefleet.domain.orders import Side
from tradefleet.store.postgres.session import Session

_FILLS = """
SELECT market_us, bot, number, symbol, side, price_ticks, lots, fee_atoms, fee_asset
FROM tradefleet.fill WHERE fleet = %(fleet)s
"""
_EQUITY = "SELECT market_us, bot, equity_atoms FROM tradefleet.statistics WHERE fleet = %(fleet)s"


def read_canonical_lines(session: Session) -> list[str]:
    """Return the canonical ledger's lines, sorted: every fill and every equity figure of the fleet's bots."""
    parameters = {"fleet": session.fleet}
    fills = [
        CanonicalFill(row[0], row[1], row[2], row[3], Side(row[4]), row[5], row[6], int(row[7]), row[8])
        for row in session.read(_FILLS, parameters)
    ]
    equity = [CanonicalEquity(row[0], row[1], int(row[2])) for row in session.read(_EQUITY, parameters)]
    return canonical_lines(fills, equity)
