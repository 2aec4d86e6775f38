"""One process's connection to Postgres: it comes back by itself, and says what a failed commit means."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import Params
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper

from tradefleet.domain.errors import FleetError, Retryable
from tradefleet.store.postgres.translation import translate

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 30_000
# A process that was stopped in a transaction holds halt switches. It has to be longer than any lease: once it has
# passed, the process's own deadline forbids it to send.
IDLE_IN_TRANSACTION_MS = 60_000
# A cut cable shows after about this time, not after the two hours that are the system's default.
KEEPALIVE_S = 5
KEEPALIVE_COUNT = 3

# Every statement here finds its rows by key. A plan that was made while a table was empty would scan it for ever, so
# scans and the joins that need them are out of the question; with the choice gone, planning once is enough.
_PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def monotonic_us() -> int:
    """Return this process's monotonic clock in microseconds."""
    return time.monotonic_ns() // 1_000


class Session:
    """A connection and the fleet it works for. Not for several threads at once.

    A lost connection is opened again by the next call. `clock_us` is the clock of lease deadlines.
    """

    def __init__(
        self, conninfo: str, *, fleet: str, application: str = "tradefleet", clock_us: Callable[[], int] = monotonic_us
    ) -> None:
        self.fleet = fleet
        self.clock_us = clock_us
        self._conninfo = conninfo
        self._application = application
        self._connection: Connection | None = None
        self._opened: list[Callable[[Connection], None]] = []

    def on_open(self, prepare: Callable[[Connection], None]) -> None:
        """Call `prepare` with the open connection and with every one that is opened after it."""
        self._opened.append(prepare)
        if self._connection is None or self._connection.closed:
            return
        try:
            prepare(self._connection)
        except psycopg.Error as error:
            raise self._failed(error, committing=False) from error

    @property
    def connection(self) -> Connection:
        """The open connection, in autocommit. Raises Retryable when nobody answers."""
        if self._connection is None or self._connection.closed:
            self._connection = self._open()
        return self._connection

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, query: str, params: Params) -> list[tuple[Any, ...]]:
        """Return the rows of one statement that changes nothing."""
        connection = self.connection
        try:
            return connection.execute(query, params, prepare=True).fetchall()
        except psycopg.Error as error:
            raise self._failed(error, committing=False) from error

    def commit(self, query: str, params: Params) -> list[tuple[Any, ...]]:
        """Run one statement as a transaction of its own, in one round trip, and return its rows.

        Raises OutcomeUnknown when the connection is lost, since the statement is its own COMMIT.
        """
        connection = self.connection
        try:
            cursor = connection.execute(query, params, prepare=True)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise self._failed(error, committing=True) from error

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Open a transaction whose statements are sent without waiting; COMMIT goes with the last of them.

        A statement that fails takes the rest with it; its error comes when its rows are asked for, or at the end.
        """
        yield from self._block("BEGIN")

    @contextmanager
    def snapshot(self) -> Iterator["Transaction"]:
        """Open a transaction that only reads, and sees the database as it was at its first statement."""
        yield from self._block("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def _block(self, begin: str) -> Iterator["Transaction"]:
        connection = self.connection
        transaction = Transaction(connection)
        try:
            with connection.pipeline():
                transaction.run(begin)
                yield transaction
                transaction.committing = True
                transaction.run("COMMIT")
        except psycopg.Error as error:
            raise self._failed(error, committing=transaction.committing) from error
        except BaseException:
            self._roll_back()
            raise

    def _open(self) -> Connection:
        options = " ".join(f"-c {name}={setting}" for name, setting in self._settings().items())
        try:
            connection = psycopg.connect(
                self._conninfo,
                autocommit=True,
                application_name=self._application,
                connect_timeout=CONNECT_TIMEOUT_S,
                keepalives_idle=KEEPALIVE_S,
                keepalives_interval=KEEPALIVE_S,
                keepalives_count=KEEPALIVE_COUNT,
                tcp_user_timeout=KEEPALIVE_S * KEEPALIVE_COUNT * 1_000,
                options=options,
            )
        except psycopg.Error as error:
            raise Retryable(f"database: cannot connect: {str(error).strip()}") from error
        # One statement is prepared per constant, so nothing is ever thrown out. Integers go as bigint whatever their
        # value: by default each width would make a statement of its own, and sums of small ones would overflow.
        connection.prepared_max = None
        connection.adapters.register_dumper(int, Int8Dumper)
        try:
            for prepare in self._opened:
                prepare(connection)
        except psycopg.Error as error:
            connection.close()
            raise translate(error, committing=False) from error
        return connection

    @staticmethod
    def _settings() -> dict[str, str]:
        return _PLANNING | {
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        }

    def _failed(self, error: psycopg.Error, *, committing: bool) -> FleetError:
        """Return the error to raise, with the connection rolled back or given up."""
        translated = translate(error, committing=committing)
        self._roll_back()
        return translated

    def _roll_back(self) -> None:
        """Leave no transaction open; a connection that cannot even do that is closed."""
        connection = self._connection
        if connection is None:
            return
        if connection.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            self.close()


class Transaction:
    """Statements of one open transaction. `committing` turns true when COMMIT is on its way."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.committing = False

    def run(self, query: str, params: Params | None = None) -> Cursor:
        """Send a statement and go on; asking the cursor for rows waits for it."""
        return self._connection.execute(query, params, prepare=True)
