"""Builders for the gateway's tests: instruments, bots, and a player that numbers what it says and checks what comes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tests.unit.exchange.gateway.auditor import Auditor
from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotCommand, BotConfig, RiskLimits
from tradefleet.domain.executions import Execution
from tradefleet.domain.ids import AccountId, BotKey, BotUid, ClientOrderId, Symbol, bot_order_id, uid_hash
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import AmendRequest, CancelRequest, OrderRequest, OrderTerms, OrderType, Reason, Side
from tradefleet.domain.venue import DepositFunds, Liquidity, ReportKind, SubmitOrder, Trade, VenueReport, VenueRequest
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.machine import Gateway
from workloads.exchange.gateway.order import ManagedOrder

BTC, LTC = Symbol("BTC-USD"), Symbol("LTC-USD")
TICK = Decimal("0.01")
# One lot at one tick is 100 quote atoms, so money of examples can be checked by eye.
BTC_USD = Instrument(symbol=BTC, base="BTC", quote="USD", tick=TICK, lot=Decimal("0.01"), quote_scale=6)
# One lot at one tick is 0.7 quote atoms: everything about it has to be rounded.
LTC_USD = Instrument(symbol=LTC, base="LTC", quote="USD", tick=TICK, lot=Decimal("0.00007"), quote_scale=6)
ATOMS = 100  # quote atoms of a lot of BTC at one tick
START_US = 20_000 * 24 * 60 * MINUTE_US  # a midnight
LOT = 1_000_000  # base atoms of a lot of BTC
RICH = 10**9

A, B = BotKey("default/a"), BotKey("default/b")


def bot_config(key: BotKey = A, **changes: Any) -> BotConfig:
    """Return a bot on BTC with much money and no limit but the collar of 5 %."""
    fields: dict[str, Any] = {
        "key": key,
        "uid": BotUid(f"uid-of-{key}"),
        "generation": 1,
        "strategy": "none",
        "symbols": (BTC,),
        "interval_us": MINUTE_US,
        "wallet": {"USD": RICH},
        "limits": limits(),
    }
    return BotConfig(**{**fields, **changes})


def limits(**changes: Any) -> RiskLimits:
    """Return no limits but the collar, with some changed."""
    none: dict[str, Any] = {"max_open_orders": None, "max_orders_per_minute": None, "max_data_age_us": None}
    return RiskLimits(**{**none, **changes})


def gateway_config(**changes: Any) -> GatewayConfig:
    """Return an exchange without fees, with some fields changed."""
    fields: dict[str, Any] = {
        "account": AccountId("default/sim:main"),
        "instruments": {BTC: BTC_USD, LTC: LTC_USD},
        "finest_us": {BTC: MINUTE_US, LTC: MINUTE_US},
        "maker_ppm": 0,
        "taker_ppm": 0,
    }
    return GatewayConfig(**{**fields, **changes})


def tick_bar(
    opened: int, high: int, low: int, close: int, *, open_us: int, symbol: Symbol = BTC, interval_us: int = MINUTE_US
) -> Bar:
    """Return a bar whose prices are ticks."""
    prices = [float(price * TICK) for price in (opened, high, low, close)]
    return Bar(symbol, interval_us, open_us, *prices, 1.0)


def terms(side: Side, lots: int, price_ticks: int | None = None, **changes: Any) -> OrderTerms:
    """Return terms whose type follows from the prices given."""
    trigger = changes.get("trigger_ticks")
    if trigger is None:
        kind = OrderType.MARKET if price_ticks is None else OrderType.LIMIT
    else:
        kind = OrderType.STOP if price_ticks is None else OrderType.STOP_LIMIT
    return OrderTerms(
        **{"symbol": BTC, "side": side, "type": kind, "lots": lots, "price_ticks": price_ticks, **changes}
    )


class Player:
    """Plays bots and venue to one gateway. What each input caused is in `last`; every invariant is checked."""

    def __init__(self, *bots: BotConfig, is_quiet: bool = False, **config: Any) -> None:
        self.gateway = Gateway(gateway_config(**config))
        self.auditor = Auditor()
        self.configs = {bot.key: bot for bot in bots or (bot_config(),)}
        self.market_us = START_US
        self.last = GatewayEffects()
        self._trades = 0
        for bot in self.configs.values():
            self.command(bot.key)
        if not is_quiet:  # from here on there is a price of 100 ticks, and deposits are confirmed
            for request in list(self.auditor.requests.values()):
                assert isinstance(request, DepositFunds)
                self.report(ReportKind.DEPOSITED, ClientOrderId(request.reference))
            self.bar(100, 100, 100, 100)

    # --- inputs ---------------------------------------------------------------------------------------------------

    def _taken(self) -> GatewayEffects:
        self.last = self.gateway.take()
        self.auditor.check(self.gateway, self.last)
        return self.last

    def command(self, bot: BotKey = A, **changes: Any) -> GatewayEffects:
        """Say what a bot's owner wants; changes of the config are named `config`."""
        self.configs[bot] = replace(self.configs[bot], **changes.pop("config", {}))
        self.gateway.on_command(BotCommand(config=self.configs[bot], **changes), self.market_us)
        return self._taken()

    def halt(self, *scopes: str) -> GatewayEffects:
        """Switch halts on; all others are off."""
        self.gateway.on_halts(scopes, self.market_us)
        return self._taken()

    def unsent(self, *requests: VenueRequest) -> GatewayEffects:
        """Take requests back that a halt stopped."""
        self.gateway.on_unsent(requests, self.market_us)
        return self._taken()

    def bar(
        self, opened: int, high: int, low: int, close: int, *, symbol: Symbol = BTC, interval_us: int = MINUTE_US
    ) -> GatewayEffects:
        """Close a bar of the next minute."""
        self.market_us += MINUTE_US
        open_us = self.market_us - interval_us
        bar = tick_bar(opened, high, low, close, open_us=open_us, symbol=symbol, interval_us=interval_us)
        return self.bars([bar])

    def price(self, ticks: int, symbol: Symbol = BTC) -> GatewayEffects:
        """Close a bar that stands still at a price."""
        return self.bar(ticks, ticks, ticks, ticks, symbol=symbol)

    def bars(self, bars: Sequence[Bar]) -> GatewayEffects:
        """Close some bars at the present market time."""
        self.gateway.on_bars(self.market_us, bars)
        return self._taken()

    def order(
        self, wanted: OrderTerms, bot: BotKey = A, *, refuse: Reason = Reason.NONE, **changes: Any
    ) -> ClientOrderId:
        """Ask for an order with the bot's next number; return its id."""
        seq = self.gateway.accounts[bot].request_seq + 1
        order_id = bot_order_id(uid_hash(self.configs[bot].uid), seq)
        fields: dict[str, Any] = {
            "bot": bot,
            "seq": seq,
            "client_order_id": order_id,
            "terms": wanted,
            "market_us": self.market_us,
        }
        self.request(OrderRequest(**{**fields, **changes}), refuse=refuse)
        return order_id

    def buy(self, lots: int, price_ticks: int | None = None, *, bot: BotKey = A, **changes: Any) -> ClientOrderId:
        """Ask for a buy."""
        return self.order(terms(Side.BUY, lots, price_ticks, **changes), bot)

    def sell(self, lots: int, price_ticks: int | None = None, *, bot: BotKey = A, **changes: Any) -> ClientOrderId:
        """Ask for a sell."""
        return self.order(terms(Side.SELL, lots, price_ticks, **changes), bot)

    def cancel(self, order_id: ClientOrderId, bot: BotKey = A) -> GatewayEffects:
        """Ask to cancel an order."""
        seq = self.gateway.accounts[bot].request_seq + 1
        return self.request(CancelRequest(bot=bot, seq=seq, client_order_id=order_id, market_us=self.market_us))

    def amend(
        self,
        order_id: ClientOrderId,
        *,
        lots: int | None = None,
        price_ticks: int | None = None,
        bot: BotKey = A,
        market_us: int | None = None,
    ) -> GatewayEffects:
        """Ask to change an order, as decided at `market_us`: now, unless told otherwise."""
        seq = self.gateway.accounts[bot].request_seq + 1
        return self.request(
            AmendRequest(
                bot=bot,
                seq=seq,
                client_order_id=order_id,
                symbol=BTC,
                market_us=self.market_us if market_us is None else market_us,
                lots=lots,
                price_ticks=price_ticks,
            )
        )

    def request(
        self, *requests: OrderRequest | CancelRequest | AmendRequest, refuse: Reason = Reason.NONE
    ) -> GatewayEffects:
        """Bring bots' requests as they are."""
        self.gateway.on_requests(requests, self.market_us, refuse=refuse)
        return self._taken()

    def report(self, kind: ReportKind, order_id: ClientOrderId, **changes: Any) -> GatewayEffects:
        """Bring the venue's next report."""
        return self.reports([self.next_report(kind, order_id, **changes)])

    def next_report(self, kind: ReportKind, order_id: ClientOrderId, **changes: Any) -> VenueReport:
        """Return the venue's next report."""
        fields: dict[str, Any] = {
            "no": self.gateway.report_no + 1,
            "kind": kind,
            "client_order_id": order_id,
            "market_us": self.market_us,
        }
        return VenueReport(**{**fields, **changes})

    def reports(self, reports: Iterable[VenueReport]) -> GatewayEffects:
        """Bring reports as they are."""
        self.gateway.on_reports(reports)
        return self._taken()

    def accept(self, order_id: ClientOrderId) -> GatewayEffects:
        """Let the venue accept an order."""
        return self.report(ReportKind.ACCEPTED, order_id)

    def fill(
        self, order_id: ClientOrderId, lots: int, price_ticks: int, fee: int = 0, **changes: Any
    ) -> GatewayEffects:
        """Let an order trade."""
        self._trades += 1
        fields: dict[str, Any] = {
            "trade_id": f"t{self._trades}",
            "lots": lots,
            "price_ticks": price_ticks,
            "fee_atoms": fee,
            "fee_asset": "USD",
            "liquidity": Liquidity.TAKER,
        }
        return self.report(ReportKind.FILLED, order_id, trade=Trade(**{**fields, **changes}))

    def hold(self, lots: int, price_ticks: int = 100, bot: BotKey = A, symbol: Symbol = BTC) -> None:
        """Give a bot a position, by a market order at a price."""
        self.fill(self.buy(lots, bot=bot, symbol=symbol), lots, price_ticks)

    # --- what came of it ------------------------------------------------------------------------------------------

    def managed(self, order_id: ClientOrderId) -> ManagedOrder:
        """Return an open order."""
        return self.gateway.orders[order_id]

    @property
    def execution(self) -> Execution:
        """The one execution that the last input caused."""
        (execution,) = self.last.executions
        return execution

    @property
    def submitted(self) -> SubmitOrder:
        """The one order that the last input sent to the venue."""
        (request,) = [request for request in self.last.venue_requests if isinstance(request, SubmitOrder)]
        return request

    def free(self, asset: str = "USD", bot: BotKey = A) -> int:
        """Return a bot's free atoms."""
        return self.gateway.accounts[bot].wallet.free.get(asset, 0)

    def locked(self, asset: str = "USD", bot: BotKey = A) -> int:
        """Return a bot's locked atoms."""
        return self.gateway.accounts[bot].wallet.locked.get(asset, 0)

    def lots(self, bot: BotKey = A, symbol: Symbol = BTC) -> int:
        """Return a bot's position."""
        return self.gateway.accounts[bot].positions[symbol].lots


def saved(gateway: Gateway) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all snapshots of a gateway as they come back from JSON; accounts and orders in no helpful order."""
    accounts = [gateway.account_snapshot(key) for key in reversed(gateway.accounts)]
    orders = [order.snapshot() for order in sorted(gateway.orders.values(), key=lambda order: order.client_order_id)]
    own, accounts, orders = json.loads(json.dumps([gateway.own_snapshot(), accounts, orders]))
    return own, accounts, orders


def restored(gateway: Gateway) -> Gateway:
    """Return the gateway that a successor would make of a gateway's snapshots."""
    successor = Gateway(gateway.config)
    successor.restore(*saved(gateway))
    return successor
