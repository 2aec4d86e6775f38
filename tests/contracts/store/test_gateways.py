"""A gateway's transaction: fence, orders, fills, ledger, executions, venue requests, state rows."""

from dataclasses import replace

import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    OTHER_ACCOUNT,
    OTHER_BOT,
    OTHER_UID,
    START_US,
    TTL_US,
    UID,
    bot_commit,
    entry,
    executions,
    fill,
    gateway_commit,
    message,
    order,
    statistics,
    take_bot,
    take_gateway,
    write,
)
from tests.contracts.store.worlds import World
from tradefleet.domain.errors import Fenced, LedgerImbalance, NonDeterministic, Permanent, StreamGap
from tradefleet.domain.ids import BotUid, ClientOrderId, executions_stream, orders_stream
from tradefleet.domain.ledger import Book
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Reason, Side, TimeInForce
from tradefleet.domain.progress import GATEWAY, Phase, Progress
from tradefleet.domain.venue import AmendOrder, CancelOrder, DepositFunds, SubmitOrder, VenueRequest, VoidRequest
from tradefleet.store.ports import DeadLetter, RunId, VenueRequestRow, gateway_lease

ORDERS = orders_stream(UID)
EXECUTIONS = executions_stream(UID)


def venue_row(request: VenueRequest) -> VenueRequestRow:
    return VenueRequestRow(request=request, client_order_id="reference")


def submit(number: int) -> VenueRequestRow:
    row = order(number)
    return venue_row(SubmitOrder(no=number, client_order_id=row.client_order_id, terms=row.terms, market_us=START_US))


def test_a_new_account_has_nothing_to_load(world: World) -> None:
    store = world.gateway()
    assert store.load_gateway(ACCOUNT) is None
    take_gateway(store)
    assert store.load_gateway(ACCOUNT) is None


def test_a_commit_is_what_the_next_gateway_loads(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    stop = OrderTerms(
        symbol=order().terms.symbol,
        side=Side.SELL,
        type=OrderType.STOP_LIMIT,
        lots=3,
        price_ticks=5,
        trigger_ticks=6,
        time_in_force=TimeInForce.IOC,
        reduce_only=True,
    )
    rows = [
        order(1),
        order(2, status=OrderStatus.ACCEPTED, filled_lots=7, updated_us=START_US + 5),
        order(3, request_seq=None, terms=stop, reason=Reason.STOP_LOSS, reserved_asset="BTC", reserved_atoms=0),
        order(4, status=OrderStatus.DENIED, reason=Reason.HALTED),
    ]
    requests = [
        submit(1),
        venue_row(CancelOrder(no=2, client_order_id=rows[1].client_order_id, market_us=START_US)),
        venue_row(AmendOrder(no=3, client_order_id=rows[1].client_order_id, market_us=START_US, lots=5)),
        venue_row(DepositFunds(no=4, reference="wallet", asset="SHIB", atoms=10**30, market_us=START_US)),
        venue_row(VoidRequest(no=5)),
    ]
    write(
        store,
        gateway_commit(
            lease,
            positions={ORDERS: 4, BARS: 9},
            orders=rows,
            venue_requests=requests,
            blobs={"bot/uid": b'{"free":{}}', "marks": b"\x00\xff"},
        ),
    )
    loaded = world.gateway().load_gateway(ACCOUNT)
    assert loaded is not None
    assert loaded.version == 1
    assert loaded.positions == {ORDERS: 4, BARS: 9}
    assert loaded.open_orders == rows[:3]
    assert loaded.blobs == {"bot/uid": b'{"free":{}}', "marks": b"\x00\xff"}
    assert loaded.unsettled == requests


def test_an_order_goes_on_under_its_id(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, orders=[order(1), order(2)]))
    resized = replace(
        order(1, status=OrderStatus.ACCEPTED), terms=replace(order(1).terms, lots=60, price_ticks=699_999)
    )
    done = order(2, status=OrderStatus.FILLED, filled_lots=100, reserved_atoms=0)
    write(store, gateway_commit(lease, 1, orders=[order(1), resized, done]))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert loaded.open_orders == [resized]


def test_open_orders_come_in_the_order_of_their_making(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, orders=[order(9), order(3)]))
    write(store, gateway_commit(lease, 1, orders=[order(5), order(3, status=OrderStatus.ACCEPTED)]))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert [row.request_seq for row in loaded.open_orders] == [9, 3, 5]


