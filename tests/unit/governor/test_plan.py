import json
import random
from dataclasses import replace
from decimal import Decimal

import hypothesis.strategies as st
import msgspec
import pytest
from governor.annotations import (
    FLATTEN_ANNOTATION,
    OWNER_ANNOTATION,
    REOPEN_ANNOTATION,
    ROLLOUT_ANNOTATION,
    SKIP_ANNOTATION,
)
from governor.plan import Memory, Observed, plan
from governor.workload import Plan, Role
from hypothesis import given

from tests.unit.governor import fleets
from tradefleet.domain.bots import DeletionPolicy, RunState
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.progress import bot_participant
from workloads.exchange.settings import GatewaySettings, VenueSettings
from workloads.feeds.settings import FeedSettings, RecorderSettings
from workloads.strategy.settings import HostSettings

RUN = "uid-feed-replay"


def _plan(*resources, observed: Observed | None = None) -> Plan:
    return plan(resources, observed or Observed(), fleets.warm_up)


def _fleet(*bots, speed: str = "lockstep") -> list:
    return [fleets.exchange(), fleets.dataset(), fleets.feed(speed=speed), *bots]


def _running(planned: Plan, **more) -> Observed:
    """Return what is observed after a plan was carried out."""
    return Observed(
        runs={run.run: frozenset(run.participants) for run in planned.runs},
        terms={run.run: run.terms for run in planned.runs},
        configs={each.command.config.uid: each.command.config for each in planned.commands},
        **more,
    )


def _names(planned: Plan) -> list[str]:
    return [each.name for each in planned.workloads]


def test_a_fleet_has_a_simulator_a_gateway_a_feed_and_a_process_for_each_bot():
    planned = _plan(*_fleet(fleets.bot("beta"), fleets.bot("alpha")))

    assert _names(planned) == [
        "venue-default-simulator",
        "gateway-default-simulator",
        "feed-default-replay",
        "bot-default-alpha",
        "bot-default-beta",
    ]
    assert planned.verdicts == {}


@pytest.mark.parametrize("speed", ["lockstep", "max", "60x"])
def test_settings_are_what_the_workloads_read(speed):
    kinds = {
        Role.VENUE: (VenueSettings, {"port": 1, "token_file": "key"}),
        Role.GATEWAY: (GatewaySettings, {"venue_port": 1, "token_file": "key"}),
        Role.FEED: (FeedSettings, {}),
        Role.BOT: (HostSettings, {}),
        Role.RECORDER: (RecorderSettings, {}),
    }
    planned = _plan(*_fleet(fleets.bot("alpha"), speed=speed), fleets.recording(ticks=["ticker", "trades"]))

    for workload in planned.workloads:
        kind, more = kinds[workload.role]
        settings = msgspec.json.decode(json.dumps({**workload.settings, **more}, default=str).encode(), type=kind)
        if workload.role is Role.BOT:
            assert [config.key for config in settings.configs()] == ["default/alpha"]
        elif workload.role is Role.FEED:
            assert settings.replay.open() is not None
            assert settings.tick_of() == dict.fromkeys(["BTC-USD", "LTC-USD"], Decimal("0.01"))
        elif workload.role is Role.RECORDER:
            assert (settings.dataset, settings.exchange) == ("default/mine", "default/simulator")
            assert [each.symbol for each in settings.series] == ["BTC-USD"]
            assert settings.ticks == ("ticker", "trades")
        else:
            assert settings.exchange.to_gateway_config().finest_us["BTC-USD"] == 60_000_000
    assert {workload.role for workload in planned.workloads} == set(kinds)


def test_limits_and_costs_of_the_exchange_reach_its_workloads():
    costly = fleets.exchange(
        fees={"takerBps": "7.5"}, simulator={"slippageTicks": 3}, limits={"maxOrderNotional": "250", "maxOpenOrders": 9}
    )

    settings = _plan(costly, fleets.dataset(), fleets.feed(), fleets.bot("alpha")).workloads[0].settings["exchange"]

    assert (settings["taker_ppm"], settings["slippage_ticks"]) == (750, 3)
    assert settings["limits"]["max_order_atoms"] == 25_000_000_000
    assert settings["limits"]["max_open_orders"] == 9


