"""The crew keeps one process for each workload, whatever becomes of them."""

import http.client
import json
import os
import signal
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from governor.local.allowance import RESERVED_BYTES
from governor.local.crew import (
    HEALTHY_AFTER_S,
    PROVEN_AFTER_S,
    REFUSED_RETRY_S,
    SILENCE_MAX_S,
    STOP_GRACE_S,
    Crew,
    Surroundings,
)
from governor.local.home import Home
from governor.local.loopback import LOOPBACK
from governor.workload import ProcessFacts, ProcessState, Role, Workload

from tests.fakes.clock import FakeSeconds
from tests.fakes.fake_process import FakeProcess, FakeProcesses
from tradefleet.resources.common import ResourceKey
from tradefleet.runtime.backoff import LONGEST_US
from tradefleet.runtime.loop import ExitStatus

ALPHA = "bot-default-alpha"
LONGEST_S = LONGEST_US / 1_000_000
ROUND_S = 0.25  # between two looks of the supervisor


def workload(name: str = ALPHA, role: Role = Role.BOT, settings: dict | None = None, **fields) -> Workload:
    owner = ResourceKey("TradingBot", "default", "alpha")
    return Workload(name=name, role=role, owner=owner, settings=settings or {"seed": 1}, **fields)


class Pages:
    """Health pages of the processes, by what a test says of them; nobody answers at first."""

    def __init__(self) -> None:
        self.is_ready = self.is_alive = False
        self.text = "starting"
        self.answers = False

    def __call__(self, port: int, page: str) -> tuple[int | None, str]:
        if not self.answers:
            return None, ""
        is_good = self.is_ready if page == "/readyz" else self.is_alive
        return (http.client.OK, "") if is_good else (http.client.SERVICE_UNAVAILABLE, self.text)

    def ready(self) -> None:
        self.answers = self.is_alive = self.is_ready = True

    def not_ready(self, text: str, *, is_alive: bool = True) -> None:
        self.answers, self.is_alive, self.is_ready, self.text = True, is_alive, False, text


class Stage:
    """A crew with its surroundings. `tend` is one round of the supervisor."""

    def __init__(self, folder: Path, code_folders: tuple[str, ...] = (), *, obey: bool = True) -> None:
        self.home = Home(folder)
        self.seconds = FakeSeconds()
        self.processes = FakeProcesses(obey=obey)
        self.pages = Pages()
        self.crew = Crew(self.home, lambda: self.surroundings, self.seconds, self.processes, self.pages)
        self.surroundings = Surroundings(
            fleet="f1eet",
            bootstrap="127.0.0.1:9092",
            url=lambda each: f"postgresql://{each.name}@127.0.0.1/fleet",
            code_folders=code_folders,
        )

    def tend(self, *workloads: Workload) -> None:
        self.crew.tend(workloads or [workload()])

    def tend_for(self, duration_s: float, *workloads: Workload) -> None:
        until_s = self.seconds.now_s + duration_s
        while self.seconds.now_s < until_s:
            self.tend(*workloads)
            self.seconds.pass_s(ROUND_S)

    def process(self, name: str = ALPHA) -> FakeProcess:
        return self.processes.newest(name)

    def facts(self, name: str = ALPHA) -> ProcessFacts:
        return self.crew.facts()[name]

    def crash(self, status: int = ExitStatus.CRASHED, name: str = ALPHA) -> None:
        self.process(name).end(status)

    def last_words(self, reason: str, message: str, name: str = ALPHA) -> None:
        path = Path(self.environment(name)["TRADEFLEET_LAST_WORDS_PATH"])
        path.write_text(json.dumps({"reason": reason, "message": message}), encoding="utf-8")

    def environment(self, name: str = ALPHA) -> dict[str, str]:
        environment = self.process(name).command.environment
        assert environment is not None
        return dict(environment)

    def settings(self, name: str) -> dict:
        return json.loads(Path(self.process(name).command.arguments[-1]).read_text(encoding="utf-8"))

    def seconds_until_restart(self, *workloads: Workload) -> float:
        """Return how long the crew waits before it starts the process again."""
        count, began_s = self.processes.count(ALPHA), self.seconds.now_s
        while self.processes.count(ALPHA) == count:
            self.tend(*workloads)
            self.seconds.pass_s(ROUND_S / 10)
            assert self.seconds.now_s - began_s < 10 * LONGEST_S, "it was never started again"
        return self.seconds.now_s - began_s


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


