"""The edge of the Gateway machine: one transaction a poll, then publish, then send (design §5).

In a free run its inputs come as they arrive; in a lockstep run the progress rows say which inputs belong to which
turn. The machine, the transaction and what follows the commit are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue, OutcomeUnknown, Permanent, Retryable
from tradefleet.domain.ids import (
    BotKey,
    BotUid,
    StreamName,
    Symbol,
    bars_stream,
    executions_stream,
    orders_stream,
)
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import BotRequest, Reason
from tradefleet.domain.progress import (
    GATEWAY,
    REPORTS_STREAM,
    VENUE_REQUESTS_STREAM,
    Phase,
    Progress,
)
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.venue import (
    VenueReport,
    VenueRequest,
)
from tradefleet.messages.codec import UndecodableMessage, decode, encode
from tradefleet.messages.convert import request_of, statistics_message
from tradefleet.messages.convert_journal import journal_stream
from tradefleet.messages.topics import METRICS
from tradefleet.messages.trading import AmendRequested, CancelRequested, OrderRequested
from tradefleet.runtime.follower import RunFollower
from tradefleet.runtime.ports import Clock, Publisher, Streams
from tradefleet.store.ports import (
    GATEWAY_ROLE,
    DeadLetter,
    GatewayCommit,
    GatewayStore,
    GatewayTransaction,
    HaltStore,
    Lease,
    OutboxMessage,
    RunId,
    RunStore,
    gateway_lease,
)
from workloads.backtest.engine import steps
from workloads.backtest.lockstep import Due, RunView
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.order import SUBMIT
from workloads.exchange.gateway.reconciliation import VenueStatement
from workloads.exchange.gateway_commit import build_commit, restore_machine
from workloads.exchange.gateway_line import VenueLine
from workloads.exchange.gateway_log import GatewayLog
from workloads.exchange.ports import CommandSource, VenuePort
from workloads.exchange.risk_states import RiskStates

REQUESTS_MAX = 400  # taken in one transaction
ANNOUNCE_US = 250_000  # between two announcements of figures
UPKEEP_US = 1_000_000  # how often commands and halts are looked at without a hint


class GatewayDatabase(GatewayStore, RunStore, HaltStore, CommandSource, Protocol):
    """Everything the gateway reads and writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """How this gateway runs. Times in microseconds of the wall's clock."""

    config: GatewayConfig
    exchange: str  # "namespace/name"
    holder: str
    generation: int
    owner: str = ""  # UID of the Exchange
    bar_streams: tuple[StreamName, ...] = ()  # beyond the finest ones: bots of coarser intervals have figures too
    executions_topic: str
    reports_topic: str
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000
    request_timeout_us: int = 5_000_000
    look_every_us: int = 30_000_000  # between two comparisons of the books with the venue, in a free run
    look_again_us: int = 2_000_000  # and where they differed, or a bot's books are in doubt


