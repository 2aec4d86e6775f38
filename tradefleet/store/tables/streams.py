"""Numbered streams, the outbox, bars and who still needs them.

Nothing here has a foreign key: each insert would pay for it, and the writer's fence already proves what it would check.
"""

from sqlalchemy import BigInteger, Column, Double, Index, Table, text

from tradefleet.store.tables.columns import REWRITTEN, fleet, metadata, name, number, payload

streams = Table(
    "stream",
    metadata,
    fleet(),
    name("stream", key=True),
    number("last_seq", default=0),
    number("published_seq", default=0),
    number("trimmed_seq", default=0),
    postgresql_with=REWRITTEN,
)

outbox = Table(
    "outbox",
    metadata,
    fleet(),
    name("stream", key=True),
    number("seq", key=True),
    name("topic"),
    name("key"),
    number("market_us"),
    payload("payload"),
    number("epoch"),
    comment="Messages exactly as they are published; epoch says which writer committed them.",
)

bars = Table(
    "bar",
    metadata,
    fleet(),
    name("exchange", key=True),
    name("symbol", key=True),
    number("interval_us", key=True),
    number("open_us", key=True),
    Column("seq", BigInteger, nullable=True, comment="number in the bar stream; NULL for history that was imported"),
    Column("open", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("close", Double, nullable=False),
    Column("volume", Double, nullable=False),
    Index(
        "bar_seq_idx",
        "fleet",
        "exchange",
        "symbol",
        "interval_us",
        "seq",
        unique=True,
        postgresql_where=text("seq IS NOT NULL"),
    ),
    comment="Closed bars: the outbox of their stream and the stored history at once.",
)

consumers = Table(
    "consumer",
    metadata,
    fleet(),
    name("stream", key=True),
    name("consumer", key=True),
    comment="Who must have passed a message before it is trimmed; by name of the lease.",
)
