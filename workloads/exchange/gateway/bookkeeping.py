"""How orders and trades move money: each change of a wallet is one balanced ledger entry."""

from tradefleet.domain.errors import InvalidOrder
from tradefleet.domain.executions import Fill
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.ledger import Book, EntryKind, LedgerEntry, Posting, check_balanced
from tradefleet.domain.money import TRADE_TICKS_MAX
from tradefleet.domain.orders import Side
from tradefleet.domain.venue import Trade
from workloads.exchange.gateway.account import BotAccount
from workloads.exchange.gateway.effects import GatewayEffects
from workloads.exchange.gateway.order import ManagedOrder


def post(
    account: BotAccount,
    effects: GatewayEffects,
    *,
    kind: EntryKind,
    reference: str,
    market_us: int,
    postings: tuple[Posting, ...],
) -> None:
    """Apply a transaction to the wallet and record it. Raises LedgerImbalance, changing nothing."""
    check_balanced(reference, postings)
    account.wallet.apply(reference, postings)
    account.entry_seq += 1
    effects.entries.append(
        LedgerEntry(
            bot=account.key,
            seq=account.entry_seq,
            kind=kind,
            reference=reference,
            market_us=market_us,
            postings=postings,
        )
    )
    effects.accounts.add(account.key)


def deposit(account: BotAccount, effects: GatewayEffects, *, asset: str, atoms: int, market_us: int) -> str:
    """Fill the wallet from outside; return the reference that makes the venue's side of it harmless to repeat."""
    reference = f"{account.config.uid}/{asset}"
    postings = (Posting(Book.EXTERNAL, asset, -atoms), Posting(Book.FREE, asset, atoms))
    post(account, effects, kind=EntryKind.DEPOSIT, reference=reference, market_us=market_us, postings=postings)
    return reference


def reserve(
    account: BotAccount, order: ManagedOrder, effects: GatewayEffects, *, asset: str, atoms: int, market_us: int
) -> None:
    """Lock `atoms` more for an order."""
    postings = (Posting(Book.FREE, asset, -atoms), Posting(Book.LOCKED, asset, atoms))
    post(
        account,
        effects,
        kind=EntryKind.RESERVE,
        reference=order.client_order_id,
        market_us=market_us,
        postings=postings,
    )
    order.reserved_asset = asset
    order.reserved_atoms += atoms


def release(
    account: BotAccount, order: ManagedOrder, effects: GatewayEffects, *, market_us: int, atoms: int | None = None
) -> None:
    """Give back what an order has locked: all of it, or `atoms`."""
    given = order.reserved_atoms if atoms is None else atoms
    if not given:
        return
    asset = order.reserved_asset
    postings = (Posting(Book.LOCKED, asset, -given), Posting(Book.FREE, asset, given))
    post(
        account,
        effects,
        kind=EntryKind.RELEASE,
        reference=order.client_order_id,
        market_us=market_us,
        postings=postings,
    )
    order.reserved_atoms -= given