class GatewayWorker:
    """One exchange account's gateway."""

    def __init__(
        self,
        plan: GatewayPlan,
        *,
        store: GatewayDatabase,
        streams: Streams,
        venue: VenuePort,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._store = store
        self._streams = streams
        self._line = VenueLine(venue, clock, request_timeout_us=plan.request_timeout_us)
        self._publisher = publisher
        self._log = GatewayLog(plan.config.instruments)
        self._risk_states = RiskStates(publisher)
        self._clock = clock
        finest = (bars_stream(plan.exchange, symbol, interval) for symbol, interval in plan.config.finest_us.items())
        self._bar_streams = sorted({*plan.bar_streams, *finest})
        self._journal = journal_stream(plan.exchange)  # of a simulator: a record says that there may be reports
        self.machine = Gateway(plan.config)
        self._lease: Lease | None = None
        self._is_in_doubt = False  # a predecessor's orders may be under way without bound, and that is not committed
        self._version = 0
        self._positions: dict[StreamName, int] = {}
        self._figures: dict[BotKey, BotStatistics] = {}  # newest of each bot, not announced yet
        self._announced = 0
        self._announce_at_us = 0
        self._upkeep_at_us = 0
        self._looked_us: int | None = None  # when the books were last compared with the venue
        self._has_more = False  # the last transaction was full: more requests may wait
        self._has_sent = False  # the venue may have answered by now, and nothing else would wake us up
        self._view: RunView | None = None
        self._follower: RunFollower | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the lease, become the gateway that committed last, and ask the venue about what is unsettled."""
        plan = self._plan
        self._take_lease()
        self.machine = Gateway(plan.config)
        record = self._store.load_gateway(plan.config.account)
        self._version, self._positions = 0, {}
        if record is not None:
            restore_machine(self.machine, record)
            self._version = record.version
            self._positions = dict(record.positions)
        self._upkeep_at_us = 0
        self._looked_us = None
        self._has_more = self._has_sent = False
        books = self.machine.accounts.values()
        self._publisher.sweep([executions_stream(account.config.uid) for account in books])
        self._streams.start({stream: self._positions.get(stream, 0) for stream in self._bar_streams})
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follower = RunFollower(self._store, plan.run, [GATEWAY_ROLE], self._view)
            self._follower.refresh()
        self._line.start([] if record is None else [row.request for row in record.unsettled])
        if self._is_in_doubt:
            self.machine.on_doubt("this gateway took over from one that may still have orders under way")
        self._reconnect()

    def _take_lease(self) -> None:
        """Take the lease; be silent for a while when another process had it and has not given it back (rule 3).

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
        self._is_in_doubt = not self._line.is_bounded

    def stop(self) -> None:
        """Give the lease back."""
        if self._lease is not None:
            self._store.release(self._lease)
            self._lease = None

    @property
    def epoch(self) -> int:
        """The epoch of our lease, 0 without one."""
        return 0 if self._lease is None else self._lease.epoch

    @property
    def is_finished(self) -> bool:
        """True when the lockstep run has ended."""
        return self._view is not None and self._view.is_finished

    def step(self, timeout_us: int) -> bool:
        """Do one bounded piece of work."""
        self._renew()
        self._publisher.serve()
        if self._line.is_broken:
            self._reconnect()
            if self._line.is_asking:
                self._clock.sleep_us(min(timeout_us, self._line.wait_us))
                return False
        if self._follower is not None:
            return self._lockstep(timeout_us)
        return self._free(timeout_us)

    def _renew(self) -> None:
        plan, lease = self._plan, self._lease
        assert lease is not None, "step() before start()"
        if self._clock.monotonic_us() >= lease.deadline_us - plan.lease_ttl_us // 2:
            self._lease = self._store.renew(lease, ttl_us=plan.lease_ttl_us)

    # --- free run -------------------------------------------------------------------------------------------------

    def _free(self, timeout_us: int) -> bool:
        due = self._clock.monotonic_us() >= self._upkeep_at_us
        wanted = due or self._has_more
        items = self._streams.poll(0 if wanted or self._has_sent else timeout_us)
        self._has_more = self._has_sent = False
        bars: list[Bar] = []
        for item in items:
            if item.bar is not None:
                bars.append(item.bar)
                self._positions[item.stream] = item.seq
            elif item.stream != self._journal:
                wanted = True
        bars.sort(key=attrgetter("close_us"))  # instruments come by partitions of their own
        statement = self._look() if due else None
        reports = self._line.reports(self.machine.report_no)
        if not (bars or reports or wanted):
            return False
        self._transact(bars=bars, reports=reports, take_requests=wanted, upkeep=due, statement=statement)
        if due:
            self._upkeep_at_us = self._clock.monotonic_us() + UPKEEP_US
        return True

    # --- lockstep -------------------------------------------------------------------------------------------------

    def _lockstep(self, timeout_us: int) -> bool:
        assert self._view is not None
        assert self._follower is not None
        due = self._view.due_of(GATEWAY)
        if due is None:
            self._follower.wait(timeout_us)
            due = self._view.due_of(GATEWAY)
        if due is None:
            return False
        if due.turn.phase is Phase.GATEWAY_REPORTS:
            return self._reports_turn(due, timeout_us)
        refuse = Reason.TOO_MANY_ROUNDS if due.turn.is_last_round else Reason.NONE
        self._transact(due=due, take_requests=True, refuse=refuse)
        return True

    def _reports_turn(self, due: Due, timeout_us: int) -> bool:
        assert self._view is not None
        heads = self._view.heads
        reports: list[VenueReport] = []
        last = heads.get(REPORTS_STREAM, 0)
        if last > self.machine.report_no:
            reports = [report for report in self._line.reports(self.machine.report_no) if report.no <= last]
            if not reports or reports[-1].no < last:
                self._clock.sleep_us(min(timeout_us, 1_000))  # the venue wrote its row and is coming back
                return False
        bars: list[Bar] = []
        first = due.turn.round == 0
        if first and due.has_bars:
            wanted = {stream: heads[stream] for stream in self._bar_streams if stream in heads}
            for items in self._streams.until(wanted).values():
                for item in items:
                    assert item.bar is not None
                    bars.append(item.bar)
                    self._positions[item.stream] = item.seq
            bars.sort(key=lambda bar: (bar.symbol, bar.interval_us))
        is_due = first and self._clock.monotonic_us() >= self._upkeep_at_us
        if is_due:
            self._upkeep_at_us = self._clock.monotonic_us() + UPKEEP_US
        self._transact(due=due, bars=bars, reports=reports, upkeep=is_due)
        return True

    # --- one transaction ------------------------------------------------------------------------------------------

    def _transact(
        self,
        *,
        due: Due | None = None,
        bars: Sequence[Bar] = (),
        reports: Sequence[VenueReport] = (),
        take_requests: bool = False,
        upkeep: bool = False,
        statement: VenueStatement | None = None,
        refuse: Reason = Reason.NONE,
    ) -> None:
        """Apply inputs, commit what came of them, publish, send. An error leaves a machine to be thrown away."""
        machine = self.machine
        market_us = due.market_us if due is not None else max([machine.now_us, *(bar.close_us for bar in bars)])
        if statement is not None and machine.on_statement(statement):
            self._looked_us = self._clock.monotonic_us()
        if upkeep:
            self._take_commands(market_us)
        with self._store.gateway_transaction(self._plan.config.account) as transaction:
            requests, unreadable = self._read_requests(transaction) if take_requests else ([], [])
            if upkeep:
                machine.on_halts([halt.scope for halt in self._store.active_halts()], market_us)
            if requests:
                self._lock_halts(transaction, requests, market_us)
            machine.on_reports(reports)
            for moment_us, step_bars in steps(bars):
                machine.on_bars(moment_us, step_bars)
            machine.on_requests(requests, market_us, refuse=refuse)
            for bot, row, why in unreadable:  # what the bot asked for before it was all right
                machine.on_unreadable(bot, row.seq, why)
            effects = machine.take()
            for bot in effects.accounts:
                account = machine.accounts[bot]
                self._positions[orders_stream(account.config.uid)] = account.request_seq
            letters = [_letter(row, why) for _, row, why in unreadable]
            commit = self._write(transaction, effects, due, letters)
        if commit.progress is not None and self._view is not None:
            self._view.offer([commit.progress])
        self._after(commit, effects)

    def _write(
        self,
        transaction: GatewayTransaction,
        effects: GatewayEffects,
        due: Due | None,
        dead_letters: Sequence[DeadLetter] = (),
    ) -> GatewayCommit:
        plan, machine = self._plan, self.machine
        assert self._lease is not None
        progress: Progress | None = None
        if due is not None:
            progress = Progress(
                participant=GATEWAY,
                market_us=due.market_us,
                round=due.turn.round,
                phase=due.turn.phase,
                produced=self._produced(effects),
            )
        commit = build_commit(
            machine,
            effects,
            dead_letters=dead_letters,
            lease=self._lease,
            version=self._version,
            positions=self._positions,
            executions_topic=plan.executions_topic,
            reports_topic=plan.reports_topic,
            progress=progress,
            run=plan.run if progress is not None else None,
        )
        transaction.write(commit)
        return commit

    def _produced(self, effects: GatewayEffects) -> dict[StreamName, int]:
        """Return the last numbers of what this turn brings to others: executions that no row has told of, and again
        those of bots that have not had their turn since, so that this row can wake everybody who has one next.
        """
        assert self._view is not None
        produced: dict[StreamName, int] = {}
        if effects.venue_requests:
            produced[VENUE_REQUESTS_STREAM] = self.machine.request_no
        heads, fresh, listening = self._view.heads, self._view.fresh, self._view.executions
        for _, account in sorted(self.machine.accounts.items()):
            stream = executions_stream(account.config.uid)
            if stream in listening and (account.execution_seq > heads.get(stream, 0) or stream in fresh):
                produced[stream] = account.execution_seq
        return produced

    def _after(self, commit: GatewayCommit, effects: GatewayEffects) -> None:
        """What may leave now that the commit is durable."""
        self._version += 1
        self._is_in_doubt = False  # it is in the rows now
        self._line.note(effects.venue_requests, commit.settled)
        if commit.executions:
            self._publisher.publish(commit.executions)
        self._log.tell(effects, commit.dead_letters, now_us=self._clock.monotonic_us())
        self._announce(effects)
        self._risk_states.tell(self.machine, epoch=self.epoch, now_us=self._clock.monotonic_us())
        if effects.venue_requests:
            self._send(effects.venue_requests)
            self._has_sent = True

    def _announce(self, effects: GatewayEffects) -> None:
        """Tell whoever looks how the bots stand: the newest figures of each, a few times a second."""
        self._figures.update({figures.bot: figures for figures in effects.statistics})
        now_us = self._clock.monotonic_us()
        if not self._figures or now_us < self._announce_at_us:
            return
        self._announce_at_us = now_us + ANNOUNCE_US
        figures, self._figures = self._figures, {}
        for each in figures.values():
            account = self.machine.accounts.get(each.bot)
            if account is None:
                continue  # it is gone since
            self._announced += 1
            message = statistics_message(
                each,
                StreamName(f"metrics/{account.config.uid}"),
                self._announced,
                account.instruments[0].quote_scale,
                self._plan.config.instruments,
            )
            self._publisher.announce(METRICS.name, each.bot, encode(message))

    def _take_commands(self, market_us: int) -> None:
        """Take what the bots' owners want. A bot that cannot be traded so is refused; the others go on."""
        refusals: dict[BotUid, str] = {}
        commands = self._store.bot_commands(self._plan.config.account)
        for command in commands:
            try:
                self.machine.on_command(command, market_us)
            except Permanent as error:
                refusals[command.config.uid] = str(error)
        self.machine.on_refusals(refusals)
        self.machine.forget({command.config.uid for command in commands})

    def _read_requests(
        self, transaction: GatewayTransaction
    ) -> tuple[list[BotRequest], list[tuple[BotKey, OutboxMessage, str]]]:
        """Return the committed requests that were not applied, in the order of (bot, seq), and those that cannot be.

        One that cannot be read stops its bot's stream: what follows it stays where it is (rule 9). A bot that takes no
        new risk for another reason is still heard, since it may cancel.
        """
        readable = [account for account in self.machine.accounts.values() if not account.unreadable_seq]
        after = {orders_stream(account.config.uid): account.request_seq for account in readable}
        bots = {orders_stream(account.config.uid): account.key for account in readable}
        requests: list[BotRequest] = []
        unreadable: dict[StreamName, tuple[BotKey, OutboxMessage, str]] = {}
        rows = transaction.requests(after, limit=REQUESTS_MAX)
        self._has_more = len(rows) == REQUESTS_MAX
        for row in rows:
            if row.stream in unreadable:
                continue
            try:
                requests.append(_request_in(row, bots[row.stream], self._plan.config.instruments))
            except Permanent as error:
                unreadable[row.stream] = (bots[row.stream], row, f"request {row.seq} cannot be read: {error}")
        requests.sort(key=lambda request: (request.bot, request.seq))
        return requests, list(unreadable.values())

    def _lock_halts(self, transaction: GatewayTransaction, requests: Sequence[BotRequest], market_us: int) -> None:
        """Hold the switches of these bots till the commit, and tell the machine how they stand."""
        bots = sorted({request.bot for request in requests})
        found = {halt.scope for halt in transaction.halts(bots)}
        asked = {"fleet", f"account/{self._plan.config.account}", *(f"bot/{bot}" for bot in bots)}
        self.machine.on_halts((self.machine.halts - asked) | found, market_us)

    # --- the venue ------------------------------------------------------------------------------------------------

    def _send(self, requests: Sequence[VenueRequest]) -> None:
        """Send committed requests. Orders that raise risk go out only under the halt switches (rule 11)."""
        risky = {request.no: bot for request in requests if (bot := self.machine.risk_of(request)) is not None}
        if not risky:
            self._hand_over(requests)
            return
        with self._store.sending(self._plan.config.account, sorted(set(risky.values()))) as halts:
            scopes = {halt.scope for halt in halts}
            if not scopes:
                self._hand_over(requests)
                return
        machine = self.machine
        machine.on_halts(machine.halts | scopes, machine.now_us)
        stopped = [request for request in requests if request.no in risky and machine.is_halted(risky[request.no])]
        numbers = {request.no for request in requests}
        fresh = [request for request in self._take_back(stopped) if request.no not in numbers]
        self._hand_over([*map(self._line.latest, requests), *fresh])

    def _take_back(self, stopped: Sequence[VenueRequest]) -> list[VenueRequest]:
        """A halt came between commit and send: what it stops is denied, and its numbers are voided.

        Return what this asks of the venue: the voids, and the cancels of what is open.
        """
        machine = self.machine
        with self._store.gateway_transaction(self._plan.config.account) as transaction:
            machine.on_unsent(stopped, machine.now_us)
            effects = machine.take()
            commit = self._write(transaction, effects, None)
        self._after(commit, GatewayEffects(executions=effects.executions))
        self._log.tell(effects, (), now_us=self._clock.monotonic_us())
        self._line.note(effects.venue_requests)
        return effects.venue_requests

    def _hand_over(self, requests: Sequence[VenueRequest]) -> None:
        """Send, if there is time enough for it before our lease may be another's (rule 3)."""
        plan = self._plan
        assert self._lease is not None
        if self._clock.monotonic_us() >= self._lease.deadline_us - plan.request_timeout_us:
            self._lease = self._store.renew(self._lease, ttl_us=plan.lease_ttl_us)
            if self._clock.monotonic_us() >= self._lease.deadline_us - plan.request_timeout_us:
                raise Retryable(f"gateway of {plan.config.account}: renewing the lease took as long as it lasts")
        self._line.send(requests)

    def _reconnect(self) -> None:
        """Connect, and ask about what is unsettled before anything is sent again."""
        missing = self._line.reconnect(self.machine.request_no)
        if missing:
            self._send(missing)

    def _look(self) -> VenueStatement | None:
        """Return what the venue says of the account, now and then; None in between, or when it cannot say just now."""
        machine, plan = self.machine, self._plan
        wait_us = plan.look_again_us if machine.is_in_doubt else plan.look_every_us
        if self._looked_us is not None and self._clock.monotonic_us() < self._looked_us + wait_us:
            return None
        known = [order_id for order_id, order in machine.orders.items() if SUBMIT not in order.open_requests]
        return self._line.statement(machine.report_no, known, self._clock.wall_us())


def _letter(row: OutboxMessage, why: str) -> DeadLetter:
    return DeadLetter(topic=row.topic, stream=row.stream, seq=row.seq, key=row.key, reason=why, payload=row.payload)


def _request_in(row: OutboxMessage, bot: BotKey, instruments: Mapping[Symbol, Instrument]) -> BotRequest:
    """Return the request in a row of a bot's stream. Raises Permanent, also for one that speaks for somebody else."""
    message = decode(row.payload)
    if not isinstance(message, OrderRequested | AmendRequested | CancelRequested):
        raise UndecodableMessage(f"expected a bot's request, found a {message.type}")
    request = request_of(message, instruments)
    if (request.bot, request.seq) != (bot, row.seq):
        raise InvalidValue(f"it says that it is request {request.seq} of bot {request.bot}")
    return request
