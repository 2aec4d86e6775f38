"""Stop-loss, take-profit and trailing stop, which work even when the strategy is dead.

They follow the path of each bar of the finest interval (open, then low and high in the order of rule 22, then close)
and close the whole position of the instrument at the market; in a replay that is the next bar's open (rule 20). What
this does not model: within one bar a position opened by a limit order sees the whole path, not only the part after
its fill.
"""

from tradefleet.domain.bar import Bar
from tradefleet.domain.bots import RiskLimits
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM
from tradefleet.domain.orders import Reason
from workloads.exchange.gateway.position import Position


def path_ticks(bar: Bar, instrument: Instrument) -> tuple[int, int, int, int]:
    """Return the four points of a bar's path: O-L-H-C when it closes at or above its open, else O-H-L-C (rule 22)."""
    opened, closed = instrument.nearest_ticks(bar.open), instrument.nearest_ticks(bar.close)
    low, high = instrument.nearest_ticks(bar.low), instrument.nearest_ticks(bar.high)
    return (opened, low, high, closed) if bar.close >= bar.open else (opened, high, low, closed)


def triggered(position: Position, limits: RiskLimits, instrument: Instrument, path: tuple[int, ...]) -> Reason:
    """Return which protection the path sets off first, NONE for none; keeps the position's peak up to date.

    Stop-loss and take-profit compare the position's worth with its cost, so that roundings of an average price cannot
    decide; the trailing stop compares prices with the peak since the position was opened.
    """
    for ticks in path:
        worth = instrument.notional_atoms(position.lots, ticks) * PPM
        cost = position.cost_atoms
        if limits.stop_loss_ppm is not None and worth <= cost * (PPM - limits.stop_loss_ppm):
            return Reason.STOP_LOSS
        if limits.take_profit_ppm is not None and worth >= cost * (PPM + limits.take_profit_ppm):
            return Reason.TAKE_PROFIT
        if limits.trailing_stop_ppm is not None and ticks * PPM <= position.peak_ticks * (
            PPM - limits.trailing_stop_ppm
        ):
            return Reason.TRAILING_STOP
        position.peak_ticks = max(position.peak_ticks, ticks)
    return Reason.NONE
