import pytest
from governor.housekeeping import Housekeeping, Retention, consumers_of
from governor.workload import Command

from tests.contracts.store.samples import (
    ACCOUNT,
    BOT,
    EXCHANGE,
    OTHER_BOT,
    OTHER_UID,
    TTL_US,
    UID,
    bot_commit,
    gateway_commit,
    statistics,
    take_bot,
    take_gateway,
    write,
)
from tests.fakes.memory_database import MemoryDatabase
from tests.fakes.memory_store import MemoryStore
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.errors import Retryable
from tradefleet.domain.ids import BotKey, BotUid, Symbol, executions_stream, orders_stream
from tradefleet.domain.progress import VENUE, Phase, Progress, bot_participant
from tradefleet.store.ports import RunId, bot_lease, gateway_lease, venue_lease

RUN = RunId("run")
SOON = Retention(every_s=10.0, closed_generations_us=0, statistics_us=MINUTE_US)


def _command(key: BotKey, uid: BotUid) -> Command:
    config = BotConfig(
        key=key,
        uid=uid,
        generation=1,
        strategy="hold",
        parameters={},
        symbols=(Symbol("BTC-USD"),),
        interval_us=MINUTE_US,
        wallet={"USD": 1},
        seed=0,
    )
    return Command(account=ACCOUNT, command=BotCommand(config=config))


ALPHA, BETA = _command(BOT, UID), _command(OTHER_BOT, OTHER_UID)


class CountingStore(MemoryStore):
    """Counts the writings of consumers, and fails at one of them."""

    written = 0
    fails_at = 0

    def register_consumer(self, consumer, streams):
        self.written += 1
        if self.written == self.fails_at:
            raise Retryable("the database is away")
        super().register_consumer(consumer, streams)


class Room:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.store = CountingStore(MemoryDatabase(lambda: 1_000_000))
        self.housekeeping = Housekeeping(self.store, lambda: self.now_s, SOON)

    def tend(self, *commands: Command, runs=None, finished=()) -> None:
        self.housekeeping.tend(commands, runs=runs or {}, finished=finished, kept={})


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_bot_has_its_executions_to_pass_and_a_gateway_the_requests_of_all_its_bots() -> None:
    assert consumers_of([ALPHA, BETA]) == {
        bot_lease(BOT, UID): {executions_stream(UID)},
        bot_lease(OTHER_BOT, OTHER_UID): {executions_stream(OTHER_UID)},
        gateway_lease(ACCOUNT): {orders_stream(UID), orders_stream(OTHER_UID)},
    }


def test_consumers_come_and_go_with_the_bots_at_once(room: Room) -> None:
    room.tend(ALPHA, BETA)
    assert room.store.consumers() == consumers_of([ALPHA, BETA])

    room.tend(BETA)

    assert room.store.consumers() == consumers_of([BETA])


def test_what_is_registered_already_is_not_written_again(room: Room) -> None:
    room.tend(ALPHA, BETA)
    room.tend(ALPHA, BETA)
    assert room.store.written == 3

    Housekeeping(room.store, lambda: room.now_s).tend([ALPHA, BETA], runs={}, finished=(), kept={})

    assert room.store.written == 3


def test_an_error_on_the_way_is_mended_by_the_next_call(room: Room) -> None:
    room.store.fails_at = 2
    with pytest.raises(Retryable):
        room.tend(ALPHA, BETA)

    room.tend(ALPHA, BETA)

    assert room.store.consumers() == consumers_of([ALPHA, BETA])


def test_old_rows_go_now_and_then_and_not_in_each_round(room: Room) -> None:
    lease = take_gateway(room.store)
    write(room.store, gateway_commit(lease, statistics=[statistics(index) for index in range(4)]))

    room.tend(ALPHA)
    assert room.store.forget_statistics([UID], kept_us=10 * MINUTE_US, limit=9) == 0
    room.now_s += SOON.every_s
    room.tend(ALPHA)

    assert room.store.forget_statistics([UID], kept_us=MINUTE_US, limit=9) == 0  # two of the four went
    assert room.store.forget_statistics([UID], kept_us=0, limit=9) == 1
    write(room.store, gateway_commit(lease, 1, statistics=[statistics(index) for index in range(9)]))
    room.tend(ALPHA)
    assert room.store.forget_statistics([UID], kept_us=MINUTE_US, limit=9) > 0


def test_statistics_of_a_lockstep_run_are_kept_whole(room: Room) -> None:
    write(room.store, gateway_commit(take_gateway(room.store), statistics=[statistics(index) for index in range(4)]))
    room.now_s += SOON.every_s

    room.tend(ALPHA, runs={RUN: frozenset({VENUE, bot_participant(BOT, UID)})})

    assert room.store.forget_statistics([UID], kept_us=0, limit=9) == 3


@pytest.mark.parametrize(("finished", "left"), [((), 5), ((RUN,), 1)])
def test_a_run_that_is_over_keeps_its_end_only(room: Room, finished, left: int) -> None:
    lease = room.store.acquire(venue_lease(EXCHANGE), holder="v", generation=1, ttl_us=TTL_US)
    for step in range(1, 6):
        row = Progress(participant=VENUE, market_us=step, round=0, phase=Phase.VENUE_BARS)
        room.store.commit_venue_progress(lease, RUN, row)
    room.now_s += SOON.every_s

    room.tend(runs={RUN: frozenset({VENUE})}, finished=finished)

    assert len(room.store.progress_from(RUN, market_us=0, round_no=0, phase=0, limit=9)) == left


def test_a_closed_record_goes_before_the_messages_that_it_held(room: Room) -> None:
    lease, record = take_bot(room.store)
    room.store.commit_bots([bot_commit(lease, record.version, requests=[1, 2])])
    room.store.mark_published({orders_stream(UID): 2})
    write(room.store, gateway_commit(take_gateway(room.store), positions={orders_stream(UID): 2}))
    take_bot(room.store, generation=2)
    room.now_s += SOON.every_s

    room.tend(ALPHA)

    assert room.store.last_seq(orders_stream(UID)) == 2
    assert room.store.trim(limit=9) == 0
    assert room.store.read_stream(orders_stream(UID), after=2, limit=9) == []
