"""Errors of market data: all permanent, since the same file or query gives the same again."""

from tradefleet.domain.errors import Permanent


class UnusableSource(Permanent):
    """A source cannot be read at all: a missing or corrupt file, no such column, an instrument that nobody names."""


class BrokenData(Permanent):
    """A candle breaks a rule. The message names source, line, field, what was found and what to do about it."""


class DatasetChange(Permanent):
    """A dataset refuses what was asked: it is unknown, frozen, or would mix made-up candles with real ones."""
