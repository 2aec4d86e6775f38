"""Retention, commands, actions and topics in memory."""

from collections.abc import Callable, Mapping, Sequence

from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.ids import AccountId, BotUid, StreamName, orders_stream
from tradefleet.store.checks import (
    lease_parts,
)
from tradefleet.store.ports import (
    LeaseName,
    OrderRow,
    RunId,
)
from tradefleet.store.upkeep import Action, TopicIdentity


class MemoryUpkeep(MemoryHandle):
    """Implements `RetentionStore`, `CommandStore`, `ActionStore` and `TopicStore`."""

    def register_consumer(self, consumer: LeaseName, streams: Sequence[StreamName]) -> None:
        lease_parts(consumer)
        self._rows.consumers[consumer] = frozenset(streams)

    def remove_consumer(self, consumer: LeaseName) -> None:
        self._rows.consumers.pop(consumer, None)

    def forget_generations(self, uid: BotUid, *, before: int) -> int:
        row = self._rows.bots.get(uid)
        old = [number for number in row.closed if number < before] if row else []
        for number in old:
            del self._rows.bots[uid].closed[number]
        return len(old)

    def forget_statistics(self, *, before_us: int) -> int:
        old = [key for key in self._rows.statistics if key[1] < before_us]
        for key in old:
            del self._rows.statistics[key]
        return len(old)

    def forget_progress(self, run: RunId, *, before_us: int) -> int:
        row = self._rows.runs[run]
        old = [place for place in row.places if place[0] < before_us]
        for place in old:
            del row.rows[place]
        del row.places[: len(old)]
        return len(old)

    def record_action(self, action: Action) -> None:
        self._rows.actions.append(action)

    def actions(self, *, limit: int) -> list[Action]:
        return self._rows.actions[::-1][:limit]

    def trim(self, *, limit: int) -> int:
        deleted = 0
        for name in sorted(self._rows.streams):
            row = self._rows.streams[name]
            up_to = min(self._needed_above(name), row.trimmed + limit - deleted)
            if up_to > row.trimmed and not row.bars:
                deleted += up_to - row.trimmed
                del row.messages[: up_to - row.trimmed]
                row.trimmed = up_to
        return deleted

    def _needed_above(self, stream: StreamName) -> int:
        """Return the last number of `stream` that nobody needs any more."""
        bounds = [self._rows.streams[stream].published]
        passed = [
            self._position(consumer, stream) for consumer, names in self._rows.consumers.items() if stream in names
        ]
        if not passed:
            return 0
        bounds += passed
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

    def put_command(self, account: AccountId, command: BotCommand) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                self._rows.commands[command.config.uid] = (account, command)

            return write

        self._commit(check)

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        commands = [command for owner, command in self._rows.commands.values() if owner == account]
        return sorted(commands, key=lambda command: (command.config.key, command.config.uid))

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        found = self._rows.commands.get(uid)
        return None if found is None else found[1]

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
