"""What can go wrong with the bus, beside the domain's errors."""

from tradefleet.domain.errors import Permanent, Retryable


class BrokerUnavailable(Retryable):
    """No broker answers. Readers keep their place and go on when one does."""


class PositionLost(Retryable):
    """What a reader wanted to read next is gone: open a new reader and take what was missed from the database."""


class BrokerReplaced(PositionLost):
    """The cluster or a topic is another one than before: a wiped broker. Offsets mean nothing any more."""


class RegistryUnavailable(BrokerUnavailable):
    """The schema registry does not answer, or refuses. As without a broker, readers take what they miss from the
    database.
    """


class BusFull(Retryable):
    """The queue of messages to send is full: the broker is slower than we are, or away."""


class NotDelivered(Retryable):
    """Messages that were not acknowledged in time. They may arrive all the same; readers skip what they have."""


class JournalLost(Permanent):
    """A journal is not the one that was written before: the broker lost it. What it held is nowhere else (rule 10)."""


class TopicMismatch(Permanent):
    """A topic exists with another number of partitions than the fleet's: keys would go to other places."""
