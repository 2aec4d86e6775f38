"""One bot's books inside the gateway: wallet, positions, open orders, and what the risk gate remembers."""

from collections.abc import Mapping
from typing import Any

from tradefleet.domain.bar import DAY_US
from tradefleet.domain.bots import (
    BotCommand,
    BotConfig,
    Closure,
    DeletionPolicy,
    RunState,
    config_from_values,
    config_values,
)
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.executions import Adoption, Execution, PositionView
from tradefleet.domain.ids import ClientOrderId, Symbol, uid_hash
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.ledger import Wallet
from tradefleet.domain.money import PPM
from tradefleet.domain.orders import Reason
from workloads.exchange.gateway.hold import BuyAndHold
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.position import Position

RATE_WINDOW_US = 60_000_000


class BotAccount:
    """Everything the gateway keeps of one bot. All of it is in `snapshot`, but the open orders (rule 12)."""

    def __init__(self, config: BotConfig, instruments: Mapping[Symbol, Instrument], *, taker_ppm: int) -> None:
        self.config = config
        self.key = config.key
        self.prefix = uid_hash(config.uid)
        self.state = RunState.RUNNING
        self.deleting = False
        self.flatten_no = 0
        self.reopen_no = 0
        self.instruments = tuple(instruments[symbol] for symbol in config.symbols)
        self.quote = self.instruments[0].quote
        self.amount_max = self.instruments[0].quote_atoms_max  # of figures that are shown
        self.wallet = Wallet()
        self.positions = {symbol: Position() for symbol in config.symbols}
        self.hold = BuyAndHold(
            self.instruments, wallet=config.wallet, warmup_bars=config.warmup_bars, fee_ppm=taker_ppm
        )
        self.orders: dict[ClientOrderId, ManagedOrder] = {}  # open ones, oldest first
        self.request_seq = 0  # last request applied
        self.execution_seq = 0
        self.entry_seq = 0
        self.order_counter = 0  # of the gateway's own orders
        self.order_count = 0
        self.fill_count = 0
        self.realized_atoms = 0
        self.fees_atoms = 0
        self.peak_equity_atoms = 0
        self.drawdown_peak_atoms = 0  # as above, since a person last cleared a drawdown
        self.is_drawn_down = False  # equity has fallen too far below it, and nobody has cleared that
        self.day = -1  # days since the epoch of the figures below
        self.day_start_equity_atoms = 0
        self.accepted_us: list[int] = []  # accepted orders of the last minute, market time
        self.exits: dict[Symbol, Reason] = {}  # positions to close as soon as their orders are gone
        self.closures: dict[Closure, str] = {}  # why it takes no new risk (rule 9), the first of each kind
        self.unreadable_seq = 0  # the request that cannot be read and holds up those after it; 0 when there is none
        self.absent_since_us = 0  # when nobody was seen to run it, on the database's clock; 0 while somebody does
        self.is_abandoned = False  # its dead man's switch has acted, and nobody has run it since
        self.backlog_until_us = -1  # what the bot decided up to then was held up: too late to raise risk by it
        self.derive()

    def note_positions(self) -> None:
        """Keep the lots per instrument as the figures of every step show them."""
        self.held_lots = tuple([(symbol, position.lots) for symbol, position in self.positions.items()])

    def derive(self) -> None:
        """Work out what every bar asks."""
        self.note_positions()
        limits = self.config.limits
        self.max_drawdown_ppm = limits.max_drawdown_ppm
        protections = (limits.stop_loss_ppm, limits.take_profit_ppm, limits.trailing_stop_ppm)
        self.is_protected = any(protection is not None for protection in protections)
        ends = self.deleting or self.state is RunState.STOPPED
        self.is_ending = ends and self.config.deletion_policy is not DeletionPolicy.KEEP

    @property
    def is_settled(self) -> bool:
        """True when nothing is open and no exit is under way: what a deletion waits for."""
        return not self.orders and not self.exits

    @property
    def is_gone(self) -> bool:
        """True when the bot was deleted and has settled: nothing is done for it any more."""
        return self.deleting and self.is_settled

    def mark_equity(self, marks: Mapping[Symbol, int]) -> int:
        """Return equity at `marks` (ticks) in quote atoms. Lots without a mark count nothing."""
        wallet, positions = self.wallet, self.positions
        equity = wallet.free.get(self.quote, 0) + wallet.locked.get(self.quote, 0)
        for instrument in self.instruments:
            symbol = instrument.symbol
            lots = positions[symbol].lots
            if lots:
                equity += instrument.notional_atoms(lots, marks.get(symbol, 0))
        return equity

    def keep_equity(self, equity_atoms: int, market_us: int) -> bool:
        """Remember an equity figure; True when something of it changed, so that the row must be written."""
        changed = False
        day = market_us // DAY_US
        if day > self.day:  # a late bar of an earlier day begins none
            self.day = day
            self.day_start_equity_atoms = equity_atoms
            changed = True
        if equity_atoms > self.peak_equity_atoms:
            self.peak_equity_atoms = equity_atoms
            changed = True
        if equity_atoms > self.drawdown_peak_atoms:
            self.drawdown_peak_atoms = equity_atoms
            changed = True
        elif self.max_drawdown_ppm is not None and not self.is_drawn_down and self.is_below_peak(equity_atoms):
            self.is_drawn_down = changed = True
        return changed

    def is_below_peak(self, equity_atoms: int) -> bool:
        """Return whether equity is as far below its peak as the bot's limit says. Without a limit it never is."""
        limit_ppm, peak = self.max_drawdown_ppm, self.drawdown_peak_atoms
        return limit_ppm is not None and peak > 0 and (peak - equity_atoms) * PPM >= limit_ppm * peak

    def clear_drawdown(self, equity_atoms: int) -> None:
        """Let the bot take risk again after a drawdown; the next one is measured from here."""
        self.is_drawn_down = False
        self.drawdown_peak_atoms = equity_atoms

    def take_command(self, command: BotCommand) -> bool:
        """Adopt the desired state; False when there is nothing new in it, or it is older than what is known.

        Raises InvalidValue, changing nothing, when instruments or wallet differ: results are measured against them.
        """
        config = command.config
        if config.generation < self.config.generation:
            return False
        if (config, command.state, command.deleting) == (self.config, self.state, self.deleting):
            return False
        for name, then, now in (
            ("symbols", sorted(self.config.symbols), sorted(config.symbols)),
            ("wallet", self.config.wallet, config.wallet),
        ):
            if now != then:
                raise InvalidValue(f"bot {self.key}: {name} cannot change, was {then}, is {now}: create another bot")
        if config.limits.max_drawdown_ppm != self.max_drawdown_ppm:
            self.is_drawn_down = False  # the new limit is asked anew
        self.config = config
        self.state = command.state
        self.deleting = command.deleting
        self.derive()
        return True

    def adoption(self, market_us: int, orders: tuple[Execution, ...]) -> Adoption:
        """Return the books as the first input of a new generation of the bot."""
        return Adoption(
            bot=self.key,
            market_us=market_us,
            execution_seq=self.execution_seq,
            free=dict(self.wallet.free),
            locked=dict(self.wallet.locked),
            positions=tuple(
                PositionView(symbol=symbol, lots=position.lots, cost_atoms=position.cost_atoms)
                for symbol, position in self.positions.items()
            ),
            orders=orders,
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the books as JSON values, open orders apart."""
        return {
            "config": config_values(self.config),
            "state": self.state,
            "deleting": self.deleting,
            "flatten_no": self.flatten_no,
            "reopen_no": self.reopen_no,
            "free": dict(self.wallet.free),
            "locked": dict(self.wallet.locked),
            "positions": {
                symbol: {"lots": held.lots, "cost_atoms": held.cost_atoms, "peak_ticks": held.peak_ticks}
                for symbol, held in self.positions.items()
            },
            "hold": self.hold.snapshot(),
            "request_seq": self.request_seq,
            "execution_seq": self.execution_seq,
            "entry_seq": self.entry_seq,
            "order_counter": self.order_counter,
            "order_count": self.order_count,
            "fill_count": self.fill_count,
            "realized_atoms": self.realized_atoms,
            "fees_atoms": self.fees_atoms,
            "peak_equity_atoms": self.peak_equity_atoms,
            "drawdown_peak_atoms": self.drawdown_peak_atoms,
            "is_drawn_down": self.is_drawn_down,
            "day": self.day,
            "day_start_equity_atoms": self.day_start_equity_atoms,
            "accepted_us": list(self.accepted_us),
            "exits": dict(self.exits),
            "closures": dict(self.closures),
            "unreadable_seq": self.unreadable_seq,
            "backlog_until_us": self.backlog_until_us,
            "absent_since_us": self.absent_since_us,
            "is_abandoned": self.is_abandoned,
        }


def restore_account(state: dict[str, Any], instruments: Mapping[Symbol, Instrument], *, taker_ppm: int) -> BotAccount:
    """Return the books that `BotAccount.snapshot` described."""
    account = BotAccount(config_from_values(state["config"]), instruments, taker_ppm=taker_ppm)
    account.state = RunState(state["state"])
    account.wallet = Wallet(state["free"], state["locked"])
    account.positions = {
        symbol: Position(held["lots"], held["cost_atoms"], held["peak_ticks"])
        for symbol, held in state["positions"].items()
    }
    account.hold.restore(state["hold"])
    account.accepted_us = list(state["accepted_us"])
    account.exits = {symbol: Reason(reason) for symbol, reason in state["exits"].items()}
    account.closures = {Closure(cause): why for cause, why in state["closures"].items()}
    for name in _PLAIN_FIELDS:
        setattr(account, name, state[name])
    account.absent_since_us = state.get("absent_since_us", 0)  # books of before the switch do not have these
    account.is_abandoned = state.get("is_abandoned", False)
    account.derive()
    return account


_PLAIN_FIELDS = (
    "deleting",
    "flatten_no",
    "reopen_no",
    "request_seq",
    "execution_seq",
    "entry_seq",
    "order_counter",
    "order_count",
    "fill_count",
    "realized_atoms",
    "fees_atoms",
    "peak_equity_atoms",
    "drawdown_peak_atoms",
    "is_drawn_down",
    "day",
    "day_start_equity_atoms",
    "unreadable_seq",
    "backlog_until_us",
)
