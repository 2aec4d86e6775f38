"""Lockstep runs in Postgres: progress rows, and NOTIFY as the hint that there is a new one."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.errors import Permanent
from tradefleet.domain.progress import Participant, Phase, Progress
from tradefleet.store.ports import RunId, woken_by
from tradefleet.store.postgres import progress_sql
from tradefleet.store.postgres.encoding import to_json
from tradefleet.store.postgres.session import Connection, Session, Transaction
from tradefleet.store.postgres.translation import translate

CHANNEL_LENGTH_MAX = 63  # an identifier of Postgres
_DIGEST_LENGTH = 32
TIME_US_MAX = 2**63 - 1


class PostgresRuns:
    """Implements `RunStore`. The connection that reads the rows also listens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listening: set[str] = set()
        self._heard: set[str] = set()  # channels with hints that were not given out yet

    def create_run(
        self, run: RunId, feed: str, participants: Sequence[Participant], terms: Mapping[str, object]
    ) -> None:
        """Fix what a run begins with; the same call again is accepted, another feed or participants: Permanent."""
        parameters = {
            "fleet": self._session.fleet,
            "run": run,
            "feed": feed,
            "participants": sorted(set(participants)),
            "terms": to_json(terms),
        }
        with self._session.transaction() as transaction:
            if transaction.run(progress_sql.CREATE_RUN, parameters).fetchall():
                transaction.run(progress_sql.CREATE_PARTICIPANTS, parameters)
                return
            found = transaction.run(progress_sql.RUN, parameters).fetchall()
        known_feed, known = found[0]
        if known_feed != feed or set(known) != set(participants):
            raise Permanent(f"run {run}: feed and participants are fixed, as {known_feed} and {sorted(known)}")

    def participants(self, run: RunId) -> frozenset[Participant]:
        """Return who takes part."""
        rows = self._session.read(progress_sql.RUN, {"fleet": self._session.fleet, "run": run})
        return frozenset(rows[0][1]) if rows else frozenset()

    def terms_of_runs(self) -> dict[str, dict[str, object]]:
        """Return the terms of every run, by its name."""
        return dict(self._session.read(progress_sql.TERMS, {"fleet": self._session.fleet}))

    def progress_from(
        self, run: RunId, *, market_us: int, round_no: int, phase: int, until_us: int | None = None, limit: int
    ) -> list[Progress]:
        """Return rows at or after that place in the order of steps, sorted; none of a step after `until_us`."""
        rows = self._session.read(
            progress_sql.PROGRESS_FROM,
            {
                "fleet": self._session.fleet,
                "run": run,
                "market_us": market_us,
                "round": round_no,
                "phase": phase,
                "until_us": TIME_US_MAX if until_us is None else until_us,
                "limit": limit,
            },
        )
        return [_progress_of(row) for row in rows]

    def wait_progress(self, run: RunId, roles: Collection[str], *, timeout_us: int) -> bool:
        """Wait for the hint that somebody wrote a row that wakes one of `roles`; False after the timeout. Only a hint.

        The first call, and the first one on a new connection, start to listen and return True: look, then wait.
        """
        names = {channel(self._session.fleet, run, role) for role in roles}
        for name in names - self._listening:
            self._listening.add(name)
            self._session.on_open(partial(self._listen, name))
        connection = self._session.connection
        deadline_us = self._session.clock_us() + timeout_us
        try:
            # Hints that came with the answer to another statement wait in the connection and are given out first.
            left_us = 0
            while True:
                for notify in connection.notifies(timeout=left_us / MICROSECONDS, stop_after=1 if left_us else None):
                    self._heard.add(notify.channel)
                left_us = deadline_us - self._session.clock_us()
                if left_us <= 0 or not names.isdisjoint(self._heard):
                    break
        except psycopg.Error as error:
            self._session.close()
            raise translate(error, committing=False) from error
        heard = names & self._heard
        self._heard -= heard
        return bool(heard)

    def _listen(self, name: str, connection: Connection) -> None:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
        self._heard.add(name)


def channel(fleet: str, run: RunId, role: str) -> str:
    """Return the NOTIFY channel of a role in a run; names too long for Postgres are hashed."""
    name = f"tf_{fleet}_{run}_{role}"
    if len(name.encode()) <= CHANNEL_LENGTH_MAX:
        return name
    return f"tf_{hashlib.sha256(f'{fleet} {run} {role}'.encode()).hexdigest()[:_DIGEST_LENGTH]}"


def channels(fleet: str, run: RunId, progress: Progress) -> list[str]:
    """Return the channels that a row wakes."""
    return [channel(fleet, run, role) for role in woken_by(progress)]


def progress_parameters(fleet: str, run: RunId, progress: Progress) -> dict[str, Any]:
    """Return the parameters of a row of progress."""
    return {
        "fleet": fleet,
        "run": run,
        "market_us": progress.market_us,
        "round": progress.round,
        "phase": int(progress.phase),
        "participant": progress.participant,
        "produced": to_json(progress.produced),
        "next_due_us": progress.next_due_us,
        "has_left": progress.left,
        "message": f"run {run}: {progress.participant} wrote another row before for {progress.market_us} us, round "
        f"{progress.round}, {progress.phase.name}: now {progress}",
    }


def write_progress(transaction: Transaction, fleet: str, run: RunId, progress: Progress) -> None:
    """Write a row and wake who may care about it; the transaction fails when the row is there with other content."""
    parameters = progress_parameters(fleet, run, progress)
    transaction.run(progress_sql.WRITE, parameters | {"channels": channels(fleet, run, progress)})


def _progress_of(row: Sequence[Any]) -> Progress:
    market_us, round_no, phase, participant, produced, next_due_us, has_left = row
    return Progress(
        participant=participant,
        market_us=market_us,
        round=round_no,
        phase=Phase(phase),
        produced=produced,
        next_due_us=next_due_us,
        left=has_left,
    )
