from decimal import Decimal
from typing import Any

import pytest
from governor.conditions import ProcessView
from governor.status import (
    AccountView,
    BotView,
    bot_status,
    exchange_status,
    feed_status,
    set_status,
)
from governor.workload import Verdict

from tests.unit.domain.instruments import instrument
from tests.unit.governor import fleets
from tradefleet.domain.bots import REFOLD_INPUTS_MAX, Closure
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.domain.money import to_atoms
from tradefleet.domain.statistics import BotStatistics
from tradefleet.resources.common import Condition, ConditionStatus, ConditionType, Phase, Status
from tradefleet.resources.exchange import ExchangeStatus
from tradefleet.resources.trading_bot import TradingBotStatus

RUNS = ProcessView(is_ready=True)
MARKET_US = 1_522_800_000_000_000  # 2018-04-04T00:00:00Z
JUDGED = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.WARNING)
LISTED = {
    symbol: instrument(symbol=Symbol(symbol), base=symbol[:3], lot=Decimal("0.00000001"))
    for symbol in ("BTC-USD", "LTC-USD")
}


def atoms(amount: str) -> int:
    return to_atoms(Decimal(amount), LISTED["BTC-USD"].quote_scale)


def figures(**changes: Any) -> BotStatistics:
    fields: dict[str, Any] = {
        "bot": BotKey("default/alpha"),
        "market_us": MARKET_US,
        "quote": "USD",
        "equity_atoms": atoms("10000"),
        "hold_atoms": atoms("10000"),
        "peak_equity_atoms": atoms("10000"),
        "realized_atoms": 0,
        "fees_atoms": 0,
        "orders": 0,
        "fills": 0,
        "open_orders": 0,
        "positions": (),
    }
    return BotStatistics(**(fields | changes))


def _status(bot=None, **view) -> TradingBotStatus:
    return bot_status(bot or fleets.bot("alpha"), None, BotView(process=RUNS, **view), {}, now_us=0)


def _exchange(account: AccountView, halted: str = "") -> ExchangeStatus:
    return exchange_status(
        fleets.exchange(),
        None,
        [RUNS, RUNS],
        bots=[],
        open_orders=0,
        fills=0,
        epoch=1,
        account=account,
        halted=halted,
        now_us=0,
    )


def _says(status: Status, kind: ConditionType) -> Condition | None:
    found = status.condition(kind)
    return found if found is not None and found.status is ConditionStatus.TRUE else None


def test_a_bot_whose_books_are_in_doubt_runs_with_a_warning_that_names_the_remedy():
    status = _status(closures={Closure.REPORT: "venue report 12: order X is not open"})

    warning = _says(status, ConditionType.WARNING)
    assert warning is not None
    assert warning.reason == "BooksInDoubt"
    assert "venue report 12: order X is not open" in warning.message
    assert "`tradefleet resume alpha --reopen`" in warning.message
    assert _says(status, ConditionType.READY) is not None
    assert status.reason == warning.message


def test_a_drawdown_is_a_warning_until_a_person_clears_it():
    warning = _says(_status(is_drawn_down=True), ConditionType.WARNING)

    assert warning is not None
    assert (warning.reason, "`tradefleet resume alpha --reopen`" in warning.message) == ("Drawdown", True)


@pytest.mark.parametrize(("inputs", "warns"), [(REFOLD_INPUTS_MAX, False), (REFOLD_INPUTS_MAX + 1, True)])
def test_a_restart_that_folds_more_than_the_bound_is_a_warning(inputs, warns):
    status = _status(refold_inputs=inputs)

    warning = _says(status, ConditionType.WARNING)
    assert (warning is not None) is warns
    if warning is not None:
        assert warning.reason == "SlowRestart"
        assert "folds 1,000,001 inputs again, more than 1,000,000" in warning.message
        assert "declare it with state()" in warning.message
    assert _says(status, ConditionType.STALLED) is None


def test_all_warnings_are_shown_and_the_first_gives_the_reason():
    warning = _says(_status(halted="halted by me", is_drawn_down=True), ConditionType.WARNING)

    assert warning is not None
    assert warning.reason == "Halted"
    assert warning.message.startswith("halted by me; takes no new risk: its equity fell")


