"""The loopback address: free ports, and pages of our own servers."""

import http.client
import random
import socket
from typing import Final

from tradefleet.domain.errors import Permanent, Retryable

LOOPBACK: Final = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections (32768 up): while a broker is down for a
# restart, no client's connection can take its port.
PORTS: Final = range(20000, 32000)
TRIES_MAX: Final = 200
PAGE_TIMEOUT_S: Final = 0.5
PAGE_BYTES_MAX: Final = 4_096


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(*others: int) -> int:
    """Return a port nobody listens on, none of `others`; tried at random, so that two fleets starting seldom meet."""
    chance = random.SystemRandom()
    for _ in range(TRIES_MAX):
        port = chance.choice(PORTS)
        if port not in others and is_free(port):
            return port
    raise Retryable(f"no free port among {TRIES_MAX} tried on {LOOPBACK} between {PORTS.start} and {PORTS.stop}")


def choose_port(service: str, *, wanted: int | None, last: int | None) -> int:
    """Return the port to listen on: `wanted` when it is set, else `last` when it is free, else another free one.

    Raises Permanent when `wanted` is set and taken: whoever set a port relies on it.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise Permanent(
                f"{service}: port {wanted} on {LOOPBACK} is taken by another program: stop that program, "
                "set another port, or leave the port unset to get a free one"
            )
        return wanted
    return last if last is not None and is_free(last) else free_port()


def ask_page(port: int, page: str) -> tuple[int | None, str]:
    """Return status and text of a page of a server on the loopback address; None and nothing when none answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PAGE_TIMEOUT_S)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        return answer.status, answer.read(PAGE_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None, ""
    finally:
        connection.close()
