"""What a Governor does now and then, so that a fleet does not grow with the time that it has run.

Every deletion is bounded, so a round of the Governor is never held up; what is left over goes next time. What stays
for good: the books (orders, fills, ledger, requests to venues), the bars, and the record of each bot's present
generation, which `verify-parity` folds from its beginning, with the requests and executions that belong to it.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from governor.workload import Command
from tradefleet.domain.bar import DAY_US
from tradefleet.domain.ids import BotUid, StreamName, executions_stream, orders_stream
from tradefleet.domain.progress import Participant, participant_bot
from tradefleet.store.ports import LeaseName, RunId, bot_lease, gateway_lease
from tradefleet.store.upkeep import RetentionStore

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long is kept what is not kept for good; here, and nowhere else."""

    every_s: float = 60.0
    rows_max: int = 10_000  # deleted from one table at a time
    generations_max: int = 10  # a record has many rows
    closed_generations_us: int = 7 * DAY_US  # records of closed generations and of deleted bots, with their messages
    statistics_us: int = 90 * DAY_US  # of market time, before each bot's newest; a lockstep run's are kept whole
    actions_us: int = 90 * DAY_US  # the log of who did what, crashes included; the periods of halts stay
    trials_us: int = 7 * DAY_US  # of deleted Backtests; those of others by their historyLimit
    dead_letters_us: int = 30 * DAY_US  # of market data, as long as in their topic; those that bear money stay


def consumers_of(commands: Iterable[Command]) -> dict[LeaseName, frozenset[StreamName]]:
    """Return who must have passed which streams before they may be trimmed (rule 6).

    A bot has its executions to pass, an account's gateway the requests of all its bots. Venues and feeds consume bars
    and requests only, which are not trimmed.
    """
    found: dict[LeaseName, set[StreamName]] = {}
    for each in commands:
        config = each.command.config
        found.setdefault(bot_lease(config.key, config.uid), set()).add(executions_stream(config.uid))
        found.setdefault(gateway_lease(each.account), set()).add(orders_stream(config.uid))
    return {consumer: frozenset(streams) for consumer, streams in found.items()}


class Housekeeping:
    """Registers consumers as soon as they are there, and deletes now and then what is old."""

    def __init__(self, store: RetentionStore, clock_s: Callable[[], float], retention: Retention | None = None) -> None:
        self._store = store
        self._clock_s = clock_s
        self._retention = retention or Retention()
        self._registered: Mapping[LeaseName, frozenset[StreamName]] | None = None
        self._due_s = clock_s() + self._retention.every_s  # a fleet that starts has other things to do

    def tend(
        self,
        commands: Collection[Command],
        *,
        runs: Mapping[str, frozenset[Participant]],
        finished: Collection[str],
        kept: Mapping[str, tuple[str, int]],
    ) -> None:
        """Do what is due for a fleet with these commands, lockstep runs and Backtests. Raises what the store raises.

        `kept` says by the UID of a Backtest what it asks now, and how many earlier questions keep their results.
        """
        self._register(consumers_of(commands))
        if self._clock_s() < self._due_s:
            return
        self._due_s = self._clock_s() + self._retention.every_s
        in_runs = {bot[1] for names in runs.values() for name in names if (bot := participant_bot(name)) is not None}
        uids = {each.command.config.uid for each in commands} - in_runs
        deleted = {what: count for what, count in self._forget(uids, finished, kept).items() if count}
        if deleted:
            _LOG.info("deleted what nobody needs any more", extra=deleted)

    def _register(self, wanted: Mapping[LeaseName, frozenset[StreamName]]) -> None:
        """Make the consumers those that are wanted. Without one a stream is kept, so being late loses nothing."""
        if self._registered is None:
            self._registered = self._store.consumers()
        known = self._registered
        if wanted == known:
            return
        self._registered = None  # until all is written: an error on the way makes the next call look
        for consumer in sorted(wanted):
            if wanted[consumer] != known.get(consumer):
                self._store.register_consumer(consumer, sorted(wanted[consumer]))
        for consumer in sorted(known.keys() - wanted.keys()):
            self._store.remove_consumer(consumer)
        self._registered = wanted

    def _forget(
        self, uids: Collection[BotUid], finished: Iterable[str], backtests: Mapping[str, tuple[str, int]]
    ) -> dict[str, int]:
        """Delete what is old; return how much, by what it was. Records go before the messages that they hold."""
        kept, store, limit = self._retention, self._store, self._retention.rows_max
        return {
            "generations": store.forget_generations(kept_us=kept.closed_generations_us, limit=kept.generations_max),
            "messages": store.trim(limit=limit),
            "statistics": store.forget_statistics(uids, kept_us=kept.statistics_us, limit=limit),
            "progress": sum(store.forget_progress(RunId(run), limit=limit) for run in sorted(finished)),
            "actions": store.forget_actions(kept_us=kept.actions_us, limit=limit),
            "trials": store.forget_trials(backtests, gone_us=kept.trials_us, limit=limit),
            "dead_letters": store.forget_dead_letters(kept_us=kept.dead_letters_us, limit=limit),
        }
