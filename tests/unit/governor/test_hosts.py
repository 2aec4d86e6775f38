"""Shared hosts: every bot is in one, nobody moves without need, and what a bot's host does shows in its status."""

import pytest
from governor.observation import Held, Seen
from governor.plan import Observed, plan
from governor.plan.hosts import host_name, place
from governor.reporting import statuses_of
from governor.workload import NAME_LENGTH_MAX, Plan, ProcessFacts, ProcessState, Role
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.governor import fleets
from tradefleet.domain.ids import BotUid
from tradefleet.resources.common import Resource, ResourceKey

EXCHANGE = ResourceKey("Exchange", "default", "simulator")
HOST = "host-default-simulator-0"
SIZE = 3

crowds = st.sets(st.integers(0, 30).map(lambda number: BotUid(f"uid-{number:02}")))


def _loads(placed: dict[BotUid, str]) -> dict[str, int]:
    return {host: list(placed.values()).count(host) for host in set(placed.values())}


@given(crowds)
def test_every_bot_is_in_one_host_of_its_exchange_and_none_is_over_its_size(bots: set[BotUid]) -> None:
    placed = place(EXCHANGE, bots, {}, size=SIZE)

    assert placed.keys() == bots
    loads = _loads(placed)
    assert loads.keys() == {host_name(EXCHANGE, number) for number in range(-(-len(bots) // SIZE))}
    assert not loads or max(loads.values()) - min(loads.values()) <= 1
    assert max(loads.values(), default=0) <= SIZE


@given(crowds, crowds)
def test_nobody_moves_because_others_come_or_go(before: set[BotUid], after: set[BotUid]) -> None:
    first = place(EXCHANGE, before, {}, size=SIZE)

    then = place(EXCHANGE, after, first, size=SIZE)

    assert then.keys() == after
    assert {bot: then[bot] for bot in before & after} == {bot: first[bot] for bot in before & after}
    assert max(_loads(then).values(), default=0) <= SIZE


@given(crowds, crowds, st.integers(1, 5))
def test_a_smaller_size_moves_only_what_is_too_much(before: set[BotUid], after: set[BotUid], size: int) -> None:
    first = place(EXCHANGE, before, {}, size=SIZE)

    then = place(EXCHANGE, after, first, size=size)

    assert max(_loads(then).values(), default=0) <= size
    kept = {bot for bot in before & after if then[bot] == first[bot]}
    stayed = [host for bot, host in first.items() if bot in after]
    assert len(kept) >= sum(min(size, stayed.count(host)) for host in set(stayed))


def test_a_host_that_has_nobody_left_is_gone_and_its_number_is_given_again() -> None:
    now = {BotUid("a"): host_name(EXCHANGE, 1)}

    placed = place(EXCHANGE, [BotUid(name) for name in "abcd"], now, size=2)

    assert placed[BotUid("a")] == host_name(EXCHANGE, 1)
    assert set(placed.values()) == {host_name(EXCHANGE, 0), host_name(EXCHANGE, 1)}


def test_a_bot_from_a_host_of_another_exchange_is_placed_anew() -> None:
    other = ResourceKey("Exchange", "default", "simulator-0")
    now = {BotUid("a"): host_name(other, 0)}

    assert place(EXCHANGE, [BotUid("a")], now, size=SIZE) == {BotUid("a"): HOST}


@pytest.mark.parametrize("name", ["simulator", "s" * 53, "s" * 60, "a.b"])
def test_a_hosts_name_is_a_label_of_its_own(name: str) -> None:
    names = {host_name(ResourceKey("Exchange", "default", name), number) for number in (0, 1, 9_999)}

    assert len(names) == 3
    assert max(map(len, names)) <= NAME_LENGTH_MAX


# --- in the plan ------------------------------------------------------------------------------------------------------


def _fleet(*bots: Resource) -> list[Resource]:
    return [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), *bots]


def _plan(*bots: Resource, hosts: dict[str, str] | None = None) -> Plan:
    observed = Observed(hosts={BotUid(f"uid-tradingbot-{name}"): host for name, host in (hosts or {}).items()})
    return plan(_fleet(*bots), observed, fleets.warm_up)


def _shared(name: str, **more: object) -> Resource:
    return fleets.bot(name, placement="Shared", **more)


def test_shared_bots_run_in_one_process_and_the_others_in_their_own() -> None:
    planned = _plan(_shared("alpha"), _shared("beta"), fleets.bot("gamma"))

    names = [each.name for each in planned.workloads if each.role in (Role.BOT, Role.HOST)]
    assert names == ["bot-default-gamma", HOST]
    hosts = {each.command.config.key: each.host for each in planned.commands}
    assert hosts == {"default/alpha": HOST, "default/beta": HOST, "default/gamma": ""}


def test_who_is_in_a_host_does_not_change_its_process() -> None:
    def digest(*bots: Resource) -> str:
        return next(each.digest for each in _plan(*bots).workloads if each.role is Role.HOST)

    assert digest(_shared("alpha")) == digest(_shared("alpha", generation=2, seed=7), _shared("beta"))


def test_a_bot_that_has_ended_or_cannot_run_is_in_no_host() -> None:
    ended = _shared("alpha", state="Stopped")
    observed = Observed(
        settled=frozenset({BotUid("uid-tradingbot-alpha")}), hosts={BotUid("uid-tradingbot-alpha"): HOST}
    )

    planned = plan(_fleet(ended), observed, fleets.warm_up)

    assert [each.host for each in planned.commands] == [""]
    assert not [each for each in planned.workloads if each.role is Role.HOST]


# --- in the status ----------------------------------------------------------------------------------------------------


def _status(held: Held, *, process: ProcessState = ProcessState.READY) -> dict[str, object]:
    bot = _shared("alpha")
    planned = _plan(bot)
    uid = bot.metadata.uid or ""
    facts = {HOST: ProcessFacts(state=process, restarts=2, reason="NotReady", message="database: gone")}
    statuses = statuses_of(_fleet(bot), planned, Seen(held={uid: held}), facts, frozenset(), {}, now_us=0)
    return statuses[uid][1]


def test_a_shared_bot_is_ready_when_its_host_has_taken_it_up() -> None:
    assert _status(Held(host=HOST, generation=1))["phase"] == "WarmingUp"
    assert _status(Held(host=HOST, generation=1))["host"] == HOST
    assert "takes it up" in str(_status(Held(host=HOST))["reason"])
    assert _status(Held())["phase"] == "Starting"


def test_a_bot_that_was_put_out_says_why() -> None:
    status = _status(Held(host=HOST, generation=1, trouble="StrategyError: bot default/alpha: on_bar raised"))

    assert status["phase"] == "Failed"
    assert status["reason"] == "bot default/alpha: on_bar raised"


def test_a_host_that_is_not_ready_shows_in_its_bots() -> None:
    status = _status(Held(host=HOST, generation=1), process=ProcessState.STARTING)

    assert (status["phase"], status["reason"]) == ("Starting", "database: gone")