@pytest.mark.parametrize(
    ("view", "reason", "told"),
    [
        (
            {"closures": {Closure.UNREADABLE: "request 7 cannot be read: no such field"}, "unreadable_seq": 7},
            "RequestUnreadable",
            ["request 7 cannot be read: no such field", "alpha --reopen`", "alpha --skip-request 7`"],
        ),
        (
            {"closures": {Closure.REQUEST: "request 2: X is not the id of that number"}},
            "RequestRefused",
            ["request 2: X is not the id of that number", "`tradefleet resume alpha --reopen`"],
        ),
        ({"refused": "wallet cannot change"}, "ConfigRefused", ["its gateway refuses it: wallet cannot change"]),
    ],
)
def test_a_bot_that_waits_for_a_person_is_stalled_and_says_what_to_do(view, reason, told):
    status = _status(**view)

    stalled = _says(status, ConditionType.STALLED)
    assert stalled is not None
    assert (status.phase, stalled.reason) == (Phase.FAILED, reason)
    for words in told:
        assert words in stalled.message
        assert words in status.reason


def test_a_deleted_bot_ends_whatever_closed_its_stream():
    status = _status(fleets.bot("alpha", deleting=True), closures={Closure.UNREADABLE: "request 7"}, unreadable_seq=7)

    assert (status.phase, _says(status, ConditionType.STALLED)) == (Phase.STOPPING, None)


def test_a_bot_without_trouble_has_no_warning():
    status = _status()

    assert (_says(status, ConditionType.WARNING), _says(status, ConditionType.STALLED)) == (None, None)


def test_an_account_whose_books_differ_from_the_venue_is_halted_and_says_how_they_differ():
    account = AccountView(mismatch="USD: 10 in the books, the venue has 9", reconciled_us=1_700_000_000_000_000)

    status, of_bot = _exchange(account), _status(mismatch=account.mismatch)

    for each in (status, of_bot):
        warning = _says(each, ConditionType.WARNING)
        assert warning is not None
        assert warning.reason == "NotReconciled"
        assert "USD: 10 in the books, the venue has 9: put the account in order" in warning.message
        assert each.reason == warning.message
    assert (status.halted, status.last_reconciled_time) == (True, "2023-11-14T22:13:20Z")


def test_orders_of_somebody_else_are_counted_and_named():
    status = _exchange(AccountView(external_orders=3, external=("web-1", "web-2")))

    warning = _says(status, ConditionType.WARNING)
    assert warning is not None
    assert (warning.reason, status.external_orders, status.halted) == ("ExternalOrders", 3, False)
    assert warning.message == "3 open orders at the venue of somebody else, left alone: web-1, web-2, …"


def test_an_account_that_was_never_compared_and_has_no_trouble_says_nothing():
    status = _exchange(AccountView())

    assert (_says(status, ConditionType.WARNING), status.last_reconciled_time) == (None, None)


# --- where a bot is in its life ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "phase", "reason", "message"),
    [
        (None, Phase.STARTING, "Starting", "its process starts"),
        (ProcessView(is_ready=False), Phase.STARTING, "Starting", "its process starts"),
        (
            ProcessView(is_ready=False, reason="NotReady", message="no broker"),
            Phase.STARTING,
            "NotReady",
            "no broker",
        ),
        (
            ProcessView(is_ready=False, is_failed=True, reason="InvalidParameter", message="fast must be below slow"),
            Phase.FAILED,
            "InvalidParameter",
            "fast must be below slow",
        ),
        (ProcessView(is_ready=False, is_failed=True), Phase.FAILED, "ProcessFailed", ""),
    ],
)
def test_a_bot_waits_for_its_process(process, phase, reason, message):
    status = bot_status(fleets.bot("alpha"), None, BotView(process=process), {}, now_us=0)

    ready = status.condition(ConditionType.READY)
    assert ready is not None
    assert (status.phase, ready.status, ready.reason, ready.message) == (phase, ConditionStatus.FALSE, reason, message)
    stuck = ConditionType.STALLED if phase is Phase.FAILED else ConditionType.RECONCILING
    assert [kind for kind in (ConditionType.STALLED, ConditionType.RECONCILING) if _says(status, kind)] == [stuck]


