"""A host of many bots: they come, change, fail and go while it runs, and their neighbours go on."""

import signal
import sys
from collections.abc import Mapping

import pytest

from tests.unit.strategy.hosting import ACCOUNT, EXCHANGE, HostScene
from tests.unit.strategy.paper import BTC, config, instrument
from tradefleet.bus.numbered import LOOK_US, NumberedStreams, OutboxPublisher
from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import BotCommand, BotConfig, DeletionPolicy, RunState
from tradefleet.domain.ids import BotKey, BotUid, orders_stream
from tradefleet.domain.orders import Side
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, bot_participant
from tradefleet.messages.topics import ORDERS
from tradefleet.store.ports import RunId, bot_lease
from workloads.strategy.api import Strategy, param
from workloads.strategy.host import UPKEEP_US, HostPlan, HostWorker
from workloads.strategy.main import places_of
from workloads.strategy.overdue import CallbackWatch
from workloads.strategy.shared_host import RETRY_US, SharedHostWorker

HOST = "host-demo-sim-0"
RUN = RunId("run")
WATCH = CallbackWatch(lambda reason, message: pytest.fail(message))


class Sound(Strategy):
    """Asks for a little with each bar."""

    size: float = param(0.01)

    def on_bar(self, bar: Bar) -> None:
        self.market(Side.BUY, self.size)


class Fails(Sound):
    """Raises with its third bar, or bar `first`, and not at all after bar `until`."""

    first: int = param(3)
    until: int = param(1_000)

    def on_start(self) -> None:
        self.bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        if self.bars >= self.first and bar.close_us // 60_000_000 < self.until:
            raise ZeroDivisionError("a bug")
        super().on_bar(bar)


class Hangs(Sound):
    """Does not return from its third bar."""

    def on_start(self) -> None:
        self.bars = 0

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        while self.bars == 3:
            WATCH.look(signal.SIGALRM, sys._getframe())
        super().on_bar(bar)


class FailsAtItsEnd(Sound):
    """Raises when it is stopped."""

    def on_stop(self) -> None:
        raise ZeroDivisionError("a bug")


class SharedScene(HostScene):
    """A fleet with a shared host. Bars come by the database, since nobody publishes them here."""

    def __init__(self, *, run: RunId | None = None) -> None:
        super().__init__(run=run, strategy="Halves")
        self.store.forget_command(self.config.uid)
        self.store.register_bot(self.config.key, self.config.uid, db_role="own")

    def bot(self, name: str, strategy: str = "Sound", *, host: str = HOST, **changes: object) -> BotConfig:
        """Assign a bot and tell what it is; again with changes."""
        values: dict[str, object] = {
            "key": BotKey(f"demo/{name}"),
            "uid": BotUid(f"uid-{name}"),
            "strategy": f"{__name__}:{strategy}",
            **changes,
        }
        wanted = config(**values)
        self.store.register_bot(wanted.key, wanted.uid, db_role=host, host=host)
        self.store.put_command(ACCOUNT, BotCommand(config=wanted))
        return wanted

    def shared(self, plan: Mapping[str, object] | None = None) -> SharedHostWorker:
        """Return a shared host that has started."""
        return self._started(SharedHostWorker, {"host": HOST, "bots": (), **(plan or {})})

    def alone(self, wanted: BotConfig) -> HostWorker:
        """Return a process of one bot that has started."""
        return self._started(HostWorker, {"bots": (wanted,), "holder": "alone"})

    def _started(self, kind: type[HostWorker], values: Mapping[str, object]) -> HostWorker:
        plan = HostPlan(
            **{
                "exchange": EXCHANGE,
                "account": ACCOUNT,
                "instruments": {BTC: instrument()},
                "taker_ppm": 1_000,
                "holder": "host",
                "orders_topic": ORDERS.name,
                "run": self.run,
                **values,
            }
        )
        streams = NumberedStreams(self.bus, self.store, self.clock, {})
        worker = kind(
            plan,
            store=self.store,
            streams=streams,
            publisher=OutboxPublisher(self.bus, self.store, self.clock),
            clock=self.clock,
            introduce=lambda each: streams.know(places_of(each, EXCHANGE)),
        )
        worker.start()
        return worker

    def trade(self, worker: HostWorker, bars: int = 1) -> None:
        """Let bars close, each seen by the host."""
        for _ in range(bars):
            self.close_bar()
            self.look(worker)

    def look(self, worker: HostWorker) -> None:
        """Let the host look at everything."""
        self.clock.pass_us(max(LOOK_US, UPKEEP_US))
        worker.step(0)

    def requests(self, name: str) -> int:
        """Return how many requests a bot has made."""
        return self.store.last_seq(orders_stream(BotUid(f"uid-{name}")))

    def row(self, name: str):
        return self.store._rows.bots[BotUid(f"uid-{name}")]


