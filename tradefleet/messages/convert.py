"""Between domain values and messages, exactly: ticks and lots become Decimals by the instrument, and back.

The way back refuses what is no whole number of ticks, lots or atoms: a border never rounds. All functions raise
InvalidValue (or InvalidOrder, for terms that contradict each other).
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.executions import Execution, Fill
from tradefleet.domain.ids import (
    BotKey,
    BotUid,
    ClientOrderId,
    StreamName,
    Symbol,
    executions_stream,
    orders_stream,
)
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import from_atoms, to_atoms
from tradefleet.domain.orders import AmendRequest, BotRequest, CancelRequest, OrderRequest, OrderTerms
from tradefleet.domain.statistics import BotStatistics
from tradefleet.messages.exact import money_of_units, money_units
from tradefleet.messages.market import BarClosed, BarUpdated
from tradefleet.messages.performance import BotMeasured, PositionSize
from tradefleet.messages.trading import AmendRequested, CancelRequested, OrderExecuted, OrderFill, OrderRequested

BotRequestMessage = OrderRequested | AmendRequested | CancelRequested


@lru_cache(maxsize=1_024)  # ticks and lots are few, and every message has several of them
def _grid_units(unit: Decimal) -> int:
    return money_units(unit)


def _amount(count: int, unit: Decimal) -> Decimal:
    """Return `count` times `unit` exactly; `Decimal`'s own product would round to the context's 28 digits."""
    return money_of_units(count * _grid_units(unit))


def _count(amount: Decimal, unit: Decimal, what: str) -> int:
    count, rest = divmod(money_units(amount), _grid_units(unit))
    if rest:
        raise InvalidValue(f"{what} must be a multiple of {unit}, was {amount}")
    return count


def _price(ticks: int | None, instrument: Instrument) -> Decimal | None:
    return None if ticks is None else _amount(ticks, instrument.tick)


def _ticks(price: Decimal | None, instrument: Instrument) -> int | None:
    return None if price is None else _count(price, instrument.tick, f"price of {instrument.symbol}")


def _lots(size: Decimal, instrument: Instrument) -> int:
    return _count(size, instrument.lot, f"size of {instrument.symbol}")


def _same_instrument(symbol: str, instrument: Instrument) -> None:
    if symbol != instrument.symbol:
        raise InvalidValue(f"message is about {symbol}, the instrument given is {instrument.symbol}")


# --- bars -----------------------------------------------------------------------------------------------------------


def bar_message(stream: StreamName, seq: int, exchange: str, bar: Bar) -> BarClosed:
    """Return the message for a closed bar; `exchange` is namespace/name."""
    return BarClosed(
        stream=stream,
        stream_seq=seq,
        event_time_us=bar.close_us,
        exchange=exchange,
        symbol=bar.symbol,
        interval_us=bar.interval_us,
        open_us=bar.open_us,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
    )


def bar_of(message: BarClosed | BarUpdated) -> Bar:
    """Return the bar in a message."""
    return Bar(
        Symbol(message.symbol),
        message.interval_us,
        message.open_us,
        message.open,
        message.high,
        message.low,
        message.close,
        message.volume,
    )


# --- requests -------------------------------------------------------------------------------------------------------


def request_message(request: BotRequest, uid: BotUid, instrument: Instrument) -> BotRequestMessage:
    """Return the message for a bot's request; `instrument` is the order's."""
    stream = orders_stream(uid)
    match request:
        case OrderRequest():
            return _order_requested(request, stream, instrument)
        case CancelRequest():
            return CancelRequested(
                stream=stream,
                stream_seq=request.seq,
                event_time_us=request.market_us,
                bot=request.bot,
                client_order_id=request.client_order_id,
            )
        case AmendRequest():
            _same_instrument(request.symbol, instrument)
            return AmendRequested(
                stream=stream,
                stream_seq=request.seq,
                event_time_us=request.market_us,
                bot=request.bot,
                client_order_id=request.client_order_id,
                symbol=instrument.symbol,
                size=None if request.lots is None else _amount(request.lots, instrument.lot),
                limit_price=_price(request.price_ticks, instrument),
            )


def _order_requested(request: OrderRequest, stream: StreamName, instrument: Instrument) -> OrderRequested:
    terms = request.terms
    _same_instrument(terms.symbol, instrument)
    return OrderRequested(
        stream=stream,
        stream_seq=request.seq,
        event_time_us=request.market_us,
        bot=request.bot,
        client_order_id=request.client_order_id,
        symbol=terms.symbol,
        side=terms.side,
        order_type=terms.type,
        size=_amount(terms.lots, instrument.lot),
        limit_price=_price(terms.price_ticks, instrument),
        trigger_price=_price(terms.trigger_ticks, instrument),
        time_in_force=terms.time_in_force,
        post_only=terms.post_only,
        reduce_only=terms.reduce_only,
    )


def request_of(message: BotRequestMessage, instruments: Mapping[Symbol, Instrument]) -> BotRequest:
    """Return the request in a message. An instrument that is not in `instruments` is InvalidValue."""
    bot, order_id = BotKey(message.bot), ClientOrderId(message.client_order_id)
    match message:
        case CancelRequested():
            return CancelRequest(
                bot=bot, seq=message.stream_seq, client_order_id=order_id, market_us=message.event_time_us
            )
        case AmendRequested():
            instrument = _instrument(message.symbol, instruments)
            return AmendRequest(
                bot=bot,
                seq=message.stream_seq,
                client_order_id=order_id,
                symbol=instrument.symbol,
                market_us=message.event_time_us,
                lots=None if message.size is None else _lots(message.size, instrument),
                price_ticks=_ticks(message.limit_price, instrument),
            )
        case OrderRequested():
            return OrderRequest(
                bot=bot,
                seq=message.stream_seq,
                client_order_id=order_id,
                terms=_terms(message, _instrument(message.symbol, instruments)),
                market_us=message.event_time_us,
            )


def _instrument(symbol: str, instruments: Mapping[Symbol, Instrument]) -> Instrument:
    instrument = instruments.get(Symbol(symbol))
    if instrument is None:
        raise InvalidValue(f"instrument {symbol} is not one of {', '.join(sorted(instruments)) or 'none'}")
    return instrument


def _terms(message: OrderRequested | OrderExecuted, instrument: Instrument) -> OrderTerms:
    return OrderTerms(
        symbol=instrument.symbol,
        side=message.side,
        type=message.order_type,
        lots=_lots(message.size, instrument),
        price_ticks=_ticks(message.limit_price, instrument),
        trigger_ticks=_ticks(message.trigger_price, instrument),
        time_in_force=message.time_in_force,
        post_only=message.post_only,
        reduce_only=message.reduce_only,
    )


# --- executions -----------------------------------------------------------------------------------------------------


def execution_message(
    execution: Execution, uid: BotUid, instrument: Instrument, fee_scales: Mapping[str, int] | None = None
) -> OrderExecuted:
    """Return the message for an execution. `fee_scales` gives the decimals of fee assets beyond base and quote."""
    terms = execution.terms
    _same_instrument(terms.symbol, instrument)
    return OrderExecuted(
        stream=executions_stream(uid),
        stream_seq=execution.seq,
        event_time_us=execution.market_us,
        bot=execution.bot,
        client_order_id=execution.client_order_id,
        origin=execution.origin,
        status=execution.status,
        reason=execution.reason,
        symbol=terms.symbol,
        side=terms.side,
        order_type=terms.type,
        size=_amount(terms.lots, instrument.lot),
        filled_size=_amount(execution.filled_lots, instrument.lot),
        limit_price=_price(terms.price_ticks, instrument),
        trigger_price=_price(terms.trigger_ticks, instrument),
        time_in_force=terms.time_in_force,
        post_only=terms.post_only,
        reduce_only=terms.reduce_only,
        fill=None if execution.fill is None else _fill_message(execution.fill, instrument, fee_scales or {}),
    )


def _fill_message(fill: Fill, instrument: Instrument, fee_scales: Mapping[str, int]) -> OrderFill:
    return OrderFill(
        trade_id=fill.trade_id,
        size=_amount(fill.lots, instrument.lot),
        price=_amount(fill.price_ticks, instrument.tick),
        notional=from_atoms(fill.notional_atoms, instrument.quote_scale),
        fee=from_atoms(fill.fee_atoms, _scale(fill.fee_asset, instrument, fee_scales)),
        fee_asset=fill.fee_asset,
        liquidity=fill.liquidity,
        realized=from_atoms(fill.realized_atoms, instrument.quote_scale),
    )


def execution_of(
    message: OrderExecuted, instruments: Mapping[Symbol, Instrument], fee_scales: Mapping[str, int] | None = None
) -> Execution:
    """Return the execution in a message."""
    instrument = _instrument(message.symbol, instruments)
    return Execution(
        bot=BotKey(message.bot),
        seq=message.stream_seq,
        client_order_id=ClientOrderId(message.client_order_id),
        origin=message.origin,
        status=message.status,
        terms=_terms(message, instrument),
        filled_lots=_lots(message.filled_size, instrument),
        market_us=message.event_time_us,
        reason=message.reason,
        fill=None if message.fill is None else _fill_of(message.fill, instrument, fee_scales or {}),
    )


def _fill_of(fill: OrderFill, instrument: Instrument, fee_scales: Mapping[str, int]) -> Fill:
    return Fill(
        trade_id=fill.trade_id,
        lots=_lots(fill.size, instrument),
        price_ticks=_count(fill.price, instrument.tick, f"price of {instrument.symbol}"),
        notional_atoms=to_atoms(fill.notional, instrument.quote_scale),
        fee_atoms=to_atoms(fill.fee, _scale(fill.fee_asset, instrument, fee_scales)),
        fee_asset=fill.fee_asset,
        liquidity=fill.liquidity,
        realized_atoms=to_atoms(fill.realized, instrument.quote_scale),
    )


def _scale(asset: str, instrument: Instrument, scales: Mapping[str, int]) -> int:
    if asset == instrument.quote:
        return instrument.quote_scale
    if asset == instrument.base:
        return instrument.base_scale
    if asset not in scales:
        raise InvalidValue(
            f"asset {asset} is neither base nor quote of {instrument.symbol}, and its scale is not known"
        )
    return scales[asset]


# --- statistics -----------------------------------------------------------------------------------------------------


def statistics_message(
    figures: BotStatistics, stream: StreamName, seq: int, quote_scale: int, instruments: Mapping[Symbol, Instrument]
) -> BotMeasured:
    """Return the message for a bot's figures; `quote_scale` is the decimals of their quote asset."""

    def amount(atoms: int) -> Decimal:
        return from_atoms(atoms, quote_scale)

    return BotMeasured(
        stream=stream,
        stream_seq=seq,
        event_time_us=figures.market_us,
        bot=figures.bot,
        quote=figures.quote,
        equity=amount(figures.equity_atoms),
        hold=None if figures.hold_atoms is None else amount(figures.hold_atoms),
        vs_hold=None if figures.vs_hold_atoms is None else amount(figures.vs_hold_atoms),
        peak_equity=amount(figures.peak_equity_atoms),
        realized=amount(figures.realized_atoms),
        fees=amount(figures.fees_atoms),
        orders=figures.orders,
        fills=figures.fills,
        open_orders=figures.open_orders,
        positions=tuple(
            PositionSize(symbol=symbol, size=_amount(lots, _instrument(symbol, instruments).lot))
            for symbol, lots in figures.positions
        ),
    )


def statistics_of(message: BotMeasured, quote_scale: int, instruments: Mapping[Symbol, Instrument]) -> BotStatistics:
    """Return the figures in a message. `vs_hold` is not read: it follows from the others."""
    return BotStatistics(
        bot=BotKey(message.bot),
        market_us=message.event_time_us,
        quote=message.quote,
        equity_atoms=to_atoms(message.equity, quote_scale),
        hold_atoms=None if message.hold is None else to_atoms(message.hold, quote_scale),
        peak_equity_atoms=to_atoms(message.peak_equity, quote_scale),
        realized_atoms=to_atoms(message.realized, quote_scale),
        fees_atoms=to_atoms(message.fees, quote_scale),
        orders=message.orders,
        fills=message.fills,
        open_orders=message.open_orders,
        positions=tuple(
            (Symbol(position.symbol), _lots(position.size, _instrument(position.symbol, instruments)))
            for position in message.positions
        ),
    )
