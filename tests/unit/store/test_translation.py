import psycopg
import pytest
from psycopg import errors

from tradefleet.domain.errors import AccessDenied, FleetError, InvalidValue, OutcomeUnknown, Permanent, Retryable
from tradefleet.store.postgres.translation import translate


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.SerializationFailure("x"), Retryable),
        (errors.DeadlockDetected("x"), Retryable),
        (errors.LockNotAvailable("x"), Retryable),
        (errors.QueryCanceled("x"), Retryable),
        (errors.DiskFull("x"), Retryable),
        (errors.TooManyConnections("x"), Retryable),
        (errors.UniqueViolation("x"), Permanent),
        (errors.CheckViolation("x"), Permanent),
        (errors.InsufficientPrivilege("x"), AccessDenied),
        (errors.NumericValueOutOfRange("x"), InvalidValue),
        (errors.UndefinedTable("x"), Permanent),
        (psycopg.ProgrammingError("x"), Permanent),
    ],
)
@pytest.mark.parametrize("committing", [False, True])
def test_what_the_server_reports_is_definite(
    error: psycopg.Error, expected: type[FleetError], committing: bool
) -> None:
    assert type(translate(error, committing=committing)) is expected


def test_a_lost_connection_is_definite_only_before_commit() -> None:
    error = psycopg.OperationalError("server closed the connection unexpectedly")
    assert type(translate(error, committing=False)) is Retryable
    assert type(translate(error, committing=True)) is OutcomeUnknown


def test_the_message_keeps_what_the_database_said() -> None:
    assert "too wide" in str(translate(errors.NumericValueOutOfRange("too wide"), committing=False))


def test_a_full_disk_names_the_remedy() -> None:
    assert "make room" in str(translate(errors.DiskFull("could not extend file"), committing=False))
