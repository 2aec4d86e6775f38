"""The books that a bot's new generation adopts, from the rows of its gateway (rule 19)."""

from collections.abc import Sequence

import msgspec

from tradefleet.domain.executions import Adoption, Execution, Origin, PositionView
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.store.ports import OrderRow


class _HeldPosition(msgspec.Struct):
    lots: int
    cost_atoms: int


class _Books(msgspec.Struct):
    """What we read of the gateway's state row."""

    free: dict[str, int]
    locked: dict[str, int]
    positions: dict[str, _HeldPosition]
    execution_seq: int


def adoption_of(bot: BotKey, blob: bytes, orders: Sequence[OrderRow], *, market_us: int) -> Adoption:
    """Return the adoption of a bot's wallet, positions and open orders as its gateway committed them."""
    books = msgspec.json.decode(blob, type=_Books)
    return Adoption(
        bot=bot,
        market_us=market_us,
        execution_seq=books.execution_seq,
        free=books.free,
        locked=books.locked,
        positions=tuple(
            PositionView(symbol=Symbol(symbol), lots=held.lots, cost_atoms=held.cost_atoms)
            for symbol, held in books.positions.items()
        ),
        orders=tuple(
            Execution(
                bot=bot,
                seq=books.execution_seq,
                client_order_id=order.client_order_id,
                origin=Origin.GATEWAY if order.request_seq is None else Origin.BOT,
                status=order.status,
                terms=order.terms,
                filled_lots=order.filled_lots,
                market_us=order.updated_us,
                reason=order.reason,
            )
            for order in orders
        ),
    )
