"""What a process is told when its connection breaks: nothing happened, or nobody knows (rule 8)."""

from collections.abc import Iterator

import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BOT,
    UID,
    bot_commit,
    executions,
    gateway_commit,
    order,
    take_bot,
    take_gateway,
    write,
)
from tests.contracts.store.worlds import PostgresWorld
from tests.integration.store.cutting_proxy import Cut, CuttingProxy
from tradefleet.domain.errors import OutcomeUnknown, Retryable
from tradefleet.domain.ids import executions_stream, orders_stream
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.bots import PostgresBotStore
from tradefleet.store.postgres.gateways import PostgresGatewayStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session


@pytest.fixture
def proxy(world: PostgresWorld) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(world.url, b"COMMIT")
    yield proxy
    proxy.close()


def kill_backend(world: PostgresWorld, session: Session) -> None:
    world.admin.execute("SELECT pg_terminate_backend(%s, 10000)", (session.connection.info.backend_pid,))


@pytest.mark.parametrize("cut", list(Cut))
def test_nobody_knows_after_a_cut_at_commit(world: PostgresWorld, proxy: CuttingProxy, cut: Cut) -> None:
    store = PostgresGatewayStore(world.session(proxy.url))
    lease = take_gateway(store)
    proxy.cut = cut
    with pytest.raises(OutcomeUnknown, match="lost at COMMIT"):
        write(store, gateway_commit(lease, orders=[order(1)], executions=executions([1])))
    assert proxy.cuts == 1
    written = world.gateway().load_gateway(ACCOUNT) is not None
    assert written == (cut is Cut.ANSWER_LOST)
    assert world.gateway().last_seq(executions_stream(UID)) == int(written)
    # The process throws its machine away, loads and goes on with the same handle.
    loaded = store.load_gateway(ACCOUNT)
    assert (loaded is not None) == written
    write(store, gateway_commit(lease, int(written), executions=executions([1 + int(written)])))


@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("requests", [[], [1]])
def test_nobody_knows_after_a_cut_in_a_bots_one_statement(world: PostgresWorld, cut: Cut, requests: list[int]) -> None:
    proxy = CuttingProxy(world.url, b"this commit")
    store = PostgresBotStore(world.session(proxy.url))
    lease, record = take_bot(store)
    proxy.cut = cut
    with pytest.raises(OutcomeUnknown):
        store.commit_bots([bot_commit(lease, record.version, requests=requests, request_hash="this commit")])
    assert proxy.cuts == 1
    loaded = store.load_bot(BOT, UID)
    assert loaded is not None
    assert loaded.input_count == int(cut is Cut.ANSWER_LOST)
    assert store.last_seq(orders_stream(UID)) == len(requests) * loaded.input_count
    proxy.close()


def test_nothing_happened_when_the_server_ends_the_session_before_commit(world: PostgresWorld) -> None:
    session = world.session()
    store = PostgresGatewayStore(session)
    lease = take_gateway(store)

    def broken_block() -> None:
        with store.gateway_transaction(ACCOUNT) as transaction:
            assert transaction.halts([BOT]) == []
            kill_backend(world, session)
            transaction.requests({orders_stream(UID): 0}, limit=10)

    with pytest.raises(Retryable, match="nothing was written"):
        broken_block()
    assert store.load_gateway(ACCOUNT) is None
    write(store, gateway_commit(lease))


def test_nobody_knows_when_the_server_ends_the_session_before_the_block_ends(world: PostgresWorld) -> None:
    session = world.session()
    store = PostgresGatewayStore(session)
    lease = take_gateway(store)

    def broken_block() -> None:
        with store.gateway_transaction(ACCOUNT) as transaction:
            assert transaction.halts([BOT]) == []
            transaction.write(gateway_commit(lease))
            kill_backend(world, session)

    with pytest.raises(OutcomeUnknown):
        broken_block()
    assert store.load_gateway(ACCOUNT) is None


def test_a_session_that_was_ended_comes_back(world: PostgresWorld) -> None:
    session = world.session()
    store = PostgresBotStore(session)
    take_bot(store)
    kill_backend(world, session)
    with pytest.raises(Retryable):
        store.load_bot(BOT, UID)
    assert store.load_bot(BOT, UID) is not None


def test_a_listener_whose_session_was_ended_looks_again(world: PostgresWorld) -> None:
    session = world.session()
    runs = PostgresRuns(session)
    run = RunId("run")
    assert runs.wait_progress(run, ["gateway"], timeout_us=1_000)
    assert not runs.wait_progress(run, ["gateway"], timeout_us=1_000)
    kill_backend(world, session)
    with pytest.raises(Retryable):
        runs.wait_progress(run, ["gateway"], timeout_us=5_000_000)
    # What was notified meanwhile is lost, so the new connection counts as a hint.
    assert runs.wait_progress(run, ["gateway"], timeout_us=1_000)
    assert not runs.wait_progress(run, ["gateway"], timeout_us=1_000)


def test_nobody_answers(world: PostgresWorld, proxy: CuttingProxy) -> None:
    proxy.close()
    with pytest.raises(Retryable, match="cannot connect"):
        PostgresBotStore(world.session(proxy.url)).load_bot(BOT, UID)


def test_an_error_of_the_caller_leaves_no_transaction_open(world: PostgresWorld) -> None:
    session = world.session()
    store = PostgresGatewayStore(session)
    take_gateway(store)

    def fail_inside() -> None:
        with store.gateway_transaction(ACCOUNT) as transaction:
            transaction.halts([BOT])
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    world.halts().set_halt("fleet", reason="drill", set_by="ana")  # would wait for a switch that is still held
    assert store.load_gateway(ACCOUNT) is None
