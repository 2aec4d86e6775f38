"""Attacks on a Governor: a place of its own for each, killing it in a storm, and waiting until it has come to rest."""

import random
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from governor.local.broker import Broker
from governor.local.database import Database
from psycopg import sql

from cluster.control_plane import ControlPlane
from tests.cluster.api import Api
from tests.cluster.governor import RELEASE, Cluster, GovernorProcess, eventually
from tests.cluster.outcome import Body, place_of, resources, silence_of
from tests.cluster.pods import Pods
from tests.cluster.storm import Storm
from tests.cluster.writes import Writes
from tradefleet.store import schema

REST_WITHIN_S: Final = 120.0
QUIET_S: Final = 6.0  # longer than a Governor waits between two looks
AWAKE_WITHIN_S: Final = 30.0
STARTS_KILLED: Final = 0.3  # of all kills, those that come whether or not it has got to work
LAST_CHANGES: Final = 20  # while nobody is killed any more
PAUSE_S_MAX: Final = 0.1  # between two changes
POLL_S: Final = 0.5


class Place:
    """A namespace with a Governor of its own, over a database of its own."""

    def __init__(
        self, name: str, folder: Path, *, control_plane: ControlPlane, api: Api, database: Database, broker: Broker
    ) -> None:
        assert api.create_namespace(name).accepted
        self._database = database
        self._database_name = name.replace("-", "_")
        self._in_postgres("CREATE DATABASE {}")
        self.database_url = urlunsplit(urlsplit(database.dsn())._replace(path=f"/{self._database_name}"))
        schema.upgrade(self.database_url)
        self.cluster = Cluster(api, name)
        self.pods = Pods(self.cluster)
        self.fleet = f"{name}-{RELEASE}"
        folder.mkdir()
        self.governor = GovernorProcess(
            folder, api, database_url=self.database_url, bootstrap=broker.bootstrap, namespace=name, values={}
        )
        self.writes = Writes(control_plane.audit_log, name)
        self._rested_s = 0.0

    def close(self) -> None:
        """End the Governor, and remove its database."""
        self.governor.kill()
        self._in_postgres("DROP DATABASE {} WITH (FORCE)")

    def _in_postgres(self, command: str) -> None:
        with psycopg.connect(self._database.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(sql.Identifier(self._database_name)))

    def apply(self, bodies: list[Body]) -> None:
        """Make resources that must be taken."""
        for body in bodies:
            answer = self.cluster.api.create(body, self.cluster.namespace)
            assert answer.accepted, (body, answer.causes)

    def rest(self, *, within_s: float = REST_WITHIN_S) -> None:
        """Return when nothing is written any more, and all resources are judged: the weather is calm, pods come up."""
        deadline = time.monotonic() + within_s
        before, since_s = self._state(), time.monotonic()
        while time.monotonic() - since_s < QUIET_S:
            assert self.governor.is_running, self.governor.last_lines()
            waiting = [f"{place_of(each)} {silence_of(each)}" for each in resources(self.cluster) if silence_of(each)]
            moved, now = self.pods.step(), self._state()
            if time.monotonic() >= deadline:
                changes = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
                raise AssertionError(f"no rest in {within_s:.0f} s: {waiting} {changes}: {self.governor.last_lines()}")
            time.sleep(POLL_S)
            if moved or now != before or waiting:
                before, since_s = now, time.monotonic()
        self.writes.take()
        self._rested_s = time.monotonic()

    def written_at_rest(self, *, for_s: float) -> list[str]:
        """Return what was written since it came to rest, at least so long ago: what is left of that is waited for."""
        time.sleep(max(0.0, self._rested_s + for_s - time.monotonic()))
        return self.writes.take()

    def _state(self) -> dict[str, str]:
        return self.cluster.everything()


def storm(place: Place, rng: random.Random, *, kills: int) -> dict[str, int]:
    """Let a storm blow over a place, its Governor killed at random moments; return how often was done what."""
    weather = Storm(place.cluster, rng)
    weather.begin()
    for _ in range(kills):
        place.writes.take()
        place.governor.start()
        if rng.random() >= STARTS_KILLED:
            _blow_until_it_writes(place, weather, rng)
        end_s = time.monotonic() + rng.uniform(0, 2.0)
        while time.monotonic() < end_s:
            _blow(weather, rng)
        place.governor.kill()
    place.governor.start()
    weather.clear_up()
    eventually(place.governor.is_ready, what="the last one to be at work")
    deadline = time.monotonic() + REST_WITHIN_S
    while ending := _ending(place):
        assert time.monotonic() < deadline, f"does not go: {ending}: {place.governor.last_lines()}"
        place.pods.step()
        time.sleep(POLL_S)
    weather.begin()  # what is gone comes again, so that there is something to compare
    for _ in range(LAST_CHANGES):
        _blow(weather, rng)
    weather.clear_up()
    weather.clear()
    return weather.done


def _ending(place: Place) -> list[str]:
    found = [each for each in resources(place.cluster) if "deletionTimestamp" in each["metadata"]]
    return [f"{place_of(each)} {each.get('status', {}).get('reason')}" for each in found]


def _blow_until_it_writes(place: Place, weather: Storm, rng: random.Random) -> None:
    deadline = time.monotonic() + AWAKE_WITHIN_S
    while not place.writes.take():
        assert place.governor.is_running, place.governor.last_lines()
        assert time.monotonic() < deadline, f"it writes nothing: {place.governor.last_lines()}"
        _blow(weather, rng)


def _blow(weather: Storm, rng: random.Random) -> None:
    weather.step()
    time.sleep(rng.uniform(0, PAUSE_S_MAX))
