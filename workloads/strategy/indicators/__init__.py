"""Incremental indicators: one cheap step a bar, declared state, sources in their docstrings."""

from workloads.strategy.indicators.averages import EMA, SMA, VWAP
from workloads.strategy.indicators.base import CloseIndicator, Indicator
from workloads.strategy.indicators.deviation import Bollinger, StdDev, Volatility
from workloads.strategy.indicators.momentum import MACD, ROC, RSI
from workloads.strategy.indicators.ranges import ATR, RollingMax, RollingMin

__all__ = [
    "ATR",
    "EMA",
    "MACD",
    "ROC",
    "RSI",
    "SMA",
    "VWAP",
    "Bollinger",
    "CloseIndicator",
    "Indicator",
    "RollingMax",
    "RollingMin",
    "StdDev",
    "Volatility",
]
