"""From what was seen of a fleet to what its resources show."""

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from governor.annotations import OWNER_ANNOTATION
from governor.ending import PATIENCE_US
from governor.job import JobFacts
from governor.observation import Books, Seen
from governor.plan import Observed, plan
from governor.reporting import Rest, plain, statuses_of, waking
from governor.status import AccountView
from governor.workload import Plan, ProcessFacts, ProcessState, Verdict
from hypothesis import given

from tests.unit.governor import fleets
from tests.unit.governor.test_status import MARKET_US, figures
from tradefleet.domain.bots import Closure
from tradefleet.domain.ids import BotUid, Symbol
from tradefleet.resources.common import Phase, Resource, Status
from tradefleet.resources.trading_bot import TradingBotStatus
from tradefleet.store.ports import Halt

UID = "uid-tradingbot-alpha"
OTHER_UID = "uid-tradingbot-beta"
ACCOUNT = "default/simulator:main"
BTC = Symbol("BTC-USD")
READY = ProcessFacts(state=ProcessState.READY)
NAMES = (
    "bot-default-alpha",
    "bot-default-beta",
    "venue-default-simulator",
    "gateway-default-simulator",
    "feed-default-replay",
)
ALL_READY = dict.fromkeys(NAMES, READY)


def books(**changes: Any) -> Books:
    values: dict[str, Any] = {
        "is_ending": False,
        "has_exits": False,
        "lots": {},
        "closures": {},
        "unreadable_seq": 0,
        "is_drawn_down": False,
    }
    return Books(**(values | changes))


def halt(scope: str) -> Halt:
    return Halt(scope=scope, reason="a drill", set_by="ana")


