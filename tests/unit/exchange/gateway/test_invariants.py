"""Every invariant of design §5, after every step of whatever bots, owners, a market and a venue can do.

A twin that was restored from snapshots at some moment gets the same inputs and has to give the same effects (rule 12).
"""

from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.unit.exchange.gateway.auditor import Auditor, comparable
from tests.unit.exchange.gateway.scenes import (
    ATOMS,
    BTC,
    LTC,
    START_US,
    A,
    B,
    bot_config,
    gateway_config,
    limits,
    restored,
    saved,
    tick_bar,
)
from tradefleet.domain.bar import DAY_US, MINUTE_US
from tradefleet.domain.bots import BotCommand, BotConfig, Closure, DeletionPolicy, RunState
from tradefleet.domain.ids import BotKey, BotUid, ClientOrderId, Symbol, bot_order_id, uid_hash
from tradefleet.domain.money import fee_atoms
from tradefleet.domain.orders import (
    AmendRequest,
    BotRequest,
    CancelRequest,
    OrderRequest,
    OrderTerms,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)
from tradefleet.domain.venue import (
    AmendOrder,
    CancelOrder,
    DepositFunds,
    Liquidity,
    ReportKind,
    SubmitOrder,
    Trade,
    VenueOrder,
    VenueReport,
    VenueRequest,
    VoidRequest,
)
from workloads.exchange.gateway.config import AccountLimits
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.reconciliation import VenueStatement

ENDING_ROUNDS_MAX = 30
BOTS = st.sampled_from([A, B])
SYMBOLS = st.sampled_from([BTC, LTC])
PRICES = st.integers(85, 118)
PPM = st.none() | st.sampled_from([20_000, 100_000, 400_000])

OWNER_WISHES = (
    ["go on"] * 6 + ["reopen"] * 3 + ["skip", "pause", "stop", "flatten", "flatten", "change", "change", "delete"]
)
NONSENSE = "nonsense"  # how the ids of trades begin that no order can have made

LIMITS = st.builds(
    limits,
    max_order_atoms=st.none() | st.just(1_500 * ATOMS),
    max_position_atoms=st.none() | st.just(4_000 * ATOMS),
    max_exposure_ppm=st.none() | st.just(600_000),
    max_open_orders=st.none() | st.just(3),
    max_orders_per_minute=st.none() | st.just(4),
    max_daily_loss_ppm=PPM,
    max_drawdown_ppm=PPM,
    max_data_age_us=st.none() | st.just(10 * MINUTE_US),
    stop_loss_ppm=PPM,
    take_profit_ppm=PPM,
    trailing_stop_ppm=PPM,
)


@dataclass
class Resting:
    """An order at the venue."""

    terms: OrderTerms
    protection_ticks: int | None
    filled_lots: int = 0
    is_triggered: bool = False

    @property
    def open_lots(self) -> int:
        return self.terms.lots - self.filled_lots

    @property
    def can_trade(self) -> bool:
        return self.terms.trigger_ticks is None or self.is_triggered


TERMS = st.builds(
    lambda kind, is_buy, lots, price, trigger, time_in_force: OrderTerms(
        symbol=BTC,
        side=Side.BUY if is_buy else Side.SELL,
        type=kind,
        lots=lots,
        price_ticks=price if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        trigger_ticks=trigger if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=time_in_force,
    ),
    kind=st.sampled_from([*OrderType, OrderType.LIMIT, OrderType.MARKET]),
    is_buy=st.booleans(),
    lots=st.integers(1, 20),
    price=PRICES,
    trigger=PRICES,
    time_in_force=st.sampled_from(TimeInForce),
)


