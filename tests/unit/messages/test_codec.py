"""The codec against the specification, against other versions of itself, and against rubbish."""

import json
import struct
from copy import deepcopy
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.messages.examples import messages
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.orders import OrderStatus, OrderType, Reason, Side
from tradefleet.messages.avro import published_schema, to_codec_schema
from tradefleet.messages.catalog import MESSAGE_TYPES
from tradefleet.messages.codec import (
    HISTORY,
    MARKER,
    Codec,
    UndecodableMessage,
    decode,
    decode_as,
    encode,
    schema_fingerprint,
)
from tradefleet.messages.fields import Message
from tradefleet.messages.market import BarClosed
from tradefleet.messages.trading import CancelRequested, OrderExecuted, OrderRequested

REQUEST = OrderRequested(
    stream="orders/5f3c",
    stream_seq=7,
    event_time_us=1_522_800_000_000_000,
    bot="default/alpha",
    client_order_id="ABCDEFGHIJKLM7",
    symbol="BTC-USD",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    size=Decimal("0.015"),
    limit_price=Decimal("7012.34"),
)
CANCEL = CancelRequested(
    stream="orders/5f3c", stream_seq=8, event_time_us=1, bot="default/alpha", client_order_id="ABCDEFGHIJKLM7"
)


@given(messages())
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


# --- the specification, written down a second time -------------------------------------------------------------------


