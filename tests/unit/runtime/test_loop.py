"""The supervised loop: what each kind of error does to a workload."""

import random
from collections.abc import Callable

import pytest

from tests.fakes.clock import FakeClock
from tradefleet.domain.errors import (
    Fenced,
    FleetError,
    InvalidValue,
    LeaseHeld,
    NonDeterministic,
    OutcomeUnknown,
    Retryable,
    StaleGeneration,
)
from tradefleet.runtime.backoff import Backoff
from tradefleet.runtime.health import Health
from tradefleet.runtime.loop import ExitStatus, Loop, StopRequest
from tradefleet.runtime.metrics import Metrics

OUTAGE_BOUND_US = 60_000_000


class ScriptedWorker:
    """Does what its script says, one entry a step: an error, or a function. After the script it asks to stop."""

    def __init__(self, stop: StopRequest, *script: FleetError | Callable[[], None] | None) -> None:
        self._stop = stop
        self._script = list(script)
        self.start_errors: list[FleetError] = []
        self.stop_error: FleetError | None = None
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")
        if self.start_errors:
            raise self.start_errors.pop(0)

    def step(self, timeout_us: int) -> bool:
        self.calls.append("step")
        if not self._script:
            self._stop.set()
            return False
        entry = self._script.pop(0)
        if isinstance(entry, FleetError):
            raise entry
        if entry is not None:
            entry()
        return True

    def stop(self) -> None:
        self.calls.append("stop")
        if self.stop_error is not None:
            raise self.stop_error


@pytest.fixture
def stop() -> StopRequest:
    return StopRequest()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> Health:
    return Health(clock, outage_bound_us=OUTAGE_BOUND_US)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make_loop(
    stop: StopRequest, clock: FakeClock, health: Health, metrics: Metrics
) -> Callable[[ScriptedWorker], Loop]:
    return lambda worker: Loop(
        worker,
        clock=clock,
        health=health,
        metrics=metrics,
        backoff=Backoff(random.Random(1)),
        stop=stop,
        step_timeout_us=1_000,
        outage_bound_us=OUTAGE_BOUND_US,
    )


MakeLoop = Callable[[ScriptedWorker], Loop]


def test_a_stop_request_ends_after_the_step_and_gives_the_lease_back(make_loop: MakeLoop, stop: StopRequest) -> None:
    worker = ScriptedWorker(stop, None, None)
    assert make_loop(worker).run() is ExitStatus.ENDED
    assert worker.calls == ["start", "step", "step", "step", "stop"]


@pytest.mark.parametrize("error", [Retryable("broker away"), OutcomeUnknown("commit timed out"), LeaseHeld("x")])
def test_an_error_that_may_pass_starts_the_worker_anew_after_a_wait(
    make_loop: MakeLoop, stop: StopRequest, clock: FakeClock, metrics: Metrics, error: FleetError
) -> None:
    worker = ScriptedWorker(stop, None, error, None)
    assert make_loop(worker).run() is ExitStatus.ENDED
    assert worker.calls == ["start", "step", "step", "start", "step", "step", "stop"]
    assert sum(clock.slept_us) >= 50_000
    assert metrics.reloads.values == {(): 1}
    assert metrics.errors.values == {(type(error).__name__,): 1}


def test_waits_grow_while_it_fails_and_are_short_again_after_a_success(
    make_loop: MakeLoop, stop: StopRequest, clock: FakeClock
) -> None:
    began_us = clock.now_us
    waits: list[int] = []

    def note() -> None:
        nonlocal began_us
        waits.append(clock.now_us - began_us)
        began_us = clock.now_us

    worker = ScriptedWorker(stop, *[Retryable("x")] * 5, note, Retryable("y"), note)
    make_loop(worker).run()
    assert waits[0] >= 50_000 * (1 + 2 + 4 + 8 + 16)
    assert waits[1] <= 100_000


def test_a_start_that_fails_is_tried_again(make_loop: MakeLoop, stop: StopRequest, metrics: Metrics) -> None:
    worker = ScriptedWorker(stop)
    worker.start_errors = [LeaseHeld("held by slot-2"), LeaseHeld("held by slot-2")]
    assert make_loop(worker).run() is ExitStatus.ENDED
    assert worker.calls == ["start", "start", "start", "step", "stop"]
    assert metrics.reloads.values == {(): 0}