def settle_trade(
    account: BotAccount,
    order: ManagedOrder,
    trade: Trade,
    instrument: Instrument,
    effects: GatewayEffects,
    *,
    market_us: int,
) -> Fill:
    """Apply a trade to wallet and position and return the fill.

    What the order reserved pays first, less a rebate in the same asset; only roundings beyond it come out of the free
    money. Raises InvalidOrder or LedgerImbalance, changing nothing, for a trade that cannot be (more lots than the
    order has, money that is not there).
    """
    position = account.positions[instrument.symbol]
    buys = order.terms.side is Side.BUY
    _check_lots(trade, order, held_lots=None if buys else position.lots)
    notional = instrument.notional_atoms(trade.lots, trade.price_ticks)
    _check_size(trade, notional, instrument)
    amount = instrument.base_atoms(trade.lots)
    pay_asset, pay_atoms = (instrument.quote, notional) if buys else (instrument.base, amount)
    get_asset, get_atoms = (instrument.base, amount) if buys else (instrument.quote, notional)
    charged = pay_atoms + (trade.fee_atoms if trade.fee_asset == pay_asset else 0)
    from_locked = min(max(0, charged), order.reserved_atoms)
    postings = [
        Posting(Book.LOCKED, pay_asset, -from_locked),
        Posting(Book.TRADE, pay_asset, pay_atoms),
        Posting(Book.TRADE, get_asset, -get_atoms),
        Posting(Book.FREE, get_asset, get_atoms),
    ]
    if charged != from_locked:
        postings.append(Posting(Book.FREE, pay_asset, from_locked - charged))
    if trade.fee_atoms:
        postings.append(Posting(Book.FEE, trade.fee_asset, trade.fee_atoms))
        if trade.fee_asset != pay_asset:  # the fee is no part of what the order had reserved
            postings.append(Posting(Book.FREE, trade.fee_asset, -trade.fee_atoms))
    reference = f"{order.client_order_id}/{trade.trade_id}"
    post(
        account,
        effects,
        kind=EntryKind.TRADE,
        reference=reference,
        market_us=market_us,
        postings=tuple(postings),
    )
    order.reserved_atoms -= from_locked
    order.filled_lots += trade.lots
    order.trade_ids.append(trade.trade_id)
    realized = 0
    if buys:
        position.buy(trade.lots, notional, trade.price_ticks)
    else:
        realized = position.sell(trade.lots, notional)
        account.realized_atoms += realized
    account.note_positions()
    account.fill_count += 1
    account.fees_atoms += _fee_in_quote(trade, instrument)
    return Fill(
        trade_id=trade.trade_id,
        lots=trade.lots,
        price_ticks=trade.price_ticks,
        notional_atoms=notional,
        fee_atoms=trade.fee_atoms,
        fee_asset=trade.fee_asset,
        liquidity=trade.liquidity,
        realized_atoms=realized,
    )


def _fee_in_quote(trade: Trade, instrument: Instrument) -> int:
    """Return a trade's fee in quote atoms; one in another asset at the trade's own price, for the statistics only."""
    if trade.fee_asset == instrument.quote:
        return trade.fee_atoms
    return instrument.notional_atoms(1, trade.price_ticks) * trade.fee_atoms // instrument.lot_atoms


def _check_lots(trade: Trade, order: ManagedOrder, *, held_lots: int | None) -> None:
    """Raise InvalidOrder for more lots than the order has open, or than a sale (`held_lots` is not None) can sell."""
    if trade.lots <= 0 or trade.lots > order.open_lots:
        raise InvalidOrder(
            f"trade {trade.trade_id}: {trade.lots} lots for order {order.client_order_id}, "
            f"which has {order.open_lots} open"
        )
    if held_lots is not None and trade.lots > held_lots:
        raise InvalidOrder(f"trade {trade.trade_id}: sells {trade.lots} lots, the position has {held_lots}")


def _check_size(trade: Trade, notional_atoms: int, instrument: Instrument) -> None:
    """Raise InvalidOrder for a trade that no message or column holds: its bot is closed, and its neighbours go on."""
    most, quote = instrument.quote_atoms_max, instrument.quote
    if trade.price_ticks > TRADE_TICKS_MAX:
        raise InvalidOrder(f"trade {trade.trade_id}: must be at most {TRADE_TICKS_MAX} ticks, was {trade.price_ticks}")
    if notional_atoms > most:
        worth = f"{instrument.quote_amount(notional_atoms):f}"
        raise InvalidOrder(f"trade {trade.trade_id}: must be worth less than 10^20 {quote}, was {worth}")
    if trade.fee_asset == quote and abs(trade.fee_atoms) > most:
        fee = f"{instrument.quote_amount(trade.fee_atoms):f}"
        raise InvalidOrder(f"trade {trade.trade_id}: must have a fee of less than 10^20 {quote}, was {fee}")
