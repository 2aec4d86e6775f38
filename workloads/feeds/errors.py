"""Errors of market data: all permanent, since the same file or query gives the same again."""

from tradefleet.domain.errors import Permanent


class UnusableSource(Permanent):
    """A source cannot be read at all: a missing or corrupt file, no such column, an instrument that nobody names."""


class BrokenData(Permanent):
    """A candle breaks a rule. The message names source, line, field, what was found and what to do about it."""


class SourceChanged(Permanent):
    """A source is not the one that was played before: going on with it would leave bars out, or play some twice."""


class PlayedBefore(Permanent):
    """A lockstep run begins with the first bar of its data, and bars of it were played before the run."""


class DatasetChange(Permanent):
    """A dataset refuses what was asked: it is unknown, frozen, or would mix made-up candles with real ones."""