def names(worker: HostWorker) -> list[str]:
    return [key.removeprefix("demo/") for key in worker.slots]


def test_a_host_runs_the_bots_that_are_assigned_to_it_and_no_others() -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("b")
    scene.bot("c", host="another")
    worker = scene.shared()

    scene.trade(worker, bars=3)

    assert names(worker) == ["a", "b"]
    assert (scene.requests("a"), scene.requests("b"), scene.requests("c")) == (3, 3, 0)


def test_a_bot_that_comes_while_it_runs_is_taken_up_and_nobody_is_disturbed() -> None:
    scene = SharedScene()
    scene.bot("a")
    worker = scene.shared()
    scene.trade(worker, bars=2)
    epoch = scene.row("a").lease.epoch

    scene.bot("b", warmup_bars=2)
    scene.look(worker)
    scene.trade(worker, bars=2)

    assert (scene.requests("a"), scene.requests("b")) == (4, 2)
    assert scene.row("a").lease.epoch == epoch


def test_a_host_may_begin_with_nobody() -> None:
    scene = SharedScene()
    worker = scene.shared()
    scene.trade(worker)

    scene.bot("a")
    scene.look(worker)
    scene.trade(worker)

    assert scene.requests("a") == 1


def test_new_parameters_begin_a_new_generation_of_that_bot_alone() -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("b")
    worker = scene.shared()
    scene.trade(worker, bars=2)

    scene.bot("a", generation=2, parameters={"size": 0.02})
    scene.look(worker)
    scene.trade(worker, bars=1)

    assert scene.row("a").record.number == 2
    assert scene.row("b").record.number == 1
    assert (scene.requests("a"), scene.requests("b")) == (3, 3)


def test_what_its_gateway_does_for_a_bot_is_no_new_generation() -> None:
    scene = SharedScene()
    scene.bot("a")
    worker = scene.shared()
    scene.trade(worker)
    epoch = scene.row("a").lease.epoch

    scene.bot("a", deletion_policy=DeletionPolicy.FLATTEN)
    scene.look(worker)

    assert scene.row("a").lease.epoch == epoch


def test_a_pause_reaches_a_bot_of_a_host() -> None:
    scene = SharedScene()
    wanted = scene.bot("a")
    worker = scene.shared()
    scene.trade(worker, bars=2)

    scene.store.put_command(ACCOUNT, BotCommand(config=wanted, state=RunState.PAUSED))
    scene.look(worker)
    scene.trade(worker, bars=2)

    assert scene.requests("a") == 2


def test_a_bot_that_raises_is_put_out_with_its_reason_and_its_neighbours_go_on() -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("bad", "Fails")
    scene.bot("z")
    worker = scene.shared()

    scene.trade(worker, bars=5)

    assert names(worker) == ["a", "z"]
    assert scene.row("bad").trouble.startswith("StrategyError: bot demo/bad: on_bar")
    assert scene.row("bad").lease.holder == ""
    assert [scene.requests(name) for name in ("a", "bad", "z")] == [5, 2, 5]


def test_a_bot_that_was_put_out_is_tried_again_and_its_reason_stays_until_it_has_gone_on() -> None:
    scene = SharedScene()
    scene.bot("bad", "Fails", parameters={"until": 6})
    worker = scene.shared()
    scene.trade(worker, bars=3)
    assert names(worker) == []

    scene.clock.pass_us(RETRY_US)
    scene.look(worker)
    assert scene.row("bad").trouble
    assert names(worker) == []  # the bar that it fails on is still there

    for _ in range(3):
        scene.close_bar()
    scene.bot("bad", "Fails", parameters={"until": 0}, generation=2)
    scene.look(worker)
    scene.trade(worker)

    assert names(worker) == ["bad"]
    assert scene.row("bad").trouble == ""


def test_a_bot_that_does_not_return_is_put_out_for_good_and_its_neighbours_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("bad", "Hangs")
    scene.bot("z")
    worker = scene.shared()

    scene.trade(worker, bars=5)
    scene.clock.pass_us(RETRY_US)
    scene.look(worker)

    assert names(worker) == ["a", "z"]
    assert sum("is put out" in each.message for each in caplog.records) == 1, "nor does it hold them up once more"
    assert "on_bar at 1970-01-01T00:03:00Z did not return within 45 s and was broken off" in scene.row("bad").trouble
    assert [scene.requests(name) for name in ("a", "bad", "z")] == [5, 2, 5]
    scene.bot("bad", "Sound", generation=2)
    scene.look(worker)
    assert sorted(names(worker)) == ["a", "bad", "z"], "it is another one now"


