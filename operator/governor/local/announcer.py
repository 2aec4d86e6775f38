"""Announcements at an embedded broker, which may come back at another place."""

from collections.abc import Callable, Collection

from governor.announcements import Announcements
from governor.job import FinishedReport
from governor.workload import Command
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.store.ports import Halt


class LocalAnnouncer:
    """Tells the broker that `kafka` names now; one at another place is told everything."""

    def __init__(self, kafka: Callable[[], KafkaSettings], wall_us: Callable[[], int]) -> None:
        self._kafka = kafka
        self._wall_us = wall_us
        self._bus: KafkaBus | None = None
        self._announcements: Announcements | None = None
        self._told_at = ""

    def tell(
        self, commands: Collection[Command], halts: Collection[Halt], reports: Collection[FinishedReport] = ()
    ) -> None:
        """Publish the commands, halts and reports that are not known to be told."""
        settings = self._kafka()
        if self._announcements is None or self._told_at != settings.bootstrap:
            self.close()
            self._bus = KafkaBus(settings)
            self._announcements, self._told_at = Announcements(self._bus, self._wall_us), settings.bootstrap
        self._announcements.tell(commands, halts, reports)

    def close(self) -> None:
        """Let go of the broker."""
        if self._bus is not None:
            self._bus.close()
            self._bus = self._announcements = None
