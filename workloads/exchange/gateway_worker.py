"""The edge of the Gateway machine: one transaction a poll, then publish, then send (design §5).

In a free run its inputs come as they arrive; in a lockstep run the progress rows say which inputs belong to which
turn. The machine, the transaction and what follows the commit are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue, OutcomeUnknown, Permanent, Retryable
from tradefleet.domain.ids import (
    BotKey,
    BotUid,
    ClientOrderId,
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
    AmendOrder,
    CancelOrder,
    DepositFunds,
    SubmitOrder,
    VenueOrder,
    VenueReport,
    VenueRequest,
    VoidRequest,
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
from workloads.exchange.gateway_commit import build_commit, restore_machine
from workloads.exchange.ports import CommandSource, VenuePort

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
    bar_streams: tuple[StreamName, ...] = ()  # beyond the finest ones: bots of coarser intervals have figures too
    executions_topic: str
    reports_topic: str
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000
    request_timeout_us: int = 5_000_000


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
        self._venue = venue
        self._publisher = publisher
        self._clock = clock
        finest = (bars_stream(plan.exchange, symbol, interval) for symbol, interval in plan.config.finest_us.items())
        self._bar_streams = sorted({*plan.bar_streams, *finest})
        self._journal = journal_stream(plan.exchange)  # of a simulator: a record says that there may be reports
        self.machine = Gateway(plan.config)
        self._lease: Lease | None = None
        self._version = 0
        self._positions: dict[StreamName, int] = {}
        self._unsettled: dict[int, VenueRequest] = {}
        self._figures: dict[BotKey, BotStatistics] = {}  # newest of each bot, not announced yet
        self._announced = 0
        self._announce_at_us = 0
        self._upkeep_at_us = 0
        self._ask_at_us = 0  # when a venue's "I do not know that order" can be believed (rule 16)
        self._is_asking = False  # something is unsettled, and the venue has not been asked yet
        self._has_more = False  # the last transaction was full: more requests may wait
        self._has_sent = False  # the venue may have answered by now, and nothing else would wake us up
        self._view: RunView | None = None
        self._follower: RunFollower | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the lease, become the gateway that committed last, and ask the venue about what is unsettled."""
        plan = self._plan
        self._lease = self._store.acquire(
            gateway_lease(plan.config.account),
            holder=plan.holder,
            generation=plan.generation,
            ttl_us=plan.lease_ttl_us,
        )
        self.machine = Gateway(plan.config)
        record = self._store.load_gateway(plan.config.account)
        self._version, self._positions, self._unsettled = 0, {}, {}
        if record is not None:
            restore_machine(self.machine, record)
            self._version = record.version
            self._positions = dict(record.positions)
            self._unsettled = {row.request.no: row.request for row in record.unsettled}
        self._upkeep_at_us = 0
        self._has_more = self._has_sent = False
        books = self.machine.accounts.values()
        self._publisher.sweep([executions_stream(account.config.uid) for account in books])
        self._streams.start({stream: self._positions.get(stream, 0) for stream in self._bar_streams})
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follower = RunFollower(self._store, plan.run, [GATEWAY_ROLE], self._view)
            self._follower.refresh()
        self._ask_at_us = (
            self._clock.monotonic_us() + plan.request_timeout_us
        )  # whoever was here before us may have sent
        self._reconnect()

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
        if self._is_asking or self._venue.is_interrupted:
            self._reconnect()
            if self._is_asking:
                self._clock.sleep_us(min(timeout_us, max(0, self._ask_at_us - self._clock.monotonic_us())))
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
        reports = self._venue.reports(self.machine.report_no)
        if not (bars or reports or wanted):
            return False
        self._transact(bars=bars, reports=reports, take_requests=wanted, upkeep=due)
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
            reports = [report for report in self._venue.reports(self.machine.report_no) if report.no <= last]
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
        refuse: Reason = Reason.NONE,
    ) -> None:
        """Apply inputs, commit what came of them, publish, send. An error leaves a machine to be thrown away."""
        machine = self.machine
        market_us = due.market_us if due is not None else max([machine.now_us, *(bar.close_us for bar in bars)])
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
        self._unsettled.update({request.no: request for request in effects.venue_requests})
        for number in commit.settled:
            self._unsettled.pop(number, None)
        if commit.executions:
            self._publisher.publish(commit.executions)
        self._announce(effects)
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
            account = self.machine.accounts[each.bot]
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
        for command in self._store.bot_commands(self._plan.config.account):
            try:
                self.machine.on_command(command, market_us)
            except Permanent as error:
                refusals[command.config.uid] = str(error)
        self.machine.on_refusals(refusals)

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
        self._hand_over([*(self._unsettled.get(request.no, request) for request in requests), *fresh])

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
        self._unsettled.update({request.no: request for request in effects.venue_requests})
        return effects.venue_requests

    def _hand_over(self, requests: Sequence[VenueRequest]) -> None:
        """Send, if there is time enough for it before our lease may be another's (rule 3)."""
        plan = self._plan
        assert self._lease is not None
        if self._clock.monotonic_us() >= self._lease.deadline_us - plan.request_timeout_us:
            self._lease = self._store.renew(self._lease, ttl_us=plan.lease_ttl_us)
            if self._clock.monotonic_us() >= self._lease.deadline_us - plan.request_timeout_us:
                raise Retryable(f"gateway of {plan.config.account}: renewing the lease took as long as it lasts")
        try:
            self._venue.send(requests)
        except OutcomeUnknown:
            assert self._venue.is_interrupted, "a venue whose answer is unknown must say that it was interrupted"
            self._ask_at_us = self._clock.monotonic_us() + self._plan.request_timeout_us

    def _reconnect(self) -> None:
        """Connect, and ask about what is unsettled before anything is sent again.

        A venue that keeps no request numbers is asked only when nothing of ours can be under way to it any more, so
        `_is_asking` may stay on: until then nothing is sent.
        """
        self._is_asking = True
        self._venue.connect()
        taken = self._venue.request_no()
        missing: list[VenueRequest]
        open_requests = [self._unsettled[number] for number in sorted(self._unsettled)]
        if taken is not None:
            # A number that was settled without having arrived (a cancel that got lost, of an order that filled) stands
            # for nothing any more, but without it the venue would wait for ever.
            numbers = range(taken + 1, self.machine.request_no + 1)
            missing = [self._unsettled.get(number, VoidRequest(no=number)) for number in numbers]
        elif not open_requests or self._clock.monotonic_us() >= self._ask_at_us:
            missing = self._ask_for(open_requests)
        else:
            return
        self._is_asking = False
        if missing:
            self._send(missing)

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


def _is_amended(order: VenueOrder, request: AmendOrder) -> bool:
    same_lots = request.lots is None or request.lots == order.lots
    same_price = request.price_ticks is None or request.price_ticks == order.price_ticks
    return same_lots and same_price
