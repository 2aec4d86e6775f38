"""The halt switches in Postgres."""

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
        self._switch(scope, is_on=True, reason=reason, set_by=set_by)

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        """Switch off."""
        self._switch(scope, is_on=False, reason="", set_by=set_by)

    def active_halts(self) -> list[Halt]:
        """Return every switch that is on."""
        rows = self._session.read(halt_sql.ACTIVE, {"fleet": self._session.fleet})
        return [Halt(scope=scope, reason=reason, set_by=set_by) for scope, reason, set_by in rows]

    def _switch(self, scope: str, *, is_on: bool, reason: str, set_by: str) -> None:
        check_scope(scope)
        parameters = {
            "fleet": self._session.fleet,
            "scope": scope,
            "scopes": [scope],
            "is_on": is_on,
            "reason": reason,
            "set_by": set_by,
        }
        # In a transaction of its own, so that the row can be locked by others before it is changed.
        self._session.commit(halt_sql.CREATE, parameters)
        with self._session.transaction() as transaction:
            was_on = transaction.run(halt_sql.HOLD, parameters).fetchall()[0][0]
            transaction.run(halt_sql.SWITCH, parameters)
            if is_on and not was_on:
                transaction.run(halt_sql.OPEN_PERIOD, parameters)
            elif was_on and not is_on:
                transaction.run(halt_sql.CLOSE_PERIOD, parameters)
            action = halt_action(scope, is_on=is_on, reason=reason, set_by=set_by)
            transaction.run(upkeep_sql.RECORD_ACTION, action_parameters(self._session.fleet, action))
