"""The gateway's books and the simulator, together: equal to the last atom, however many parts an order fills in."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.exchange.gateway.scenes import BTC, START_US, A, B, bot_config, gateway_config, limits
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.ids import AccountId, BotKey, ClientOrderId, bot_order_id, uid_hash
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM
from tradefleet.domain.orders import AmendRequest, BotRequest, OrderRequest, OrderTerms, OrderType, Side
from tradefleet.domain.venue import DepositFunds, SubmitOrder, VenueReport, VenueRequest
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.order import ManagedOrder
from workloads.exchange.gateway.risk import SLACK_ATOMS
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue.venue import Venue

MARK = 100  # ticks
WORST = 105  # where the collar of 5 % puts the worst price of a market buy
MAKER = AccountId("default/sim:maker")  # the other side of trades in the venue's own book
TICK = Decimal("0.01")
COARSE = Instrument(symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.01"), quote_scale=6)
ROUGH = Instrument(symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.00007"), quote_scale=6)
# A lot at the mark is worth 0.7 and 0.007 quote atoms: most of what a fill costs is its rounding.
FINE = Instrument(symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.00007"), quote_scale=4)
FINEST = Instrument(symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.00007"), quote_scale=2)
INSTRUMENTS = {"coarse": COARSE, "rough": ROUGH, "fine": FINE, "finest": FINEST}


class Exchange:
    """One account of two bots with its venue; what the gateway asks for waits until `flow`."""

    def __init__(
        self, instrument: Instrument, market: Market, *, maker_ppm: int, taker_ppm: int, wallets: Sequence[int]
    ) -> None:
        self.instrument = instrument
        self.gateway = Gateway(
            gateway_config(
                instruments={BTC: instrument}, finest_us={BTC: MINUTE_US}, maker_ppm=maker_ppm, taker_ppm=taker_ppm
            )
        )
        self.venue = Venue(
            VenueConfig(
                instruments=(instrument,),
                maker_ppm=maker_ppm,
                taker_ppm=taker_ppm,
                participation_ppm=PPM if market is Market.REPLAY else None,
                market=market,
                intervals_us={BTC: (MINUTE_US,)},
            )
        )
        self.is_book = market is Market.BOOK
        self.market_us = START_US
        self.sent: list[VenueRequest] = []
        self.offers = 0
        self.bots = {
            key: bot_config(key, wallet={"USD": atoms}, limits=limits())
            for key, atoms in zip((A, B), wallets, strict=False)
        }
        if self.is_book:
            self._offer(DepositFunds(no=1, reference="maker", asset="BTC", atoms=10**18, market_us=START_US))
        for config in self.bots.values():
            self.gateway.on_command(BotCommand(config=config), self.market_us)
            self.flow()
        self.bar(MARK, 0)

    # --- what happens ---------------------------------------------------------------------------------------------

    def flow(self) -> None:
        """Let everything that was asked for reach the venue, and what it answers the gateway."""
        self._take()
        while self.sent:
            sent, self.sent = self.sent, []
            self._reports(self.venue.on_requests(self.gateway.config.account, self.market_us, sent))
            self._take()

    def bar(self, ticks: int, lots: int) -> None:
        """Let the market trade `lots` at a price: a bar in a replayed market, an offer in the venue's own book."""
        if self.is_book and lots:
            terms = OrderTerms(symbol=BTC, side=Side.SELL, type=OrderType.LIMIT, lots=lots, price_ticks=ticks)
            order_id = bot_order_id(uid_hash(BotKey("maker")), self.offers)  # type: ignore[arg-type] # any text serves
            self._offer(
                SubmitOrder(no=self.offers + 1, client_order_id=order_id, terms=terms, market_us=self.market_us)
            )
        self.market_us += MINUTE_US
        price, volume = float(ticks * TICK), float(lots * self.instrument.lot) * (1 + 1e-12)
        bar = Bar(BTC, MINUTE_US, self.market_us - MINUTE_US, price, price, price, price, volume)
        self._reports(self.venue.on_bars(self.market_us, [bar]))
        self.gateway.on_bars(self.market_us, [bar])
        self._take()

    def _offer(self, request: VenueRequest) -> None:
        self.offers += 1
        self._reports(self.venue.on_requests(MAKER, self.market_us, [request]))

    def _reports(self, outputs: Sequence[tuple[AccountId, VenueReport]]) -> None:
        self.gateway.on_reports([report for account, report in outputs if account == self.gateway.config.account])

    def _take(self) -> None:
        effects = self.gateway.take()
        assert effects.dead_letters == []
        self.sent += effects.venue_requests

    def order(self, bot: BotKey, side: Side, lots: int, price_ticks: int | None) -> None:
        """Ask for a limit order, or for one at the market."""
        kind = OrderType.MARKET if price_ticks is None else OrderType.LIMIT
        terms = OrderTerms(symbol=BTC, side=side, type=kind, lots=lots, price_ticks=price_ticks)
        seq = self.gateway.accounts[bot].request_seq + 1
        order_id = bot_order_id(uid_hash(self.bots[bot].uid), seq)
        self._ask(OrderRequest(bot=bot, seq=seq, client_order_id=order_id, terms=terms, market_us=self.market_us))

    def amend(self, bot: BotKey, order_id: ClientOrderId, lots: int, price_ticks: int) -> None:
        """Ask for a change of an order."""
        seq = self.gateway.accounts[bot].request_seq + 1
        self._ask(
            AmendRequest(
                bot=bot,
                seq=seq,
                client_order_id=order_id,
                symbol=BTC,
                market_us=self.market_us,
                lots=lots,
                price_ticks=price_ticks,
            )
        )

    def _ask(self, request: BotRequest) -> None:
        self.gateway.on_requests([request], self.market_us)
        self._take()

    def oldest(self, bot: BotKey) -> ManagedOrder | None:
        """Return a bot's oldest open order."""
        return next(iter(self.gateway.accounts[bot].orders.values()), None)

    def payable_lots(self, bot: BotKey, ticks: int) -> int:
        """Return about as many lots as a bot can still reserve at a price."""
        free = self.gateway.accounts[bot].wallet.free.get("USD", 0)
        fee_ppm = self.gateway.config.fee_ppm_max
        return max(
            1, self.instrument.affordable_lots(max(0, free - SLACK_ATOMS - 2) * PPM // (PPM + fee_ppm), ticks) - 1
        )

    # --- what has to hold -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare the books with the venue. That no wallet falls below zero is seen to by the wallets."""
        books: Counter[str] = Counter()
        for account in self.gateway.accounts.values():
            assert account.closures == {}
            books.update(account.wallet.free)
            books.update(account.wallet.locked)
            reserved = sum(order.reserved_atoms for order in account.orders.values() if order.terms.side is Side.BUY)
            assert account.wallet.locked.get("USD", 0) == reserved
        there = {asset: sum(parts) for asset, parts in self.venue.balances(self.gateway.config.account).items()}
        assert {asset: atoms for asset, atoms in books.items() if atoms} == {
            asset: atoms for asset, atoms in there.items() if atoms
        }
        assert self.venue.accounts.imbalance() == {}


def needed_atoms(instrument: Instrument, lots: int, taker_ppm: int) -> int:
    """Return what a market buy of so many lots makes the gateway reserve."""
    trial = Exchange(instrument, Market.REPLAY, maker_ppm=taker_ppm, taker_ppm=taker_ppm, wallets=[10**12])
    trial.order(A, Side.BUY, lots, None)
    return trial.gateway.accounts[A].wallet.locked["USD"]


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize("name", INSTRUMENTS)
@pytest.mark.parametrize("part", [1, 3])
def test_a_market_buy_in_hundreds_of_parts_at_its_worst_price_costs_no_more_than_it_reserved(
    name: str, market: Market, part: int
) -> None:
    instrument, lots = INSTRUMENTS[name], 600
    needed = needed_atoms(instrument, lots, 1_000)
    exchange = Exchange(instrument, market, maker_ppm=1_000, taker_ppm=1_000, wallets=[needed, 10**6])
    if market is Market.BOOK:
        for _ in range(lots // part):
            exchange.bar(WORST, part)
        exchange.bar(MARK, 0)
    exchange.order(A, Side.BUY, lots, None)
    exchange.flow()
    if market is Market.REPLAY:
        for _ in range(lots // part):
            exchange.bar(WORST, part)
            exchange.check()

    account = exchange.gateway.accounts[A]
    assert (account.positions[BTC].lots, account.fill_count) == (lots, lots // part)
    exchange.check()


def test_what_the_venue_gives_back_of_a_fill_stays_with_its_order() -> None:
    lots = 600  # each costs 1 atom after rounding, and is worth 0.735
    needed = needed_atoms(FINE, lots, 1_000)
    exchange = Exchange(FINE, Market.REPLAY, maker_ppm=1_000, taker_ppm=1_000, wallets=[needed, 10**6])
    exchange.order(A, Side.BUY, lots, None)
    exchange.flow()
    for filled in range(1, lots + 1):
        exchange.bar(WORST, 1)
        if filled == 400:
            exchange.order(A, Side.BUY, exchange.payable_lots(A, 1), 1)  # whatever is free by then
            exchange.flow()
        exchange.check()
    assert exchange.gateway.accounts[A].positions[BTC].lots == lots


def test_a_buy_made_larger_and_cheaper_has_reserved_for_what_fills_before_the_venue_hears_of_it() -> None:
    exchange = Exchange(COARSE, Market.REPLAY, maker_ppm=0, taker_ppm=0, wallets=[150_100, 10**6])
    exchange.order(A, Side.BUY, 10, 100)
    exchange.flow()
    order = exchange.oldest(A)
    assert order is not None
    exchange.amend(A, order.client_order_id, 30, 50)
    exchange.bar(100, 9)
    exchange.flow()
    for _ in range(21):
        exchange.bar(50, 1)
        exchange.check()


BOTS = st.sampled_from([A, B])
TICKS = st.sampled_from([WORST, WORST, WORST, WORST - 1, MARK, 90])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bars"), st.integers(1, 120), st.integers(1, 3), TICKS),
        st.tuples(st.just("bars"), st.integers(1, 120), st.integers(1, 3), TICKS),
        st.tuples(st.just("buy"), BOTS, st.integers(0, 2), st.none() | TICKS),
        st.tuples(st.just("sell"), BOTS, st.integers(1, 300), st.none() | TICKS),
        st.tuples(st.just("amend"), BOTS, st.integers(1, 900), TICKS),
        st.tuples(st.just("flow"), BOTS, st.just(0), st.just(0)),
    ),
    max_size=15,
)


@settings(max_examples=100)
@given(
    steps=STEPS,
    instrument=st.sampled_from(list(INSTRUMENTS.values())),
    market=st.sampled_from(Market),
    maker_ppm=st.sampled_from([-500, 0, 1_000, 100_000]),
    taker_ppm=st.sampled_from([0, 13, 1_000, 100_000]),
    lots=st.integers(1, 150),
)
def test_books_and_venue_agree_to_the_last_atom_and_no_wallet_falls_below_zero(
    steps: list[tuple[Any, ...]], instrument: Instrument, market: Market, maker_ppm: int, taker_ppm: int, lots: int
) -> None:
    wallet = needed_atoms(instrument, lots, max(maker_ppm, taker_ppm))
    exchange = Exchange(instrument, market, maker_ppm=maker_ppm, taker_ppm=taker_ppm, wallets=[wallet, wallet])
    if market is Market.BOOK:
        for _ in range(2 * lots):
            exchange.bar(WORST, 1)
        exchange.bar(MARK, 0)
    for bot in (A, B):
        exchange.order(bot, Side.BUY, lots, None)
    exchange.flow()
    for what, first, second, ticks in steps:
        match what:
            case "bars":
                for _ in range(first):
                    exchange.bar(ticks, second)
                    exchange.check()
            case "buy":
                exchange.order(first, Side.BUY, exchange.payable_lots(first, ticks or WORST) + second, ticks)
                exchange.flow()
            case "sell":
                exchange.order(first, Side.SELL, second, ticks)
                exchange.flow()
            case "amend" if (order := exchange.oldest(first)) is not None:
                exchange.amend(first, order.client_order_id, second, ticks)
            case "flow":
                exchange.flow()
        exchange.check()
    exchange.flow()
    exchange.check()