@pytest.mark.parametrize(
    ("spec", "view", "phase", "message"),
    [
        ({}, {}, Phase.WARMING_UP, "waits for its first bars"),
        ({}, {"statistics": {"hold_atoms": None}}, Phase.WARMING_UP, "warms up"),
        ({}, {"statistics": {}}, Phase.RUNNING, None),
        ({}, {"statistics": {}, "is_replayed": True}, Phase.RUNNING, "the replay has come to its end"),
        ({"state": "Paused"}, {"statistics": {}}, Phase.PAUSED, "takes no new risk"),
        ({"state": "Stopped"}, {"is_settled": True}, Phase.STOPPED, "stopped"),
    ],
)
def test_a_bot_that_does_what_its_spec_says_is_ready(spec, view, phase, message):
    if "statistics" in view:
        view = {**view, "statistics": figures(**view["statistics"])}

    status = bot_status(fleets.bot("alpha", **spec), None, BotView(process=RUNS, **view), LISTED, now_us=0)

    assert (status.phase, status.reason) == (phase, message)
    assert [kind for kind in JUDGED if _says(status, kind)] == [ConditionType.READY]


def _ready_before(**changes: Any) -> Any:
    """Return a bot that was Ready when it was last looked at, with its figures."""
    view = BotView(process=RUNS, statistics=figures())
    bot = fleets.bot("alpha")
    known = bot_status(bot, None, view, LISTED, now_us=0)
    return bot.model_copy(update={"status": known.model_copy(update=changes)})


@pytest.mark.parametrize("process", [None, ProcessView(is_ready=False)])
def test_a_bot_that_starts_anew_when_the_replay_is_over_stays_what_it_was(process):
    view = BotView(process=process, statistics=figures(), is_replayed=True)

    status = bot_status(_ready_before(), None, view, LISTED, now_us=0)

    assert (status.phase, status.reason) == (Phase.RUNNING, "the replay has come to its end")
    assert _says(status, ConditionType.READY) is not None


@pytest.mark.parametrize(
    ("bot", "view"),
    [
        (_ready_before(), {"process": ProcessView(is_ready=False)}),
        (_ready_before(), {"process": ProcessView(is_ready=False, reason="Restarting"), "is_replayed": True}),
        (_ready_before(observed_generation=0), {"process": None, "is_replayed": True}),
        (fleets.bot("alpha"), {"process": None, "is_replayed": True}),
    ],
    ids=["the replay goes on", "it has crashed", "its spec has changed", "it was not Ready"],
)
def test_any_other_start_is_a_start(bot, view):
    status = bot_status(bot, None, BotView(statistics=figures(), **view), LISTED, now_us=0)

    assert status.phase is Phase.STARTING


def test_a_bot_that_came_after_the_end_of_the_replay_says_that_no_bar_will_come():
    status = _status(is_replayed=True)

    assert status.phase is Phase.PENDING
    assert "waits for bars that do not come" in (status.reason or "")
    assert _says(status, ConditionType.READY) is None


def test_orders_that_outlive_the_replay_are_said_to_stay_open():
    view = BotView(process=RUNS, statistics=figures(), is_replayed=True, open_orders=2)

    status = bot_status(fleets.bot("alpha"), None, view, LISTED, now_us=0)

    assert status.reason == ("the replay has come to its end: no bar comes any more, so its 2 open orders cannot fill")


def test_a_position_that_nobody_can_buy_any_more_is_a_warning_with_a_remedy():
    view = BotView(process=RUNS, statistics=figures(), is_replayed=True, open_orders=1, is_selling=True)

    warning = _says(bot_status(fleets.bot("alpha"), None, view, LISTED, now_us=0), ConditionType.WARNING)

    assert warning is not None
    assert warning.reason == "NoMarket"
    assert "no bar comes any more" in warning.message
    assert "apply a Feed that plays" in warning.message


