"""A round looks, plans, carries out, shows and takes away; what is so already is not written again."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
from governor.annotations import LET_GO_ANNOTATION, OWNER_ANNOTATION, STATE_ANNOTATION
from governor.job import FinishedReport, Job, JobFacts
from governor.observation import Books, Seen
from governor.ports import Ports
from governor.rounds import Rounds
from governor.simulation import Asked, Simulation, SimulationFacts
from governor.workload import Command, ProcessFacts, ProcessState, Workload

from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_resources import MemoryResources
from tests.fakes.memory_store import MemoryStore
from tests.unit.governor import fleets
from tradefleet.domain.bots import DeletionPolicy, RunState
from tradefleet.domain.errors import Retryable
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.domain.progress import bot_participant
from tradefleet.resources.common import ConditionType, Phase, Resource, ResourceKey
from tradefleet.store.ports import Halt

ALPHA = BotUid("uid-tradingbot-alpha")
NOW_US = 1_800_000_000_000_000
ENDED = Books(is_ending=True, has_exits=False, lots={}, closures={}, unreadable_seq=0, is_drawn_down=False)


class Processes:
    """A renderer whose processes are Ready at once, and end as soon as they are not wanted."""

    def __init__(self) -> None:
        self.running: dict[str, Workload] = {}
        self.ends: list[tuple[Workload, str]] = []

    def tend(self, workloads: Collection[Workload]) -> None:
        self.running = {each.name: each for each in workloads}

    def facts(self) -> dict[str, ProcessFacts]:
        return {name: ProcessFacts(state=ProcessState.READY) for name in self.running}

    def owners(self) -> set[ResourceKey]:
        return {each.owner for each in self.running.values()}

    def take_ends(self) -> Sequence[tuple[Workload, str]]:
        ends, self.ends = self.ends, []
        return ends


class Reading:
    """Jobs that never end."""

    def tend(self, jobs: Collection[Job]) -> dict[str, JobFacts]:
        return {job.name: JobFacts(is_running=True) for job in jobs}


class Simulations:
    """Simulations that begin, and come no further."""

    slots = 2

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    def role(self, simulation: Simulation) -> str:
        return f"role of {simulation.name}"

    def tend(self, asked: Collection[Asked]) -> dict[str, SimulationFacts]:
        self.asked = {each.simulation.name: each.slots for each in asked}
        return {name: SimulationFacts(running=slots, slots=slots) for name, slots in self.asked.items()}


class Upkeep:
    def tend(self, commands, *, runs, finished, kept) -> None:
        del commands, runs, finished, kept


class Stage:
    """A fleet's rounds over resources and a store in memory. `seen` is what is looked at, beside the commands."""

    def __init__(self, *resources: Resource) -> None:
        self.store = MemoryStore(MemoryDatabase(lambda: NOW_US))
        self.store.create_fleet()
        self.resources = MemoryResources(resources)
        self.processes = Processes()
        self.simulations = Simulations()
        self.seen = Seen()
        self.logins: dict[BotUid, BotKey] = {}
        self.puts: list[Command] = []
        self.host_logins: set[str] = set()
        self.dismissed: list[str] = []
        self.told: list[tuple[int, int]] = []
        self.is_broken = False
        self.begin()

    def begin(self) -> None:
        """Let another Governor take over."""
        self.rounds = Rounds(
            Ports(
                resources=self.resources,
                sight=self,
                renderer=self.processes,
                jobs=Reading(),
                simulations=self.simulations,
                logins=self,
                announcer=self,
                upkeep=Upkeep(),
                fleet=self.store,
                commands=self,
                halts=self.store,
                runs=self.store,
                trials=self.store,
                warm_up=fleets.warm_up,
                wall_us=lambda: NOW_US,
            )
        )

    def look(self, resources: Collection[Resource]) -> Seen:
        del resources
        return replace(self.seen, configs={each.command.config.uid: each.command.config for each in self.puts})

    def admit_bot(self, bot: BotKey, uid: BotUid, *, host: str = "") -> None:
        self.store.register_bot(bot, uid, db_role=host or uid, host=host)
        self.logins[uid] = bot
        self.host_logins |= {host} - {""}

    def known_hosts(self, hosts: Collection[str]) -> Collection[str]:
        return self.host_logins & set(hosts)

    def admit_bots(self, bots: Sequence[tuple[BotKey, BotUid, str]]) -> None:
        for bot, uid, host in bots:
            self.admit_bot(bot, uid, host=host)

    def put_commands(self, commands) -> None:
        for account, command in commands:
            self.put_command(account, command)

    def dismiss_host(self, host: str) -> None:
        self.dismissed.append(host)
        self.host_logins.discard(host)

    def dismiss_bot(self, uid: BotUid) -> None:
        self.logins.pop(uid, None)

    def dismiss_strangers(self, uids: Collection[BotUid]) -> None:
        self.logins = {uid: bot for uid, bot in self.logins.items() if uid in uids}

    def end_command(self, uid: BotUid) -> None:
        self.store.end_command(uid)

    def put_command(self, account, command) -> None:
        if self.is_broken:
            raise Retryable("database: gone")
        assert command.config.uid in self.logins, "its log-in comes first"
        self.store.put_command(account, command)
        self.puts.append(Command(account=account, command=command))

    def forget_command(self, uid: BotUid) -> None:
        self.store.forget_command(uid)
        self.puts = [each for each in self.puts if each.command.config.uid != uid]

    def __getattr__(self, name: str):
        return getattr(self.store, name)

    def tell(self, commands: Collection[Command], halts: Collection[Halt], reports: Collection[FinishedReport]) -> None:
        del reports
        self.told.append((len(commands), len(halts)))

    def go(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            self.rounds.go()

    def named(self) -> dict[str, Resource]:
        return {each.metadata.name: each for each in self.resources.all()}


def _market(*bots: Resource) -> tuple[Resource, ...]:
    return (fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), *bots)


