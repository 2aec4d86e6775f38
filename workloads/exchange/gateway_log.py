"""What a gateway has done, as lines of its log: denials, fills, ends of orders, exits, what it could not apply.

Every line has the ids of what it is about as fields (`bot`, `client_order_id`, …), so that one order can be followed
through the logs of a fleet. A replay makes thousands a second: of a flood the first are written, the rest is counted.
The whole story of every order is in its executions.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from tradefleet.domain.ids import Symbol
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import plain_decimal
from tradefleet.domain.orders import OrderStatus
from tradefleet.runtime.budget import MinuteBudget
from tradefleet.store.ports import DeadLetter
from workloads.exchange.gateway.effects import FillEffect, GatewayEffects, RiskEvent
from workloads.exchange.gateway.order import ManagedOrder

_LOG: Final = logging.getLogger(__name__)

LINES_A_MINUTE: Final = 600


class GatewayLog:
    """Writes the log of one gateway."""

    def __init__(self, instruments: Mapping[Symbol, Instrument]) -> None:
        self._instruments = instruments
        self._budget = MinuteBudget(LINES_A_MINUTE)

    def tell(self, effects: GatewayEffects, dead_letters: Sequence[DeadLetter], *, now_us: int) -> None:
        """Log what was committed just now; `now_us` is monotonic."""
        for letter in dead_letters:  # few, and each needs a person
            _LOG.warning(
                "put aside: %s",
                letter.reason,
                extra={"stream": letter.stream, "stream_seq": letter.seq, "topic": letter.topic},
            )
        if not (effects.events or effects.fills or effects.orders):
            return
        left_out = self._budget.begin(now_us)
        if left_out:
            _LOG.warning("%d lines were left out; topic read trading.executions shows every order", left_out)
        for event in effects.events:
            self._event(event)
        for fill in effects.fills:
            self._fill(fill, effects.orders.get(fill.client_order_id))
        told = {event.client_order_id for event in effects.events}
        for order in effects.orders.values():
            is_end = order.status.is_final and order.status is not OrderStatus.FILLED
            if is_end and order.client_order_id not in told:
                self._end(order)

    def _event(self, event: RiskEvent) -> None:
        if not self._budget.take():
            return
        fields: dict[str, object] = {"market_us": event.market_us, "reason": event.reason}
        if event.bot is not None:
            fields["bot"] = event.bot
        if event.client_order_id is not None:
            fields["client_order_id"] = event.client_order_id
        level = logging.WARNING if event.bot is None else logging.INFO  # of the whole account
        _LOG.log(level, "%s", event.detail, extra=fields)

    def _fill(self, effect: FillEffect, order: ManagedOrder | None) -> None:
        if not self._budget.take():
            return
        fill = effect.canonical
        instrument = self._instruments[fill.symbol]
        _LOG.info(
            "filled: %s %s %s at %s",
            fill.side,
            plain_decimal(instrument.size(fill.lots)),
            fill.symbol,
            plain_decimal(instrument.price(fill.price_ticks)),
            extra={
                "market_us": fill.market_us,
                "bot": fill.bot,
                "client_order_id": effect.client_order_id,
                "trade_id": effect.trade_id,
                "status": None if order is None else order.status,
            },
        )

    def _end(self, order: ManagedOrder) -> None:
        if not self._budget.take():
            return
        instrument = self._instruments[order.symbol]
        _LOG.info(
            "ended: %s %s of %s %s filled",
            order.terms.side,
            plain_decimal(instrument.size(order.filled_lots)),
            plain_decimal(instrument.size(order.terms.lots)),
            order.symbol,
            extra={
                "market_us": order.updated_us,
                "bot": order.bot,
                "client_order_id": order.client_order_id,
                "status": order.status,
                "reason": order.reason,
            },
        )