@pytest.mark.parametrize(
    ("policy", "remaining", "message"),
    [
        ("CancelOrders", "", "cancels its orders (deletionPolicy CancelOrders)"),
        ("CancelOrders", "2 open orders", "cancels its orders (deletionPolicy CancelOrders): 2 open orders"),
        ("Flatten", "", "cancels its orders and sells its position (deletionPolicy Flatten)"),
        ("Keep", "its process ends", "leaves its orders open (deletionPolicy Keep): its process ends"),
    ],
)
@pytest.mark.parametrize("end", [{"deleting": True}, {"state": "Stopped"}], ids=["deleted", "stopped"])
def test_a_bot_that_ends_says_how_and_what_it_waits_for(policy, remaining, message, end):
    bot = fleets.bot("alpha", deletionPolicy=policy, **end)

    status = _status(bot, remaining=remaining)

    assert (status.phase, status.reason) == (Phase.STOPPING, message)
    assert _says(status, ConditionType.RECONCILING) is not None


@pytest.mark.parametrize(
    ("is_stalled", "phase", "kind"),
    [(True, Phase.FAILED, ConditionType.STALLED), (False, Phase.PENDING, ConditionType.RECONCILING)],
)
def test_a_verdict_of_the_plan_says_what_stands_in_the_way(is_stalled, phase, kind):
    bot = fleets.bot("alpha")
    verdict = Verdict(key=bot.key, stalled=is_stalled, reason="NoExchange", message="there is no Exchange x")

    status = bot_status(bot, verdict, BotView(process=RUNS), {}, now_us=0)

    said = _says(status, kind)
    assert said is not None
    assert (status.phase, status.reason, said.reason) == (phase, "there is no Exchange x", "NoExchange")


def test_a_stopped_bot_with_a_verdict_shows_the_verdict():
    bot = fleets.bot("alpha", state="Stopped")
    verdict = Verdict(key=bot.key, stalled=True, reason="NoExchange", message="there is no Exchange x")

    assert bot_status(bot, verdict, BotView(is_settled=True), {}, now_us=0).phase is Phase.FAILED


def test_a_changed_spec_that_waits_is_shown_and_the_running_one_is_named():
    bot = _with_status(TradingBotStatus(spec_digest="of the running spec"))

    status = _status(bot, has_drifted=True)

    drift = _says(status, ConditionType.CONFIG_DRIFT)
    assert drift is not None
    assert "`tradefleet rollout alpha` brings it into force" in drift.message
    assert status.spec_digest == "of the running spec"
    assert _status(bot).spec_digest == bot.digest()


# --- figures ----------------------------------------------------------------------------------------------------------


def test_figures_are_exact_and_without_zeros_at_their_end():
    shown = figures(
        equity_atoms=atoms("10012.3400"),
        hold_atoms=atoms("10020"),
        peak_equity_atoms=atoms("20024.68"),
        realized_atoms=atoms("-0.01"),
        fees_atoms=atoms("3"),
        fills=7,
        positions=((Symbol("BTC-USD"), 25_000_000), (Symbol("LTC-USD"), 0)),
    )

    status = bot_status(fleets.bot("alpha"), None, BotView(process=RUNS, statistics=shown), LISTED, now_us=0)

    assert {name: str(getattr(status, name)) for name in ("equity", "vs_hold", "realized_profit", "fees")} == {
        "equity": "10012.34",
        "vs_hold": "-7.66",
        "realized_profit": "-0.01",
        "fees": "3",
    }
    assert str(status.drawdown_percent) == "50"
    assert {symbol: str(size) for symbol, size in status.position.items()} == {"BTC-USD": "0.25", "LTC-USD": "0"}
    assert (status.quote_asset, status.fills) == ("USD", 7)


def test_a_bot_without_figures_shows_none():
    status = _status()

    assert (status.equity, status.vs_hold, status.last_bar_age, status.position) == (None, None, None, {})


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (-5, "0s"),  # another bot's bar of the same step has not been seen yet
        (0, "0s"),
        (42, "42s"),
        (119, "119s"),
        (120, "2m"),
        (7_199, "119m"),
        (7_200, "2h"),
        (172_800, "2d"),
    ],
)
def test_the_age_of_the_last_bar_is_told_in_a_unit_that_people_read(age_s, text):
    view = BotView(process=RUNS, statistics=figures(market_us=MARKET_US), market_us=MARKET_US + age_s * 1_000_000)

    status = bot_status(fleets.bot("alpha"), None, view, LISTED, now_us=0)

    assert (status.last_bar_age, status.last_bar_time) == (text, "2018-04-04T00:00:00Z")


