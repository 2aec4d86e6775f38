"""Leases: who may write, and until when (rule 3)."""

from typing import NewType, Protocol

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import AccountId, BotKey, BotUid

LeaseName = NewType(
    "LeaseName", str
)  # "bot/ns/name", "gateway/ns/exchange:account", "venue/ns/exchange", "feed/ns/name"


def bot_lease(bot: BotKey, uid: BotUid) -> LeaseName:
    """Return the lease of one bot. The UID is part of it: a deleted bot's last process must not win its namesake's."""
    return LeaseName(f"bot/{bot}/{uid}")


def gateway_lease(account: AccountId) -> LeaseName:
    """Return the lease of an account's gateway."""
    return LeaseName(f"gateway/{account}")


def venue_lease(exchange: str) -> LeaseName:
    """Return the lease of a simulator's journal writer; `exchange` is "namespace/name"."""
    return LeaseName(f"venue/{exchange}")


def feed_lease(feed: str) -> LeaseName:
    """Return the lease of a feed; `feed` is "namespace/name"."""
    return LeaseName(f"feed/{feed}")


@frozen()
class Lease:
    """Our right to write as `name`. `deadline_us` is on the caller's monotonic clock, taken before the call.

    `took_over`: another holder had it and has not given it back, so what it sent may still be under way (rule 3).
    """

    name: LeaseName
    epoch: int
    holder: str
    generation: int
    deadline_us: int
    took_over: bool = False


class LeaseStore(Protocol):
    """Epochs and leases (rule 3). Raises LeaseHeld, StaleGeneration, Fenced."""

    def acquire(self, name: LeaseName, *, holder: str, generation: int, ttl_us: int, owner: str = "") -> Lease:
        """Take the next epoch: the lease must be the holder's own, released or expired, and generation >= the row's.

        `owner` is the UID of the resource that a gateway, venue or feed works for; a bot's is in the name of its lease.
        A generation counts against those of its owner only: a resource that was made again begins anew. A retired bot
        or owner (deleted resource) raises StaleGeneration.
        """

    def renew(self, lease: Lease, *, ttl_us: int) -> Lease:
        """Return the lease with a later deadline; raises Fenced when a newer epoch exists or it was released."""

    def release(self, lease: Lease) -> None:
        """Give the lease back; harmless when it is not ours any more."""
