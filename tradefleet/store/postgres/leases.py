"""Leases in Postgres: the next epoch is taken, prolonged and given back by functions of the schema."""

from dataclasses import replace

from tradefleet.domain.errors import Fenced
from tradefleet.store.checks import check_ttl, lease_parts
from tradefleet.store.ports import Lease, LeaseName
from tradefleet.store.postgres import lease_sql
from tradefleet.store.postgres.session import Session, Transaction


class PostgresLeases:
    """Implements `LeaseStore`; the stores of feed, bot, gateway and venue inherit it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def acquire(self, name: LeaseName, *, holder: str, generation: int, ttl_us: int, owner: str = "") -> Lease:
        """Take the next epoch. Raises LeaseHeld, StaleGeneration."""
        check_ttl(name, ttl_us)
        kind, key, _ = lease_parts(name)
        deadline_us = self._session.clock_us() + ttl_us
        rows = self._session.commit(
            lease_sql.ACQUIRE[kind],
            {
                "fleet": self._session.fleet,
                "name": name,
                "kind": kind,
                "key": key,
                "row": row_key(name),
                "holder": holder,
                "owner": owner,
                "generation": generation,
                "ttl_us": ttl_us,
            },
        )
        epoch, took_over = rows[0]
        return Lease(
            name=name,
            epoch=epoch,
            holder=holder,
            generation=generation,
            deadline_us=deadline_us,
            took_over=took_over,
        )

    def renew(self, lease: Lease, *, ttl_us: int) -> Lease:
        """Return the lease with a later deadline. Raises Fenced."""
        check_ttl(lease.name, ttl_us)
        deadline_us = self._session.clock_us() + ttl_us
        newest = self._prolong(lease, ttl_us)
        if newest == 0:
            raise Fenced(f"lease {lease.name}: epoch {lease.epoch} was released")
        if newest != lease.epoch:
            raise Fenced(f"lease {lease.name}: epoch {lease.epoch} is not the newest, which is {newest}")
        return replace(lease, deadline_us=deadline_us)

    def release(self, lease: Lease) -> None:
        """Give the lease back; harmless when it is not ours any more."""
        self._prolong(lease, 0)

    def _prolong(self, lease: Lease, ttl_us: int) -> int:
        kind, _, _ = lease_parts(lease.name)
        rows = self._session.commit(
            lease_sql.PROLONG[kind],
            {
                "fleet": self._session.fleet,
                "kind": kind,
                "row": row_key(lease.name),
                "epoch": lease.epoch,
                "ttl_us": ttl_us,
            },
        )
        return int(rows[0][0])


def row_key(name: LeaseName) -> str:
    """Return the key of the row that keeps the lease: the bot's UID, the account, or the lease's own name."""
    kind, key, uid = lease_parts(name)
    return {"bot": uid, "gateway": key}.get(kind, name)


def fence(transaction: Transaction, fleet: str, lease: Lease) -> None:
    """Let the transaction fail with Fenced unless the epoch of a feed or venue is the newest, and keep it so."""
    transaction.run(
        lease_sql.FENCE,
        {
            "fleet": fleet,
            "name": lease.name,
            "epoch": lease.epoch,
            "message": f"lease {lease.name}: epoch {lease.epoch} is not the newest",
        },
    )
