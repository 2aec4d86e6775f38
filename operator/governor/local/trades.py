"""A fleet's trades: what each is measured against, and what the books keep of those whose messages are gone."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from operator import itemgetter
from typing import Final

from tradefleet.domain.bar import Bar
from tradefleet.domain.executions import Origin
from tradefleet.domain.ids import GATEWAY_MARK, BotUid, Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderTerms, OrderType, Reason, Side
from tradefleet.domain.venue import Liquidity
from tradefleet.store.postgres.session import Session
from workloads.backtest.record import TradeRecord

PRICED: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT)

_TRADES: Final = """
SELECT client_order_id, fill.trade_id, fill.number, fill.market_us, fill.symbol, fill.side, fill.price_ticks, fill.lots,
    fill.fee_atoms, fill.fee_asset, made.type, made.trigger_ticks, made.reason, made.created_us
FROM tradefleet.fill JOIN tradefleet.trade_order AS made USING (fleet, client_order_id)
WHERE fleet = %(fleet)s AND fill.uid = %(uid)s ORDER BY fill.market_us, fill.event_no"""
_DENIED: Final = """
SELECT client_order_id, reason FROM tradefleet.trade_order
WHERE fleet = %(fleet)s AND uid = %(uid)s AND status = 'DENIED'"""


class Closes:
    """The closes of an exchange's bars. Series may come one after the other, as they are read."""

    def __init__(self) -> None:
        self._found: dict[Symbol, list[tuple[int, int, float]]] = {}  # time, length of the bar, close
        self._is_sorted = True

    def add(self, bar: Bar) -> None:
        """Take a bar."""
        self._found.setdefault(bar.symbol, []).append((bar.close_us, bar.interval_us, bar.close))
        self._is_sorted = False

    def last(self, symbol: Symbol, market_us: int) -> float | None:
        """Return the newest close at a time: of the longest bar, where several ended then; None before the first."""
        if not self._is_sorted:
            for each in self._found.values():
                each.sort()
            self._is_sorted = True
        found = self._found.get(symbol, [])
        place = bisect_right(found, market_us, key=itemgetter(0))
        return found[place - 1][2] if place else None


def reference_ticks(terms: OrderTerms, created_us: int, instrument: Instrument, closes: Closes) -> int | None:
    """Return what an order's price is measured against: a stop's trigger, the last close when an order at market was
    made; None for an order with a price of its own.
    """
    if terms.type is OrderType.STOP:
        return terms.trigger_ticks
    if terms.type is not OrderType.MARKET:
        return None
    close = closes.last(terms.symbol, created_us)
    return None if close is None else instrument.nearest_ticks(close)


class KeptTrades:
    """One bot's trades and denials out of the books, which stay for good, unlike the messages that told of them.

    Two things they do not say: who was maker, so what had a price of its own is taken for it; and why each trade was
    made, so each has the last reason of its order.
    """

    def __init__(self, session: Session, uid: BotUid) -> None:
        self._session = session
        self._parameters = {"fleet": session.fleet, "uid": uid}

    def trades(
        self, instruments: Mapping[Symbol, Instrument], closes: Closes, *, without: Collection[tuple[str, str]]
    ) -> Iterator[TradeRecord]:
        """Yield the trades in their order, but for those of these orders and trade ids."""
        for row in self._session.read(_TRADES, self._parameters):
            client_order_id, trade_id, number, market_us, symbol, side, price_ticks, lots = row[:8]
            fee_atoms, fee_asset, kind, trigger_ticks, reason, created_us = row[8:]
            if (client_order_id, trade_id) in without:
                continue
            instrument = instruments[Symbol(symbol)]
            terms = OrderTerms(
                symbol=Symbol(symbol),
                side=Side(side),
                type=OrderType(kind),
                lots=lots,
                price_ticks=price_ticks if OrderType(kind) in PRICED else None,
                trigger_ticks=trigger_ticks,
            )
            notional_atoms = instrument.notional_atoms(lots, price_ticks)
            reference = reference_ticks(terms, created_us, instrument, closes)
            worse_atoms = 0 if reference is None else notional_atoms - instrument.notional_atoms(lots, reference)
            yield TradeRecord(
                market_us=market_us,
                symbol=terms.symbol,
                side=terms.side,
                price_ticks=price_ticks,
                lots=lots,
                notional_atoms=notional_atoms,
                fee_atoms=int(fee_atoms),
                fee_asset=fee_asset,
                liquidity=Liquidity.MAKER if terms.type in PRICED else Liquidity.TAKER,
                origin=Origin.GATEWAY if number.startswith(GATEWAY_MARK) else Origin.BOT,
                reason=Reason(reason),
                slippage_atoms=terms.side.sign * worse_atoms,
            )

    def denials(self, *, without: Collection[str]) -> Iterator[Reason]:
        """Yield the reason of each denied order, but for these."""
        for client_order_id, reason in self._session.read(_DENIED, self._parameters):
            if client_order_id not in without:
                yield Reason(reason)
