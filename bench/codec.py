"""Avro codec: encode and decode a message, against fastavro with a plain dict of the same content and schema.

The peer writes and reads the published schema with the library's own logical types (Decimal, datetime), no header and
no message type: what a program without us would do. Run alone: `python -m bench.codec`.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from io import BytesIO

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from bench.figure import Result, tell
from tradefleet.domain.executions import Origin
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.domain.venue import Liquidity
from tradefleet.messages.avro import published_schema
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.fields import Message
from tradefleet.messages.market import BarClosed
from tradefleet.messages.trading import OrderExecuted, OrderFill, OrderRequested

LIMIT = 1.3
HEADER_BYTES = 10
CALLS = 2_000
ROUNDS = 15

MESSAGES: tuple[Message, ...] = (
    BarClosed(
        stream="bars/default/sim:BTC-USD:60s",
        stream_seq=1_440,
        event_time_us=1_522_886_400_000_000,
        exchange="default/sim",
        symbol="BTC-USD",
        interval_us=60_000_000,
        open_us=1_522_886_340_000_000,
        open=6_801.01,
        high=6_810.5,
        low=6_799.99,
        close=6_805.0,
        volume=12.3456,
    ),
    OrderRequested(
        stream="orders/0e2c7bd0-3b8f-4d1c-9b55-9f1f0b0f8f11",
        stream_seq=17,
        event_time_us=1_522_886_400_000_000,
        bot="default/sma-btc",
        client_order_id="ABCDEFGHIJKLMh",
        symbol="BTC-USD",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        size=Decimal("0.0147"),
        limit_price=Decimal("6805.00"),
    ),
    OrderExecuted(
        stream="executions/0e2c7bd0-3b8f-4d1c-9b55-9f1f0b0f8f11",
        stream_seq=40,
        event_time_us=1_522_886_400_000_000,
        bot="default/sma-btc",
        client_order_id="ABCDEFGHIJKLMh",
        origin=Origin.BOT,
        status=OrderStatus.FILLED,
        reason=Reason.NONE,
        symbol="BTC-USD",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        size=Decimal("0.0147"),
        filled_size=Decimal("0.0147"),
        limit_price=Decimal("6805.00"),
        fill=OrderFill(
            trade_id="1522886400-17",
            size=Decimal("0.0147"),
            price=Decimal("6805.00"),
            notional=Decimal("100.03350000"),
            fee=Decimal("0.10003350"),
            fee_asset="USD",
            liquidity=Liquidity.MAKER,
            realized=Decimal(0),
        ),
    ),
)


def measure(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Return the microseconds of one call of each: the best of some rounds in turns, since others work here, too."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for number, call in enumerate((ours, theirs)):
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            best[number] = min(best[number], time.perf_counter() - began)
    return best[0] / CALLS * 1_000_000, best[1] / CALLS * 1_000_000


def peer(message: Message) -> Callable[[], object]:
    """Return a call that writes and reads the message's content with fastavro alone."""
    schema = parse_schema(published_schema(type(message)))
    content = schemaless_reader(BytesIO(encode(message)[HEADER_BYTES:]), schema, None)

    def call() -> object:
        buffer = BytesIO()
        schemaless_writer(buffer, schema, content)
        return schemaless_reader(BytesIO(buffer.getvalue()), schema, None)

    return call


def run() -> int:
    """Tell of each message; return 1 when one is above the limit."""
    ratios: list[float] = []
    lines: list[str] = []
    for message in MESSAGES:
        ours, theirs = measure(lambda message=message: decode(encode(message)), peer(message))  # type: ignore[misc]
        ratios.append(ours / theirs)
        lines.append(
            f"{message.type:<15} {ours:6.1f} us, fastavro on a dict {theirs:6.1f} us, ratio {ours / theirs:.2f}"
        )
    return tell(
        Result(
            name="Avro codec, encode and decode a message",
            goal=f"≤ {LIMIT}× fastavro on a plain dict",
            found=f"{min(ratios):.2f}× to {max(ratios):.2f}×",
            is_met=max(ratios) <= LIMIT,
            numbers=tuple(lines),
        )
    )


if __name__ == "__main__":
    raise SystemExit(run())
