"""What an author of a strategy reads when it fails: when, what, and at which line of their own."""

import json

from tradefleet.domain.ids import BotKey
from workloads.strategy.api import Strategy
from workloads.strategy.errors import StrategyError

BOT = BotKey("demo/one")


def _error(cause: Exception) -> StrategyError:
    return StrategyError(BOT, "on_bar", 1_522_800_060_000_000, cause)


def test_an_error_names_time_exception_and_line() -> None:
    try:
        raise KeyError("pace")
    except KeyError as cause:
        text = str(_error(cause))

    assert text.startswith("bot demo/one: on_bar at 2018-04-04T00:01:00Z raised KeyError: 'pace' (test_errors.py:")
    assert text.endswith('in test_an_error_names_time_exception_and_line: raise KeyError("pace"))')


def test_the_line_is_the_author_s_own_when_what_it_called_raised() -> None:
    for call in (lambda: json.loads("{"), lambda: Strategy().target(2.0)):
        try:
            call()
        except Exception as cause:  # noqa: BLE001 - whatever it is that library and Strategy raise
            text = str(_error(cause))
        assert "(test_errors.py:" in text
        assert "in <lambda>: " in text


def test_an_exception_without_a_traceback_has_no_line() -> None:
    assert str(_error(ValueError("no more"))).endswith("raised ValueError: no more")