def test_the_instruments_of_an_exchange_are_listed_for_who_reads_amounts_in_sql():
    planned = _plan(fleets.exchange(), fleets.exchange("idle", suspend=True))

    assert {name: [str(each.symbol) for each in found] for name, found in planned.listed.items()} == {
        "default/simulator": ["BTC-USD", "LTC-USD"]
    }


def test_a_lockstep_run_is_asked_for_once_with_all_participants():
    first = _plan(*_fleet(fleets.bot("alpha"), fleets.bot("beta")))

    assert [run.run for run in first.runs] == [RUN]
    assert set(first.runs[0].participants) == {
        "feed",
        "venue",
        "gateway",
        "bot:default/alpha@uid-tradingbot-alpha",
        "bot:default/beta@uid-tradingbot-beta",
    }
    assert _plan(*_fleet(fleets.bot("alpha"), fleets.bot("beta")), observed=_running(first)).runs == ()


def test_a_feed_whose_run_has_begun_keeps_its_market_whatever_others_are_called():
    observed = _running(_plan(*_fleet(fleets.bot("alpha"))))
    both = [*_fleet(fleets.bot("alpha")), fleets.feed("a-second")]

    assert "feed-default-replay" in _names(_plan(*both, observed=observed))
    assert "feed-default-a-second" in _names(_plan(*both, observed=replace(observed, finished=frozenset({RUN}))))


def test_a_feed_of_the_users_own_comes_before_a_derived_one():
    derived = fleets.feed("a-derived", speed="max")
    noted = derived.metadata.model_copy(update={"annotations": {OWNER_ANNOTATION: "uid-exchange-simulator"}})
    derived = derived.model_copy(update={"metadata": noted})

    planned = _plan(*_fleet(fleets.bot("alpha"), speed="max"), derived)

    assert "feed-default-replay" in _names(planned)


def test_a_bot_on_a_derived_feed_is_told_to_add_its_data_to_the_replay_of_the_exchange():
    own = fleets.exchange(simulator={"replay": {"datasetRefs": [{"name": "market"}], "speed": "max"}})
    derived = fleets.feed("simulator", speed="max")
    noted = derived.metadata.model_copy(update={"annotations": {OWNER_ANNOTATION: own.metadata.uid}})
    derived = derived.model_copy(update={"metadata": noted})
    coarse = fleets.dataset("coarse", intervals=["5m"])

    planned = _plan(own, fleets.dataset(), coarse, derived, fleets.bot("alpha", interval="5m"))

    (verdict,) = planned.verdicts.values()
    assert verdict.message.endswith("add Dataset coarse to spec.simulator.replay of Exchange simulator")


def test_a_free_feed_has_no_run():
    planned = _plan(*_fleet(fleets.bot("alpha"), speed="60x"))

    assert planned.runs == ()
    assert all(each.settings.get("run") is None for each in planned.workloads)


def test_a_bot_that_comes_after_the_run_has_begun_waits_until_it_is_over():
    observed = _running(_plan(*_fleet(fleets.bot("alpha"))))
    late = [*_fleet(fleets.bot("alpha"), fleets.bot("late"))]

    during = _plan(*late, observed=observed)
    after = _plan(*late, observed=replace(observed, finished=frozenset({RUN})))

    assert "bot-default-late" not in _names(during)
    assert [verdict.reason for verdict in during.verdicts.values()] == ["RunHasBegun"]
    assert "bot-default-late" in _names(after)
    assert all(each.settings.get("run") is None for each in after.workloads)


def test_a_lockstep_feed_waits_for_bots():
    planned = _plan(*_fleet())

    assert planned.runs == ()
    assert [verdict.reason for verdict in planned.verdicts.values()] == ["NoBots"]


@pytest.mark.parametrize(
    "change", [{"state": "Paused"}, {"deletionPolicy": "Flatten"}, {"deadManSwitch": {"after": "5m"}}]
)
def test_what_does_not_change_the_strategy_needs_no_new_generation_and_no_other_process(change):
    before = _plan(*_fleet(fleets.bot("alpha")))

    after = _plan(*_fleet(fleets.bot("alpha", generation=2, **change)), observed=_running(before))

    (told,), (known,) = after.commands, before.commands
    assert told.command.config.generation == 1
    assert told != known, "its gateway hears of it"
    assert after.workloads == before.workloads


