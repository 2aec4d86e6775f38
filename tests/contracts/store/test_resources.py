"""The resources of a local fleet in Postgres, and their twin in memory."""

from collections.abc import Iterator

import pytest
from governor.local.resources import LocalResources

from tests.contracts.local.resources_contract import ResourcesContract
from tests.contracts.store.worlds import PostgresWorld
from tests.fakes.memory_resources import MemoryResources


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