@pytest.mark.parametrize(
    "other",
    [
        order(1, uid=OTHER_UID, client_order_id=order(1).client_order_id),
        order(1, bot=OTHER_BOT),
        order(1, request_seq=7),
        order(1, request_seq=None),
        order(1, terms=replace(order(1).terms, side=Side.SELL)),
    ],
    ids=["uid", "bot", "request", "no request", "side"],
)
def test_an_id_belongs_to_one_order_only(world: World, other: object) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, orders=[order(1)]))
    with pytest.raises(Permanent, match=order(1).client_order_id):
        write(store, gateway_commit(lease, 1, orders=[other], blobs={"x": b"1"}))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert (loaded.version, loaded.open_orders, loaded.blobs) == (1, [order(1)], {})


def test_an_id_belongs_to_one_account_only(world: World) -> None:
    store = world.gateway()
    write(store, gateway_commit(take_gateway(store), orders=[order(1)]))
    other = store.acquire(gateway_lease(OTHER_ACCOUNT), holder="g", generation=1, ttl_us=TTL_US)
    with pytest.raises(Permanent):
        write(store, gateway_commit(other, account=OTHER_ACCOUNT, orders=[order(1)]))


def test_a_request_makes_at_most_one_order(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, orders=[order(1)]))
    with pytest.raises(Permanent):
        write(store, gateway_commit(lease, 1, orders=[order(1, client_order_id=ClientOrderId("ANOTHER"))]))


def test_an_older_epoch_writes_nothing(world: World) -> None:
    old, new = world.gateway(), world.gateway()
    lease = take_gateway(old, holder="old")
    write(old, gateway_commit(lease, blobs={"a": b"1"}))
    world.expire(lease.name)
    take_gateway(new, holder="new")
    with pytest.raises(Fenced):
        write(old, gateway_commit(lease, 1, orders=[order(1)], executions=executions([1]), blobs={"a": b"2"}))
    loaded = new.load_gateway(ACCOUNT)
    assert loaded is not None
    assert (loaded.version, loaded.open_orders, loaded.blobs) == (1, [], {"a": b"1"})
    assert new.last_seq(EXECUTIONS) == 0


def test_an_older_version_writes_nothing(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, blobs={"a": b"1"}))
    with pytest.raises(Fenced):
        write(store, gateway_commit(lease, 0, blobs={"a": b"2"}))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert loaded.blobs == {"a": b"1"}


def test_an_error_in_the_block_writes_nothing(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)

    def write_and_fail() -> None:
        with store.gateway_transaction(ACCOUNT) as transaction:
            transaction.write(gateway_commit(lease, orders=[order(1)]))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert store.load_gateway(ACCOUNT) is None


def test_a_transaction_without_a_write_changes_nothing(world: World) -> None:
    store = world.gateway()
    take_gateway(store)
    with store.gateway_transaction(ACCOUNT) as transaction:
        assert transaction.requests({ORDERS: 0}, limit=10) == []
        assert transaction.halts([BOT]) == []
    assert store.load_gateway(ACCOUNT) is None


