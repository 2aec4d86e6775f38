"""Single objects to the Confluent wire format and back, over real HTTP."""

import json
import struct
from collections.abc import Iterator
from io import BytesIO

import pytest
from fastavro import parse_schema, schemaless_reader
from hypothesis import given

from tests.fakes.schema_registry import FIRST_ID, RegistryServer
from tests.unit.messages.examples import messages
from tradefleet.bus.confluent_format import ConfluentFormat
from tradefleet.bus.errors import RegistryUnavailable
from tradefleet.bus.registry_client import RETRY_S, RegistryClient
from tradefleet.domain.errors import InvalidValue
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.fields import Message
from tradefleet.messages.trading import CancelRequested

CANCEL = CancelRequested(
    stream="orders/x", stream_seq=7, event_time_us=1_700_000_000_000_000, bot="ns/a", client_order_id="A1"
)


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer().serving() as server:
        yield server


def connect(registry: RegistryServer) -> ConfluentFormat:
    return ConfluentFormat(RegistryClient(registry.url))


def test_a_message_is_a_zero_byte_the_registrys_id_and_the_body(registry: RegistryServer) -> None:
    wire = connect(registry).to_wire(encode(CANCEL))
    assert wire == struct.pack(">bI", 0, FIRST_ID) + encode(CANCEL)[10:]


def test_who_knows_only_the_registry_reads_it(registry: RegistryServer) -> None:
    wire = connect(registry).to_wire(encode(CANCEL))
    schema = registry.schema(int.from_bytes(wire[1:5], "big"))
    assert schema is not None
    values = schemaless_reader(BytesIO(wire[5:]), parse_schema(json.loads(schema)), None)
    assert isinstance(values, dict)
    assert (values["type"], values["stream_seq"], values["client_order_id"]) == ("CancelRequested", 7, "A1")
    assert values["event_time_us"].isoformat() == "2023-11-14T22:13:20+00:00"  # the logical type is in the schema


def test_each_type_is_registered_once_under_its_full_name(registry: RegistryServer) -> None:
    wire_format = connect(registry)
    for _ in range(3):
        wire_format.to_wire(encode(CANCEL))
    assert registry.subjects == {"dev.tradefleet.CancelRequested": [FIRST_ID]}
    assert registry.asked == ["POST /subjects/dev.tradefleet.CancelRequested/versions"]


def test_another_process_reads_it_by_the_id(registry: RegistryServer) -> None:
    wire = connect(registry).to_wire(encode(CANCEL))
    reader = connect(registry)
    assert [decode(reader.from_wire(wire)) for _ in range(2)] == [CANCEL, CANCEL]
    assert registry.asked[1:] == [f"GET /schemas/ids/{FIRST_ID}"]


@given(message=messages())
def test_what_comes_back_is_the_same_to_the_byte(message: Message) -> None:
    registry = _Numbers()
    payload = encode(message)
    wire = ConfluentFormat(registry).to_wire(payload)
    assert wire[:5] == b"\x00\x00\x00\x00\x01"
    assert ConfluentFormat(registry).from_wire(wire) == payload


class _Numbers:
    """A registry without HTTP between: numbers by the order of arrival."""

    def __init__(self) -> None:
        self._schemas: list[str] = []

    def register(self, subject: str, schema: str) -> int:
        self._schemas.append(schema)
        return len(self._schemas)

    def schema(self, number: int) -> str | None:
        return self._schemas[number - 1] if 0 < number <= len(self._schemas) else None


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00\x00\x00\x09body", b"\xc3\x01short", b"text"])
def test_what_is_neither_is_left_as_it_is(registry: RegistryServer, payload: bytes) -> None:
    wire_format = connect(registry)
    assert wire_format.to_wire(payload) == payload
    assert wire_format.from_wire(payload) == payload


def test_a_single_object_that_was_published_before_there_was_a_registry_is_still_read(registry: RegistryServer) -> None:
    assert connect(registry).from_wire(encode(CANCEL)) == encode(CANCEL)


def test_a_schema_of_another_kind_is_left_to_its_own_readers(registry: RegistryServer) -> None:
    number = registry.register("theirs", '{"type": "object"}')
    value = struct.pack(">bI", 0, number) + b"{}"
    assert connect(registry).from_wire(value) == value


def test_a_registry_that_is_away_is_asked_again_after_a_while() -> None:
    server = RegistryServer()
    now_s = [0.0]
    wire_format = ConfluentFormat(RegistryClient(server.url, clock=lambda: now_s[0]))
    server.refuse_with = 500
    with server.serving():
        for _ in range(3):
            with pytest.raises(RegistryUnavailable):
                wire_format.to_wire(encode(CANCEL))
        assert len(server.asked) == 1
        server.refuse_with = None
        now_s[0] += RETRY_S
        assert wire_format.to_wire(encode(CANCEL))[:1] == b"\x00"
    now_s[0] += RETRY_S
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        ConfluentFormat(RegistryClient(server.url)).to_wire(encode(CANCEL))
    assert wire_format.to_wire(encode(CANCEL))[:1] == b"\x00"  # what is known needs no registry


def test_an_incompatible_schema_says_so(registry: RegistryServer) -> None:
    registry.refuse_with = 409
    with pytest.raises(RegistryUnavailable, match=r"dev\.tradefleet\.CancelRequested: status 409: Schema being"):
        connect(registry).to_wire(encode(CANCEL))


def test_user_and_password_are_sent_and_never_shown() -> None:
    server = RegistryServer(login="ana:s3cret")
    with server.serving():
        assert connect(server).to_wire(encode(CANCEL))[:1] == b"\x00"
        stranger = RegistryClient(server.url.replace("s3cret", "wr0ng"))
        with pytest.raises(RegistryUnavailable, match="status 401") as caught:
            stranger.register("x", "{}")
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("url", ["registry:8081", "ftp://registry", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidValue, match="must begin with http:// or https:// and name a host"):
        RegistryClient(url)
