"""Halt switches in memory, with the shares of whoever sends orders."""

from collections.abc import Callable, Collection, Iterable, Sequence

from tests.fakes.memory_database import (
    HaltRow,
)
from tests.fakes.memory_handle import MemoryHandle
from tradefleet.domain.errors import (
    Retryable,
)
from tradefleet.domain.ids import AccountId, BotKey
from tradefleet.store.checks import (
    check_scope,
    halt_action,
    halt_scopes,
)
from tradefleet.store.ports import (
    Halt,
)

HALT_WAIT_S = 30.0  # as long as Postgres waits for a lock


class MemoryHalts(MemoryHandle):
    """Implements `HaltStore`."""

    def set_halt(self, scope: str, *, reason: str, set_by: str) -> None:
        self.set_halts([scope], reason=reason, set_by=set_by)

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        self.clear_halts([scope], set_by=set_by)

    def set_halts(self, scopes: Collection[str], *, reason: str, set_by: str) -> None:
        self._switch(scopes, is_on=True, reason=reason, set_by=set_by)

    def clear_halts(self, scopes: Collection[str], *, set_by: str) -> None:
        self._switch(scopes, is_on=False, reason="", set_by=set_by)

    def _switch(self, scopes: Collection[str], *, is_on: bool, reason: str, set_by: str) -> None:
        def check() -> Callable[[], None]:
            rows = {scope: self._unshared(scope) for scope in sorted(scopes)}

            def write() -> None:
                for scope, row in rows.items():
                    row.on, row.reason, row.set_by = is_on, reason, set_by
                    action = halt_action(scope, is_on=is_on, reason=reason, set_by=set_by)
                    self._rows.actions.append((self._database.clock_us(), action))

            return write

        if scopes:
            self._commit(check)

    def _unshared(self, scope: str) -> HaltRow:
        """Return the switch once nobody holds it FOR SHARE."""
        check_scope(scope)
        row = self._rows.halts.setdefault(scope, HaltRow())
        if not self._lock.wait_for(lambda: row.shares == 0, timeout=HALT_WAIT_S):
            raise Retryable(f"halt {scope}: orders are being sent for more than {HALT_WAIT_S} s")
        return row

    def active_halts(self) -> list[Halt]:
        return self._on(sorted(self._rows.halts))

    def _share(self, account: AccountId, bots: Iterable[BotKey]) -> list[str]:
        scopes = halt_scopes(account, bots)
        with self._lock:
            for scope in scopes:
                self._rows.halts.setdefault(scope, HaltRow()).shares += 1
        return scopes

    def _unshare(self, scopes: Sequence[str]) -> None:
        with self._lock:
            for scope in scopes:
                self._rows.halts[scope].shares -= 1
            self._lock.notify_all()

    def _on(self, scopes: Iterable[str]) -> list[Halt]:
        halts = ((scope, self._rows.halts[scope]) for scope in scopes)
        return [Halt(scope=scope, reason=halt.reason, set_by=halt.set_by) for scope, halt in halts if halt.on]
