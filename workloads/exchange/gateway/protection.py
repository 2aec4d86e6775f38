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
    """Return the four points of a bar's path: O-L-H-C when it closes at or above its open, else O-H-L-C (rule 22).

    A price below half a tick is one tick, as it is for the venue.
    """
    opened, closed = max(1, instrument.nearest_ticks(bar.open)), max(1, instrument.nearest_ticks(bar.close))
    low, high = extremes(bar, instrument)
    return (opened, low, high, closed) if bar.close >= bar.open else (opened, high, low, closed)


def extremes(bar: Bar, instrument: Instrument) -> tuple[int, int]:
    """Return a bar's low and high in ticks."""
    return max(1, instrument.nearest_ticks(bar.low)), max(1, instrument.nearest_ticks(bar.high))


def stays_calm(position: Position, limits: RiskLimits, instrument: Instrument, low: int, high: int) -> bool:
    """Return whether no way between `low` and `high` can set anything off; then the peak is kept up to date.

    Nearly every bar ends here: its extremes are asked alone, as if they came in the worst order.
    """
    peak = max(position.peak_ticks, high)
    if limits.trailing_stop_ppm is not None and low * PPM <= peak * (PPM - limits.trailing_stop_ppm):
        return False
    lots, cost, stop_loss, take_profit = (
        position.lots,
        position.cost_atoms,
        limits.stop_loss_ppm,
        limits.take_profit_ppm,
    )
    if stop_loss is not None and instrument.notional_atoms(lots, low) * PPM <= cost * (PPM - stop_loss):
        return False
    if take_profit is not None and instrument.notional_atoms(lots, high) * PPM >= cost * (PPM + take_profit):
        return False
    position.peak_ticks = peak
    return True


def triggered(position: Position, limits: RiskLimits, instrument: Instrument, path: tuple[int, ...]) -> Reason:
    """Return which protection the path sets off first, NONE for none; keeps the position's peak up to date.

    Stop-loss and take-profit compare the position's worth with its cost, so that roundings of an average price cannot
    decide; the trailing stop compares prices with the peak since the position was opened. Between two points of the
    path prices only fall or only rise: of two stops on the way down the higher one is reached first.
    """
    stop_loss, take_profit, trailing = limits.stop_loss_ppm, limits.take_profit_ppm, limits.trailing_stop_ppm
    cost = position.cost_atoms
    for ticks in path:
        worth = instrument.notional_atoms(position.lots, ticks) * PPM
        is_stopped = stop_loss is not None and worth <= cost * (PPM - stop_loss)
        if trailing is not None and ticks * PPM <= position.peak_ticks * (PPM - trailing):
            peak_worth = instrument.notional_atoms(position.lots, position.peak_ticks)
            if not is_stopped or stop_loss is None or peak_worth * (PPM - trailing) > cost * (PPM - stop_loss):
                return Reason.TRAILING_STOP
        if is_stopped:
            return Reason.STOP_LOSS
        if take_profit is not None and worth >= cost * (PPM + take_profit):
            return Reason.TAKE_PROFIT
        position.peak_ticks = max(position.peak_ticks, ticks)
    return Reason.NONE
