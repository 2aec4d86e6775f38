"""What the edge of a bot needs of the database."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey, BotUid, StreamName
from tradefleet.domain.progress import Progress
from tradefleet.store.ports.leases import Lease, LeaseStore
from tradefleet.store.ports.runs import RunId
from tradefleet.store.ports.streams import OutboxMessage, StreamStore

ADOPTION_AND_COMMANDS = 0  # input sources of a bot's record: payload kept in the record itself
EXECUTIONS = 1
FIRST_BARS = 2  # and one source per bar stream, in the sorted order of the bot's streams


@frozen()
class BotCommit:
    """Everything that one batch of inputs did to a bot.

    `sources` is the record: one byte an input (`ADOPTION_AND_COMMANDS`, `EXECUTIONS`, or the bar stream's number);
    since every stream is gapless, the order of sources says which inputs they were. `payloads` holds, by ordinal of
    the input in its generation, what no stream keeps: adoption, commands, timers.
    """

    bot: BotKey
    uid: BotUid
    epoch: int
    version: int  # the row's version before this commit; it becomes version + 1
    generation: int
    positions: Mapping[StreamName, int]  # merged into the row's: a stream that did not move may be left out
    first_ordinal: int
    sources: bytes
    payloads: Mapping[int, bytes] = field(default_factory=dict)
    requests: Sequence[OutboxMessage] = ()
    request_count: int
    request_hash: str
    snapshot: bytes | None = None  # the bot's state after the last input; kept: the newest
    progress: Progress | None = None
    run: RunId | None = None
    turn_size: int = 1  # how many rows end the progress's turn: the last of them wakes who is next


@frozen()
class BotRecord:
    """What is known of a bot's generation: enough to fold it again.

    `request_count` and `request_hash` are of this generation. `snapshot` stands after `snapshot_ordinal` inputs; the
    other `snapshot_*` fields are the positions, count and hash at that place.
    """

    version: int
    generation: int
    positions: Mapping[StreamName, int]
    start_positions: Mapping[StreamName, int]  # stream positions before the first input of the generation
    input_count: int
    request_seq: int  # last number of the bot's request stream
    first_request_seq: int  # the number before the first request of this generation
    request_count: int
    request_hash: str
    snapshot: bytes | None = None
    snapshot_ordinal: int = 0
    snapshot_positions: Mapping[StreamName, int] = field(default_factory=dict)
    snapshot_request_count: int = 0
    snapshot_request_hash: str = ""


class BotStore(LeaseStore, StreamStore, Protocol):
    """What a bot's edge needs."""

    def load_bot(self, bot: BotKey, uid: BotUid) -> BotRecord | None:
        """Return the newest generation's record, None for a bot that never committed."""

    def open_generation(self, lease: Lease, *, bot: BotKey, uid: BotUid, start: Mapping[StreamName, int]) -> BotRecord:
        """Close the record of the generation before, if any, and open the lease's generation. Fenced by epoch.

        When the lease's generation is open already, its record is returned as it is and `start` is ignored.
        """

    def read_record(self, uid: BotUid, generation: int, *, after: int, limit: int) -> tuple[bytes, dict[int, bytes]]:
        """Return up to `limit` sources from ordinal `after` on (ordinals start at 0), with the payloads among them."""

    def commit_bots(self, commits: Sequence[BotCommit]) -> frozenset[BotKey]:
        """Commit many bots in one transaction; return those that were still ours (rule 27). The others changed nothing.

        Raises StreamGap for request numbers that do not continue the stream, Permanent for inputs that do not continue
        the record: our own bugs, so nothing of the whole transaction is written.
        """
