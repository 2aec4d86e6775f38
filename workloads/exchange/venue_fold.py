"""The Venue machine and its journal as one: what is applied is in the journal before (rule 3), and comes back from it.

The state is the fold of the journal, from the newest snapshot on.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from tradefleet.bus.errors import JournalLost
from tradefleet.bus.ports import Bus, Journal
from tradefleet.domain.errors import Fenced, InvalidValue, Permanent
from tradefleet.domain.ids import AccountId, StreamName, bars_stream
from tradefleet.domain.progress import Phase
from tradefleet.messages.topics import JOURNAL
from tradefleet.store.ports import VenueSnapshot
from tradefleet.store.upkeep import TopicIdentity, TopicStore
from workloads.exchange.venue.codec import encode_config
from workloads.exchange.venue.config import VenueConfig
from workloads.exchange.venue.journal import BarsRecord, ConfiguredRecord, JournaledVenue, JournalRecord, RequestsRecord
from workloads.exchange.venue.venue import Venue
from workloads.exchange.venue_records import payload_of, record_of


class FoldStore(TopicStore, Protocol):
    """What the fold needs of the database."""

    def load_venue_snapshot(self, exchange: str) -> VenueSnapshot | None:
        """Return the newest snapshot, None when there is none."""


class Place(NamedTuple):
    """The lockstep turn of a journal record."""

    market_us: int
    round: int
    phase: Phase


class VenueFold:
    """One exchange's venue. Not for several threads at a time: whoever shares it locks."""

    def __init__(self, exchange: str, *, store: FoldStore, bus: Bus) -> None:
        self._exchange = exchange
        self._store = store
        self._bus = bus
        self._journal: Journal | None = None
        self._state = JournaledVenue()
        self._offset = -1
        self._snapshot_seq = 0
        self._seq = 0  # records in the journal
        self.bar_seqs: dict[StreamName, int] = {}  # bars of each stream that are in the journal: our position
        self.last: tuple[Place, int | None] | None = None  # turn of the last record, and the report it reached

    @property
    def venue(self) -> Venue:
        """The machine, to be asked and not to be changed."""
        return self._state.venue

    @property
    def market_us(self) -> int:
        """The market time of the last input, 0 before the first."""
        return 0 if self.last is None else self.last[0].market_us

    def request_no(self, account: AccountId) -> int:
        """Return the number of the last request of an account that was applied."""
        return self.venue.request_no(account)

    @property
    def unsaved(self) -> int:
        """How many records are younger than the last snapshot."""
        return self._seq - self._snapshot_seq

    def open(self) -> None:
        """Become the only writer of the journal, as far as the broker is concerned."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._bus.journal(JOURNAL.name, self._exchange)

    def restore(self) -> None:
        """Become what snapshot and journal say. Raises JournalLost when the journal is another one."""
        assert self._journal is not None, "restore() before open()"
        self._state = JournaledVenue()
        self.last = None
        self.bar_seqs = {}
        self._offset, self._seq = -1, 0
        snapshot = self._store.load_venue_snapshot(self._exchange)
        self._recognize(snapshot)
        if snapshot is not None:
            saved = msgspec.json.decode(snapshot.state)
            self._state.restore(saved["venue"])
            self._seq = saved["seq"]
            self.bar_seqs.update(saved["bar_seqs"])
            self.last = _decode_last(saved["last"])
            self._offset = snapshot.offset
        self._snapshot_seq = self._seq
        for journaled in self._journal.read(self._offset + 1):
            self._seq += 1
            self._apply(record_of(journaled.value))
            self._offset = journaled.offset

    def _recognize(self, snapshot: VenueSnapshot | None) -> None:
        """Raise JournalLost unless this is the journal of the first start. At that start, remember it.

        A journal that is merely empty would be taken for an exchange where nobody has any money.
        """
        found = TopicIdentity(cluster_id=self._bus.cluster_id(), topic_id=self._bus.topic_id(JOURNAL.name))
        name = f"{JOURNAL.name}/{self._exchange}"
        stored = known = self._store.topic_identities().get(name)
        if known is None and snapshot is not None:
            known = TopicIdentity(cluster_id=snapshot.cluster_id, topic_id=snapshot.topic_id)
        if known is not None and known != found:
            raise JournalLost(
                f"exchange {self._exchange}: its journal is lost: it was topic {known.topic_id} of cluster "
                f"{known.cluster_id}, the broker has {found.topic_id} of {found.cluster_id}. The accounts of a "
                "simulator are the one thing that a broker without its data loses: bring the data back, or create an "
                "Exchange of another name and its bots anew"
            )
        if stored is None:
            self._store.remember_topic(name, found)

    def configure(self, config: VenueConfig, epoch: int) -> None:
        """Be what `config` says from here on. Raises Permanent for what accounts and orders do not allow.

        Raises Fenced when a record of a later epoch is there, since ours would be none.
        """
        if epoch < self._state.epoch:
            raise Fenced(f"exchange {self._exchange}: epoch {epoch} is not the newest, which is {self._state.epoch}")
        if self._state.config is not None:
            if encode_config(self._state.config) == encode_config(config):
                return
            try:
                self.venue.check(config)
            except InvalidValue as error:
                raise Permanent(
                    f"exchange {self._exchange}: {error}; take the edit back, or create another Exchange"
                ) from error
        self.commit([ConfiguredRecord(epoch=epoch, market_us=self.market_us, config=config)])

    def commit(self, records: Sequence[JournalRecord]) -> None:
        """Append, then apply: an effect that nobody could replay must not be."""
        assert self._journal is not None, "commit() before open()"
        payloads = [
            payload_of(self._exchange, self._seq + number, record) for number, record in enumerate(records, start=1)
        ]
        self._offset = self._journal.append(payloads)[-1]
        self._seq += len(payloads)
        for record in records:
            self._apply(record)

    def _apply(self, record: JournalRecord) -> None:
        is_stale = record.epoch < self._state.epoch
        outputs = self._state.apply(record)
        if is_stale:
            return  # what a fenced writer got in is no part of the journal: its bars will be written again
        match record:
            case BarsRecord():
                place = Place(record.market_us, 0, Phase.VENUE_BARS)
                for bar in record.bars:
                    stream = bars_stream(self._exchange, bar.symbol, bar.interval_us)
                    self.bar_seqs[stream] = self.bar_seqs.get(stream, 0) + 1
            case RequestsRecord():
                place = Place(record.market_us, record.round, Phase.VENUE_REQUESTS)
            case ConfiguredRecord():
                return  # it is no turn of a run
        before = self.last[1] if self.last is not None and self.last[0] == place else None  # a turn of several records
        self.last = (place, max((report.no for _, report in outputs), default=before))

    def take_snapshot(self) -> VenueSnapshot:
        """Return the state after the last record, for the caller to save."""
        self._snapshot_seq = self._seq
        state = {
            "venue": self._state.snapshot(),
            "seq": self._seq,
            "bar_seqs": self.bar_seqs,
            "last": self.last,
        }
        return VenueSnapshot(
            exchange=self._exchange,
            offset=self._offset,
            cluster_id=self._bus.cluster_id(),
            topic_id=self._bus.topic_id(JOURNAL.name),
            state_hash=self.venue.state_hash(),
            state=msgspec.json.encode(state),
        )


def _decode_last(saved: list[object] | None) -> tuple[Place, int | None] | None:
    if saved is None:
        return None
    place, report_no = msgspec.convert(saved, tuple[tuple[int, int, int], int | None])
    return Place(place[0], place[1], Phase(place[2])), report_no
