"""The edge of the Venue machine: every input is in the journal before it has an effect (rules 3, 10, 21).

The state is the fold of the journal, from the newest snapshot on. A worker that comes back after a crash folds the
journal again; a lockstep turn that is in the journal, but whose row was not written, gets the same row.

In a free run nobody says what comes first, but market time does: a request is applied after the bars that its sender
had seen, as far as they reach us at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition
from typing import Protocol

from tradefleet.bus.ports import Bus
from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import FleetError, Retryable
from tradefleet.domain.ids import AccountId, ClientOrderId, StreamName, bars_stream
from tradefleet.domain.progress import REPORTS_STREAM, VENUE, VENUE_REQUESTS_STREAM, Phase, Progress
from tradefleet.domain.venue import VenueOrder, VenueReport, VenueRequest, untouched_order
from tradefleet.runtime.follower import RunFollower
from tradefleet.runtime.ports import Clock, Streams
from tradefleet.store.ports import VENUE_ROLE, Lease, RunId, RunStore, VenueStore, venue_lease
from tradefleet.store.upkeep import TopicStore
from workloads.backtest.engine import steps
from workloads.backtest.lockstep import Due, RunView
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.journal import BarsRecord, JournalRecord, RequestsRecord
from workloads.exchange.venue.orders import FinishedOrder
from workloads.exchange.venue_fold import Place, VenueFold
from workloads.exchange.venue_inbox import VenueInbox

REQUESTS_MAX = 1_000  # in one journal record
POLLS_MAX = 100  # of its bars that a request waits for: nobody else shall wait for one that names a time far ahead


class VenueDatabase(VenueStore, RunStore, TopicStore, Protocol):
    """Everything the venue's edge reads and writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePlan:
    """How this venue runs."""

    config: VenueConfig
    exchange: str  # "namespace/name"
    holder: str
    generation: int
    owner: str = ""  # UID of the Exchange
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000
    snapshot_every: int = 5_000  # journal records