def _set(**spec) -> Resource:
    body = {
        "matrix": {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD", "LTC-USD"]},
        "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}},
        **spec,
    }
    return fleets.stored("BotSet", "many", body)


def test_a_fleet_is_brought_up_and_shown_in_one_round() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))

    stage.go()

    assert sorted(stage.processes.running) == [
        "bot-default-alpha",
        "feed-default-replay",
        "gateway-default-simulator",
        "venue-default-simulator",
    ]
    assert stage.store.bot_command(ALPHA) is not None
    assert stage.logins == {ALPHA: "default/alpha"}
    assert stage.named()["alpha"].status.phase is Phase.WARMING_UP
    assert stage.told == [(1, 0)]


def test_what_is_so_already_is_not_written_again() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.go()
    written = stage.resources.written

    stage.go(3)

    assert stage.resources.written == written
    assert len(stage.puts) == 1


def test_a_governor_that_starts_tells_bots_again_what_they_shall_be() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.go()

    stage.begin()
    stage.go()

    assert len(stage.puts) == 2


def test_a_round_that_was_cut_short_is_done_again() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.is_broken = True
    with pytest.raises(Retryable):
        stage.go()
    assert stage.processes.running == {}, "a process would not find its command"

    stage.is_broken = False
    stage.go()

    assert len(stage.puts) == 1
    assert "bot-default-alpha" in stage.processes.running


def test_ends_that_nobody_had_asked_for_are_noted() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.go()
    workload = stage.processes.running["bot-default-alpha"]
    stage.processes.ends = [(workload, "was ended by signal 9")]

    stage.go()

    assert stage.resources.notes == [
        (workload.owner, "process ended", "bot-default-alpha: was ended by signal 9"),
    ]


def test_the_bots_of_a_set_are_made_and_run_in_the_same_round() -> None:
    stage = Stage(*_market(_set()))

    stage.go()

    mine = [each for each in stage.resources.all() if each.metadata.annotations.get(OWNER_ANNOTATION)]
    assert len(mine) == 2
    assert {f"bot-default-{each.metadata.name}" for each in mine} < stage.processes.running.keys()
    stage.go()
    assert stage.named()["many"].status.bots == 2


def test_a_bot_of_a_set_that_is_deleted_is_said_to_be_made_again() -> None:
    stage = Stage(*_market(_set()))
    stage.go()
    lost = next(each for each in stage.resources.all() if each.metadata.annotations.get(OWNER_ANNOTATION))

    stage.resources.delete([lost.key])
    stage.seen = Seen(books={lost.metadata.uid or "": ENDED})
    stage.go(3)

    (note,) = (each for each in stage.resources.notes if each[0] == lost.key)
    assert note[1] == "made again"
    assert "belongs to BotSet many, which makes it again: take it out of the matrix of the set" in note[2]
    assert stage.named()[lost.metadata.name].metadata.uid != lost.metadata.uid


