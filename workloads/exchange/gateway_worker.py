"""The edge of the Gateway machine: one transaction a poll, then publish, then send (design §5).

In a free run its inputs come as they arrive; in a lockstep run the progress rows say which inputs belong to which
turn. The machine, the transaction and what follows the commit are the same.
"""

from collections.abc import Collection, Sequence
from operator import attrgetter

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import StreamName, executions_stream, orders_stream
from tradefleet.domain.orders import BotRequest, Reason
from tradefleet.domain.progress import Phase
from tradefleet.domain.venue import VenueReport, VenueRequest
from tradefleet.messages.convert_journal import journal_stream
from tradefleet.runtime.ports import Clock, Publisher, Streams
from tradefleet.store.ports import DeadLetter, GatewayCommit, GatewayTransaction
from workloads.backtest.engine import steps
from workloads.backtest.lockstep import Due
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.reconciliation import VenueStatement
from workloads.exchange.gateway_commit import build_commit, restore_machine
from workloads.exchange.gateway_figures import BotFigures
from workloads.exchange.gateway_lease import AccountLease
from workloads.exchange.gateway_letters import GatewayLetters
from workloads.exchange.gateway_line import VenueLine
from workloads.exchange.gateway_log import GatewayLog
from workloads.exchange.gateway_plan import GatewayDatabase, GatewayPlan
from workloads.exchange.gateway_requests import Unreadable, read_requests
from workloads.exchange.gateway_turns import GatewayTurns, in_turn
from workloads.exchange.gateway_upkeep import Upkeep
from workloads.exchange.ports import VenuePort
from workloads.exchange.risk_states import RiskStates

