"""The Governor tells each state once, and again what did not arrive."""

from dataclasses import replace
from decimal import Decimal

from governor.announcements import Announcements
from governor.job import FinishedReport
from governor.workload import Command

from tests.unit.governor.test_housekeeping import ALPHA, BETA
from tradefleet.bus.errors import BusFull, NotDelivered
from tradefleet.domain.bots import RunState
from tradefleet.domain.ids import BotKey
from tradefleet.messages.codec import decode
from tradefleet.messages.control import BotCommanded, RiskAction, RiskCommanded
from tradefleet.messages.performance import ReportFinished
from tradefleet.store.ports import Halt

LUNCH = Halt(scope="fleet", reason="lunch", set_by="ana")


class Wire:
    """A bus that keeps what was published, and fails as it is told: at once, or when delivery is asked for."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, object]] = []
        self.is_full = self.is_deaf = False
        self._waiting: list = []

    def publish(self, topic, key, value, on_delivery=None):
        if self.is_full:
            raise BusFull("full")
        self.sent.append((topic, key, decode(value)))
        self._waiting.append((on_delivery, NotDelivered("gone") if self.is_deaf else None))

    def serve(self):
        waiting, self._waiting = self._waiting, []
        for on_delivery, error in waiting:
            on_delivery(error)

    def take(self) -> list:
        sent, self.sent = self.sent, []
        return sent


def _paused(command: Command) -> Command:
    return replace(command, command=replace(command.command, state=RunState.PAUSED, flatten_no=2))


def test_a_bots_whole_state_is_told_when_it_changes() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 77)

    told.tell([ALPHA, BETA], [])
    assert [(topic, key) for topic, key, _ in wire.take()] == [
        ("fleet.commands", "ns/alpha"),
        ("fleet.commands", "ns/beta"),
    ]
    told.tell([ALPHA, BETA], [])
    assert wire.take() == []
    told.tell([_paused(ALPHA), BETA], [])

    ((_, key, message),) = wire.take()
    assert isinstance(message, BotCommanded)
    assert (key, message.uid, message.generation, message.state) == ("ns/alpha", "uid-alpha", 1, RunState.PAUSED)
    assert (message.flatten_requests, message.deleted, message.event_time_us) == (2, False, 77)
    assert len(message.settings_hash) == 64


def test_what_did_not_arrive_is_told_again_as_it_is_by_then() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 0)
    wire.is_deaf = True
    told.tell([ALPHA], [LUNCH])
    wire.is_deaf = False
    wire.take()

    told.tell([_paused(ALPHA)], [LUNCH])

    assert [getattr(each, "state", None) or each.action for _, _, each in wire.take()] == [
        RunState.PAUSED,
        RiskAction.HALT,
    ]
    told.tell([_paused(ALPHA)], [LUNCH])
    assert wire.take() == []


def test_a_full_bus_is_waited_for() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 0)
    wire.is_full = True
    told.tell([ALPHA], [LUNCH])
    wire.is_full = False

    told.tell([ALPHA], [LUNCH])

    assert len(wire.take()) == 2


def test_halts_and_their_ends_are_told_once_each() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 0)

    told.tell([], [LUNCH])
    told.tell([], [LUNCH])
    told.tell([], [])
    told.tell([], [])

    messages = [each for _, _, each in wire.take()]
    assert all(isinstance(each, RiskCommanded) for each in messages)
    assert [(each.scope, each.action, each.reason, each.set_by) for each in messages] == [
        ("fleet", RiskAction.HALT, "lunch", "ana"),
        ("fleet", RiskAction.RESUME, "", "governor"),
    ]


def test_an_end_of_a_halt_that_did_not_arrive_is_told_again() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 0)
    told.tell([], [LUNCH])
    wire.is_deaf = True
    told.tell([], [])
    wire.is_deaf = False
    wire.take()

    told.tell([], [])

    assert [each.action for _, _, each in wire.take()] == [RiskAction.RESUME]


REPORT = FinishedReport(
    report="backtest/ns/test/2",
    bot=BotKey("ns/alpha"),
    location="/somewhere/test.html",
    content_hash="c0ffee",
    from_us=5,
    to_us=9,
    values={
        "quote": "USD",
        "startEquity": "100",
        "endEquity": "110.5",
        "hold": None,
        "fees": "0.25",
        "fills": 3,
        "measures": {"sharpe": 1.5},
    },
)


def test_a_report_is_told_once_and_again_when_it_has_changed() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 77)
    told.tell([], [], [REPORT])
    told.tell([], [], [REPORT])

    ((topic, key, message),) = wire.take()

    assert (topic, key) == ("reports.performance", "ns/alpha")
    assert isinstance(message, ReportFinished)
    assert (message.report, message.location, message.content_hash) == (
        "backtest/ns/test/2",
        "/somewhere/test.html",
        "c0ffee",
    )
    assert (message.end_equity, message.hold, message.measures) == (Decimal("110.5"), None, {"sharpe": 1.5})
    told.tell([], [], [replace(REPORT, content_hash="0ther")])
    assert [each.content_hash for _, _, each in wire.take()] == ["0ther"]


def test_a_report_that_did_not_arrive_is_told_again() -> None:
    wire = Wire()
    told = Announcements(wire, lambda: 77)
    wire.is_deaf = True
    told.tell([], [], [REPORT])
    wire.is_deaf = False
    wire.take()

    told.tell([], [], [REPORT])

    assert len(wire.take()) == 1
