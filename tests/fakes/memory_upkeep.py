"""Retention, commands, actions and topics in memory."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.ids import AccountId, BotUid, StreamName, executions_stream, orders_stream
from tradefleet.store.checks import (
    lease_parts,
)
from tradefleet.store.ports import (
    DeadLetter,
    LeaseName,
    OrderRow,
    RunId,
)
from tradefleet.store.upkeep import TopicIdentity


class MemoryUpkeep(MemoryHandle):
    """Implements `RetentionStore`, `DeadLetterStore`, `CommandStore` and `TopicStore`."""

    # --- retention ------------------------------------------------------------------------------------------------

    def consumers(self) -> Mapping[LeaseName, frozenset[StreamName]]:
        return {consumer: streams for consumer, streams in self._rows.consumers.items() if streams}

    def register_consumer(self, consumer: LeaseName, streams: Sequence[StreamName]) -> None:
        lease_parts(consumer)
        self._rows.consumers[consumer] = frozenset(streams)

    def remove_consumer(self, consumer: LeaseName) -> None:
        self._rows.consumers.pop(consumer, None)

    def forget_generations(self, *, kept_us: int, limit: int) -> int:
        before_us = self._database.clock_us() - kept_us
        old = [
            (record.closed_us, uid, number)
            for uid, bot in self._rows.bots.items()
            for number, record in bot.closed.items()
            if record.closed_us <= before_us
        ]
        for _, uid, number in sorted(old)[:limit]:
            del self._rows.bots[uid].closed[number]
        return len(old[:limit])

    def forget_statistics(self, uids: Collection[BotUid], *, kept_us: int, limit: int) -> int:
        rows = self._rows.statistics
        newest = dict(sorted(rows))
        cut: dict[BotUid, float] = {uid: newest[uid] - kept_us for uid in uids if uid in newest}
        for uid, bot in self._rows.bots.items():
            if bot.retired is not None and not bot.closed:
                cut[uid] = math.inf
        old = [(uid, market_us) for uid, market_us in sorted(rows) if market_us < cut.get(uid, -math.inf)]
        for key in old[:limit]:
            del rows[key]
        return len(old[:limit])

    def forget_progress(self, run: RunId, *, limit: int) -> int:
        row = self._rows.runs[run]
        last_us = max((place[0] for place in row.places), default=0)
        old = [place for place in row.places if place[0] < last_us and not row.rows[place].left][:limit]
        for place in old:
            del row.rows[place]
            row.places.remove(place)
        return len(old)

    def forget_actions(self, *, kept_us: int, limit: int) -> int:
        before_us = self._database.clock_us() - kept_us
        old = [each for each in self._rows.actions if each[0] <= before_us][:limit]
        self._rows.actions = [each for each in self._rows.actions if each not in old]
        return len(old)

    def forget_dead_letters(self, *, kept_us: int, limit: int) -> int:
        before_us = self._database.clock_us() - kept_us
        letters = self._rows.dead_letters
        old = [each for each in letters if each[0] <= before_us and each[1].topic.startswith("market.")][:limit]
        self._rows.dead_letters = [each for each in letters if each not in old]
        return len(old)

    def trim(self, *, limit: int) -> int:
        deleted = 0
        for name in sorted(self._rows.streams):
            row = self._rows.streams[name]
            up_to = min(self._needed_above(name), row.trimmed + limit - deleted)
            if up_to > row.trimmed and not row.bars:
                deleted += up_to - row.trimmed
                del row.messages[: up_to - row.trimmed]
                row.trimmed = up_to
                row.published = max(row.published, up_to)
        return deleted

    def _needed_above(self, stream: StreamName) -> int:
        """Return the last number of `stream` that nobody needs any more."""
        row = self._rows.streams[stream]
        passed = [
            self._position(consumer, stream) for consumer, names in self._rows.consumers.items() if stream in names
        ]
        is_deleted = False
        for uid, bot in self._rows.bots.items():
            if bot.retired is not None and stream in (orders_stream(uid), executions_stream(uid)):
                is_deleted = True
                applied = max((each.positions.get(stream, 0) for each in self._rows.gateways.values()), default=0)
                passed.append(row.last_seq if stream == executions_stream(uid) else applied)
        if not passed:
            return 0
        bounds = [row.last_seq if is_deleted else row.published, *passed]
        for uid, record in self._rows.generations():
            if stream in record.start:
                bounds.append(record.start[stream])
            if stream == orders_stream(uid):
                bounds.append(record.first_request_seq)
        return min(bounds)

    def _position(self, consumer: LeaseName, stream: StreamName) -> int:
        kind, key, uid = lease_parts(consumer)
        row = self._rows.bots.get(BotUid(uid)) if kind == "bot" else self._rows.gateways.get(AccountId(key))
        return row.positions.get(stream, 0) if row is not None else 0

    def put_aside(self, letters: Sequence[DeadLetter]) -> None:
        self._rows.dead_letters.extend((self._database.clock_us(), letter) for letter in letters)

    # --- commands -------------------------------------------------------------------------------------------------

    def put_command(self, account: AccountId, command: BotCommand) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                self._rows.commands[command.config.uid] = (account, command)

            return write

        self._commit(check)

    def put_commands(self, commands: Sequence[tuple[AccountId, BotCommand]]) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                for account, command in commands:
                    self._rows.commands[command.config.uid] = (account, command)

            return write

        self._commit(check)

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        commands = [command for owner, command in self._rows.commands.values() if owner == account]
        return sorted(commands, key=lambda command: (command.config.key, command.config.uid))

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        found = self._rows.commands.get(uid)
        return None if found is None else found[1]

    def host_commands(self, host: str, account: AccountId) -> list[BotCommand]:
        def is_held(uid: BotUid) -> bool:
            row = self._rows.bots.get(uid)
            return row is not None and row.host == host and row.retired is None

        return [command for command in self.bot_commands(account) if is_held(command.config.uid)]

    def end_command(self, uid: BotUid) -> None:
        def check() -> Callable[[], None]:
            def end() -> None:
                if uid in self._rows.commands:
                    account, command = self._rows.commands[uid]
                    self._rows.commands[uid] = (account, replace(command, deleting=True))

            return end

        self._commit(check)

    def forget_command(self, uid: BotUid) -> None:
        def check() -> Callable[[], None]:
            return lambda: self._rows.commands.pop(uid, None) and None

        self._commit(check)

    def bot_books(self, uid: BotUid) -> tuple[bytes, Sequence[OrderRow]] | None:
        for row in self._rows.gateways.values():
            blob = row.blobs.get(f"bot/{uid}")
            if blob is not None:
                return blob, [order for order in row.open_orders.values() if order.uid == uid]
        return None

    def topic_identities(self) -> Mapping[str, TopicIdentity]:
        return dict(self._rows.topics)

    def remember_topic(self, topic: str, identity: TopicIdentity) -> None:
        self._rows.topics[topic] = identity
