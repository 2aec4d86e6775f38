"""A callback that does not return is broken off, wherever it hangs; one that is merely late is left alone."""

import re
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.unit.strategy.paper import adoption, bar, make_bot
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import Retryable
from workloads.strategy.api import Strategy
from workloads.strategy.bot import Bot
from workloads.strategy.errors import StrategyError
from workloads.strategy.indicators.base import CloseIndicator
from workloads.strategy.overdue import LOOKS_MAX, STUBBORN_LOOKS_MAX, CallbackWatch, callbacks_watched


class GivenUp(BaseException):
    """Stands for the end of the process."""


def give_up(reason: str, message: str) -> NoReturn:
    raise GivenUp(f"{reason}: {message}")


class Hooks(Strategy):
    """Does what a test says, in the hook that it says."""

    def __init__(self, hook: str, work: Callable[[], None]) -> None:
        super().__init__()
        self._hook, self._work = hook, work

    def on_start(self) -> None:
        self._at("on_start")

    def on_bar(self, bar: Bar) -> None:
        self._at("on_bar")

    def on_stop(self) -> None:
        self._at("on_stop")

    def _at(self, hook: str) -> None:
        if hook == self._hook:
            self._work()


def begin(bot: Bot) -> None:
    """Let a bot begin, and see a bar."""
    bot.adopt(adoption(bot))
    bot.on_bar(bar(0, 100.0))


def loop(watch: CallbackWatch, looks: int = 10 * LOOKS_MAX) -> None:
    """Stand for a loop during which a timer goes off so often."""
    for _ in range(looks):
        watch.look(signal.SIGALRM, sys._getframe())


@pytest.mark.parametrize("hook", ["on_start", "on_bar"])
def test_a_hook_that_does_not_return_is_broken_off_at_its_line(hook: str) -> None:
    watch = CallbackWatch(give_up)
    bot = make_bot(Hooks(hook, lambda: loop(watch)))

    with pytest.raises(StrategyError, match=f"{hook} at .* did not return within 45 s") as caught:
        begin(bot)

    assert caught.value.is_overdue
    assert "(test_overdue.py:" in str(caught.value)
    assert "in loop: watch.look(" in str(caught.value)


def test_many_short_callbacks_are_not_a_long_one() -> None:
    watch = CallbackWatch(give_up)
    bot = make_bot(Hooks("on_bar", lambda: loop(watch, looks=LOOKS_MAX)))
    bot.adopt(adoption(bot))

    for number in range(3):
        bot.on_bar(bar(number, 100.0))
        watch.look(signal.SIGALRM, sys._getframe())


def test_a_bot_is_not_ready_while_a_callback_takes_its_time() -> None:
    watch = CallbackWatch(give_up)
    bot = make_bot(Hooks("on_start", lambda: loop(watch, looks=2)))
    watch.probe()

    bot.adopt(adoption(bot))

    with pytest.raises(Retryable, match="a callback has not returned for 3 s"):
        watch.probe()
    watch.look(signal.SIGALRM, sys._getframe())
    watch.probe()


def test_what_runs_outside_of_a_callback_may_take_its_time() -> None:
    loop(CallbackWatch(give_up))


def test_an_indicator_that_does_not_return_is_the_strategys_affair() -> None:
    watch = CallbackWatch(give_up)

    class Hanging(CloseIndicator):
        warmup = 1

        def add(self, value: float) -> None:
            loop(watch)

    class Uses(Strategy):
        def on_start(self) -> None:
            self.indicator(Hanging())

    with pytest.raises(StrategyError, match="did not return"):
        begin(make_bot(Uses()))


def test_one_that_catches_everything_ends_the_process_with_its_line() -> None:
    watch = CallbackWatch(give_up)
    tries = []

    def stubborn() -> None:
        for _ in range(STUBBORN_LOOKS_MAX + 1):
            try:
                watch.look(signal.SIGALRM, sys._getframe())
            except GivenUp:
                raise
            except BaseException as error:  # noqa: BLE001 - as a careless author writes it
                tries.append(error)

    bot = make_bot(Hooks("on_start", stubborn))
    words = re.escape("CallbackOverdue: a callback of its strategy did not return within 45 s, and catches what is")
    with pytest.raises(GivenUp, match=words) as caught:
        bot.adopt(adoption(bot))
    assert len(tries) == STUBBORN_LOOKS_MAX - LOOKS_MAX
    assert "in stubborn: watch.look(" in str(caught.value)


def test_the_timer_is_set_for_as_long_as_bots_run_and_no_longer() -> None:
    before = signal.getsignal(signal.SIGALRM)
    bot = make_bot(Hooks("on_start", lambda: [signal.raise_signal(signal.SIGALRM) for _ in range(99)] and None))

    with callbacks_watched(give_up):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= signal.getitimer(signal.ITIMER_REAL)[1]
        with pytest.raises(StrategyError, match="did not return"):
            bot.adopt(adoption(bot))

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before