def shown(
    *resources: Resource,
    seen: Seen | None = None,
    planned: Plan | None = None,
    processes: dict[str, ProcessFacts] | None = None,
    settled: frozenset[BotUid] = frozenset(),
    now_us: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return what each resource should show, by its name."""
    found = statuses_of(
        list(resources),
        planned or Plan(),
        seen or Seen(),
        ALL_READY if processes is None else processes,
        settled,
        {},
        now_us=now_us,
    )
    return {each.metadata.name: found[each.metadata.uid][1] for each in resources if each.metadata.uid in found}


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in status["conditions"] if each["type"] == kind)


# --- what is spared ---------------------------------------------------------------------------------------------------


_SEEN = st.builds(
    lambda lots, opened, epoch, why: Seen(
        books={UID: books(lots={BTC: lots}, closures={Closure.REPORT: why} if why else {})},
        open_orders={UID: opened},
        epochs={UID: epoch, OTHER_UID: 1},
    ),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(1, 2),
    st.sampled_from(["", "a trade too many"]),
)


def _written(resource: Resource, old: dict[str, Any], new: dict[str, Any]) -> Resource:
    """Return a resource with the status that it should show: the very same when it does already."""
    if old == new:
        return resource
    return resource.model_copy(update={"status": type(resource.status).model_validate(new, by_alias=True)})


@given(st.lists(st.tuples(_SEEN, st.sampled_from([READY, ProcessFacts(state=ProcessState.STARTING)])), max_size=6))
def test_statuses_with_a_memory_are_the_statuses_without_one(rounds):
    """What is written between two looks is what was to be shown, sometimes late; a status is an object of its own."""
    resources = [fleets.exchange(), fleets.bot("alpha"), fleets.bot("beta", state="Paused")]
    rested: dict[str, Rest] = {}
    for number, (seen, process) in enumerate(rounds):
        processes = {**ALL_READY, "bot-default-alpha": process}
        given_ = (resources, Plan(), seen, processes, frozenset(), {})
        found = statuses_of(*given_, now_us=number * 10_000_000, rested=rested)

        assert found == statuses_of(*given_, now_us=number * 10_000_000)
        if number % 2 == 0:
            resources = [_written(each, *found[each.metadata.uid]) for each in resources]


def test_a_bot_at_rest_is_not_judged_again():
    resources = [fleets.exchange(), fleets.bot("alpha")]
    rested: dict[str, Rest] = {}
    for _ in range(3):
        found = statuses_of(resources, Plan(), Seen(), ALL_READY, frozenset(), {}, now_us=0, rested=rested)
        resources = [_written(each, *found[each.metadata.uid]) for each in resources]

    old, new = found[UID]
    assert old is new, "the very same values: nothing was worked out"
    statuses_of(resources[:1], Plan(), Seen(), ALL_READY, frozenset(), {}, now_us=0, rested=rested)
    assert rested == {}, "a bot that is gone is forgotten"


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "phase", "reason"),
    [
        (READY, "WarmingUp", "WarmingUp"),
        (ProcessFacts(state=ProcessState.STARTING), "Starting", "Starting"),
        (ProcessFacts(state=ProcessState.BACKING_OFF, message="crashed"), "Starting", "Restarting"),
        (ProcessFacts(state=ProcessState.BACKING_OFF, reason="NoBroker", message="crashed"), "Starting", "NoBroker"),
        (ProcessFacts(state=ProcessState.REFUSED, reason="InvalidParameter"), "Failed", "InvalidParameter"),
        (None, "Starting", "Starting"),
    ],
)
def test_a_bot_is_what_its_process_is(facts: ProcessFacts | None, phase: str, reason: str) -> None:
    processes = {} if facts is None else {"bot-default-alpha": facts}

    status = shown(fleets.exchange(), fleets.bot("alpha"), processes=processes)["alpha"]

    assert (status["phase"], condition(status, "Ready")["reason"]) == (phase, reason)


def test_restarts_and_epochs_are_counted() -> None:
    processes = {"bot-default-alpha": ProcessFacts(state=ProcessState.READY, restarts=4)}
    seen = Seen(epochs={UID: 5}, gateway_epochs={ACCOUNT: 2})

    status = shown(fleets.exchange(), fleets.bot("alpha"), seen=seen, processes=processes)

    assert (status["alpha"]["restarts"], status["alpha"]["epoch"]) == (4, 5)
    assert status["simulator"]["epoch"] == 2


# --- bots -------------------------------------------------------------------------------------------------------------


def test_a_bar_s_age_is_measured_from_where_the_exchange_s_bots_are() -> None:
    seen = Seen(statistics={UID: figures(market_us=MARKET_US), OTHER_UID: figures(market_us=MARKET_US + 60_000_000)})

    status = shown(fleets.exchange(), fleets.bot("alpha"), fleets.bot("beta"), seen=seen)

    assert (status["alpha"]["lastBarAge"], status["beta"]["lastBarAge"]) == ("60s", "0s")


@pytest.mark.parametrize(
    "resources",
    [
        [fleets.bot("alpha")],
        [fleets.exchange("another"), fleets.bot("alpha")],
        [fleets.exchange(), fleets.bot("alpha", instruments=["ETH-USD"])],
    ],
    ids=["no exchange", "another exchange", "not listed"],
)
def test_figures_that_nobody_can_scale_are_not_shown(resources: list[Resource]) -> None:
    status = shown(*resources, seen=Seen(statistics={UID: figures()}))["alpha"]

    assert "equity" not in status


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("fleet", "halted (fleet) by ana: a drill"),
        (f"account/{ACCOUNT}", f"halted (account/{ACCOUNT}) by ana: a drill"),
        ("bot/default/alpha", "halted (bot/default/alpha) by ana: a drill"),
        ("bot/default/beta", "waits for its first bars"),
        ("account/default/another:main", "waits for its first bars"),
    ],
)
def test_a_halt_is_told_where_it_holds(scope: str, message: str) -> None:
    status = shown(fleets.exchange(), fleets.bot("alpha"), seen=Seen(halts=(halt(scope),)))["alpha"]

    assert status["reason"] == message


def test_two_halts_are_both_told() -> None:
    seen = Seen(halts=(halt("fleet"), halt("bot/default/alpha")))

    reason = shown(fleets.exchange(), fleets.bot("alpha"), seen=seen)["alpha"]["reason"]

    assert reason == "halted (fleet) by ana: a drill; halted (bot/default/alpha) by ana: a drill"


@pytest.mark.parametrize(
    ("open_orders", "found", "told"),
    [
        (1, books(is_ending=True), ": 1 open order"),
        (2, books(is_ending=True), ": 2 open orders"),
        (0, books(), ": its gateway has not taken the order to end yet"),
        (3, books(), ": 3 open orders and its gateway has not taken the order to end yet"),
        (
            0,
            books(is_ending=True, has_exits=True, lots={BTC: 5}),
            ": its position in BTC-USD is being sold",
        ),
        (0, None, ""),
    ],
)
def test_a_bot_that_ends_says_what_it_waits_for(open_orders: int, found: Books | None, told: str) -> None:
    bot = fleets.bot("alpha", deleting=True)
    seen = Seen(open_orders={UID: open_orders}, books={} if found is None else {UID: found})

    status = shown(fleets.exchange(), bot, seen=seen)["alpha"]

    assert f"cancels its orders (deletionPolicy CancelOrders){told}" in status["reason"]


def test_a_bot_whose_end_is_settled_waits_for_its_process() -> None:
    bot = fleets.bot("alpha", deleting=True)

    status = shown(fleets.exchange(), bot, settled=frozenset({BotUid(UID)}))["alpha"]

    assert status["reason"].endswith(": its process ends")


DELETED_US = 1_704_067_200_000_000  # what `fleets` gives a deleted bot
NO_GATEWAY = ALL_READY | {
    "gateway-default-simulator": ProcessFacts(state=ProcessState.REFUSED, reason="A", message="b")
}


@pytest.mark.parametrize(
    ("market", "processes", "found", "remedy"),
    [
        ([], ALL_READY, None, "apply Exchange simulator again"),
        ([fleets.exchange()], NO_GATEWAY, None, "the gateway of Exchange simulator does not run (A: b)"),
        ([fleets.exchange()], {}, None, "does not run: `tradefleet logs simulator` shows why"),
        ([fleets.exchange()], ALL_READY, books(is_ending=True, has_exits=True), "apply a Feed that plays its market"),
        ([fleets.exchange()], ALL_READY, None, "`tradefleet describe ex simulator` shows"),
    ],
)
def test_a_deletion_that_takes_too_long_is_stalled_with_the_remedy(
    market: list[Resource], processes: dict[str, ProcessFacts], found: Books | None, remedy: str
) -> None:
    bot = fleets.bot("alpha", deleting=True)
    seen = Seen(books={} if found is None else {UID: found})

    def status(now_us: int, settled: frozenset[BotUid] = frozenset()) -> dict[str, Any]:
        return shown(*market, bot, seen=seen, processes=processes, settled=settled, now_us=now_us)["alpha"]

    early, late = status(DELETED_US + PATIENCE_US), status(DELETED_US + PATIENCE_US + 1)

    assert condition(early, "Stalled")["status"] == "False"
    stalled = condition(late, "Stalled")
    assert (late["phase"], stalled["status"], stalled["reason"]) == ("Stopping", "True", "DeletionTimedOut")
    assert remedy in stalled["message"]
    assert "`tradefleet delete tb alpha --force`" in stalled["message"]
    healed = status(DELETED_US + PATIENCE_US + 1, frozenset({BotUid(UID)}))
    assert condition(healed, "Stalled")["status"] == "False"


def test_an_exchange_that_waits_for_a_stalled_bot_names_it() -> None:
    resources = [fleets.stored("Exchange", "simulator", fleets.exchange().body()["spec"], deleting=True)]
    late = DELETED_US + PATIENCE_US + 1
    bot = fleets.bot("alpha", deleting=True)
    shown_before = TradingBotStatus.model_validate(shown(*resources, bot, now_us=late)["alpha"], by_alias=True)

    status = shown(*resources, bot.model_copy(update={"status": shown_before}), now_us=late)["simulator"]

    assert (
        "waits for 1 bots that trade here to be deleted; TradingBot alpha is Stalled, and says why" in status["reason"]
    )


def test_a_deletion_that_waits_for_a_suspended_exchange_names_what_suspends_it() -> None:
    exchange = fleets.exchange(suspend=True)
    planned = plan([exchange], Observed(), fleets.warm_up)
    bot = fleets.bot("alpha", deleting=True)

    status = shown(exchange, bot, planned=planned, now_us=DELETED_US + PATIENCE_US + 1)["alpha"]

    assert "Exchange simulator has to run: its gateway is stopped: set suspend to false" in status["reason"]


def test_a_stopped_bot_that_is_settled_has_stopped() -> None:
    bot = fleets.bot("alpha", state="Stopped")

    assert shown(fleets.exchange(), bot, settled=frozenset({BotUid(UID)}))["alpha"]["phase"] == "Stopped"


def test_what_closed_a_stream_is_told() -> None:
    seen = Seen(books={UID: books(closures={Closure.REPORT: "venue report 7: no such order"}, is_drawn_down=True)})

    warning = condition(shown(fleets.exchange(), fleets.bot("alpha"), seen=seen)["alpha"], "Warning")

    assert warning["reason"] == "BooksInDoubt"
    assert "venue report 7" in warning["message"]
    assert "maxDrawdownPercent" in warning["message"]


def test_a_bot_that_nobody_runs_says_so_when_its_switch_has_acted_and_not_before() -> None:
    bot = fleets.bot("alpha", deadManSwitch={"after": "5m"})
    for is_abandoned in (False, True):
        seen = Seen(books={UID: books(absent_since_us=MARKET_US, is_abandoned=is_abandoned)})

        status = shown(fleets.exchange(), bot, seen=seen)["alpha"]

        assert any(each["type"] == "Warning" for each in status["conditions"]) == is_abandoned


def test_what_a_gateway_refuses_is_told() -> None:
    status = shown(fleets.exchange(), fleets.bot("alpha"), seen=Seen(refusals={UID: "wallet cannot change"}))["alpha"]

    assert (status["phase"], "wallet cannot change" in status["reason"]) == ("Failed", True)


def test_books_that_differ_from_the_venue_are_told_of_account_and_bots() -> None:
    seen = Seen(accounts={ACCOUNT: AccountView(mismatch="USD: 7 atoms less")})

    status = shown(fleets.exchange(), fleets.bot("alpha"), seen=seen)

    assert "USD: 7 atoms less" in status["alpha"]["reason"]
    assert status["simulator"]["halted"] is True


def test_a_verdict_and_a_drift_of_the_plan_are_shown() -> None:
    alpha, beta = fleets.bot("alpha"), fleets.bot("beta")
    verdict = Verdict(key=alpha.key, stalled=True, reason="NoExchange", message="there is no Exchange x")

    status = shown(alpha, beta, planned=Plan(verdicts={alpha.key: verdict}, drifted=frozenset({beta.key})))

    assert status["alpha"]["reason"] == "there is no Exchange x"
    assert condition(status["beta"], "ConfigDrift")["status"] == "True"


# --- exchanges, feeds, sets -------------------------------------------------------------------------------------------


def test_an_exchange_adds_up_what_its_own_bots_have() -> None:
    elsewhere = fleets.bot("beta", exchangeRef={"name": "another"})
    seen = Seen(open_orders={UID: 2, OTHER_UID: 40}, statistics={UID: figures(fills=3), OTHER_UID: figures(fills=50)})

    status = shown(fleets.exchange(), fleets.exchange("another"), fleets.bot("alpha"), elsewhere, seen=seen)

    counts = [(each["openOrders"], each["fills"], each["bots"]) for each in (status["simulator"], status["another"])]
    assert counts == [(2, 3, 1), (40, 50, 1)]


def test_an_exchange_waits_for_both_of_its_processes() -> None:
    processes = {"venue-default-simulator": READY}

    assert shown(fleets.exchange(), processes=processes)["simulator"]["phase"] == "Starting"


def test_a_feed_shows_bars_and_bots_and_that_its_market_is_made_up() -> None:
    seen = Seen(bars={"default/simulator": 40}, statistics={UID: figures(market_us=MARKET_US)})

    status = shown(fleets.exchange(), fleets.dataset(), fleets.feed(), fleets.bot("alpha"), seen=seen)["replay"]

    assert (status["bars"], status["bots"], status["synthetic"]) == (40, 1, True)
    assert status["marketTime"] == "2018-04-04T00:00:00Z"


@pytest.mark.parametrize(
    ("replay", "percent"),
    [({}, 25), ({"from": "2018-04-03T23:30:00Z"}, 14), ({"to": "2018-04-04T01:00:00Z"}, 50)],
)
def test_a_replays_progress_is_measured_on_its_datasets_and_its_own_range(replay: dict, percent: int) -> None:
    feed = fleets.feed()
    feed = fleets.stored(
        "Feed", "replay", {**feed.body()["spec"], "replay": {**feed.body()["spec"]["replay"], **replay}}
    )
    hour_us = 3_600_000_000
    read = {
        "bars": 240,
        "gaps": 0,
        "missingBars": 0,
        "firstUs": MARKET_US - hour_us,
        "lastUs": MARKET_US + 3 * hour_us,
        "contentHash": "c0ffee",
    }
    planned, jobs = Plan(), {"dataset-default-market": JobFacts(result=read)}
    resources = [fleets.exchange(), fleets.dataset(), feed, fleets.bot("alpha")]
    seen = Seen(statistics={UID: figures(market_us=MARKET_US)})

    found = statuses_of(resources, planned, seen, ALL_READY, frozenset(), jobs, now_us=0)

    assert found["uid-feed-replay"][1]["progressPercent"] == percent


@pytest.mark.parametrize(
    ("seen", "processes"),
    [
        (Seen(finished=frozenset({"uid-feed-replay"})), ALL_READY),
        (Seen(), ALL_READY | {"feed-default-replay": ProcessFacts(state=ProcessState.ENDED)}),
    ],
    ids=["lockstep", "free"],
)
def test_bots_say_when_the_history_they_trade_is_over(seen: Seen, processes: dict[str, ProcessFacts]) -> None:
    seen = replace(seen, statistics={UID: figures()}, open_orders={UID: 1})

    status = shown(fleets.exchange(), fleets.feed(), fleets.bot("alpha"), seen=seen, processes=processes)

    assert status["replay"]["phase"] == "Succeeded"
    assert "no bar comes any more, so 1 open order cannot fill" in status["replay"]["reason"]
    assert status["alpha"]["reason"].startswith("the replay has come to its end")


def test_bots_say_that_no_bars_come_when_their_feed_has_failed() -> None:
    failed = ProcessFacts(state=ProcessState.REFUSED, reason="PlayedBefore", message="it was played before: play on")
    processes = ALL_READY | {"feed-default-replay": failed}
    market = (fleets.exchange(), fleets.feed())
    message = "gets no bars: Feed replay: it was played before: play on"

    new = shown(*market, fleets.bot("alpha"), processes=processes)["alpha"]
    old = shown(*market, fleets.bot("alpha"), seen=Seen(statistics={UID: figures()}), processes=processes)["alpha"]

    assert (new["phase"], new["reason"], condition(new, "Ready")["status"]) == ("Pending", message, "False")
    assert (old["phase"], condition(old, "Warning")["message"]) == ("Running", message)


def _bot_set(**matrix: Any) -> Resource:
    given = {"strategies": [{"name": "buy-and-hold"}, {"name": "dca"}], "instruments": ["BTC-USD"], **matrix}
    template = {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}}
    return fleets.stored("BotSet", "many", {"matrix": given, "template": template})


def test_a_set_counts_its_own_bots() -> None:
    mine = fleets.bot("alpha", annotations={OWNER_ANNOTATION: "uid-botset-many"})

    status = shown(fleets.exchange(), _bot_set(), mine, fleets.bot("beta"))["many"]

    assert (status["bots"], status["ready"], status["updated"]) == (2, 0, 0)
    assert condition(status, "Ready")["message"] == "0 of 2 bots are Ready"


def test_every_resource_of_a_fleet_has_a_status() -> None:
    fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(), fleets.bot("alpha"), _bot_set()]
    fleet.append(fleets.stored("RiskPolicy", "careful", {"halt": True}))

    assert shown(*fleet).keys() == {each.metadata.name for each in fleet}


def test_what_is_shown_now_comes_along_so_that_nothing_is_written_twice() -> None:
    bot = fleets.bot("alpha")
    first = statuses_of([bot], Plan(), Seen(), {}, frozenset(), {}, now_us=0)[UID]
    again = bot.model_copy(update={"status": TradingBotStatus.model_validate(first[1], by_alias=True)})

    then, now = statuses_of([again], Plan(), Seen(), {}, frozenset(), {}, now_us=9_000_000)[UID]

    assert first[0] == {}
    assert then == now == first[1]


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_fleet_that_wakes_keeps_its_figures_and_is_not_ready() -> None:
    before = TradingBotStatus(fills=7, phase=Phase.RUNNING)

    status = waking(fleets.bot("alpha").model_copy(update={"status": before}), now_us=0)

    assert (status["fills"], status["phase"], status["reason"]) == (7, "Pending", "the fleet starts")
    assert condition(status, "Ready")["status"] == "False"


def test_plain_values_leave_out_what_is_not_set() -> None:
    assert plain(Status()) == {}
    assert plain(TradingBotStatus(fills=0, position={})) == {"fills": 0}
