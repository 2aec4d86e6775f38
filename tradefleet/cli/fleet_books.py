"""What `describe` shows of a bot's books: open orders, last fills, wallet."""

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tradefleet.cli import printing
from tradefleet.domain.money import from_atoms, plain_decimal
from tradefleet.domain.times import format_time

if TYPE_CHECKING:
    from tradefleet.store.postgres.session import Session

FILLS: Final = 10

_OPEN: Final = """
SELECT client_order_id, orders.symbol, side, type, lots * lot, filled_lots * lot, price_ticks * tick, status, created_us
FROM tradefleet.trade_order AS orders LEFT JOIN tradefleet.instrument ON instrument.fleet = orders.fleet
    AND instrument.symbol = orders.symbol AND instrument.exchange = split_part(orders.account, ':', 1)
WHERE orders.fleet = %(fleet)s AND uid = %(uid)s AND is_open ORDER BY event_no"""
_FILLS: Final = """
SELECT market_us, number, fill.symbol, side, lots * lot, price_ticks * tick, fee_atoms, fee_asset,
    split_part(fill.account, ':', 1)
FROM tradefleet.fill LEFT JOIN tradefleet.instrument ON instrument.fleet = fill.fleet
    AND instrument.symbol = fill.symbol AND instrument.exchange = split_part(fill.account, ':', 1)
WHERE fill.fleet = %(fleet)s AND uid = %(uid)s ORDER BY market_us DESC, event_no DESC LIMIT %(limit)s"""
_BOOKS: Final = """
SELECT split_part(account, ':', 1), value FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND key = %(key)s"""
_SCALES: Final = "SELECT exchange, asset, scale FROM tradefleet.asset_scale WHERE fleet = %(fleet)s"


def print_books(session: "Session", uid: str) -> None:
    """Print a bot's open orders, its last fills and its wallet, in the units of the market."""
    fleet = session.fleet
    scales = {(exchange, asset): scale for exchange, asset, scale in session.read(_SCALES, {"fleet": fleet})}
    orders = session.read(_OPEN, {"fleet": fleet, "uid": uid})
    if orders:
        sys.stdout.write("\n")
        printing.print_rows(
            ["Order", "Instrument", "Side", "Type", "Size", "Filled", "Price", "Status", "Since"],
            [[*map(_text, row[:8]), format_time(row[8])] for row in orders],
            numbers=(4, 5, 6),
            title="Open orders",
        )
    fills = session.read(_FILLS, {"fleet": fleet, "uid": uid, "limit": FILLS})
    if fills:
        sys.stdout.write("\n")
        printing.print_rows(
            ["Time", "Order", "Instrument", "Side", "Size", "Price", "Fee", "Asset"],
            [
                [format_time(row[0]), *map(_text, row[1:6]), _amount(row[6], scales.get((row[8], row[7]))), row[7]]
                for row in fills
            ],
            numbers=(4, 5, 6),
            title="Last fills",
        )
    for exchange, blob in session.read(_BOOKS, {"fleet": fleet, "key": f"bot/{uid}"}):
        books = json.loads(blob)
        assets = sorted({*books["free"], *books["locked"]})
        rows = []
        for asset in assets:
            scale = scales.get((exchange, asset))
            rows.append([asset, *(_amount(books[part].get(asset, 0), scale) for part in ("free", "locked"))])
        sys.stdout.write("\n")
        printing.print_rows(["Asset", "Free", "Locked"], rows, numbers=(1, 2), title="Wallet")


def _amount(atoms: int | Decimal, scale: int | None) -> str:
    """Return an amount; in atoms, and said so, while nobody has listed its asset."""
    return f"{int(atoms)} atoms" if scale is None else _text(from_atoms(int(atoms), scale))


def _text(value: Any) -> str:  # noqa: ANN401 - any column
    """Return a value as a cell: numbers without zeros at their end, nothing for NULL."""
    if isinstance(value, Decimal):
        return plain_decimal(value)
    return "" if value is None else str(value)
