"""Hot statements read the rows they need, however large the tables are and however little the planner knows of them."""

from collections.abc import Callable

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    EXCHANGE,
    START_US,
    TTL_US,
    UID,
    bar,
    bot_commit,
    entry,
    executions,
    fill,
    gateway_commit,
    order,
    statistics,
    take_bot,
    take_gateway,
)
from tests.contracts.store.worlds import PostgresWorld
from tradefleet.domain.ids import BotUid, executions_stream, orders_stream
from tradefleet.domain.ledger import Book
from tradefleet.domain.progress import GATEWAY, Phase, Progress, bot_participant
from tradefleet.store.components import Component
from tradefleet.store.ports import FeedCommit, RunId, feed_lease
from tradefleet.store.postgres.bots import PostgresBotStore
from tradefleet.store.postgres.feeds import PostgresFeedStore
from tradefleet.store.postgres.gateways import PostgresGatewayStore
from tradefleet.store.postgres.session import Session

CROWD = 3_000
ROWS_READ_MAX = 400  # far below the crowd, above what ten messages in ten tables need
TEN = [BotUid(f"crowd-{number}") for number in range(1, 11)]
RUN = RunId("run")

CROWDED = [
    "INSERT INTO tradefleet.bot (fleet, uid, bot, db_role) SELECT %(fleet)s, 'crowd-' || n, 'ns/crowd-' || n, 'x' {}",
    "INSERT INTO tradefleet.stream (fleet, stream, last_seq) SELECT %(fleet)s, 'executions/crowd-' || n, 1 {}",
    "INSERT INTO tradefleet.stream (fleet, stream, last_seq) SELECT %(fleet)s, 'orders/crowd-' || n, 1 {}",
    "INSERT INTO tradefleet.outbox SELECT %(fleet)s, 'executions/crowd-' || n, 1, 't', 'k', 1, '', 1 {}",
    "INSERT INTO tradefleet.outbox SELECT %(fleet)s, 'orders/crowd-' || n, 1, 't', 'k', 1, '', 1 {}",
    "INSERT INTO tradefleet.bar SELECT %(fleet)s, 'ns/venue', 'BTC-USD', 60000000, n, NULL, 1, 1, 1, 1, 1 {}",
    "INSERT INTO tradefleet.progress SELECT %(fleet)s, 'run', n, 0, 0, 'feed' {}",
    "INSERT INTO tradefleet.halt SELECT %(fleet)s, 'bot/ns/crowd-' || n {}",
]


def fill_tables(world: PostgresWorld) -> None:
    """Crowd the fleet, after every plan was made while its tables were empty."""
    for statement in CROWDED:
        crowd = f"FROM generate_series(1, {CROWD}) AS n"
        world.admin.execute(statement.format(crowd), {"fleet": world.fleet})


def rows_read(world: PostgresWorld, session: Session, work: Callable[[], object]) -> int:
    """Return how many table and index rows `work` read, as the server counts them."""

    def counted() -> int:
        session.connection.execute("SELECT pg_stat_force_next_flush()")
        row = world.admin.execute(
            "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes) + (SELECT sum(seq_tup_read) "
            "FROM pg_stat_user_tables WHERE schemaname = 'tradefleet')"
        ).fetchone()
        assert row is not None
        return int(row[0])

    before = counted()
    work()
    read = counted() - before
    print(f"{read} rows read")
    return read


def test_a_bots_commit_reads_its_own_rows_only(world: PostgresWorld) -> None:
    world.register(BOT, UID)
    session = world.as_component(Component.HOLDER)
    store = PostgresBotStore(session)
    lease, record = take_bot(store)

    def commits(number: int) -> None:
        for index in range(2 * number, 2 * number + 2):
            step = Progress(participant=bot_participant(BOT, UID), market_us=index, round=0, phase=Phase.BOTS)
            commit = bot_commit(
                lease,
                record.version + index,
                first_ordinal=index,
                requests=[index + 1],
                snapshot=b"s",
                payloads={index: b"x"},
                progress=step,
                run=RUN,
            )
            assert store.commit_bots([commit]) == {BOT}
        store.mark_published({orders_stream(UID): number})
        store.unpublished([orders_stream(UID)], limit=10)
        store.load_bot(BOT, UID)
        store.read_stream(orders_stream(UID), after=0, limit=10)
        store.read_record(UID, 1, after=0, limit=10)

    commits(0)
    fill_tables(world)
    assert rows_read(world, session, lambda: commits(1)) < ROWS_READ_MAX


def test_a_gateways_commit_reads_its_own_rows_only(world: PostgresWorld) -> None:
    session = world.as_component(Component.GATEWAY)
    store = PostgresGatewayStore(session)
    lease = take_gateway(store)

    def commit(number: int) -> None:
        with store.gateway_transaction(ACCOUNT) as transaction:
            transaction.requests({orders_stream(uid): number for uid in TEN}, limit=100)
            transaction.halts([BOT])
            transaction.write(
                gateway_commit(
                    lease,
                    number,
                    positions={orders_stream(uid): number for uid in TEN},
                    orders=[order(number + 1)],
                    fills=[fill(number + 1)],
                    entries=[entry(number + 1, (Book.FREE, "USD", 1), (Book.EXTERNAL, "USD", -1))],
                    executions=[message for uid in TEN for message in executions([number + 1], uid)],
                    blobs={"gateway": b"x"},
                    statistics=[statistics(number)],
                    progress=Progress(participant=GATEWAY, market_us=number, round=0, phase=Phase.GATEWAY_REPORTS),
                    run=RUN,
                )
            )
        store.mark_published({executions_stream(uid): number for uid in TEN})
        store.unpublished([executions_stream(uid) for uid in TEN], limit=100)
        store.load_gateway(ACCOUNT)

    commit(0)
    world.admin.execute("DELETE FROM tradefleet.stream WHERE fleet = %s", (world.fleet,))
    world.admin.execute("DELETE FROM tradefleet.outbox WHERE fleet = %s", (world.fleet,))
    fill_tables(world)
    assert rows_read(world, session, lambda: commit(1)) < ROWS_READ_MAX


def test_a_feeds_commit_reads_its_own_rows_only(world: PostgresWorld) -> None:
    session = world.as_component(Component.FEED)
    store = PostgresFeedStore(session)
    lease = store.acquire(feed_lease("ns/candles"), holder="f", generation=1, ttl_us=TTL_US)

    def commit(number: int) -> None:
        step = Progress(participant=GATEWAY, market_us=START_US + number, round=0, phase=Phase.FEED)
        store.commit_feed(
            FeedCommit(lease=lease, bars=[(BARS, number, bar(number))], exchange=EXCHANGE, progress=[step], run=RUN)
        )
        store.read_bars(BARS, after=number - 1, limit=10)
        runs.progress_from(RUN, market_us=START_US, round_no=0, phase=0, limit=10)

    runs = world.runs()
    commit(1)
    fill_tables(world)
    assert rows_read(world, session, lambda: commit(2)) < ROWS_READ_MAX
