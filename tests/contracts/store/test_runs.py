"""Venue snapshots, lockstep progress, commands, topics."""

from dataclasses import replace

import pytest

from tests.contracts.store.samples import (
    ACCOUNT,
    BARS,
    BOT,
    EXCHANGE,
    OTHER_ACCOUNT,
    OTHER_BOT,
    OTHER_UID,
    START_US,
    TTL_US,
    UID,
    bot_commit,
    take_bot,
)
from tests.contracts.store.worlds import World
from tradefleet.domain.bots import BotCommand, BotConfig, RunState
from tradefleet.domain.errors import Fenced, NonDeterministic, Permanent
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, Phase, Progress, bot_participant
from tradefleet.store.ports import RunId, VenueSnapshot, VenueStore, venue_lease
from tradefleet.store.upkeep import Action, TopicIdentity

RUN = RunId("default/demo-1")
ALPHA = bot_participant(BOT, UID)
SNAPSHOT = VenueSnapshot(
    exchange=EXCHANGE, offset=41, cluster_id="cluster", topic_id="topic", state_hash="hash", state=b"\x00state"
)


def take_venue(store: VenueStore, holder: str = "venue-1"):
    return store.acquire(venue_lease(EXCHANGE), holder=holder, generation=1, ttl_us=TTL_US)


def row(market_us: int, phase: Phase = Phase.VENUE_BARS, round_no: int = 0) -> Progress:
    return Progress(participant=VENUE, market_us=market_us, round=round_no, phase=phase)


def test_a_venue_without_a_snapshot_has_none(world: World) -> None:
    assert world.venue().load_venue_snapshot(EXCHANGE) is None


def test_the_newest_snapshot_replaces_the_one_before(world: World) -> None:
    store = world.venue()
    lease = take_venue(store)
    store.save_venue_snapshot(lease, SNAPSHOT)
    newer = replace(SNAPSHOT, offset=99, state=b"newer", state_hash="newer")
    store.save_venue_snapshot(lease, newer)
    assert world.venue().load_venue_snapshot(EXCHANGE) == newer


def test_an_older_epoch_saves_no_snapshot_and_no_progress(world: World) -> None:
    old, new = world.venue(), world.venue()
    lease = take_venue(old)
    old.save_venue_snapshot(lease, SNAPSHOT)
    world.expire(lease.name)
    take_venue(new, holder="venue-2")
    with pytest.raises(Fenced):
        old.save_venue_snapshot(lease, replace(SNAPSHOT, offset=50))
    with pytest.raises(Fenced):
        old.commit_venue_progress(lease, RUN, row(1))
    assert new.load_venue_snapshot(EXCHANGE) == SNAPSHOT
    assert world.runs().progress_from(RUN, market_us=0, round_no=0, phase=0, limit=5) == []


def test_a_snapshot_needs_the_exchanges_own_lease(world: World) -> None:
    store = world.venue()
    with pytest.raises(Permanent, match="its lease is"):
        store.save_venue_snapshot(take_venue(store), replace(SNAPSHOT, exchange="ns/other"))


def test_participants_are_fixed_once(world: World) -> None:
    runs = world.runs()
    assert runs.participants(RUN) == frozenset()
    runs.create_run(RUN, "ns/feed", [FEED, VENUE, GATEWAY, ALPHA], {})
    runs.create_run(RUN, "ns/feed", [ALPHA, GATEWAY, VENUE, FEED], {})
    assert world.runs().participants(RUN) == {FEED, VENUE, GATEWAY, ALPHA}
    for feed, participants in (("ns/feed", [FEED]), ("ns/other", [FEED, VENUE, GATEWAY, ALPHA])):
        with pytest.raises(Permanent, match="are fixed"):
            runs.create_run(RUN, feed, participants, {})


def test_a_run_keeps_the_terms_it_began_with(world: World) -> None:
    terms = {"taker_ppm": 1_000, "instruments": [{"tick": "0.01", "intervals_us": []}]}
    runs = world.runs()
    runs.create_run(RUN, "ns/feed", [FEED], terms)
    runs.create_run(RUN, "ns/feed", [FEED], {"taker_ppm": 5})
    runs.create_run(RunId("other"), "ns/feed", [FEED], {})
    assert world.runs().terms_of_runs() == {RUN: terms, "other": {}}


