"""The audit finds what is wrong, names the row and the invariant, and says how much it looked at."""

import json
from dataclasses import replace

import psycopg
import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    EXCHANGE,
    OTHER_BOT,
    OTHER_UID,
    START_US,
    SYMBOL,
    TTL_US,
    UID,
    bar,
    bot_commit,
    entry,
    fill,
    gateway_commit,
    order,
    take_bot,
    take_gateway,
    write,
)
from tests.contracts.store.worlds import PostgresWorld
from tests.integration.store.damages import (
    CHANGED_BOOKS,
    DAMAGES,
    DELETED,
    DURABLE,
    GAP,
    LETTER,
    OPEN,
    ORDER,
    RESOLVED,
    TAKEN,
)
from tests.integration.store.messages import asked, canceled, told
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import Retryable
from tradefleet.domain.ids import StreamName, orders_stream
from tradefleet.domain.ledger import Book, EntryKind
from tradefleet.domain.orders import OrderStatus, Reason, Side
from tradefleet.domain.venue import SubmitOrder
from tradefleet.store.audit import FINDINGS_MAX, Audit, audit
from tradefleet.store.audit_messages import ROWS_AT_ONCE
from tradefleet.store.components import Component
from tradefleet.store.ports import DeadLetter, FeedCommit, Lease, OutboxMessage, VenueRequestRow, feed_lease

LATER_US = START_US + 5 * MINUTE_US  # a minute after the last bar's close
OTHERS = [asked(1, uid=OTHER_UID, bot=OTHER_BOT)]


def books(**changes: object) -> bytes:
    values = {
        "free": {"USD": 1_000 - 300 - 40 - 2, "BTC": 40},
        "locked": {"USD": 300},
        "positions": {SYMBOL: {"lots": 40, "cost_atoms": 40}},
        "entry_seq": 4,
        "execution_seq": 3,
        "request_seq": 2,
        "order_count": 2,
        "order_counter": 0,
        "fill_count": 2,
        "closures": {},
        "config": {"generation": 2, "limits": {"max_data_age_us": 120_000_000}},
    }
    return json.dumps(values | changes).encode()


@pytest.fixture
def fleet(world: PostgresWorld) -> PostgresWorld:
    """A bot that made two orders: one filled for 40 lots, one that is open; and a deleted bot whose order stays."""
    feed = world.feed()
    lease = feed.acquire(feed_lease("ns/candles"), holder="f", generation=1, ttl_us=TTL_US)
    feed.commit_feed(
        FeedCommit(lease=lease, bars=[(BARS, number, bar(number)) for number in (1, 2, 3)], exchange=EXCHANGE)
    )
    host = world.bot(BOT, UID)
    bot_lease, record = take_bot(host)
    host.commit_bots(
        [
            bot_commit(
                bot_lease,
                record.version,
                sources=b"\x02" * 300,
                requests=[asked(1)],
                request_count=1,
                positions={BARS: 3},
            )
        ]
    )
    bot_lease, record = take_bot(host, generation=2)
    host.commit_bots([bot_commit(bot_lease, record.version, requests=[asked(2)], request_count=1, positions={BARS: 3})])
    other_lease, other_record = take_bot(world.bot(OTHER_BOT, OTHER_UID), bot=OTHER_BOT, uid=OTHER_UID)
    host.commit_bots(
        [bot_commit(other_lease, other_record.version, bot=OTHER_BOT, uid=OTHER_UID, requests=OTHERS, request_count=1)]
    )
    gateway = world.gateway()
    _trade(gateway, take_gateway(gateway))
    world.fleets().retire_bot(OTHER_UID, policy=DeletionPolicy.KEEP)
    return world


