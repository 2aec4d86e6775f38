"""What an error of the database means for a process: nothing happened, nobody knows, or it can never work."""

import psycopg

from tradefleet.domain.errors import (
    AccessDenied,
    BarConflict,
    Fenced,
    FleetError,
    InvalidValue,
    LeaseHeld,
    NonDeterministic,
    OutcomeUnknown,
    Permanent,
    Retryable,
    StaleGeneration,
    StreamGap,
)

# Raised by the functions of the schema, and by `tradefleet.require` in our statements.
_OURS: dict[str, type[FleetError]] = {
    "TF001": LeaseHeld,
    "TF002": StaleGeneration,
    "TF003": Fenced,
    "TF004": StreamGap,
    "TF005": Permanent,
    "TF006": NonDeterministic,
    "TF007": BarConflict,
}

# PostgreSQL 18 manual, appendix A. The server reports these and has rolled back, so the same call may succeed later.
_TRANSIENT_CLASSES = ("40", "53", "55", "57", "58")  # rollback, resources, object state, operator, system


def translate(error: psycopg.Error, *, committing: bool) -> FleetError:
    """Return the error that a process acts on. `committing` says that COMMIT may have reached the server.

    An error that the server reports over a connection that still stands is definite: the transaction is rolled back.
    One that ends the connection is definite only before COMMIT was sent.
    """
    state = error.sqlstate
    text = str(error).strip()
    if state in _OURS:
        message = error.diag.message_primary or text
        return _OURS[state](message)
    if _lost(error):
        if committing:
            return OutcomeUnknown(f"database: the connection was lost at COMMIT, which may have been done: {text}")
        return Retryable(f"database: the connection was lost before COMMIT, nothing was written: {text}")
    if state == "53100":
        return Retryable(f"database: its disk is full: make room there; it goes on by itself then: {text}")
    if state is not None and state.startswith(_TRANSIENT_CLASSES):
        return Retryable(f"database: {text}")
    if state == "22003":
        return InvalidValue(f"database: a number is wider than its column: {text}")
    if state == "42501":
        return AccessDenied(f"database: this role may not do that: {text}")
    if state == "23505":
        return Permanent(f"database: it is stored already: {text}")
    return Permanent(f"database: {text}")


def _lost(error: psycopg.Error) -> bool:
    """Return whether the connection is gone: the server's FATAL and PANIC end it, and so does a broken socket."""
    severity = error.diag.severity_nonlocalized if error.sqlstate else None
    if severity in {"FATAL", "PANIC"}:
        return True
    return error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
