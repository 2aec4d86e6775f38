"""The halt switches in Postgres."""

from collections.abc import Collection

from tradefleet.store.checks import check_scope, halt_action
from tradefleet.store.ports import Halt
from tradefleet.store.postgres import halt_sql, upkeep_sql
from tradefleet.store.postgres.encoding import action_parameters
from tradefleet.store.postgres.session import Session


class PostgresHaltStore:
    """Implements `HaltStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def set_halt(self, scope: str, *, reason: str, set_by: str) -> None:
        """Switch on and return after the commit: from then on no order that raises risk is accepted or sent."""
        self.set_halts([scope], reason=reason, set_by=set_by)

    def set_halts(self, scopes: Collection[str], *, reason: str, set_by: str) -> None:
        """Switch on several, all or none of them."""
        self._switch(scopes, is_on=True, reason=reason, set_by=set_by)

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        """Switch off."""
        self.clear_halts([scope], set_by=set_by)

    def clear_halts(self, scopes: Collection[str], *, set_by: str) -> None:
        """Switch off several, all or none of them."""
        self._switch(scopes, is_on=False, reason="", set_by=set_by)

    def active_halts(self) -> list[Halt]:
        """Return every switch that is on."""
        rows = self._session.read(halt_sql.ACTIVE, {"fleet": self._session.fleet})
        return [Halt(scope=scope, reason=reason, set_by=set_by) for scope, reason, set_by in rows]

    def _switch(self, scopes: Collection[str], *, is_on: bool, reason: str, set_by: str) -> None:
        for scope in scopes:
            check_scope(scope)
        if not scopes:
            return
        parameters = {
            "fleet": self._session.fleet,
            "scopes": sorted(scopes),
            "is_on": is_on,
            "reason": reason,
            "set_by": set_by,
        }
        # In a transaction of its own, so that the rows can be locked by others before they are changed.
        self._session.commit(halt_sql.CREATE, parameters)
        with self._session.transaction() as transaction:
            before: dict[str, bool] = dict(transaction.run(halt_sql.HOLD, parameters).fetchall())
            transaction.run(halt_sql.SWITCH, parameters)
            changed = {**parameters, "scopes": [scope for scope, was_on in before.items() if was_on is not is_on]}
            transaction.run(halt_sql.OPEN_PERIOD if is_on else halt_sql.CLOSE_PERIOD, changed)
            for scope in sorted(scopes):
                action = halt_action(scope, is_on=is_on, reason=reason, set_by=set_by)
                transaction.run(upkeep_sql.RECORD_ACTION, action_parameters(self._session.fleet, action))
