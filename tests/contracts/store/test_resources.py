"""The resources of a local fleet in Postgres, and their twin in memory."""

from collections.abc import Iterator

import pytest
from governor.local.resources import LocalResources
from governor.sets import change_of

from tests.contracts.local.resources_contract import ResourcesContract
from tests.contracts.store.worlds import PostgresWorld
from tests.fakes.memory_resources import MemoryResources
from tests.unit.governor import fleets
from tradefleet.domain.errors import Permanent
from tradefleet.resources.bot_set import BotSet


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
        template = {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}}
        matrix = {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD"]}
        store.apply([fleets.stored("BotSet", "many", {"matrix": matrix, "template": template})])
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
