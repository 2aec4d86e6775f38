"""What the bots of an account ask for, as it stands in their committed streams (rule 2)."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from tradefleet.domain.errors import InvalidValue, Permanent
from tradefleet.domain.ids import BotKey, StreamName, Symbol, orders_stream
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.orders import BotRequest
from tradefleet.messages.codec import UndecodableMessage, decode
from tradefleet.messages.convert import request_of
from tradefleet.messages.trading import AmendRequested, CancelRequested, OrderRequested
from tradefleet.store.ports import DeadLetter, GatewayTransaction, OutboxMessage
from workloads.exchange.gateway.machine import Gateway

REQUESTS_MAX = 400  # read at a time


class Unreadable(NamedTuple):
    """A request that cannot be read, and why."""

    bot: BotKey
    row: OutboxMessage
    why: str

    @property
    def letter(self) -> DeadLetter:
        """The request as it is put aside."""
        row = self.row
        return DeadLetter(
            topic=row.topic, stream=row.stream, seq=row.seq, key=row.key, reason=self.why, payload=row.payload
        )


class WaitingRequests(NamedTuple):
    """Requests in the order of (bot, seq). `has_more`: others may wait behind them."""

    requests: list[BotRequest]
    unreadable: list[Unreadable]
    has_more: bool


def read_requests(
    machine: Gateway, transaction: GatewayTransaction, *, whole: bool, hinted: Collection[StreamName] = ()
) -> WaitingRequests:
    """Return the committed requests that were not applied, and those that cannot be: a page of them, or the `whole`.

    With `hinted` streams, all of bots that we know, only those are read, and their bots' switches are locked along with
    it. One that cannot be read stops its bot's stream: what follows it stays where it is (rule 9). A bot that takes no
    new risk for another reason is still heard, since it may cancel.
    """
    bots = {
        orders_stream(account.config.uid): account
        for account in machine.accounts.values()
        if not account.unreadable_seq
    }
    sharing: list[BotKey] = []
    if hinted and all(stream in bots for stream in hinted):
        bots = {stream: bots[stream] for stream in hinted}
        sharing = sorted(account.key for account in bots.values())
    after = {stream: account.request_seq for stream, account in bots.items()}
    requests: list[BotRequest] = []
    unreadable: dict[StreamName, Unreadable] = {}
    has_more = True
    while has_more and after:
        rows = transaction.requests(after, limit=REQUESTS_MAX, sharing=sharing)
        has_more = len(rows) == REQUESTS_MAX
        for row in rows:
            if row.stream in unreadable:
                continue
            after[row.stream] = row.seq
            try:
                requests.append(_request_in(row, bots[row.stream].key, machine.config.instruments))
            except Permanent as error:
                why = f"request {row.seq} cannot be read: {error}"
                unreadable[row.stream] = Unreadable(bots[row.stream].key, row, why)
                del after[row.stream]
        if not whole:
            break
    requests.sort(key=lambda request: (request.bot, request.seq))
    return WaitingRequests(requests, list(unreadable.values()), has_more and bool(after))


def _request_in(row: OutboxMessage, bot: BotKey, instruments: Mapping[Symbol, Instrument]) -> BotRequest:
    """Return the request in a row of a bot's stream. Raises Permanent, also for one that speaks for somebody else."""
    message = decode(row.payload)
    if not isinstance(message, OrderRequested | AmendRequested | CancelRequested):
        raise UndecodableMessage(f"expected a bot's request, found a {message.type}")
    request = request_of(message, instruments)
    if (request.bot, request.seq) != (bot, row.seq):
        raise InvalidValue(f"it says that it is request {request.seq} of bot {request.bot}")
    return request
