"""The venue's journal: its inputs as values, and the fold that gives the venue back (rules 3, 10).

Kafka does not fence an append by a lease, so a writer that has lost its lease may still get a record in. Each record
carries its writer's epoch; one below the highest epoch before it was written by such a writer and is dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, assert_never

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import AccountId
from tradefleet.domain.venue import VenueRequest
from workloads.exchange.venue.clearing import Output
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.venue import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsRecord:
    """Bars that closed at `market_us`, as the venue got them."""

    epoch: int
    market_us: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsRecord:
    """Requests of one account, as the venue got them in a round of the step at `market_us`."""

    epoch: int
    market_us: int
    round: int
    account: AccountId
    requests: tuple[VenueRequest, ...]


JournalRecord = BarsRecord | RequestsRecord


class JournaledVenue:
    """A venue and the highest epoch whose record it has applied. Live and in a replay, records go in by `apply`."""

    __slots__ = ("dropped_count", "epoch", "venue")

    def __init__(self, config: VenueConfig) -> None:
        self.venue = Venue(config)
        self.epoch = 0
        self.dropped_count = 0  # records of stale epochs, since this object was made

    def apply(self, record: JournalRecord) -> list[Output]:
        """Return the reports that the record causes: none for a record of a stale epoch.

        Raises StreamGap when the record lacks a request, having applied nothing.
        """
        if record.epoch < self.epoch:
            self.dropped_count += 1
            return []
        self.epoch = record.epoch
        match record:
            case BarsRecord():
                return self.venue.on_bars(record.market_us, list(record.bars))
            case RequestsRecord():
                return self.venue.on_requests(record.account, record.market_us, record.requests)
            case _:
                assert_never(record)

    def snapshot(self) -> dict[str, Any]:
        """Return epoch, state and state hash as values that JSON can hold."""
        return {"epoch": self.epoch, "venue": self.venue.snapshot(), "state_hash": self.venue.state_hash()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take up a snapshot. Raises InvalidValue when its hash is not that of its state."""
        self.venue.restore(snapshot["venue"])
        if self.venue.state_hash() != snapshot["state_hash"]:
            raise InvalidValue(
                f"venue snapshot of epoch {snapshot['epoch']}: state hash must be {snapshot['state_hash']}, was "
                f"{self.venue.state_hash()}; take an older snapshot or replay the journal from its beginning"
            )
        self.epoch = snapshot["epoch"]


def replay(
    config: VenueConfig, records: Iterable[JournalRecord], snapshot: dict[str, Any] | None = None
) -> JournaledVenue:
    """Return the venue after `records`, which follow on `snapshot` or on nothing."""
    journaled = JournaledVenue(config)
    if snapshot is not None:
        journaled.restore(snapshot)
    for record in records:
        journaled.apply(record)
    return journaled
