"""A whole fleet in one thread, driven by one seed: who works next, and what strikes from outside."""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import msgspec

from tests.simulation.ending import check_end, is_settled, ledger, reference
from tests.simulation.faults import Crash
from tests.simulation.fleet import ACCOUNT, EXCHANGE, LEASE_US, TICK_US, TIMEOUT_US, VENUE_PLACE, Fleet
from tests.simulation.processes import Process
from tests.simulation.scenario import Scenario
from tests.simulation.venue_door import VenueDoor
from tradefleet.domain.bots import BotCommand, BotConfig, RunState
from tradefleet.domain.errors import Fenced, LeaseHeld, OutcomeUnknown, Permanent, Retryable, StaleGeneration
from tradefleet.domain.ids import BotKey, orders_stream
from tradefleet.domain.venue import VenueRequest
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert_journal import journal_bars_message
from tradefleet.messages.topics import EXECUTIONS, JOURNAL, OHLC_STABLE, ORDERS
from tradefleet.store.ports import venue_lease
from workloads.strategy.host import HostWorker

QUIET_TICKS_MAX = 12_000  # after the last fault a run must end within this many
REST_TICKS = 120  # enough for each process to look after its lease
SETTLED_EVERY = 8  # ticks between two looks whether the run is over
INTERLEAVED_MAX = 40  # ticks of the others while a process stands still
REPLACED_TICKS = 120  # and more, when it is beyond its lease and has a successor
TWINS_MAX = 3


class Failed(AssertionError):
    """A run broke an invariant, or a worker gave up for good."""