# --- start ------------------------------------------------------------------------------------------------------------


def test_each_workload_gets_one_process(stage: Stage) -> None:
    both = [workload(), workload("gateway-default-simulator", Role.GATEWAY)]

    stage.tend(*both)
    stage.tend(*both)

    assert sorted(each.command.name for each in stage.processes.started) == sorted(each.name for each in both)
    assert len(stage.crew.children()) == 2


def test_a_process_learns_where_its_fleet_is_and_nothing_of_ours(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEFLEET_HOME", "/somewhere")
    monkeypatch.setenv("LANG", "C.UTF-8")

    stage.tend()

    told = stage.environment()
    assert "TRADEFLEET_HOME" not in told
    assert told["LANG"] == "C.UTF-8"
    assert told["TRADEFLEET_FLEET"] == "f1eet"
    assert told["TRADEFLEET_KAFKA_BOOTSTRAP"] == "127.0.0.1:9092"
    assert told["TRADEFLEET_DATABASE_URL"] == f"postgresql://{ALPHA}@127.0.0.1/fleet"
    assert told["TRADEFLEET_COMPONENT"] == ALPHA
    assert told["TRADEFLEET_HOLDER"] == f"slot-{ALPHA}"


def test_a_users_code_is_found_by_bots_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    stage = Stage(tmp_path, code_folders=("/home/me/strategies", "/more"))

    stage.tend(workload(), workload("gateway-default-simulator", Role.GATEWAY))

    assert stage.environment()["PYTHONPATH"] == "/home/me/strategies:/more"
    assert "PYTHONPATH" not in stage.environment("gateway-default-simulator")


def test_whose_code_may_be_anybodys_is_held_to_its_memory(stage: Stage) -> None:
    told = workload(memory_bytes=64 * 1024**2)
    stage.tend(told, workload("bot-default-free"), workload("host-x-0", Role.HOST), workload("gateway-x", Role.GATEWAY))

    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    found = {each.command.name: each.command.memory_bytes for each in stage.processes.started}
    limit = 64 * 1024**2 + RESERVED_BYTES
    assert found == {told.name: limit, "bot-default-free": half, "host-x-0": half, "gateway-x": 0}


def test_the_two_ends_of_a_port_share_it_and_a_secret(stage: Stage) -> None:
    venue = workload("venue", Role.VENUE, port_name="door", token_name="door")
    gateway = workload("gateway", Role.GATEWAY, peer_port_name="door", token_name="door")

    stage.tend(venue, gateway)

    offered, used = stage.settings("venue"), stage.settings("gateway")
    assert offered["port"] == used["venue_port"]
    assert offered["token_file"] == used["token_file"]
    secret = Path(offered["token_file"])
    assert len(secret.read_text(encoding="ascii")) == 32
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text(encoding="ascii") not in json.dumps([offered, used])


def test_ports_are_kept_over_restarts_of_the_supervisor(stage: Stage, tmp_path: Path) -> None:
    stage.tend(workload("venue", Role.VENUE, port_name="door"))
    other = Stage(tmp_path)

    other.tend(workload("venue", Role.VENUE, port_name="door"))

    assert other.settings("venue") == stage.settings("venue")
    assert other.environment("venue")["TRADEFLEET_HEALTH_PORT"] == stage.environment("venue")["TRADEFLEET_HEALTH_PORT"]


def test_a_port_that_somebody_took_is_replaced(stage: Stage, tmp_path: Path) -> None:
    stage.tend(workload("venue", Role.VENUE, port_name="door"))
    port = stage.settings("venue")["port"]
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, port))
        stranger.listen()
        other = Stage(tmp_path)

        other.tend(workload("venue", Role.VENUE, port_name="door"))

        assert other.settings("venue")["port"] != port


