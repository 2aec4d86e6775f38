"""The venue's journal: its inputs as values, and the fold that gives the venue back (rules 3, 10).

Kafka does not fence an append by a lease, so a writer that has lost its lease may still get a record in. Each record
carries its writer's epoch; one below the highest epoch before it was written by such a writer and is dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, assert_never

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import AccountId
from tradefleet.domain.venue import VenueRequest
from workloads.exchange.venue.clearing import Output
from workloads.exchange.venue.codec import decode_config, encode_config
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.venue import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsRecord:
    """Bars that closed at `market_us`, as the venue got them."""

    epoch: int
    market_us: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredRecord:
    """What the venue is from here on: an input like any other, so that an edit changes nothing of the past.

    The first record of a journal is one.
    """

    epoch: int
    market_us: int  # of the record before it
    config: VenueConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsRecord:
    """Requests of one account, as the venue got them in a round of the step at `market_us`."""

    epoch: int
    market_us: int
    round: int
    account: AccountId
    requests: tuple[VenueRequest, ...]


JournalRecord = BarsRecord | ConfiguredRecord | RequestsRecord

_NOTHING_LISTED: Final = VenueConfig(instruments=())


class JournaledVenue:
    """A venue and the highest epoch whose record it has applied. Live and in a replay, records go in by `apply`.

    Until its first record it lists nothing, and `config` is None.
    """

    __slots__ = ("config", "dropped_count", "epoch", "venue")

    def __init__(self) -> None:
        self.config: VenueConfig | None = None
        self.venue = Venue(_NOTHING_LISTED)
        self.epoch = 0
        self.dropped_count = 0  # records of stale epochs, since this object was made

    def apply(self, record: JournalRecord) -> list[Output]:
        """Return the reports that the record causes: none for a record of a stale epoch.

        Raises StreamGap when the record lacks a request, having applied nothing, and InvalidValue for a journal that
        does not begin with a configuration, or whose next one would change what is held and ordered.
        """
        if record.epoch < self.epoch:
            self.dropped_count += 1
            return []
        if self.config is None and not isinstance(record, ConfiguredRecord):
            raise InvalidValue(f"journal: must begin with the venue's configuration, was a {type(record).__name__}")
        self.epoch = record.epoch
        match record:
            case ConfiguredRecord():
                self._configure(record.config)
                return []
            case BarsRecord():
                return self.venue.on_bars(record.market_us, list(record.bars))
            case RequestsRecord():
                return self.venue.on_requests(record.account, record.market_us, record.requests)
            case _:
                assert_never(record)

    def _configure(self, config: VenueConfig) -> None:
        if self.config is None:
            self.venue = Venue(config)
        else:
            self.venue.configure(config)
        self.config = config

    def snapshot(self) -> dict[str, Any]:
        """Return epoch, configuration, state and state hash as values that JSON can hold."""
        return {
            "epoch": self.epoch,
            "config": None if self.config is None else encode_config(self.config),
            "venue": self.venue.snapshot(),
            "state_hash": self.venue.state_hash(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take up a snapshot. Raises InvalidValue when its hash is not that of its state."""
        config = snapshot.get("config")
        self.config = None if config is None else decode_config(config)
        self.venue = Venue(self.config or _NOTHING_LISTED)
        self.venue.restore(snapshot["venue"])
        if self.venue.state_hash() != snapshot["state_hash"]:
            raise InvalidValue(
                f"venue snapshot of epoch {snapshot['epoch']}: state hash must be {snapshot['state_hash']}, was "
                f"{self.venue.state_hash()}; take an older snapshot or replay the journal from its beginning"
            )
        self.epoch = snapshot["epoch"]


def replay(records: Iterable[JournalRecord], snapshot: dict[str, Any] | None = None) -> JournaledVenue:
    """Return the venue after `records`, which follow on `snapshot` or on nothing."""
    journaled = JournaledVenue()
    if snapshot is not None:
        journaled.restore(snapshot)
    for record in records:
        journaled.apply(record)
    return journaled
