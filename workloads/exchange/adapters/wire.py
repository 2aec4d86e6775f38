"""Frames between a gateway and a simulator: a length of 4 bytes, then JSON. One call, one answer.

JSON, since atoms of an asset with 18 decimals need more than the 64 bits of an integer in MessagePack. What may be long
(requests, reports, open orders) goes in pages, so that no frame outgrows what the other side takes.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest, VoidRequest

FRAME_BYTES_MAX: Final = 8 * 1024 * 1024  # a longer frame is refused before it is read
PAGE_BYTES: Final = 1024 * 1024  # a page ends with the item that reaches this
_LENGTH: Final = struct.Struct(">I")

_REQUESTS: Final[dict[str, Any]] = {
    kind.__name__: kind for kind in (SubmitOrder, CancelOrder, AmendOrder, DepositFunds, VoidRequest)
}

encode: Final = msgspec.json.encode
decode: Final = msgspec.json.decode


class Call(msgspec.Struct, frozen=True):
    """What a gateway asks."""

    method: str
    argument: msgspec.Raw


class Answer(msgspec.Struct, frozen=True):
    """What the simulator answers: a value, or an error in words."""

    value: msgspec.Raw
    error: str = ""


class Page(msgspec.Struct, frozen=True):
    """Part of a long answer; the next is asked for with what comes after its last item."""

    items: list[msgspec.Raw]
    is_last: bool


class ReportsAfter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for the reports above `after`. Only those up to `since` are settled: the others are not to be forgotten."""

    since: int
    after: int


def write_frame(connection: socket.socket, message: Call | Answer) -> None:
    """Send a message. Raises OSError, or InvalidValue for one that the other side would not take: nothing is sent."""
    body = encode(message)
    _check_length(len(body))
    connection.sendall(_LENGTH.pack(len(body)) + body)


def read_frame(connection: socket.socket) -> bytes:
    """Return the body of the next frame, b"" when the other side has closed. Raises OSError, InvalidValue."""
    head = _read(connection, _LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (length,) = _LENGTH.unpack(head)
    _check_length(length)
    body = _read(connection, length)
    return body if len(body) == length else b""


def _check_length(length: int) -> None:
    if length > FRAME_BYTES_MAX:
        raise InvalidValue(f"frame of {length} bytes, at most {FRAME_BYTES_MAX} are taken")


def _read(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = connection.recv(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def pages(items: Iterable[object]) -> Iterator[Page]:
    """Yield `items`, encoded, page by page; one page that is empty when there are none."""
    page: list[msgspec.Raw] = []
    size = 0
    for item in items:
        if size >= PAGE_BYTES:
            yield Page(page, is_last=False)
            page, size = [], 0
        body = encode(item)
        page.append(msgspec.Raw(body))
        size += len(body)
    yield Page(page, is_last=True)


def pack_requests(requests: Iterable[VenueRequest]) -> Iterator[list[msgspec.Raw]]:
    """Yield requests with the names of their kinds, page by page, as they go over the wire."""
    return (page.items for page in pages((type(request).__name__, request) for request in requests))


def unpack_requests(argument: msgspec.Raw) -> list[VenueRequest]:
    """Return the requests in a call's argument. Raises InvalidValue."""
    requests: list[VenueRequest] = []
    for kind, value in decode(argument, type=list[tuple[str, msgspec.Raw]]):
        if kind not in _REQUESTS:
            raise InvalidValue(f"venue request of unknown kind {kind!r}, known are {', '.join(_REQUESTS)}")
        requests.append(decode(value, type=_REQUESTS[kind]))
    return requests
