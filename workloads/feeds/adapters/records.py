"""Recorded ticks in Postgres, and what of our messages is one."""

from collections.abc import Sequence
from typing import Any, Final

from tradefleet.domain.ids import Symbol
from tradefleet.messages.fields import Message
from tradefleet.messages.market import MarketTraded, TickerChanged
from tradefleet.store.postgres.session import Session
from workloads.feeds.recorder import MarketTrade, RecordBatch, Tick, Ticker

_WRITE_TICKERS: Final = """
INSERT INTO tradefleet.ticker (fleet, exchange, symbol, event_us, seq, bid, bid_size, ask, ask_size, last)
SELECT %(fleet)s, * FROM unnest(%(exchange)s::text[], %(symbol)s::text[], %(event_us)s::bigint[], %(seq)s::bigint[],
    %(bid)s::float8[], %(bid_size)s::float8[], %(ask)s::float8[], %(ask_size)s::float8[], %(last)s::float8[])
ON CONFLICT (fleet, exchange, symbol, event_us, seq) DO NOTHING"""

_WRITE_TRADES: Final = """
INSERT INTO tradefleet.market_trade (fleet, exchange, symbol, trade_id, event_us, price, size, taker_side)
SELECT %(fleet)s, * FROM unnest(%(exchange)s::text[], %(symbol)s::text[], %(trade_id)s::text[], %(event_us)s::bigint[],
    %(price)s::float8[], %(size)s::float8[], %(taker_side)s::text[])
ON CONFLICT (fleet, exchange, symbol, trade_id) DO NOTHING"""


class PostgresRecords:
    """Implements `RecordStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def write(self, batch: RecordBatch) -> None:
        """Write what is not stored yet."""
        fleet = {"fleet": self._session.fleet}
        with self._session.transaction() as transaction:
            if batch.tickers:
                transaction.run(_WRITE_TICKERS, fleet | _columns(Ticker._fields, batch.tickers))
            if batch.trades:
                transaction.run(_WRITE_TRADES, fleet | _columns(MarketTrade._fields, batch.trades))


def record_of(message: Message) -> Tick | None:
    """Return the tick in a message; None for one that holds none."""
    match message:
        case TickerChanged():
            return Ticker(
                exchange=message.exchange,
                symbol=Symbol(message.symbol),
                event_us=message.event_time_us,
                seq=message.stream_seq,
                bid=message.bid,
                bid_size=message.bid_size,
                ask=message.ask,
                ask_size=message.ask_size,
                last=message.last,
            )
        case MarketTraded():
            return MarketTrade(
                exchange=message.exchange,
                symbol=Symbol(message.symbol),
                trade_id=message.trade_id,
                event_us=message.event_time_us,
                price=message.price,
                size=message.size,
                taker_side=message.taker_side,
            )
        case _:
            return None


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """Return rows as one list per column: a single parameter holds each, however many rows there are."""
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