def test_restarts_are_remembered_while_there_is_no_process():
    bot = _with_status(TradingBotStatus(restarts=3))

    assert bot_status(bot, None, BotView(), {}, now_us=0).restarts == 3
    assert _status(bot).restarts == 0


# --- conditions -------------------------------------------------------------------------------------------------------


def test_a_condition_keeps_its_time_until_it_changes():
    first = _at(fleets.bot("alpha"), None, 1_000_000)
    again = _at(_with_status(first), None, 2_000_000)
    ready = _at(_with_status(again), RUNS, 3_000_000)

    assert [status.condition(ConditionType.READY).last_transition_time for status in (first, again, ready)] == [
        "1970-01-01T00:00:01Z",
        "1970-01-01T00:00:01Z",
        "1970-01-01T00:00:03Z",
    ]
    assert ready.condition(ConditionType.STALLED).last_transition_time == "1970-01-01T00:00:01Z"


def test_a_warning_that_is_over_is_false_and_not_gone():
    warned = _status(halted="halted by me")

    status = bot_status(_with_status(warned), None, BotView(process=RUNS), {}, now_us=0)

    over = status.condition(ConditionType.WARNING)
    assert over is not None
    assert (over.status, over.message) == (ConditionStatus.FALSE, "")


def test_conditions_and_status_say_which_generation_they_are_about():
    status = _status(fleets.bot("alpha", generation=4))

    assert status.observed_generation == 4
    assert {each.observed_generation for each in status.conditions} == {4}


def _at(bot, process, now_us) -> TradingBotStatus:
    return bot_status(bot, None, BotView(process=process), {}, now_us=now_us)


def _with_status(status):
    return fleets.bot("alpha").model_copy(update={"status": status})


# --- exchanges, feeds, sets -------------------------------------------------------------------------------------------


def _exchange_status(exchange=None, verdict=None, processes=(RUNS, RUNS), bots=(), **more):
    given = {"open_orders": 2, "fills": 3, "epoch": 4, "account": AccountView(), "halted": "", **more}
    return exchange_status(exchange or fleets.exchange(), verdict, processes, bots=bots, now_us=0, **given)


@pytest.mark.parametrize(
    ("processes", "phase", "message"),
    [
        ((RUNS, RUNS), Phase.RUNNING, None),
        ((RUNS, None), Phase.STARTING, "its process starts"),
        ((ProcessView(is_ready=False, message="reads its journal"), RUNS), Phase.STARTING, "reads its journal"),
        ((RUNS, ProcessView(is_ready=False, is_failed=True, message="no key")), Phase.FAILED, "no key"),
    ],
)
def test_an_exchange_is_ready_when_simulator_and_gateway_are(processes, phase, message):
    status = _exchange_status(processes=processes)

    assert (status.phase, status.reason) == (phase, message)
    assert (status.open_orders, status.fills, status.epoch, status.halted) == (2, 3, 4, False)


def test_a_halted_exchange_is_ready_and_warns():
    status = _exchange_status(halted="halted (fleet) by me: a drill")

    warning = _says(status, ConditionType.WARNING)
    assert warning is not None
    assert (status.phase, status.halted, status.reason) == (Phase.RUNNING, True, "halted (fleet) by me: a drill")


@pytest.mark.parametrize(
    ("bots", "message"),
    [(["alpha", "beta"], "waits for 2 bots that trade here to be deleted"), ([], "ends its gateway")],
)
def test_a_deleted_exchange_waits_for_its_bots(bots, message):
    status = _exchange_status(_deleting(fleets.exchange()), bots=[fleets.bot(name) for name in bots])

    assert (status.phase, status.reason, status.bots) == (Phase.STOPPING, message, len(bots))


@pytest.mark.parametrize(
    ("process", "is_stalled", "reason"),
    [
        (ProcessView(is_ready=False, is_failed=True, reason="JournalLost", message="no journal"), True, "JournalLost"),
        (ProcessView(is_ready=False, reason="Restarting", message="no journal"), False, "Deleting"),
    ],
    ids=["failed", "crashes again and again"],
)
def test_a_deleted_exchange_says_what_holds_its_bots_up(process, is_stalled, reason):
    status = _exchange_status(_deleting(fleets.exchange()), processes=(process, RUNS), bots=[fleets.bot("alpha")])

    stalled = _says(status, ConditionType.STALLED)
    assert (stalled is not None) == is_stalled
    assert status.condition(ConditionType.READY).reason == reason
    assert status.reason == f"waits for 1 bots that trade here to be deleted; {process.reason}: no journal"


