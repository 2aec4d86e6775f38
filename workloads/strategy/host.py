"""The edge of bots: one process, one or many bots, one transaction a batch (rules 2, 19, 27)."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tradefleet.domain.bots import BotCommand, BotConfig
from tradefleet.domain.errors import AccessDenied, Fenced, InvalidValue, Permanent
from tradefleet.domain.executions import Adoption
from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import AccountId, BotKey, BotUid, StreamName, Symbol, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.progress import Participant, Phase, Progress, bot_participant
from tradefleet.runtime.follower import RunFollower
from tradefleet.runtime.ports import Clock, Publisher, StreamItem, Streams
from tradefleet.store.ports import BOTS_ROLE, BotCommit, BotRecord, BotStore, OrderRow, RunId, RunStore, bot_lease
from workloads.backtest.lockstep import Due, RunView
from workloads.strategy.books import adoption_of
from workloads.strategy.errors import LeftRun, StrategyError
from workloads.strategy.recorded import Sources, sources_of
from workloads.strategy.slot import Slot, restore_bot
from workloads.strategy.terms import Terms, terms_of

_LOG = logging.getLogger(__name__)

UPKEEP_US = 1_000_000  # how often commands are looked at
RENEWALS_A_STEP = 20  # leases of a host's bots, so that their inputs do not wait for all of them


class BotDatabase(BotStore, RunStore, Protocol):
    """Everything the host reads and writes."""

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return the bot's desired state."""

    def host_commands(self, host: str, account: AccountId) -> Sequence[BotCommand]:
        """Return the desired state of the bots that a shared host runs."""

    def bot_books(self, uid: BotUid) -> tuple[bytes, Sequence[OrderRow]] | None:
        """Return the gateway's state row of the bot and its open orders; None before the gateway opened its books."""


@frozen()
class HostPlan:
    """How this host runs. `instruments` are the exchange's.

    A shared `host` has a name, and its bots are those that are assigned to it; else they are `bots`.
    """

    bots: tuple[BotConfig, ...]
    exchange: str  # "namespace/name"
    account: AccountId
    instruments: Mapping[Symbol, Instrument]
    taker_ppm: int
    holder: str
    orders_topic: str
    host: str = ""
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000
    snapshot_every: int = 256  # inputs between two snapshots of a bot whose strategy declares its state


