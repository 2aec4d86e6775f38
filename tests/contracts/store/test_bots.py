"""A bot's row: fence, compare-and-set, record, generations."""

import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    OTHER_BOT,
    OTHER_UID,
    UID,
    bot_commit,
    message,
    take_bot,
)
from tests.contracts.store.worlds import World
from tradefleet.domain.bots import BotCommand, BotConfig, DeletionPolicy
from tradefleet.domain.errors import AccessDenied, Fenced, Permanent, StreamGap
from tradefleet.domain.ids import AccountId, BotKey, BotUid, Symbol, executions_stream, orders_stream
from tradefleet.domain.progress import Phase, Progress, bot_participant
from tradefleet.store.checks import CHUNK_INPUTS
from tradefleet.store.ports import RunId, bot_lease

EXECUTIONS = executions_stream(UID)
RUN = RunId("run")
STEP = Progress(participant=bot_participant(BOT, UID), market_us=1, round=0, phase=Phase.BOTS)

# What a commit may hold besides inputs: each kind may take another way to the database.
MESSAGES = {"requests": [1], "payloads": {0: b"x"}, "snapshot": b"s"}
KINDS = {"quiet": {}, "step": {"run": RUN, "progress": STEP}, "messages": MESSAGES}
KINDS["whole"] = KINDS["step"] | MESSAGES


def bot_command(bot: BotKey, uid: BotUid) -> BotCommand:
    config = BotConfig(
        key=bot, uid=uid, generation=1, strategy="dca", symbols=(Symbol("BTC-USD"),), interval_us=1, wallet={"USD": 1}
    )
    return BotCommand(config=config)


def test_a_bot_that_never_committed_has_no_record(world: World) -> None:
    assert world.bot(BOT, UID).load_bot(BOT, UID) is None


def test_opening_a_generation_fixes_where_it_starts(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, start={BARS: 7, EXECUTIONS: 2})
    assert record.generation == lease.generation
    assert record.start_positions == record.positions == {BARS: 7, EXECUTIONS: 2}
    assert (record.input_count, record.request_seq, record.first_request_seq) == (0, 0, 0)
    assert store.load_bot(BOT, UID) == record


def test_a_commit_is_what_the_next_process_loads(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, start={BARS: 7, EXECUTIONS: 2})
    commit = bot_commit(
        lease,
        record.version,
        sources=b"\x00\x02\x01",
        payloads={0: b"adoption"},
        positions={BARS: 8, EXECUTIONS: 3},
        requests=[1, 2],
        request_hash="after two",
    )
    assert store.commit_bots([commit]) == {BOT}
    loaded = world.bot(BOT, UID).load_bot(BOT, UID)
    assert loaded is not None
    assert loaded.version == record.version + 1
    assert loaded.positions == {BARS: 8, EXECUTIONS: 3}
    assert loaded.start_positions == {BARS: 7, EXECUTIONS: 2}
    assert (loaded.input_count, loaded.request_seq) == (3, 2)
    assert (loaded.request_count, loaded.request_hash) == (2, "after two")
    assert store.read_record(UID, 1, after=0, limit=100) == (b"\x00\x02\x01", {0: b"adoption"})
    assert store.read_stream(orders_stream(UID), after=0, limit=10) == list(commit.requests)


def test_a_stream_that_did_not_move_keeps_its_position(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, start={BARS: 7, EXECUTIONS: 2})
    store.commit_bots([bot_commit(lease, record.version, positions={BARS: 8})])
    loaded = store.load_bot(BOT, UID)
    assert loaded is not None
    assert loaded.positions == {BARS: 8, EXECUTIONS: 2}


