"""The Venue machine: numbered requests and closed bars go in, numbered reports per account come out."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from tradefleet.domain.bar import Bar
from tradefleet.domain.errors import InvalidValue, StreamGap
from tradefleet.domain.ids import AccountId, ClientOrderId
from tradefleet.domain.venue import VenueOrder, VenueReport, VenueRequest
from workloads.exchange.venue.accounts import Accounts
from workloads.exchange.venue.bar_fills import BarMarket
from workloads.exchange.venue.clearing import Clearing, Output
from workloads.exchange.venue.codec import decode_account, decode_order, encode_account, encode_order
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue.desk import OrderDesk
from workloads.exchange.venue.market import MarketPlace
from workloads.exchange.venue.matching import BookMarket
from workloads.exchange.venue.orders import FinishedOrder, OpenOrder

SNAPSHOT_VERSION = 2


class Venue:
    """A simulated exchange. Everything it does follows from its inputs, in their order.

    Each input returns the reports it caused; they are also kept per account until `trim_reports`, so a reader that
    missed some can ask for them.
    """

    __slots__ = ("_clearing", "_desk", "_instruments", "_market", "_scales", "config")

    def __init__(self, config: VenueConfig) -> None:
        self.config = config
        self._scales = config.scales  # of every asset that was ever listed: accounts may hold it still
        self._reset()

    def _reset(self) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in self.config.instruments}
        self._clearing = Clearing(self.config)
        book = self.config.market == Market.BOOK
        self._market: MarketPlace = BookMarket(self._clearing) if book else BarMarket(self._clearing)
        self._desk = OrderDesk(self._clearing, self._market)

    @property
    def accounts(self) -> Accounts:
        """All accounts, with deposits, fees and the market's balance: to read and to check, not to change."""
        return self._clearing.accounts

    def on_bars(self, market_us: int, bars: list[Bar]) -> list[Output]:
        """Apply the bars that closed at `market_us`, sorted by (symbol, interval). A repeated bar changes nothing."""
        self._clearing.market_us = market_us
        self._market.on_bars(bars)
        return self._clearing.take_outputs()

    def on_requests(self, account_id: AccountId, market_us: int, requests: Sequence[VenueRequest]) -> list[Output]:
        """Apply an account's requests; those with a number already applied are skipped.

        Raises StreamGap when a number is missing; then none of them is applied.
        """
        account = self.accounts.open(account_id)
        fresh = [request for request in requests if request.no > account.request_no]
        for expected_no, request in enumerate(fresh, start=account.request_no + 1):
            if request.no != expected_no:
                raise StreamGap(f"account {account_id}: request {expected_no} is missing, number {request.no} came")
        self._clearing.market_us = market_us
        for request in fresh:
            account.request_no = request.no
            self._desk.apply(account, request)
        return self._clearing.take_outputs()

    def configure(self, config: VenueConfig) -> None:
        """Be another venue from here on, with the accounts and orders of this one. Raises InvalidValue, see `check`.

        Fees count for orders that are accepted from here on, everything else at once.
        """
        self.check(config)
        state = self.snapshot()
        self.config = config
        self._scales |= config.scales
        self.restore({**state, "scales": self._scales})

    def check(self, config: VenueConfig) -> None:
        """Raise InvalidValue unless the venue can go on as `config`: what is held and ordered must keep its meaning."""
        self.config.check_successor(config)
        for asset, scale in config.scales.items():
            known = self._scales.get(asset, scale)
            if known != scale:
                raise InvalidValue(f"venue: decimals of {asset} must stay {known}, was {scale}")
        listed = {instrument.symbol for instrument in config.instruments}
        for account in self.accounts.by_id.values():
            for order in account.orders.values():
                if order.terms.symbol not in listed:
                    raise InvalidValue(
                        f"venue: {order.terms.symbol} must stay listed while it has open orders, such as "
                        f"{order.client_order_id} of account {account.id}: cancel them first"
                    )

    def query(self, account_id: AccountId, client_order_id: ClientOrderId) -> VenueOrder | FinishedOrder | None:
        """Return the order if it is open, how it ended if it is finished, None if the account never sent it.

        Of the finished ones an account remembers its latest `FINISHED_ORDERS_MAX`.
        """
        account = self.accounts.by_id.get(account_id)
        if account is None:
            return None
        order = account.orders.get(client_order_id)
        return account.finished.get(client_order_id) if order is None else order.view()

    def open_orders(self, account_id: AccountId) -> list[VenueOrder]:
        """Return the account's open orders, in the order of their arrival."""
        account = self.accounts.by_id.get(account_id)
        return [] if account is None else [order.view() for order in _by_arrival(account.orders.values())]

    def balances(self, account_id: AccountId) -> dict[str, tuple[int, int]]:
        """Return free and locked atoms per asset that the account has or had."""
        account = self.accounts.by_id.get(account_id)
        if account is None:
            return {}
        assets = sorted(account.free.keys() | account.locked.keys())
        return {asset: (account.free.get(asset, 0), account.locked.get(asset, 0)) for asset in assets}

    def request_no(self, account_id: AccountId) -> int:
        """Return the number of the account's last applied request, 0 before the first."""
        account = self.accounts.by_id.get(account_id)
        return 0 if account is None else account.request_no

    def report_no(self, account_id: AccountId) -> int:
        """Return the number of the account's last report, 0 before the first."""
        account = self.accounts.by_id.get(account_id)
        return 0 if account is None else account.report_no

    def reports(self, account_id: AccountId, since_no: int) -> list[VenueReport]:
        """Return the account's reports after number `since_no`. Raises StreamGap when some are no longer kept."""
        account = self.accounts.by_id.get(account_id)
        return [] if account is None else account.reports_since(since_no)

    def trim_reports(self, account_id: AccountId, up_to_no: int) -> None:
        """Forget the account's reports up to and including `up_to_no`: their reader has committed them."""
        account = self.accounts.by_id.get(account_id)
        if account is not None:
            account.trim_reports(up_to_no)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as values that JSON can hold; amounts may be integers above 64 bits."""
        accounts, clearing = self.accounts, self._clearing
        orders = _by_arrival(order for account in accounts.by_id.values() for order in account.orders.values())
        return {
            "version": SNAPSHOT_VERSION,
            "market": str(self.config.market),
            "scales": dict(self._scales),
            "market_us": clearing.market_us,
            "arrival_no": clearing.arrival_no,
            "trade_no": clearing.trade_no,
            "accounts": {account.id: encode_account(account) for account in accounts.by_id.values()},
            "deposited": dict(accounts.deposited),
            "fees": dict(accounts.fees),
            "market_balance": dict(accounts.market),
            "orders": [encode_order(order) for order in orders],
            "prices": self._market.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Replace the state by a snapshot's. Raises InvalidValue when the snapshot is not one of such a venue."""
        if state.get("version") != SNAPSHOT_VERSION:
            raise InvalidValue(f"venue snapshot: version must be {SNAPSHOT_VERSION}, was {state.get('version')}")
        if state["market"] != self.config.market:
            raise InvalidValue(f"venue snapshot: market must be {self.config.market}, was {state['market']}")
        listed = {str(instrument.symbol) for instrument in self.config.instruments}
        for row in state["orders"]:
            if row[2][0] not in listed:
                raise InvalidValue(f"venue snapshot: order {row[1]} is for {row[2][0]}, which the venue does not list")
        self._reset()
        self._scales = dict(state["scales"])
        clearing, accounts = self._clearing, self.accounts
        clearing.market_us = state["market_us"]
        clearing.arrival_no = state["arrival_no"]
        clearing.trade_no = state["trade_no"]
        accounts.deposited.update(state["deposited"])
        accounts.fees.update(state["fees"])
        accounts.market.update(state["market_balance"])
        for account_id, account_state in state["accounts"].items():
            decode_account(accounts.open(AccountId(account_id)), account_state)
        orders = []
        for row in state["orders"]:
            account = accounts.by_id[AccountId(row[0])]
            order = decode_order(row, account, self._instruments[row[2][0]])
            account.orders[order.client_order_id] = order
            orders.append(order)
        self._market.restore(state["prices"], _by_arrival(orders))

    def state_hash(self) -> str:
        """Return the SHA-256, in hex, of the state without the kept reports.

        How many of those are kept depends on when their reader confirmed them, which is not an input of the machine.
        """
        state = self.snapshot()
        for account in state["accounts"].values():
            del account["reports"]
        return hashlib.sha256(json.dumps(state, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _by_arrival(orders: Iterable[OpenOrder]) -> list[OpenOrder]:
    return sorted(orders, key=lambda order: order.arrival)
