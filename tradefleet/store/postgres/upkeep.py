"""What the supervisor asks of Postgres: fleets and bots come and go, actions are noted, topics are remembered."""

from collections.abc import Mapping, Sequence

from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotKey, BotUid, bot_scopes, executions_stream, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.store.checks import CHUNK_INPUTS
from tradefleet.store.postgres import bot_sql, halt_sql, stream_sql, upkeep_sql
from tradefleet.store.postgres.encoding import to_json
from tradefleet.store.postgres.session import Session
from tradefleet.store.upkeep import TopicIdentity


class PostgresFleetStore:
    """Implements `FleetStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create_fleet(self) -> None:
        """Make the fleet's row and its halt switch; harmless when they exist."""
        parameters = {"fleet": self._session.fleet, "scopes": ["fleet"]}
        with self._session.transaction() as transaction:
            transaction.run(upkeep_sql.CREATE_FLEET, parameters)
            transaction.run(halt_sql.CREATE, parameters)

    def put_instruments(self, exchange: str, instruments: Sequence[Instrument]) -> None:
        """Store the ticks, lots and scales of an exchange, for those who read amounts in SQL."""
        rows = [instrument.listing()._asdict() for instrument in instruments]
        self._session.commit(
            upkeep_sql.PUT_INSTRUMENTS,
            {"fleet": self._session.fleet, "exchange": exchange, "instruments": to_json(rows)},
        )

    def register_bot(self, bot: BotKey, uid: BotUid, *, db_role: str = "", host: str = "") -> None:
        """Make the bot's row, its two streams and its halt switch. Raises Permanent for a UID of another bot."""
        self.register_bots([(bot, uid, db_role, host)])

    def register_bots(self, bots: Sequence[tuple[BotKey, BotUid, str, str]]) -> None:
        """Do the same for many in one transaction. Raises Permanent as well, and registers none of them then."""
        with self._session.transaction() as transaction:
            registered = []
            for bot, uid, db_role, host in bots:
                parameters = {
                    "fleet": self._session.fleet,
                    "uid": uid,
                    "bot": bot,
                    "db_role": db_role,
                    "host": host,
                    "streams": [orders_stream(uid), executions_stream(uid)],
                    "scopes": list(bot_scopes(bot)),
                }
                registered.append((bot, uid, transaction.run(upkeep_sql.REGISTER_BOT, parameters)))
                transaction.run(stream_sql.CREATE_STREAMS, parameters)
                transaction.run(halt_sql.CREATE, parameters)
            for bot, uid, rows in registered:
                if not rows.fetchall():
                    raise Permanent(f"bot {bot}: UID {uid} belongs to another bot")

    def retire_bot(self, uid: BotUid, *, policy: DeletionPolicy) -> None:
        """Mark the bot as deleted, and close its record: its lease is never given again, its process is fenced."""
        parameters = {"fleet": self._session.fleet, "uid": uid, "policy": policy, "chunk": CHUNK_INPUTS}
        with self._session.transaction() as transaction:
            if transaction.run(upkeep_sql.HOLD_BOT, parameters).fetchall():
                transaction.run(bot_sql.CLOSE_TAIL, parameters)
                transaction.run(bot_sql.CLOSE_GENERATION, parameters)
                transaction.run(upkeep_sql.RETIRE_BOT, parameters)

    def retire_owner(self, uid: str) -> None:
        """Mark an Exchange or a Feed as deleted: it never gets a lease again, and its processes are fenced."""
        parameters = {"fleet": self._session.fleet, "uid": uid}
        with self._session.transaction() as transaction:
            transaction.run(upkeep_sql.RETIRE_OWNER, parameters)
            for statement in upkeep_sql.FENCE_OWNER.values():
                transaction.run(statement, parameters)


class PostgresTopicStore:
    """Implements `TopicStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def topic_identities(self) -> Mapping[str, TopicIdentity]:
        """Return what is stored, by topic name."""
        rows = self._session.read(upkeep_sql.TOPICS, {"fleet": self._session.fleet})
        return {topic: TopicIdentity(cluster_id=cluster, topic_id=identity) for topic, cluster, identity in rows}

    def remember_topic(self, topic: str, identity: TopicIdentity) -> None:
        """Store the identity of a topic in place of the one before."""
        self._session.commit(
            upkeep_sql.REMEMBER_TOPIC,
            {
                "fleet": self._session.fleet,
                "topic": topic,
                "cluster_id": identity.cluster_id,
                "topic_id": identity.topic_id,
            },
        )