def _trade(gateway, lease: Lease) -> None:
    deposit = entry(1, (Book.FREE, "USD", 1_000), (Book.EXTERNAL, "USD", -1_000))
    reserve = entry(2, (Book.FREE, "USD", -300), (Book.LOCKED, "USD", 300), kind=EntryKind.RESERVE)
    trade = entry(
        3,
        (Book.FREE, "USD", -42),
        (Book.TRADE, "USD", 40),
        (Book.FEE, "USD", 2),
        (Book.FREE, "BTC", 40),
        (Book.TRADE, "BTC", -40),
        kind=EntryKind.TRADE,
    )
    nothing = entry(4, (Book.FREE, "USD", 5), (Book.FREE, "USD", -5), kind=EntryKind.RELEASE)
    submits = [
        VenueRequestRow(
            request=SubmitOrder(no=number, client_order_id=row.client_order_id, terms=row.terms, market_us=START_US),
            client_order_id=row.client_order_id,
        )
        for number, row in enumerate([order(1), order(2)], start=1)
    ]
    write(
        gateway,
        gateway_commit(
            lease,
            positions={orders_stream(UID): 2, orders_stream(OTHER_UID): 1, BARS: 3},
            orders=[
                order(1),
                order(2, reserved_atoms=300, created_us=LATER_US),
                order(1, bot=OTHER_BOT, uid=OTHER_UID, reserved_atoms=0),
            ],
            entries=[deposit, reserve],
            venue_requests=submits,
            executions=[told(1, 1, OrderStatus.PARTIALLY_FILLED, trade_id="t1"), told(2, 2, OrderStatus.ACCEPTED)],
            blobs={"gateway": b'{"mismatch": ""}'},
        ),
    )
    write(
        gateway,
        gateway_commit(
            lease,
            1,
            orders=[order(1, status=OrderStatus.CANCELED, filled_lots=40, reserved_atoms=0)],
            fills=[fill(1, "t1", lots=25), fill(1, "t2", lots=15)],
            entries=[trade, nothing],
            executions=[told(3, 1, OrderStatus.CANCELED)],
            settled=[1],
            blobs={f"bot/{UID}": books()},
            dead_letters=[_letter(orders_stream(UID), 1, RESOLVED), _letter(StreamName("reports"), 7, "no such order")],
        ),
    )


def _letter(stream: StreamName, seq: int, reason: str) -> DeadLetter:
    return DeadLetter(topic="trading.orders", stream=stream, seq=seq, key=ACCOUNT, reason=reason, payload=b"?")


def run(world: PostgresWorld) -> Audit:
    return audit(world.admin, world.fleet)


def test_a_sound_fleet_has_no_findings_and_everything_was_looked_at(fleet: PostgresWorld) -> None:
    result = run(fleet)
    assert result.findings == []
    assert {invariant.name: invariant.checked for invariant in result.invariants} == {
        "every ledger transaction sums to zero per asset": 4,
        "a bot's ledger has no gap": 1,
        "a wallet is the sum of its postings": 3,
        "free and locked are never negative": 6,
        "a position is the sum of unique fills": 1,
        "an order's filled lots are its fills": 3,
        "what is locked is what open orders reserve": 2,
        "at most one order per request, submitted once": 5,
        "stream numbers have no gap": 6,
        "bar numbers have no gap": 3,
        "nobody has consumed or made what is not in the stream": 6,
        "only the newest epoch writes": 6 + 3 + 2 + 4 + 2,
        "a bot's record is whole": 3,
        "a deleted bot has no open orders unless it keeps them": 1,
        "no order that raises risk is accepted after a halt": 3,
        "stale data means no new risk": 1,
        "a request that was taken made its order or is a dead letter": 3,
        "what was acknowledged is durable": 3,
        "orders and fills are as many as were made": 1,
        "a dead letter that bears money is resolved": 2,
        "books and venue agree": 1,
    }


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_a_damage_by_hand_is_found_and_named(fleet: PostgresWorld, number: int) -> None:
    damage, *expected = DAMAGES[number]
    parameters = {"fleet": fleet.fleet, "uid": UID, "order": ORDER, "open": OPEN}
    assert fleet.admin.execute(damage, parameters).rowcount > 0
    findings = run(fleet).findings
    assert set(expected) <= {(finding.invariant, finding.table, finding.key) for finding in findings}
    for finding in findings:
        assert finding.table in str(finding)
        assert finding.key in str(finding)
        assert finding.problem in str(finding)


def test_every_invariant_has_a_damage_that_breaks_it(fleet: PostgresWorld) -> None:
    assert {invariant.name for invariant in run(fleet).invariants} == {
        invariant for _, *expected in DAMAGES for invariant, _, _ in expected
    }


def test_the_first_missing_number_is_named(fleet: PostgresWorld) -> None:
    fleet.admin.execute(
        "DELETE FROM tradefleet.outbox WHERE fleet = %s AND stream = %s AND seq = 2",
        (fleet.fleet, f"executions/{UID}"),
    )
    (finding,) = [finding for finding in run(fleet).findings if finding.table == "outbox"]
    assert finding.problem == "the first missing number is 2"


