"""The door between a gateway and whatever venue process is up, and what has gone through all doors together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tests.simulation.faults import OFTEN, Faults
from tests.simulation.invariants import NONSENSE
from tests.simulation.processes import Process
from tradefleet.domain.errors import Fenced, OutcomeUnknown, Retryable
from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.orders import Side
from tradefleet.domain.venue import (
    AmendOrder,
    ReportKind,
    SubmitOrder,
    VenueOrder,
    VenueReport,
    VenueRequest,
    VoidRequest,
)
from workloads.exchange.venue_worker import VenueWorker


@dataclass(slots=True)
class Wire:
    """What went over all doors of an account. `late` is still under way: (due, venue's process, requests).

    A submit that was tried once and is tried again without a question in between is a violation where the venue keeps
    no numbers; so is one that arrives twice there, since such a venue would make two orders of it.
    """

    keeps_numbers: bool
    sent_risky: Callable[[ClientOrderId], None]  # told of each order or amendment that raises risk as it arrives
    tried: set[ClientOrderId] = field(default_factory=set)
    asked: set[ClientOrderId] = field(default_factory=set)
    accepted: dict[ClientOrderId, int] = field(default_factory=dict)
    pulled: int = 0  # the last of the venue's own report numbers that the adapter has
    log: list[VenueReport] = field(default_factory=list)  # the adapter's reports, where the venue keeps no numbers
    late: list[tuple[int, int, list[VenueRequest]]] = field(default_factory=list)
    connection: int = 0  # number of the newest one; the venue takes nothing from an older one

    def note_attempt(self, requests: Sequence[VenueRequest]) -> None:
        """Look at requests that leave the gateway."""
        for request in requests:
            if not isinstance(request, SubmitOrder) or self.keeps_numbers:
                continue
            order_id = request.client_order_id
            unasked = order_id in self.tried and order_id not in self.asked
            assert not unasked, f"{order_id} was sent again, and nobody had asked the venue"
            self.tried.add(order_id)
            self.asked.discard(order_id)

    def note_arrival(self, worker: VenueWorker, account: AccountId, requests: Sequence[VenueRequest]) -> None:
        """Look at requests that reach the venue."""
        taken = worker.request_no(account)
        for request in requests:
            if self.keeps_numbers and request.no <= taken:
                continue
            if isinstance(request, SubmitOrder) and not self.keeps_numbers:
                is_known = worker.query(account, request.client_order_id) is not None
                assert not is_known, f"{request.client_order_id} reached the venue twice"

    def note_risk(self, worker: VenueWorker, account: AccountId, requests: Sequence[VenueRequest]) -> None:
        """Look at what may raise risk of requests that leave: how long they are under way is nobody's choice."""
        taken = worker.request_no(account)
        for request in requests:
            if self.keeps_numbers and request.no <= taken:
                continue
            match request:
                case SubmitOrder():
                    if request.terms.side is Side.BUY:
                        self.sent_risky(request.client_order_id)
                case AmendOrder():
                    order = worker.query(account, request.client_order_id)
                    if order is not None and order.is_open and order.side is Side.BUY and _raises(order, request):
                        self.sent_risky(request.client_order_id)

    def note_reports(self, reports: Sequence[VenueReport]) -> None:
        """Look at what a venue says: one acceptance for an order, always under the same number."""
        for report in reports:
            if report.kind is ReportKind.ACCEPTED:
                number = self.accepted.setdefault(report.client_order_id, report.no)
                assert number == report.no, f"{report.client_order_id} accepted by reports {number} and {report.no}"

    def adapt(
        self,
        reports: Sequence[VenueReport],
        is_doubled: Callable[[VenueReport], bool],
        is_nonsense: Callable[[], bool],
    ) -> None:
        """Number what a real venue says, as its adapter does; it may tell a trade twice, or of one that never was."""
        for report in reports:
            if report.no <= self.pulled:
                continue
            self.pulled = report.no
            self.log.append(replace(report, no=len(self.log) + 1))
            if report.kind is ReportKind.FILLED and is_doubled(report):
                self.log.append(replace(report, no=len(self.log) + 1))
            if report.kind is ReportKind.FILLED and is_nonsense():
                assert report.trade is not None
                trade = replace(report.trade, trade_id=f"{NONSENSE}-{report.trade.trade_id}", lots=10**9)
                self.log.append(replace(report, no=len(self.log) + 1, trade=trade))


def _raises(order: VenueOrder, request: AmendOrder) -> bool:
    more = request.lots is not None and request.lots > order.lots
    return more or (request.price_ticks is not None and request.price_ticks > (order.price_ticks or 0))


class VenueDoor:
    """`VenuePort` of one gateway process."""

    def __init__(
        self,
        venues: Callable[[], Sequence[Process]],
        account: AccountId,
        faults: Faults,
        wire: Wire,
        *,
        now_us: Callable[[], int],
        timeout_us: int,
        may_speak_us: Callable[[], int] = lambda: 0,
    ) -> None:
        self._venues = venues
        self._account = account
        self._faults = faults
        self._wire = wire
        self._now_us = now_us
        self._timeout_us = timeout_us
        self._may_speak_us = may_speak_us  # not before what a gateway before this one sent has taken effect
        self._process: Process | None = None
        self._incarnation = -1
        self._connection = -1
        self._again: list[VenueReport] = []  # told already, and once more with the next ones

    def _worker(self) -> VenueWorker:
        process = self._process
        if process is not None and process.is_started and process.incarnation == self._incarnation:
            worker = process.worker
            assert isinstance(worker, VenueWorker)
            return worker
        self._process = None
        raise Retryable("simulated: the connection to the venue broke")

    @property
    def is_interrupted(self) -> bool:
        """True when the connection broke."""
        if self._process is not None and self._faults.strikes("venue: connection broken", 0.3):
            self._process = None
        try:
            self._worker()
        except Retryable:
            return True
        return False

    @property
    def receive_window_us(self) -> int:
        """How long beyond the time-out a request may be under way: a venue without numbers keeps no connection out."""
        return 0 if self._wire.keeps_numbers else self._timeout_us

    def connect(self) -> None:
        """Connect to a venue that is up now."""
        assert self._now_us() >= self._may_speak_us(), "a successor spoke while its predecessor's orders were under way"
        venues = [process for process in self._venues() if process.is_started]
        if not venues:
            raise Retryable("simulated: no venue is up")
        self._process = venues[-1] if len(venues) == 1 else self._faults.rng.choice(venues)
        self._incarnation = self._process.incarnation
        self._wire.connection += 1
        self._connection = self._wire.connection

    def send(self, requests: Sequence[VenueRequest]) -> None:
        """Hand requests over, unless something strikes."""
        faults = self._faults
        # A venue without numbers cannot be protected from a process that stands still longer than its time-out.
        faults.pause("venue: paused before send", OFTEN, briefly=not self._wire.keeps_numbers)
        faults.crash("venue: before send, crash", OFTEN)
        if self.is_interrupted:
            raise OutcomeUnknown("simulated: the connection is broken")
        self._wire.note_attempt(requests)
        self._wire.note_risk(self._worker(), self._account, requests)
        if faults.strikes("venue: send lost", OFTEN):
            self._process = None
            raise OutcomeUnknown("simulated: the request may have arrived")
        if faults.strikes("venue: send delayed", OFTEN):
            # Half of the time-out may have passed in a pause before this.
            due_us = self._now_us() + faults.rng.randrange(1, (self._timeout_us + self.receive_window_us) // 2)
            self._wire.late.append((due_us, self._connection, list(requests)))
            self._process = None
            raise OutcomeUnknown("simulated: the request is still under way")
        self.deliver(requests)
        if faults.strikes("venue: answer lost", OFTEN):
            self._process = None
            raise OutcomeUnknown("simulated: the answer got lost")
        faults.crash("venue: after send, crash", OFTEN)

    def deliver(self, requests: Sequence[VenueRequest]) -> None:
        """Let requests arrive."""
        worker = self._worker()
        if self._wire.keeps_numbers and self._connection != self._wire.connection:
            self._process = None
            raise OutcomeUnknown("simulated: the venue takes nothing from an old connection")
        self._wire.note_arrival(worker, self._account, requests)
        try:
            worker.receive(self._account, self._numbered(worker, requests))
        except (Retryable, OutcomeUnknown, Fenced) as error:
            self._process = None
            raise OutcomeUnknown("simulated: the venue failed while it took the request") from error

    def _numbered(self, worker: VenueWorker, requests: Sequence[VenueRequest]) -> list[VenueRequest]:
        """A venue that keeps no numbers takes whatever comes, in the order in which it comes."""
        if self._wire.keeps_numbers:
            return list(requests)
        real = [request for request in requests if not isinstance(request, VoidRequest)]
        first = worker.request_no(self._account) + 1
        return [replace(request, no=number) for number, request in enumerate(real, start=first)]

    def request_no(self) -> int | None:
        """Return the last request number the venue has, if it is one that says so."""
        worker = self._worker()
        return worker.request_no(self._account) if self._wire.keeps_numbers else None

    def query(self, client_order_id: ClientOrderId) -> VenueOrder | None:
        """Ask for an order."""
        found = self._worker().query(self._account, client_order_id)
        self._wire.asked.add(client_order_id)
        return found

    def open_orders(self) -> list[VenueOrder]:
        """Return the open orders."""
        return self._worker().open_orders(self._account)

    def balances(self) -> Mapping[str, tuple[int, int]]:
        """Return the balances."""
        return self._worker().balances(self._account)

    def reports(self, since: int) -> list[VenueReport]:
        """Return reports."""
        worker, wire, faults = self._worker(), self._wire, self._faults
        if wire.keeps_numbers:
            reports = worker.reports(self._account, since)
        else:
            is_nonsense = partial(faults.strikes, "venue: nonsense reported", 20)
            wire.adapt(worker.reports(self._account, wire.pulled), self._is_doubled, is_nonsense)
            reports = wire.log[since:]
        wire.note_reports(reports)
        again, self._again = self._again, []
        if reports and faults.strikes("venue: reports doubled", 3):
            self._again = list(reports)
        return [*again, *reports]

    def _is_doubled(self, report: VenueReport) -> bool:
        """Only while the order is open: the gateway forgets the trades of an order that has ended."""
        order = self._worker().query(self._account, report.client_order_id)
        is_open = order is not None and order.is_open
        return is_open and self._faults.strikes("venue: trade reported twice", 20)