class HostWorker:
    """Runs the bots it is told of. One that was fenced is dropped, its neighbours go on; without any left it is fenced.

    `introduce` hears of each bot before its streams are read. `workloads.strategy.shared_host` builds on this.
    """

    def __init__(
        self,
        plan: HostPlan,
        *,
        store: BotDatabase,
        streams: Streams,
        publisher: Publisher,
        clock: Clock,
        introduce: Callable[[BotConfig], None] = lambda _: None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._streams = streams
        self._publisher = publisher
        self._clock = clock
        self._introduce = introduce
        self.slots: dict[BotKey, Slot] = {}
        self._readers: dict[StreamName, list[Slot]] = {}
        self._upkeep_at_us = 0
        self._leaving: set[BotKey] = set()  # deleted bots, which a lockstep run must not wait for
        self._view: RunView | None = None
        self._follower: RunFollower | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take every bot's lease and fold every bot's record."""
        plan = self._plan
        self.slots = {}
        self._open_all()
        self._index()
        self._publisher.sweep([orders_stream(slot.config.uid) for slot in self.slots.values()])
        self._streams.start(self._positions())
        self._upkeep_at_us = 0
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follow_run(plan.run, self._view)
            self._refuse_to_idle(self._view)

    def _open_all(self) -> None:
        for config in sorted(self._plan.bots, key=lambda config: config.key):
            self.slots[config.key] = self._open(config)

    def _follow_run(self, run: RunId, view: RunView) -> None:
        """Follow the run's rows, woken by those that concern the bots that are here."""
        roles = [BOTS_ROLE, *(slot.sources.executions for slot in self.slots.values())]
        self._follower = RunFollower(self._store, run, roles, view)
        self._follower.refresh()

    def _refuse_to_idle(self, view: RunView) -> None:
        """Let go of bots whose strategy failed in this run, in an earlier process. Raises LeftRun when none is left."""
        for slot in list(self.slots.values()):
            left_us = view.left.get(_participant(slot))
            command = self._store.bot_command(slot.config.uid)
            if left_us is None or (command is not None and command.deleting):
                continue  # a deleted bot has left, too, and its process ends when its books are wound down
            self._store.release(slot.lease)
            self._forget(slot)
            why = "its strategy failed, with the error in its log and its events"
            self._note_left(slot.config, LeftRun(slot.config.key, left_us, why))

    def _open(self, config: BotConfig) -> Slot:
        """Return a bot's slot: its generation opened if it is new, its inputs folded if it has had any."""
        plan, store = self._plan, self._store
        self._introduce(config)
        sources = sources_of(config, plan.exchange)
        lease = store.acquire(
            bot_lease(config.key, config.uid),
            holder=plan.holder,
            generation=config.generation,
            ttl_us=plan.lease_ttl_us,
        )
        books = self._books(config)
        record = store.load_bot(config.key, config.uid)
        if record is not None and record.generation > config.generation:
            raise Fenced(f"bot {config.key}: generation {record.generation} has begun since this process got the lease")
        if record is None or record.generation < config.generation:
            start = self._start_positions(config, sources, record, books)
            record = store.open_generation(lease, bot=config.key, uid=config.uid, start=start)
        terms = self._terms(config)
        bot = restore_bot(record, config, store, sources, terms=terms)
        slot = Slot(
            bot=bot,
            lease=lease,
            record=record,
            sources=sources,
            books=books,
            account=plan.account,
            orders_topic=plan.orders_topic,
            snapshot_every=plan.snapshot_every,
        )
        if plan.run is None:  # a lockstep run keeps the terms it began with, so that it can be run again
            slot.take_terms(terms)
        return slot

    def _terms(self, config: BotConfig) -> Terms:
        """Return what the exchange says today of the bot's instruments. Raises InvalidValue when one is not there."""
        plan = self._plan
        missing = [symbol for symbol in config.symbols if symbol not in plan.instruments]
        if missing:
            raise InvalidValue(f"bot {config.key}: exchange {plan.exchange} does not list {', '.join(missing)}")
        return terms_of(config.symbols, plan.instruments, plan.taker_ppm)

    def _books(self, config: BotConfig) -> Adoption:
        """Return what a generation without inputs adopts: its gateway's books, or at first its start wallet."""
        found = self._store.bot_books(config.uid)
        if found is None:
            return Adoption(bot=config.key, market_us=0, execution_seq=0, free=dict(config.wallet), locked={})
        blob, orders = found
        return adoption_of(config.key, blob, orders, market_us=0)

    def _start_positions(
        self, config: BotConfig, sources: Sources, record: BotRecord | None, books: Adoption
    ) -> dict[StreamName, int]:
        """Return where a generation begins to read: its executions after the books, its bars early enough to warm up.

        It is warm when the first new bar comes, and not one earlier: what was decided on is not decided on again. A
        lockstep run begins with its data, so its first generation reads every bar.
        """
        start = {sources.executions: books.execution_seq}
        for stream in sources.bars:
            reached = None if record is None else record.positions.get(stream)
            if reached is None:
                reached = 0 if self._plan.run is not None else self._store.last_seq(stream)
            start[stream] = max(0, reached - max(0, config.warmup_bars - 1))
        return start

    def _index(self) -> None:
        self._readers = {}
        for slot in self.slots.values():
            for stream in slot.sources.all:
                self._readers.setdefault(stream, []).append(slot)

    def _positions(self) -> dict[StreamName, int]:
        """Return where the host reads each stream from: where the bot that is furthest behind stands."""
        return {stream: min(slot.positions[stream] for slot in slots) for stream, slots in self._readers.items()}

    def stop(self) -> None:
        """Give the leases back. Orders stay and are adopted by the successor (rule 24)."""
        for slot in self.slots.values():
            self._give_back(slot)
        self.slots = {}

    def _give_back(self, slot: Slot) -> None:
        """Release a bot's lease, if it is ours to release."""
        try:
            self._store.release(slot.lease)
        except AccessDenied:
            _LOG.info("bot %s is assigned to another process", slot.config.key, extra={"bot": slot.config.key})

    @property
    def is_finished(self) -> bool:
        """True when the lockstep run has ended."""
        return self._view is not None and self._view.is_finished

    def step(self, timeout_us: int) -> bool:
        """Do one bounded piece of work."""
        self._renew()
        self._publisher.serve()
        if self._follower is not None:
            return self._lockstep(timeout_us)
        return self._free(timeout_us)

    def _renew(self) -> None:
        now_us, ttl_us = self._clock.monotonic_us(), self._plan.lease_ttl_us
        due = [slot for slot in self.slots.values() if now_us >= slot.lease.deadline_us - ttl_us // 2]
        for slot in due[:RENEWALS_A_STEP]:
            try:
                slot.lease = self._store.renew(slot.lease, ttl_us=ttl_us)
            except (Fenced, AccessDenied):
                self._drop(slot)

    def _drop(self, slot: Slot) -> None:
        """Forget a bot that somebody newer runs. Raises Fenced when none is left."""
        self._forget(slot)
        if not self.slots:
            raise Fenced(f"bot {slot.config.key}: a newer process runs it; this host has no bot left")

    def _forget(self, slot: Slot) -> None:
        """Let go of a bot, with what it has not committed."""
        del self.slots[slot.config.key]
        self._publisher.forget(orders_stream(slot.config.uid))
        self._index()

    # --- free run -------------------------------------------------------------------------------------------------

    def _free(self, timeout_us: int) -> bool:
        due = self._clock.monotonic_us() >= self._upkeep_at_us
        items = self._streams.poll(0 if due else timeout_us)
        if due:
            self._upkeep_at_us = self._clock.monotonic_us() + UPKEEP_US
            for slot in list(self.slots.values()):
                try:
                    self._obey(slot, None)
                except Permanent as error:
                    self._part_with(slot, error)
        for item in items:
            for slot in self._readers.get(item.stream, ()):
                try:
                    self._apply(slot, item)
                except Permanent as error:
                    self._part_with(slot, error)
        touched = [slot for slot in self.slots.values() if slot.has_pending]
        if touched:
            self._commit(touched, {})
        return bool(touched)

    def _part_with(self, slot: Slot, error: Permanent) -> None:
        """Go on without a bot that has failed, where that is possible. Raises `error`."""
        del slot
        raise error

    def _apply(self, slot: Slot, item: StreamItem) -> None:
        """Apply one item in the order of its arrival; market time moves with the bars."""
        if item.seq <= slot.positions[item.stream]:
            return  # another bot of this host was further behind
        if item.bar is None:
            execution = slot.decode_execution(item.payload)
            if not slot.is_adopted:
                slot.adopt(execution.market_us)  # an order that the generation before left open has moved first
            slot.apply_execution(item.seq, execution)
            return
        if not slot.is_adopted:
            slot.adopt(item.bar.close_us)
        slot.reach(item.bar.close_us)
        slot.apply_bar(item.stream, item.seq, item.bar)

    def _obey(self, slot: Slot, market_us: int | None) -> None:
        """Apply what the owner of a bot wants of it now."""
        command = self._command_of(slot.config.uid)
        if command is not None and command.deleting:
            self._leaving.add(slot.config.key)
        if command is not None and slot.is_adopted:
            slot.command(command.state, slot.market_us if market_us is None else market_us)

    def _command_of(self, uid: BotUid) -> BotCommand | None:
        return self._store.bot_command(uid)

    # --- lockstep -------------------------------------------------------------------------------------------------

    def _lockstep(self, timeout_us: int) -> bool:
        assert self._follower is not None
        assert self._view is not None
        mine = self._due_slots()
        if not mine:
            self._follower.wait(timeout_us)
            mine = self._due_slots()
        due = self._view.due()
        if due is None or not mine:
            return False
        first = due.turn.round == 0
        heads = {
            stream: self._view.heads[stream]
            for slot in mine
            for stream in (slot.sources.all if first else (slot.sources.executions,))
            if stream in self._view.heads
        }
        found = self._streams.until(heads)
        obeys = first and self._clock.monotonic_us() >= self._upkeep_at_us
        if obeys:
            self._upkeep_at_us = self._clock.monotonic_us() + UPKEEP_US
        able: list[Slot] = []
        for slot in mine:
            try:
                if obeys:
                    self._obey(slot, due.market_us)
                self._take_turn(slot, due, found)
                able.append(slot)
            except StrategyError as error:
                self._leave(slot, due, error)
        self._commit(able, {slot.config.key: self._progress(slot, due) for slot in able})
        return True

    def _leave(self, slot: Slot, due: Due, error: StrategyError) -> None:
        """Take a bot whose strategy failed out of the run, at this step, so that nobody waits for it (rule 21).

        The failed machine is thrown away: nothing of this turn is committed but the row that says it has left. Raises
        LeftRun when no bot of the host is left.
        """
        bot = slot.config.key
        _LOG.error("bot %s failed and leaves the run: %s", bot, error, extra={"bot": bot})
        restored = self._open(slot.config)
        left = replace(self._progress(restored, due), next_due_us=None, left=True)
        self._commit([restored], {bot: left})
        left_slot = self.slots.get(bot)
        if left_slot is not None:
            self._forget(left_slot)
        gone = LeftRun(bot, due.market_us, str(error))
        gone.__cause__ = error
        self._note_left(slot.config, gone)

    def _note_left(self, config: BotConfig, error: LeftRun) -> None:
        """Note that a bot has left the run because of its own failure. Raises `error` when no bot is left."""
        del config
        if not self.slots:
            raise error

    def _due_slots(self) -> list[Slot]:
        """Return the bots whose turn it is."""
        assert self._view is not None
        return [slot for slot in self.slots.values() if self._view.due_of(_participant(slot)) is not None]

    def _take_turn(self, slot: Slot, due: Due, found: Mapping[StreamName, Sequence[StreamItem]]) -> None:
        """Apply a bot's inputs of this turn: executions in stream order, then due timers, then bars (rule 20)."""
        if not slot.is_adopted:
            slot.adopt(due.market_us)
        for item in found.get(slot.sources.executions, ()):
            if item.seq > slot.positions[item.stream]:
                slot.apply_execution(item.seq, slot.decode_execution(item.payload))
        if due.turn.round > 0:
            return
        bars = [
            item
            for stream in slot.sources.bars
            for item in found.get(stream, ())
            if item.seq > slot.positions[stream] and item.bar is not None
        ]
        bars.sort(key=_bar_place)
        slot.reach(due.market_us)
        for item in bars:
            assert item.bar is not None
            slot.apply_bar(item.stream, item.seq, item.bar)

    def _progress(self, slot: Slot, due: Due) -> Progress:
        produced = {}
        if slot.has_requests:
            produced[orders_stream(slot.config.uid)] = slot.bot.request_seq
        return Progress(
            participant=_participant(slot),
            market_us=due.market_us,
            round=due.turn.round,
            phase=Phase.BOTS,
            produced=produced,
            next_due_us=slot.bot.next_due_us,
            left=slot.config.key in self._leaving,
        )

    # --- commit ---------------------------------------------------------------------------------------------------

    def _commit(self, slots: Sequence[Slot], progress: Mapping[BotKey, Progress]) -> None:
        """Commit, and only then publish what the bots decided."""
        run = self._plan.run
        turn_size = 1 if self._view is None else self._view.turn_size
        commits: list[tuple[Slot, BotCommit]] = []
        for slot in slots:
            row = progress.get(slot.config.key)
            own_run = run if row is not None else None
            commits.append((slot, slot.build_commit(progress=row, run=own_run, turn_size=turn_size)))
        ours = self._store.commit_bots([commit for _, commit in commits])
        for slot, commit in commits:
            if commit.bot not in ours:
                self._drop(slot)
                continue
            slot.committed(commit)
            if commit.progress is not None and self._view is not None:
                self._view.offer([commit.progress])
            if commit.requests:
                self._publisher.publish(commit.requests)
        self._note_committed(ours)

    def _note_committed(self, bots: Collection[BotKey]) -> None:
        """Hear which bots have just committed."""


def _participant(slot: Slot) -> Participant:
    return bot_participant(slot.config.key, slot.config.uid)


def _bar_place(item: StreamItem) -> tuple[int, str, int]:
    assert item.bar is not None
    return (item.bar.close_us, item.bar.symbol, item.bar.interval_us)
