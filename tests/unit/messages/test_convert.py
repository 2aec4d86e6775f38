"""Domain values through messages and bytes, and back: nothing may change."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidOrder, InvalidValue
from tradefleet.domain.executions import Execution, Fill, Origin
from tradefleet.domain.ids import AccountId, BotKey, BotUid, ClientOrderId, Symbol, bars_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import to_atoms
from tradefleet.domain.orders import (
    AmendRequest,
    BotRequest,
    CancelRequest,
    OrderRequest,
    OrderStatus,
    OrderTerms,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    Liquidity,
    SubmitOrder,
    VenueRequest,
    VoidRequest,
)
from tradefleet.messages.codec import decode, decode_as, encode
from tradefleet.messages.convert import (
    bar_message,
    bar_of,
    execution_message,
    execution_of,
    request_message,
    request_of,
    statistics_message,
    statistics_of,
)
from tradefleet.messages.convert_journal import (
    journal_bars_message,
    journal_bars_of,
    journal_requests_message,
    journal_requests_of,
)
from tradefleet.messages.journal import JournalBars, JournalRequest, JournalRequests, VenueRequestKind
from tradefleet.messages.market import BarClosed
from tradefleet.messages.performance import BotMeasured
from tradefleet.messages.trading import AmendRequested, CancelRequested, OrderExecuted, OrderRequested

UID = BotUid("0e2c7bd0-3b8f-4d1c-9b55-9f1f0b0f8f11")
BOT = BotKey("default/alpha")
INSTRUMENTS = {
    instrument.symbol: instrument
    for instrument in (
        Instrument(symbol=Symbol("BTC-USD"), base="BTC", quote="USD", tick=Decimal("0.01"), lot=Decimal("0.00001")),
        Instrument(
            symbol=Symbol("SHIB-ETH"),
            base="SHIB",
            quote="ETH",
            tick=Decimal("0.000000000000000003"),
            lot=Decimal(1000),
            base_scale=0,
            quote_scale=18,
        ),
        Instrument(
            symbol=Symbol("ES-EUR"), base="ES", quote="EUR", tick=Decimal("0.25"), lot=Decimal("5e1"), quote_scale=2
        ),
    )
}
TIMES_US = st.integers(0, 2**53)
COUNTS = st.integers(1, 10**12)


@st.composite
def terms(draw: st.DrawFn) -> OrderTerms:
    kind = draw(st.sampled_from(OrderType))
    limited = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    time_in_force = draw(st.sampled_from(TimeInForce))
    return OrderTerms(
        symbol=draw(st.sampled_from(sorted(INSTRUMENTS))),
        side=draw(st.sampled_from(Side)),
        type=kind,
        lots=draw(COUNTS),
        price_ticks=draw(COUNTS) if limited else None,
        trigger_ticks=draw(COUNTS) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=time_in_force,
        post_only=limited and time_in_force is TimeInForce.GTC and draw(st.booleans()),
        reduce_only=draw(st.booleans()),
    )


NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=32)
ORDER_IDS = NAMES.map(ClientOrderId)
ORDERS = st.builds(
    OrderRequest, bot=st.just(BOT), seq=COUNTS, client_order_id=ORDER_IDS, terms=terms(), market_us=TIMES_US
)
CANCELS = st.builds(CancelRequest, bot=st.just(BOT), seq=COUNTS, client_order_id=ORDER_IDS, market_us=TIMES_US)
AMENDS = st.builds(
    AmendRequest,
    bot=st.just(BOT),
    seq=COUNTS,
    client_order_id=ORDER_IDS,
    symbol=st.sampled_from(sorted(INSTRUMENTS)),
    market_us=TIMES_US,
    lots=st.none() | COUNTS,
    price_ticks=st.none() | COUNTS,
)


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    order = draw(terms())
    instrument = INSTRUMENTS[order.symbol]
    signed = st.integers(-(10**17), 10**17)
    fill = st.builds(
        Fill,
        trade_id=NAMES,
        lots=COUNTS,
        price_ticks=COUNTS,
        notional_atoms=signed,
        fee_atoms=signed,
        fee_asset=st.sampled_from([instrument.base, instrument.quote, "BNB"]),
        liquidity=st.sampled_from(Liquidity),
        realized_atoms=signed,
    )
    return Execution(
        bot=BOT,
        seq=draw(COUNTS),
        client_order_id=draw(ORDER_IDS),
        origin=draw(st.sampled_from(Origin)),
        status=draw(st.sampled_from(OrderStatus)),
        terms=order,
        filled_lots=draw(st.integers(0, order.lots)),
        market_us=draw(TIMES_US),
        reason=draw(st.sampled_from(Reason)),
        fill=draw(st.none() | fill),
    )


@given(ORDERS | CANCELS | AMENDS, st.sampled_from(sorted(INSTRUMENTS)))
def test_a_request_comes_back_as_it_was(request: BotRequest, symbol: Symbol) -> None:
    if not isinstance(request, CancelRequest):
        symbol = request.terms.symbol if isinstance(request, OrderRequest) else request.symbol
    payload = encode(request_message(request, UID, INSTRUMENTS[symbol]))
    message = decode_as(payload, OrderRequested, AmendRequested, CancelRequested)
    assert request_of(message, INSTRUMENTS) == request
    assert (message.stream, message.stream_seq) == (f"orders/{UID}", request.seq)


@given(executions())
def test_an_execution_comes_back_as_it_was(execution: Execution) -> None:
    instrument = INSTRUMENTS[execution.terms.symbol]
    payload = encode(execution_message(execution, UID, instrument, {"BNB": 8}))
    message = decode_as(payload, OrderExecuted)
    assert execution_of(message, INSTRUMENTS, {"BNB": 8}) == execution
    assert (message.stream, message.stream_seq) == (f"executions/{UID}", execution.seq)


PRICES = st.floats(min_value=1e-9, max_value=1e9)
BARS = st.builds(
    Bar,
    symbol=st.sampled_from(sorted(INSTRUMENTS)),
    interval_us=st.sampled_from([60_000_000, 3_600_000_000]),
    open_us=TIMES_US,
    open=PRICES,
    high=PRICES,
    low=PRICES,
    close=PRICES,
    volume=PRICES,
)


@given(BARS)
def test_a_bar_comes_back_as_it_was(bar: Bar) -> None:
    stream = bars_stream("default/sim", bar.symbol, bar.interval_us)
    message = decode_as(encode(bar_message(stream, 3, "default/sim", bar)), BarClosed)
    assert bar_of(message) == bar
    assert message.event_time_us == bar.close_us


@given(st.integers(-(10**30), 10**30), st.none() | st.integers(0, 10**30), COUNTS)
def test_statistics_come_back_as_they_were(equity_atoms: int, hold_atoms: int | None, lots: int) -> None:
    figures = BotStatistics(
        bot=BOT,
        market_us=1,
        quote="USD",
        equity_atoms=equity_atoms,
        hold_atoms=hold_atoms,
        peak_equity_atoms=abs(equity_atoms),
        realized_atoms=-5,
        fees_atoms=7,
        orders=1,
        fills=2,
        open_orders=3,
        positions=((Symbol("BTC-USD"), lots), (Symbol("ES-EUR"), 0)),
    )
    message = decode_as(encode(statistics_message(figures, "metrics", 9, 11, INSTRUMENTS)), BotMeasured)
    assert statistics_of(message, 11, INSTRUMENTS) == figures
    assert (None if message.vs_hold is None else to_atoms(message.vs_hold, 11)) == figures.vs_hold_atoms


VENUE_REQUESTS = st.one_of(
    st.builds(
        SubmitOrder,
        no=COUNTS,
        client_order_id=ORDER_IDS,
        terms=terms(),
        market_us=TIMES_US,
        protection_ticks=st.none() | st.integers(1, 2**62),
        decided_us=TIMES_US,
    ),
    st.builds(CancelOrder, no=COUNTS, client_order_id=ORDER_IDS, market_us=TIMES_US, decided_us=TIMES_US),
    st.builds(
        AmendOrder,
        no=COUNTS,
        client_order_id=ORDER_IDS,
        market_us=TIMES_US,
        lots=st.none() | COUNTS,
        price_ticks=st.none() | COUNTS,
        decided_us=TIMES_US,
    ),
    st.builds(
        DepositFunds,
        no=COUNTS,
        reference=NAMES,
        asset=st.just("ETH"),
        atoms=st.integers(-(10**30), 10**30),
        market_us=TIMES_US,
    ),
    st.builds(VoidRequest, no=COUNTS),
)


@given(st.lists(VENUE_REQUESTS, max_size=4))
def test_journaled_requests_come_back_as_they_were(requests: list[VenueRequest]) -> None:
    account = AccountId("default/sim:main")
    message = journal_requests_message("default/sim", 4, 2, account, 55, 1, requests)
    found = decode_as(encode(message), JournalRequests)
    assert journal_requests_of(found) == requests
    assert (found.epoch, found.account, found.event_time_us, found.round) == (2, account, 55, 1)


@given(st.lists(BARS, max_size=4))
def test_journaled_bars_come_back_as_they_were(bars: list[Bar]) -> None:
    found = decode(encode(journal_bars_message("default/sim", 4, 2, 55, bars)))
    assert isinstance(found, JournalBars)
    assert journal_bars_of(found) == bars


# --- what is refused ---


def order_message(**changes: Any) -> OrderRequested:
    fields: dict[str, Any] = {
        "stream": "orders/x",
        "stream_seq": 1,
        "event_time_us": 1,
        "bot": BOT,
        "client_order_id": "A1",
        "symbol": "BTC-USD",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "size": Decimal("0.00001"),
        "limit_price": Decimal("0.01"),
    }
    return OrderRequested(**(fields | changes))


def test_a_size_between_two_lots_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"size of BTC-USD must be a multiple of 0\.00001, was 0\.000015"):
        request_of(order_message(size=Decimal("0.000015")), INSTRUMENTS)


def test_a_price_between_two_ticks_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"price of BTC-USD must be a multiple of 0\.01"):
        request_of(order_message(limit_price=Decimal("7.001")), INSTRUMENTS)


def test_an_unknown_instrument_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InvalidValue, match="instrument DOGE-USD is not one of BTC-USD, ES-EUR, SHIB-ETH"):
        request_of(order_message(symbol="DOGE-USD"), INSTRUMENTS)


def test_terms_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InvalidOrder, match="a price belongs to limit orders only"):
        request_of(order_message(order_type=OrderType.MARKET), INSTRUMENTS)


def test_a_request_is_not_written_with_another_instrument() -> None:
    request = request_of(order_message(), INSTRUMENTS)
    with pytest.raises(InvalidValue, match="message is about BTC-USD, the instrument given is ES-EUR"):
        request_message(request, UID, INSTRUMENTS[Symbol("ES-EUR")])


def test_a_fee_in_an_asset_of_unknown_scale_is_refused() -> None:
    fill = Fill(
        trade_id="1",
        lots=1,
        price_ticks=1,
        notional_atoms=1,
        fee_atoms=1,
        fee_asset="BNB",
        liquidity=Liquidity.TAKER,
        realized_atoms=0,
    )
    order = request_of(order_message(), INSTRUMENTS)
    assert isinstance(order, OrderRequest)
    execution = Execution(
        bot=BOT,
        seq=1,
        client_order_id=ClientOrderId("A1"),
        origin=Origin.BOT,
        status=OrderStatus.FILLED,
        terms=order.terms,
        filled_lots=1,
        market_us=1,
        fill=fill,
    )
    with pytest.raises(InvalidValue, match="asset BNB is neither base nor quote of BTC-USD"):
        execution_message(execution, UID, INSTRUMENTS[Symbol("BTC-USD")])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (JournalRequest(no=3, kind=VenueRequestKind.CANCEL, reference="A1"), "CANCEL needs market_us"),
        (JournalRequest(no=3, kind=VenueRequestKind.SUBMIT, reference="A1", market_us=1), "SUBMIT needs symbol"),
        (
            JournalRequest(
                no=3, kind=VenueRequestKind.DEPOSIT, reference="A1", market_us=1, asset="USD", amount_atoms="1e5"
            ),
            "amount_atoms must be a whole number, was '1e5'",
        ),
    ],
)
def test_a_journal_record_that_lacks_something_is_refused(record: JournalRequest, message: str) -> None:
    whole = JournalRequests(
        stream="journal/default/sim",
        stream_seq=1,
        event_time_us=1,
        exchange="default/sim",
        epoch=1,
        account="default/sim:main",
        round=0,
        requests=(record,),
    )
    with pytest.raises(InvalidValue, match=f"journal request 3: .*{message}"):
        journal_requests_of(whole)