MARKS_WAIT_US = 10_000  # how long marks and figures, which nobody waits for, may wait for an order to commit with


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
        self._clock = clock
        self._publisher = publisher
        self._line = VenueLine(venue, clock, request_timeout_us=plan.request_timeout_us)
        self._lease = AccountLease(plan, store=store, line=self._line, clock=clock)
        self._upkeep = Upkeep(plan, store=store, line=self._line, publisher=publisher, clock=clock)
        self._log = GatewayLog(plan.config.instruments)
        self._letters = GatewayLetters(publisher, plan.config.account)
        self._figures = BotFigures(publisher, plan.config.instruments)
        self._risk_states = RiskStates(publisher)
        self._bar_streams = plan.bars
        self._journal = journal_stream(plan.exchange)  # of a simulator: a record says that there may be reports
        self.machine = Gateway(plan.config)
        self._turns: GatewayTurns | None = None  # of a lockstep run
        self._version = 0
        self._positions: dict[StreamName, int] = {}
        self._has_more = False  # the last transaction was full: more requests may wait
        self._has_sent = False  # the venue may have answered by now, and nothing else would wake us up
        self._commit_at_us: int | None = None  # when the bars that were applied are to be committed at the latest

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the lease, become the gateway that committed last, and ask the venue about what is unsettled."""
        plan = self._plan
        self._lease.take()
        self.machine = Gateway(plan.config)
        record = self._store.load_gateway(plan.config.account)
        self._version, self._positions = 0, {}
        if record is not None:
            restore_machine(self.machine, record)
            self._version = record.version
            self._positions = dict(record.positions)
        self._upkeep.start()
        self._has_more = self._has_sent = False
        self._commit_at_us = None
        books = self.machine.accounts.values()
        self._publisher.sweep([executions_stream(account.config.uid) for account in books])
        self._streams.start({stream: self._positions.get(stream, 0) for stream in self._bar_streams})
        if plan.run is not None:
            self._turns = GatewayTurns(plan.run, self._store, self._bar_streams)
        self._line.start([] if record is None else [row.request for row in record.unsettled])
        if self._lease.is_in_doubt:
            self.machine.on_doubt("this gateway took over from one that may still have orders under way")
        self._reconnect()

    def stop(self) -> None:
        """Give the lease back."""
        self._lease.give_back()

    @property
    def epoch(self) -> int:
        """The epoch of our lease, 0 without one."""
        return self._lease.epoch

    @property
    def is_finished(self) -> bool:
        """True when the lockstep run has ended."""
        return self._turns is not None and self._turns.is_finished

    def step(self, timeout_us: int) -> bool:
        """Do one bounded piece of work."""
        self._lease.keep()
        self._publisher.serve()
        if self._line.is_broken:
            self._reconnect()
            if self._line.is_asking:
                self._clock.sleep_us(min(timeout_us, self._line.wait_us))
                return False
        if self._turns is not None:
            return self._lockstep(self._turns, timeout_us)
        return self._free(timeout_us)

    # --- free run -------------------------------------------------------------------------------------------------

    def _free(self, timeout_us: int) -> bool:
        due = self._upkeep.is_due
        wanted = due or self._has_more
        answered = due or self._has_sent
        if wanted or answered:
            timeout_us = 0
        elif self._commit_at_us is not None:
            timeout_us = min(timeout_us, max(0, self._commit_at_us - self._clock.monotonic_us()))
        items = self._streams.poll(timeout_us)
        answered = answered or not items  # not beside news that a bot answers just now: the venue may be busy with it
        self._has_more = self._has_sent = False
        bars: list[Bar] = []
        hinted: set[StreamName] = set()
        for item in items:
            if item.bar is not None:
                bars.append(item.bar)
                self._positions[item.stream] = item.seq
            elif item.stream == self._journal:
                answered = True
            else:
                hinted.add(item.stream)
        bars.sort(key=attrgetter("close_us"))  # instruments come by partitions of their own
        statement = self._upkeep.statement(self.machine) if due else None
        reports = self._line.reports(self.machine.report_no) if answered else []
        if not (reports or wanted or hinted):
            return self._apply_quietly(bars)
        self._transact(
            bars=bars,
            reports=reports,
            take_requests=wanted or bool(hinted),
            hinted=() if wanted else hinted,  # a look without a hint is a look at everybody
            upkeep=due,
            statement=statement,
        )
        if due:
            self._upkeep.put_off()
        return True

    def _apply_quietly(self, bars: Sequence[Bar]) -> bool:
        """Apply bars, and commit at once only what somebody waits for.

        The bots answer these very bars in a moment: marks and figures can be committed together with their orders.
        Until then nothing of them leaves, and after a crash the bars are read again.
        """
        machine = self.machine
        for moment_us, step_bars in steps(bars):
            machine.on_bars(moment_us, step_bars)
        now_us = self._clock.monotonic_us()
        if bars and self._commit_at_us is None:
            self._commit_at_us = now_us + MARKS_WAIT_US
        if machine.is_waited_for or (self._commit_at_us is not None and now_us >= self._commit_at_us):
            self._transact()
            return True
        return bool(bars)

    # --- lockstep -------------------------------------------------------------------------------------------------

    def _lockstep(self, turns: GatewayTurns, timeout_us: int) -> bool:
        due = turns.due(timeout_us)
        if due is None:
            return False
        if due.turn.phase is Phase.GATEWAY_REPORTS:
            return self._reports_turn(turns, due, timeout_us)
        refuse = Reason.TOO_MANY_ROUNDS if due.turn.is_last_round else Reason.NONE
        self._transact(due=due, take_requests=True, refuse=refuse)
        return True

    def _reports_turn(self, turns: GatewayTurns, due: Due, timeout_us: int) -> bool:
        reports: list[VenueReport] = []
        last = turns.last_report_no
        if last > self.machine.report_no:
            reports = [report for report in self._line.reports(self.machine.report_no) if report.no <= last]
            if not reports or reports[-1].no < last:
                self._clock.sleep_us(min(timeout_us, 1_000))  # the venue wrote its row and is coming back
                return False
        bars: list[Bar] = []
        first = due.turn.round == 0
        if first and due.has_bars:
            for items in self._streams.until(turns.bar_heads).values():
                for item in items:
                    assert item.bar is not None
                    bars.append(item.bar)
                    self._positions[item.stream] = item.seq
            bars.sort(key=in_turn)
        is_due = first and self._upkeep.is_due
        if is_due:
            self._upkeep.put_off()
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
        hinted: Collection[StreamName] = (),
        upkeep: bool = False,
        statement: VenueStatement | None = None,
        refuse: Reason = Reason.NONE,
    ) -> None:
        """Apply inputs, commit what came of them, publish, send. An error leaves a machine to be thrown away."""
        machine = self.machine
        market_us = due.market_us if due is not None else max([machine.now_us, *(bar.close_us for bar in bars)])
        if statement is not None and machine.on_statement(statement):
            self._upkeep.note_look()
        if upkeep:
            self._upkeep.take_commands(machine, market_us)
            self._upkeep.look_for_bots(machine, market_us)
        with self._store.gateway_transaction(self._plan.config.account) as transaction:
            requests: list[BotRequest] = []
            unreadable: list[Unreadable] = []
            if take_requests:
                # A turn of a lockstep run is what was asked for in it, however much that is.
                whole = due is not None
                requests, unreadable, self._has_more = read_requests(machine, transaction, whole=whole, hinted=hinted)
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
            letters = [each.letter for each in unreadable]
            commit = self._write(transaction, effects, due, letters)
        if commit.progress is not None and self._turns is not None:
            self._turns.offer(commit.progress)
        self._after(commit, effects)

    def _write(
        self,
        transaction: GatewayTransaction,
        effects: GatewayEffects,
        due: Due | None,
        dead_letters: Sequence[DeadLetter] = (),
    ) -> GatewayCommit:
        plan, machine, turns = self._plan, self.machine, self._turns
        row = None if due is None or turns is None else turns.row(due, machine, effects)
        commit = build_commit(
            machine,
            effects,
            dead_letters=dead_letters,
            lease=self._lease.value,
            version=self._version,
            positions=self._positions,
            executions_topic=plan.executions_topic,
            reports_topic=plan.reports_topic,
            progress=row,
            run=plan.run if row is not None else None,
        )
        transaction.write(commit)
        return commit

    def _after(self, commit: GatewayCommit, effects: GatewayEffects) -> None:
        """What may leave now that the commit is durable."""
        self._version += 1
        self._commit_at_us = None
        self._lease.is_in_doubt = False  # it is in the rows now
        self._line.note(effects.venue_requests, commit.settled)
        if commit.executions:
            self._publisher.publish(commit.executions)
        now_us = self._clock.monotonic_us()
        self._log.tell(effects, commit.dead_letters, now_us=now_us)
        if commit.dead_letters:
            self._letters.tell(commit.dead_letters, wall_us=self._clock.wall_us())
        self._figures.tell(effects.statistics, self.machine.accounts, now_us=now_us)
        self._risk_states.tell(self.machine, epoch=self.epoch, now_us=now_us)
        if effects.venue_requests:
            self._send(effects.venue_requests)
            self._has_sent = True

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
        self._lease.have_time_to_send()
        self._line.send(requests)

    def _reconnect(self) -> None:
        """Connect, and ask about what is unsettled before anything is sent again."""
        missing = self._line.reconnect(self.machine.request_no)
        if missing:
            self._send(missing)