class Fleet(RuleBasedStateMachine):
    """Two bots, their owner, a market and a venue around one gateway."""

    @initialize(
        maker_ppm=st.sampled_from([-100, 0, 1_000]),
        taker_ppm=st.sampled_from([0, 1_000, 2_500]),
        first=LIMITS,
        policy=st.sampled_from(DeletionPolicy),
        shared=st.builds(
            AccountLimits,
            max_order_atoms=st.none() | st.just(2_000 * ATOMS),
            max_position_atoms=st.none() | st.just(5_000 * ATOMS),
            max_open_orders=st.none() | st.just(5),
            max_orders_per_second=st.none() | st.just(3),
        ),
    )
    def begin(self, maker_ppm: int, taker_ppm: int, first: Any, policy: DeletionPolicy, shared: AccountLimits) -> None:
        self.fees = {Liquidity.MAKER: maker_ppm, Liquidity.TAKER: taker_ppm}
        config = gateway_config(maker_ppm=maker_ppm, taker_ppm=taker_ppm, limits=shared)
        self.gateway, self.twin = Gateway(config), Gateway(config)
        self.auditor = Auditor()
        self.uids: dict[BotKey, BotUid] = {}
        self.market_us = START_US
        self.ids: list[ClientOrderId] = [ClientOrderId("NOBODY0000000123")]
        self.requests: list[BotRequest] = []
        self.unsent: list[VenueRequest] = []
        self.sent: deque[VenueRequest] = deque()
        self.resting: dict[ClientOrderId, Resting] = {}
        self.trades: dict[ClientOrderId, list[Trade]] = {}
        self.reports: list[VenueReport] = []
        self.report_no = self.delivered = self.trade_no = 0
        self.money: Counter[str] = Counter()  # at the venue
        self.wishes = {
            A: BotCommand(
                config=bot_config(
                    A, symbols=(BTC, LTC), wallet={"USD": 9_000 * ATOMS}, limits=first, deletion_policy=policy
                )
            ),
            B: BotCommand(config=bot_config(B, wallet={"USD": 4_000 * ATOMS}, deletion_policy=DeletionPolicy.FLATTEN)),
        }
        for key in self.wishes:
            self.command(key)
        for symbol in (BTC, LTC):
            self.close_bar(symbol, (100, 100, 100, 100))

    # --- around the gateway ---------------------------------------------------------------------------------------

    def feed(self, method: str, *inputs: Any) -> None:
        """Give an input to the gateway and to its twin, and check what comes of it."""
        for gateway in (self.gateway, self.twin):
            getattr(gateway, method)(*inputs)
        effects, same = self.gateway.take(), self.twin.take()
        assert comparable(effects) == comparable(same)
        for message, _ in effects.dead_letters:
            assert isinstance(message, VenueReport), "a request was put aside"
            assert message.trade is not None
            assert message.trade.trade_id.startswith(NONSENSE)
        for key, uid in self.uids.items():
            if uid in effects.gone:
                self.auditor.forget(key)
        self.uids = {key: account.config.uid for key, account in self.gateway.accounts.items()}
        self.auditor.check(self.gateway, effects)
        for request in effects.venue_requests:
            places = [place for place, waiting in enumerate(self.unsent) if waiting.no == request.no]
            if places:
                assert isinstance(request, VoidRequest)
                self.unsent[places[0]] = request
            else:
                self.unsent.append(request)
            if isinstance(request, SubmitOrder):
                self.ids.append(request.client_order_id)

    @rule()
    def restart(self) -> None:
        before = saved(self.gateway)
        self.twin = restored(self.gateway)
        assert saved(self.twin) == before
        assert list(self.twin.orders) == list(self.gateway.orders)
        for key, account in self.gateway.accounts.items():
            assert list(self.twin.accounts[key].orders) == list(account.orders)

    @rule(us=st.sampled_from([1, 400_000, 30_000_000, 10 * MINUTE_US, DAY_US]))
    def wait(self, us: int) -> None:
        self.market_us += us

    # --- owner ----------------------------------------------------------------------------------------------------

    def command(self, key: BotKey) -> None:
        self.feed("on_command", self.wishes[key], self.market_us)

    def wish(self, key: BotKey, **changes: Any) -> None:
        self.wishes[key] = replace(self.wishes[key], **changes)
        self.command(key)

    @rule(key=BOTS, wish=st.sampled_from(OWNER_WISHES), limit=LIMITS, policy=st.sampled_from(DeletionPolicy))
    def want(self, key: BotKey, wish: str, limit: Any, policy: DeletionPolicy) -> None:
        """Let an owner want something; mostly that a bot goes on."""
        now = self.wishes[key]
        match wish:
            case "go on":
                self.wish(key, state=RunState.RUNNING)
            case "pause":
                self.wish(key, state=RunState.PAUSED)
            case "stop":
                self.wish(key, state=RunState.STOPPED)
            case "flatten":
                self.wish(key, flatten_no=now.flatten_no + 1)
            case "reopen":
                self.wish(key, reopen_no=now.reopen_no + 1)
            case "skip":
                self.wish(key, skip_seq=self.gateway.accounts[key].unreadable_seq)
            case "change":
                config = replace(now.config, generation=now.config.generation + 1, limits=limit, deletion_policy=policy)
                self.wish(key, config=config)
            case "delete":
                self.wish(key, deleting=True)

    @rule(key=BOTS)
    @precondition(lambda self: any(self.is_gone(key) for key in self.wishes))
    def create_again(self, key: BotKey) -> None:
        """Create a deleted bot again under its name; until its predecessor has ended, the wish is repeated."""
        if self.is_gone(key):
            config: BotConfig = self.wishes[key].config
            if self.account_uid(key) == config.uid:
                config = replace(config, uid=BotUid(f"{config.uid}+"), generation=1)
            self.wish(key, config=config, deleting=False, state=RunState.RUNNING)

    def is_gone(self, key: BotKey) -> bool:
        return self.wishes[key].deleting or self.account_uid(key) != self.wishes[key].config.uid

    def account_uid(self, key: BotKey) -> BotUid:
        return self.gateway.accounts[key].config.uid

    @rule(scopes=st.sampled_from([*([()] * 6), ("fleet",), ("bot/default/a",), ("account/default/sim:main",)]))
    def halt(self, scopes: tuple[str, ...]) -> None:
        """Set the switches that are on; mostly none."""
        self.feed("on_halts", scopes, self.market_us)

    # --- market ---------------------------------------------------------------------------------------------------

    @rule(symbol=SYMBOLS, prices=st.tuples(PRICES, PRICES, PRICES, PRICES))
    def close_bar(self, symbol: Any, prices: tuple[int, int, int, int]) -> None:
        self.market_us += MINUTE_US
        bar = tick_bar(
            prices[0], max(prices), min(prices), prices[1], open_us=self.market_us - MINUTE_US, symbol=symbol
        )
        self.feed("on_bars", self.market_us, [bar])

    # --- bots -----------------------------------------------------------------------------------------------------

    def ask(self, key: BotKey, make: Any, refuse: Reason = Reason.NONE) -> None:
        account = self.gateway.accounts[key]
        if account.config.uid != self.wishes[key].config.uid:
            return  # a namesake that has not been opened has no process either
        if account.unreadable_seq:
            return  # the edge reads nothing more of it
        seq = account.request_seq + 1
        request = make(seq, uid_hash(account.config.uid))
        self.requests = [*self.requests, request][-5:]
        for gateway in (self.gateway, self.twin):
            gateway.on_requests([request], self.market_us, refuse=refuse)
        self.feed("on_requests", [request], self.market_us)  # once more: it is skipped, and what it caused is taken

    @rule(key=BOTS, symbol=SYMBOLS, terms=TERMS, refuse=st.sampled_from([Reason.NONE] * 9 + [Reason.TOO_MANY_ROUNDS]))
    def order(self, key: BotKey, symbol: Symbol, terms: OrderTerms, refuse: Reason) -> None:
        self.ask_order(key, symbol, terms, refuse)

    @rule(key=BOTS, symbol=SYMBOLS, terms=TERMS)
    def trade_through(self, key: BotKey, symbol: Symbol, terms: OrderTerms) -> None:
        """Ask for an order and let it trade."""
        self.ask_order(key, symbol, terms, Reason.NONE)
        self.send(len(self.unsent))
        self.take_requests(len(self.sent), is_kind=True)
        for order_id, resting in list(self.resting.items())[-1:]:
            price = resting.terms.price_ticks or resting.protection_ticks or 100
            resting.is_triggered = True
            self.match(order_id, resting.open_lots, price, Liquidity.TAKER, 0)
        self.deliver(len(self.reports), 0)

    def ask_order(self, key: BotKey, symbol: Symbol, terms: OrderTerms, refuse: Reason) -> None:
        """Ask for an order that can mostly be accepted: no sell without a position."""
        positions = self.gateway.accounts[key].positions
        symbol = symbol if symbol in positions else BTC
        held = positions[symbol].lots
        side = terms.side if held else Side.BUY
        lots = terms.lots if side is Side.BUY else min(terms.lots, held)

        def make(seq: int, prefix: str) -> BotRequest:
            order_id = bot_order_id(prefix, seq)
            wanted = replace(terms, symbol=symbol, side=side, lots=lots)
            return OrderRequest(bot=key, seq=seq, client_order_id=order_id, terms=wanted, market_us=self.market_us)

        self.ask(key, make, refuse)

    @rule(key=BOTS, data=st.data())
    def cancel(self, key: BotKey, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(self.ids[-4:] + list(self.gateway.accounts[key].orders)))
        self.ask(
            key,
            lambda seq, _: CancelRequest(bot=key, seq=seq, client_order_id=order_id, market_us=self.market_us),
        )

    @rule(key=BOTS, lots=st.none() | st.integers(0, 30), price=st.none() | PRICES, data=st.data())
    @precondition(lambda self: self.gateway.orders)
    def amend(self, key: BotKey, lots: int | None, price: int | None, data: st.DataObject) -> None:
        own = self.gateway.accounts[key].orders.values()
        limited = [order.client_order_id for order in own if order.terms.type is OrderType.LIMIT]
        order_id = data.draw(st.sampled_from(limited or self.ids[-1:]))
        self.ask(
            key,
            lambda seq, _: AmendRequest(
                bot=key,
                seq=seq,
                client_order_id=order_id,
                symbol=BTC,
                market_us=self.market_us,
                lots=lots,
                price_ticks=price,
            ),
        )

    @rule(key=BOTS, is_bad=st.sampled_from([False, False, True]))
    def cannot_read(self, key: BotKey, is_bad: bool) -> None:
        account = self.gateway.accounts[key]
        if is_bad and not account.unreadable_seq:
            self.feed("on_unreadable", key, account.request_seq + 1, "cannot be read")

    @rule()
    def repeat_requests(self) -> None:
        seen = [request for request in self.requests if request.seq <= self.gateway.accounts[request.bot].request_seq]
        before = saved(self.gateway)
        self.feed("on_requests", seen, 0)
        assert saved(self.gateway) == before

    # --- the way to the venue -------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def send(self, count: int) -> None:
        """Send committed requests. What a halt stops is taken back first, as the edge does."""
        stopped = [
            request
            for request in self.unsent
            if (bot := self.gateway.risk_of(request)) is not None and self.gateway.is_halted(bot)
        ]
        if stopped:
            self.feed("on_unsent", stopped, self.market_us)
        for request in self.unsent[:count]:
            bot = self.gateway.risk_of(request)
            assert bot is None or not self.gateway.is_halted(bot), "risk was sent under a halt"
        self.sent.extend(self.unsent[:count])
        del self.unsent[:count]

    @rule()
    def flow(self) -> None:
        """Let everything reach the other side."""
        self.send(len(self.unsent))
        self.take_requests(len(self.sent), is_kind=True)
        self.deliver(len(self.reports), 0)

    # --- venue ----------------------------------------------------------------------------------------------------

    def report(self, kind: ReportKind, order_id: ClientOrderId, **details: Any) -> None:
        self.report_no += 1
        self.reports.append(
            VenueReport(no=self.report_no, kind=kind, client_order_id=order_id, market_us=self.market_us, **details)
        )

    @rule(count=st.integers(1, 4), is_kind=st.sampled_from([True, True, True, False]))
    def take_requests(self, count: int, is_kind: bool) -> None:
        """Apply requests. A venue that is not kind refuses what it may refuse."""
        for _ in range(min(count, len(self.sent))):
            self.take_request(self.sent.popleft(), is_kind)

    def take_request(self, request: VenueRequest, is_kind: bool) -> None:
        match request:
            case SubmitOrder():
                if not is_kind:
                    self.report(ReportKind.REJECTED, request.client_order_id, reason=Reason.VENUE_REJECTED)
                    return
                self.resting[request.client_order_id] = Resting(request.terms, request.protection_ticks)
                self.report(ReportKind.ACCEPTED, request.client_order_id)
            case CancelOrder():
                order = self.resting.get(request.client_order_id)
                if order is not None and is_kind:
                    del self.resting[request.client_order_id]
                    self.report(ReportKind.CANCELED, request.client_order_id, reason=Reason.USER_CANCEL)
                else:
                    self.report(ReportKind.CANCEL_REJECTED, request.client_order_id, reason=Reason.VENUE_REJECTED)
            case AmendOrder():
                self.take_amendment(request, is_kind)
            case DepositFunds():
                self.money[request.asset] += request.atoms
                self.report(ReportKind.DEPOSITED, ClientOrderId(request.reference))
            case VoidRequest():
                pass

    def take_amendment(self, request: AmendOrder, is_kind: bool) -> None:
        order = self.resting.get(request.client_order_id)
        lots = request.lots if request.lots is not None or order is None else order.terms.lots
        if order is None or not is_kind or (lots is not None and lots <= order.filled_lots):
            self.report(ReportKind.AMEND_REJECTED, request.client_order_id, reason=Reason.VENUE_REJECTED)
            return
        price = order.terms.price_ticks if request.price_ticks is None else request.price_ticks
        order.terms = replace(order.terms, lots=lots, price_ticks=price)
        self.report(ReportKind.AMENDED, request.client_order_id, lots=lots, price_ticks=price)

    @rule(data=st.data())
    @precondition(lambda self: self.resting)
    def trade(self, data: st.DataObject) -> None:
        """Let an order trade at any price it allows, with a fee that may be taken in the base asset."""
        order_id = data.draw(st.sampled_from(list(self.resting)))
        order = self.resting[order_id]
        if not order.can_trade:
            order.is_triggered = True
            self.report(ReportKind.TRIGGERED, order_id)
            return
        worst = order.terms.price_ticks if order.terms.price_ticks is not None else order.protection_ticks
        is_buy = order.terms.side is Side.BUY
        assert worst is not None or not is_buy, "a buy without any limit was sent"
        price = data.draw(st.integers(1, worst)) if is_buy else data.draw(st.integers(worst or 1, 300))
        if data.draw(st.booleans()) and worst is not None:
            price = worst
        lots = data.draw(st.integers(1, order.open_lots) | st.just(order.open_lots))
        self.match(order_id, lots, price, data.draw(st.sampled_from(Liquidity)), data.draw(st.sampled_from([0, 0, 3])))

    def match(self, order_id: ClientOrderId, lots: int, price: int, liquidity: Liquidity, base_fee: int) -> None:
        order = self.resting[order_id]
        instrument = self.gateway.config.instruments[order.terms.symbol]
        fee, asset = fee_atoms(instrument.notional_atoms(lots, price), self.fees[liquidity]), "USD"
        if base_fee and order.terms.side is Side.BUY:
            fee, asset = base_fee, instrument.base
        self.trade_no += 1
        trade = Trade(
            trade_id=f"t{self.trade_no}",
            lots=lots,
            price_ticks=price,
            fee_atoms=fee,
            fee_asset=asset,
            liquidity=liquidity,
        )
        self.trades.setdefault(order_id, []).append(trade)
        sign = order.terms.side.sign
        self.money[instrument.base] += sign * instrument.base_atoms(lots)
        self.money[instrument.quote] -= sign * instrument.notional_atoms(lots, price)
        self.money[asset] -= fee
        self.report(ReportKind.FILLED, order_id, trade=trade)
        order.filled_lots += lots
        if not order.open_lots:
            del self.resting[order_id]

    @rule(data=st.data())
    @precondition(lambda self: any(order_id in self.resting for order_id in self.trades))
    def tell_a_trade_again(self, data: st.DataObject) -> None:
        """Report a trade of an open order a second time, under a new number."""
        order_id = data.draw(st.sampled_from([order_id for order_id in self.trades if order_id in self.resting]))
        self.report(ReportKind.FILLED, order_id, trade=data.draw(st.sampled_from(self.trades[order_id])))

    @rule(data=st.data(), is_bad=st.sampled_from([False, False, True]))
    @precondition(lambda self: self.resting)
    def tell_nonsense(self, data: st.DataObject, is_bad: bool) -> None:
        """Report a trade of more lots than the order has."""
        order_id = data.draw(st.sampled_from(list(self.resting)))
        if is_bad:
            self.trade_no += 1
            trade = Trade(
                trade_id=f"{NONSENSE}{self.trade_no}",
                lots=self.resting[order_id].terms.lots + 1,
                price_ticks=100,
                fee_atoms=0,
                fee_asset="USD",
                liquidity=Liquidity.TAKER,
            )
            self.report(ReportKind.FILLED, order_id, trade=trade)

    @rule(data=st.data())
    @precondition(lambda self: self.resting)
    def end_order(self, data: st.DataObject) -> None:
        """Let an order expire, or be canceled by the venue of its own accord."""
        order_id = data.draw(st.sampled_from(list(self.resting)))
        del self.resting[order_id]
        kind = data.draw(st.sampled_from([ReportKind.EXPIRED, ReportKind.CANCELED]))
        self.report(kind, order_id, reason=Reason.NO_LIQUIDITY)

    @rule(count=st.integers(1, 6), again=st.integers(0, 3))
    def deliver(self, count: int, again: int) -> None:
        """Bring reports, some of them for the second time."""
        first = max(0, self.delivered - again)
        self.delivered = min(len(self.reports), self.delivered + count)
        self.feed("on_reports", self.reports[first : self.delivered])

    @rule()
    def look(self) -> None:
        """Compare the books with the venue: whatever happened, they agree, and a bot in doubt goes on."""
        self.deliver(len(self.reports), 0)
        orders = [
            VenueOrder(
                account=self.gateway.config.account,
                client_order_id=order_id,
                symbol=order.terms.symbol,
                side=order.terms.side,
                lots=order.terms.lots,
                filled_lots=order.filled_lots,
                price_ticks=order.terms.price_ticks,
            )
            for order_id, order in self.resting.items()
        ]
        statement = VenueStatement(
            report_no=self.report_no,
            open_orders=tuple(orders),
            answers={},
            balances={asset: (atoms, 0) for asset, atoms in self.money.items()},
            taken_us=self.market_us,
        )
        self.feed("on_statement", statement)
        own = self.gateway.own_snapshot()
        assert (own["doubts"], own["mismatch"]) == (0, "")
        if not own["deposits"]:
            assert not any(Closure.REPORT in account.closures for account in self.gateway.accounts.values())

    # --- the end --------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Delete the bots: with a venue that answers and a market that moves on, nothing of them stays open."""
        if not hasattr(self, "gateway"):
            return
        self.halt(())
        for key, wish in list(self.wishes.items()):
            if self.account_uid(key) == wish.config.uid:
                self.wish(key, deleting=True)
        kept = {key for key in self.wishes if self._keeps(key)}
        for _ in range(ENDING_ROUNDS_MAX):
            self.send(len(self.unsent))
            self.take_requests(len(self.sent), is_kind=True)
            for order_id, order in list(self.resting.items()):
                if "G" in order_id[13:]:
                    self.match(order_id, order.open_lots, 100, Liquidity.TAKER, 0)
            self.deliver(len(self.reports), 0)
            for symbol in (BTC, LTC):
                self.close_bar(symbol, (100, 100, 100, 100))
        for key, account in self.gateway.accounts.items():
            if key not in kept:
                assert account.is_settled, f"{key}: {list(account.orders)}, {account.exits}"
                assert not any(value for value in account.wallet.locked.values())
                assert not any(self.gateway.orders.get(order_id) for order_id in account.orders)
        owners = {account.prefix for key, account in self.gateway.accounts.items() if key not in kept}
        assert not [order_id for order_id in self.resting if order_id[:13] in owners], "a deleted bot has open orders"

    def _keeps(self, key: BotKey) -> bool:
        return self.gateway.accounts[key].config.deletion_policy is DeletionPolicy.KEEP


Fleet.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestFleet = Fleet.TestCase