def test_a_torn_list_of_ports_costs_nothing_but_the_ports(stage: Stage) -> None:
    (stage.home.processes / "ports.json").write_text('{"door": 20', encoding="utf-8")

    stage.tend(workload("venue", Role.VENUE, port_name="door"))

    assert stage.settings("venue")["port"] > 0


# --- health -----------------------------------------------------------------------------------------------------------


def test_a_process_is_ready_when_it_says_so(stage: Stage) -> None:
    stage.tend_for(1.0)
    assert stage.facts().state is ProcessState.STARTING

    stage.pages.ready()
    stage.tend_for(1.0)

    assert stage.facts() == ProcessFacts(state=ProcessState.READY)


def test_what_a_process_waits_for_is_its_message(stage: Stage) -> None:
    stage.tend()
    stage.pages.not_ready("no broker\nno database\n")

    stage.tend_for(1.0)

    wanted = ProcessFacts(state=ProcessState.STARTING, reason="NotReady", message="no broker; no database")
    assert stage.facts() == wanted


def test_a_ready_process_that_loses_its_broker_is_not_ready_and_goes_on(stage: Stage) -> None:
    stage.tend()
    stage.pages.ready()
    stage.tend_for(5.0)
    stage.pages.not_ready("the broker does not answer")

    stage.tend_for(2 * SILENCE_MAX_S)

    assert (stage.facts().state, stage.facts().restarts) == (ProcessState.STARTING, 0)


@pytest.mark.parametrize(
    "falls_silent",
    [lambda pages: setattr(pages, "answers", False), lambda pages: pages.not_ready("stuck", is_alive=False)],
    ids=["no answer", "not alive"],
)
def test_a_process_that_hangs_is_killed_and_started_again(
    tmp_path: Path, falls_silent: Callable[[Pages], None]
) -> None:
    stage = Stage(tmp_path, obey=False)
    stage.tend()
    stage.pages.ready()
    stage.tend_for(5.0)
    falls_silent(stage.pages)
    hung = stage.process()

    stage.tend_for(SILENCE_MAX_S - 5.0)
    assert hung.signals == []
    stage.tend_for(10.0 + LONGEST_S)

    assert hung.signals == [signal.SIGKILL]
    assert stage.facts().restarts == 1
    ((_, why),) = stage.crew.take_ends()
    assert why.startswith("the process had not answered for 60 s and was killed; its log is ")
    assert stage.process() is not hung


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_crashed_process_says_how_it_ended_and_comes_back(stage: Stage) -> None:
    stage.tend()
    stage.crash(-signal.SIGSEGV)

    stage.tend()

    facts = stage.facts()
    assert (facts.state, facts.restarts, facts.reason) == (ProcessState.BACKING_OFF, 1, "ProcessEnded")
    assert f"was ended by signal {int(signal.SIGSEGV)}" in facts.message
    assert str(stage.home.log(ALPHA)) in facts.message
    assert stage.crew.take_ends() == [(workload(), facts.message)]
    assert stage.crew.take_ends() == []
    assert stage.seconds_until_restart() < 1.0
    assert stage.facts().state is ProcessState.STARTING


def test_a_process_that_was_killed_says_what_it_may_have_been(stage: Stage) -> None:
    stage.tend()
    stage.crash(-signal.SIGKILL)

    stage.tend()

    assert "was killed, by somebody or since this machine has no memory left" in stage.facts().message


def test_the_last_words_of_a_process_are_why_it_ended(stage: Stage) -> None:
    stage.tend()
    stage.last_words("BrokerReplaced", "the broker is another one: restore its folder")
    stage.crash()

    stage.tend()

    facts = stage.facts()
    assert (facts.reason, facts.message) == ("BrokerReplaced", "the broker is another one: restore its folder")


def test_old_last_words_are_not_put_into_a_new_process_s_mouth(stage: Stage) -> None:
    stage.tend()
    stage.last_words("Old", "words")
    stage.crash()
    stage.seconds_until_restart()
    stage.crash(7)

    stage.tend()

    assert "ended with status 7" in stage.facts().message