class VenueWorker:
    """One simulated exchange. `receive` and the questions may be called by other threads (the server's)."""

    def __init__(
        self,
        plan: VenuePlan,
        *,
        store: VenueDatabase,
        streams: Streams,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._store = store
        self._streams = streams
        self._clock = clock
        self._bar_streams = sorted(
            bars_stream(plan.exchange, symbol, min(intervals)) for symbol, intervals in plan.config.intervals_us.items()
        )
        self._lease: Lease | None = None
        self._fold = VenueFold(plan.exchange, store=store, bus=bus)
        self._is_folded = False  # until then an order that is in the journal would look unknown
        self._failure: FleetError | None = None  # of the journal, in whatever thread
        self._inbox = VenueInbox(self._fold.request_no)
        self._polls = 0  # since something began to wait in a free run
        self._view: RunView | None = None
        self._follower: RunFollower | None = None
        self.changed = Condition()  # guards the machine and the inbox; notified when something came or went

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the lease and fold the journal."""
        plan = self._plan
        self._lease = self._store.acquire(
            venue_lease(plan.exchange),
            holder=plan.holder,
            generation=plan.generation,
            ttl_us=plan.lease_ttl_us,
            owner=plan.owner,
        )
        self._fold.open()
        with self.changed:
            self._failure, self._is_folded = None, False
            self._fold.restore()
            self._fold.configure(plan.config, self._epoch())
            # The rest waits: no connection broke, so nobody would send it again.
            self._inbox.forget_taken()
            self._is_folded = True
        self._streams.start(self.bar_positions)
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follower = RunFollower(self._store, plan.run, [VENUE_ROLE], self._view)
            self._follower.refresh()

    def stop(self) -> None:
        """Give the lease back."""
        if self._lease is not None:
            self._store.release(self._lease)
            self._lease = None

    @property
    def is_finished(self) -> bool:
        """True when the lockstep run has ended."""
        return self._view is not None and self._view.is_finished

    def step(self, timeout_us: int) -> bool:
        """Do one bounded piece of work."""
        plan, lease = self._plan, self._lease
        assert lease is not None, "step() before start()"
        if self._failure is not None:
            raise self._failure
        if self._clock.monotonic_us() >= lease.deadline_us - plan.lease_ttl_us // 2:
            self._lease = self._store.renew(lease, ttl_us=plan.lease_ttl_us)
        worked = self._lockstep(timeout_us) if self._follower is not None else self._free(timeout_us)
        if self._fold.unsaved >= plan.snapshot_every:
            with self.changed:
                snapshot = self._fold.take_snapshot()
            self._store.save_venue_snapshot(lease, snapshot)
        return worked

    # --- free run -------------------------------------------------------------------------------------------------

    def _free(self, timeout_us: int) -> bool:
        with self.changed:
            waiting = self._inbox.last_numbers()
        bars = [item.bar for item in self._streams.poll(timeout_us) if item.bar is not None]
        with self.changed:
            self._play(bars)
            self._polls = self._polls + 1 if waiting else 0
            if waiting and (not bars or self._polls >= POLLS_MAX):
                # What they were decided on does not reach us. Only those that were there before we looked.
                self._commit(self._records_of(self._inbox.all(waiting), self._fold.market_us))
                self._polls = 0
        return bool(bars or waiting)

    def _play(self, bars: Sequence[Bar]) -> None:
        """Apply bars, step by step, and each waiting request between the steps where it was decided."""
        records: list[JournalRecord] = []
        for market_us, step_bars in steps(bars):
            requests = self._inbox.decided_by(market_us - 1)
            if requests:
                self._commit(records)
                self._commit(self._records_of(requests, self._fold.market_us))
                records = []
            records.append(BarsRecord(epoch=self._epoch(), market_us=market_us, bars=tuple(step_bars)))
        self._commit(records)
        self._commit(self._records_of(self._inbox.decided_by(self._fold.market_us), self._fold.market_us))

    # --- lockstep -------------------------------------------------------------------------------------------------

    def _lockstep(self, timeout_us: int) -> bool:
        assert self._follower is not None
        assert self._view is not None
        due = self._view.due_of(VENUE)
        if due is None:
            self._follower.wait(timeout_us)
            due = self._view.due_of(VENUE)
        if due is None:
            return False
        place = Place(due.market_us, due.turn.round, due.turn.phase)
        is_journaled = self._fold.last is not None and self._fold.last[0] >= place
        if not is_journaled and not self._take_turn(due, timeout_us):
            return False
        assert self._fold.last is not None
        self._write_row(due, self._fold.last[1])
        return True

    def _take_turn(self, due: Due, timeout_us: int) -> bool:
        """Put the turn's inputs into the journal and apply them; False while requests are still under way."""
        assert self._view is not None
        heads = self._view.heads
        if due.turn.phase is Phase.VENUE_BARS:
            wanted = {stream: heads[stream] for stream in self._bar_streams if stream in heads}
            # Older ones, which were played when no run was under way, have had no effect yet either.
            bars = [item.bar for items in self._streams.until(wanted).values() for item in items if item.bar]
            bars.sort(key=lambda bar: (bar.close_us, bar.symbol, bar.interval_us))
            record = BarsRecord(epoch=self._epoch(), market_us=due.market_us, bars=tuple(bars))
            with self.changed:
                self._commit([record])
            return True
        with self.changed:
            if not self._inbox.has_until(heads[VENUE_REQUESTS_STREAM]):
                self.changed.wait(timeout_us / 1_000_000)
                return False
            self._commit(self._records_of(self._inbox.all(), due.market_us, due.turn.round))
        return True

    def _write_row(self, due: Due, report_no: int | None) -> None:
        plan = self._plan
        assert plan.run is not None
        assert self._lease is not None
        progress = Progress(
            participant=VENUE,
            market_us=due.market_us,
            round=due.turn.round,
            phase=due.turn.phase,
            produced={} if report_no is None else {REPORTS_STREAM: report_no},
        )
        self._store.commit_venue_progress(self._lease, plan.run, progress)
        assert self._view is not None
        self._view.offer([progress])

    @property
    def bar_positions(self) -> Mapping[StreamName, int]:
        """The number of the last bar in the journal, for each stream that is read."""
        return {stream: self._fold.bar_seqs.get(stream, 0) for stream in self._bar_streams}

    def state_hash(self) -> str:
        """Return the hash of the venue's state."""
        with self.changed:
            return self._fold.venue.state_hash()

    # --- journal --------------------------------------------------------------------------------------------------

    def _epoch(self) -> int:
        assert self._lease is not None
        return self._lease.epoch

    def _records_of(
        self, waiting: Sequence[tuple[AccountId, Sequence[VenueRequest]]], market_us: int, round_no: int = 0
    ) -> list[JournalRecord]:
        """Return requests as records, account by account."""
        return [
            RequestsRecord(
                epoch=self._epoch(),
                market_us=market_us,
                round=round_no,
                account=account,
                requests=tuple(requests[start : start + REQUESTS_MAX]),
            )
            for account, requests in waiting
            for start in range(0, len(requests), REQUESTS_MAX)
        ]

    def _commit(self, records: Sequence[JournalRecord]) -> None:
        """Append and apply. After an error nobody knows where the journal ends: nothing follows it."""
        if self._failure is not None:
            raise self._failure
        if not records:
            return
        try:
            self._fold.commit(records)
        except FleetError as error:
            self._failure = error
            raise
        self._inbox.forget_taken()

    # --- what the server asks -------------------------------------------------------------------------------------

    def receive(self, account: AccountId, requests: Sequence[VenueRequest]) -> None:
        """Take requests in. They count once they are in the journal; `request_no` tells.

        In a free run they are journaled and applied at once, in the caller's thread, unless they were decided on bars
        that we do not have yet; in a lockstep run they wait for their turn. An error of the journal is raised here and
        again by the next `step`; until the journal was folded again nobody knows what is in it, so nothing is taken.
        """
        with self._folded():
            taken = self._fold.request_no(account)
            fresh = [request for request in requests if request.no > taken]
            if not fresh:
                return
            self._inbox.put(account, fresh)
            if self._plan.run is not None:
                self.changed.notify_all()
                return
            try:
                now_us = self._fold.market_us
                self._commit(self._records_of(self._inbox.decided_by(now_us), now_us))
            except FleetError:
                self._inbox.remove(account, fresh)  # their sender is told, and asks before it sends them again
                raise

    def request_no(self, account: AccountId) -> int:
        """Return the last request number that has arrived: it is in the journal, or waits for its turn or its bars.

        What waits must count: its gateway would take it back, or send something else under its number, just before its
        turn comes. Only the end of this process loses it, and that ends the connection too.
        """
        with self._folded():
            return self._inbox.last_no(account)

    def reports(self, account: AccountId, since: int) -> list[VenueReport]:
        """Return the reports after `since`; those up to it will not be asked for again.

        Raises Retryable when `since` is a number that this process has not reached: it was succeeded and does not
        know it yet, and what it says of orders and balances is the past.
        """
        with self._folded():
            reached = self._fold.venue.report_no(account)
            if since > reached:
                raise Retryable(
                    f"exchange {self._plan.exchange}: account {account} has report {since}, this process has reached "
                    f"{reached}: another one keeps the journal now, or its end was lost"
                )
            self._fold.venue.trim_reports(account, since)
            return self._fold.venue.reports(account, since)

    def query(self, account: AccountId, client_order_id: ClientOrderId) -> VenueOrder | None:
        """Return an order: open, finished, or one that has arrived and waits."""
        with self._folded():
            found = self._fold.venue.query(account, client_order_id)
            waiting = self._inbox.submitted(account, client_order_id) if found is None else None
        if waiting is not None:
            return untouched_order(account, waiting)
        return replace(found.order, is_open=False) if isinstance(found, FinishedOrder) else found

    def open_orders(self, account: AccountId) -> list[VenueOrder]:
        """Return the open orders of an account."""
        with self._folded():
            return self._fold.venue.open_orders(account)

    def balances(self, account: AccountId) -> Mapping[str, tuple[int, int]]:
        """Return free and locked atoms per asset of an account."""
        with self._folded():
            return self._fold.venue.balances(account)

    @contextmanager
    def _folded(self) -> Iterator[None]:
        """Hold the machine. Raises Retryable while its journal is not folded: nothing true could be said.

        So it is after an append that failed: what it was to write may be there, and would look unknown.
        """
        with self.changed:
            if not self._is_folded or self._failure is not None:
                raise Retryable(f"exchange {self._plan.exchange}: its journal is being read: ask again in a moment")
            yield