def test_a_set_that_cannot_be_made_holds_nobody_else_back() -> None:
    names = {"strategies": [{"name": "dca", "label": "a"}, {"name": "buy-and-hold", "label": "a"}]}
    stage = Stage(*_market(fleets.bot("alpha"), _set(matrix={**names, "instruments": ["BTC-USD"]})))

    stage.go()

    assert "bot-default-alpha" in stage.processes.running
    assert stage.named()["many"].status.condition(ConditionType.STALLED).status == "True"


def _replayed(*bots: Resource, speed: str = "max") -> tuple[Resource, ...]:
    replay = {"datasetRefs": [{"name": "market"}], "speed": speed}
    return (fleets.exchange(simulator={"replay": replay}), fleets.dataset(), *bots)


def test_a_feed_is_made_and_played_in_the_round_that_finds_a_bot_without_one() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha"), fleets.bot("beta")))

    stage.go()

    assert {"feed-default-simulator", "bot-default-alpha"} < stage.processes.running.keys()
    assert {each.metadata.annotations.get(OWNER_ANNOTATION) for each in _feeds(stage)} == {"uid-exchange-simulator"}
    stage.go()
    assert _exchange(stage).status.reason == "Feed simulator was made for 2 bots"
    assert _feeds(stage)[0].status.bots == 2


def test_a_feed_that_no_bot_needs_is_released_with_its_process() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha")))
    stage.go()

    stage.resources.delete([ResourceKey("TradingBot", "default", "alpha")])
    stage.seen = Seen(books={ALPHA: ENDED})
    stage.go(2)

    assert _feeds(stage) == []
    assert sorted(stage.processes.running) == ["gateway-default-simulator", "venue-default-simulator"]
    assert stage.resources.notes == []


def test_a_released_feed_plays_on_as_long_as_a_bot_has_to_sell() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha", deletionPolicy="Flatten")))
    stage.go()

    stage.resources.delete([ResourceKey("TradingBot", "default", "alpha")])
    stage.seen = Seen(books={ALPHA: replace(ENDED, has_exits=True)})
    stage.go(3)
    assert _feeds(stage)[0].metadata.deletion_timestamp is not None
    assert "feed-default-simulator" in stage.processes.running

    stage.seen = Seen(books={ALPHA: ENDED})
    stage.go(2)
    assert _feeds(stage) == []


def test_a_feed_of_the_users_own_takes_the_market_over() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha")))
    stage.go()

    stage.resources.apply([fleets.feed("zz-own", speed="max")])
    stage.go(2)

    assert [each.metadata.name for each in _feeds(stage)] == ["zz-own"]
    assert {"feed-default-zz-own", "bot-default-alpha"} < stage.processes.running.keys()


def test_a_feed_of_the_users_own_waits_for_the_end_of_a_run_that_has_begun() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha"), speed="lockstep"))
    stage.go()
    run = _feeds(stage)[0].metadata.uid or ""
    begun = {run: frozenset({bot_participant(BotKey("default/alpha"), ALPHA)})}

    stage.resources.apply([fleets.feed("a-own", speed="max")])
    stage.seen = Seen(runs=begun)
    stage.go(2)
    assert "feed-default-simulator" in stage.processes.running
    own, made = _feeds(stage)
    assert made.metadata.deletion_timestamp is None
    assert own.status.reason == (
        "waits until the lockstep run of Feed simulator is over, which Exchange simulator made"
    )

    stage.seen = Seen(runs=begun, finished=frozenset({run}))
    stage.go(2)
    assert [each.metadata.name for each in _feeds(stage)] == ["a-own"]
    assert "feed-default-a-own" in stage.processes.running


