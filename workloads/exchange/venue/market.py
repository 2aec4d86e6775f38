"""What the venue asks of a market, whether it replays bars or keeps an order book."""

from typing import Any, Protocol

from tradefleet.domain.bar import Bar
from workloads.exchange.venue.orders import OpenOrder


class MarketPlace(Protocol):
    """Holds the accepted orders and trades them. It reports through the clearing it was built with."""

    def on_bars(self, bars: list[Bar]) -> None:
        """Trade along bars that closed now."""

    def would_take(self, order: OpenOrder) -> bool:
        """Return whether a limit order would trade at once if it came in now."""

    def enter(self, order: OpenOrder) -> None:
        """Take an order in, behind all that are there, and trade it as far as it goes."""

    def remove(self, order: OpenOrder) -> None:
        """Take an order out."""

    def snapshot(self) -> dict[str, Any]:
        """Return the market's own state, without its orders, as plain values."""

    def restore(self, state: dict[str, Any], orders: list[OpenOrder]) -> None:
        """Take up a state and the open orders of a snapshot, in the order of their arrival."""
