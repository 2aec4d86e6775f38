"""The canonical bytes of a bot's requests, and the running hash over them (correctness rule 19).

Recorded bots are compared by these bytes for ever, so the encoding never changes: a new field needs a new version
mark, written only by requests that use the field.

A request is a list of text fields. Each field is written as a netstring, `length:bytes,` with the length in decimal
(D. J. Bernstein, "Netstrings", 1997-02-01), so no value can be mistaken for a separator. None is the empty field,
which no present value is.
"""

import hashlib

from tradefleet.domain.orders import AmendRequest, BotRequest, CancelRequest, OrderRequest

EMPTY_HASH = bytes(32).hex()  # of a bot that has not asked for anything


def encode_request(request: BotRequest) -> bytes:
    """Return the canonical bytes of `request`: equal requests have equal bytes, different ones different bytes."""
    return b"".join(_netstring(field) for field in _fields(request))


def extend_hash(before: str, request: BotRequest) -> str:
    """Return the running hash, 64 hex digits, after `request`: SHA-256 of the hash before it and its bytes."""
    return hashlib.sha256(bytes.fromhex(before) + encode_request(request)).hexdigest()


def _fields(request: BotRequest) -> tuple[str, ...]:
    match request:
        case OrderRequest():
            terms = request.terms
            what = (
                terms.symbol,
                terms.side.value,
                terms.type.value,
                str(terms.lots),
                _optional(terms.price_ticks),
                _optional(terms.trigger_ticks),
                terms.time_in_force.value,
                str(int(terms.post_only)),
                str(int(terms.reduce_only)),
            )
            return ("order/1", *_head(request), *what)
        case CancelRequest():
            return ("cancel/1", *_head(request))
        case AmendRequest():
            return ("amend/1", *_head(request), request.symbol, _optional(request.lots), _optional(request.price_ticks))


def _head(request: BotRequest) -> tuple[str, ...]:
    return request.bot, str(request.seq), request.client_order_id, str(request.market_us)


def _optional(number: int | None) -> str:
    return "" if number is None else str(number)


def _netstring(field: str) -> bytes:
    data = field.encode()
    return b"%d:%b," % (len(data), data)
