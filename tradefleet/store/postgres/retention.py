"""Retention in Postgres: consumers are registered, and what nobody needs any more is deleted."""

from collections.abc import Collection, Mapping, Sequence

from tradefleet.domain.ids import BotUid, StreamName
from tradefleet.store.checks import lease_parts
from tradefleet.store.ports import LeaseName, RunId
from tradefleet.store.postgres import retention_sql
from tradefleet.store.postgres.session import Session


class PostgresRetentionStore:
    """Implements `RetentionStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def consumers(self) -> Mapping[LeaseName, frozenset[StreamName]]:
        """Return who is registered, each with its streams."""
        found: dict[LeaseName, set[StreamName]] = {}
        for consumer, stream in self._session.read(retention_sql.CONSUMERS, {"fleet": self._session.fleet}):
            found.setdefault(LeaseName(consumer), set()).add(StreamName(stream))
        return {consumer: frozenset(streams) for consumer, streams in found.items()}

    def register_consumer(self, consumer: LeaseName, streams: Sequence[StreamName]) -> None:
        """Let nothing of `streams` be trimmed that the consumer has not passed; they replace those of before."""
        lease_parts(consumer)
        parameters = {"fleet": self._session.fleet, "consumer": consumer, "streams": sorted(set(streams))}
        with self._session.transaction() as transaction:
            transaction.run(retention_sql.REMOVE_CONSUMER, parameters)
            transaction.run(retention_sql.REGISTER_CONSUMER, parameters)

    def remove_consumer(self, consumer: LeaseName) -> None:
        """Forget a consumer: it will not come back. Harmless when it is unknown."""
        self._session.commit(retention_sql.REMOVE_CONSUMER, {"fleet": self._session.fleet, "consumer": consumer})

    def forget_generations(self, *, kept_us: int, limit: int) -> int:
        """Delete the records of generations that were closed longer ago; return how many there were."""
        return self._forget(retention_sql.FORGET_GENERATIONS, limit, kept_us=kept_us)

    def forget_statistics(self, uids: Collection[BotUid], *, kept_us: int, limit: int) -> int:
        """Delete old statistics of these bots, and all of deleted bots without a record; return how many."""
        return self._forget(retention_sql.FORGET_STATISTICS, limit, kept_us=kept_us, uids=sorted(uids))

    def forget_progress(self, run: RunId, *, limit: int) -> int:
        """Delete the rows of a finished run but those that tell of its end; return how many were deleted."""
        return self._forget(retention_sql.FORGET_PROGRESS, limit, run=run)

    def forget_actions(self, *, kept_us: int, limit: int) -> int:
        """Delete entries of the log of actions that are older; return how many."""
        return self._forget(retention_sql.FORGET_ACTIONS, limit, kept_us=kept_us)

    def forget_dead_letters(self, *, kept_us: int, limit: int) -> int:
        """Delete dead letters of market data that are older; return how many."""
        return self._forget(retention_sql.FORGET_DEAD_LETTERS, limit, kept_us=kept_us)

    def forget_trials(self, kept: Mapping[str, tuple[str, int]], *, gone_us: int, limit: int) -> int:
        """Delete trials of Backtests that nobody asks for any more; return how many."""
        questions, runs = [each for each, _ in kept.values()], [each for _, each in kept.values()]
        return self._forget(
            retention_sql.FORGET_TRIALS, limit, uids=list(kept), questions=questions, kept=runs, gone_us=gone_us
        )

    def trim(self, *, limit: int) -> int:
        """Delete up to `limit` messages that nobody needs any more; return how many were deleted."""
        fleet = self._session.fleet
        deleted = 0
        with self._session.snapshot() as transaction:
            transaction.run(retention_sql.ALLOW_HASHING)
            bounds = transaction.run(retention_sql.BOUNDS, {"fleet": fleet}).fetchall()
        for stream, trimmed, bound in bounds:
            up_to = min(bound, trimmed + limit - deleted)
            if up_to > trimmed:
                parameters = {"fleet": fleet, "stream": stream, "from": trimmed, "up_to": up_to}
                deleted += len(self._session.commit(retention_sql.TRIM, parameters))
        return deleted

    def _forget(self, statement: str, limit: int, **parameters: object) -> int:
        return len(self._session.commit(statement, {"fleet": self._session.fleet, "limit": limit, **parameters}))
