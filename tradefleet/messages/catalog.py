"""All message types, by name."""

from typing import Final

from tradefleet.messages.control import BotCommanded, RiskCommanded, RiskStateChanged
from tradefleet.messages.dead_letter import DeadLetter
from tradefleet.messages.fields import Message
from tradefleet.messages.journal import JournalBars, JournalConfigured, JournalRequests
from tradefleet.messages.market import BarClosed, BarUpdated, BookChanged, MarketTraded, TickerChanged
from tradefleet.messages.performance import BotMeasured, ReportFinished
from tradefleet.messages.schema_registry import SchemaPublished
from tradefleet.messages.social import PostPublished
from tradefleet.messages.trading import AmendRequested, CancelRequested, OrderExecuted, OrderRequested

MESSAGE_TYPES: Final[dict[str, type[Message]]] = {
    message.__name__: message
    for message in (
        BarClosed,
        BarUpdated,
        TickerChanged,
        MarketTraded,
        BookChanged,
        OrderRequested,
        AmendRequested,
        CancelRequested,
        OrderExecuted,
        RiskCommanded,
        RiskStateChanged,
        BotCommanded,
        BotMeasured,
        ReportFinished,
        PostPublished,
        JournalConfigured,
        JournalBars,
        JournalRequests,
        DeadLetter,
        SchemaPublished,
    )
}
