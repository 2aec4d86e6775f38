"""A bot as the machines know it: what it runs, on what, with which money, within which limits."""

from dataclasses import asdict, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey, BotUid, Symbol

ParameterValue = int | float | str | bool

REFOLD_INPUTS_MAX = 1_000_000
"""Inputs that a bot may have to fold again at a restart (rule 19); a bot beyond it goes on, with a warning.

Only strategies that keep more than they declare get there, since the others have snapshots. It is two years of bars of
one minute.
"""


class SizingMethod(StrEnum):
    """How a wish becomes a number of lots."""

    FIXED = "fixed"  # a fixed quote amount per instrument
    FRACTION = "fraction"  # a fraction of the bot's equity, in equal parts over its instruments
    VOLATILITY_TARGET = "volatilityTarget"  # the fraction is scaled so that the position's volatility meets a target
    KELLY = "kelly"  # the capped Kelly fraction of the bot's own closed trades


@frozen()
class Sizing:
    """Parameters of the sizer. Fractions are of equity; volatility is annualised."""

    method: SizingMethod = SizingMethod.FRACTION
    fraction: float = 1.0
    quote_amount: Decimal | None = None  # for FIXED
    target_volatility: float = 0.5
    lookback_bars: int = 60
    kelly_cap: float = 0.25
    rebalance_threshold: float = 0.02  # ignore a change of target smaller than this part of equity


@frozen()
class RiskLimits:
    """What the gate allows a bot; None is no limit. Fractions are in parts per million, amounts in quote atoms."""

    max_order_atoms: int | None = None
    max_position_atoms: int | None = None  # per instrument, at the mark
    max_exposure_ppm: int | None = None  # all positions and open buys together, of equity
    max_open_orders: int | None = 200
    max_orders_per_minute: int | None = 600
    price_collar_ppm: int = 50_000  # a price further than this from the mark is refused; market orders reserve at it
    max_daily_loss_ppm: int | None = None
    max_drawdown_ppm: int | None = None
    max_data_age_us: int | None = 600_000_000
    stop_loss_ppm: int | None = None
    take_profit_ppm: int | None = None
    trailing_stop_ppm: int | None = None


class RunState(StrEnum):
    """What the owner wants a bot to do."""

    RUNNING = "Running"
    PAUSED = "Paused"  # keeps its orders and its protection, raises no new risk
    STOPPED = "Stopped"


class DeletionPolicy(StrEnum):
    """What happens to orders and position when a bot is stopped or deleted."""

    CANCEL_ORDERS = "CancelOrders"
    FLATTEN = "Flatten"
    KEEP = "Keep"


@frozen()
class DeadManSwitch:
    """What the gateway does for a running bot without a process: it cancels its orders, and may sell its positions."""

    after_us: int  # how long it may be without one, by the wall's clock
    flattens: bool = False


class Closure(StrEnum):
    """Why a bot takes no new risk although its owner wants it to trade (rule 9), by who can resolve it."""

    REPORT = "report"  # a venue report could not be applied: its books may be wrong. Reconciliation, or a person
    REQUEST = "request"  # it asked for an order under another order's id. A person
    UNREADABLE = "unreadable"  # a request cannot be read, and none after it is. A person


@frozen()
class BotConfig:
    """One bot for the machines. `wallet` holds atoms per asset; `generation` is the resource's."""

    key: BotKey
    uid: BotUid
    generation: int
    strategy: str  # a built-in name or `module:Class`
    parameters: dict[str, ParameterValue] = field(default_factory=dict)
    symbols: tuple[Symbol, ...]
    interval_us: int
    wallet: dict[str, int]
    sizing: Sizing = field(default_factory=Sizing)
    limits: RiskLimits = field(default_factory=RiskLimits)
    warmup_bars: int = 1  # the first decision falls on the close of this bar
    seed: int = 0
    deletion_policy: DeletionPolicy = DeletionPolicy.CANCEL_ORDERS
    dead_man: DeadManSwitch | None = None  # None: nothing happens
    code: str = ""  # which code a `module:Class` is of, where it is known: another one is another bot


def process_config(config: BotConfig) -> BotConfig:
    """Return what a bot's process is told of it: without what its gateway does for it, so that a change of that
    restarts nobody.
    """
    return replace(config, deletion_policy=DeletionPolicy.CANCEL_ORDERS, dead_man=None)


@frozen()
class BotCommand:
    """The whole desired running state of one bot, as `fleet.commands` carries it: never a delta (rule 11).

    `flatten_no` and `reopen_no` count the owner's requests to flatten and to reopen a closed stream; a gateway that has
    seen a lower number acts once. `skip_seq` is the number of a request that may be left out if it cannot be read, 0
    for none.
    """

    config: BotConfig
    state: RunState = RunState.RUNNING
    flatten_no: int = 0
    reopen_no: int = 0
    skip_seq: int = 0
    deleting: bool = False


def config_values(config: BotConfig) -> dict[str, object]:
    """Return `config` as plain JSON values; `config_from_values` reads them back."""
    values = asdict(config)
    sizing = values["sizing"]
    if sizing["quote_amount"] is not None:
        sizing["quote_amount"] = str(sizing["quote_amount"])
    values["symbols"] = list(config.symbols)
    return values


def config_from_values(values: dict[str, Any]) -> BotConfig:
    """Return the config that `config_values` wrote, in this release or in one before the dead man's switch."""
    sizing, dead_man = dict(values["sizing"]), values.get("dead_man")
    if sizing["quote_amount"] is not None:
        sizing["quote_amount"] = Decimal(sizing["quote_amount"])
    sizing["method"] = SizingMethod(sizing["method"])
    return BotConfig(
        **{
            **values,
            "sizing": Sizing(**sizing),
            "limits": RiskLimits(**values["limits"]),
            "symbols": tuple(values["symbols"]),
            "deletion_policy": DeletionPolicy(values["deletion_policy"]),
            "dead_man": None if dead_man is None else DeadManSwitch(**dead_man),
        }
    )
