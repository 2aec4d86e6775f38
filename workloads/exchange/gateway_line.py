"""A gateway's line to its venue: what the venue has not answered, what to ask after a break, what it says of itself."""

from collections.abc import Collection, Iterable, Sequence

from tradefleet.domain.errors import OutcomeUnknown
from tradefleet.domain.ids import ClientOrderId
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    SubmitOrder,
    VenueOrder,
    VenueReport,
    VenueRequest,
    VoidRequest,
)
from tradefleet.runtime.ports import Clock
from workloads.exchange.gateway.reconciliation import VenueStatement
from workloads.exchange.ports import VenuePort


class VenueLine:
    """Keeps what is unsettled, and never sends anything again before the venue was asked about it (rules 3, 16)."""

    def __init__(self, venue: VenuePort, clock: Clock, *, request_timeout_us: int) -> None:
        self._venue = venue
        self._clock = clock
        self._request_timeout_us = request_timeout_us
        self._unsettled: dict[int, VenueRequest] = {}
        self._ask_at_us = 0  # when a venue's "I do not know that order" can be believed (rule 16)
        self._speak_at_us = 0  # when nothing of a gateway before us can be under way any more (rule 3)
        self.is_asking = False  # something is unsettled, and the venue has not been asked yet

    # --- what is unsettled ----------------------------------------------------------------------------------------

    def start(self, unsettled: Iterable[VenueRequest]) -> None:
        """Begin with what was committed and not answered; whoever was here before us may have sent it just now."""
        self._unsettled = {request.no: request for request in unsettled}
        self._ask_at_us = self._clock.monotonic_us() + self._under_way_us

    def be_silent(self) -> None:
        """Say nothing until what another gateway has sent just now has taken effect, however often we start anew."""
        self._speak_at_us = self._clock.monotonic_us() + self._under_way_us

    @property
    def is_bounded(self) -> bool:
        """False when the venue does not say how long a request may be under way."""
        return self._venue.receive_window_us is not None

    @property
    def _under_way_us(self) -> int:
        """How long after it was sent a request may take effect."""
        return self._request_timeout_us + (self._venue.receive_window_us or 0)

    def note(self, requests: Iterable[VenueRequest], settled: Iterable[int] = ()) -> None:
        """Take what was committed: new requests, and the numbers that have been answered."""
        self._unsettled.update({request.no: request for request in requests})
        for number in settled:
            self._unsettled.pop(number, None)

    def latest(self, request: VenueRequest) -> VenueRequest:
        """Return what stands for the number of `request` by now: itself, or a void that took its place."""
        return self._unsettled.get(request.no, request)

    # --- sending and asking ---------------------------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """True while nothing may be sent before `reconnect` has asked."""
        return self.is_asking or self._venue.is_interrupted

    @property
    def wait_us(self) -> int:
        """How long it takes until the venue can be asked."""
        return max(0, max(self._ask_at_us, self._speak_at_us) - self._clock.monotonic_us())

    def send(self, requests: Sequence[VenueRequest]) -> None:
        """Send. When the answer is unknown the line is broken, and the venue will be asked."""
        try:
            self._venue.send(requests)
        except OutcomeUnknown:
            assert self._venue.is_interrupted, "a venue whose answer is unknown must say that it was interrupted"
            self._ask_at_us = self._clock.monotonic_us() + self._under_way_us

    def reconnect(self, last_no: int) -> list[VenueRequest]:
        """Connect, and return what has to be sent, having asked; `last_no` is the last number that was given.

        A venue that keeps no request numbers is asked only when nothing of ours can be under way to it any more, and
        none is asked while a gateway that we took over from may still be sending. So `is_asking` may stay on: until
        then nothing is sent.
        """
        self.is_asking = True
        if self._clock.monotonic_us() < self._speak_at_us:
            return []
        self._venue.connect()
        taken = self._venue.request_no()
        missing: list[VenueRequest]
        open_requests = [self._unsettled[number] for number in sorted(self._unsettled)]
        if taken is not None:
            # A number that was settled without having arrived (a cancel that got lost, of an order that filled) stands
            # for nothing any more, but without it the venue would wait for ever.
            numbers = range(taken + 1, last_no + 1)
            missing = [self._unsettled.get(number, VoidRequest(no=number)) for number in numbers]
        elif not open_requests or self._clock.monotonic_us() >= self._ask_at_us:
            missing = self._ask_for(open_requests)
        else:
            return []
        self.is_asking = False
        return missing

    def _ask_for(self, requests: Sequence[VenueRequest]) -> list[VenueRequest]:
        """Ask the venue by client id about requests, in their order; return those that still have to be sent.

        What was to follow an order that never arrived (its cancel, its amendment) did not arrive either.
        """
        missing: list[VenueRequest] = []
        lost: set[ClientOrderId] = set()
        for request in requests:
            if isinstance(request, CancelOrder | AmendOrder) and request.client_order_id in lost:
                missing.append(request)
            elif self._is_missing(request):
                missing.append(request)
                if isinstance(request, SubmitOrder):
                    lost.add(request.client_order_id)
        return missing

    def _is_missing(self, request: VenueRequest) -> bool:
        """Ask the venue by client id whether a request still has to be sent."""
        match request:
            case SubmitOrder():
                return self._venue.query(request.client_order_id) is None
            case CancelOrder():
                order = self._venue.query(request.client_order_id)
                return order is not None and order.is_open
            case AmendOrder():
                order = self._venue.query(request.client_order_id)
                return order is not None and order.is_open and not _is_amended(order, request)
            case DepositFunds() | VoidRequest():
                return False  # a venue that keeps no request numbers knows neither

    # --- what the venue says --------------------------------------------------------------------------------------

    def reports(self, since: int) -> list[VenueReport]:
        """Return the reports after `since` that there are now."""
        return self._venue.reports(since)

    def statement(self, report_no: int, order_ids: Collection[ClientOrderId], now_us: int) -> VenueStatement | None:
        """Return how the account stands at the venue, as of report `report_no`; `order_ids` are our open orders there.

        None when it cannot be said, since something happens at the venue just now: ask again a little later.
        """
        if self._has_news(report_no):
            return None
        balances = self._venue.balances()
        open_orders = self._venue.open_orders()
        listed = {order.client_order_id for order in open_orders}
        answers = {order_id: self._venue.query(order_id) for order_id in order_ids if order_id not in listed}
        if self._has_news(report_no):
            return None
        return VenueStatement(
            report_no=report_no,
            open_orders=tuple(open_orders),
            answers=answers,
            balances=dict(balances),
            taken_us=now_us,
        )

    def _has_news(self, report_no: int) -> bool:
        return any(report.no > report_no for report in self._venue.reports(report_no))


def _is_amended(order: VenueOrder, request: AmendOrder) -> bool:
    same_lots = request.lots is None or request.lots == order.lots
    same_price = request.price_ticks is None or request.price_ticks == order.price_ticks
    return same_lots and same_price