def test_a_changed_spec_is_a_new_generation():
    observed = _running(_plan(*_fleet(fleets.bot("alpha"))))

    planned = _plan(*_fleet(fleets.bot("alpha", generation=2, sizing={"fraction": "0.5"})), observed=observed)

    assert planned.commands[0].command.config.generation == 2
    assert planned.drifted == frozenset()


def test_with_manual_updates_the_old_spec_goes_on_and_the_drift_is_told():
    before = fleets.bot("alpha", updateStrategy="Manual")
    after = fleets.bot("alpha", generation=2, updateStrategy="Manual", sizing={"fraction": "0.5"})
    first = _plan(*_fleet(before))

    planned = _plan(*_fleet(after), observed=_running(first))

    assert planned.drifted == {after.key}
    assert planned.commands[0].command.config == first.commands[0].command.config


def test_a_persons_word_brings_the_spec_into_force_that_it_was_said_of():
    spec = {"updateStrategy": "Manual", "sizing": {"fraction": "0.5"}}
    observed = _running(_plan(*_fleet(fleets.bot("alpha", updateStrategy="Manual"))))

    def planned(generation: int) -> Plan:
        after = fleets.bot("alpha", generation=generation, annotations={ROLLOUT_ANNOTATION: "2"}, **spec)
        return _plan(*_fleet(after), observed=observed)

    assert planned(2).commands[0].command.config.generation == 2
    assert planned(2).drifted == frozenset()
    assert planned(3).commands[0].command.config.generation == 1
    assert planned(3).drifted != frozenset(), "somebody has changed it since"


def test_with_manual_updates_a_bot_moves_to_a_shared_host_by_a_persons_word_only():
    alone = fleets.bot("alpha", updateStrategy="Manual")
    shared = fleets.bot("alpha", generation=2, updateStrategy="Manual", placement="Shared")
    told = fleets.bot(
        "alpha", generation=2, updateStrategy="Manual", placement="Shared", annotations={ROLLOUT_ANNOTATION: "2"}
    )
    observed = _running(_plan(*_fleet(alone, speed="max")))

    waiting, moved = (_plan(*_fleet(each, speed="max"), observed=observed) for each in (shared, told))

    assert (Role.BOT in {each.role for each in waiting.workloads}, waiting.drifted) == (True, {alone.key})
    assert (Role.BOT in {each.role for each in moved.workloads}, moved.drifted) == (False, frozenset())
    hosts = {each.command.config.uid: each.host for each in moved.commands}
    back = _plan(*_fleet(alone, speed="max"), observed=replace(_running(moved), hosts=hosts))
    assert (Role.HOST in {each.role for each in back.workloads}, back.drifted) == (True, {alone.key})


def _edited(*bots, speed: str = "lockstep") -> list:
    """Return the fleet with another fee."""
    return [fleets.exchange(fees={"takerBps": "50"}), fleets.dataset(), fleets.feed(speed=speed), *bots]


def _told(planned: Plan) -> list[dict]:
    """Return what everybody who trades is told of the exchange."""
    told = [each.settings["exchange"] for each in planned.workloads if each.role is not Role.FEED]
    assert len(told) == 3
    return told


def test_an_edit_of_the_exchange_reaches_simulator_gateway_and_bots():
    alpha = fleets.bot("alpha")
    before = _plan(*_fleet(alpha, speed="max"))

    after = _plan(*_edited(alpha, speed="max"), observed=_running(before))

    assert {each["taker_ppm"] for each in _told(before)} == {1_000}
    assert {each["taker_ppm"] for each in _told(after)} == {5_000}
    assert after.drifted == frozenset()


def test_an_edit_of_the_exchange_waits_for_the_end_of_a_lockstep_run():
    alpha = fleets.bot("alpha")
    before = _plan(*_fleet(alpha))

    during = _plan(*_edited(alpha), observed=_running(before))
    after = _plan(*_edited(alpha), observed=replace(_running(before), finished=frozenset({RUN})))

    assert _told(during) == _told(before)
    assert during.drifted == {fleets.exchange().key}
    assert {each["taker_ppm"] for each in _told(after)} == {5_000}
    assert after.drifted == frozenset()