def test_a_transaction_writes_once(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    with store.gateway_transaction(ACCOUNT) as transaction:
        transaction.write(gateway_commit(lease))
        with pytest.raises(Permanent, match="writes once"):
            transaction.write(gateway_commit(lease, 1))


def test_a_lease_of_another_account_is_refused(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    with pytest.raises(Permanent):
        write(store, gateway_commit(lease, account=OTHER_ACCOUNT))


def test_requests_come_stream_by_stream_above_the_positions(world: World) -> None:
    host = world.bot(BOT, UID)
    world.bot(OTHER_BOT, OTHER_UID)
    lease, record = take_bot(host)
    host.commit_bots([bot_commit(lease, record.version, requests=[1, 2, 3])])
    other_lease, other_record = take_bot(host, bot=OTHER_BOT, uid=OTHER_UID)
    host.commit_bots([bot_commit(other_lease, other_record.version, bot=OTHER_BOT, uid=OTHER_UID, requests=[1, 2])])
    beta = orders_stream(OTHER_UID)
    with world.gateway().gateway_transaction(ACCOUNT) as transaction:
        found = transaction.requests({beta: 0, ORDERS: 1}, limit=100)
        assert found == [message(ORDERS, 2), message(ORDERS, 3), message(beta, 1), message(beta, 2)]
        assert transaction.requests({beta: 0, ORDERS: 1}, limit=3) == found[:3]
        assert transaction.requests({beta: 2}, limit=3) == []


def test_a_stream_of_many_requests_leaves_room_for_the_others(world: World) -> None:
    host = world.bot(BOT, UID)
    world.bot(OTHER_BOT, OTHER_UID)
    lease, record = take_bot(host)
    host.commit_bots([bot_commit(lease, record.version, requests=range(1, 31))])
    other_lease, other_record = take_bot(host, bot=OTHER_BOT, uid=OTHER_UID)
    host.commit_bots([bot_commit(other_lease, other_record.version, bot=OTHER_BOT, uid=OTHER_UID, requests=[1, 2])])
    beta = orders_stream(OTHER_UID)
    with world.gateway().gateway_transaction(ACCOUNT) as transaction:
        found = transaction.requests({beta: 0, ORDERS: 20}, limit=2)
        assert found == [message(ORDERS, 21), message(beta, 1)]
        found = transaction.requests({beta: 0, ORDERS: 20}, limit=8)
        assert found == [*(message(ORDERS, number) for number in range(21, 27)), message(beta, 1), message(beta, 2)]


def test_executions_continue_their_streams(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, executions=[*executions([1, 2]), *executions([1], OTHER_UID)]))
    write(store, gateway_commit(lease, 1, executions=executions([3])))
    assert store.read_stream(EXECUTIONS, after=1, limit=10) == executions([2, 3])
    assert store.last_seq(executions_stream(OTHER_UID)) == 1


@pytest.mark.parametrize("numbers", [[2], [1, 3], [0]])
def test_executions_that_leave_a_hole_are_refused_whole(world: World, numbers: list[int]) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    with pytest.raises(StreamGap):
        write(store, gateway_commit(lease, executions=executions(numbers), orders=[order(1)]))
    assert store.load_gateway(ACCOUNT) is None
    assert store.last_seq(EXECUTIONS) == 0
    write(store, gateway_commit(lease, executions=executions([1])))


def test_what_is_unpublished_comes_in_order(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, executions=[*executions([1, 2, 3]), *executions([1, 2], OTHER_UID)]))
    beta = executions_stream(OTHER_UID)
    store.mark_published({EXECUTIONS: 2})
    assert store.unpublished([beta, EXECUTIONS], limit=10) == [*executions([3]), *executions([1, 2], OTHER_UID)]
    assert store.unpublished([EXECUTIONS, beta], limit=2) == [*executions([3]), *executions([1], OTHER_UID)]
    store.mark_published({EXECUTIONS: 3, beta: 2})
    assert store.unpublished([EXECUTIONS, beta], limit=10) == []


def test_a_fill_is_written_once(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, orders=[order(1)], fills=[fill(1, "t1"), fill(1, "t2")]))
    for again in ([fill(1, "t1")], [fill(1, "t3"), fill(1, "t3")]):
        with pytest.raises(Permanent):
            write(store, gateway_commit(lease, 1, fills=again))
    write(store, gateway_commit(lease, 1, fills=[fill(2, "t1")]))