def test_an_edited_replay_waits_for_the_end_of_a_run_and_the_exchange_says_so() -> None:
    bot = fleets.bot("alpha")
    stage = Stage(*_replayed(bot, speed="lockstep"))
    stage.go()
    run = _feeds(stage)[0].metadata.uid or ""
    stage.seen = Seen(runs={run: frozenset({bot_participant(BotKey("default/alpha"), ALPHA)})})

    stage.resources.apply([*_replayed(bot, speed="60x")])
    stage.go(2)

    assert _feeds(stage)[0].spec.replay.speed == "lockstep"
    assert _exchange(stage).status.condition(ConditionType.CONFIG_DRIFT).reason == "RunHasBegun"

    stage.seen = replace(stage.seen, finished=frozenset({run}))
    stage.go(2)

    assert _feeds(stage)[0].spec.replay.speed == "60x"
    assert _exchange(stage).status.condition(ConditionType.CONFIG_DRIFT).status == "False"


def test_a_feed_that_has_the_name_and_is_not_ours_stalls_the_exchange_and_stays() -> None:
    other = fleets.feed("simulator", exchangeRef={"name": "elsewhere"})
    stage = Stage(*_replayed(fleets.bot("alpha")), other)

    stage.go()

    assert _feeds(stage)[0].spec == other.spec
    stalled = _exchange(stage).status.condition(ConditionType.STALLED)
    assert (stalled.status, stalled.reason) == ("True", "FeedNameTaken")
    assert stalled.message in stage.named()["alpha"].status.reason


def test_a_derived_feed_that_somebody_deletes_is_said_to_be_made_again() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha")))
    stage.go()
    (lost,) = _feeds(stage)

    stage.resources.delete([lost.key])
    stage.go(3)

    (note,) = stage.resources.notes
    assert "belongs to Exchange simulator, which makes it again: it goes when no bot on simulator needs it" in note[2]
    (found,) = _feeds(stage)
    assert found.metadata.uid != lost.metadata.uid


def test_a_deleted_exchange_takes_its_feed_along() -> None:
    stage = Stage(*_replayed(fleets.bot("alpha")))
    stage.go()

    stage.resources.delete([key for key in (each.key for each in stage.resources.all()) if key.kind != "Feed"])
    stage.seen = Seen(books={ALPHA: ENDED})
    stage.go(4)

    assert stage.resources.all() == []
    assert stage.processes.running == {}


def _feeds(stage: Stage) -> list[Resource]:
    return [each for each in stage.resources.all() if each.kind == "Feed"]


def _exchange(stage: Stage) -> Resource:
    return next(each for each in stage.resources.all() if each.kind == "Exchange")


def test_a_deleted_bot_goes_when_its_gateway_has_wound_it_down_and_its_process_has_ended() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.bot("beta")))
    stage.go()
    stage.resources.delete([ResourceKey("TradingBot", "default", "alpha")])
    stage.seen = Seen(books={ALPHA: replace(ENDED, has_exits=True)})
    stage.go()
    assert "bot-default-alpha" in stage.processes.running

    stage.seen = Seen(books={ALPHA: ENDED})
    stage.go()

    assert "alpha" not in stage.named()
    assert "bot-default-alpha" not in stage.processes.running
    assert ALPHA not in stage.logins
    assert stage.store.bot_command(ALPHA) is None
    assert "beta" in stage.named()


def test_a_bot_that_is_let_go_goes_at_once_and_its_gateway_learns_of_it_when_it_is_back() -> None:
    stage = Stage(*_market(fleets.bot("alpha", deletionPolicy="Flatten")))
    stage.go()
    left = replace(ENDED, is_ending=False, lots={Symbol("BTC-USD"): 3})
    stage.seen = Seen(books={ALPHA: left}, open_orders={ALPHA: 2})
    stage.resources.delete([ResourceKey("TradingBot", "default", "alpha")])
    stage.go()
    assert "alpha" in stage.named()

    stage.resources.annotate(ResourceKey("TradingBot", "default", "alpha"), LET_GO_ANNOTATION, "true")
    stage.go()

    assert "alpha" not in stage.named()
    assert stage.processes.running.keys() & {"bot-default-alpha"} == set()
    (note,) = stage.resources.notes
    assert "2 open orders and its position in BTC-USD stay at the venue" in str(note)
    command = stage.store.bot_command(ALPHA)
    assert command is not None
    assert (command.deleting, command.config.deletion_policy) == (True, DeletionPolicy.KEEP)

    stage.seen = Seen(books={ALPHA: replace(left, is_ending=True)})
    stage.go()

    assert stage.store.bot_command(ALPHA) is None, "its gateway knows"


