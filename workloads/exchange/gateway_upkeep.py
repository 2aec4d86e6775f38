"""What a gateway looks at now and then, by the wall's clock: commands, its bots' processes, its venue."""

from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotUid, executions_stream
from tradefleet.runtime.ports import Clock, Publisher
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.order import SUBMIT
from workloads.exchange.gateway.reconciliation import VenueStatement
from workloads.exchange.gateway_line import VenueLine
from workloads.exchange.gateway_plan import GatewayDatabase, GatewayPlan

UPKEEP_US = 1_000_000  # how often commands and halts are looked at without a hint
ABSENCE_GRACE_US = 60_000_000  # a fleet that starts anew starts its gateways and its bots in any order


class Upkeep:
    """The upkeep of one gateway."""

    def __init__(
        self, plan: GatewayPlan, *, store: GatewayDatabase, line: VenueLine, publisher: Publisher, clock: Clock
    ) -> None:
        self._plan = plan
        self._store = store
        self._line = line
        self._publisher = publisher
        self._clock = clock
        self._due_us = 0
        self._started_us = 0
        self._looked_us: int | None = None  # when the books were last compared with the venue

    def start(self) -> None:
        """Begin anew: everything is due."""
        self._due_us = 0
        self._started_us = self._clock.monotonic_us()
        self._looked_us = None

    @property
    def is_due(self) -> bool:
        """True when it is time again."""
        return self._clock.monotonic_us() >= self._due_us

    def put_off(self) -> None:
        """Let the next one be a while from now."""
        self._due_us = self._clock.monotonic_us() + UPKEEP_US

    def take_commands(self, machine: Gateway, market_us: int) -> None:
        """Take what the bots' owners want. A bot that cannot be traded so is refused; the others go on."""
        refusals: dict[BotUid, str] = {}
        commands = self._store.bot_commands(self._plan.config.account)
        for command in commands:
            try:
                machine.on_command(command, market_us)
            except Permanent as error:
                refusals[command.config.uid] = str(error)
        machine.on_refusals(refusals)
        kept = {command.config.uid for command in commands}
        for account in machine.accounts.values():
            # With its books go its place among the streams that a start sweeps: what it was told has to be out first.
            if not self._publisher.is_delivered(executions_stream(account.config.uid), account.execution_seq):
                kept.add(account.config.uid)
        machine.forget(kept)

    def look_for_bots(self, machine: Gateway, market_us: int) -> None:
        """Let the machine know which bots nobody runs, of those that have a dead man's switch."""
        is_early = self._clock.monotonic_us() < self._started_us + ABSENCE_GRACE_US
        if self._plan.run is not None or is_early:
            return  # a lockstep run waits for its bots, however long that takes (rule 18)
        watched = [
            account.config.uid
            for account in machine.accounts.values()
            if account.config.dead_man is not None or account.absent_since_us
        ]
        if watched:
            absences = self._store.absences(watched)
            machine.on_absences(absences.bots, absences.wall_us, market_us)

    def statement(self, machine: Gateway) -> VenueStatement | None:
        """Return what the venue says of the account, now and then; None in between, or when it cannot say just now."""
        plan = self._plan
        wait_us = plan.look_again_us if machine.is_in_doubt else plan.look_every_us
        if self._looked_us is not None and self._clock.monotonic_us() < self._looked_us + wait_us:
            return None
        known = [order_id for order_id, order in machine.orders.items() if SUBMIT not in order.open_requests]
        return self._line.statement(machine.report_no, known, self._clock.wall_us())

    def note_look(self) -> None:
        """Note that books and venue have been compared."""
        self._looked_us = self._clock.monotonic_us()
