"""The invariants of design §5, checked at every commit and every send of a simulated run."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from tests.fakes.memory_database import FleetRows, MemoryDatabase
from tradefleet.domain.bots import BotConfig
from tradefleet.domain.ids import (
    AccountId,
    BotKey,
    BotUid,
    ClientOrderId,
    StreamName,
    Symbol,
    bot_scopes,
    orders_stream,
)
from tradefleet.domain.ledger import Book, LedgerEntry
from tradefleet.domain.orders import OrderStatus, Side
from tradefleet.domain.venue import SubmitOrder
from tradefleet.store.ports import BotCommit, DeadLetter, FillRow, GatewayCommit, OrderRow, OutboxMessage

NONSENSE = "nonsense"  # how the ids of trades begin that a venue has made up


class Invariants:
    """Keeps books of its own from what is written, and holds every commit against them."""

    def __init__(self, database: MemoryDatabase, configs: Mapping[BotUid, BotConfig], account: AccountId) -> None:
        self._rows: FleetRows = database.fleets["fleet"]
        self._configs = configs
        self._account = account
        self._uids = {config.key: uid for uid, config in configs.items()}
        self.books: dict[BotUid, dict[tuple[Book, str], int]] = defaultdict(lambda: defaultdict(int))
        self._positions: dict[BotUid, dict[Symbol, int]] = defaultdict(lambda: defaultdict(int))
        self._filled: dict[ClientOrderId, int] = defaultdict(int)
        self._trades: set[str] = set()
        self._statuses: dict[ClientOrderId, OrderStatus] = {}
        self._reserved: dict[BotUid, dict[ClientOrderId, tuple[str, int]]] = defaultdict(dict)
        self._submits: dict[ClientOrderId, int] = {}
        self._positions_read: dict[tuple[BotUid, int, StreamName], int] = {}
        self._halted: set[str] = set()
        self._put: set[tuple[StreamName, int]] = set()  # what was put aside
        self.damaged: Collection[tuple[StreamName, int]] = ()  # requests that no gateway can read
        self.halts = 0
        self.looked = 0  # when books and venue last agreed
        self.checked = 0  # commits and sends held against the invariants

    # --- halts ----------------------------------------------------------------------------------------------------

    def halt_returned(self, scope: str) -> None:
        """Note that `halt` has returned: from here on nothing that raises risk may be accepted or sent."""
        self._halted.add(scope)
        self.halts += 1

    def halt_clears(self, scope: str) -> None:
        """Note that a switch is about to be cleared."""
        self._halted.discard(scope)

    def is_halted(self, bot: BotKey) -> bool:
        """Return whether a switch is on for a bot."""
        return bool(self._halted & {"fleet", f"account/{self._account}", *bot_scopes(bot)})

    def sent_risky(self, order_id: ClientOrderId) -> None:
        """Look at a request that raises risk and has reached the venue: it was committed, and no halt is on."""
        self.checked += 1
        known = self._rows.orders.get(order_id)
        assert known is not None, f"order {order_id} was sent, and no commit knows it"
        assert not self.is_halted(known[1].bot), f"order {order_id} was sent after the halt had returned"

    # --- a bot's commit -------------------------------------------------------------------------------------------

    def bot_wrote(self, commit: BotCommit) -> None:
        """Look at a bot's commit: the record says which inputs moved which positions."""
        self.checked += 1
        moved = 0
        for stream, seq in commit.positions.items():
            place = (commit.uid, commit.generation, stream)
            before = self._positions_read.get(place)
            if before is None:
                record = self._rows.bots[commit.uid].record
                assert record is not None
                before = record.start.get(stream, 0)
            moved += seq - before
            self._positions_read[place] = seq
        own = commit.sources.count(0)
        assert moved == len(commit.sources) - own, f"bot {commit.bot}: {len(commit.sources)} inputs moved it by {moved}"

    # --- a gateway's commit ---------------------------------------------------------------------------------------

    def gateway_wrote(self, commit: GatewayCommit) -> None:
        """Look at a gateway's commit."""
        self.checked += 1
        for letter in commit.dead_letters:
            self._put_aside(letter)
        own = json.loads(commit.blobs["gateway"] or b"{}")
        assert not own["doubts"], "the gateway believes that books and venue differ"
        self.looked = max(self.looked, own["reconciled_us"])
        for entry in commit.entries:
            self._entry(commit.uids[entry.bot], entry)
        for fill in commit.fills:
            self._fill(fill)
        for order in commit.orders:
            self._order(order, commit)
        for row in commit.venue_requests:
            if isinstance(row.request, SubmitOrder):
                number = self._submits.setdefault(row.request.client_order_id, row.request.no)
                assert number == row.request.no, f"{row.client_order_id} is submitted by requests {number} and {row}"
        for key, blob in commit.blobs.items():
            if key.startswith("bot/") and blob is not None:
                self._wallet(BotUid(key.removeprefix("bot/")), json.loads(blob))

    def _put_aside(self, letter: DeadLetter) -> None:
        """A dead letter is nonsense of the venue's, or a request that cannot be read; each is put aside once."""
        place = (letter.stream, letter.seq)
        assert place not in self._put, f"dead letter: {letter.stream} {letter.seq} was put aside twice"
        self._put.add(place)
        is_nonsense = NONSENSE.encode() in letter.payload
        assert is_nonsense or place in self.damaged, f"dead letter: {letter}"

    def _entry(self, uid: BotUid, entry: LedgerEntry) -> None:
        sums: dict[str, int] = defaultdict(int)
        books = self.books[uid]
        for posting in entry.postings:
            sums[posting.asset] += posting.atoms
            books[posting.book, posting.asset] += posting.atoms
        assert not any(sums.values()), f"ledger entry {entry.seq} of {entry.bot} sums to {dict(sums)}"

    def _fill(self, row: FillRow) -> None:
        fill = row.canonical
        assert row.trade_id not in self._trades, f"trade {row.trade_id} was applied twice"
        self._trades.add(row.trade_id)
        self._positions[row.uid][fill.symbol] += fill.side.sign * fill.lots
        self._filled[row.client_order_id] += fill.lots
        order = self._rows.orders[row.client_order_id][1]
        filled = self._filled[row.client_order_id]
        assert filled <= order.terms.lots, f"order {row.client_order_id}: {filled} of {order.terms.lots} lots filled"
        decided_us = order.created_us
        if order.request_seq is not None:
            decided_us = max(decided_us, self._request(order).market_us)
        assert fill.market_us > decided_us, f"order {row.client_order_id} filled with what was known when it was made"

    def _request(self, order: OrderRow) -> OutboxMessage:
        """Return the committed request that an order of a bot was made from."""
        assert order.request_seq is not None
        stream = orders_stream(order.uid)
        (request,) = self._rows.streams[stream].after(stream, order.request_seq - 1, 1)
        return request

    def _order(self, order: OrderRow, commit: GatewayCommit) -> None:
        before = self._statuses.get(order.client_order_id)
        if before is not None and before.is_final:
            assert order.status is before, f"order {order.client_order_id} left {before} for {order.status}"
        filled = self._filled[order.client_order_id]
        assert order.filled_lots == filled, f"order {order.client_order_id}: {order.filled_lots} lots, fills: {filled}"
        if before is None and order.status is not OrderStatus.DENIED:
            self._accepted(order, commit)
        if order.status.is_final:
            self._reserved[order.uid].pop(order.client_order_id, None)
        else:
            self._reserved[order.uid][order.client_order_id] = (order.reserved_asset, order.reserved_atoms)
            if order.status is not OrderStatus.PENDING_CANCEL:
                assert order.reserved_atoms > 0, f"order {order.client_order_id} is open and reserves nothing"
        self._statuses[order.client_order_id] = order.status

    def _accepted(self, order: OrderRow, commit: GatewayCommit) -> None:
        """An order that was accepted just now: not under a halt, not on stale data when it raises risk."""
        if order.terms.side is not Side.BUY:
            return
        assert not self.is_halted(order.bot), f"order {order.client_order_id} was accepted after the halt had returned"
        oldest_us = self._configs[order.uid].limits.max_data_age_us
        if oldest_us is not None:
            own = json.loads(commit.blobs["gateway"] or b"{}")
            assert order.request_seq is not None, "the gateway's own orders close positions"
            for found_us in (own["mark_us"][order.terms.symbol], self._request(order).market_us):
                age_us = order.created_us - found_us
                assert age_us <= oldest_us, f"order {order.client_order_id} was accepted on data of {age_us} us ago"

    def _wallet(self, uid: BotUid, state: dict[str, Any]) -> None:
        """A bot's books as the gateway keeps them against the postings, the reservations and the fills."""
        books = self.books[uid]
        for name, book in (("free", Book.FREE), ("locked", Book.LOCKED)):
            for asset, atoms in state[name].items():
                assert atoms >= 0, f"bot {uid}: {name} {asset} is {atoms}"
                posted = books[book, asset]
                assert atoms == posted, f"bot {uid}: {name} {asset} is {atoms}, postings say {posted}"
        reserved: dict[str, int] = defaultdict(int)
        for asset, atoms in self._reserved[uid].values():
            reserved[asset] += atoms
        for asset in state["locked"].keys() | reserved.keys():
            atoms = state["locked"].get(asset, 0)
            assert atoms == reserved[asset], f"bot {uid}: locked {asset} {atoms}, open orders {reserved[asset]}"
        for symbol, held in state["positions"].items():
            found = self._positions[uid][symbol]
            assert held["lots"] == found, f"bot {uid}: {symbol} {held['lots']} lots, fills say {found}"
