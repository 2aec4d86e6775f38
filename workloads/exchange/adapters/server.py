"""The server edge of a simulator: gateways connect, sign in to an account and call. Loopback unless told otherwise."""

import hmac
import logging
import socket
from collections.abc import Callable, Mapping
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import Any, Final

import msgspec

from tradefleet.domain.errors import Fenced, FleetError, InvalidValue, OutcomeUnknown, Retryable
from tradefleet.domain.ids import AccountId, ClientOrderId
from workloads.exchange.adapters.wire import (
    Answer,
    Call,
    Page,
    ReportsAfter,
    decode,
    encode,
    pages,
    read_frame,
    unpack_requests,
    write_frame,
)
from workloads.exchange.venue_worker import VenueWorker

_LOG: Final = logging.getLogger(__name__)

IDLE_TIMEOUT_S: Final = 3_600.0


class _SignIn(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    token: str


class VenueServer:
    """Answers gateways from a `VenueWorker`. `tokens` has the key of each account; it is never printed."""

    def __init__(self, worker: VenueWorker, *, host: str, port: int, tokens: Mapping[AccountId, str]) -> None:
        self._worker = worker
        self._tokens = dict(tokens)
        self._receiving = Lock()
        self._newest: dict[AccountId, int] = {}  # number of the connection that signed in last
        server = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                server.serve(self.request)

        class Server(ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server((host, port), Handler)
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Serve in threads of its own."""
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        self._server.shutdown()
        self._server.server_close()

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection's calls until it ends. A frame that cannot be read ends it."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(IDLE_TIMEOUT_S)
        account: AccountId | None = None
        number = 0
        while True:
            try:
                body = read_frame(connection)
                call = decode(body, type=Call) if body else None
            except (OSError, InvalidValue, msgspec.MsgspecError):
                return
            if call is None:
                return
            try:
                if call.method == "sign_in":
                    account, number = self._sign_in(call.argument)
                    answer = _answer(None)
                elif account is None:
                    answer = _refusal("sign in first")
                elif call.method == "send":
                    self._receive(account, number, call.argument)
                    answer = _answer(None)
                else:
                    answer = _answer(self._call(account, call))
            except (Retryable, OutcomeUnknown, Fenced) as error:
                _LOG.warning("account %s: closing its connection: %s", account, error)
                return  # it asks again on a new one; an answer would say that asking again cannot help
            except (FleetError, msgspec.MsgspecError) as error:
                answer = _refusal(str(error))
            try:
                write_frame(connection, answer)
            except (OSError, InvalidValue) as error:
                _LOG.warning("account %s: closing its connection: %s to %s", account, error, call.method)
                return

    def _sign_in(self, argument: msgspec.Raw) -> tuple[AccountId, int]:
        sign_in = decode(argument, type=_SignIn)
        account = AccountId(sign_in.account)
        expected = self._tokens.get(account)
        if expected is None or not hmac.compare_digest(expected.encode(), sign_in.token.encode()):
            raise InvalidValue(f"account {account!r}: unknown, or the key is not its own")
        with self._receiving:
            number = self._newest[account] = self._newest.get(account, 0) + 1
        return account, number

    def _receive(self, account: AccountId, number: int, argument: msgspec.Raw) -> None:
        """Take requests from an account's newest connection only.

        Who signs in asks what has arrived, and sends the rest. What an older connection still has under way must not
        come after that question: it may have been taken back in the meantime.
        """
        with self._receiving:
            if self._newest[account] != number:
                raise Fenced(f"account {account}: a newer connection has signed in")
            self._worker.receive(account, unpack_requests(argument))

    def _call(self, account: AccountId, call: Call) -> object:
        worker, argument = self._worker, call.argument
        methods: dict[str, Callable[[], object]] = {
            "request_no": lambda: worker.request_no(account),
            "query": lambda: worker.query(account, ClientOrderId(decode(argument, type=str))),
            "open_orders": lambda: self._open_orders(account, decode(argument, type=str)),
            "balances": lambda: worker.balances(account),
            "reports": lambda: self._reports(account, decode(argument, type=ReportsAfter)),
        }
        method = methods.get(call.method)
        if method is None:
            raise InvalidValue(f"no method {call.method!r}, there are sign_in, send, {', '.join(methods)}")
        return method()

    def _open_orders(self, account: AccountId, after: str) -> Page:
        """Return the first of the open orders whose ids come after `after`."""
        orders = sorted(self._worker.open_orders(account), key=lambda order: order.client_order_id)
        return next(pages(order for order in orders if order.client_order_id > after))

    def _reports(self, account: AccountId, wanted: ReportsAfter) -> Page:
        reports = self._worker.reports(account, wanted.since)
        return next(pages(report for report in reports if report.no > wanted.after))


def _answer(value: Any) -> Answer:  # noqa: ANN401 - whatever the wire carries
    return Answer(msgspec.Raw(encode(value)))


def _refusal(error: str) -> Answer:
    return Answer(msgspec.Raw(encode(None)), error)
