"""From a wish (be in, be out, be at this exposure) to a number of lots that can be paid.

Everything here is integer arithmetic on atoms and lots; the only doubles are the two estimates (volatility, Kelly),
which become parts per million before they meet money. What it does not model: the price impact of the order, and
correlation between instruments (they get equal parts).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, assert_never

from tradefleet.domain.bots import RiskLimits, Sizing, SizingMethod
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, share_ppm, to_atoms
from tradefleet.domain.orders import Side
from workloads.strategy.portfolio import Portfolio

YEAR_US = 365 * 86_400 * 1_000_000  # these markets trade every day of it


class Wish(NamedTuple):
    """Where a position should go: `exposure_ppm` of the instrument's full size, by buying, by selling, or by both."""

    exposure_ppm: int
    may_buy: bool
    may_sell: bool


class SizedChange(NamedTuple):
    """What to do about a wish now: lots to buy (positive) or sell (negative); `is_met` when nothing is left of it.

    Zero lots with `is_met` false: there is something to do, but it cannot be paid now.
    """

    lots: int
    is_met: bool


MET = SizedChange(0, is_met=True)


class Sizer:
    """The sizing of one bot. Raises InvalidValue for a sizing that cannot work."""

    __slots__ = ("_instruments", "_limits", "_parts", "_quote_atoms", "_sizing")

    def __init__(
        self, bot: BotKey, sizing: Sizing, limits: RiskLimits, instruments: Mapping[Symbol, Instrument]
    ) -> None:
        self._sizing = sizing
        self._limits = limits
        self._instruments = instruments
        self._parts = len(instruments)
        self._quote_atoms = 0
        if sizing.method is SizingMethod.FIXED:
            if sizing.quote_amount is None or sizing.quote_amount <= 0:
                raise InvalidValue(f"bot {bot}: sizing fixed needs a quote amount > 0, was {sizing.quote_amount}")
            scale = next(iter(instruments.values())).quote_scale
            self._quote_atoms = to_atoms(sizing.quote_amount, scale)
        for name, value, most in (
            ("fraction", sizing.fraction, 1.0),
            ("kelly cap", sizing.kelly_cap, 1.0),
            ("target volatility", sizing.target_volatility, math.inf),
        ):
            if not 0 < value <= most:
                raise InvalidValue(f"bot {bot}: sizing {name} must be above 0 and at most {most}, was {value}")
        if not 0 <= sizing.rebalance_threshold <= 1:
            raise InvalidValue(
                f"bot {bot}: sizing rebalance threshold must be from 0 to 1, was {sizing.rebalance_threshold}"
            )

    def take_terms(self, instruments: Mapping[Symbol, Instrument]) -> None:
        """Take other least amounts of an order; the grid of every instrument is what it was."""
        self._instruments = instruments

    def full_atoms(self, equity_atoms: int, portfolio: Portfolio, volatility: float) -> int | None:
        """Return the quote atoms that exposure 1 of one instrument is worth; None while they cannot be known.

        `volatility` is the instrument's, annualised; NaN while there are too few bars.
        """
        sizing = self._sizing
        match sizing.method:
            case SizingMethod.FIXED:
                return self._quote_atoms
            case SizingMethod.FRACTION:
                fraction = sizing.fraction
            case SizingMethod.VOLATILITY_TARGET:
                if math.isnan(volatility):
                    return None
                # Source: A. Moreira and T. Muir, "Volatility-Managed Portfolios", Journal of Finance 72 (2017), with
                # the fraction as cap, since a spot account cannot borrow.
                fraction = sizing.fraction
                if volatility > sizing.target_volatility:
                    fraction *= sizing.target_volatility / volatility
            case SizingMethod.KELLY:
                fraction = min(sizing.fraction, portfolio.round_trips.kelly_fraction(sizing.kelly_cap))
            case _:
                assert_never(sizing.method)
        return share_ppm(equity_atoms, round(fraction * PPM)) // self._parts

    def change(
        self, wish: Wish, symbol: Symbol, marks: Mapping[Symbol, int], portfolio: Portfolio, volatility: float
    ) -> SizedChange:
        """Return what to do about a wish at the present marks (ticks).

        More is bought only when all open buys would not be enough, sold only when all open sells would not: nothing
        is ordered twice, and a protective stop that waits does not look like a position already sold.
        """
        instrument = self._instruments[symbol]
        mark = marks[symbol]
        if wish.exposure_ppm == 0:
            return self._leave(instrument, mark, portfolio) if wish.may_sell else MET
        values = {other: self._held_atoms(other, marks, portfolio) for other in self._instruments}
        equity = portfolio.total.get(portfolio.quote, 0) + sum(values.values())
        full = self.full_atoms(equity, portfolio, volatility)
        if full is None:
            return SizedChange(0, is_met=False)
        target = share_ppm(full, wish.exposure_ppm)
        most = portfolio.projected_lots(symbol, Side.BUY)
        least_order = max(1, instrument.min_notional_atoms)
        if most > 0:  # a first entry may be small beside the equity, a correction must be worth its fee
            least_order = max(least_order, round(self._sizing.rebalance_threshold * PPM) * equity // PPM)
        missing = target - instrument.notional_atoms(most, mark)
        if missing >= least_order:
            held = equity - portfolio.total.get(portfolio.quote, 0)
            return self.buy(instrument, mark, missing, portfolio, held, equity) if wish.may_buy else MET
        excess = instrument.notional_atoms(portfolio.projected_lots(symbol, Side.SELL), mark) - target
        if excess >= least_order and wish.may_sell:
            return self._reduce(instrument, mark, excess, portfolio)
        return MET

    def buy(
        self, instrument: Instrument, mark: int, atoms: int, portfolio: Portfolio, held_atoms: int, equity: int
    ) -> SizedChange:
        """Return a purchase worth `atoms` at the mark, or as much of it as can be paid and the limits allow.

        `held_atoms` are all positions at their marks.
        """
        wanted = instrument.affordable_lots(atoms, mark)
        if not self._is_worth_an_order(instrument, wanted, mark):
            return MET
        lots = min(wanted, portfolio.payable_lots(instrument, portfolio.collar_ticks(mark)))
        limits = self._limits
        if limits.max_order_atoms is not None:
            lots = min(lots, instrument.affordable_lots(limits.max_order_atoms, mark))
        if limits.max_position_atoms is not None:
            most = instrument.affordable_lots(limits.max_position_atoms, mark)
            lots = min(lots, most - portfolio.projected_lots(instrument.symbol, Side.BUY))
        if limits.max_exposure_ppm is not None:
            room = share_ppm(equity, limits.max_exposure_ppm) - held_atoms - portfolio.locked.get(portfolio.quote, 0)
            lots = min(lots, instrument.affordable_lots(room, mark))
        if not self._is_worth_an_order(instrument, lots, mark):
            return SizedChange(0, is_met=False)
        return SizedChange(lots, is_met=False)

    def _leave(self, instrument: Instrument, mark: int, portfolio: Portfolio) -> SizedChange:
        held = portfolio.positions[instrument.symbol].lots
        lots = self._cap_sale(instrument, mark, portfolio.sellable_lots(instrument.symbol))
        if self._is_worth_an_order(instrument, lots, mark):
            return SizedChange(-lots, is_met=False)
        # What resting sells hold will be out when they fill; what is too small for an order must stay.
        return SizedChange(0, is_met=not self._is_worth_an_order(instrument, held, mark))

    def _reduce(self, instrument: Instrument, mark: int, atoms: int, portfolio: Portfolio) -> SizedChange:
        lots = min(instrument.affordable_lots(atoms, mark), portfolio.sellable_lots(instrument.symbol))
        lots = self._cap_sale(instrument, mark, lots)
        return SizedChange(-lots, is_met=False) if self._is_worth_an_order(instrument, lots, mark) else MET

    def _cap_sale(self, instrument: Instrument, mark: int, lots: int) -> int:
        if self._limits.max_order_atoms is None:
            return lots
        return min(lots, instrument.affordable_lots(self._limits.max_order_atoms, mark))

    def _is_worth_an_order(self, instrument: Instrument, lots: int, mark: int) -> bool:
        return lots > 0 and instrument.notional_atoms(lots, mark) >= instrument.min_notional_atoms

    def _held_atoms(self, symbol: Symbol, marks: Mapping[Symbol, int], portfolio: Portfolio) -> int:
        lots = portfolio.positions[symbol].lots
        return self._instruments[symbol].notional_atoms(lots, marks[symbol]) if lots and symbol in marks else 0


def annualised(deviation: float, interval_us: int) -> float:
    """Return the standard deviation of one bar's log return as volatility of a year."""
    return deviation * math.sqrt(YEAR_US / interval_us)
