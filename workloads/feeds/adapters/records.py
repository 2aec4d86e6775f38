"""Recorded market data in Postgres, and what of our messages is recorded."""

from collections.abc import Sequence
from typing import Any, Final

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import Symbol
from tradefleet.messages.fields import Message
from tradefleet.messages.market import BarClosed, MarketTraded, TickerChanged
from tradefleet.store.postgres.session import Session
from workloads.feeds.recorder import ClosedBar, MarketTrade, Record, RecordBatch, Ticker

_FRESH_BARS: Final = """unnest(%(exchanges)s::text[], %(symbols)s::text[], %(intervals)s::bigint[],
        %(opens_us)s::bigint[], %(opens)s::float8[], %(highs)s::float8[], %(lows)s::float8[], %(closes)s::float8[],
        %(volumes)s::float8[])
    WITH ORDINALITY AS fresh(exchange, symbol, interval_us, open_us, open, high, low, close, volume, place)"""

_WRITE_BARS: Final = f"""
INSERT INTO tradefleet.bar (fleet, exchange, symbol, interval_us, open_us, open, high, low, close, volume)
SELECT %(fleet)s, exchange, symbol, interval_us, open_us, open, high, low, close, volume FROM {_FRESH_BARS}
ORDER BY exchange, symbol, interval_us, open_us, place
ON CONFLICT (fleet, exchange, symbol, interval_us, open_us) DO NOTHING"""  # noqa: S608 - constants

_CONFLICTS: Final = f"""
SELECT place FROM {_FRESH_BARS} JOIN tradefleet.bar ON bar.fleet = %(fleet)s AND bar.exchange = fresh.exchange
    AND bar.symbol = fresh.symbol AND bar.interval_us = fresh.interval_us AND bar.open_us = fresh.open_us
WHERE (bar.open, bar.high, bar.low, bar.close, bar.volume)
    <> (fresh.open, fresh.high, fresh.low, fresh.close, fresh.volume)
ORDER BY place"""  # noqa: S608 - constants

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

    def write(self, batch: RecordBatch) -> list[ClosedBar]:
        """Write what is not stored yet; return the bars that are stored with another content."""
        fleet = {"fleet": self._session.fleet}
        conflicts: list[ClosedBar] = []
        with self._session.transaction() as transaction:
            if batch.tickers:
                transaction.run(_WRITE_TICKERS, fleet | _columns(Ticker._fields, batch.tickers))
            if batch.trades:
                transaction.run(_WRITE_TRADES, fleet | _columns(MarketTrade._fields, batch.trades))
            if batch.bars:
                bars = fleet | _bar_columns(batch.bars)
                transaction.run(_WRITE_BARS, bars)
                places = transaction.run(_CONFLICTS, bars).fetchall()
                conflicts = [batch.bars[place - 1] for (place,) in places]
        return conflicts


def record_of(message: Message) -> Record | None:
    """Return what is recorded of a message; None for one that is no market data of the recorder's kinds."""
    match message:
        case BarClosed():
            bar = Bar(
                Symbol(message.symbol),
                message.interval_us,
                message.open_us,
                message.open,
                message.high,
                message.low,
                message.close,
                message.volume,
            )
            return ClosedBar(message.exchange, bar)
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


def _bar_columns(bars: Sequence[ClosedBar]) -> dict[str, Any]:
    names = ("symbols", "intervals", "opens_us", "opens", "highs", "lows", "closes", "volumes")
    columns = _columns(names, [each.bar for each in bars])
    return {"exchanges": [each.exchange for each in bars], **columns}
