"""The fake under the contract of processes."""

from pathlib import Path

import pytest
from governor.local.processes import Command

from tests.contracts.local.process_contract import ProcessContract, Subject
from tests.fakes.fake_process import FakeProcess

NOTHING = Command(name="nothing", arguments=(), folder=Path(), log=Path())


class TestFakeProcess(ProcessContract):
    @pytest.fixture
    def subject(self) -> Subject:
        process = FakeProcess(NOTHING)
        return Subject(process, process.end)

    @pytest.fixture
    def stubborn(self) -> Subject:
        process = FakeProcess(NOTHING, obeys=False)
        return Subject(process, process.end)
