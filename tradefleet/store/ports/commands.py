"""What the owner of a fleet wants of its bots."""

from collections.abc import Sequence
from typing import Protocol

from tradefleet.domain.bots import BotCommand
from tradefleet.domain.ids import AccountId, BotUid
from tradefleet.store.ports.gateway import OrderRow


class CommandStore(Protocol):
    """The desired state of every bot, written by the Governor alone (rule 11)."""

    def put_command(self, account: AccountId, command: BotCommand) -> None:
        """Write a bot's whole desired state; the newest replaces the one before."""

    def put_commands(self, commands: Sequence[tuple[AccountId, BotCommand]]) -> None:
        """Do the same for many bots, all of them or none."""

    def bot_commands(self, account: AccountId) -> list[BotCommand]:
        """Return the desired state of an account's bots, sorted by key; deleted ones too, until `forget_command`."""

    def bot_command(self, uid: BotUid) -> BotCommand | None:
        """Return one bot's desired state."""

    def host_commands(self, host: str, account: AccountId) -> list[BotCommand]:
        """Return the desired state of the bots of an account that a shared host runs, sorted by key; no retired one."""

    def end_command(self, uid: BotUid) -> None:
        """Let a bot be wound down whose resource is gone, by the deletion policy that it had. Harmless without one."""

    def forget_command(self, uid: BotUid) -> None:
        """Remove a deleted bot that has been wound down."""

    def bot_books(self, uid: BotUid) -> tuple[bytes, Sequence[OrderRow]] | None:
        """Return the gateway's state row of a bot and its open orders, oldest first: what a new generation adopts."""
