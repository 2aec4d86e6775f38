"""A wire between client and server that is cut at the statement a test names."""

import contextlib
import socket
import threading
from enum import Enum
from urllib.parse import urlsplit


class Cut(Enum):
    """What the server still gets to see."""

    REQUEST_LOST = "the statement never arrives"
    ANSWER_LOST = "the statement arrives, its answer does not"


class CuttingProxy:
    """Forwards every connection until `cut` is set and a packet of the client holds `needle`."""

    def __init__(self, url: str, needle: bytes) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._needle = needle
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()
        self.cut: Cut | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        _close(self._listener)  # a mere close() would not wake the thread that accepts

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            silent = threading.Event()
            threading.Thread(target=self._upwards, args=(client, server, silent), daemon=True).start()
            threading.Thread(target=self._downwards, args=(client, server, silent), daemon=True).start()

    def _upwards(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        while data := _receive(client):
            cut = self.cut if self._needle in data else None
            if cut is not None:
                self.cuts += 1
                self.cut = None
                if cut is Cut.REQUEST_LOST:
                    break
                silent.set()
            server.sendall(data)
        if not silent.is_set():
            _close(client, server)

    @staticmethod
    def _downwards(client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        while data := _receive(server):
            if silent.is_set():
                break
            client.sendall(data)
        _close(client, server)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


def _close(*connections: socket.socket) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