def test_a_deleted_bot_keeps_its_process_until_its_gateway_is_done():
    running = fleets.bot("alpha", deleting=True)
    observed = _running(_plan(*_fleet(fleets.bot("alpha"), speed="max")))

    during = _plan(*_fleet(running, speed="max"), observed=observed)
    after = _plan(*_fleet(running, speed="max"), observed=replace(observed, settled=frozenset({running.metadata.uid})))

    assert during.commands[0].command.deleting
    assert "bot-default-alpha" in _names(during)
    assert "bot-default-alpha" not in _names(after)


def test_a_deleted_bot_of_a_lockstep_run_stays_until_it_has_left():
    bot = fleets.bot("alpha", deleting=True)
    uid = bot.metadata.uid
    observed = _running(_plan(*_fleet(fleets.bot("alpha"))), settled=frozenset({uid}))

    assert "bot-default-alpha" in _names(_plan(*_fleet(bot), observed=observed))
    left = replace(observed, left=frozenset({bot_participant("default/alpha", uid)}))
    assert "bot-default-alpha" not in _names(_plan(*_fleet(bot), observed=left))


# --- a deleted feed ---------------------------------------------------------------------------------------------------


def _deleted(resource):
    metadata = resource.metadata.model_copy(update={"deletion_timestamp": "2024-01-01T00:00:00Z"})
    return resource.model_copy(update={"metadata": metadata})


@pytest.mark.parametrize("end", [{"deleting": True}, {"state": "Stopped"}], ids=["deleted", "stopped"])
def test_a_deleted_feed_plays_on_while_a_bot_sells_its_position(end):
    seller = fleets.bot("alpha", deletionPolicy="Flatten", **end)
    resources = [fleets.exchange(), fleets.dataset(), _deleted(fleets.feed(speed="max")), seller]

    during = _plan(*resources)
    after = _plan(*resources, observed=Observed(settled=frozenset({seller.metadata.uid})))

    assert "feed-default-replay" in _names(during)
    assert "TradingBot alpha" in during.verdicts[resources[2].key].message
    assert "feed-default-replay" not in _names(after)


@pytest.mark.parametrize(
    "bot",
    [
        fleets.bot("alpha", deletionPolicy="Flatten"),
        fleets.bot("alpha", deleting=True),
        fleets.bot("alpha", deleting=True, deletionPolicy="Keep"),
    ],
    ids=["trades on", "cancels", "keeps"],
)
def test_nobody_else_holds_a_deleted_feed_back(bot):
    planned = _plan(fleets.exchange(), fleets.dataset(), _deleted(fleets.feed(speed="max")), bot)

    assert "feed-default-replay" not in _names(planned)


def test_a_feed_that_takes_over_lets_the_deleted_one_go():
    seller = fleets.bot("alpha", deletionPolicy="Flatten", deleting=True)
    feeds = [_deleted(fleets.feed("old", speed="max")), fleets.feed("young", speed="max")]

    planned = _plan(fleets.exchange(), fleets.dataset(), *feeds, seller)

    assert [each.name for each in planned.workloads if each.role is Role.FEED] == ["feed-default-young"]


def test_a_deleted_exchange_keeps_its_processes_as_long_as_bots_trade_there():
    exchange = _deleted(fleets.exchange())

    assert "gateway-default-simulator" in _names(_plan(exchange, fleets.bot("alpha", deleting=True)))
    planned = _plan(exchange, fleets.dataset(), fleets.feed())
    assert _names(planned) == []
    assert planned.verdicts[fleets.feed().key].message == "waits for Exchange simulator: is being deleted"


def test_what_an_owner_asked_for_by_annotations_reaches_the_command():
    asked = {FLATTEN_ANNOTATION: "3", REOPEN_ANNOTATION: "2", SKIP_ANNOTATION: "41"}

    command = _plan(*_fleet(fleets.bot("alpha", annotations=asked))).commands[0].command

    assert (command.flatten_no, command.reopen_no, command.skip_seq) == (3, 2, 41)


