"""`VenuePort` to a simulator in another process."""

import select
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tradefleet.domain.errors import InvalidValue, OutcomeUnknown, Permanent, Retryable
from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.venue import VenueOrder, VenueReport, VenueRequest
from workloads.exchange.adapters.wire import (
    Answer,
    Call,
    Page,
    ReportsAfter,
    decode,
    encode,
    pack_requests,
    read_frame,
    write_frame,
)

T = TypeVar("T")


class SimulatorVenue:
    """One account of a simulator. `token` is the account's key; it opens the connection and nothing else."""

    def __init__(self, host: str, port: int, *, account: AccountId, token: str, timeout_us: int) -> None:
        self._address = (host, port)
        self._account = account
        self._token = token
        self._timeout_s = timeout_us / 1_000_000
        self._connection: socket.socket | None = None

    @property
    def is_interrupted(self) -> bool:
        """True when the connection broke, or the other side closed it."""
        connection = self._connection
        if connection is None:
            return True
        readable, _, _ = select.select([connection], [], [], 0)
        if readable:  # between calls nothing is on its way to us, so this can only be the end
            self._drop()
            return True
        return False

    @property
    def receive_window_us(self) -> int:
        """0: the simulator takes nothing from a connection once a newer one of the account has signed in."""
        return 0

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self) -> None:
        """Connect and sign in. Raises Retryable when the simulator is not there, Permanent when it refuses."""
        self._drop()
        try:
            connection = socket.create_connection(self._address, timeout=self._timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            host, port = self._address
            raise Retryable(f"exchange simulator at {host}:{port} is not reachable: {error}") from error
        self._connection = connection
        try:
            self._ask("sign_in", {"account": self._account, "token": self._token}, None)
        except OutcomeUnknown as error:
            raise Retryable(f"exchange simulator did not answer the sign-in: {error}") from error

    def _ask(self, method: str, argument: Any, kind: Any) -> Any:  # noqa: ANN401 - typed by the callers
        connection = self._connection
        if connection is None:
            raise OutcomeUnknown(f"exchange simulator: {method} without a connection")
        call = Call(method, msgspec.Raw(encode(argument)))
        try:
            write_frame(connection, call)
        except OSError as error:
            self._drop()
            raise OutcomeUnknown(f"exchange simulator: {method} may not have arrived: {error}") from error
        try:
            body = read_frame(connection)
            answer = decode(body, type=Answer) if body else None
            value = None if answer is None or answer.error else decode(answer.value, type=kind)
        except (OSError, InvalidValue, msgspec.MsgspecError) as error:
            self._drop()
            raise OutcomeUnknown(f"exchange simulator: the answer to {method} cannot be read: {error}") from error
        if answer is None:
            self._drop()
            raise OutcomeUnknown(f"exchange simulator: closed the connection during {method}")
        if answer.error:
            raise Permanent(f"exchange simulator: {method}: {answer.error}")
        return value

    def _read(self, method: str, argument: Any, kind: type[T]) -> T:  # noqa: ANN401 - any argument the wire takes
        """A question changes nothing, so an answer that got lost is merely retryable."""
        try:
            answer: T = self._ask(method, argument, kind)
        except OutcomeUnknown as error:
            raise Retryable(str(error)) from error
        return answer

    def _read_pages(self, method: str, kind: type[T], wanted: Callable[[T | None], Any]) -> list[T]:
        """Return what all pages hold; `wanted` makes the question for the page after an item, None before the first."""
        found: list[T] = []
        while True:
            page = self._read(method, wanted(found[-1] if found else None), Page)
            found += [decode(item, type=kind) for item in page.items]
            if page.is_last or not page.items:
                return found

    def send(self, requests: Sequence[VenueRequest]) -> None:
        """Send numbered requests. Raises OutcomeUnknown, also when only the first of them have arrived."""
        for page in list(pack_requests(requests)):
            self._ask("send", page, None)

    def request_no(self) -> int | None:
        """Return the last request number in the simulator's journal."""
        return self._read("request_no", None, int)

    def query(self, client_order_id: ClientOrderId) -> VenueOrder | None:
        """Return an order of ours; None when the simulator does not know it."""
        return self._read("query", client_order_id, VenueOrder | None)  # type: ignore[arg-type] # a union is no type

    def open_orders(self) -> list[VenueOrder]:
        """Return all open orders of the account. One that opens or ends meanwhile is among them or not."""
        return self._read_pages("open_orders", VenueOrder, lambda last: last.client_order_id if last else "")

    def balances(self) -> Mapping[str, tuple[int, int]]:
        """Return free and locked atoms per asset."""
        return self._read("balances", None, dict[str, tuple[int, int]])

    def reports(self, since: int) -> list[VenueReport]:
        """Return the reports after `since`."""
        return self._read_pages("reports", VenueReport, lambda last: ReportsAfter(since, last.no if last else since))

    def close(self) -> None:
        """Close the connection."""
        self._drop()