def test_a_suspended_exchange_is_stopped_and_says_what_becomes_of_its_orders():
    status = _exchange_status(fleets.exchange(suspend=True), processes=(None, None))

    assert (status.phase, status.reason) == (
        Phase.STOPPED,
        "suspended: its gateway is stopped, its open orders stay",
    )
    assert _says(status, ConditionType.READY) is not None


def test_an_account_that_was_never_reconciled_has_no_time_of_it():
    assert _exchange_status().last_reconciled_time is None
    agreed = _exchange_status(account=AccountView(reconciled_us=MARKET_US))
    assert agreed.last_reconciled_time == "2018-04-04T00:00:00Z"


def _feed_status(feed=None, verdict=None, process=RUNS, **more):
    given = {"bots": 1, "bars": 20, "market_us": MARKET_US, "span": None, "is_finished": False, "is_synthetic": True}
    given |= more
    return feed_status(feed or fleets.feed(), verdict, process, now_us=0, **given)


def test_a_feed_shows_how_far_it_is():
    status = _feed_status()

    assert (status.phase, status.bots, status.bars, status.synthetic) == (Phase.RUNNING, 1, 20, True)
    assert status.market_time == "2018-04-04T00:00:00Z"
    assert _feed_status(market_us=0).market_time is None


@pytest.mark.parametrize(
    ("market_us", "percent"),
    [
        (0, 0),
        (MARKET_US, 0),
        (MARKET_US + 499, 49),
        (MARKET_US + 999, 99),
        (MARKET_US + 1000, 99),
        (MARKET_US + 9999, 99),
    ],
)
def test_a_replay_says_how_far_it_is_and_100_only_when_it_has_ended(market_us, percent):
    span = (MARKET_US, MARKET_US + 1000)

    assert _feed_status(market_us=market_us, span=span).progress_percent == percent
    assert _feed_status(market_us=market_us, span=span, is_finished=True).progress_percent == 100


def test_a_replay_of_unknown_length_says_nothing_of_its_progress():
    assert _feed_status().progress_percent is None
    assert _feed_status(span=(MARKET_US, MARKET_US)).progress_percent == 0


@pytest.mark.parametrize(
    "ended",
    [{"is_finished": True}, {"process": ProcessView(is_ready=False, has_ended=True)}],
    ids=["lockstep", "free"],
)
def test_a_replay_that_has_come_to_its_end_succeeded(ended):
    status = _feed_status(**ended)

    ready = _says(status, ConditionType.READY)
    assert ready is not None
    assert (status.phase, ready.reason) == (Phase.SUCCEEDED, "ReplayFinished")


def test_a_suspended_feed_is_stopped():
    assert _feed_status(fleets.feed(suspend=True), process=None).phase is Phase.STOPPED


def test_a_deleted_feed_ends():
    assert _feed_status(_deleting(fleets.feed())).phase is Phase.STOPPING


def test_a_deleted_feed_says_for_whom_it_plays_on():
    feed = _deleting(fleets.feed())
    verdict = Verdict(key=feed.key, stalled=False, reason="Deleting", message="plays on for alpha")

    assert _feed_status(feed, verdict=verdict).reason == "plays on for alpha"


def _deleting(resource):
    metadata = resource.metadata.model_copy(update={"deletion_timestamp": "2024-01-01T00:00:00Z"})
    return resource.model_copy(update={"metadata": metadata})


def _bot_set(**spec):
    strategies = {"strategies": [{"name": "buy-and-hold"}, {"name": "dca"}], "instruments": ["BTC-USD"]}
    template = {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}}
    return fleets.stored("BotSet", "many", {"matrix": strategies, "template": template, **spec})