def test_books_that_are_missing_are_found(fleet: PostgresWorld) -> None:
    fleet.admin.execute("DELETE FROM tradefleet.gateway_blob WHERE fleet = %s", (fleet.fleet,))
    assert run(fleet).findings == []  # the bot was wound down and forgotten
    fleet.admin.execute(
        "INSERT INTO tradefleet.bot_command VALUES (%s, %s, %s, %s, '{}', 'Running', 0, false)",
        (fleet.fleet, UID, ACCOUNT, BOT),
    )
    assert [str(finding) for finding in run(fleet).findings] == [
        f"gateway_blob key bot/{UID}: is missing, but the bot has ledger entries and is not deleted ({GAP})"
    ]


def test_a_bot_that_is_being_wound_down_may_have_open_orders(fleet: PostgresWorld) -> None:
    fleet.admin.execute(
        "INSERT INTO tradefleet.bot_command VALUES (%s, %s, %s, %s, '{}', 'Stopped', 0, true)",
        (fleet.fleet, UID, ACCOUNT, BOT),
    )
    fleet.fleets().retire_bot(UID, policy=DeletionPolicy.CANCEL_ORDERS)
    assert run(fleet).findings == []
    fleet.commands().forget_command(UID)
    assert [finding.invariant for finding in run(fleet).findings] == [DELETED]


def test_orders_before_a_halt_and_after_its_end_are_no_findings(fleet: PostgresWorld) -> None:
    fleet.halts().set_halt("fleet", reason="drill", set_by="ana")
    assert run(fleet).findings == []
    gateway = fleet.gateway()
    lease = take_gateway(gateway)
    rows = [
        order(5, status=OrderStatus.DENIED, reserved_atoms=0),
        order(6, terms=_terms(Side.SELL), reserved_atoms=0),
        order(7, terms=_terms(Side.BUY, reduce_only=True), reserved_atoms=0),
    ]
    _request(fleet, 7)
    write(gateway, gateway_commit(lease, 2, orders=rows, blobs=_books(order_count=5)))
    assert run(fleet).findings == []
    fleet.halts().clear_halt("fleet", set_by="ana")
    more = order(3, reserved_atoms=0, created_us=LATER_US)
    write(gateway, gateway_commit(lease, 3, orders=[more], blobs=_books(order_count=6)))
    assert run(fleet).findings == []
    fleet.halts().set_halt(f"account/{ACCOUNT}", reason="drill", set_by="bob")
    more = order(4, reserved_atoms=0, created_us=LATER_US)
    write(gateway, gateway_commit(lease, 4, orders=[more], blobs=_books(order_count=7)))
    (finding,) = run(fleet).findings
    assert (finding.table, finding.key) == ("trade_order", f"order {order(4).client_order_id}")
    assert finding.problem == (f"raises risk and was accepted after the halt of account/{ACCOUNT} by bob (drill)")


def _terms(side: Side, *, reduce_only: bool = False):
    return replace(order(1).terms, side=side, reduce_only=reduce_only)


def _books(**changes: object) -> dict[str, bytes]:
    return {f"bot/{UID}": books(**changes)}


def _request(world: PostgresWorld, up_to: int) -> None:
    """Let the bot make requests 3 up to `up_to`."""
    _commit(world, [asked(seq) for seq in range(3, up_to + 1)])


def _commit(world: PostgresWorld, requests: list[OutboxMessage]) -> None:
    """Let the bot go on in its generation with these requests, after one input and one request."""
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, generation=2)
    store.commit_bots(
        [
            bot_commit(
                lease,
                record.version,
                first_ordinal=1,
                requests=requests,
                request_count=1 + len(requests),
                positions={BARS: 3},
            )
        ]
    )


# --- messages against books -------------------------------------------------------------------------------------------


def _problems(world: PostgresWorld, invariant: str) -> list[str]:
    return [finding.problem for finding in run(world).findings if finding.invariant == invariant]


def _tell(world: PostgresWorld, version: int, *executions: OutboxMessage, **more: object) -> None:
    gateway = world.gateway()
    last = executions[-1].seq
    write(
        gateway,
        gateway_commit(take_gateway(gateway), version, executions=executions, blobs=_books(execution_seq=last, **more)),
    )


def test_an_execution_about_what_is_not_there_is_found(fleet: PostgresWorld) -> None:
    _tell(
        fleet,
        2,
        told(4, 9, OrderStatus.ACCEPTED),
        told(5, 1, OrderStatus.PARTIALLY_FILLED, trade_id="t2"),
        told(6, 1, OrderStatus.PARTIALLY_FILLED, trade_id="t9"),
        told(7, 2, OrderStatus.FILLED),
        replace(told(8, 1, OrderStatus.CANCELED), payload=b"torn"),
    )

    nothing, trade, end, torn = _problems(fleet, DURABLE)

    assert nothing == f"told of order {order(9).client_order_id}, which is not there"
    assert trade == f"told of trade t9 of order {ORDER}, which is not there"
    assert end == f"told that order {OPEN} is FILLED, it is SUBMITTED"
    assert torn.startswith("cannot be read: a payload must start with c301")