def test_progress_comes_in_the_order_of_steps(world: World) -> None:
    venue, host = world.venue(), world.bot(BOT, UID)
    lease = take_venue(venue)
    bot_lease, record = take_bot(host)
    bot_row = Progress(
        participant=ALPHA, market_us=10, round=0, phase=Phase.BOTS, produced={BARS: 3}, next_due_us=70, left=True
    )
    venue.commit_venue_progress(lease, RUN, row(20))
    host.commit_bots([bot_commit(bot_lease, record.version, run=RUN, progress=bot_row)])
    venue.commit_venue_progress(lease, RUN, row(10, Phase.VENUE_REQUESTS, 1))
    venue.commit_venue_progress(lease, RUN, row(10, Phase.VENUE_REQUESTS, 0))
    venue.commit_venue_progress(lease, RUN, row(10))
    runs = world.runs()
    in_order = [row(10), bot_row, row(10, Phase.VENUE_REQUESTS), row(10, Phase.VENUE_REQUESTS, 1), row(20)]
    assert runs.progress_from(RUN, market_us=0, round_no=0, phase=0, limit=100) == in_order
    assert runs.progress_from(RUN, market_us=0, round_no=0, phase=0, limit=2) == in_order[:2]
    assert runs.progress_from(RUN, market_us=10, round_no=0, phase=Phase.BOTS, limit=9) == in_order[1:]
    assert runs.progress_from(RUN, market_us=10, round_no=1, phase=0, limit=9) == in_order[3:]
    assert runs.progress_from(RUN, market_us=10, round_no=0, phase=0, until_us=10, limit=9) == in_order[:4]
    assert runs.progress_from(RUN, market_us=20, round_no=0, phase=Phase.BOTS, limit=9) == []
    assert runs.progress_from(RunId("another"), market_us=0, round_no=0, phase=0, limit=9) == []


def test_the_same_row_again_is_accepted_and_another_is_not(world: World) -> None:
    venue, host = world.venue(), world.bot(BOT, UID)
    lease = take_venue(venue)
    venue.commit_venue_progress(lease, RUN, row(10))
    venue.commit_venue_progress(lease, RUN, row(10))
    for changed in (replace(row(10), produced={BARS: 1}), replace(row(10), next_due_us=5), replace(row(10), left=True)):
        with pytest.raises(NonDeterministic):
            venue.commit_venue_progress(lease, RUN, changed)
    bot_lease, record = take_bot(host)
    bot_row = Progress(participant=ALPHA, market_us=10, round=0, phase=Phase.BOTS, produced={BARS: 3})
    host.commit_bots([bot_commit(bot_lease, record.version, run=RUN, progress=bot_row)])
    again = bot_commit(bot_lease, record.version + 1, first_ordinal=1, run=RUN, progress=bot_row)
    assert host.commit_bots([again]) == {BOT}
    other = replace(bot_row, produced={BARS: 4})
    with pytest.raises(NonDeterministic):
        host.commit_bots([bot_commit(bot_lease, record.version + 2, first_ordinal=2, run=RUN, progress=other)])
    loaded = host.load_bot(BOT, UID)
    assert loaded is not None
    assert loaded.input_count == 2


def test_a_row_wakes_who_may_care_about_it(world: World) -> None:
    waiting, venue = world.runs(), world.venue()
    lease = take_venue(venue)
    assert waiting.wait_progress(RUN, ["gateway"], timeout_us=1_000)
    assert waiting.wait_progress(RUN, ["venue"], timeout_us=1_000)
    assert not waiting.wait_progress(RUN, ["gateway"], timeout_us=50_000)
    venue.commit_venue_progress(lease, RUN, row(10))
    assert waiting.wait_progress(RUN, ["gateway"], timeout_us=10_000_000)
    assert not waiting.wait_progress(RUN, ["gateway"], timeout_us=50_000)
    assert not waiting.wait_progress(RUN, ["venue"], timeout_us=50_000)
    venue.commit_venue_progress(lease, RunId("another"), row(10))
    assert not waiting.wait_progress(RUN, ["gateway"], timeout_us=50_000)


def test_a_hint_that_came_with_another_answer_is_not_lost(world: World) -> None:
    waiting, venue = world.runs(), world.venue()
    lease = take_venue(venue)
    assert waiting.wait_progress(RUN, ["gateway"], timeout_us=1_000)
    venue.commit_venue_progress(lease, RUN, row(10))
    assert waiting.progress_from(RUN, market_us=0, round_no=0, phase=0, limit=9) == [row(10)]
    assert waiting.wait_progress(RUN, ["gateway"], timeout_us=10_000_000)


def test_a_bots_row_wakes_the_gateway(world: World) -> None:
    waiting, host = world.runs(), world.bot(BOT, UID)
    lease, record = take_bot(host)
    waiting.wait_progress(RUN, ["gateway"], timeout_us=1_000)
    bot_row = Progress(participant=ALPHA, market_us=10, round=0, phase=Phase.BOTS)
    host.commit_bots([bot_commit(lease, record.version, run=RUN, progress=bot_row)])
    assert waiting.wait_progress(RUN, ["gateway"], timeout_us=10_000_000)


