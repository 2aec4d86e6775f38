"""Frames between a gateway and a simulator: a length of 4 bytes, then MessagePack. One call, one answer."""

import socket
import struct
from typing import Any, Final

import msgspec

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest, VoidRequest

FRAME_BYTES_MAX: Final = 8 * 1024 * 1024  # a longer frame is refused before it is read
_LENGTH: Final = struct.Struct(">I")

_REQUESTS: Final[dict[str, Any]] = {
    kind.__name__: kind for kind in (SubmitOrder, CancelOrder, AmendOrder, DepositFunds, VoidRequest)
}


class Call(msgspec.Struct, frozen=True):
    """What a gateway asks."""

    method: str
    argument: msgspec.Raw


class Answer(msgspec.Struct, frozen=True):
    """What the simulator answers: a value, or an error in words."""

    value: msgspec.Raw
    error: str = ""


def write_frame(connection: socket.socket, message: Call | Answer) -> None:
    """Send a message. Raises OSError."""
    body = msgspec.msgpack.encode(message)
    connection.sendall(_LENGTH.pack(len(body)) + body)


def read_frame(connection: socket.socket) -> bytes:
    """Return the body of the next frame, b"" when the other side has closed. Raises OSError, InvalidValue."""
    head = _read(connection, _LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (length,) = _LENGTH.unpack(head)
    if length > FRAME_BYTES_MAX:
        raise InvalidValue(f"frame of {length} bytes, at most {FRAME_BYTES_MAX} are taken")
    body = _read(connection, length)
    return body if len(body) == length else b""


def _read(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = connection.recv(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def pack_requests(requests: list[VenueRequest]) -> list[tuple[str, VenueRequest]]:
    """Return requests with the names of their kinds, as they go over the wire."""
    return [(type(request).__name__, request) for request in requests]


def unpack_requests(argument: msgspec.Raw) -> list[VenueRequest]:
    """Return the requests in a call's argument. Raises InvalidValue."""
    requests: list[VenueRequest] = []
    for kind, value in msgspec.msgpack.decode(argument, type=list[tuple[str, msgspec.Raw]]):
        if kind not in _REQUESTS:
            raise InvalidValue(f"venue request of unknown kind {kind!r}, known are {', '.join(_REQUESTS)}")
        requests.append(msgspec.msgpack.decode(value, type=_REQUESTS[kind]))
    return requests
