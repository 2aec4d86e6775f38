"""What `describe` shows of a bot's books: open orders, last fills, wallet."""

import json
import sys
from typing import TYPE_CHECKING, Final

from tradefleet.cli import printing
from workloads.feeds.times import format_time

if TYPE_CHECKING:
    from tradefleet.store.postgres.session import Session

FILLS: Final = 10

_OPEN: Final = """
SELECT client_order_id, symbol, side, type, lots, filled_lots, price_ticks, status, created_us
FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND uid = %(uid)s AND is_open ORDER BY event_no"""
_FILLS: Final = """
SELECT market_us, number, symbol, side, lots, price_ticks, fee_atoms, fee_asset
FROM tradefleet.fill WHERE fleet = %(fleet)s AND uid = %(uid)s ORDER BY market_us DESC, event_no DESC LIMIT %(limit)s"""
_BOOKS: Final = "SELECT value FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND key = %(key)s"


def print_books(session: "Session", uid: str) -> None:
    """Print a bot's open orders, its last fills and its wallet; sizes in lots, prices in ticks, money in atoms."""
    fleet = session.fleet
    orders = session.read(_OPEN, {"fleet": fleet, "uid": uid})
    if orders:
        sys.stdout.write("\n")
        printing.print_rows(
            ["Order", "Instrument", "Side", "Type", "Lots", "Filled", "Ticks", "Status", "Since"],
            [[*(("" if value is None else str(value)) for value in row[:8]), format_time(row[8])] for row in orders],
            numbers=(4, 5, 6),
            title="Open orders",
        )
    fills = session.read(_FILLS, {"fleet": fleet, "uid": uid, "limit": FILLS})
    if fills:
        sys.stdout.write("\n")
        printing.print_rows(
            ["Time", "Order", "Instrument", "Side", "Lots", "Ticks", "Fee atoms", "Asset"],
            [[format_time(row[0]), *(str(value) for value in row[1:])] for row in fills],
            numbers=(4, 5, 6),
            title="Last fills",
        )
    for (blob,) in session.read(_BOOKS, {"fleet": fleet, "key": f"bot/{uid}"}):
        books = json.loads(blob)
        assets = sorted({*books["free"], *books["locked"]})
        sys.stdout.write("\n")
        printing.print_rows(
            ["Asset", "Free atoms", "Locked atoms"],
            [[asset, str(books["free"].get(asset, 0)), str(books["locked"].get(asset, 0))] for asset in assets],
            numbers=(1, 2),
            title="Wallet",
        )
