"""The audit: every invariant of the books, checked on the rows as they are at one moment.

It only reads, so it can run beside a fleet that trades: each commit of a gateway or a bot is one transaction, and one
snapshot sees it whole or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from tradefleet.domain.errors import FleetError
from tradefleet.store import audit_gate_sql, audit_messages, audit_sql
from tradefleet.store.postgres.translation import translate

FINDINGS_MAX = 100  # of one invariant: who has more needs no longer list


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that breaks an invariant."""

    invariant: str
    table: str
    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.problem} ({self.invariant})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """What one invariant looked at, and what it found. `checked` counts the things, `unit` says which."""

    name: str
    unit: str
    checked: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """The result for a whole fleet."""

    invariants: tuple[Invariant, ...]

    @property
    def findings(self) -> list[Finding]:
        """Every finding, in the order of the invariants."""
        return [finding for invariant in self.invariants for finding in invariant.findings]


Search = Callable[[psycopg.Connection, str, int], list[tuple[str, str, str]]]  # fleet, most findings → findings


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    unit: str
    count: str
    search: str | Search


_CHECKS = (
    _Check(
        "every ledger transaction sums to zero per asset",
        "ledger entries",
        audit_sql.COUNT_ENTRIES,
        audit_sql.UNBALANCED,
    ),
    _Check("a bot's ledger has no gap", "ledgers", audit_sql.COUNT_LEDGERS, audit_sql.LEDGER_GAPS),
    _Check("a wallet is the sum of its postings", "balances", audit_sql.COUNT_WALLETS, audit_sql.WALLETS),
    _Check("free and locked are never negative", "balances over time", audit_sql.COUNT_BALANCES, audit_sql.NEGATIVE),
    _Check("a position is the sum of unique fills", "positions", audit_sql.COUNT_POSITIONS, audit_sql.POSITIONS),
    _Check("an order's filled lots are its fills", "orders", audit_sql.COUNT_ORDERS, audit_sql.FILLED),
    _Check(
        "what is locked is what open orders reserve",
        "open orders",
        audit_sql.COUNT_RESERVATIONS,
        audit_sql.RESERVATIONS,
    ),
    _Check(
        "at most one order per request, submitted once",
        "requests and submissions",
        audit_sql.COUNT_REQUESTS,
        audit_sql.DOUBLE_ORDERS,
    ),
    _Check("stream numbers have no gap", "messages", audit_sql.COUNT_STREAMS, audit_sql.STREAM_GAPS),
    _Check("bar numbers have no gap", "bars", audit_sql.COUNT_BARS, audit_sql.BAR_GAPS),
    _Check(
        "nobody has consumed or made what is not in the stream",
        "positions in streams",
        audit_sql.COUNT_POSITIONS_IN_STREAMS,
        audit_sql.AHEAD_OF_STREAM,
    ),
    _Check("only the newest epoch writes", "rows with an epoch", audit_sql.COUNT_EPOCHS, audit_sql.STALE_EPOCHS),
    _Check("a bot's record is whole", "generations", audit_sql.COUNT_RECORDS, audit_sql.RECORDS),
    _Check(
        "a deleted bot has no open orders unless it keeps them",
        "deleted bots",
        audit_sql.COUNT_RETIRED,
        audit_sql.ORPHANED,
    ),
    _Check(
        "no order that raises risk is accepted after a halt",
        "orders that raise risk",
        audit_sql.COUNT_RISING,
        audit_sql.AFTER_HALT,
    ),
    _Check(
        "stale data means no new risk", "orders that raise risk", audit_gate_sql.COUNT_AGED, audit_gate_sql.STALE_DATA
    ),
    _Check(
        "a request that was taken made its order or is a dead letter",
        "requests",
        audit_messages.COUNT_TAKEN,
        audit_messages.unanswered_requests,
    ),
    _Check(
        "what was acknowledged is durable",
        "executions",
        audit_messages.COUNT_TOLD,
        audit_messages.forgotten_executions,
    ),
    _Check(
        "orders and fills are as many as were made",
        "bots",
        audit_sql.COUNT_BOOKS,
        audit_sql.LOST_ROWS,
    ),
    _Check(
        "a dead letter that bears money is resolved",
        "dead letters",
        audit_gate_sql.COUNT_LETTERS,
        audit_gate_sql.LETTERS,
    ),
    _Check("books and venue agree", "accounts", audit_gate_sql.COUNT_ACCOUNTS, audit_gate_sql.MISMATCHES),
)


def audit(connection: psycopg.Connection, fleet: str) -> Audit:
    """Return what every invariant found in a fleet's rows. `connection` must not be in a transaction.

    Raises Retryable when the connection is lost.
    """
    invariants: list[Invariant] = []
    try:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for check in _CHECKS:
                checked = connection.execute(check.count, {"fleet": fleet}).fetchone()
                invariants.append(
                    Invariant(
                        name=check.name,
                        unit=check.unit,
                        checked=int(checked[0]) if checked else 0,
                        findings=tuple(
                            Finding(invariant=check.name, table=table, key=key, problem=problem)
                            for table, key, problem in _search(connection, check.search, fleet)
                        ),
                    )
                )
    except psycopg.Error as error:
        raise _translated(error) from error
    return Audit(tuple(invariants))


def _search(connection: psycopg.Connection, search: str | Search, fleet: str) -> list[tuple[str, str, str]]:
    """Return the first findings in the order of their text, so that two audits of the same rows print the same."""
    if callable(search):
        return sorted(search(connection, fleet, FINDINGS_MAX))[:FINDINGS_MAX]
    return connection.execute(
        f"SELECT * FROM ({search}) AS findings ORDER BY 1, 2, 3 LIMIT %(limit)s",  # noqa: S608
        {"fleet": fleet, "limit": FINDINGS_MAX},
    ).fetchall()


def _translated(error: psycopg.Error) -> FleetError:
    return translate(error, committing=False)
