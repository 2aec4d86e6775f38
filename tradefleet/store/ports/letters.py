"""Dead letters: what could not be read or applied (rule 9)."""

from collections.abc import Sequence
from typing import Protocol

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import StreamName


@frozen()
class DeadLetter:
    """A message that could not be read or applied (rule 9), with the reason. `seq` is 0 outside numbered streams."""

    topic: str
    stream: StreamName
    seq: int
    key: str
    reason: str
    payload: bytes


class DeadLetterStore(Protocol):
    """What a reader of market data needs to put aside what it cannot use."""

    def put_aside(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters."""
