import pytest
from governor.status import BotView, ProcessView, bot_status

from tests.unit.governor import fleets
from tradefleet.domain.bots import Closure
from tradefleet.resources.common import Condition, ConditionStatus, ConditionType, Phase
from tradefleet.resources.trading_bot import TradingBotStatus

RUNS = ProcessView(is_ready=True)


def _status(bot=None, **view) -> TradingBotStatus:
    return bot_status(bot or fleets.bot("alpha"), None, BotView(process=RUNS, **view), {}, now_us=0)


def _says(status: TradingBotStatus, kind: ConditionType) -> Condition | None:
    found = status.condition(kind)
    return found if found is not None and found.status is ConditionStatus.TRUE else None


def test_a_bot_whose_books_are_in_doubt_runs_with_a_warning_that_names_the_remedy():
    status = _status(closures={Closure.REPORT: "venue report 12: order X is not open"})

    warning = _says(status, ConditionType.WARNING)
    assert warning is not None
    assert warning.reason == "BooksInDoubt"
    assert "venue report 12: order X is not open" in warning.message
    assert "`tradefleet resume alpha --reopen`" in warning.message
    assert _says(status, ConditionType.READY) is not None
    assert status.reason == warning.message


def test_a_drawdown_is_a_warning_until_a_person_clears_it():
    warning = _says(_status(is_drawn_down=True), ConditionType.WARNING)

    assert warning is not None
    assert (warning.reason, "`tradefleet resume alpha --reopen`" in warning.message) == ("Drawdown", True)


def test_all_warnings_are_shown_and_the_first_gives_the_reason():
    warning = _says(_status(halted="halted by me", is_drawn_down=True), ConditionType.WARNING)

    assert warning is not None
    assert warning.reason == "Halted"
    assert warning.message.startswith("halted by me; takes no new risk: its equity fell")


@pytest.mark.parametrize(
    ("view", "reason", "told"),
    [
        (
            {"closures": {Closure.UNREADABLE: "request 7 cannot be read: no such field"}, "unreadable_seq": 7},
            "RequestUnreadable",
            ["request 7 cannot be read: no such field", "alpha --reopen`", "alpha --skip-request 7`"],
        ),
        (
            {"closures": {Closure.REQUEST: "request 2: X is not the id of that number"}},
            "RequestRefused",
            ["request 2: X is not the id of that number", "`tradefleet resume alpha --reopen`"],
        ),
        ({"refused": "wallet cannot change"}, "ConfigRefused", ["its gateway refuses it: wallet cannot change"]),
    ],
)
def test_a_bot_that_waits_for_a_person_is_stalled_and_says_what_to_do(view, reason, told):
    status = _status(**view)

    stalled = _says(status, ConditionType.STALLED)
    assert stalled is not None
    assert (status.phase, stalled.reason) == (Phase.FAILED, reason)
    for words in told:
        assert words in stalled.message
        assert words in status.reason


def test_a_deleted_bot_ends_whatever_closed_its_stream():
    status = _status(fleets.bot("alpha", deleting=True), closures={Closure.UNREADABLE: "request 7"}, unreadable_seq=7)

    assert (status.phase, _says(status, ConditionType.STALLED)) == (Phase.STOPPING, None)


def test_a_bot_without_trouble_has_no_warning():
    status = _status()

    assert (_says(status, ConditionType.WARNING), _says(status, ConditionType.STALLED)) == (None, None)
