"""What a gateway has put aside, told to whoever looks (rule 9).

The rows are what counts; a message of the topic may get lost, and is not sent again.
"""

from collections.abc import Sequence

from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import AccountId
from tradefleet.messages.codec import encode
from tradefleet.messages.dead_letter import dead_letter
from tradefleet.messages.topics import DEAD_LETTER
from tradefleet.runtime.ports import Publisher
from tradefleet.store.ports import DeadLetter

NOWHERE = -1  # partition and offset of what was read from a database or a venue


class GatewayLetters:
    """Publishes the dead letters of one gateway."""

    def __init__(self, publisher: Publisher, account: AccountId) -> None:
        self._publisher = publisher
        self._reader = f"gateway/{account}"
        self._count = 0

    def tell(self, letters: Sequence[DeadLetter], *, wall_us: int) -> None:
        """Publish what was committed just now."""
        for letter in letters:
            self._count += 1
            message = dead_letter(
                stream=f"dead-letters/{self._reader}",
                stream_seq=self._count,
                now_us=wall_us,
                topic=letter.topic,
                partition=NOWHERE,
                offset=NOWHERE,
                key=letter.key,
                payload=letter.payload,
                reader=self._reader,
                error=Permanent(letter.reason),
            )
            self._publisher.announce(DEAD_LETTER.name, letter.topic, encode(message))