def test_an_older_epoch_commits_nothing(world: World) -> None:
    old, new = world.bot(BOT, UID), world.bot(BOT, UID)
    lease, record = take_bot(old, holder="old")
    world.expire(lease.name)
    new.acquire(lease.name, holder="new", generation=1, ttl_us=1_000_000)
    before = new.load_bot(BOT, UID)
    assert before is not None
    assert before.version == record.version
    for kind in KINDS.values():
        assert old.commit_bots([bot_commit(lease, record.version, **kind)]) == frozenset()
    assert world.runs().progress_from(RUN, market_us=0, round_no=0, phase=0, limit=9) == []
    assert new.load_bot(BOT, UID) == before
    assert new.last_seq(orders_stream(UID)) == 0
    assert new.read_record(UID, 1, after=0, limit=10) == (b"", {})


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_an_older_version_commits_nothing(world: World, kind: dict[str, object]) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    commit = bot_commit(lease, record.version, **kind)
    assert store.commit_bots([commit]) == {BOT}
    assert store.commit_bots([commit]) == frozenset()
    again = bot_commit(lease, record.version, first_ordinal=1)
    assert store.commit_bots([again]) == frozenset()
    loaded = store.load_bot(BOT, UID)
    assert loaded is not None
    assert loaded.input_count == 1
    assert loaded.request_seq == len(kind.get("requests", []))
    steps = world.runs().progress_from(RUN, market_us=0, round_no=0, phase=0, limit=9)
    assert steps == ([STEP] if "progress" in kind else [])


