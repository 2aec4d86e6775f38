"""The right to speak for an exchange account, and what a gateway owes to whoever had it before (rule 3)."""

from tradefleet.domain.errors import OutcomeUnknown, Retryable
from tradefleet.runtime.ports import Clock
from tradefleet.store.ports import Lease, LeaseStore, gateway_lease
from workloads.exchange.gateway_line import VenueLine
from workloads.exchange.gateway_plan import GatewayPlan


class AccountLease:
    """One gateway's lease of its account.

    `is_in_doubt`: a predecessor's orders may be under way without bound, and that is not committed yet.
    """

    def __init__(self, plan: GatewayPlan, *, store: LeaseStore, line: VenueLine, clock: Clock) -> None:
        self._plan = plan
        self._store = store
        self._line = line
        self._clock = clock
        self._lease: Lease | None = None
        self.is_in_doubt = False

    @property
    def value(self) -> Lease:
        """The lease; to be asked for only while we have it."""
        assert self._lease is not None, "step() before start()"
        return self._lease

    @property
    def epoch(self) -> int:
        """The epoch of our lease, 0 without one."""
        return 0 if self._lease is None else self._lease.epoch

    def take(self) -> None:
        """Take the lease; be silent for a while when another process had it and has not given it back.

        After an answer that got lost nobody knows whether that was so: the next call would say that it is ours already.
        """
        plan = self._plan
        try:
            self._lease = self._store.acquire(
                gateway_lease(plan.config.account),
                holder=plan.holder,
                generation=plan.generation,
                owner=plan.owner,
                ttl_us=plan.lease_ttl_us,
            )
        except OutcomeUnknown:
            self._follow_another()
            raise
        if self._lease.took_over:
            self._follow_another()

    def _follow_another(self) -> None:
        self._line.be_silent()
        self.is_in_doubt = not self._line.is_bounded

    def keep(self) -> None:
        """Renew the lease when half of its time is over."""
        if self._clock.monotonic_us() >= self.value.deadline_us - self._plan.lease_ttl_us // 2:
            self._renew()

    def have_time_to_send(self) -> None:
        """See to it that a request which is sent now arrives while the lease is ours. Raises Retryable."""
        if self._is_too_late:
            self._renew()
            if self._is_too_late:
                account = self._plan.config.account
                raise Retryable(f"gateway of {account}: renewing the lease took as long as it lasts")

    @property
    def _is_too_late(self) -> bool:
        return self._clock.monotonic_us() >= self.value.deadline_us - self._plan.request_timeout_us

    def _renew(self) -> None:
        self._lease = self._store.renew(self.value, ttl_us=self._plan.lease_ttl_us)

    def give_back(self) -> None:
        """Give the lease back; harmless without one."""
        if self._lease is not None:
            self._store.release(self._lease)
            self._lease = None
