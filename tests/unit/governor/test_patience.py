"""What may succeed later is tried again for a while; what cannot is not."""

import pytest
from governor.local.patience import LONGEST_WAIT_US, insist

from tests.fakes.clock import FakeClock
from tradefleet.bus.errors import BrokerUnavailable, TopicMismatch
from tradefleet.domain.errors import FleetError

TIMEOUT_US = 60_000_000


class Work:
    """Fails as it is told, then succeeds."""

    def __init__(self, *failures: FleetError, forever: FleetError | None = None) -> None:
        self._failures = list(failures)
        self._forever = forever
        self.tries = 0

    def __call__(self) -> None:
        self.tries += 1
        if self._failures:
            raise self._failures.pop(0)
        if self._forever is not None:
            raise self._forever


def _insist(work: Work) -> tuple[FakeClock, list[str]]:
    clock, told = FakeClock(), []
    insist(work, timeout_us=TIMEOUT_US, clock=clock, tell=told.append)
    return clock, told


def test_a_broker_that_is_busy_is_asked_again_and_the_user_hears_of_it() -> None:
    work = Work(BrokerUnavailable("no broker answers"), BrokerUnavailable("timed out"))

    clock, told = _insist(work)

    assert work.tries == 3
    assert told == ["no broker answers", "timed out"]
    assert len(clock.slept_us) == 2


def test_what_succeeds_at_once_waits_for_nothing() -> None:
    clock, told = _insist(Work())

    assert (clock.slept_us, told) == ([], [])


def test_what_cannot_succeed_is_tried_once() -> None:
    work = Work(forever=TopicMismatch("3 partitions, wanted 1"))

    with pytest.raises(TopicMismatch):
        _insist(work)

    assert work.tries == 1


def test_patience_has_an_end_and_the_last_error_is_told() -> None:
    work, clock = Work(forever=BrokerUnavailable("no broker answers")), FakeClock()
    began_us = clock.now_us

    with pytest.raises(BrokerUnavailable, match="no broker answers"):
        insist(work, timeout_us=TIMEOUT_US, clock=clock, tell=lambda _: None)

    assert TIMEOUT_US - LONGEST_WAIT_US <= clock.now_us - began_us <= TIMEOUT_US
    assert max(clock.slept_us) <= LONGEST_WAIT_US
