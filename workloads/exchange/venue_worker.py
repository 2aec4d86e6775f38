"""The edge of the Venue machine: every input is in the journal before it has an effect (rules 3, 10, 21).

The state is the fold of the journal, from the newest snapshot on. A worker that comes back after a crash folds the
journal again; a lockstep turn that is in the journal, but whose row was not written, gets the same row.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition
from typing import NamedTuple, Protocol

import msgspec

from tradefleet.bus.ports import Bus, Journal
from tradefleet.domain.errors import FleetError, Permanent, Retryable
from tradefleet.domain.ids import AccountId, ClientOrderId, StreamName, bars_stream
from tradefleet.domain.progress import REPORTS_STREAM, VENUE, VENUE_REQUESTS_STREAM, Phase, Progress
from tradefleet.domain.venue import VenueOrder, VenueReport, VenueRequest
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert_journal import (
    journal_bars_message,
    journal_bars_of,
    journal_requests_message,
    journal_requests_of,
)
from tradefleet.messages.journal import JournalBars, JournalConfigured, JournalRequests
from tradefleet.messages.topics import JOURNAL
from tradefleet.runtime.follower import RunFollower
from tradefleet.runtime.ports import Clock, Streams
from tradefleet.store.ports import VENUE_ROLE, Lease, RunId, RunStore, VenueSnapshot, VenueStore, venue_lease
from workloads.backtest.engine import steps
from workloads.backtest.lockstep import Due, RunView
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.journal import BarsRecord, JournaledVenue, JournalRecord, RequestsRecord
from workloads.exchange.venue.orders import FinishedOrder

REQUESTS_MAX = 1_000  # in one journal record


class VenueDatabase(VenueStore, RunStore, Protocol):
    """Everything the venue's edge reads and writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePlan:
    """How this venue runs."""

    config: VenueConfig
    exchange: str  # "namespace/name"
    holder: str
    generation: int
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000
    snapshot_every: int = 5_000  # journal records


