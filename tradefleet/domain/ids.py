"""Identities and the names derived from them.

A client order id carries no epoch (rule 1): it is made from the bot's UID and a number that is part of the bot's
committed state, so a restarted bot that decides the same thing again makes the same id.
"""

import hashlib
from base64 import b32encode
from typing import NewType

BotKey = NewType("BotKey", str)  # "namespace/name"
BotUid = NewType("BotUid", str)  # the resource's UID: a re-created bot of the same name has another one
ClientOrderId = NewType("ClientOrderId", str)
AccountId = NewType("AccountId", str)  # "namespace/exchange:account"
Symbol = NewType("Symbol", str)  # "BTC-USD"
StreamName = NewType("StreamName", str)

CLIENT_ORDER_ID_LENGTH_MAX = 32
UID_HASH_LENGTH = 13  # 65 bits of the hash: 13 base32 digits
GATEWAY_MARK = "G"  # upper case, while base 36 below is lower case: the two kinds of id cannot collide

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """Return `number` (>= 0) in lower-case base 36."""
    assert number >= 0, "a division of a negative number never ends at 0"
    if number == 0:
        return "0"
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def uid_hash(uid: BotUid) -> str:
    """Return the 13 upper-case base32 digits that open every client order id of the bot with `uid`."""
    return b32encode(hashlib.sha256(uid.encode()).digest()).decode()[:UID_HASH_LENGTH]


def bot_order_id(prefix: str, seq: int) -> ClientOrderId:
    """Return the id of the bot's request number `seq`; `prefix` is its `uid_hash`."""
    return ClientOrderId(prefix + base36(seq))


def gateway_order_id(prefix: str, counter: int) -> ClientOrderId:
    """Return the id of an order that the gateway makes for a bot (stop-loss, flatten, dead man's switch)."""
    return ClientOrderId(prefix + GATEWAY_MARK + base36(counter))


def order_number(client_order_id: ClientOrderId) -> str:
    """Return the part of the id that names the order within its bot: the request number, or `G…` (rule 23)."""
    tail = client_order_id[UID_HASH_LENGTH:]
    if tail.startswith(GATEWAY_MARK):
        return GATEWAY_MARK + str(int(tail[1:], 36))
    return str(int(tail, 36))


def orders_stream(uid: BotUid) -> StreamName:
    """Return the name of the stream of requests that the bot with `uid` writes."""
    return StreamName(f"orders/{uid}")


def executions_stream(uid: BotUid) -> StreamName:
    """Return the name of the stream of executions that the gateway writes for the bot with `uid`."""
    return StreamName(f"executions/{uid}")


BARS_STREAMS = "bars/"  # how the names of a feed's streams begin


def bars_stream(exchange: str, symbol: Symbol, interval_us: int) -> StreamName:
    """Return the name of the stream of closed bars of one instrument and interval; `exchange` is "namespace/name"."""
    return StreamName(f"{BARS_STREAMS}{exchange}:{symbol}:{interval_us // 1_000_000}s")


def policy_scope(bot: BotKey) -> str:
    """Return the scope of the halt switch that RiskPolicies have over a bot; they alone switch it."""
    return f"policy/{bot}"


def bot_scopes(bot: BotKey) -> tuple[str, str]:
    """Return the scopes of the halt switches that stop this bot alone: a person's, and the one of RiskPolicies."""
    return f"bot/{bot}", policy_scope(bot)


def derive_seed(key: str, seed: int) -> int:
    """Return a 63-bit seed from namespace/name (never from the UID, rule 20) and the seed the user gave."""
    digest = hashlib.sha256(f"{key}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
