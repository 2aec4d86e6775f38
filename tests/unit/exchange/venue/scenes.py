"""Builders for the venue's tests: instruments, bars from ticks, and a player that numbers its requests."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.ids import AccountId, BotUid, ClientOrderId, Symbol, bot_order_id, uid_hash
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import OrderTerms, OrderType, Reason, Side, TimeInForce
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    Liquidity,
    ReportKind,
    SubmitOrder,
    VenueReport,
    VenueRequest,
)
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue.venue import Venue

BTC = Symbol("BTC-USD")
LTC = Symbol("LTC-USD")
TICK = Decimal("0.01")
# One lot at one tick is 10,000 quote atoms, so money of examples can be checked by eye.
INSTRUMENT = Instrument(symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.01"))
# One lot at one tick is 0.07 quote atoms: everything about it has to be rounded.
ROUGH = Instrument(symbol=LTC, base="LTC", quote="EUR", tick=TICK, lot=Decimal("0.00007"), quote_scale=5)
ATOMS = 10_000  # quote atoms of a lot of INSTRUMENT at one tick
RICH = 10**15

ALICE = AccountId("fleet/simulator:alice")
BOB = AccountId("fleet/simulator:bob")
PREFIXES = {name: uid_hash(BotUid(name)) for name in ("a", "b", "c", "d")}


def order_id(number: int, bot: str = "a") -> ClientOrderId:
    """Return the id of a bot's order."""
    return bot_order_id(PREFIXES[bot], number)


def config(**changes: Any) -> VenueConfig:
    """Return the plain configuration with some fields changed."""
    return VenueConfig(**{"instruments": (INSTRUMENT,), **changes})


def book_config(**changes: Any) -> VenueConfig:
    """Return the same for the venue's own book."""
    return config(market=Market.BOOK, **changes)


def terms(side: Side, lots: int, price_ticks: int | None = None, **changes: Any) -> OrderTerms:
    """Return terms whose type follows from the prices given."""
    trigger_ticks = changes.get("trigger_ticks")
    if trigger_ticks is None:
        kind = OrderType.MARKET if price_ticks is None else OrderType.LIMIT
    else:
        kind = OrderType.STOP if price_ticks is None else OrderType.STOP_LIMIT
    symbol = changes.pop("symbol", BTC)
    return OrderTerms(symbol=symbol, side=side, type=kind, lots=lots, price_ticks=price_ticks, **changes)


def buy(lots: int, price_ticks: int | None = None, **changes: Any) -> OrderTerms:
    return terms(Side.BUY, lots, price_ticks, **changes)


def sell(lots: int, price_ticks: int | None = None, **changes: Any) -> OrderTerms:
    return terms(Side.SELL, lots, price_ticks, **changes)


IOC = TimeInForce.IOC
FOK = TimeInForce.FOK


def tick_bar(number: int, prices: tuple[int, int, int, int], volume: float = 1_000.0, **changes: Any) -> Bar:
    """Return minute bar `number`, its open, high, low and close in ticks."""
    first, high, low, last = (float(price * TICK) for price in prices)
    bar = Bar(BTC, MINUTE_US, number * MINUTE_US, first, high, low, last, volume)
    return bar._replace(**changes)


class Player:
    """A venue with a gateway for each account, which numbers requests and remembers the reports that came out."""

    def __init__(self, venue_config: VenueConfig) -> None:
        self.venue = Venue(venue_config)
        self.market_us = 0
        self.bar_count = 0
        self.last_no: dict[AccountId, int] = {}
        self.heard: list[tuple[AccountId, VenueReport]] = []

    def send(self, request: Any, account: AccountId = ALICE, **fields: Any) -> list[VenueReport]:
        """Send a request of the class `request` with the next number."""
        self.last_no[account] = self.last_no.get(account, 0) + 1
        made: VenueRequest = request(no=self.last_no[account], market_us=self.market_us, **fields)
        return self._hear(self.venue.on_requests(account, self.market_us, [made]))

    def fund(self, account: AccountId = ALICE, **atoms: int) -> "Player":
        """Deposit atoms of assets."""
        for asset, amount in atoms.items():
            reference = f"{asset}{self.last_no.get(account, 0)}"
            self.send(DepositFunds, account, reference=reference, asset=asset, atoms=amount)
        return self

    def submit(
        self, client_order_id: ClientOrderId, order: OrderTerms, account: AccountId = ALICE
    ) -> list[VenueReport]:
        return self.send(SubmitOrder, account, client_order_id=client_order_id, terms=order)

    def cancel(self, client_order_id: ClientOrderId, account: AccountId = ALICE) -> list[VenueReport]:
        return self.send(CancelOrder, account, client_order_id=client_order_id)

    def amend(self, client_order_id: ClientOrderId, account: AccountId = ALICE, **fields: Any) -> list[VenueReport]:
        return self.send(AmendOrder, account, client_order_id=client_order_id, **fields)

    def bar(self, *prices: int, volume: float = 1_000.0) -> list[VenueReport]:
        """Close the next minute bar: open, high, low, close in ticks."""
        self.bar_count += 1
        bar = tick_bar(self.bar_count, (prices[0], prices[1], prices[2], prices[3]), volume)
        return self.close(bar)

    def close(self, *bars: Bar) -> list[VenueReport]:
        """Apply bars that close together."""
        self.market_us = bars[0].close_us
        return self._hear(self.venue.on_bars(self.market_us, list(bars)))

    def _hear(self, outputs: list[tuple[AccountId, VenueReport]]) -> list[VenueReport]:
        self.heard += outputs
        return [report for _, report in outputs]


def brief(reports: Iterable[VenueReport]) -> list[tuple[Any, ...]]:
    """Return what reports say in short: kind, then lots, price and liquidity of a trade, or the reason."""
    lines: list[tuple[Any, ...]] = []
    for report in reports:
        if report.trade is not None:
            trade = report.trade
            lines.append((report.kind, trade.lots, trade.price_ticks, trade.liquidity))
        elif report.reason is not Reason.NONE:
            lines.append((report.kind, report.reason))
        else:
            lines.append((report.kind,))
    return lines


def filled(lots: int, price_ticks: int, liquidity: Liquidity) -> tuple[Any, ...]:
    return (ReportKind.FILLED, lots, price_ticks, liquidity)


def expired(reason: Reason) -> tuple[Any, ...]:
    return (ReportKind.EXPIRED, reason)


TRIGGERED = (ReportKind.TRIGGERED,)
ACCEPTED = (ReportKind.ACCEPTED,)
TAKER = Liquidity.TAKER
MAKER = Liquidity.MAKER
