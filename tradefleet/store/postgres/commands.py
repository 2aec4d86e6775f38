"""The desired state of bots in Postgres, and the books that a new generation of a bot adopts."""

from collections.abc import Sequence
from typing import Any

from tradefleet.domain.bots import BotCommand, RunState, config_from_values, config_values
from tradefleet.domain.ids import AccountId, BotUid
from tradefleet.store.ports import OrderRow
from tradefleet.store.postgres import command_sql, gateway_sql
from tradefleet.store.postgres.encoding import to_json
from tradefleet.store.postgres.gateway_rows import order_of
from tradefleet.store.postgres.session import Session

_OPEN_ORDERS = command_sql.OPEN_ORDERS.format(columns=gateway_sql.ORDER_COLUMNS)


class PostgresCommandStore:
    """Implements `CommandStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put_command(self, account: AccountId, command: BotCommand) -> None:
        """Write a bot's whole desired state; the newest replaces the one before."""
        self._session.commit(command_sql.PUT, self._values(account, command))

    def put_commands(self, commands: Sequence[tuple[AccountId, BotCommand]]) -> None:
        """Do the same for many bots in one transaction."""
        with self._session.transaction() as transaction:
            for account, command in commands:
                transaction.run(command_sql.PUT, self._values(account, command))

    def _values(self, account: AccountId, command: BotCommand) -> dict[str, object]:
        return {
            "fleet": self._session.fleet,
            "uid": command.config.uid,
            "account": account,
            "bot": command.config.key,
            "config": to_json(config_values(command.config)),
            "state": command.state,
            "flatten_no": command.flatten_no,
            "reopen_no": command.reopen_no,
            "skip_seq": command.skip_seq,
            "deleting": command.deleting,
        }

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        """Return the desired state of an account's bots, sorted by bot key; deleted ones too, until forgotten."""
        rows = self._session.read(command_sql.OF_ACCOUNT, {"fleet": self._session.fleet, "account": account})
        return [_command_of(row) for row in rows]

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return one bot's desired state."""
        rows = self._session.read(command_sql.OF_BOT, {"fleet": self._session.fleet, "uid": uid})
        return _command_of(rows[0]) if rows else None

    def host_commands(self, host: str, account: AccountId) -> list[BotCommand]:
        """Return the desired state of the bots of an account that a shared host runs, sorted by bot key."""
        parameters = {"fleet": self._session.fleet, "host": host, "account": account}
        return [_command_of(row) for row in self._session.read(command_sql.OF_HOST, parameters)]

    def end_command(self, uid: BotUid) -> None:
        """Let a bot be wound down whose resource is gone."""
        self._session.commit(command_sql.END, {"fleet": self._session.fleet, "uid": uid})

    def forget_command(self, uid: BotUid) -> None:
        """Remove a deleted bot that has been wound down."""
        self._session.commit(command_sql.FORGET, {"fleet": self._session.fleet, "uid": uid})

    def bot_books(self, uid: BotUid) -> tuple[bytes, Sequence[OrderRow]] | None:
        """Return the gateway's state row of a bot and its open orders, oldest first, both of one moment."""
        parameters = {"fleet": self._session.fleet, "uid": uid, "key": f"bot/{uid}"}
        with self._session.snapshot() as transaction:
            books = transaction.run(command_sql.BOOKS, parameters)
            orders = transaction.run(_OPEN_ORDERS, parameters)
            blobs, rows = books.fetchall(), orders.fetchall()
        return (blobs[0][1], [order_of(row) for row in rows]) if blobs else None


def _command_of(row: Sequence[Any]) -> BotCommand:
    config, state, flatten_no, reopen_no, skip_seq, deleting = row
    return BotCommand(
        config=config_from_values(config),
        state=RunState(state),
        flatten_no=flatten_no,
        reopen_no=reopen_no,
        skip_seq=skip_seq,
        deleting=deleting,
    )