def test_a_retired_bot_commits_nothing(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    world.fleets().retire_bot(UID, policy=DeletionPolicy.KEEP)
    assert store.commit_bots([bot_commit(lease, record.version)]) == frozenset()


@pytest.mark.parametrize("requests", [[2], [1, 3], [2, 3]])
def test_requests_that_leave_a_hole_are_refused_whole(world: World, requests: list[int]) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    with pytest.raises(StreamGap):
        store.commit_bots([bot_commit(lease, record.version, requests=requests)])
    assert store.load_bot(BOT, UID) == record
    assert store.read_stream(orders_stream(UID), after=0, limit=10) == []


def test_a_request_number_is_written_once(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    store.commit_bots([bot_commit(lease, record.version, requests=[1])])
    with pytest.raises(StreamGap):
        store.commit_bots([bot_commit(lease, record.version + 1, first_ordinal=1, requests=[1])])
    loaded = store.load_bot(BOT, UID)
    assert loaded is not None
    assert loaded.input_count == 1


def test_inputs_that_do_not_continue_the_record_are_our_own_bug(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    with pytest.raises(Permanent, match="continues generation 1 at input 5, the record is generation 1 with 0 inputs"):
        store.commit_bots([bot_commit(lease, record.version, first_ordinal=5)])
    assert store.load_bot(BOT, UID) == record


def test_a_bot_that_was_taken_over_does_not_stop_its_neighbours(world: World) -> None:
    host = world.bot(BOT, UID)
    world.bot(OTHER_BOT, OTHER_UID)
    lease, record = take_bot(host, holder="host")
    other_lease, other_record = take_bot(host, bot=OTHER_BOT, uid=OTHER_UID, holder="host")
    world.expire(lease.name)
    world.bot(BOT, UID).acquire(lease.name, holder="dedicated", generation=1, ttl_us=1_000_000)
    commits = [
        bot_commit(lease, record.version, requests=[1]),
        bot_commit(other_lease, other_record.version, bot=OTHER_BOT, uid=OTHER_UID, requests=[1]),
    ]
    assert host.commit_bots(commits) == {OTHER_BOT}
    assert host.last_seq(orders_stream(UID)) == 0
    assert host.last_seq(orders_stream(OTHER_UID)) == 1


def test_a_hole_in_one_bots_requests_refuses_the_whole_transaction(world: World) -> None:
    host = world.bot(BOT, UID)
    world.bot(OTHER_BOT, OTHER_UID)
    lease, record = take_bot(host)
    other_lease, other_record = take_bot(host, bot=OTHER_BOT, uid=OTHER_UID)
    commits = [
        bot_commit(lease, record.version, requests=[1]),
        bot_commit(other_lease, other_record.version, bot=OTHER_BOT, uid=OTHER_UID, requests=[9]),
    ]
    with pytest.raises(StreamGap):
        host.commit_bots(commits)
    assert host.load_bot(BOT, UID) == record
    assert host.load_bot(OTHER_BOT, OTHER_UID) == other_record


def test_a_bot_is_at_most_once_in_a_transaction(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    commit = bot_commit(lease, record.version)
    with pytest.raises(Permanent, match="each bot at most once"):
        store.commit_bots([commit, commit])


def test_nothing_to_commit_is_nobodys(world: World) -> None:
    assert world.bot(BOT, UID).commit_bots([]) == frozenset()


@pytest.mark.parametrize("batch", [1, 100, CHUNK_INPUTS, 3 * CHUNK_INPUTS + 7])
def test_a_long_record_reads_back_from_any_place(world: World, batch: int) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    total = 3 * CHUNK_INPUTS + 7 if batch > 1 else CHUNK_INPUTS + 3
    sources = bytes(index % 251 for index in range(total))
    version = record.version
    for first in range(0, total, batch):
        part = sources[first : first + batch]
        payloads = {first: b"p%d" % first}
        commit = bot_commit(lease, version, first_ordinal=first, sources=part, payloads=payloads)
        assert store.commit_bots([commit]) == {BOT}
        version += 1
    for after in (0, 1, CHUNK_INPUTS - 1, CHUNK_INPUTS, CHUNK_INPUTS + 1, total - 1, total, total + 10):
        for limit in (1, CHUNK_INPUTS, 2 * CHUNK_INPUTS, 10_000):
            found, payloads = store.read_record(UID, 1, after=after, limit=limit)
            assert found == sources[after : after + limit]
            assert payloads == {
                first: b"p%d" % first for first in range(0, total, batch) if after <= first < after + len(found)
            }


def test_the_newest_snapshot_is_kept_with_its_place(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, start={EXECUTIONS: 4})
    first = bot_commit(lease, record.version, requests=[1], snapshot=b"one", positions={BARS: 1})
    second = bot_commit(
        lease,
        record.version + 1,
        first_ordinal=1,
        sources=b"\x02\x02",
        requests=[2],
        request_count=2,
        request_hash="two",
        snapshot=b"two",
        positions={BARS: 3},
    )
    quiet = bot_commit(lease, record.version + 2, first_ordinal=3, request_count=2, request_hash="two")
    for commit in (first, second, quiet):
        assert store.commit_bots([commit]) == {BOT}
    loaded = store.load_bot(BOT, UID)
    assert loaded is not None
    assert (loaded.snapshot, loaded.snapshot_ordinal, loaded.input_count) == (b"two", 3, 4)
    assert loaded.snapshot_positions == {BARS: 3, EXECUTIONS: 4}
    assert (loaded.snapshot_request_count, loaded.snapshot_request_hash) == (2, "two")


def test_a_new_generation_closes_the_record_before(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, start={BARS: 1})
    store.commit_bots([bot_commit(lease, record.version, requests=[1, 2], payloads={0: b"x"}, snapshot=b"s")])
    newer, opened = take_bot(store, generation=2, start={BARS: 9})
    assert newer.epoch == lease.epoch + 1
    assert (opened.generation, opened.input_count, opened.request_count, opened.request_hash) == (2, 0, 0, "")
    assert (opened.request_seq, opened.first_request_seq) == (2, 2)
    assert opened.positions == opened.start_positions == {BARS: 9}
    assert opened.snapshot is None
    assert store.read_record(UID, 1, after=0, limit=10) == (b"\x02", {0: b"x"})
    assert store.read_record(UID, 2, after=0, limit=10) == (b"", {})


def test_opening_the_open_generation_again_changes_nothing(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, start={BARS: 1})
    store.commit_bots([bot_commit(lease, record.version)])
    before = store.load_bot(BOT, UID)
    again, opened = take_bot(store, start={BARS: 5})
    assert again.epoch == lease.epoch + 1
    assert opened == before == store.load_bot(BOT, UID)


def test_an_older_epoch_opens_no_generation(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, _ = take_bot(store)
    store.acquire(lease.name, holder="slot-1", generation=2, ttl_us=1_000_000)
    with pytest.raises(Fenced):
        store.open_generation(lease, bot=BOT, uid=UID, start={})


def test_a_bot_opens_with_its_own_lease_only(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, _ = take_bot(store)
    with pytest.raises(Permanent, match="its lease is"):
        store.open_generation(lease, bot=OTHER_BOT, uid=OTHER_UID, start={})


def test_a_namesake_with_another_uid_is_another_bot(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store, generation=5)
    store.commit_bots([bot_commit(lease, record.version, requests=[1])])
    world.fleets().retire_bot(UID, policy=DeletionPolicy.CANCEL_ORDERS)
    again = world.bot(BOT, OTHER_UID)
    lease_again, opened = take_bot(again, uid=OTHER_UID, generation=1)
    assert lease_again.name == bot_lease(BOT, OTHER_UID)
    assert opened.request_seq == 0
    assert again.commit_bots([bot_commit(lease_again, opened.version, uid=OTHER_UID, requests=[1])]) == {BOT}


def test_a_message_of_another_stream_is_kept_in_its_own(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    store.commit_bots([bot_commit(lease, record.version, requests=[1])])
    assert store.read_stream(orders_stream(UID), after=0, limit=9) == [message(orders_stream(UID), 1)]
    assert store.read_stream(orders_stream(OTHER_UID), after=0, limit=9) == []


def test_records_of_two_fleets_never_meet(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    store.commit_bots([bot_commit(lease, record.version, requests=[1])])
    neighbour = world.neighbour().bot(BOT, UID)
    assert neighbour.load_bot(BOT, UID) is None
    assert neighbour.last_seq(orders_stream(UID)) == 0


# --- shared hosts -----------------------------------------------------------------------------------------------------


def test_a_bot_that_moves_is_taken_over_at_once_and_its_process_commits_nothing_more(world: World) -> None:
    store = world.bot(BOT, UID)
    fleets = world.fleets()
    fleets.register_bot(BOT, UID, db_role="one")
    role = world.handle_role()
    fleets.register_bot(BOT, UID, db_role=role)
    lease, record = take_bot(store, holder="before")
    fleets.register_bot(BOT, UID, db_role="another", host="host-1")
    assert store.commit_bots([bot_commit(lease, record.version)]) == frozenset()
    with pytest.raises((Fenced, AccessDenied)):
        store.renew(lease, ttl_us=1_000_000)
    fleets.register_bot(BOT, UID, db_role=role)
    newer = store.acquire(bot_lease(BOT, UID), holder="after", generation=1, ttl_us=1_000_000)
    assert newer.epoch > lease.epoch + 1


def test_a_bot_that_stays_where_it_is_keeps_its_lease(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    world.fleets().register_bot(BOT, UID, db_role=world.handle_role())
    assert store.commit_bots([bot_commit(lease, record.version)]) == {BOT}


def test_of_many_bots_all_are_registered_or_none(world: World) -> None:
    store = world.bot(BOT, UID)
    role = world.handle_role()
    with pytest.raises(Permanent):
        world.fleets().register_bots([(OTHER_BOT, OTHER_UID, role, ""), (OTHER_BOT, UID, role, "")])
    assert store.last_seqs([orders_stream(OTHER_UID)]) == {}
    world.fleets().register_bots([(BOT, UID, role, ""), (OTHER_BOT, OTHER_UID, role, "")])
    assert store.last_seqs([orders_stream(OTHER_UID)]) == {orders_stream(OTHER_UID): 0}


def test_a_host_finds_the_commands_of_its_bots(world: World) -> None:
    store = world.bot(BOT, UID)
    world.register(OTHER_BOT, OTHER_UID)
    role = world.handle_role()
    for bot, uid, host in ((BOT, UID, "host-1"), (OTHER_BOT, OTHER_UID, "")):
        world.fleets().register_bot(bot, uid, db_role=role, host=host)
        world.commands().put_command(ACCOUNT, bot_command(bot, uid))
    assert store.host_commands("host-1", ACCOUNT) == [bot_command(BOT, UID)]
    assert store.host_commands("host-1", AccountId("ns/other:main")) == []
    world.fleets().retire_bot(UID, policy=DeletionPolicy.KEEP)
    assert store.host_commands("host-1", ACCOUNT) == []


def test_why_a_bot_is_out_is_noted_until_it_moves(world: World) -> None:
    store = world.bot(BOT, UID)
    store.note_trouble({UID: "StrategyError: raised"})
    assert world.trouble(UID) == "StrategyError: raised"
    store.note_trouble({})
    store.note_trouble({UID: ""})
    assert world.trouble(UID) == ""
    store.note_trouble({UID: "again"})
    world.fleets().register_bot(BOT, UID, db_role="another")
    assert world.trouble(UID) == ""


def test_how_far_many_streams_go_is_asked_at_once(world: World) -> None:
    store = world.bot(BOT, UID)
    lease, record = take_bot(store)
    store.commit_bots([bot_commit(lease, record.version, requests=[1, 2])])
    orders = orders_stream(UID)
    assert store.last_seqs([orders, EXECUTIONS, orders_stream(BotUid("nobody"))]) == {orders: 2, EXECUTIONS: 0}
