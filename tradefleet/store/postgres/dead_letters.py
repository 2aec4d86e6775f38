"""Dead letters in Postgres, for who reads market data; a gateway's go with its commits."""

from collections.abc import Sequence

from tradefleet.store.ports import DeadLetter
from tradefleet.store.postgres.gateway_rows import dead_letter_rows
from tradefleet.store.postgres.gateway_sql import WRITE_DEAD_LETTERS
from tradefleet.store.postgres.session import Session


class PostgresDeadLetterStore:
    """Implements `DeadLetterStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put_aside(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters. Raises Retryable, OutcomeUnknown."""
        parameters = {"fleet": self._session.fleet, "letters": dead_letter_rows(letters)}
        self._session.commit(WRITE_DEAD_LETTERS, parameters)
