"""Incremental indicators: one cheap step a bar, declared state, sources in their docstrings."""

from workloads.strategy.indicators.averages import EMA, SMA, VWAP
from workloads.strategy.indicators.base import CloseIndicator, Indicator

__all__ = ["EMA", "SMA", "VWAP", "CloseIndicator", "Indicator"]
