"""Bots that nobody runs: what their dead man's switch does when that lasts too long (rule 24)."""

from collections.abc import Collection

from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.bots import DeadManSwitch, RunState
from tradefleet.domain.ids import BotUid
from tradefleet.domain.orders import Reason
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.exits import Exits
from workloads.exchange.gateway.state import GatewayState


class Absences:
    """Watches the bots that have such a switch and are wanted to run.

    An absence begins when the gateway first sees it, so what was paused, stopped or not there yet counts for nothing.
    Once the switch has acted it does not act again before the bot has had a process.
    """

    __slots__ = ("_exits", "_state")

    def __init__(self, state: GatewayState, exits: Exits) -> None:
        self._state = state
        self._exits = exits

    def apply(self, absent: Collection[BotUid], wall_us: int) -> None:
        """Take which bots no process holds at `wall_us`, on the clock of whoever keeps the leases."""
        for account in list(self._state.accounts.values()):
            switch = account.config.dead_man
            is_watched = switch is not None and account.state is RunState.RUNNING and not account.deleting
            if switch is None or not is_watched or account.config.uid not in absent:
                self._end(account)
                continue
            if not account.absent_since_us:
                account.absent_since_us = wall_us
                self._state.effects.accounts.add(account.key)
            if not account.is_abandoned and wall_us - account.absent_since_us >= switch.after_us:
                self._act(account, switch)

    def _end(self, account: BotAccount) -> None:
        if not account.absent_since_us:
            return
        if account.is_abandoned:
            self._state.event(account.key, Reason.NONE, "its dead man's switch is set again")
        account.absent_since_us = 0
        account.is_abandoned = False
        self._state.effects.accounts.add(account.key)

    def _act(self, account: BotAccount, switch: DeadManSwitch) -> None:
        account.is_abandoned = True
        self._state.effects.accounts.add(account.key)
        what = "closing its positions" if switch.flattens else "canceling its orders"
        detail = f"no process has run it for {switch.after_us // MICROSECONDS} s: {what}"
        self._state.event(account.key, Reason.DEAD_MAN, detail)
        if switch.flattens:
            self._exits.flatten(account, Reason.DEAD_MAN)
        else:
            self._exits.cancel_all(account, Reason.DEAD_MAN)