def test_what_fails_for_longer_than_the_bound_ends_as_a_crash(
    make_loop: MakeLoop, stop: StopRequest, clock: FakeClock
) -> None:
    worker = ScriptedWorker(stop, *[Retryable("database away")] * 1_000)
    began_us = clock.now_us
    assert make_loop(worker).run() is ExitStatus.CRASHED
    assert OUTAGE_BOUND_US < clock.now_us - began_us < OUTAGE_BOUND_US + 20_000_000
    assert "stop" not in worker.calls


@pytest.mark.parametrize("error", [Fenced("epoch 4 holds bot/default/alpha"), StaleGeneration("generation 7 ran")])
def test_a_superseded_worker_ends_at_once_and_touches_nothing(
    make_loop: MakeLoop, stop: StopRequest, error: FleetError
) -> None:
    worker = ScriptedWorker(stop, error, None)
    loop = make_loop(worker)
    assert loop.run() is ExitStatus.SUPERSEDED
    assert worker.calls == ["start", "step"]
    assert loop.last_error is error


@pytest.mark.parametrize("error", [NonDeterministic("request 7 differs"), InvalidValue("tick of zero")])
def test_what_only_a_person_can_change_ends_as_refused(
    make_loop: MakeLoop, stop: StopRequest, error: FleetError
) -> None:
    worker = ScriptedWorker(stop, error, None)
    assert make_loop(worker).run() is ExitStatus.REFUSED
    assert worker.calls == ["start", "step"]


def test_an_error_that_is_none_of_ours_is_a_crash(make_loop: MakeLoop, stop: StopRequest) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    worker = ScriptedWorker(stop, fail)
    with pytest.raises(ZeroDivisionError):
        make_loop(worker).run()
    assert worker.calls == ["start", "step"]


def test_a_lease_that_cannot_be_given_back_does_not_spoil_the_end(make_loop: MakeLoop, stop: StopRequest) -> None:
    worker = ScriptedWorker(stop)
    worker.stop_error = Retryable("database away")
    assert make_loop(worker).run() is ExitStatus.ENDED


def test_a_stop_request_cuts_a_wait_short(make_loop: MakeLoop, stop: StopRequest, clock: FakeClock) -> None:
    worker = ScriptedWorker(stop, *[Retryable("away")] * 100)
    slices: list[int] = []
    sleep = clock.sleep_us

    class StoppingClock(FakeClock):
        def sleep_us(self, duration_us: int) -> None:
            slices.append(duration_us)
            sleep(duration_us)
            if len(slices) == 20:
                stop.set()

    loop = make_loop(worker)
    loop._clock = StoppingClock()
    assert loop.run() is ExitStatus.ENDED
    assert len(slices) == 20
    assert worker.calls[-1] == "stop"


def test_a_finished_run_ends(make_loop: MakeLoop, stop: StopRequest) -> None:
    worker = ScriptedWorker(stop, *[None] * 100)
    loop = make_loop(worker)
    loop._is_finished = lambda: worker.calls.count("step") == 3
    assert loop.run() is ExitStatus.ENDED
    assert worker.calls == ["start", "step", "step", "step", "stop"]


def test_readiness_follows_the_worker(make_loop: MakeLoop, stop: StopRequest, health: Health) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        seen.append(health.readiness_complaints())

    worker = ScriptedWorker(stop, look, Retryable("broker away"), look)
    worker.start_errors = []
    make_loop(worker).run()
    assert seen == [[], []]
    assert health.readiness_complaints() == ["not ready: ending"]


def test_the_jitter_keeps_half_of_each_wait_and_bounds_it() -> None:
    backoff = Backoff(random.Random(7), first_us=100, longest_us=800)
    waits = [backoff.next_us() for _ in range(6)]
    bounds = [100, 200, 400, 800, 800, 800]
    assert all(bound // 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    other = Backoff(random.Random(8), first_us=100, longest_us=800)
    assert waits != [other.next_us() for _ in range(6)]
