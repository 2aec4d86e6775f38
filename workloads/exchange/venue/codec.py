"""The venue's values as plain ones (lists, strings, whole numbers), for snapshots, and back."""

from typing import Any

from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.ids import AccountId, ClientOrderId, Symbol
from tradefleet.domain.instrument import Instrument, Listing
from tradefleet.domain.orders import OrderStatus, OrderTerms, OrderType, Reason, Side, TimeInForce
from tradefleet.domain.venue import Liquidity, ReportKind, Trade, VenueOrder, VenueReport
from workloads.exchange.venue.accounts import Account
from workloads.exchange.venue.config import Market, VenueConfig
from workloads.exchange.venue.orders import FinishedOrder, OpenOrder

Row = list[Any]


def encode_config(config: VenueConfig) -> dict[str, Any]:
    """Return a configuration as plain values, amounts as decimal text; equal ones give the same."""
    return {
        "instruments": [
            instrument.listing()._asdict() for instrument in sorted(config.instruments, key=lambda each: each.symbol)
        ],
        "maker_ppm": config.maker_ppm,
        "taker_ppm": config.taker_ppm,
        "slippage_ppm": config.slippage_ppm,
        "slippage_ticks": config.slippage_ticks,
        "participation_ppm": config.participation_ppm,
        "market": config.market.value,
        "intervals_us": {symbol: sorted(each) for symbol, each in sorted(config.intervals_us.items())},
    }


def decode_config(values: dict[str, Any]) -> VenueConfig:
    """Return the configuration of plain values. Raises InvalidValue for what this release does not know."""
    plain = {name: value for name, value in values.items() if name not in ("instruments", "market", "intervals_us")}
    try:
        return VenueConfig(
            instruments=tuple(Listing(**row).to_instrument() for row in values["instruments"]),
            market=Market(values["market"]),
            intervals_us={Symbol(symbol): tuple(each) for symbol, each in values["intervals_us"].items()},
            **plain,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValue(
            f"venue configuration: cannot be read: {error}; a newer release has written it: run that one"
        ) from error


def encode_terms(terms: OrderTerms) -> Row:
    """Return terms as a row."""
    return [
        terms.symbol,
        terms.side.value,
        terms.type.value,
        terms.lots,
        terms.price_ticks,
        terms.trigger_ticks,
        terms.time_in_force.value,
        terms.post_only,
        terms.reduce_only,
    ]


def decode_terms(row: Row) -> OrderTerms:
    """Return the terms of a row."""
    symbol, side, kind, lots, price_ticks, trigger_ticks, time_in_force, post_only, reduce_only = row
    return OrderTerms(
        symbol=Symbol(symbol),
        side=Side(side),
        type=OrderType(kind),
        lots=lots,
        price_ticks=price_ticks,
        trigger_ticks=trigger_ticks,
        time_in_force=TimeInForce(time_in_force),
        post_only=post_only,
        reduce_only=reduce_only,
    )


def encode_order(order: OpenOrder) -> Row:
    """Return an open order as a row; the account's id comes first.

    A time of decision comes last, if there is one: a snapshot from before it was kept must give its hash again.
    """
    row = [
        order.account.id,
        order.client_order_id,
        encode_terms(order.terms),
        order.lots,
        order.price_ticks,
        order.filled_lots,
        order.arrival,
        order.entry_bar,
        order.triggered,
        order.protection_ticks,
        order.fee_ppm,
    ]
    return [*row, order.decided_us] if order.decided_us else row


def decode_order(row: Row, account: Account, instrument: Instrument) -> OpenOrder:
    """Return the open order of a row, for the account and the instrument that the row names."""
    _, client_order_id, terms, lots, price_ticks, filled_lots, *rest = row
    arrival, entry_bar, triggered, protection_ticks, fee_ppm, *decided = rest
    return OpenOrder(
        account=account,
        client_order_id=ClientOrderId(client_order_id),
        instrument=instrument,
        terms=decode_terms(terms),
        lots=lots,
        price_ticks=price_ticks,
        protection_ticks=protection_ticks,
        fee_ppm=fee_ppm,
        decided_us=decided[0] if decided else 0,
        filled_lots=filled_lots,
        arrival=arrival,
        entry_bar=entry_bar,
        triggered=triggered,
    )


def encode_finished(finished: FinishedOrder) -> Row:
    """Return a finished order as a row."""
    order = finished.order
    return [
        order.client_order_id,
        encode_terms(finished.terms),
        order.lots,
        order.price_ticks,
        order.filled_lots,
        finished.status.value,
        finished.reason.value,
    ]


def decode_finished(row: Row, account_id: AccountId) -> FinishedOrder:
    """Return the finished order of a row."""
    client_order_id, terms_row, lots, price_ticks, filled_lots, status, reason = row
    terms = decode_terms(terms_row)
    order = VenueOrder(
        account=account_id,
        client_order_id=ClientOrderId(client_order_id),
        symbol=terms.symbol,
        side=terms.side,
        lots=lots,
        filled_lots=filled_lots,
        price_ticks=price_ticks,
    )
    return FinishedOrder(order=order, terms=terms, status=OrderStatus(status), reason=Reason(reason))


def encode_report(report: VenueReport) -> Row:
    """Return a report as a row."""
    trade = report.trade
    return [
        report.no,
        report.kind.value,
        report.client_order_id,
        report.market_us,
        report.reason.value,
        None
        if trade is None
        else [
            trade.trade_id,
            trade.lots,
            trade.price_ticks,
            trade.fee_atoms,
            trade.fee_asset,
            trade.liquidity.value,
        ],
        report.lots,
        report.price_ticks,
    ]


def decode_report(row: Row) -> VenueReport:
    """Return the report of a row."""
    number, kind, client_order_id, market_us, reason, trade_row, lots, price_ticks = row
    trade = None
    if trade_row is not None:
        trade_id, trade_lots, trade_ticks, fee, fee_asset, liquidity = trade_row
        trade = Trade(
            trade_id=trade_id,
            lots=trade_lots,
            price_ticks=trade_ticks,
            fee_atoms=fee,
            fee_asset=fee_asset,
            liquidity=Liquidity(liquidity),
        )
    return VenueReport(
        no=number,
        kind=ReportKind(kind),
        client_order_id=ClientOrderId(client_order_id),
        market_us=market_us,
        reason=Reason(reason),
        trade=trade,
        lots=lots,
        price_ticks=price_ticks,
    )


def encode_account(account: Account) -> dict[str, Any]:
    """Return an account, without its open orders, as plain values."""
    return {
        "free": dict(account.free),
        "locked": dict(account.locked),
        "deposits": {reference: list(deposit) for reference, deposit in account.deposits.items()},
        "request_no": account.request_no,
        "report_no": account.report_no,
        "reports": [encode_report(report) for report in account.reports],
        "finished": [encode_finished(finished) for finished in account.finished.values()],
    }


def decode_account(account: Account, state: dict[str, Any]) -> None:
    """Fill a new account with what `encode_account` gave."""
    account.free.update(state["free"])
    account.locked.update(state["locked"])
    account.deposits.update({reference: (asset, atoms) for reference, (asset, atoms) in state["deposits"].items()})
    account.request_no = state["request_no"]
    account.report_no = state["report_no"]
    account.reports.extend(decode_report(row) for row in state["reports"])
    for row in state["finished"]:
        account.remember(decode_finished(row, account.id))
