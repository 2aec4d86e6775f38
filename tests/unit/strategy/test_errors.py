"""What an author of a strategy reads when it fails: when, what, and at which line of their own."""

import json

from tradefleet.domain.ids import BotKey
from workloads.strategy.api import Strategy
from workloads.strategy.errors import CallbackOverdue, StrategyError

BOT = BotKey("demo/one")


def _error(cause: BaseException) -> StrategyError:
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


def test_what_was_broken_off_and_what_ran_out_of_memory_say_what_to_do() -> None:
    assert str(_error(CallbackOverdue())).endswith(
        "on_bar at 2018-04-04T00:01:00Z did not return within 45 s and was broken off: "
        "give the loop an end, or the wait a time-out"
    )
    assert str(_error(MemoryError())).endswith(
        "needed more memory than its process may use: raise podTemplate.resources.limits.memory, "
        "or let the strategy keep less"
    )


def test_an_exception_without_a_traceback_has_no_line() -> None:
    assert str(_error(ValueError("no more"))).endswith("raised ValueError: no more")
