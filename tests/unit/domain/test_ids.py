"""Client order ids: unique, short enough for every venue, and made of letters and digits only (rule 1)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.ids import (
    CLIENT_ORDER_ID_LENGTH_MAX,
    UID_HASH_LENGTH,
    BotUid,
    Symbol,
    bars_stream,
    base36,
    bot_order_id,
    derive_seed,
    executions_stream,
    gateway_order_id,
    order_number,
    orders_stream,
    uid_hash,
)

UIDS = st.uuids().map(lambda uid: BotUid(str(uid)))
NUMBERS = st.integers(1, 10**18)  # a thousand orders a second for thirty million years


@given(NUMBERS)
def test_base_36_is_read_back_by_int(number: int) -> None:
    assert int(base36(number), 36) == number
    assert base36(0) == "0"


def test_a_negative_number_has_no_base_36() -> None:
    with pytest.raises(AssertionError):
        base36(-1)


@given(UIDS, NUMBERS)
def test_an_order_id_is_letters_and_digits_and_short_enough_for_every_venue(uid: BotUid, number: int) -> None:
    for make in (bot_order_id, gateway_order_id):
        order_id = make(uid_hash(uid), number)
        assert len(order_id) <= CLIENT_ORDER_ID_LENGTH_MAX
        assert re.fullmatch(r"[0-9A-Za-z]+", order_id)


@given(st.lists(st.tuples(UIDS, NUMBERS, st.booleans()), unique=True, max_size=30))
def test_two_orders_never_share_an_id(orders: list[tuple[BotUid, int, bool]]) -> None:
    ids = {
        gateway_order_id(uid_hash(uid), number) if of_gateway else bot_order_id(uid_hash(uid), number)
        for uid, number, of_gateway in orders
    }
    assert len(ids) == len(orders)


@given(UIDS, NUMBERS)
def test_an_id_tells_its_number_and_who_made_it(uid: BotUid, number: int) -> None:
    assert order_number(bot_order_id(uid_hash(uid), number)) == str(number)
    assert order_number(gateway_order_id(uid_hash(uid), number)) == f"G{number}"


def test_the_same_decision_of_a_restarted_bot_makes_the_same_id() -> None:
    uid = BotUid("0b8f3c1e-8f0a-4a52-9a53-1d0e4c1d2f3a")
    assert bot_order_id(uid_hash(uid), 41) == "NWDXX5PPQMBQQ15"
    assert gateway_order_id(uid_hash(uid), 41) == "NWDXX5PPQMBQQG15"
    assert len(uid_hash(uid)) == UID_HASH_LENGTH


@given(UIDS, UIDS)
def test_streams_are_named_by_the_uid(uid: BotUid, other: BotUid) -> None:
    names = {orders_stream(uid), executions_stream(uid), orders_stream(other), executions_stream(other)}
    assert len(names) == (2 if uid == other else 4)


def test_a_bar_stream_is_named_by_exchange_symbol_and_interval() -> None:
    assert bars_stream("default/sim", Symbol("BTC-USD"), 60_000_000) == "bars/default/sim:BTC-USD:60s"


@given(st.text(max_size=40), st.integers())
def test_a_seed_has_63_bits_and_follows_from_name_and_number(key: str, seed: int) -> None:
    assert 0 <= derive_seed(key, seed) < 2**63
    assert derive_seed(key, seed) == derive_seed(key, seed)
    assert derive_seed(key, seed) != derive_seed(key, seed + 1)