def crc_64_avro(data: bytes) -> int:
    """The Rabin fingerprint of the Avro 1.12 specification, bit by bit."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty if fingerprint & 1 else 0)
    return fingerprint


def canonical(schema: Any, namespace: str = "") -> str:
    """The parsing canonical form of the specification: full names, few attributes, fixed order, no blanks."""
    if isinstance(schema, str):
        return json.dumps(schema)
    if isinstance(schema, list):
        return "[" + ",".join(canonical(branch, namespace) for branch in schema) + "]"
    if set(schema) <= {"type", "logicalType", "precision", "scale"} and isinstance(schema["type"], str):
        return json.dumps(schema["type"])
    parts = []
    if "name" in schema:
        namespace = schema.get("namespace", namespace)
        parts.append(f'"name":"{namespace}.{schema["name"]}"')
    parts.append(f'"type":"{schema["type"]}"')
    if "fields" in schema:
        fields = ",".join(
            f'{{"name":"{field["name"]}","type":{canonical(field["type"], namespace)}}}' for field in schema["fields"]
        )
        parts.append(f'"fields":[{fields}]')
    if "symbols" in schema:
        parts.append('"symbols":[' + ",".join(f'"{symbol}"' for symbol in schema["symbols"]) + "]")
    parts += [f'"{key}":{canonical(schema[key], namespace)}' for key in ("items", "values") if key in schema]
    return "{" + ",".join(parts) + "}"


@pytest.mark.parametrize("name", MESSAGE_TYPES)
def test_a_payload_begins_with_marker_and_fingerprint_as_the_specification_says(name: str) -> None:
    message = MESSAGE_TYPES[name]
    expected = crc_64_avro(canonical(published_schema(message)).encode())
    assert Codec().fingerprint(message) == struct.pack("<Q", expected)


def test_the_fingerprint_of_null_is_the_one_of_the_specification() -> None:
    assert schema_fingerprint("null") == struct.pack("<Q", 0x63DD24E7CC258F8A)


@given(messages())
def test_anybody_with_the_published_schema_reads_the_body(message: Message) -> None:
    payload = encode(message)
    assert payload[:2] == b"\xc3\x01"
    body = fastavro.schemaless_reader(BytesIO(payload[10:]), published_schema(type(message)), None)
    assert body["type"] == message.type
    assert body["stream"] == message.stream
    if isinstance(message, OrderExecuted):
        assert body["size"] == message.size
        assert (body["fill"] or {}).get("price") == (message.fill.price if message.fill else None)


# --- values that do not fit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [Decimal("1e-19"), Decimal(10) ** 20, Decimal("NaN"), Decimal("-Infinity"), Decimal("1") + Decimal("1e-27")]
)
def test_an_amount_that_needs_rounding_is_refused(size: Decimal) -> None:
    with pytest.raises(InvalidValue, match=r"does not fit decimal\(38, 18\)"):
        encode(OrderRequested(**{**fields(REQUEST), "size": size}))


@pytest.mark.parametrize("size", [Decimal("99999999999999999999.999999999999999999"), Decimal("-1e-18"), Decimal(0)])
def test_the_largest_and_smallest_amounts_fit(size: Decimal) -> None:
    assert decode_as(encode(OrderRequested(**{**fields(REQUEST), "size": size})), OrderRequested).size == size


def test_a_value_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(InvalidValue, match="OrderRequested orders/5f3c"):
        encode(OrderRequested(**{**fields(REQUEST), "stream_seq": "seven"}))


def fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


# --- rubbish ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", [b"", b"\xc3", b"\xc3\x01", b"\xc3\x01" + bytes(7), b"\x00\x00\x00\x00\x01abc", b"{}"]
)
def test_bytes_without_the_header_are_undecodable(payload: bytes) -> None:
    with pytest.raises(UndecodableMessage, match="must start with c301"):
        decode(payload)


def test_an_unknown_fingerprint_is_undecodable_and_named() -> None:
    with pytest.raises(UndecodableMessage, match="0102030405060708"):
        decode(b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08body")


@given(messages(), st.data())
def test_a_cut_off_message_is_undecodable(message: Message, data: st.DataObject) -> None:
    payload = encode(message)
    with pytest.raises(UndecodableMessage):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])


@given(messages(), st.binary(min_size=1, max_size=20))
def test_bytes_after_the_message_are_undecodable(message: Message, rest: bytes) -> None:
    with pytest.raises(UndecodableMessage):
        decode(encode(message) + rest)


@given(messages(), st.data())
def test_a_damaged_message_is_undecodable_or_another_message_but_never_a_crash(
    message: Message, data: st.DataObject
) -> None:
    payload = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 5))):
        payload[data.draw(st.integers(10, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(payload))
    except UndecodableMessage:
        return
    assert type(found) is type(message)


@given(st.sampled_from(sorted(MESSAGE_TYPES)), st.binary(max_size=200))
def test_any_body_is_undecodable_or_a_message(name: str, body: bytes) -> None:
    header = MARKER + Codec().fingerprint(MESSAGE_TYPES[name])
    try:
        found = decode(header + body)
    except UndecodableMessage:
        return
    assert found.type == name


def test_a_huge_length_in_a_small_message_is_undecodable_at_once() -> None:
    # The body begins with the type's length: claim two exabytes.
    header = encode(REQUEST)[:10]
    with pytest.raises(UndecodableMessage):
        decode(header + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x3f" + b"OrderRequested")


def test_a_message_that_names_itself_otherwise_is_undecodable() -> None:
    payload = encode(CANCEL).replace(b"CancelRequested", b"CancelRefused!!")
    with pytest.raises(UndecodableMessage, match="names itself 'CancelRefused!!'"):
        decode(payload)


def test_a_message_of_another_type_than_wanted_is_undecodable() -> None:
    assert decode_as(encode(REQUEST), OrderRequested, CancelRequested) == REQUEST
    with pytest.raises(UndecodableMessage, match="expected BarClosed, found a OrderRequested"):
        decode_as(encode(REQUEST), BarClosed)


# --- other versions --------------------------------------------------------------------------------------------------


def old_payload(schema: dict[str, Any], values: dict[str, Any]) -> bytes:
    """What a release with that schema wrote."""
    lean = fastavro.parse_schema(deepcopy(to_codec_schema(schema)))
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, lean, values)
    return b"\xc3\x01" + schema_fingerprint(lean) + buffer.getvalue()


def wire_values() -> dict[str, Any]:
    return {
        "type": "OrderRequested",
        "stream": REQUEST.stream,
        "stream_seq": REQUEST.stream_seq,
        "event_time_us": REQUEST.event_time_us,
        "bot": REQUEST.bot,
        "client_order_id": REQUEST.client_order_id,
        "symbol": REQUEST.symbol,
        "side": "BUY",
        "order_type": "LIMIT",
        "size": (15 * 10**15).to_bytes(7, "big"),
        "limit_price": (701234 * 10**16).to_bytes(10, "big"),
        "trigger_price": None,
        "time_in_force": "GTC",
        "post_only": False,
        "reduce_only": False,
    }


def codec_knowing(schema: dict[str, Any]) -> Codec:
    """A codec that is told of a schema that it does not have itself."""
    known = {schema_fingerprint(to_codec_schema(schema)).hex(): json.dumps(schema)}
    return Codec(find_schema=known.get)


def test_a_new_reader_fills_the_fields_that_an_old_writer_did_not_have() -> None:
    schema = published_schema(OrderRequested)
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in ("post_only", "trigger_price")]
    values = {name: value for name, value in wire_values().items() if name not in ("post_only", "trigger_price")}
    assert codec_knowing(schema).decode(old_payload(schema, values)) == REQUEST


def test_an_old_reader_skips_the_fields_that_a_new_writer_added() -> None:
    schema = published_schema(OrderRequested)
    schema["fields"] += [
        {
            "name": "iceberg_size",
            "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 18}],
            "default": None,
        },
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    ]
    values = wire_values() | {"iceberg_size": b"\x01", "tags": ["a", "b"]}
    assert codec_knowing(schema).decode(old_payload(schema, values)) == REQUEST


def test_an_old_reader_takes_a_reason_it_does_not_know_for_none() -> None:
    schema = published_schema(OrderExecuted)
    [reason] = [field["type"] for field in schema["fields"] if field["name"] == "reason"]
    reason["symbols"].append("MARTIAL_LAW")
    values = dict.fromkeys(("limit_price", "trigger_price", "fill")) | {
        **{name: value for name, value in wire_values().items() if name not in ("limit_price", "trigger_price")},
        "type": "OrderExecuted",
        "origin": "BOT",
        "status": "DENIED",
        "reason": "MARTIAL_LAW",
        "filled_size": b"\x00",
        "order_type": "MARKET",
    }
    found = codec_knowing(schema).decode(old_payload(schema, values))
    assert isinstance(found, OrderExecuted)
    assert (found.reason, found.status) == (Reason.NONE, OrderStatus.DENIED)


def test_an_old_reader_refuses_a_status_it_does_not_know() -> None:
    schema = published_schema(OrderRequested)
    [side] = [field["type"] for field in schema["fields"] if field["name"] == "side"]
    side["symbols"].append("SHORT")
    with pytest.raises(UndecodableMessage, match="SHORT"):
        codec_knowing(schema).decode(old_payload(schema, wire_values() | {"side": "SHORT"}))


def test_a_schema_that_is_not_what_its_fingerprint_says_is_refused() -> None:
    payload = old_payload(published_schema(OrderRequested), wire_values())
    strange = payload[:2] + bytes(8) + payload[10:]
    with pytest.raises(UndecodableMessage, match="0000000000000000"):
        Codec(find_schema=lambda fingerprint: json.dumps(published_schema(OrderRequested))).decode(strange)


@pytest.mark.parametrize("path", sorted(HISTORY.glob("*.avsc")), ids=lambda path: path.stem)
def test_every_version_ever_published_can_be_read(path: Path) -> None:
    name, _, fingerprint = path.stem.rpartition(".")
    schema = json.loads(path.read_text())
    lean = fastavro.parse_schema(deepcopy(to_codec_schema(schema)))
    assert schema_fingerprint(lean).hex() == fingerprint
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, lean, made_up(to_codec_schema(schema)) | {"type": name})
    assert decode(b"\xc3\x01" + bytes.fromhex(fingerprint) + buffer.getvalue()).type == name


def made_up(schema: Any) -> Any:
    """A value of a schema, the simplest one."""
    if isinstance(schema, list):
        return made_up(schema[0])
    if isinstance(schema, str):
        return {"string": "x", "long": 1, "double": 1.0, "boolean": True, "bytes": b"\x01", "null": None}[schema]
    match schema["type"]:
        case "record":
            return {field["name"]: made_up(field["type"]) for field in schema["fields"]}
        case "enum":
            return schema["symbols"][0]
        case "array":
            return []
        case "map":
            return {}
    return made_up(schema["type"])
