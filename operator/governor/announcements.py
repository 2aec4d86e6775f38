"""What the Governor tells the fleet: each bot's desired state, the halts that were asked for, reports that are ready.

What binds are the rows; the messages tell whoever looks, at once and without a log-in to the database. Each carries a
whole state, never a change to one (rule 11), so all of them are sent again when a Governor starts, and one that got
lost is sent again as it is by then.
"""

import hashlib
import json
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Final

from governor.job import FinishedReport
from governor.workload import Command
from tradefleet.bus.errors import BusFull, NotDelivered
from tradefleet.bus.ports import Bus
from tradefleet.domain.bots import BotCommand, config_values
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.messages.codec import encode
from tradefleet.messages.control import BotCommanded, RiskAction, RiskCommanded
from tradefleet.messages.fields import Message
from tradefleet.messages.performance import ReportFinished
from tradefleet.messages.topics import COMMANDS, REPORTS, RISK_MANAGEMENT, bot_key
from tradefleet.store.ports import Halt

GOVERNOR: Final = "governor"  # whom the end of a halt is told of by: the row does not say who switched it off


class Announcements:
    """Publishes what has changed since it was last delivered."""

    def __init__(self, bus: Bus, wall_us: Callable[[], int]) -> None:
        self._bus = bus
        self._wall_us = wall_us
        self._commands: dict[BotUid, BotCommand] = {}  # as they were sent
        self._halts: dict[str, Halt] = {}
        self._reports: dict[tuple[str, BotKey], str] = {}  # their hashes
        self._seq = 0

    def tell(
        self, commands: Collection[Command], halts: Collection[Halt], reports: Collection[FinishedReport] = ()
    ) -> None:
        """Publish what is not known to be told. Does not wait; never raises for the broker."""
        self._bus.serve()
        wanted = {each.command.config.uid: each.command for each in commands}
        self._commands = {uid: command for uid, command in self._commands.items() if uid in wanted}
        for uid, command in wanted.items():
            if self._commands.get(uid) != command:
                self._commands[uid] = command
                self._publish(COMMANDS.name, bot_key(command.config.key), self._commanded(command), self._forget(uid))
        self._tell_halts({halt.scope: halt for halt in halts})
        self._tell_reports({(each.report, each.bot): each for each in reports})

    def _tell_reports(self, finished: dict[tuple[str, BotKey], FinishedReport]) -> None:
        self._reports = {key: told for key, told in self._reports.items() if key in finished}
        for key, each in sorted(finished.items()):
            if self._reports.get(key) != each.content_hash:
                self._reports[key] = each.content_hash
                self._publish(REPORTS.name, bot_key(each.bot), self._finished(each), self._forget_report(key))

    def _finished(self, report: FinishedReport) -> ReportFinished:
        self._seq += 1
        values = report.values
        return ReportFinished(
            stream="reports",
            stream_seq=self._seq,
            event_time_us=self._wall_us(),
            bot=report.bot,
            report=report.report,
            from_us=report.from_us,
            to_us=report.to_us,
            quote=values["quote"],
            start_equity=Decimal(values["startEquity"]),
            end_equity=Decimal(values["endEquity"]),
            hold=None if values["hold"] is None else Decimal(values["hold"]),
            fees=Decimal(values["fees"]),
            fills=values["fills"],
            measures=dict(values["measures"]),
            location=report.location,
            content_hash=report.content_hash,
        )

    def _tell_halts(self, active: dict[str, Halt]) -> None:
        before, self._halts = self._halts, active
        for scope in sorted(before.keys() | active.keys()):
            halt = active.get(scope)
            if halt == before.get(scope):
                continue
            self._seq += 1
            message = RiskCommanded(
                stream="risk/management",
                stream_seq=self._seq,
                event_time_us=self._wall_us(),
                scope=scope,
                action=RiskAction.RESUME if halt is None else RiskAction.HALT,
                reason="" if halt is None else halt.reason,
                set_by=GOVERNOR if halt is None else halt.set_by,
            )
            self._publish(RISK_MANAGEMENT.name, scope, message, self._restore_halt(scope, before.get(scope)))

    def _commanded(self, command: BotCommand) -> BotCommanded:
        self._seq += 1
        config = command.config
        settings = json.dumps(config_values(config), sort_keys=True, default=str).encode()
        return BotCommanded(
            stream=f"commands/{config.uid}",
            stream_seq=self._seq,
            event_time_us=self._wall_us(),
            bot=config.key,
            uid=config.uid,
            generation=config.generation,
            state=command.state,
            deletion_policy=config.deletion_policy,
            flatten_requests=command.flatten_no,
            reopen_requests=command.reopen_no,
            deleted=command.deleting,
            settings_hash=hashlib.sha256(settings).hexdigest(),
        )

    def _publish(self, topic: str, key: str, message: Message, on_failure: Callable[[], None]) -> None:
        def note(error: NotDelivered | None) -> None:
            if error is not None:
                on_failure()

        try:
            self._bus.publish(topic, key, encode(message), note)
        except BusFull:
            on_failure()

    def _forget(self, uid: BotUid) -> Callable[[], None]:
        def forget() -> None:
            self._commands.pop(uid, None)

        return forget

    def _forget_report(self, key: tuple[str, BotKey]) -> Callable[[], None]:
        def forget() -> None:
            self._reports.pop(key, None)

        return forget

    def _restore_halt(self, scope: str, before: Halt | None) -> Callable[[], None]:
        """Return what makes the next call tell of the scope again."""

        def restore() -> None:
            if before is None:
                self._halts.pop(scope, None)
            else:
                self._halts[scope] = before

        return restore