@pytest.mark.parametrize(
    ("without", "reason"),
    [
        (lambda bot: [fleets.exchange(), bot], "NoData"),
        (lambda bot: [fleets.exchange(), fleets.dataset(), fleets.feed(suspend=True), bot], "NoData"),
    ],
)
def test_what_an_owner_wants_reaches_a_bot_that_cannot_run(without, reason):
    before = _plan(*_fleet(fleets.bot("alpha"), speed="max"))
    asked = fleets.bot("alpha", state="Stopped", deletionPolicy="Keep", annotations={FLATTEN_ANNOTATION: "1"})

    planned = _plan(*without(asked), observed=_running(before))

    assert planned.verdicts[asked.key].reason == reason
    (told,) = planned.commands
    assert (told.command.state, told.command.flatten_no) == (RunState.STOPPED, 1)
    assert told.command.config == replace(before.commands[0].command.config, deletion_policy=DeletionPolicy.KEEP)
    assert not [each for each in planned.workloads if each.role is Role.BOT]


def test_a_bot_whose_spec_has_become_wrong_can_still_be_paused():
    before = _plan(*_fleet(fleets.bot("alpha"), speed="max"))
    wrong = fleets.bot("alpha", state="Paused", wallet={"EUR": "10000"}, generation=2)

    planned = _plan(*_fleet(wrong, speed="max"), observed=_running(before))

    assert planned.verdicts[wrong.key].stalled
    assert [each.command.state for each in planned.commands] == [RunState.PAUSED]


def test_nonsense_in_an_annotation_is_no_request():
    bot = fleets.bot("alpha", annotations={FLATTEN_ANNOTATION: "many"})

    assert _plan(*_fleet(bot)).commands[0].command.flatten_no == 0


@pytest.mark.parametrize(
    ("resources", "reason", "stalled"),
    [
        ([fleets.bot("alpha")], "ExchangeNotFound", False),
        ([fleets.exchange(), fleets.bot("alpha")], "NoData", False),
        ([fleets.exchange(), fleets.feed(), fleets.bot("alpha")], "DatasetNotFound", False),
        ([fleets.exchange(venue="binance", instruments=[]), fleets.bot("alpha")], "VenueNotSupported", True),
        ([fleets.exchange(suspend=True), fleets.bot("alpha")], "Suspended", False),
        ([*_fleet(fleets.bot("alpha")), fleets.feed("second", speed="max")], "ExchangeHasFeed", True),
    ],
)
def test_what_stands_in_the_way_is_named(resources, reason, stalled):
    verdicts = _plan(*resources).verdicts.values()

    assert (reason, stalled) in {(verdict.reason, verdict.stalled) for verdict in verdicts}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (_fleet(fleets.bot("alpha", feedRef={"name": "gone"})), "waits for Feed gone in namespace default"),
        (
            [*_fleet(fleets.bot("alpha", feedRef={"name": "other"})), fleets.feed("other", suspend=True)],
            "Exchange simulator is played by Feed replay: name that one",
        ),
        (
            [fleets.exchange(), fleets.feed(suspend=True), fleets.bot("alpha", feedRef={"name": "replay"})],
            "waits for Feed replay, its feedRef, to play the market",
        ),
    ],
)
def test_a_bot_waits_for_the_feed_that_it_names(resources, message):
    planned = _plan(*resources)

    verdict = next(each for key, each in planned.verdicts.items() if key.kind == "TradingBot")
    assert (verdict.reason, verdict.stalled) == ("FeedNotPlaying", False)
    assert message in verdict.message
    assert "bot-default-alpha" not in _names(planned)


def test_a_bot_whose_named_feed_plays_runs():
    assert "bot-default-alpha" in _names(_plan(*_fleet(fleets.bot("alpha", feedRef={"name": "replay"}))))


def test_a_deleted_bot_is_wound_down_whatever_feed_it_names():
    bot = fleets.bot("alpha", feedRef={"name": "gone"}, deleting=True)

    assert "bot-default-alpha" in _names(_plan(*_fleet(bot)))


def test_a_strategy_that_cannot_be_built_stalls_its_bot_alone():
    def warm_up(name, params):
        if name == "grid":
            raise InvalidValue("strategy grid: no")
        return 5

    resources = _fleet(fleets.bot("alpha"), fleets.bot("bad", strategy={"name": "grid"}))
    planned = plan(resources, Observed(), warm_up)

    assert "bot-default-alpha" in _names(planned)
    assert [(key.name, verdict.reason) for key, verdict in planned.verdicts.items()] == [("bad", "InvalidSpec")]


