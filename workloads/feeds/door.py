"""The door of a feed: what is behind it relies on bars that can be kept in ticks, columns and messages.

Sources of candles are checked row by row where they are read; a dataset that was recorded, and a market that is live,
are not. So each bar is looked at here once more, and against the ticks of its instrument, which no source knows.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from tradefleet.domain.bar import PRICE_MAX, Bar, check_bar
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import price_max_of
from workloads.feeds.ports import ReplaySource

Refuse = Callable[[Bar, InvalidValue], None]


class Door:
    """A replay without the bars that nobody behind it could take: `refuse` puts each aside, the others go on (rule 9).

    A feed that comes back reads its source from the beginning, and puts the same bars aside again.
    """

    def __init__(self, source: ReplaySource, ticks: Mapping[Symbol, Decimal], refuse: Refuse) -> None:
        self._source = source
        self._price_max = {symbol: price_max_of(tick) for symbol, tick in ticks.items()}
        self._refuse = refuse

    def steps(self) -> Iterable[tuple[int, list[Bar]]]:
        """Yield the source's steps; one of which nothing is left is no step."""
        for market_us, bars in self._source.steps():
            sound = [bar for bar in bars if self._is_sound(bar)]
            if sound:
                yield market_us, sound

    def origin(self, symbol: Symbol) -> str:
        """Return what the bars of an instrument are read from, for messages."""
        return self._source.origin(symbol)

    def _is_sound(self, bar: Bar) -> bool:
        try:
            check_bar(bar, self._price_max.get(bar.symbol, PRICE_MAX))
        except InvalidValue as error:
            self._refuse(bar, error)
            return False
        return True
