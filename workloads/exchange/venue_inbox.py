"""Requests that have reached a simulator and are not in its journal yet.

A bot may answer a bar before the simulator has read it. Whether what it asks for comes before or after that bar must
not depend on who was faster, so a request waits until the venue's market time is that of its decision.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, takewhile

from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.venue import DepositFunds, SubmitOrder, VenueRequest, VoidRequest


class VenueInbox:
    """Keeps the waiting requests of every account, by number. `taken` tells the last number that is in the journal."""

    def __init__(self, taken: Callable[[AccountId], int]) -> None:
        self._taken = taken
        self._waiting: dict[AccountId, dict[int, VenueRequest]] = {}

    def put(self, account: AccountId, requests: Iterable[VenueRequest]) -> None:
        """Take requests in."""
        self._waiting.setdefault(account, {}).update({request.no: request for request in requests})

    def remove(self, account: AccountId, requests: Iterable[VenueRequest]) -> None:
        """Let go of requests whose sender is told that they may not have arrived."""
        waiting = self._waiting.get(account, {})
        for request in requests:
            waiting.pop(request.no, None)

    def forget_taken(self) -> None:
        """Let go of what is in the journal."""
        for account, waiting in list(self._waiting.items()):
            taken = self._taken(account)
            left = {number: request for number, request in waiting.items() if number > taken}
            if left:
                self._waiting[account] = left
            else:
                del self._waiting[account]

    def last_no(self, account: AccountId) -> int:
        """Return the last number up to which every request is in the journal or waits."""
        taken = self._taken(account)
        return max(self._gapless(account), default=taken)

    def last_numbers(self) -> dict[AccountId, int]:
        """Return the last number of each account of which something waits."""
        return {account: self.last_no(account) for account in self._waiting}

    def has_until(self, until_no: int) -> bool:
        """Return whether an account's requests up to that number are all here."""
        return any(
            all(no in waiting for no in range(self._taken(account) + 1, until_no + 1))
            for account, waiting in self._waiting.items()
        )

    def submitted(self, account: AccountId, client_order_id: ClientOrderId) -> SubmitOrder | None:
        """Return the order of that id that waits; None when there is none."""
        for request in self._waiting.get(account, {}).values():
            if isinstance(request, SubmitOrder) and request.client_order_id == client_order_id:
                return request
        return None

    def all(self, until_no: Mapping[AccountId, int] | None = None) -> list[tuple[AccountId, list[VenueRequest]]]:
        """Return what waits without a gap, account by account, as far as `until_no`; everything without it."""
        numbers = self.last_numbers() if until_no is None else until_no
        found = [
            (account, [self._waiting[account][no] for no in self._gapless(account) if no <= numbers.get(account, 0)])
            for account in sorted(self._waiting)
        ]
        return [(account, requests) for account, requests in found if requests]

    def decided_by(self, market_us: int) -> list[tuple[AccountId, list[VenueRequest]]]:
        """Return what waits without a gap and was decided by then. What follows a later one waits behind it."""
        return [
            (account, [*takewhile(lambda request: decided_us(request) <= market_us, requests)])
            for account, requests in self.all()
            if decided_us(requests[0]) <= market_us
        ]

    def _gapless(self, account: AccountId) -> Iterator[int]:
        waiting = self._waiting.get(account, {})
        return takewhile(waiting.__contains__, count(self._taken(account) + 1))


def decided_us(request: VenueRequest) -> int:
    """Return the market time at which a request was decided on; 0 when it goes by none."""
    return 0 if isinstance(request, DepositFunds | VoidRequest) else request.decided_us
