"""The door to a venue, the same for the simulator, for paper trading and for real venues (rule 16)."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tradefleet.domain.bots import BotCommand
from tradefleet.domain.ids import AccountId, BotUid, ClientOrderId
from tradefleet.domain.venue import VenueOrder, VenueReport, VenueRequest


class VenuePort(Protocol):
    """One account at a venue. A time-out is `OutcomeUnknown`: ask before sending again."""

    @property
    def is_interrupted(self) -> bool:
        """True when the connection broke since `connect`: what was sent may not have arrived."""

    @property
    def receive_window_us(self) -> int | None:
        """How long after it was sent, beyond the request time-out, a request of somebody else may still take effect.

        0 where a new connection shuts out those before it. None where the venue sets no bound: then a gateway that
        takes over from one that may still be sending halts new risk until books and venue were compared (rule 3).
        """

    def connect(self) -> None:
        """Connect, again if need be. Raises Retryable."""

    def send(self, requests: Sequence[VenueRequest]) -> None:
        """Send numbered requests, in order; answers come as reports. Raises OutcomeUnknown."""

    def request_no(self) -> int | None:
        """Return the last request number the venue has taken, None where a venue keeps no such number."""

    def query(self, client_order_id: ClientOrderId) -> VenueOrder | None:
        """Return an order of ours, open or finished; None when the venue does not know it."""

    def open_orders(self) -> list[VenueOrder]:
        """Return all open orders of the account."""

    def balances(self) -> Mapping[str, tuple[int, int]]:
        """Return free and locked atoms per asset."""

    def reports(self, since: int) -> list[VenueReport]:
        """Return the reports numbered since + 1 and up that there are now, in order."""


class CommandSource(Protocol):
    """The desired state of an account's bots, as the fleet's owner last wrote it."""

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        """Return one command per bot, sorted by key."""

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return one bot's command."""
