"""The resources of a local fleet in Postgres, and their twin in memory."""

import select
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from governor.demand import feed_change
from governor.local.resources import LocalResources
from governor.sets import change_of

from tests.contracts.local.resources_contract import ResourcesContract
from tests.contracts.store.worlds import PostgresWorld
from tests.fakes.memory_resources import MemoryResources
from tests.unit.governor import fleets
from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.problems import InvalidResource


class TestMemory(ResourcesContract):
    @pytest.fixture
    def store(self) -> MemoryResources:
        return MemoryResources()


class TestPostgres(ResourcesContract):
    @pytest.fixture
    def store(self, postgres_world: PostgresWorld) -> Iterator[LocalResources]:
        found = LocalResources(postgres_world.url, postgres_world.fleet, actor="a test")
        yield found
        found.close()

    def test_a_bot_that_its_set_would_make_again_is_not_deleted_alone(self, store: LocalResources) -> None:
        store.apply([_bot_set()])
        (many,) = store.all()
        assert isinstance(many, BotSet)
        (bot,) = change_of(many, store.all()).apply
        store.apply([bot], owner=many.metadata.uid)

        with pytest.raises(
            Permanent, match=r"belongs to BotSet many, which would make it again: take it out .* matrix"
        ):
            store.delete([bot.key])

        assert all(each.metadata.deletion_timestamp is None for each in store.all())
        assert sorted(store.delete([bot.key, many.key])) == sorted([bot.key, many.key])

    def test_a_derived_feed_that_bots_need_is_neither_deleted_nor_changed_by_people(
        self, store: LocalResources
    ) -> None:
        market = fleets.exchange(simulator={"replay": {"datasetRefs": [{"name": "market"}]}})
        store.apply([market, fleets.bot("alpha")])
        exchange = next(each for each in store.all() if isinstance(each, Exchange))
        (feed,) = feed_change(exchange, store.all(), runs={}, finished=()).apply
        store.apply([feed], owner=exchange.metadata.uid)

        with pytest.raises(Permanent, match=r"belongs to Exchange simulator, .* no bot on simulator needs it"):
            store.delete([feed.key])

        with pytest.raises(InvalidResource, match=r"was made by its Exchange, .* give your Feed another name"):
            store.apply([fleets.feed("simulator")])

        store.change_spec(ResourceKey("TradingBot", "default", "alpha"), {"state": "Stopped"})
        assert store.delete([feed.key]) == [feed.key]

    def test_a_lost_connection_is_one_clear_error_and_the_next_one_hears_of_changes(
        self, store: LocalResources, postgres_world: PostgresWorld
    ) -> None:
        store.listen()
        with psycopg.connect(postgres_world.url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'resources'")

        with pytest.raises(Retryable, match="database: "):  # noqa: PT012 - the server's last words come first
            while _is_told(store):
                store.take_hints()

        assert not _is_told(store, timeout_ms=0)
        with closing(LocalResources(postgres_world.url, postgres_world.fleet, actor="a user")) as user:
            user.apply([_bot_set()])
        assert _is_told(store)
        store.take_hints()
        assert not _is_told(store, timeout_ms=0)


def _bot_set() -> BotSet:
    template = {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}}
    matrix = {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD"]}
    found = fleets.stored("BotSet", "many", {"matrix": matrix, "template": template})
    assert isinstance(found, BotSet)
    return found


def _is_told(store: LocalResources, *, timeout_ms: int = 10_000) -> bool:
    poll = select.poll()
    poll.register(store, select.POLLIN)
    return bool(poll.poll(timeout_ms))