class _Place(NamedTuple):
    """The lockstep turn of a journal record."""

    market_us: int
    round: int
    phase: Phase


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
        self._bus = bus
        self._journal: Journal | None = None
        self._clock = clock
        self._bar_streams = sorted(
            bars_stream(plan.exchange, symbol, min(intervals)) for symbol, intervals in plan.config.intervals_us.items()
        )
        self._lease: Lease | None = None
        self._state = JournaledVenue(plan.config)
        self._offset = -1
        self._snapshot_seq = 0
        self._seq = 0  # journal records written
        self._bar_seqs: dict[StreamName, int] = {}  # bars of each stream that are in the journal: our position
        self._is_folded = False  # until then an order that is in the journal would look unknown
        self._failure: FleetError | None = None  # of the journal, in a server's thread
        self._last: tuple[_Place, int | None] | None = None  # turn of the last record, and the report it reached
        self._inbox: dict[AccountId, dict[int, VenueRequest]] = {}
        self._view: RunView | None = None
        self._follower: RunFollower | None = None
        self.changed = Condition()  # guards the machine and the inbox; notified when something came or went

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the lease and fold the journal."""
        plan = self._plan
        self._lease = self._store.acquire(
            venue_lease(plan.exchange), holder=plan.holder, generation=plan.generation, ttl_us=plan.lease_ttl_us
        )
        if self._journal is not None:
            self._journal.close()
        self._journal = self._bus.journal(JOURNAL.name, plan.exchange)
        with self.changed:
            self._failure, self._is_folded = None, False
            self._restore()
            self._is_folded = True
        self._streams.start(self._bar_seqs)
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follower = RunFollower(self._store, plan.run, [VENUE_ROLE], self._view)
            self._follower.refresh()

    def _restore(self) -> None:
        plan, journal = self._plan, self._journal
        assert journal is not None
        found = (self._bus.cluster_id(), self._bus.topic_id(JOURNAL.name))
        self._state = JournaledVenue(plan.config)
        self._last = None
        self._bar_seqs = dict.fromkeys(self._bar_streams, 0)
        self._offset, self._seq = -1, 0
        snapshot = self._store.load_venue_snapshot(plan.exchange)
        if snapshot is not None:
            if (snapshot.cluster_id, snapshot.topic_id) != found:
                raise Permanent(
                    f"exchange {plan.exchange}: JournalLost: the snapshot is of journal {snapshot.topic_id} in cluster "
                    f"{snapshot.cluster_id}, the broker has {found[1]} in {found[0]}. The "
                    "simulator's journal is the one thing a wiped broker loses: start a new fleet, or bring the "
                    "broker's data back"
                )
            saved = msgspec.json.decode(snapshot.state)
            self._state.restore(saved["venue"])
            self._seq = saved["seq"]
            self._bar_seqs.update(saved["bar_seqs"])
            self._last = _decode_last(saved["last"])
            self._offset = snapshot.offset
        self._snapshot_seq = self._seq
        for journaled in journal.read(self._offset + 1):
            self._seq += 1
            record = record_of(journaled.value)
            if record is not None:
                self._apply(record)
            self._offset = journaled.offset
        self._forget_taken()

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
        if self._seq - self._snapshot_seq >= plan.snapshot_every:
            self._save()
        return worked

    # --- free run -------------------------------------------------------------------------------------------------

    def _free(self, timeout_us: int) -> bool:
        bars = [item.bar for item in self._streams.poll(timeout_us) if item.bar is not None]
        records: list[JournalRecord] = [
            BarsRecord(epoch=self._epoch(), market_us=market_us, bars=tuple(step_bars))
            for market_us, step_bars in steps(bars)
        ]
        if records:
            with self.changed:
                self._commit(records)
        return bool(records)

    def _market_us(self) -> int:
        return 0 if self._last is None else self._last[0].market_us

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
        place = _Place(due.market_us, due.turn.round, due.turn.phase)
        is_journaled = self._last is not None and self._last[0] >= place
        if not is_journaled and not self._take_turn(due, timeout_us):
            return False
        assert self._last is not None
        self._write_row(due, self._last[1])
        return True

    def _take_turn(self, due: Due, timeout_us: int) -> bool:
        """Put the turn's inputs into the journal and apply them; False while requests are still under way."""
        assert self._view is not None
        heads = self._view.heads
        if due.turn.phase is Phase.VENUE_BARS:
            wanted = {stream: heads[stream] for stream in self._bar_streams if stream in heads}
            bars = [item.bar for items in self._streams.until(wanted).values() for item in items]
            fresh = [bar for bar in bars if bar is not None and bar.close_us == due.market_us]
            fresh.sort(key=lambda bar: (bar.symbol, bar.interval_us))
            record = BarsRecord(epoch=self._epoch(), market_us=due.market_us, bars=tuple(fresh))
            with self.changed:
                self._commit([record])
            return True
        with self.changed:
            if not self._has_requests(heads[VENUE_REQUESTS_STREAM]):
                self.changed.wait(timeout_us / 1_000_000)
                return False
            self._commit(self._take_requests(due.market_us, due.turn.round))
        return True

    def _has_requests(self, until_no: int) -> bool:
        """Return whether the inbox holds every request up to the number that the gateway's row told of."""
        return any(
            all(no in requests for no in range(self._state.venue.request_no(account) + 1, until_no + 1))
            for account, requests in self._inbox.items()
        )

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
        """The number of the last bar of each stream that is in the journal."""
        return self._bar_seqs

    def state_hash(self) -> str:
        """Return the hash of the venue's state."""
        with self.changed:
            return self._state.venue.state_hash()

    # --- journal --------------------------------------------------------------------------------------------------

    def _epoch(self) -> int:
        assert self._lease is not None
        return self._lease.epoch

    def _take_requests(self, market_us: int, round_no: int) -> list[JournalRecord]:
        """Return the inbox as records, account by account, gapless from what the venue has taken."""
        records: list[JournalRecord] = []
        for account in sorted(self._inbox):
            waiting = self._inbox[account]
            number = self._state.venue.request_no(account) + 1
            batch: list[VenueRequest] = []
            while number in waiting and len(batch) < REQUESTS_MAX:
                batch.append(waiting[number])
                number += 1
            if batch:
                record = RequestsRecord(
                    epoch=self._epoch(),
                    market_us=market_us,
                    round=round_no,
                    account=account,
                    requests=tuple(batch),
                )
                records.append(record)
        return records

    def _commit(self, records: Sequence[JournalRecord]) -> None:
        """Append, then apply: an effect that nobody could replay must not be."""
        payloads = [self._payload(record, self._seq + number) for number, record in enumerate(records, start=1)]
        assert self._journal is not None
        self._offset = self._journal.append(payloads)[-1]
        self._seq += len(payloads)
        for record in records:
            self._apply(record)
        self._forget_taken()

    def _forget_taken(self) -> None:
        """Empty the inbox of what is in the journal.

        The rest waits, also while the journal is folded again: no connection broke, so nobody would send it again.
        """
        for account in sorted(self._inbox):
            taken = self._state.venue.request_no(account)
            left = {number: request for number, request in self._inbox[account].items() if number > taken}
            if left:
                self._inbox[account] = left
            else:
                del self._inbox[account]

    def _payload(self, record: JournalRecord, seq: int) -> bytes:
        exchange = self._plan.exchange
        if isinstance(record, BarsRecord):
            return encode(journal_bars_message(exchange, seq, record.epoch, record.market_us, record.bars))
        return encode(
            journal_requests_message(
                exchange, seq, record.epoch, record.account, record.market_us, record.round, record.requests
            )
        )

    def _apply(self, record: JournalRecord) -> None:
        is_stale = record.epoch < self._state.epoch
        outputs = self._state.apply(record)
        if is_stale:
            return  # what a fenced writer got in is no part of the journal: its bars will be written again
        if isinstance(record, BarsRecord):
            place = _Place(record.market_us, 0, Phase.VENUE_BARS)
            for bar in record.bars:
                self._bar_seqs[bars_stream(self._plan.exchange, bar.symbol, bar.interval_us)] += 1
        else:
            place = _Place(record.market_us, record.round, Phase.VENUE_REQUESTS)
        self._last = (place, max((report.no for _, report in outputs), default=None))

    def _save(self) -> None:
        assert self._lease is not None
        with self.changed:
            state = {
                "venue": self._state.snapshot(),
                "seq": self._seq,
                "bar_seqs": self._bar_seqs,
                "last": self._last,
            }
            snapshot = VenueSnapshot(
                exchange=self._plan.exchange,
                offset=self._offset,
                cluster_id=self._bus.cluster_id(),
                topic_id=self._bus.topic_id(JOURNAL.name),
                state_hash=self._state.venue.state_hash(),
                state=msgspec.json.encode(state),
            )
        self._store.save_venue_snapshot(self._lease, snapshot)
        self._snapshot_seq = self._seq

    # --- what the server asks -------------------------------------------------------------------------------------

    def receive(self, account: AccountId, requests: Sequence[VenueRequest]) -> None:
        """Take requests in. They count once they are in the journal; `request_no` tells.

        In a free run they are journaled and applied at once, in the caller's thread; in a lockstep run they wait for
        their turn. An error of the journal is raised here and again by the next `step`; until the journal was folded
        again nobody knows what is in it, so nothing is taken.
        """
        with self._folded():
            if self._failure is not None:
                raise self._failure
            taken = self._state.venue.request_no(account)
            fresh = {request.no: request for request in requests if request.no > taken}
            if not fresh:
                return
            self._inbox.setdefault(account, {}).update(fresh)
            if self._plan.run is not None:
                self.changed.notify_all()
                return
            try:
                self._commit(self._take_requests(self._market_us(), 0))
            except FleetError as error:
                self._failure = error
                del self._inbox[account]  # its sender is told, and asks before it sends them again
                raise

    def request_no(self, account: AccountId) -> int:
        """Return the last request number that is in the journal."""
        with self._folded():
            return self._state.venue.request_no(account)

    def reports(self, account: AccountId, since: int) -> list[VenueReport]:
        """Return the reports after `since`; those up to it will not be asked for again."""
        with self._folded():
            self._state.venue.trim_reports(account, since)
            return self._state.venue.reports(account, since)

    def query(self, account: AccountId, client_order_id: ClientOrderId) -> VenueOrder | None:
        """Return an order, open or finished."""
        with self._folded():
            found = self._state.venue.query(account, client_order_id)
        return replace(found.order, is_open=False) if isinstance(found, FinishedOrder) else found

    def open_orders(self, account: AccountId) -> list[VenueOrder]:
        """Return the open orders of an account."""
        with self._folded():
            return self._state.venue.open_orders(account)

    def balances(self, account: AccountId) -> Mapping[str, tuple[int, int]]:
        """Return free and locked atoms per asset of an account."""
        with self._folded():
            return self._state.venue.balances(account)

    @contextmanager
    def _folded(self) -> Iterator[None]:
        """Hold the machine. Raises Retryable while its journal is not folded: nothing true could be said."""
        with self.changed:
            if not self._is_folded:
                raise Retryable(f"exchange {self._plan.exchange}: its journal is being read: ask again in a moment")
            yield


def record_of(payload: bytes) -> JournalRecord | None:
    """Return the record in a message of the journal topic; None for one that says only how the venue was set up.

    Raises Permanent for a message that is no journal record.
    """
    message = decode(payload)
    match message:
        case JournalBars():
            return BarsRecord(
                epoch=message.epoch, market_us=message.event_time_us, bars=tuple(journal_bars_of(message))
            )
        case JournalRequests():
            return RequestsRecord(
                epoch=message.epoch,
                market_us=message.event_time_us,
                round=message.round,
                account=AccountId(message.account),
                requests=tuple(journal_requests_of(message)),
            )
        case JournalConfigured():
            return None
        case _:
            raise Permanent(f"journal: a {message.type} is no journal record")


def _decode_last(saved: list[object] | None) -> tuple[_Place, int | None] | None:
    if saved is None:
        return None
    place, report_no = msgspec.convert(saved, tuple[tuple[int, int, int], int | None])
    return _Place(place[0], place[1], Phase(place[2])), report_no
