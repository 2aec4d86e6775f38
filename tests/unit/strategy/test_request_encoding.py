import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.ids import BotKey, ClientOrderId, Symbol
from tradefleet.domain.orders import (
    AmendRequest,
    CancelRequest,
    OrderRequest,
    OrderTerms,
    OrderType,
    Side,
    TimeInForce,
)
from workloads.strategy.request_encoding import EMPTY_HASH, encode_request, extend_hash

ORDER = OrderRequest(
    bot=BotKey("demo/one"),
    seq=7,
    client_order_id=ClientOrderId("ABCDEFGHIJKLM7"),
    terms=OrderTerms(
        symbol=Symbol("BTC-USD"),
        side=Side.BUY,
        type=OrderType.LIMIT,
        lots=12,
        price_ticks=3400,
        time_in_force=TimeInForce.GTC,
        post_only=True,
    ),
    market_us=1_500_000_000_000_000,
)
CANCEL = CancelRequest(
    bot=BotKey("demo/one"), seq=8, client_order_id=ClientOrderId("ABCDEFGHIJKLM7"), market_us=1_500_000_060_000_000
)
AMEND = AmendRequest(
    bot=BotKey("demo/one"),
    seq=9,
    client_order_id=ClientOrderId("ABCDEFGHIJKLM7"),
    symbol=Symbol("BTC-USD"),
    market_us=1_500_000_120_000_000,
    price_ticks=3500,
)

texts = st.text(st.characters(codec="utf-8"), max_size=5)
orders = st.builds(
    lambda bot, order_id, symbol, seq, lots, market_us: replace(
        ORDER,
        bot=BotKey(bot),
        client_order_id=ClientOrderId(order_id),
        seq=seq,
        market_us=market_us,
        terms=replace(ORDER.terms, symbol=Symbol(symbol), lots=lots),
    ),
    texts,
    texts,
    texts,
    st.integers(0, 200),
    st.integers(1, 200),
    st.integers(0, 200),
)
amends = st.builds(
    lambda seq, lots, price: replace(AMEND, seq=seq, lots=lots, price_ticks=price),
    st.integers(0, 20),
    st.none() | st.integers(0, 20),
    st.none() | st.integers(0, 20),
)
requests = orders | amends | st.builds(lambda seq: replace(CANCEL, seq=seq), st.integers(0, 20))


def test_the_bytes_of_recorded_requests_stay_what_they_are():
    assert encode_request(ORDER) == (
        b"7:order/1,8:demo/one,1:7,14:ABCDEFGHIJKLM7,16:1500000000000000,"
        b"7:BTC-USD,3:BUY,5:LIMIT,2:12,4:3400,0:,3:GTC,1:1,1:0,"
    )
    assert encode_request(CANCEL) == b"8:cancel/1,8:demo/one,1:8,14:ABCDEFGHIJKLM7,16:1500000060000000,"
    assert encode_request(AMEND) == (
        b"7:amend/1,8:demo/one,1:9,14:ABCDEFGHIJKLM7,16:1500000120000000,7:BTC-USD,0:,4:3500,"
    )


def test_the_running_hash_chains_the_bytes():
    first = hashlib.sha256(bytes(32) + encode_request(ORDER)).digest()
    second = hashlib.sha256(first + encode_request(CANCEL)).hexdigest()
    assert extend_hash(extend_hash(EMPTY_HASH, ORDER), CANCEL) == second


@given(requests, requests)
def test_bytes_are_equal_exactly_when_requests_are(left, right):
    assert (encode_request(left) == encode_request(right)) == (left == right)