def test_an_unbalanced_entry_is_refused_whole(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    crooked = entry(1, (Book.FREE, "USD", 5), (Book.EXTERNAL, "USD", -4))
    with pytest.raises(LedgerImbalance, match="reference-1: USD sums to 1 atoms"):
        write(store, gateway_commit(lease, entries=[crooked], orders=[order(1)]))
    assert store.load_gateway(ACCOUNT) is None


def test_a_ledger_number_is_written_once(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    deposit = entry(1, (Book.FREE, "USD", 5), (Book.EXTERNAL, "USD", -5))
    write(store, gateway_commit(lease, entries=[deposit]))
    with pytest.raises(Permanent):
        write(store, gateway_commit(lease, 1, entries=[deposit]))


def test_a_bot_without_a_uid_is_our_own_bug(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    deposit = entry(1, (Book.FREE, "USD", 5), (Book.EXTERNAL, "USD", -5))
    for more in ({"entries": [deposit]}, {"statistics": [statistics(0)]}):
        with pytest.raises(Permanent, match="must name the UID of bot ns/alpha"):
            write(store, gateway_commit(lease, uids={}, **more))


def test_settled_requests_are_not_asked_for_again(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, venue_requests=[submit(1), submit(2), submit(3)]))
    write(store, gateway_commit(lease, 1, settled=[1, 3]))
    write(store, gateway_commit(lease, 2, settled=[3], venue_requests=[submit(4)]))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert loaded.unsettled == [submit(2), submit(4)]


@pytest.mark.parametrize("numbers", [[2], [1, 3], [1, 1]])
def test_venue_requests_that_leave_a_hole_are_refused_whole(world: World, numbers: list[int]) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    with pytest.raises(StreamGap):
        write(store, gateway_commit(lease, venue_requests=[submit(number) for number in numbers]))
    assert store.load_gateway(ACCOUNT) is None


def test_a_void_request_takes_the_place_of_an_unsettled_one(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, venue_requests=[submit(1), submit(2)]))
    void = venue_row(VoidRequest(no=1))
    write(store, gateway_commit(lease, 1, venue_requests=[void, submit(3)]))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert loaded.unsettled == [void, submit(2), submit(3)]
    write(store, gateway_commit(lease, 2, settled=[1]))
    for refused in (venue_row(VoidRequest(no=1)), submit(2)):
        with pytest.raises(Permanent):
            write(store, gateway_commit(lease, 3, venue_requests=[refused]))


def test_a_state_row_of_none_is_deleted(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    write(store, gateway_commit(lease, blobs={"a": b"1", "b": b"2"}))
    write(store, gateway_commit(lease, 1, blobs={"a": None, "c": b"3", "never": None}))
    loaded = store.load_gateway(ACCOUNT)
    assert loaded is not None
    assert loaded.blobs == {"b": b"2", "c": b"3"}


def test_progress_and_dead_letters_go_with_the_commit(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    run = RunId("run")
    row = Progress(
        participant=GATEWAY, market_us=START_US, round=0, phase=Phase.GATEWAY_REPORTS, produced={EXECUTIONS: 1}
    )
    letter = DeadLetter(topic="t", stream=ORDERS, seq=3, key="k", reason="no such bot", payload=b"\x00")
    write(store, gateway_commit(lease, run=run, progress=row, executions=executions([1]), dead_letters=[letter]))
    assert world.runs().progress_from(run, market_us=0, round_no=0, phase=0, limit=5) == [row]
    changed = replace(row, produced={EXECUTIONS: 2})
    with pytest.raises(NonDeterministic):
        write(store, gateway_commit(lease, 1, run=run, progress=changed, executions=executions([2])))
    assert store.last_seq(EXECUTIONS) == 1


def test_the_books_of_a_bot_are_its_state_row_and_its_open_orders(world: World) -> None:
    store = world.gateway()
    lease = take_gateway(store)
    commands = world.commands()
    assert commands.bot_books(UID) is None
    rows = [order(9), order(2), order(1, uid=OTHER_UID, bot=OTHER_BOT), order(3, status=OrderStatus.CANCELED)]
    write(store, gateway_commit(lease, orders=rows, blobs={f"bot/{UID}": b"books", f"bot/{OTHER_UID}": b"others"}))
    assert commands.bot_books(UID) == (b"books", rows[:2])


def test_accounts_of_two_fleets_never_meet(world: World) -> None:
    store = world.gateway()
    write(store, gateway_commit(take_gateway(store), orders=[order(1)], executions=executions([1])))
    neighbour = world.neighbour().gateway()
    assert neighbour.load_gateway(ACCOUNT) is None
    write(neighbour, gateway_commit(take_gateway(neighbour), orders=[order(1)], executions=executions([1])))


# --- absences -----------------------------------------------------------------------------------------------------


def test_a_bot_is_absent_that_never_had_a_process_gave_its_lease_back_or_let_it_expire(world: World) -> None:
    store, host = world.gateway(), world.bot(BOT, UID)
    world.bot(OTHER_BOT, OTHER_UID)
    both = [UID, OTHER_UID]
    assert store.absences(both).bots == {UID, OTHER_UID}

    lease, _ = take_bot(host)
    other_lease, _ = take_bot(host, bot=OTHER_BOT, uid=OTHER_UID)
    assert store.absences(both).bots == set()

    host.release(lease)
    assert store.absences(both).bots == {UID}
    assert store.absences([OTHER_UID]).bots == set()
    world.expire(other_lease.name)
    assert store.absences(both).bots == {UID, OTHER_UID}


def test_absences_are_told_with_the_databases_time_and_of_bots_that_are_known(world: World) -> None:
    store = world.gateway()
    first = store.absences([BotUid("nobody")])
    assert first.bots == set()
    assert store.absences([]).wall_us >= first.wall_us > 0
