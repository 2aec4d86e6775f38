"""Leases and the rows that carry them, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.fakes.memory_database import (
    BotRow,
    GatewayRow,
    HaltRow,
    LeaseRow,
    Stream,
)
from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import (
    Fenced,
    LeaseHeld,
    Permanent,
    StaleGeneration,
)
from tradefleet.domain.ids import AccountId, BotKey, BotUid, bot_scopes, executions_stream, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.store.checks import (
    check_ttl,
    lease_parts,
)
from tradefleet.store.ports import (
    Lease,
    LeaseName,
)


class MemoryLeases(MemoryHandle):
    """Implements `LeaseStore` and `FleetStore`."""

    def acquire(self, name: LeaseName, *, holder: str, generation: int, ttl_us: int, owner: str = "") -> Lease:
        check_ttl(name, ttl_us)
        deadline_us = self._clock_us() + ttl_us
        epoch, took_over = 0, False

        def check() -> Callable[[], None]:
            nonlocal epoch, took_over
            row = self._lease_row(name, create=True)
            now_us = self._database.clock_us()
            if self._is_retired(name):
                raise StaleGeneration(f"lease {name}: the bot is deleted")
            if owner in self._rows.retired_owners:
                raise StaleGeneration(f"lease {name}: the resource with UID {owner} is deleted")
            if generation < row.generation and owner == row.owner:
                raise StaleGeneration(f"lease {name}: generation {generation} is older than the row's {row.generation}")
            if row.holder not in ("", holder) and row.until_us > now_us:
                raise LeaseHeld(f"lease {name}: {row.holder} holds it for another {row.until_us - now_us} us")
            epoch, took_over = row.epoch + 1, row.holder not in ("", holder)

            def write() -> None:
                row.epoch, row.holder, row.generation = epoch, holder, generation
                row.owner, row.until_us = owner, now_us + ttl_us

            return write

        self._commit(check)
        return Lease(
            name=name,
            epoch=epoch,
            holder=holder,
            generation=generation,
            deadline_us=deadline_us,
            took_over=took_over,
        )

    def renew(self, lease: Lease, *, ttl_us: int) -> Lease:
        check_ttl(lease.name, ttl_us)
        deadline_us = self._clock_us() + ttl_us

        def check() -> Callable[[], None]:
            row = self._held(lease)
            if not row.holder:
                raise Fenced(f"lease {lease.name}: epoch {lease.epoch} was released")

            def write() -> None:
                row.until_us = self._database.clock_us() + ttl_us

            return write

        self._commit(check)
        return replace(lease, deadline_us=deadline_us)

    def release(self, lease: Lease) -> None:
        def check() -> Callable[[], None]:
            row = self._lease_row(lease.name)

            def write() -> None:
                if row.epoch == lease.epoch:
                    row.holder, row.until_us = "", 0

            return write

        self._commit(check)

    def _lease_row(self, name: LeaseName, *, create: bool = False) -> LeaseRow:
        """Return the lease's row. A bot's and an account's first lease makes their rows, halt switch included."""
        kind, key, uid = lease_parts(name)
        if kind == "bot":
            bot = self._rows.bots.get(BotUid(uid))
            if create and (bot is None or bot.key != key):
                self.register_bot(BotKey(key), BotUid(uid))
                bot = self._rows.bots[BotUid(uid)]
            return bot.lease if bot is not None else LeaseRow()
        if kind == "gateway":
            account = AccountId(key)
            gateway = self._rows.gateways.get(account)
            if gateway is None:
                if not create:
                    return LeaseRow()
                gateway = self._rows.gateways[account] = GatewayRow(lease=LeaseRow())
                self._rows.halts.setdefault(f"account/{account}", HaltRow())
            return gateway.lease
        return self._rows.leases.setdefault(name, LeaseRow()) if create else self._rows.leases.get(name, LeaseRow())

    def _is_retired(self, name: LeaseName) -> bool:
        kind, _, uid = lease_parts(name)
        return kind == "bot" and self._rows.bots[BotUid(uid)].retired is not None

    def _held(self, lease: Lease) -> LeaseRow:
        """Return the lease's row. Raises Fenced when its epoch is not ours."""
        row = self._lease_row(lease.name)
        if row.epoch != lease.epoch:
            raise Fenced(f"lease {lease.name}: epoch {lease.epoch} is not the newest, which is {row.epoch}")
        return row

    def create_fleet(self) -> None:
        self._rows.halts.setdefault("fleet", HaltRow())

    def put_instruments(self, exchange: str, instruments: Sequence[Instrument]) -> None:
        self._rows.instruments.update({(exchange, instrument.symbol): instrument for instrument in instruments})

    def register_bot(self, bot: BotKey, uid: BotUid, *, db_role: str = "", host: str = "") -> None:
        self.register_bots([(bot, uid, db_role, host)])

    def register_bots(self, bots: Sequence[tuple[BotKey, BotUid, str, str]]) -> None:
        for bot, uid, _, _ in bots:
            known = self._rows.bots.get(uid)
            if known is not None and known.key != bot:
                raise Permanent(f"bot {bot}: UID {uid} belongs to {known.key}")
        for bot, uid, db_role, host in bots:
            self._register(bot, uid, db_role, host)

    def _register(self, bot: BotKey, uid: BotUid, db_role: str, host: str) -> None:
        if uid not in self._rows.bots:
            self._rows.bots[uid] = BotRow(key=bot, lease=LeaseRow())
            for stream in (orders_stream(uid), executions_stream(uid)):
                self._rows.streams.setdefault(stream, Stream())
            for scope in bot_scopes(bot):
                self._rows.halts.setdefault(scope, HaltRow())

        row = self._rows.bots[uid]
        if row.db_role not in ("", db_role):
            row.lease.epoch += 1
            row.lease.holder, row.lease.until_us, row.trouble = "", 0, ""
        row.db_role, row.host = db_role, host

    def retire_bot(self, uid: BotUid, *, policy: DeletionPolicy) -> None:
        def check() -> Callable[[], None]:
            row = self._rows.bots.get(uid)

            def write() -> None:
                if row is not None and row.retired is None:
                    row.retired = policy
                    row.close_record(self._database.clock_us())
                    row.lease.epoch += 1
                    row.lease.holder, row.lease.until_us = "", 0

            return write

        self._commit(check)

    def retire_owner(self, uid: str) -> None:
        def check() -> Callable[[], None]:
            def write() -> None:
                self._rows.retired_owners.add(uid)
                for row in (*self._rows.leases.values(), *(each.lease for each in self._rows.gateways.values())):
                    if row.owner == uid and row.until_us:
                        row.epoch, row.until_us = row.epoch + 1, 0

            return write

        self._commit(check)
