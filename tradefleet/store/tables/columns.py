"""Columns that many tables share, and the two types they are made of.

Amounts are integer atoms in `numeric(38, 0)`, not units in `numeric(38, 18)`: atoms are what the machines add up, so a
sum in SQL is the machine's sum without any scale in between, and the store need not know an asset's scale to write a
row. Who reads SQL takes the `readable_*` views, which divide by the scale that the `instrument` table names.
`bigint` would be too narrow: 9.2 units of an asset with 18 decimals.

Text is compared byte by byte (collation "C"): the order of names is the same in SQL as in Python.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Numeric, Text, text
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "tradefleet"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)

# Rows that every commit rewrites: half of the page stays free, so that the new version fits beside the old one and no
# index is touched (a heap-only tuple).
REWRITTEN = {"fillfactor": 50}


def name(column: str, *, key: bool = False) -> Column[str]:
    """Return a text column that is compared byte by byte."""
    return Column(column, Text(collation="C"), primary_key=key, nullable=False)


def optional_name(column: str) -> Column[str]:
    """Return a text column that may be NULL."""
    return Column(column, Text(collation="C"), nullable=True)


def fleet() -> Column[str]:
    """Return the column that opens every key: rows of two fleets never meet."""
    return name("fleet", key=True)


def number(column: str, *, key: bool = False, default: int | None = None) -> Column[int]:
    """Return a 64-bit integer: a count, a number in a stream, ticks, lots, or microseconds."""
    return Column(
        column,
        BigInteger,
        primary_key=key,
        autoincrement=False,
        nullable=False,
        server_default=None if default is None else text(str(default)),
    )


def optional_number(column: str) -> Column[int]:
    """Return a 64-bit integer that may be NULL."""
    return Column(column, BigInteger, nullable=True)


def atoms(column: str, *, nullable: bool = False) -> Column[Any]:
    """Return an amount in atoms of its asset."""
    return Column(column, Numeric(38, 0), nullable=nullable)


def payload(column: str, *, default: bool = False) -> Column[bytes]:
    """Return a column of bytes that only its writer understands."""
    return Column(column, LargeBinary, nullable=False, server_default=text("''::bytea") if default else None)


def document(column: str) -> Column[Any]:
    """Return a JSON object, empty unless set."""
    return Column(column, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def event_no() -> Column[int]:
    """Return the number that orders rows by when they were written.

    A sequence and not a clock: it never goes back, so "accepted after the halt" is a comparison of two numbers.
    """
    return Column("event_no", BigInteger, nullable=False, server_default=text("nextval('tradefleet.event_no')"))


def owner() -> Column[Any]:
    """Return the UID of the resource that the row's lease was last taken for."""
    return Column("owner", Text(collation="C"), nullable=False, server_default=text("''"))


def lease_columns() -> list[Column[Any]]:
    """Return who may write, and until when on the database's clock. An empty holder means released."""
    return [
        number("epoch", default=0),
        Column("holder", Text(collation="C"), nullable=False, server_default=text("''")),
        number("generation", default=0),
        number("lease_until_us", default=0),
    ]
