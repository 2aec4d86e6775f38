"""Entry and exit marks: trades by the candle they happened in, so that a chart stays readable and nothing is lost."""

from collections.abc import Sequence

from workloads.backtest.report_data import Trade
from workloads.backtest.thinning import Candles

MICROSECONDS = 1_000_000


def marks_of(trades: Sequence[Trade], market: str, candles: Candles) -> list[list[object]]:
    """Return a mark for each candle and side in which there were trades of `market`.

    A mark: open of the candle in seconds, 1 for buys and -1 for sells, average price, size, fees, number of trades,
    time of the last one in seconds, and why the gateway traded, where it did.
    """
    groups: dict[tuple[int, int], list[Trade]] = {}
    for trade in trades:
        if trade.market == market:
            # A fill carries the time of its bar's close; one microsecond before that it is within the bar.
            inside_us = trade.market_us - 1
            place = (inside_us - inside_us % candles.width_us, 1 if trade.is_buy else -1)
            groups.setdefault(place, []).append(trade)
    return [_mark(start_us, sign, group) for (start_us, sign), group in sorted(groups.items())]


def _mark(start_us: int, sign: int, group: Sequence[Trade]) -> list[object]:
    size = sum(trade.size for trade in group)
    price = sum(trade.price * trade.size for trade in group) / size
    notes = ", ".join(dict.fromkeys(trade.note for trade in group if trade.note))
    return [
        start_us // MICROSECONDS,
        sign,
        float(f"{price:.9g}"),
        float(f"{size:.8g}"),
        float(f"{sum(trade.fee for trade in group):.6g}"),
        len(group),
        group[-1].market_us // MICROSECONDS,
        notes,
    ]
