"""Figures of bots: as they change, and as finished reports."""

from typing import Annotated

from msgspec import Meta

from tradefleet.messages.fields import ExactAmount, ExactSize, Part, TimeUs
from tradefleet.messages.trading import BotMessage


class PositionSize(Part, frozen=True, kw_only=True, gc=False):
    """What a bot holds of one instrument."""

    symbol: Annotated[str, Meta(description="Instrument, such as BTC-USD")]
    size: ExactSize


class BotMeasured(BotMessage, frozen=True, kw_only=True, gc=False):
    """A bot's figures after a step in which one of its bars closed. Amounts are in `quote`, exact."""

    quote: Annotated[str, Meta(description="Asset of all amounts")]
    equity: ExactAmount
    hold: Annotated[
        ExactAmount | None, Meta(description="The start wallet in buy-and-hold; null before the first fillable open")
    ]
    vs_hold: Annotated[ExactAmount | None, Meta(description="Equity minus hold")]
    peak_equity: Annotated[ExactAmount, Meta(description="Highest equity so far")]
    realized: Annotated[ExactAmount, Meta(description="Realised profit before fees")]
    fees: Annotated[ExactAmount, Meta(description="Fees paid")]
    orders: Annotated[int, Meta(description="Orders so far")]
    fills: Annotated[int, Meta(description="Fills so far")]
    open_orders: Annotated[int, Meta(description="Orders that are open now")]
    positions: Annotated[tuple[PositionSize, ...], Meta(description="In the order of the bot's settings")]


class ReportFinished(BotMessage, frozen=True, kw_only=True, gc=False):
    """A report on a bot or a backtest is ready."""

    report: Annotated[str, Meta(description="Name of the report, unique in the fleet")]
    from_us: Annotated[TimeUs, Meta(description="First market time of the report, UTC microseconds")]
    to_us: Annotated[TimeUs, Meta(description="Last market time of the report, UTC microseconds")]
    quote: Annotated[str, Meta(description="Asset of all amounts")]
    start_equity: ExactAmount
    end_equity: ExactAmount
    hold: Annotated[ExactAmount | None, Meta(description="The start wallet in buy-and-hold at the end")]
    fees: Annotated[ExactAmount, Meta(description="Fees paid")]
    fills: Annotated[int, Meta(description="Number of fills")]
    measures: Annotated[dict[str, float], Meta(description="Further figures by name, such as sharpe_ratio")]
    location: Annotated[str, Meta(description="Where the report can be read: a URL or a path in the data folder")]
    content_hash: Annotated[str, Meta(description="SHA-256 of the report, in hex")]
