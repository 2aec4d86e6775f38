"""How the bots of a gateway stand, told to whoever looks: the newest figures of each, a few times a second.

A message has no effect and may get lost; what is kept is in the rows of the statistics.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tradefleet.domain.ids import BotKey, StreamName, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.statistics import BotStatistics
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import statistics_message
from tradefleet.messages.topics import METRICS
from tradefleet.runtime.ports import Publisher
from workloads.exchange.gateway.account import BotAccount

ANNOUNCE_US: Final = 250_000  # between two announcements


class BotFigures:
    """Announces the figures of one gateway's bots."""

    def __init__(self, publisher: Publisher, instruments: Mapping[Symbol, Instrument]) -> None:
        self._publisher = publisher
        self._instruments = instruments
        self._newest: dict[BotKey, BotStatistics] = {}  # of each bot, not announced yet
        self._count = 0
        self._announce_at_us = 0

    def tell(self, statistics: Iterable[BotStatistics], accounts: Mapping[BotKey, BotAccount], *, now_us: int) -> None:
        """Take figures, and announce the newest unless that was done a moment ago (`now_us` is monotonic)."""
        self._newest.update({figures.bot: figures for figures in statistics})
        if not self._newest or now_us < self._announce_at_us:
            return
        self._announce_at_us = now_us + ANNOUNCE_US
        newest, self._newest = self._newest, {}
        for figures in newest.values():
            account = accounts.get(figures.bot)
            if account is None:
                continue  # it is gone since
            self._count += 1
            message = statistics_message(
                figures,
                StreamName(f"metrics/{account.config.uid}"),
                self._count,
                account.instruments[0].quote_scale,
                self._instruments,
            )
            self._publisher.announce(METRICS.name, figures.bot, encode(message))
