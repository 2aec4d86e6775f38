"""What a fleet's bots have made, out of its books in Postgres: the same values that a backtest gives.

So both are shown by the same tables and the same report, and their canonical ledgers have comparable hashes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from governor.eyes import statistics_of
from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotConfig, config_from_values
from tradefleet.domain.canonical import CanonicalFill
from tradefleet.domain.executions import Adoption, Execution
from tradefleet.domain.ids import BARS_STREAMS, BotKey, StreamName, Symbol, executions_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderStatus, Side
from tradefleet.domain.times import format_time
from tradefleet.messages.codec import decode_as
from tradefleet.messages.convert import execution_of
from tradefleet.messages.trading import OrderExecuted
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.to_domain import exchange_terms
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.streams import PostgresStreams
from workloads.backtest.plan import BacktestPlan, MarketPlan
from workloads.backtest.record import NO_HOLD, BotRecord, TradeRecord, trade_record
from workloads.backtest.report_data import ReportData
from workloads.backtest.report_of_backtest import CandleCollector, report_data
from workloads.backtest.results import BacktestResult, BotResult, DataFacts
from workloads.exchange.settings import ExchangeSettings
from workloads.feeds.content_hash import SeriesContent, SeriesHash
from workloads.feeds.findings import Findings
from workloads.strategy.books import adoption_of
from workloads.strategy.registry import load_strategy

from .trades import Closes, KeptTrades, reference_ticks

CHUNK: Final = 5_000

_COMMANDS: Final = (
    "SELECT config FROM tradefleet.bot_command WHERE fleet = %(fleet)s AND account = %(account)s ORDER BY bot"
)
_STREAMS: Final = "SELECT stream FROM tradefleet.stream WHERE fleet = %(fleet)s AND starts_with(stream, %(start)s)"
_STATISTICS: Final = """
SELECT bot, market_us, quote, equity_atoms, hold_atoms, peak_equity_atoms, realized_atoms, fees_atoms, orders, fills,
    open_orders, positions
FROM tradefleet.statistics WHERE fleet = %(fleet)s AND uid = %(uid)s ORDER BY market_us"""
_ORDERS: Final = """
SELECT client_order_id, created_us FROM tradefleet.trade_order WHERE fleet = %(fleet)s AND uid = %(uid)s"""
_TRIMMED: Final = "SELECT trimmed_seq FROM tradefleet.stream WHERE fleet = %(fleet)s AND stream = %(stream)s"
_FILLS: Final = """
SELECT market_us, bot, number, symbol, side, price_ticks, lots, fee_atoms, fee_asset
FROM tradefleet.fill WHERE fleet = %(fleet)s AND uid = ANY(%(uids)s)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetResult:
    """Results and, for the report, the candles."""

    result: BacktestResult
    collector: CandleCollector

    def report(self, title: str) -> ReportData:
        """Return the values of the fleet's report."""
        data = self.result.data
        span = ""
        if data.from_us is not None and data.to_us is not None:
            span = f" · {format_time(data.from_us)} – {format_time(data.to_us)}"
        made = report_data(self.result, self.collector)
        return replace(made, title=title, subtitle=f"A fleet of processes over Kafka and Postgres{span}")


@dataclass(slots=True)
class _Market:
    """One exchange while it is read."""

    settings: ExchangeSettings
    instruments: Mapping[Symbol, Instrument]
    bots: list[BotConfig]
    streams: list[StreamName]
    closes: Closes = field(default_factory=Closes)


def fleet_result(
    session: Session, resources: Collection[Resource], *, title: str, elapsed_s: float, findings: Findings | None = None
) -> FleetResult:
    """Return what the fleet's bots have made so far. `findings` is what the checks of its data found."""
    reader = _Reader(session)
    exchanges = sorted((each for each in resources if isinstance(each, Exchange)), key=lambda each: each.key)
    markets = [market for each in exchanges if (market := reader.market(each)) is not None]
    datasets = [each for each in resources if isinstance(each, Dataset)]
    plan = BacktestPlan(
        title=title,
        markets=tuple(MarketPlan(settings=market.settings, bots=tuple(market.bots), replays=()) for market in markets),
    )
    collector = CandleCollector(plan)
    series, span = reader.bars(markets, collector)
    bots = [reader.bot(market, config) for market in markets for config in market.bots]
    labels = [path for each in datasets for path in (file.path for file in each.spec.files)]
    facts = DataFacts(
        series=tuple(series),
        labels=tuple(labels) or tuple(each.metadata.name for each in datasets),
        is_synthetic=any(each.spec.is_synthetic for each in datasets),
        steps=max((len(bot.record.market_us) for bot in bots), default=0),
        from_us=span[0],
        to_us=span[1],
        findings=findings or Findings(keep_going=True),
    )
    fills = reader.fills([config.uid for market in markets for config in market.bots])
    result = BacktestResult(
        title=title,
        bots=tuple(sorted(bots, key=lambda bot: bot.key)),
        fills=fills,
        data=facts,
        elapsed_s=elapsed_s,
    )
    return FleetResult(result=result, collector=collector)


class _Counted(msgspec.Struct):
    """What the gateway counts of a bot, as far as results show it."""

    order_count: int
    fees_atoms: int


