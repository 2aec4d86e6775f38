"""What a gateway has done stands in its log, with ids."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from tests.unit.exchange.gateway.scenes import BTC, BTC_USD, LTC, LTC_USD, A, Player, bot_config, limits, terms
from tradefleet.domain.ids import ClientOrderId, StreamName
from tradefleet.domain.orders import Reason, Side
from tradefleet.domain.venue import ReportKind
from tradefleet.runtime.budget import MINUTE_US
from tradefleet.runtime.logging import set_up_logging
from tradefleet.store.ports import DeadLetter
from workloads.exchange.gateway_log import LINES_A_MINUTE, GatewayLog


class Room:
    """A gateway, its log, and the lines that came of the last input."""

    def __init__(self, stream: StringIO, player: Player) -> None:
        self.player = player
        self.log = GatewayLog({BTC: BTC_USD, LTC: LTC_USD})
        self.now_us = MINUTE_US
        self._stream = stream

    def lines(self, *letters: DeadLetter) -> list[dict[str, Any]]:
        """Log what the player's last input caused; return the new lines without those that all have."""
        at = self._stream.tell()
        self.log.tell(self.player.last, letters, now_us=self.now_us)
        self._stream.seek(at)
        found = [json.loads(line) for line in self._stream]
        return [
            {name: value for name, value in line.items() if name not in ("time", "logger", "component")}
            for line in found
        ]


@pytest.fixture
def stream() -> Iterator[StringIO]:
    """What is logged, as a process of a fleet writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = StringIO()
    set_up_logging("gateway-default-simulator", log_format="json", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def room(stream: StringIO) -> Room:
    return Room(stream, Player())


def test_a_denial_names_bot_order_and_reason(stream: StringIO) -> None:
    room = Room(stream, Player(bot_config(limits=limits(max_open_orders=0))))
    order = room.player.order(terms(Side.BUY, 5, 99))

    assert room.lines() == [
        {
            "level": "info",
            "message": f"order {order} denied",
            "bot": A,
            "client_order_id": order,
            "reason": "OPEN_ORDERS",
            "market_us": room.player.market_us,
        }
    ]


def test_each_fill_is_told_in_sizes_and_prices_that_people_read(room: Room) -> None:
    order = room.player.order(terms(Side.BUY, 5, 99))
    room.player.report(ReportKind.ACCEPTED, order)
    assert room.lines() == []

    room.player.fill(order, 2, 99)

    (line,) = room.lines()
    assert line["message"] == "filled: BUY 0.02 BTC-USD at 0.99"
    assert (line["bot"], line["client_order_id"], line["status"]) == (A, order, "PARTIALLY_FILLED")
    assert line["trade_id"]


def test_an_order_that_fills_has_no_other_end(room: Room) -> None:
    order = room.player.order(terms(Side.BUY, 5, 99))
    room.player.fill(order, 5, 99)

    (line,) = room.lines()

    assert (line["message"], line["status"]) == ("filled: BUY 0.05 BTC-USD at 0.99", "FILLED")


@pytest.mark.parametrize(
    ("kind", "status"),
    [(ReportKind.CANCELED, "CANCELED"), (ReportKind.EXPIRED, "EXPIRED"), (ReportKind.REJECTED, "REJECTED")],
)
def test_another_end_says_how_much_had_filled_and_why_it_ended(room: Room, kind: ReportKind, status: str) -> None:
    order = room.player.order(terms(Side.BUY, 5, 99))
    room.player.report(kind, order, reason=Reason.NO_LIQUIDITY)

    assert room.lines() == [
        {
            "level": "info",
            "message": "ended: BUY 0 of 0.05 BTC-USD filled",
            "bot": A,
            "client_order_id": order,
            "status": status,
            "reason": "NO_LIQUIDITY",
            "market_us": room.player.market_us,
        }
    ]


def test_an_order_that_a_halt_stopped_before_it_was_sent_is_told(room: Room) -> None:
    order = room.player.order(terms(Side.BUY, 5, 99))
    room.player.unsent(*room.player.last.venue_requests)

    (line,) = room.lines()

    assert (line["client_order_id"], line["status"], line["reason"]) == (order, "DENIED", "HALTED")


def test_an_exit_is_told_with_its_bot(stream: StringIO) -> None:
    room = Room(stream, Player(bot_config(limits=limits(stop_loss_ppm=100_000))))
    order = room.player.order(terms(Side.BUY, 5, 99))
    room.player.fill(order, 5, 99)
    room.player.price(50)

    (line,) = room.lines()

    assert (line["message"], line["reason"]) == ("BTC-USD: closing 5 lots at the market", "STOP_LOSS")
    assert line["bot"] == A


def test_what_concerns_the_whole_account_is_a_warning(room: Room) -> None:
    room.player.report(ReportKind.CANCELED, ClientOrderId("SOMEBODYELSES1"))

    (line,) = room.lines()

    assert (line["level"], line["reason"]) == ("warning", "UNKNOWN_ORDER")
    assert "bot" not in line


def test_a_dead_letter_is_a_warning_with_its_place_and_without_its_content(room: Room) -> None:
    letter = DeadLetter(
        topic="trading.orders",
        stream=StreamName("orders/uid"),
        seq=7,
        key="default/a",
        reason="request 7 cannot be read",
        payload=b"who knows what",
    )

    (line,) = room.lines(letter)

    assert (line["level"], line["message"]) == ("warning", "put aside: request 7 cannot be read")
    assert (line["stream"], line["stream_seq"]) == ("orders/uid", 7)
    assert "who knows what" not in json.dumps(line)


def test_a_quiet_input_leaves_no_line(room: Room) -> None:
    room.player.price(101)

    assert room.lines() == []


def test_of_a_flood_the_first_lines_are_written_and_the_rest_is_counted(stream: StringIO) -> None:
    room = Room(stream, Player(bot_config(limits=limits(max_open_orders=0))))
    written = 0
    for _ in range(LINES_A_MINUTE + 7):
        room.player.order(terms(Side.BUY, 5, 99))
        written += len(room.lines())
    assert written == LINES_A_MINUTE

    room.now_us += MINUTE_US
    room.player.order(terms(Side.BUY, 5, 99))
    left_out, line = room.lines()

    assert (left_out["level"], left_out["message"].partition(";")[0]) == ("warning", "7 lines were left out")
    assert line["reason"] == "OPEN_ORDERS"
