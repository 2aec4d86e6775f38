"""What datasets hold of each series, and the market data besides bars that is recorded."""

from sqlalchemy import Column, Double, Index, Table

from tradefleet.store.tables.columns import fleet, metadata, name, number

dataset_series = Table(
    "dataset_series",
    metadata,
    fleet(),
    name("dataset", key=True),
    name("symbol", key=True),
    number("interval_us", key=True),
    number("bars"),
    name("content_hash"),
    comment="What a dataset holds of one instrument and interval; the hash is over its bars in the order of time.",
)

tickers = Table(
    "ticker",
    metadata,
    fleet(),
    name("exchange", key=True),
    name("symbol", key=True),
    number("event_us", key=True),
    number("seq", key=True),
    Column("bid", Double, nullable=False),
    Column("bid_size", Double, nullable=False),
    Column("ask", Double, nullable=False),
    Column("ask_size", Double, nullable=False),
    Column("last", Double, nullable=False),
    comment="Best prices as they changed. seq tells two of the same microsecond apart.",
)

market_trades = Table(
    "market_trade",
    metadata,
    fleet(),
    name("exchange", key=True),
    name("symbol", key=True),
    name("trade_id", key=True),
    number("event_us"),
    Column("price", Double, nullable=False),
    Column("size", Double, nullable=False),
    name("taker_side"),
    Index(None, "fleet", "exchange", "symbol", "event_us"),
    comment="Public trades, each once, by the venue's id.",
)