def _waits(stage: Stage, lives: int, live: Callable[[], None]) -> list[float]:
    """Return how long the crew waited after each life of the process."""
    stage.tend()
    found = []
    for _ in range(lives):
        live()
        stage.crash()
        stage.tend()
        found.append(stage.seconds_until_restart())
    return found


def test_a_process_that_always_dies_waits_longer_each_time(stage: Stage) -> None:
    waits = _waits(stage, 12, lambda: None)

    assert waits[0] < 0.5
    assert all(LONGEST_S / 2 <= wait <= LONGEST_S + 1 for wait in waits[-3:])


def test_a_process_that_takes_long_to_start_and_then_dies_waits_longer_each_time(stage: Stage) -> None:
    def start_slowly_and_die() -> None:
        stage.pages.not_ready("reading")
        stage.tend_for(3 * HEALTHY_AFTER_S)

    waits = _waits(stage, 12, start_slowly_and_die)

    assert all(wait >= LONGEST_S / 2 for wait in waits[-3:])


def test_a_process_that_dies_soon_after_it_was_ready_waits_longer_each_time(stage: Stage) -> None:
    def be_ready_for_a_moment() -> None:
        stage.pages.not_ready("reading")
        stage.tend_for(2 * HEALTHY_AFTER_S)
        stage.pages.ready()
        stage.tend_for(HEALTHY_AFTER_S / 2)

    waits = _waits(stage, 12, be_ready_for_a_moment)

    assert all(wait >= LONGEST_S / 2 for wait in waits[-3:])


def test_a_process_that_was_well_for_a_while_comes_back_at_once(stage: Stage) -> None:
    def be_well() -> None:
        stage.pages.ready()
        stage.tend_for(HEALTHY_AFTER_S + 5.0)

    _waits(stage, 12, lambda: None)
    stage.tend()

    assert max(_waits(stage, 3, be_well)) < 0.5


def test_moments_of_health_are_not_added_up(stage: Stage) -> None:
    def be_ready_now_and_then() -> None:
        for _ in range(5):
            stage.pages.ready()
            stage.tend_for(HEALTHY_AFTER_S / 2)
            stage.pages.not_ready("no broker")
            stage.tend_for(HEALTHY_AFTER_S / 2)

    waits = _waits(stage, 12, be_ready_now_and_then)

    assert all(wait >= LONGEST_S / 2 for wait in waits[-3:])


@pytest.mark.parametrize("status", [ExitStatus.REFUSED, ExitStatus.SUPERSEDED])
def test_a_refused_process_is_tried_now_and_then(stage: Stage, status: ExitStatus) -> None:
    stage.tend()
    stage.last_words("InvalidParameter", "fast must be below slow")
    stage.crash(status)

    stage.tend()

    facts = stage.facts()
    assert facts.state is ProcessState.REFUSED
    assert facts.message == "fast must be below slow; it is tried again every 30 s"
    assert stage.seconds_until_restart() == pytest.approx(REFUSED_RETRY_S, abs=1.0)


def test_a_refused_process_stays_refused_until_a_trial_has_proven_itself(stage: Stage) -> None:
    stage.tend()
    stage.last_words("LeftRun", "its strategy failed")
    stage.crash(ExitStatus.REFUSED)
    stage.tend()
    stage.seconds_until_restart()

    assert (stage.facts().state, stage.facts().reason) == (ProcessState.REFUSED, "LeftRun")
    stage.pages.ready()
    stage.tend_for(PROVEN_AFTER_S - 5.0)
    stage.pages.not_ready("strategy: a callback has not returned for 6 s")
    stage.tend_for(5.0)
    stage.pages.ready()
    stage.tend_for(PROVEN_AFTER_S - 5.0)
    assert stage.facts().reason == "LeftRun", "it may hang once more"
    stage.tend_for(10.0)
    assert (stage.facts().state, stage.facts().message) == (ProcessState.READY, "")


def test_the_same_refusal_again_is_no_event_again(stage: Stage) -> None:
    stage.tend()
    for message in ("raised KeyError", "raised KeyError", "left the run"):
        stage.last_words("LeftRun", message)
        stage.crash(ExitStatus.REFUSED)
        stage.tend()
        stage.seconds_until_restart()

    assert [message for _, message in stage.crew.take_ends()] == ["raised KeyError", "left the run"]
    assert stage.facts().restarts == 3