def test_of_those_who_take_a_turn_together_the_last_one_wakes_who_is_next(world: World) -> None:
    waiting, first, second = world.runs(), world.bot(BOT, UID), world.bot(OTHER_BOT, OTHER_UID)
    waiting.wait_progress(RUN, ["gateway"], timeout_us=1_000)
    for host, bot, uid, is_last in ((first, BOT, UID, False), (second, OTHER_BOT, OTHER_UID, True)):
        lease, record = take_bot(host, bot=bot, uid=uid)
        turn = Progress(participant=bot_participant(bot, uid), market_us=10, round=0, phase=Phase.BOTS)
        commit = bot_commit(lease, record.version, bot=bot, uid=uid, run=RUN, progress=turn)
        host.commit_bots([replace(commit, turn_size=2)])
        assert waiting.wait_progress(RUN, ["gateway"], timeout_us=10_000_000 if is_last else 50_000) is is_last


def command(key: str, uid: str, **more: object) -> BotCommand:
    config = BotConfig(
        key=BotKey(key),
        uid=BotUid(uid),
        generation=3,
        strategy="sma-cross",
        parameters={"fast": 10, "share": 0.25, "mode": "x", "on": True},
        symbols=(Symbol("BTC-USD"), Symbol("LTC-USD")),
        interval_us=60_000_000,
        wallet={"USD": 10**15},
    )
    return BotCommand(config=config, **more)  # type: ignore[arg-type]


def test_commands_of_an_account_come_sorted_by_bot(world: World) -> None:
    commands = world.commands()
    beta = command("ns/beta", "u1")
    alpha = command("ns/alpha", "u2", state=RunState.PAUSED, flatten_no=2, reopen_no=1, skip_seq=17)
    commands.put_command(ACCOUNT, beta)
    commands.put_command(ACCOUNT, alpha)
    commands.put_command(OTHER_ACCOUNT, command("ns/gamma", "u3"))
    assert world.commands().bot_commands(ACCOUNT) == [alpha, beta]
    assert commands.bot_command(BotUid("u2")) == alpha
    assert commands.bot_command(BotUid("nobody")) is None


def test_a_command_can_be_ended_as_it_is(world: World) -> None:
    commands = world.commands()
    alpha = command("ns/alpha", "u1", state=RunState.PAUSED, flatten_no=2)
    commands.put_command(ACCOUNT, alpha)

    for _ in range(2):
        commands.end_command(BotUid("u1"))
    commands.end_command(BotUid("nobody"))

    assert commands.bot_commands(ACCOUNT) == [replace(alpha, deleting=True)]


def test_a_command_replaces_the_one_before(world: World) -> None:
    commands = world.commands()
    commands.put_command(ACCOUNT, command("ns/alpha", "u1"))
    deleting = command("ns/alpha", "u1", deleting=True, state=RunState.STOPPED, flatten_no=3, reopen_no=4, skip_seq=5)
    commands.put_command(ACCOUNT, deleting)
    assert commands.bot_commands(ACCOUNT) == [deleting]
    commands.forget_command(BotUid("u1"))
    commands.forget_command(BotUid("u1"))
    assert commands.bot_commands(ACCOUNT) == []


def test_many_commands_are_written_at_once(world: World) -> None:
    commands = world.commands()
    commands.put_command(ACCOUNT, command("ns/alpha", "u1"))
    newer, beta = command("ns/alpha", "u1", flatten_no=1), command("ns/beta", "u2")
    commands.put_commands([(ACCOUNT, newer), (OTHER_ACCOUNT, beta)])
    assert world.commands().bot_commands(ACCOUNT) == [newer]
    assert commands.bot_commands(OTHER_ACCOUNT) == [beta]
    commands.put_commands([])


def test_topics_are_remembered(world: World) -> None:
    topics = world.topics()
    assert topics.topic_identities() == {}
    first, second = TopicIdentity(cluster_id="c", topic_id="t"), TopicIdentity(cluster_id="c2", topic_id="t2")
    topics.remember_topic("trading.orders", first)
    topics.remember_topic("market.ohlc.stable", first)
    topics.remember_topic("trading.orders", second)
    assert world.topics().topic_identities() == {"trading.orders": second, "market.ohlc.stable": first}
    assert world.neighbour().topics().topic_identities() == {}


def test_a_steps_time_is_kept_to_the_microsecond(world: World) -> None:
    venue = world.venue()
    venue.commit_venue_progress(take_venue(venue), RUN, row(START_US + 1))
    assert world.runs().progress_from(RUN, market_us=START_US + 1, round_no=0, phase=0, limit=1) == [row(START_US + 1)]
    assert world.runs().progress_from(RUN, market_us=START_US + 2, round_no=0, phase=0, limit=1) == []


def test_what_was_done_is_logged_with_who_did_it(world: World) -> None:
    halts = world.halts()
    halts.set_halt("fleet", reason="drill", set_by="bob")
    halts.clear_halt("fleet", set_by="ana")
    assert world.actions() == [
        Action(actor="bob", action="halt", target="fleet", detail={"reason": "drill"}),
        Action(actor="ana", action="clear halt", target="fleet"),
    ]
    assert world.neighbour().actions() == []