_BOTS = st.lists(
    st.builds(
        fleets.bot,
        st.sampled_from(["a", "b", "c", "d"]),
        generation=st.integers(1, 3),
        deleting=st.booleans(),
        state=st.sampled_from(["Running", "Paused", "Stopped"]),
        instruments=st.sampled_from([["BTC-USD"], ["LTC-USD"], ["BTC-USD", "LTC-USD"]]),
        interval=st.sampled_from(["1m", "5m"]),
    ),
    max_size=4,
    unique_by=lambda bot: bot.key,
)
_RESOURCES = st.tuples(
    st.sampled_from([[], [fleets.exchange()], [fleets.exchange(), fleets.exchange("other")]]),
    st.sampled_from([[], [fleets.dataset()]]),
    st.sampled_from([[], [fleets.feed()], [fleets.feed(speed="max")], [fleets.feed(suspend=True)]]),
    _BOTS,
).map(lambda parts: [each for part in parts for each in part])


@given(_RESOURCES, st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_the_resources(resources, rng):
    shuffled = [*resources]
    rng.shuffle(shuffled)

    assert _plan(*shuffled) == _plan(*resources)


@given(_RESOURCES)
def test_a_plan_that_was_carried_out_asks_for_nothing_new(resources):
    first = _plan(*resources)
    second = _plan(*resources, observed=_running(first))

    assert second.runs == ()
    assert [each.digest for each in second.workloads] == [each.digest for each in first.workloads]
    assert second.commands == first.commands


def _edits(fleets_wanted: list[list], rng: random.Random) -> list[list]:
    """Return fleets one after the other, in each of which some resources are the very objects of the one before."""
    found: list[list] = []
    for wanted in fleets_wanted:
        before = {each.key: each for each in found[-1]} if found else {}
        found.append([before[each.key] if each.key in before and rng.random() < 0.6 else each for each in wanted])
    return found


@given(st.lists(_RESOURCES, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_a_plan_that_remembers_the_one_before_is_the_plan_that_does_not(wanted, rng):
    memory, observed = Memory(), Observed()

    for resources in _edits(wanted, rng):
        planned = plan(resources, observed, fleets.warm_up, memory)

        assert planned == plan(resources, observed, fleets.warm_up)
        assert [each.digest for each in planned.workloads] == [
            each.digest for each in plan(resources, observed, fleets.warm_up).workloads
        ]
        observed = _running(planned) if rng.random() < 0.7 else Observed()


def test_what_has_not_changed_is_not_worked_out_again():
    memory = Memory()
    resources = _fleet(fleets.bot("alpha"), fleets.bot("beta"), speed="max")
    first = plan(resources, Observed(), fleets.warm_up, memory)
    edited = [*resources[:-1], fleets.bot("beta", generation=2, wallet={"USD": "7"})]
    second = plan(edited, _running(first), fleets.warm_up, memory)

    before, now = ({each.name: each for each in planned.workloads} for planned in (first, second))
    assert now["bot-default-alpha"] is before["bot-default-alpha"]
    assert now["bot-default-beta"].digest != before["bot-default-beta"].digest


def test_a_strategy_that_wants_another_warm_up_is_told_so_although_its_spec_is_the_same():
    memory = Memory()
    resources = _fleet(fleets.bot("alpha"), speed="max")
    plan(resources, Observed(), fleets.warm_up, memory)

    planned = plan(resources, Observed(), lambda name, params: 300, memory)

    assert planned == plan(resources, Observed(), lambda name, params: 300)


@given(_RESOURCES)
def test_every_bot_runs_or_has_a_reason_why_not(resources):
    planned = _plan(*resources)

    running = {each.owner for each in planned.workloads if each.role is Role.BOT}
    bots = {each.key for each in resources if each.kind == "TradingBot"}
    assert running | planned.verdicts.keys() >= bots
    assert len({each.name for each in planned.workloads}) == len(planned.workloads)
    told = {key.full_name for key in running}
    assert {each.command.config.key for each in planned.commands} == told


def test_a_recording_of_made_up_candles_is_labelled_as_such():
    real = fleets.dataset(
        synthetic=None, instruments=[], files=[{"path": "a.csv", "instrument": "BTC-USD", "interval": "1m"}]
    )

    for market, is_synthetic in ((fleets.dataset(), True), (real, False)):
        planned = _plan(fleets.exchange(), market, fleets.feed(), fleets.recording())
        assert planned.workloads[-1].settings["is_synthetic"] is is_synthetic


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (fleets.recording(exchangeRef={"name": "gone"}), "ExchangeNotFound"),
        (fleets.recording(instruments=["ETH-USD"]), "NoData"),
        (fleets.recording(intervals=["5m"]), "NoData"),
        (fleets.recording(suspend=True), None),
        (fleets.recording(frozen=True), None),
        (fleets.recording(exchangeRef={"name": "binance"}), "NotSupported"),
    ],
)
def test_what_cannot_be_recorded_says_why_and_what_shall_not_be_is_not(recording, reason):
    other = fleets.exchange("binance", venue="binance")

    planned = _plan(fleets.exchange(), other, fleets.dataset(), fleets.feed(), recording)

    assert "recorder-default-mine" not in _names(planned)
    found = planned.verdicts.get(recording.key)
    assert (found.reason if found is not None else None) == reason


@pytest.mark.parametrize("condition", [{"gapPolicy": "Fail"}, {"frozen": True}])
def test_a_dataset_with_conditions_is_played_only_after_it_was_read(condition):
    market, feed, alpha = fleets.dataset(**condition), fleets.feed(), fleets.bot("alpha")
    test = fleets.stored(
        "Backtest",
        "what-if",
        {
            "datasetRef": {"name": "market"},
            "exchangeRef": {"name": "simulator"},
            "strategy": {"name": "sma-cross"},
            "wallet": {"USD": "10"},
        },
    )
    everything = (fleets.exchange(), market, feed, alpha, test)

    unread = _plan(*everything)
    refused = _plan(*everything, observed=Observed(read=frozenset({market.key}), refused={market.key: "3 gaps"}))
    good = _plan(*everything, observed=Observed(read=frozenset({market.key})))
    begun = _plan(*everything, observed=_running(good, refused={market.key: "3 gaps"}))

    for player in (feed, test):
        assert refused.verdicts[player.key].reason == "DatasetRefused"
        assert player.key not in good.verdicts
    assert unread.verdicts[feed.key].reason == "DatasetNotRead"
    assert not unread.verdicts[feed.key].stalled
    assert (refused.verdicts[feed.key].reason, refused.verdicts[feed.key].stalled) == ("DatasetRefused", True)
    assert "3 gaps" in refused.verdicts[feed.key].message
    for planned, plays in ((unread, False), (refused, False), (good, True), (begun, True)):
        assert ("feed-default-replay" in _names(planned)) is plays


def test_a_dataset_without_conditions_is_played_at_once():
    assert "feed-default-replay" in _names(_plan(*_fleet(fleets.bot("alpha"))))


# --- backtests --------------------------------------------------------------------------------------------------------


def _backtest(**spec):
    body = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "sma-cross"},
        "wallet": {"USD": "10000"},
        **spec,
    }
    return fleets.stored("Backtest", "test", body)


SPACE = {"fast": {"values": [3, 5]}}


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"search": {"space": SPACE, "method": "random", "trials": 3}}, "search.method random"),
        ({"search": {"space": SPACE, "method": "bayesian", "trials": 3}}, "search.method bayesian"),
        ({"search": {"space": SPACE}, "walkForward": {"train": "2d", "test": "1d"}}, "walkForward"),
        ({"promote": {"botName": "winner"}}, "promote"),
    ],
)
def test_what_no_engine_runs_yet_is_said_and_not_ignored(spec, what):
    wanted = _backtest(**spec)

    verdict = _plan(fleets.exchange(), fleets.dataset(), wanted).verdicts[wanted.key]

    assert (verdict.stalled, verdict.reason) == (True, "NotSupported")
    assert verdict.message.startswith(f"{what} is not supported yet: ")


def test_a_grid_that_has_all_it_needs_may_run():
    assert _plan(fleets.exchange(), fleets.dataset(), _backtest(search={"space": SPACE})).verdicts == {}