def test_a_request_that_was_left_out_needs_its_dead_letter(fleet: PostgresWorld) -> None:
    denied = {"status": OrderStatus.DENIED, "reason": Reason.UNREADABLE}
    _tell(fleet, 2, told(4, 1, **denied), told(5, 9, **denied))

    assert _problems(fleet, DURABLE) == ["told that request 9 was left out, and no dead letter holds it"]


def test_a_request_that_left_no_trace_is_found(fleet: PostgresWorld) -> None:
    _commit(fleet, [canceled(3, 2), asked(4), asked(5, payload=b"torn"), asked(6, payload=b"torn"), asked(7)])
    gateway = fleet.gateway()
    letters = [_letter(orders_stream(UID), 6, "request 6 cannot be read")]
    positions = {orders_stream(UID): 6, orders_stream(OTHER_UID): 1, BARS: 3}
    write(gateway, gateway_commit(take_gateway(gateway), 2, positions=positions, dead_letters=letters))

    never, torn = _problems(fleet, TAKEN)

    assert never == "was taken and made neither an order nor a dead letter"
    assert torn.startswith("was taken and made neither an order nor a dead letter: a payload must start with c301")


def test_a_dead_letter_that_closes_a_stream_is_named_until_it_is_resolved(fleet: PostgresWorld) -> None:
    parameters = {"fleet": fleet.fleet}
    fleet.admin.execute(
        CHANGED_BOOKS.format("""'"closures": {}', '"closures": {"report": "venue report 7: no such order"}'"""),
        parameters,
    )
    (finding,) = run(fleet).findings
    assert (finding.invariant, finding.table, finding.key) == (LETTER, "dead_letter", "stream reports, number 7")
    assert finding.problem == f"is not resolved: bot {UID} takes no new risk"
    fleet.admin.execute(CHANGED_BOOKS.format("""'report 7', 'report 8'"""), parameters)
    (finding,) = run(fleet).findings
    assert (finding.table, finding.key) == ("gateway_blob", f"key bot/{UID}")
    assert finding.problem == "is closed (report), and no dead letter says so: venue report 8: no such order"


def test_orders_of_an_earlier_generation_were_judged_by_its_limits(fleet: PostgresWorld) -> None:
    fleet.admin.execute(CHANGED_BOOKS.format("""'120000000', '1000000'"""), {"fleet": fleet.fleet})
    assert [finding.problem for finding in run(fleet).findings] == [
        "raises risk and was accepted on data of 60 s ago, its bot allows 1 s"
    ]
    fleet.admin.execute(CHANGED_BOOKS.format("""'"generation": 2', '"generation": 3'"""), {"fleet": fleet.fleet})
    assert run(fleet).findings == []


def test_more_messages_than_are_read_at_once_are_all_looked_at(fleet: PostgresWorld) -> None:
    count = ROWS_AT_ONCE + 10
    _tell(fleet, 2, *(told(3 + number, 2, OrderStatus.ACCEPTED) for number in range(1, count)))
    assert _problems(fleet, DURABLE) == []
    _tell(fleet, 3, told(3 + count, 9, OrderStatus.ACCEPTED))
    assert len(_problems(fleet, DURABLE)) == 1


def test_an_audit_of_another_fleet_sees_nothing(fleet: PostgresWorld) -> None:
    result = audit(fleet.admin, "another fleet")
    assert result.findings == []
    assert all(invariant.checked == 0 for invariant in result.invariants)


def test_a_reader_may_audit(fleet: PostgresWorld) -> None:
    session = fleet.as_component(Component.READER)
    assert audit(session.connection, fleet.fleet).invariants == run(fleet).invariants


def test_a_long_list_of_findings_is_cut(fleet: PostgresWorld) -> None:
    fleet.admin.execute(
        "INSERT INTO tradefleet.posting SELECT %s, 'nobody', n, 0, 'FREE', 'USD', 1 FROM generate_series(1, %s) AS n",
        (fleet.fleet, FINDINGS_MAX + 50),
    )
    assert [len(invariant.findings) for invariant in run(fleet).invariants if invariant.findings] == [FINDINGS_MAX]


def test_a_lost_connection_is_worth_another_try(fleet: PostgresWorld) -> None:
    connection = psycopg.connect(fleet.url, autocommit=True)
    fleet.admin.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
    with pytest.raises(Retryable):
        audit(connection, fleet.fleet)