def test_a_bot_that_raises_when_it_is_stopped_harms_nobody() -> None:
    scene = SharedScene()
    wanted = scene.bot("a", "FailsAtItsEnd")
    scene.bot("b")
    worker = scene.shared()
    scene.trade(worker)

    scene.store.put_command(ACCOUNT, BotCommand(config=wanted, state=RunState.STOPPED))
    scene.look(worker)
    scene.trade(worker)

    assert names(worker) == ["b"]
    assert "on_stop" in scene.row("a").trouble


def test_a_config_that_cannot_run_is_put_out_before_it_has_begun() -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("bad", "Nobody")
    worker = scene.shared()
    scene.trade(worker)

    assert names(worker) == ["a"]
    assert "Nobody" in scene.row("bad").trouble


def test_a_bot_moves_to_a_process_of_its_own_and_back_without_a_gap() -> None:
    scene = SharedScene()
    wanted = scene.bot("a")
    scene.bot("b")
    worker = scene.shared()
    scene.trade(worker, bars=2)

    scene.bot("a", host="")
    alone = scene.alone(wanted)  # at once: it need not wait for the host's lease
    scene.trade(alone, bars=2)
    scene.look(worker)
    assert names(worker) == ["b"]
    assert (scene.requests("a"), scene.requests("b")) == (4, 4)

    scene.bot("a")
    scene.look(worker)
    scene.trade(worker, bars=2)

    assert (scene.requests("a"), scene.requests("b")) == (6, 6)


def test_what_a_host_decides_for_a_bot_that_has_moved_counts_for_nothing() -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("b")
    worker = scene.shared()
    scene.trade(worker)

    scene.bot("a", host="another")
    scene.close_bar()
    worker._look_at_us = worker._clock.monotonic_us() + 10 * LOOK_US  # it has not looked yet
    scene.look(worker)

    assert names(worker) == ["b"]
    assert (scene.requests("a"), scene.requests("b")) == (1, 2)


def test_a_deleted_bot_goes_and_one_that_is_made_again_begins_anew() -> None:
    scene = SharedScene()
    scene.bot("a")
    scene.bot("b")
    worker = scene.shared()
    scene.trade(worker)

    scene.store.retire_bot(BotUid("uid-a"), policy=DeletionPolicy.KEEP)
    scene.store.forget_command(BotUid("uid-a"))
    scene.look(worker)
    assert names(worker) == ["b"]

    scene.bot("a", uid=BotUid("uid-a2"))
    scene.look(worker)
    scene.trade(worker)
    assert (scene.requests("a"), scene.requests("a2"), scene.requests("b")) == (1, 1, 2)


def test_a_host_that_ends_gives_every_lease_back() -> None:
    scene = SharedScene()
    for name in "abc":
        scene.bot(name)
    worker = scene.shared()
    scene.trade(worker)

    worker.stop()

    for name in "abc":
        uid = BotUid(f"uid-{name}")
        scene.store.acquire(bot_lease(BotKey(f"demo/{name}"), uid), holder="next", generation=1, ttl_us=1)


def test_leases_are_kept_however_many_there_are() -> None:
    scene = SharedScene()
    for number in range(50):
        scene.bot(f"bot-{number:02}")
    worker = scene.shared({"lease_ttl_us": 60_000_000})
    begun_us = scene.clock.now_us

    while scene.clock.now_us < begun_us + 120_000_000:
        scene.clock.pass_us(2_000_000)
        worker.step(0)

    now_us = scene.store._database.clock_us()
    assert all(scene.row(name).lease.until_us > now_us for name in names(worker))
    assert len(worker.slots) == 50


def test_in_a_lockstep_run_a_bot_that_raises_leaves_it_and_is_not_tried_again() -> None:
    scene = SharedScene(run=RUN)
    bots = [scene.bot("a"), scene.bot("bad", "Fails", parameters={"first": 1})]
    participants = [FEED, VENUE, GATEWAY, *(bot_participant(each.key, each.uid) for each in bots)]
    scene.store.create_run(RUN, "demo/feed", participants, {})
    worker = scene.shared()

    scene.close_step()
    worker.step(0)

    rows = scene.store.progress_from(RUN, market_us=0, round_no=0, phase=0, limit=1_000)

    assert [row.participant for row in rows if row.left] == [bot_participant(bots[1].key, bots[1].uid)]
    scene.clock.pass_us(2 * RETRY_US)
    worker.step(0)
    assert names(worker) == ["a"]
    assert scene.row("bad").trouble.startswith("LeftRun")


@pytest.mark.parametrize("count", [1, 20])
def test_a_batch_of_many_bots_is_one_commit(count: int) -> None:
    scene = SharedScene()
    for number in range(count):
        scene.bot(f"bot-{number:02}")
    worker = scene.shared()
    commits: list[int] = []
    commit_bots = scene.store.commit_bots
    scene.store.commit_bots = lambda batch: commits.append(len(batch)) or commit_bots(batch)  # type: ignore[method-assign]

    scene.trade(worker)

    assert commits == [count]