def test_a_bot_whose_finalizer_somebody_took_is_wound_down_by_its_policy() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.bot("beta")))
    stage.go()
    alpha = stage.named()["alpha"]
    stage.seen = Seen(books={ALPHA: replace(ENDED, is_ending=False)}, open_orders={ALPHA: 1})
    stage.resources.remove(alpha)

    stage.go()

    command = stage.store.bot_command(ALPHA)
    assert command is not None
    assert (command.deleting, command.config.deletion_policy) == (True, DeletionPolicy.CANCEL_ORDERS)
    stage.seen = Seen(books={ALPHA: ENDED}, open_orders={ALPHA: 1})
    stage.begin()  # and another Governor goes on with it
    stage.go()
    assert stage.store.bot_command(ALPHA) is not None, "an order is open"
    assert ALPHA in stage.logins

    stage.seen = Seen(books={ALPHA: ENDED})
    stage.go()

    assert stage.store.bot_command(ALPHA) is None
    assert ALPHA not in stage.logins
    assert "beta" in stage.named()


def test_a_bot_that_is_merely_out_of_sight_trades_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.go()
    monkeypatch.setattr(stage.resources, "is_gone", lambda *_: False)
    stage.resources.remove(stage.named()["alpha"])

    stage.go(2)

    command = stage.store.bot_command(ALPHA)
    assert command is not None
    assert not command.deleting
    assert ALPHA in stage.logins


def test_a_login_of_no_bot_goes_when_a_governor_begins() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.go()
    stage.logins[BotUid("nobody")] = BotKey("default/nobody")

    stage.begin()
    stage.go()

    assert stage.logins.keys() == {ALPHA}


def test_a_whole_fleet_goes_bots_first() -> None:
    stage = Stage(*_market(fleets.bot("alpha")))
    stage.go()
    stage.resources.delete([each.key for each in stage.resources.all()])
    stage.seen = Seen(books={ALPHA: replace(ENDED, is_ending=False)})
    stage.go()
    assert {"alpha", "simulator"} <= stage.named().keys()

    stage.seen = Seen(books={ALPHA: ENDED})
    stage.go(3)

    assert stage.named() == {}
    assert stage.processes.running == {}


def test_a_persons_choice_for_a_bot_of_a_set_stays() -> None:
    stage = Stage(*_market(_set()))
    stage.go()
    bot = next(each for each in stage.resources.all() if each.kind == "TradingBot")
    others = [each for each in stage.resources.all() if each.key != bot.key]
    stage.resources = MemoryResources([*others, _annotated(bot)])
    stage.begin()

    stage.go()

    assert stage.named()[bot.metadata.name].spec.state is RunState.PAUSED


# --- shared hosts -----------------------------------------------------------------------------------------------------

HOST = "host-default-simulator-0"


def test_a_bot_is_assigned_to_its_host_and_back_before_a_process_is_started() -> None:
    stage = Stage(*_market(fleets.bot("alpha", placement="Shared")))
    stage.go()
    row = stage.store._rows.bots[ALPHA]
    assert (row.host, sorted(stage.processes.running)[:1]) == (HOST, ["feed-default-replay"])
    assert HOST in stage.processes.running

    stage.resources = MemoryResources(_market(fleets.bot("alpha", generation=2)))
    stage.begin()
    stage.go()

    assert row.host == ""
    assert "bot-default-alpha" in stage.processes.running
    assert HOST not in stage.processes.running


def test_the_log_in_of_a_host_goes_with_it() -> None:
    stage = Stage(*_market(fleets.bot("alpha", placement="Shared")))
    stage.go()
    rounds = stage.rounds
    stage.resources.delete([ResourceKey("TradingBot", "default", "alpha")])
    stage.seen = Seen(books={ALPHA: ENDED})

    rounds.go()

    assert stage.dismissed == [HOST]
    assert "alpha" not in stage.named()


def test_the_log_in_of_a_host_goes_even_if_the_governor_died_before_it_could_take_it() -> None:
    stage = Stage(*_market(fleets.bot("alpha", placement="Shared")))
    stage.go()
    stage.resources = MemoryResources(_market(fleets.bot("alpha", generation=2)))
    stage.begin()

    stage.go()

    assert stage.host_logins == set()