class World(Fleet):
    """One run."""

    def __init__(self, chosen: Scenario) -> None:
        super().__init__(chosen, self._interleave)
        self.ticks = 0
        self.quiet_ticks = 0
        self._depth = 0
        self._states: dict[str, BotCommand] = {config.key: BotCommand(config=config) for config in self.configs}
        self.deleted: set[str] = set()

    def play(self) -> None:
        """Run with faults, then without, until everything has come to its end. Raises AssertionError."""
        if not self.scenario.keeps_numbers:
            self.fund()
        self.faults.rate = self.scenario.rate
        while self.ticks < self.scenario.fault_ticks and not self._is_over():
            self._tick()
            self._disturb()
        self.faults.rate = 0.0
        self._come_to_rest()
        for _ in range(2):  # everybody looks after lease, commands and switches; what came of it may be a new command
            self.time.advance(LEASE_US)
            for _ in range(REST_TICKS):
                self._tick()
            self._come_to_rest()
        check_end(self)
        if self.run is not None and not self.scenario.meddles and ledger(self) != reference(self):
            raise Failed("the ledger is not that of the backtest")

    def _come_to_rest(self) -> None:
        while not self._is_over():
            self._tick()
            self.quiet_ticks += 1
            if self.quiet_ticks >= QUIET_TICKS_MAX:
                raise Failed(f"the fleet does not come to an end: {self._whereabouts()}")

    # --- time and work --------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Let one process do one step."""
        self.ticks += 1
        self.time.advance(self.rng.randrange(1, 2 * TICK_US))
        self.broker.tick()
        if self.wire.late:
            self._deliver_late()
        if self.scenario.meddles and self.ticks % SETTLED_EVERY == 0:
            self._see_to_bots()
        awake = [
            each
            for each in self.processes
            if each.down_until_us <= self.time.now_us and not each.is_busy and not each.is_retired
        ]
        if not awake:
            return
        process = self.rng.choice(awake)
        process.is_busy = True
        try:
            self._step(process)
        except Crash:
            process.kill(self.time.now_us + self.rng.randrange(1, 40 * TICK_US))
        except (Fenced, StaleGeneration):
            self._fenced(process)
        except Permanent as error:
            raise Failed(f"{process.name} gave up: {type(error).__name__}: {error}") from error
        finally:
            process.is_busy = False

    def _step(self, process: Process) -> None:
        """Do what the loop of a real process does."""
        try:
            if process.worker is None:
                process.incarnation += 1
                process.worker, process.bus = process.make(process)
            if not process.is_started:
                process.worker.start()
                process.is_started = True
            process.worker.step(0)  # only the world moves time
        except LeaseHeld:
            process.is_started = False
            process.down_until_us = self.time.now_us + LEASE_US // 4
        except (Retryable, OutcomeUnknown):
            process.is_started = False  # the machine's memory is thrown away and loaded again (rule 8)

    def _fenced(self, process: Process) -> None:
        """A newer instance is at work: this one ends. When it is the only one, it starts anew after its lease."""
        process.kill(self.time.now_us + LEASE_US)
        if any(each.name == process.name and each is not process and not each.is_retired for each in self.processes):
            process.is_retired = True
            if self.processes.index(process) > 2:
                self.processes.remove(process)

    def _interleave(self, briefly: bool) -> None:
        """Somebody stands still in the middle of a step: the others go on, perhaps beyond its lease."""
        if self._depth:
            return
        self._depth = 1
        ticks, until_us = self.rng.randrange(1, INTERLEAVED_MAX), self.time.now_us + 10 * LEASE_US
        if briefly:
            until_us = self.time.now_us + TIMEOUT_US // 2
        elif self.rng.random() < 0.4:
            self._replace_busy()
            self.time.advance(LEASE_US)
            ticks += REPLACED_TICKS
        try:
            for _ in range(ticks):
                self._tick()
                if not briefly:
                    self._disturb()
                if self.time.now_us >= until_us:
                    return
        finally:
            self._depth = 0

    def _replace_busy(self) -> None:
        """Start a successor of the process that stands still, as is done for a pod on a node that does not answer."""
        for process in [each for each in self.processes if each.is_busy]:
            self._twin(process)

    def _deliver_late(self) -> None:
        """Let what was delayed on its way to the venue arrive; the venue takes nothing from an old connection."""
        due = [late for late in self.wire.late if late[0] <= self.time.now_us]
        self.wire.late = [late for late in self.wire.late if late[0] > self.time.now_us]
        for _, connection, requests in due:
            if self.wire.keeps_numbers and connection != self.wire.connection:
                continue
            self._deliver(requests)

    def _deliver(self, requests: list[VenueRequest]) -> None:
        door = VenueDoor(
            lambda: [each for each in self.processes if each.role == "venue" and not each.is_busy],
            ACCOUNT,
            self.faults,
            self.wire,
            now_us=lambda: self.time.now_us,
            timeout_us=1,
        )
        newest = self.wire.connection
        try:
            door.connect()
            door.deliver(requests)
        except (Retryable, OutcomeUnknown):
            pass  # nobody is there to hear
        self.wire.connection = newest

    # --- what strikes from outside --------------------------------------------------------------------------------

    def _disturb(self) -> None:
        """What strikes at any moment."""
        faults, rng = self.faults, self.rng
        process = rng.choice(self.processes)
        if not process.is_busy:
            self._hit(process)
        if faults.strikes("clock: jumped", 0.02):
            self.time.advance(LEASE_US)
        if faults.strikes("broker: wiped of messages", 0.03):
            self._lose_messages()
        if faults.strikes("publish: forged", 0.1):
            self._forge_request()
        if faults.strikes("journal: written by a fenced writer", 0.05):
            self._write_stale_record()
        if self.scenario.meddles:
            self._meddle()

    def _hit(self, process: Process) -> None:
        faults, rng = self.faults, self.rng
        if faults.strikes("process: killed", 0.3):
            process.kill(self.time.now_us + rng.randrange(1, 100 * TICK_US))
        if faults.strikes("process: stopped past its lease", 0.05):
            process.down_until_us = self.time.now_us + 2 * LEASE_US
            self._twin(process)
        if faults.strikes("process: second instance", 0.1):
            self._twin(process)
        if process.is_started and faults.strikes("process: ended by SIGTERM", 0.1):
            assert process.worker is not None
            process.is_busy = True
            with suppress(Crash, Retryable, OutcomeUnknown, Fenced):  # it ends all the same; its lease runs out
                process.worker.stop()
            process.is_busy = False
            process.kill(self.time.now_us + rng.randrange(1, 100 * TICK_US))

    def _twin(self, process: Process) -> None:
        """Start a second instance: as an old pod on a cut-off node would be, or under the name of the first one."""
        same = [each for each in self.processes if each.name == process.name]
        if process.role == "venue" and not self.scenario.keeps_numbers:
            return  # it stands for a real venue, of which there is one
        if process.is_retired or sum(not each.is_retired for each in same) >= TWINS_MAX:
            return
        number = 1 + max(int(each.holder.rpartition("-")[2]) for each in same)
        # An instance of the same name takes over at once. A venue without numbers is only safe when the one before it
        # is really dead by then, as whoever starts processes makes sure.
        takes_over = self.rng.random() < 0.4 and (process.role != "gateway" or self.scenario.keeps_numbers)
        holder = process.holder if takes_over else f"{process.name}-{number}"
        self.processes.append(Process(process.name, process.role, holder, process.make))

    def _lose_messages(self) -> None:
        """The broker loses every message but the journal's, which is the documented exception (rule 10)."""
        for topic in (OHLC_STABLE, ORDERS, EXECUTIONS):
            for partition in self.broker.log(topic.name).partitions:
                partition.clear()

    def _forge_request(self) -> None:
        """Somebody writes an order request to the topic that no bot committed."""
        config = self.rng.choice(self.configs)
        row = self.database.fleets["fleet"].streams[orders_stream(config.uid)]
        if not row.messages:
            return
        real = row.messages[-1]
        forged = msgspec.structs.replace(decode(real.payload), stream_seq=real.seq + 1)
        self.broker.send(ORDERS.name, real.key, encode(forged))

    def _write_stale_record(self) -> None:
        """A journal writer that lost its lease gets a record in, which the broker cannot know."""
        log = self.broker.log(JOURNAL.name)
        records = log.partitions[log.spec.partition(EXCHANGE)]
        lease = self.database.fleets["fleet"].leases.get(venue_lease(EXCHANGE))
        epoch = 0 if lease is None else lease.epoch
        if epoch < 2 or not records or decode(records[-1].value).epoch != epoch:  # type: ignore[attr-defined] # records
            return
        bar = self.rng.choice(self.bars)
        forged = bar._replace(open=bar.low / 2, low=bar.low / 2)
        message = journal_bars_message(EXCHANGE, len(records) + 1, epoch - 1, bar.close_us, [forged])
        writer = self.broker.open_journal(JOURNAL.name, EXCHANGE)
        rate, self.faults.rate = self.faults.rate, 0.0
        self.broker.append_journal(JOURNAL.name, EXCHANGE, writer, [encode(message)])
        self.faults.rate = rate

    # --- the owner ------------------------------------------------------------------------------------------------

    def _meddle(self) -> None:
        faults, rng = self.faults, self.rng
        config = rng.choice(self.configs)
        scope = rng.choice(("fleet", f"account/{ACCOUNT}", f"bot/{config.key}"))
        switch = self.database.fleets["fleet"].halts.get(scope)
        if switch is not None and switch.shares:
            pass  # the real call waits until the orders are sent
        elif faults.strikes("owner: halt set", 0.2):
            self.owner.set_halt(scope, reason="simulated", set_by="simulation")
            self.invariants.halt_returned(scope)
        elif faults.strikes("owner: halt cleared", 0.1):
            self.invariants.halt_clears(scope)
            self.owner.clear_halt(scope, set_by="simulation")
        if faults.strikes("owner: paused, resumed or flattened", 0.4):
            self._order(config)
        if self.run is None and faults.strikes("owner: new generation of a bot", 0.1):
            self._renew_config(config)
        if self.run is None and faults.strikes("owner: deleted a bot", 0.03):
            self._delete(config)
        if faults.strikes("owner: edited the exchange", 0.1):
            self._edit_exchange()

    def _order(self, config: BotConfig) -> None:
        before = self._states[config.key]
        if before.deleting or before.state is RunState.STOPPED:
            return
        choice = self.rng.randrange(4)
        if choice == 0:
            after = replace(before, flatten_no=before.flatten_no + 1)
        elif choice == 1 and self.rng.random() < 0.3:
            after = replace(before, state=RunState.STOPPED)
        else:
            paused = before.state is RunState.RUNNING
            after = replace(before, state=RunState.PAUSED if paused else RunState.RUNNING)
        self._states[config.key] = after
        self.owner.put_command(ACCOUNT, after)

    def _renew_config(self, config: BotConfig) -> None:
        """Change a bot's spec: its process is started again, and adopts what the generation before has left."""
        before = self._states[config.key]
        if before.deleting or before.state is RunState.STOPPED:
            return
        config = replace(config, generation=config.generation + 1, seed=config.seed + 1)
        self.configs = [config if each.key == config.key else each for each in self.configs]
        self._states[config.key] = replace(before, config=config)
        self.owner.put_command(ACCOUNT, self._states[config.key])
        for process in self.processes:
            if process.name == config.key and not process.is_busy:
                process.kill(self.time.now_us)

    def _delete(self, config: BotConfig) -> None:
        """Delete a bot as the fleet does: its processes end, then the gateway winds it down."""
        if config.key in self.deleted:
            return
        self.deleted.add(config.key)
        self.owner.retire_bot(config.uid, policy=config.deletion_policy)
        after = replace(self._states[config.key], deleting=True)
        self._states[config.key] = after
        self.owner.put_command(ACCOUNT, after)
        for process in self.processes:
            if process.name == config.key:
                process.is_retired = True
                if not process.is_busy:
                    process.kill(self.time.now_us)

    def _edit_exchange(self) -> None:
        """Change how the market fills orders and what it costs: everybody is started again, and the past stays."""
        rng = self.rng
        self.venue_config = replace(
            self.venue_config,
            slippage_ppm=rng.choice((0, 200, 5_000)),
            slippage_ticks=rng.choice((0, 2)),
            participation_ppm=rng.choice((None, 2_000)),
        )
        if self.run is None:  # a lockstep run keeps the terms it began with
            maker_ppm, taker_ppm = rng.choice(((0, 0), (-100, 300), (500, 1_000), (2_000, 20_000)))
            least = rng.choice((Decimal(0), Decimal(5), Decimal(50)))
            listed = {symbol: replace(each, min_notional=least) for symbol, each in self.instruments.items()}
            fees = {"maker_ppm": maker_ppm, "taker_ppm": taker_ppm}
            self.gateway_config = replace(self.gateway_config, instruments=listed, **fees)
            self.venue_config = replace(self.venue_config, instruments=tuple(listed.values()), **fees)
        for process in self.processes:
            if process.role in ("venue", "gateway", "bot") and not process.is_busy:
                process.kill(self.time.now_us)

    def _see_to_bots(self) -> None:
        """Do what an owner does who looks at the bots' statuses: leave out what cannot be read, and, as the fleet does,
        start changed bots anew and remove the commands of deleted ones that were wound down."""
        rows = self.database.fleets["fleet"]
        row = rows.gateways.get(ACCOUNT)
        generations = {config.key: config.generation for config in self.configs}
        for process in self.processes:
            worker = process.worker
            if isinstance(worker, HostWorker) and not process.is_busy:
                runs = [slot.config.generation for slot in worker.slots.values()]
                if any(generation < generations[BotKey(process.name)] for generation in runs):
                    process.kill(self.time.now_us)  # it stood still when its bot was changed
        for config in self.configs:
            if config.uid not in rows.commands or row is None or f"bot/{config.uid}" not in row.blobs:
                continue
            books, command = msgspec.json.decode(row.blobs[f"bot/{config.uid}"]), self._states[config.key]
            has_orders = any(order.uid == config.uid for order in row.open_orders.values())
            if config.key in self.deleted and books["deleting"] and not books["exits"] and not has_orders:
                self.owner.forget_command(config.uid)
            elif books["unreadable_seq"] != command.skip_seq and books["unreadable_seq"]:
                self._states[config.key] = replace(command, skip_seq=books["unreadable_seq"])
                self.owner.put_command(ACCOUNT, self._states[config.key])

    # --- the end --------------------------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        return self.ticks % SETTLED_EVERY == 0 and is_settled(self)

    def _whereabouts(self) -> str:
        return ", ".join(
            f"{each.name} {'up' if each.is_started else 'down'}" for each in self.processes if not each.is_retired
        )

    @property
    def venue(self) -> Process:
        """The venue that is up, the newest when there are two."""
        now_us = self.time.now_us
        up = [e for e in self.processes if e.role == "venue" and e.is_started and e.down_until_us <= now_us]
        return up[-1] if up else self.processes[VENUE_PLACE]
