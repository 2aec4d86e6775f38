"""The halt switch: once `set_halt` has returned, no order that raises risk is accepted or sent (rule 11)."""

import threading
from collections.abc import Callable

import pytest

from tests.contracts.store.samples import ACCOUNT, BOT, OTHER_BOT, UID, gateway_commit, order, take_gateway
from tests.contracts.store.worlds import World
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import BotKey, orders_stream
from tradefleet.store.ports import Halt, HaltStore

WAIT_S = 20.0
STILL_WAITING_S = 1.0  # a set_halt that does not wait is back long before


def connected_halts(world: World) -> HaltStore:
    """Return a handle that has its connection: what it waits for afterwards is the switch."""
    halts = world.halts()
    assert halts.active_halts() == []
    return halts


def in_thread(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_no_switch_is_on_at_first(world: World) -> None:
    assert world.halts().active_halts() == []


@pytest.mark.parametrize("sharing", [[], [BOT], [BOT, OTHER_BOT]], ids=["asked alone", "one shared", "shared"])
@pytest.mark.parametrize("scope", ["fleet", f"account/{ACCOUNT}", f"bot/{BOT}"])
def test_a_switch_stops_its_scope(world: World, scope: str, sharing: list[BotKey]) -> None:
    store = world.gateway()
    take_gateway(store)
    world.halts().set_halt(scope, reason="drill", set_by="ana")
    halt = Halt(scope=scope, reason="drill", set_by="ana")
    with store.gateway_transaction(ACCOUNT) as transaction:
        assert transaction.requests({orders_stream(UID): 0}, limit=1, sharing=sharing) == []
        assert transaction.halts([BOT, OTHER_BOT]) == [halt]
        assert transaction.halts([OTHER_BOT]) == ([] if scope.startswith("bot/") else [halt])
    with store.sending(ACCOUNT, [BOT]) as halts:
        assert halts == [halt]
    assert world.halts().active_halts() == [halt]


def test_a_cleared_switch_stops_nothing(world: World) -> None:
    halts = world.halts()
    halts.set_halt("fleet", reason="drill", set_by="ana")
    halts.set_halt("fleet", reason="still", set_by="bob")
    assert halts.active_halts() == [Halt(scope="fleet", reason="still", set_by="bob")]
    halts.clear_halt("fleet", set_by="ana")
    halts.clear_halt("fleet", set_by="ana")
    assert halts.active_halts() == []
    with world.gateway().sending(ACCOUNT, [BOT]) as found:
        assert found == []


def test_a_halt_returns_only_after_orders_were_sent(world: World) -> None:
    store = world.gateway()
    take_gateway(store)
    halts = connected_halts(world)
    returned = threading.Event()

    def halt() -> None:
        halts.set_halt("fleet", reason="drill", set_by="ana")
        returned.set()

    with store.sending(ACCOUNT, [BOT]) as found:
        assert found == []
        thread = in_thread(halt)
        assert not returned.wait(STILL_WAITING_S)
    assert returned.wait(WAIT_S)
    thread.join()
    with store.sending(ACCOUNT, [BOT]) as found:
        assert [halt.scope for halt in found] == ["fleet"]


@pytest.mark.parametrize("sharing", [[], [BOT]], ids=["asked alone", "shared"])
def test_a_halt_returns_only_after_the_orders_accepted_before_it_are_committed(
    world: World, sharing: list[BotKey]
) -> None:
    world.bot(BOT, UID)  # its switch exists, as it does for every bot that may run
    store = world.gateway()
    lease = take_gateway(store)
    halts, reader = connected_halts(world), world.gateway()
    assert reader.load_gateway(ACCOUNT) is None
    seen: list[int] = []

    def halt() -> None:
        halts.set_halt(f"bot/{BOT}", reason="drill", set_by="ana")
        loaded = reader.load_gateway(ACCOUNT)
        seen.append(len(loaded.open_orders) if loaded else 0)

    with store.gateway_transaction(ACCOUNT) as transaction:
        assert transaction.requests({orders_stream(UID): 0}, limit=1, sharing=sharing) == []
        assert sharing or transaction.halts([BOT]) == []
        thread = in_thread(halt)
        thread.join(STILL_WAITING_S)
        assert thread.is_alive()
        transaction.write(gateway_commit(lease, orders=[order(1)]))
    thread.join(WAIT_S)
    assert seen == [1]


def test_a_switch_of_a_bot_that_never_ran_holds_too(world: World) -> None:
    halts = connected_halts(world)
    with world.gateway().sending(ACCOUNT, [BOT]):
        thread = in_thread(lambda: halts.set_halt(f"bot/{BOT}", reason="drill", set_by="ana"))
        thread.join(STILL_WAITING_S)
        assert thread.is_alive()
    thread.join(WAIT_S)
    assert [halt.scope for halt in halts.active_halts()] == [f"bot/{BOT}"]


def test_a_scope_of_no_kind_is_refused(world: World) -> None:
    with pytest.raises(InvalidValue, match="the scope must be"):
        world.halts().set_halt("everything", reason="drill", set_by="ana")