# --- RiskPolicies -----------------------------------------------------------------------------------------------------

ON_ALPHA, ON_BETA = "policy/default/alpha", "policy/default/beta"
BY_CAREFUL = "RiskPolicy default/careful"


def _on(stage: Stage) -> dict[str, str]:
    return {each.scope: each.set_by for each in stage.store.active_halts()}


def _look_again(stage: Stage, *resources: Resource) -> None:
    """Let the next round find these resources, and the switches as they are."""
    stage.resources = MemoryResources([*_market(), *resources])
    stage.seen = Seen(halts=tuple(stage.store.active_halts()))
    stage.begin()
    stage.go()


def test_a_policys_halt_is_on_before_its_bots_are_told_to_trade() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.policy(halt=True)))
    stage.is_broken = True  # nobody can be told anything

    with pytest.raises(Retryable):
        stage.go()

    assert _on(stage) == {ON_ALPHA: BY_CAREFUL}


def test_the_round_that_halts_shows_it() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.policy(halt=True)))

    stage.go()

    status = stage.named()["careful"].status
    assert (status.state, status.bots, status.halted_bots) == ("Halted", 1, 1)
    assert status.condition(ConditionType.READY).status == "True"
    assert "RiskPolicy default/careful" in stage.named()["alpha"].status.reason


def test_a_bot_that_comes_to_match_is_halted_and_one_that_does_no_longer_is_not() -> None:
    policy = fleets.policy(halt=True, selector={"matchLabels": {"team": "x"}})
    stage = Stage(*_market(fleets.labelled(fleets.bot("alpha"), team="x"), fleets.bot("beta"), policy))
    stage.go()
    assert _on(stage) == {ON_ALPHA: BY_CAREFUL}

    _look_again(stage, fleets.bot("alpha"), fleets.labelled(fleets.bot("beta"), team="x"), policy)

    assert _on(stage) == {ON_BETA: BY_CAREFUL}


def test_a_persons_halt_outlives_a_policys_and_the_other_way_round() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.policy(halt=True)))
    stage.store.set_halt("bot/default/alpha", reason="a drill", set_by="ana")
    stage.go()
    assert _on(stage) == {"bot/default/alpha": "ana", ON_ALPHA: BY_CAREFUL}

    _look_again(stage, fleets.bot("alpha"), fleets.policy(halt=False))
    assert _on(stage) == {"bot/default/alpha": "ana"}

    _look_again(stage, fleets.bot("alpha"), fleets.policy(halt=True))
    stage.store.clear_halt("bot/default/alpha", set_by="ana")
    _look_again(stage, fleets.bot("alpha"), fleets.policy(halt=True))
    assert _on(stage) == {ON_ALPHA: BY_CAREFUL}


def test_a_deleted_policy_halts_nobody() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.policy(halt=True)))
    stage.go()

    _look_again(stage, fleets.bot("alpha"), fleets.policy(halt=True, deleting=True))

    assert _on(stage) == {}
    assert "careful" not in stage.named()


def test_of_two_policies_each_halts_alone() -> None:
    both = (fleets.policy("a", halt=True), fleets.policy("b", halt=True))
    stage = Stage(*_market(fleets.bot("alpha"), *both))
    stage.go()
    assert _on(stage) == {ON_ALPHA: "RiskPolicy default/a, RiskPolicy default/b"}

    _look_again(stage, fleets.bot("alpha"), fleets.policy("a"), both[1])

    assert _on(stage) == {ON_ALPHA: "RiskPolicy default/b"}


def test_switches_that_are_as_they_should_be_are_not_written_again() -> None:
    stage = Stage(*_market(fleets.bot("alpha"), fleets.policy(halt=True)))
    stage.go()
    actions = len(stage.store._rows.actions)

    _look_again(stage, fleets.bot("alpha"), fleets.policy(halt=True))

    assert len(stage.store._rows.actions) == actions


def _annotated(bot: Resource) -> Resource:
    annotations = {**bot.metadata.annotations, STATE_ANNOTATION: "Paused"}
    return bot.model_copy(update={"metadata": bot.metadata.model_copy(update={"annotations": annotations})})