def test_changed_settings_are_tried_at_once(stage: Stage) -> None:
    stage.tend()
    stage.crash(ExitStatus.REFUSED)
    stage.tend()

    stage.tend(workload(settings={"seed": 2}))

    assert stage.processes.count(ALPHA) == 2
    assert stage.facts().state is ProcessState.STARTING


def test_a_feed_that_has_come_to_its_end_is_left_alone(stage: Stage) -> None:
    feed = workload("feed-default-replay", Role.FEED)
    stage.tend(feed)
    stage.crash(ExitStatus.ENDED, feed.name)

    stage.tend_for(60.0, feed)

    assert stage.processes.count(feed.name) == 1
    assert stage.facts(feed.name).state is ProcessState.ENDED
    assert stage.crew.take_ends() == []


def test_a_bot_that_ends_by_itself_is_started_again(stage: Stage) -> None:
    stage.tend()
    stage.crash(ExitStatus.ENDED)
    stage.tend()

    assert stage.seconds_until_restart() < 1.0


# --- wanted ends ------------------------------------------------------------------------------------------------------


def test_a_workload_that_is_not_wanted_any_more_ends_in_order(stage: Stage) -> None:
    other = workload("other", Role.GATEWAY)
    stage.tend(workload(), other)
    ended = stage.process()

    stage.tend(other)
    assert ALPHA in stage.crew.facts()  # it may still be writing
    stage.tend(other)

    assert ended.signals == [signal.SIGTERM]
    assert ALPHA not in stage.crew.facts()
    assert stage.crew.owners() == {other.owner}
    assert stage.crew.take_ends() == []
    assert sorted(path.stem for path in stage.home.processes.glob("*.json")) == ["other", "ports"]


def test_changed_settings_restart_the_process_and_count_as_no_crash(stage: Stage) -> None:
    stage.tend()
    changed = workload(settings={"seed": 2})

    stage.tend(changed)
    stage.tend(changed)
    stage.tend(changed)

    assert stage.processes.started[0].signals == [signal.SIGTERM]
    assert (stage.processes.count(ALPHA), stage.facts().restarts) == (2, 0)
    assert stage.settings(ALPHA) == {"seed": 2}
    assert stage.crew.take_ends() == []


def test_a_process_that_is_to_become_another_one_is_not_ready_any_more(tmp_path: Path) -> None:
    stage = Stage(tmp_path, obey=False)
    stage.pages.ready()
    stage.tend_for(1.0)
    assert stage.facts().state is ProcessState.READY

    stage.tend_for(1.0, workload(settings={"seed": 2}))

    assert stage.facts().state is ProcessState.STARTING, "it still answers, and still runs the old settings"


def test_a_process_that_will_not_end_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    stage = Stage(tmp_path, obey=False)
    stage.tend()
    stubborn, changed = stage.process(), workload(settings={"seed": 2})

    stage.tend_for(STOP_GRACE_S - 1.0, changed)
    assert stubborn.signals == [signal.SIGTERM]
    stage.tend_for(2.0, changed)

    assert stubborn.signals == [signal.SIGTERM, signal.SIGKILL]
    assert stage.processes.count(ALPHA) == 2


def _signals(processes: Sequence[FakeProcess]) -> set[tuple[signal.Signals, ...]]:
    return {tuple(each.signals) for each in processes}


@pytest.mark.parametrize(("obey", "signals"), [(True, (signal.SIGTERM,)), (False, (signal.SIGTERM, signal.SIGKILL))])
def test_stopping_leaves_no_process(tmp_path: Path, *, obey: bool, signals: tuple[signal.Signals, ...]) -> None:
    stage = Stage(tmp_path, obey=obey)
    stage.tend(workload(), workload("other", Role.GATEWAY))

    stage.crew.stop()

    assert _signals(stage.processes.started) == {signals}
    assert all(each.exit_code is not None for each in stage.processes.started)
    assert (stage.crew.children(), stage.crew.facts()) == ([], {})
