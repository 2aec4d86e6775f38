"""The fences are real: with any one of them taken out of the SQL, a test of the contract fails on Postgres.

The texts are changed here, in the test, for the length of one test: the product has no switch for it. This is the one
place where our own code is patched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.contracts.store import test_bots, test_feeds, test_gateways, test_halts, test_retention, test_runs
from tests.contracts.store.worlds import PostgresWorld
from tradefleet.domain.errors import FleetError
from tradefleet.store import schema
from tradefleet.store.postgres import (
    bot_sql,
    feed_sql,
    gateway_sql,
    halt_sql,
    lease_sql,
    progress_sql,
    retention_sql,
    stream_sql,
    upkeep_sql,
)

EPOCH = " AND epoch = %(epoch)s"
RED = (AssertionError, pytest.fail.Exception, FleetError)


@dataclass(frozen=True)
class Mutation:
    """`removed` is taken out of each of the statements; `contract` is the test that has to notice."""

    name: str
    module: ModuleType
    statements: tuple[str, ...]
    removed: str
    contract: Callable[[PostgresWorld], None]
    put: str = ""

    def apply(self, text: str) -> str:
        return text.replace(self.removed, self.put, 1)


MUTATIONS = [
    Mutation("bot epoch", bot_sql, ("COMMIT",), EPOCH, test_bots.test_an_older_epoch_commits_nothing),
    Mutation("bot epoch, generation", bot_sql, ("HOLD",), EPOCH, test_bots.test_an_older_epoch_opens_no_generation),
    Mutation(
        "bot version",
        bot_sql,
        ("COMMIT",),
        " AND version = %(version)s",
        lambda world: test_bots.test_an_older_version_commits_nothing(world, test_bots.KINDS["quiet"]),
    ),
    Mutation(
        "bot record",
        bot_sql,
        ("COMMIT",),
        " AND input_count = %(first_ordinal)s",
        test_bots.test_inputs_that_do_not_continue_the_record_are_our_own_bug,
    ),
    Mutation(
        "request stream",
        bot_sql,
        ("COMMIT",),
        " AND last_seq = (%(before)s::jsonb -> stream)::bigint",
        lambda world: test_bots.test_requests_that_leave_a_hole_are_refused_whole(world, [2]),
    ),
    Mutation("gateway epoch", gateway_sql, ("FENCE",), EPOCH, test_gateways.test_an_older_epoch_writes_nothing),
    Mutation(
        "gateway version",
        gateway_sql,
        ("FENCE",),
        " AND version = %(version)s",
        test_gateways.test_an_older_version_writes_nothing,
    ),
    Mutation(
        "execution stream",
        stream_sql,
        ("ADVANCE",),
        " AND last_seq = (%(before)s::jsonb -> stream)::bigint",
        lambda world: test_gateways.test_executions_that_leave_a_hole_are_refused_whole(world, [2]),
    ),
    Mutation(
        "venue request numbers",
        gateway_sql,
        ("FENCE",),
        "SELECT request_no - requests_before",
        lambda world: test_gateways.test_venue_requests_that_leave_a_hole_are_refused_whole(world, [2]),
        put="SELECT (SELECT count(*) FROM unnest(%(numbers)s::bigint[]))",
    ),
    Mutation("feed epoch", lease_sql, ("FENCE",), EPOCH, test_feeds.test_an_older_epoch_writes_no_bar),
    Mutation(
        "venue epoch", lease_sql, ("FENCE",), EPOCH, test_runs.test_an_older_epoch_saves_no_snapshot_and_no_progress
    ),
    Mutation(
        "bar stream",
        feed_sql,
        ("WRITE_BARS",),
        "AND stream.last_seq = grown.before",
        lambda world: test_feeds.test_numbers_that_leave_a_hole_are_refused_whole(world, (2, 3)),
    ),
    Mutation(
        "bar stream, hole inside",
        feed_sql,
        ("WRITE_BARS",),
        "AND grown.last_seq - grown.before = grown.bars",
        lambda world: test_feeds.test_numbers_that_leave_a_hole_are_refused_whole(world, (1, 3)),
    ),
    Mutation(
        "bar content",
        feed_sql,
        ("PROVE_BARS",),
        "'TF007'",
        test_feeds.test_the_same_bar_with_other_content_is_a_conflict,
        put="'TF004'",
    ),
    Mutation(
        "halt shared while sending",
        gateway_sql,
        ("SHARE_HALTS",),
        " FOR SHARE",
        test_halts.test_a_halt_returns_only_after_orders_were_sent,
    ),
    Mutation(
        "halt shared while accepting",
        gateway_sql,
        ("SHARE_HALTS",),
        " FOR SHARE",
        lambda world: test_halts.test_a_halt_returns_only_after_the_orders_accepted_before_it_are_committed(world, []),
    ),
    Mutation(
        "halt shared along with requests",
        gateway_sql,
        ("SHARE_HALTS",),
        " FOR SHARE",
        lambda world: test_halts.test_a_halt_returns_only_after_the_orders_accepted_before_it_are_committed(
            world, [test_halts.BOT]
        ),
    ),
    Mutation(
        "halt period",
        halt_sql,
        ("SWITCH",),
        "is_on = %(is_on)s",
        lambda world: test_halts.test_a_switch_stops_its_scope(world, "fleet", []),
        put="is_on = false",
    ),
    Mutation(
        "order identity",
        gateway_sql,
        ("WRITE_ORDERS",),
        f"WHERE {gateway_sql._IDENTITY.format('known')} = {gateway_sql._IDENTITY.format('EXCLUDED')}",
        lambda world: test_gateways.test_an_id_belongs_to_one_order_only(world, test_gateways.order(1, bot="ns/beta")),
    ),
    Mutation(
        "same step",
        progress_sql,
        ("WRITE",),
        " AND produced = %(produced)s::jsonb",
        test_runs.test_the_same_row_again_is_accepted_and_another_is_not,
    ),
    Mutation(
        "trimming passes no record",
        retention_sql,
        ("BOUNDS",),
        ", needed.seq)",
        test_retention.test_a_kept_record_keeps_its_inputs,
        put=")",
    ),
    Mutation(
        "trimming passes no consumer",
        retention_sql,
        ("BOUNDS",),
        ", passed.seq, needed.seq)",
        test_retention.test_what_is_published_passed_and_of_no_record_goes,
        put=", needed.seq)",
    ),
    Mutation(
        "trimming passes no gateway of a deleted bot",
        retention_sql,
        ("BOUNDS",),
        "SELECT max((gateway.positions ->> ('orders/' || uid))::bigint) FROM",
        test_retention.test_a_deleted_bots_record_is_closed_and_forgotten_with_its_messages_and_statistics,
        put="SELECT max(9223372036854775807) FROM",
    ),
    Mutation(
        "a deleted bot's record is closed",
        upkeep_sql,
        ("RETIRE_BOT",),
        " record_generation = 0,",
        test_retention.test_a_deleted_bots_record_is_closed_and_forgotten_with_its_messages_and_statistics,
    ),
    Mutation(
        "a bot that moves is fenced",
        upkeep_sql,
        ("REGISTER_BOT",),
        "known.epoch + (known.db_role NOT IN ('', EXCLUDED.db_role))::int",
        test_bots.test_a_bot_that_moves_is_taken_over_at_once_and_its_process_commits_nothing_more,
        put="known.epoch",
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name for mutation in MUTATIONS])
def test_a_fence_that_is_taken_out_is_missed(
    postgres_world: PostgresWorld, monkeypatch: pytest.MonkeyPatch, mutation: Mutation
) -> None:
    for statement in mutation.statements:
        known = getattr(mutation.module, statement)
        if isinstance(known, dict):  # the variants of one statement
            changed: object = {variant: mutation.apply(text) for variant, text in known.items()}
        else:
            changed = mutation.apply(known)
        assert changed != known, f"{statement} has no {mutation.removed!r} to take out"
        monkeypatch.setattr(mutation.module, statement, changed)
    with pytest.raises(RED):
        mutation.contract(postgres_world)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name for mutation in MUTATIONS])
def test_with_every_fence_in_place_the_same_test_passes(postgres_world: PostgresWorld, mutation: Mutation) -> None:
    mutation.contract(postgres_world)


@pytest.fixture
def world_without_unique_orders(store_url: str) -> Iterator[PostgresWorld]:
    """A database of its own whose orders have no key any more."""
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE mutant")
    url = urlsplit(store_url)._replace(path="/mutant").geturl()
    schema.upgrade(url)
    world = PostgresWorld(url)
    world.admin.execute("ALTER TABLE tradefleet.trade_order DROP CONSTRAINT trade_order_pkey")
    world.admin.execute("DROP INDEX tradefleet.trade_order_request_key")
    yield world
    world.close()
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE mutant WITH (FORCE)")


def test_without_the_unique_client_order_id_an_order_is_there_twice(
    world_without_unique_orders: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = gateway_sql.WRITE_ORDERS
    upsert = text[text.index("    ON CONFLICT") : text.index("    RETURNING")]
    monkeypatch.setattr(gateway_sql, "WRITE_ORDERS", text.replace(upsert, ""))
    with pytest.raises(RED):
        test_gateways.test_an_order_goes_on_under_its_id(world_without_unique_orders)