@pytest.mark.parametrize(
    ("bots", "phase", "message", "counts"),
    [
        ([], Phase.STARTING, "0 of 2 bots are Ready", (0, 0)),
        (["ready"], Phase.STARTING, "1 of 2 bots are Ready", (1, 0)),
        (["ready", "starting"], Phase.STARTING, "1 of 2 bots are Ready", (1, 0)),
        (["ready", "ready"], Phase.RUNNING, None, (2, 0)),
        (["ready", "ready", "ready"], Phase.STARTING, "3 of 2 bots are Ready", (3, 0)),
        (["ready", "stalled"], Phase.FAILED, "bot-1: fast must be below slow", (1, 1)),
    ],
)
def test_a_set_is_what_its_bots_are(bots, phase, message, counts):
    views = {
        "ready": RUNS,
        "starting": None,
        "stalled": ProcessView(is_ready=False, is_failed=True, message="fast must be below slow"),
    }
    mine = []
    for number, kind in enumerate(bots):
        bot = fleets.bot(f"bot-{number}")
        status = bot_status(bot, None, BotView(process=views[kind]), {}, now_us=0)
        mine.append(bot.model_copy(update={"status": status}))

    wanted = [fleets.bot("bot-0"), fleets.bot("bot-1")]

    status = set_status(_bot_set(), None, mine, wanted, now_us=0)

    assert (status.phase, status.reason) == (phase, message)
    assert (status.bots, status.ready, status.failed) == (2, *counts)
    assert status.updated == min(len(bots), 2)


def test_a_set_says_how_many_bots_have_its_newest_spec():
    mine = [_ready_bot("bot-0"), _ready_bot("bot-1")]
    wanted = [fleets.bot("bot-0"), fleets.bot("bot-1", interval="5m")]

    status = set_status(_bot_set(), None, mine, wanted, now_us=0)

    assert (status.updated, status.phase) == (1, Phase.STARTING)
    assert status.reason == "1 of 2 bots have the newest spec, 2 are Ready"


def _ready_bot(name):
    bot = fleets.bot(name)
    return bot.model_copy(update={"status": bot_status(bot, None, BotView(process=RUNS), {}, now_us=0)})


@pytest.mark.parametrize(
    ("switch", "done"),
    [({}, "canceled its orders"), ({"action": "Flatten"}, "sold its position")],
)
def test_a_bot_whose_dead_mans_switch_has_acted_says_so(switch, done):
    bot = fleets.bot("alpha", deadManSwitch=switch)

    status = bot_status(bot, None, BotView(process=None, abandoned_since_us=MARKET_US), {}, now_us=0)

    warning = _says(status, ConditionType.WARNING)
    assert warning is not None
    assert warning.reason == "DeadManSwitch"
    assert f"no process has run it since 2018-04-04T00:00:00Z, so its dead man's switch has {done}" in warning.message
    assert status.phase is Phase.STARTING
    assert _says(bot_status(bot, None, BotView(process=None), {}, now_us=0), ConditionType.WARNING) is None


def test_a_shared_bot_says_which_process_runs_it():
    bot = fleets.bot("alpha", placement="Shared")

    status = bot_status(bot, None, BotView(process=RUNS, host="host-default-simulator-0"), {}, now_us=0)

    assert status.host == "host-default-simulator-0"
    assert _says(status, ConditionType.WARNING) is None


def test_a_shared_bot_says_that_its_pod_template_counts_for_nothing():
    bot = fleets.bot("alpha", placement="Shared", podTemplate={"nodeSelector": {"disk": "fast"}})

    warning = _says(bot_status(bot, None, BotView(process=RUNS), {}, now_us=0), ConditionType.WARNING)

    assert warning is not None
    assert warning.reason == "PodTemplateIgnored"


def test_a_suspended_set_leaves_its_bots_as_they_are():
    status = set_status(_bot_set(suspend=True), None, [], [], now_us=0)

    assert (status.phase, status.reason) == (Phase.STOPPED, "its bots stay as they are")


def test_an_exchange_whose_edit_waits_for_a_run_says_so():
    status = _exchange_status(has_drifted=True)

    drift = _says(status, ConditionType.CONFIG_DRIFT)
    assert drift is not None
    assert (drift.reason, status.phase) == ("RunHasBegun", Phase.RUNNING)
    assert _says(_exchange_status(), ConditionType.CONFIG_DRIFT) is None