class _Reader:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._streams = PostgresStreams(session)
        self._commands = PostgresCommandStore(session)

    def _read(self, query: str, **parameters: Any) -> list[Any]:  # noqa: ANN401 - rows and parameters of any query
        return self._session.read(query, {"fleet": self._session.fleet, **parameters})

    def market(self, exchange: Exchange) -> _Market | None:
        """Return an exchange's terms, bots and bar streams; None when nobody has traded on it."""
        terms = exchange_terms(exchange)
        bots = [config_from_values(config) for (config,) in self._read(_COMMANDS, account=terms.account)]
        names = [StreamName(stream) for (stream,) in self._read(_STREAMS, start=f"{BARS_STREAMS}{terms.exchange}:")]
        if not bots or not names:
            return None
        series = [_series(stream) for stream in names]
        settings = msgspec.convert(terms.settings(series), ExchangeSettings)
        return _Market(settings=settings, instruments=terms.instruments, bots=bots, streams=sorted(names))

    def bars(
        self, markets: Collection[_Market], collector: CandleCollector
    ) -> tuple[list[SeriesContent], tuple[int | None, int | None]]:
        """Return what every series holds, and from when to when; the collector is shown every bar."""
        found: list[SeriesContent] = []
        opens: list[int] = []
        ends: list[int] = []
        for market in markets:
            for stream in market.streams:
                symbol, interval_us = _series(stream)
                taken, count, last_us = SeriesHash(), 0, 0
                for bar in self._bars(stream):
                    taken.add(bar)
                    count += 1
                    collector.on_bars([bar])
                    if count == 1:
                        opens.append(bar.open_us)
                    market.closes.add(bar)
                    last_us = bar.close_us
                if count:
                    ends.append(last_us)
                    found.append(SeriesContent(symbol, interval_us, count, taken.hexdigest()))
        return sorted(found), (min(opens, default=None), max(ends, default=None))

    def _bars(self, stream: StreamName) -> Iterator[Bar]:
        after = 0
        while found := self._streams.read_bars(stream, after=after, limit=CHUNK):
            after = found[-1][0]
            yield from (bar for _, bar in found)

    def bot(self, market: _Market, config: BotConfig) -> BotResult:
        """Return one bot's results."""
        books, counted = self._books(config)
        return BotResult(
            record=self._record(market, config),
            exchange=market.settings.exchange,
            instruments=market.instruments,
            books=books,
            orders=counted.order_count,
            fees_atoms=counted.fees_atoms,
            strategy=load_strategy(config.strategy).title() if ":" not in config.strategy else config.strategy,
        )

    def _books(self, config: BotConfig) -> tuple[Adoption, "_Counted"]:
        found = self._commands.bot_books(config.uid)
        if found is None:
            empty = Adoption(bot=config.key, market_us=0, execution_seq=0, free=dict(config.wallet), locked={})
            return empty, _Counted(order_count=0, fees_atoms=0)
        blob, orders = found
        return adoption_of(config.key, blob, orders, market_us=0), msgspec.json.decode(blob, type=_Counted)

    def _record(self, market: _Market, config: BotConfig) -> BotRecord:
        record = BotRecord(config)
        for row in self._read(_STATISTICS, uid=config.uid):
            point = statistics_of(row)
            record.market_us.append(point.market_us)
            record.equity.append(point.equity_atoms)
            record.hold.append(NO_HOLD if point.hold_atoms is None else point.hold_atoms)
            record.in_market.append(1 if any(lots for _, lots in point.positions) else 0)
        after = self._trimmed(executions_stream(config.uid))
        told: set[tuple[str, str]] = set()
        denied: set[str] = set()
        trades: list[TradeRecord] = []
        created_us = dict(self._read(_ORDERS, uid=config.uid))
        for execution in self._executions(market, config, after):
            if execution.fill is not None:
                instrument = market.instruments[execution.terms.symbol]
                made_us = created_us.get(execution.client_order_id, execution.market_us)
                reference = reference_ticks(execution.terms, made_us, instrument, market.closes)
                trades.append(trade_record(execution, instrument, reference))
                told.add((execution.client_order_id, execution.fill.trade_id))
            elif execution.status is OrderStatus.DENIED:
                record.denied[execution.reason] += 1
                denied.add(execution.client_order_id)
        if after:
            kept = KeptTrades(self._session, config.uid)
            trades = [*kept.trades(market.instruments, market.closes, without=told), *trades]
            record.denied.update(kept.denials(without=denied))
        record.trades += trades
        record.slippage_atoms = sum(trade.slippage_atoms for trade in trades)
        return record

    def _trimmed(self, stream: StreamName) -> int:
        rows = self._read(_TRIMMED, stream=stream)
        return int(rows[0][0]) if rows else 0

    def _executions(self, market: _Market, config: BotConfig, after: int) -> Iterator[Execution]:
        stream = executions_stream(config.uid)
        while found := self._streams.read_stream(stream, after=after, limit=CHUNK):
            after = found[-1].seq
            for message in found:
                yield execution_of(decode_as(message.payload, OrderExecuted), market.instruments)

    def fills(self, uids: Collection[str]) -> list[CanonicalFill]:
        """Return the canonical fills of bots."""
        return [
            CanonicalFill(
                market_us, BotKey(bot), number, Symbol(symbol), Side(side), price_ticks, lots, int(fee), fee_asset
            )
            for market_us, bot, number, symbol, side, price_ticks, lots, fee, fee_asset in self._read(
                _FILLS, uids=list(uids)
            )
        ]


def _series(stream: StreamName) -> tuple[Symbol, int]:
    """Return instrument and interval of a stream of bars."""
    _, symbol, length = stream.rsplit(":", 2)
    return Symbol(symbol), int(length.removesuffix("s")) * 1_000_000
