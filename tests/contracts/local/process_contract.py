"""What a process that we started promises: a real child and the fake run the same tests."""

import select
import signal
from collections.abc import Callable
from dataclasses import dataclass

from governor.local.processes import Process

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Subject:
    """A process, and how to make it end by itself with a status."""

    process: Process
    end: Callable[[int], None]


class ProcessContract:
    """Subclasses have the fixtures `subject`, a process that obeys SIGTERM, and `stubborn`, one that does not."""

    def test_a_process_runs_until_it_ends(self, subject: Subject) -> None:
        assert subject.process.wait(0) is None
        assert subject.process.exit_code is None

        subject.end(4)

        assert subject.process.wait(PATIENCE_S) == 4
        assert (subject.process.exit_code, subject.process.wait(0), subject.process.wait()) == (4, 4, 4)

    def test_its_descriptor_tells_of_its_end(self, subject: Subject) -> None:
        poll = select.poll()
        poll.register(subject.process, select.POLLIN)
        assert poll.poll(0) == []

        subject.end(0)

        assert poll.poll(PATIENCE_S * 1000) != []
        assert subject.process.wait(0) == 0

    def test_a_signal_that_it_obeys_is_its_status(self, subject: Subject) -> None:
        subject.process.send(signal.SIGTERM)

        assert subject.process.wait(PATIENCE_S) == -signal.SIGTERM

    def test_a_process_that_does_not_obey_can_be_killed(self, stubborn: Subject) -> None:
        stubborn.process.send(signal.SIGTERM)
        assert stubborn.process.wait(0.05) is None

        assert stubborn.process.kill() == -signal.SIGKILL
        assert stubborn.process.exit_code == -signal.SIGKILL

    def test_an_ended_process_is_left_alone(self, subject: Subject) -> None:
        subject.end(3)
        subject.process.wait(PATIENCE_S)

        subject.process.send(signal.SIGTERM)

        assert subject.process.kill() == 3
