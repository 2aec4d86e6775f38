import pytest

from tests.contracts.feeds.dataset_contract import DatasetContract
from tests.fakes.memory_datasets import MemoryDatasets


class TestMemoryDatasets(DatasetContract):
    @pytest.fixture
    def store(self) -> MemoryDatasets:
        return MemoryDatasets()
