"""A gateway's part in a lockstep run: when its turn is, what belongs to it, and the row that ends it (rule 21)."""

from collections.abc import Sequence

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import StreamName, executions_stream
from tradefleet.domain.progress import GATEWAY, REPORTS_STREAM, VENUE_REQUESTS_STREAM, Progress
from tradefleet.runtime.follower import RunFollower
from tradefleet.store.ports import GATEWAY_ROLE, RunId, RunStore
from workloads.backtest.lockstep import Due, RunView
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway


class GatewayTurns:
    """Follows one run."""

    def __init__(self, run: RunId, store: RunStore, bar_streams: Sequence[StreamName]) -> None:
        self._bar_streams = bar_streams
        self._view = RunView(store.participants(run))
        self._follower = RunFollower(store, run, [GATEWAY_ROLE], self._view)
        self._follower.refresh()

    @property
    def is_finished(self) -> bool:
        """True when the run has ended."""
        return self._view.is_finished

    def due(self, timeout_us: int) -> Due | None:
        """Return our next turn, waiting for it; None when it has not come."""
        due = self._view.due_of(GATEWAY)
        if due is None:
            self._follower.wait(timeout_us)
            due = self._view.due_of(GATEWAY)
        return due

    @property
    def last_report_no(self) -> int:
        """The last report that the venue's rows have told of."""
        return self._view.heads.get(REPORTS_STREAM, 0)

    @property
    def bar_heads(self) -> dict[StreamName, int]:
        """The last bar of each of our streams that the feed's rows have told of."""
        heads = self._view.heads
        return {stream: heads[stream] for stream in self._bar_streams if stream in heads}

    def row(self, due: Due, machine: Gateway, effects: GatewayEffects) -> Progress:
        """Return the row that ends a turn."""
        return Progress(
            participant=GATEWAY,
            market_us=due.market_us,
            round=due.turn.round,
            phase=due.turn.phase,
            produced=self._produced(machine, effects),
        )

    def _produced(self, machine: Gateway, effects: GatewayEffects) -> dict[StreamName, int]:
        """Return the last numbers of what this turn brings to others: executions that no row has told of, and again
        those of bots that have not had their turn since, so that this row can wake everybody who has one next.
        """
        produced: dict[StreamName, int] = {}
        if effects.venue_requests:
            produced[VENUE_REQUESTS_STREAM] = machine.request_no
        heads, fresh, listening = self._view.heads, self._view.fresh, self._view.executions
        for account in machine.accounts.values():
            stream = executions_stream(account.config.uid)
            if stream in listening and (account.execution_seq > heads.get(stream, 0) or stream in fresh):
                produced[stream] = account.execution_seq
        return produced

    def offer(self, row: Progress) -> None:
        """Take a row of our own that is committed."""
        self._view.offer([row])


def in_turn(bar: Bar) -> tuple[str, int]:
    """Return where a bar stands among those of its step (rule 20)."""
    return (bar.symbol, bar.interval_us)
