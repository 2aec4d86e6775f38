"""Which shared host runs which bot: every bot in one host, and as few moves as can be.

A bot stays where it is, whoever comes or goes, unless its host is over its size. Newcomers go where the fewest are. A
host that has lost all its bots is gone; its number is given again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from governor.workload import NAME_LENGTH_MAX, Role, unique_name
from tradefleet.domain.ids import BotUid
from tradefleet.resources.common import ResourceKey

HOST_SIZE: Final = 200
"""How many bots share a process. They decide one after the other, so a bar's last decision comes the later the more
there are; and they end together when the process does.
"""

HOSTS_MAX: Final = 50  # of an exchange that are looked for after a restart: those of ten thousand bots

_NUMBER_LENGTH: Final = 5  # of a host, with the '-' before it


def place(exchange: ResourceKey, bots: Iterable[BotUid], now: Mapping[BotUid, str], *, size: int) -> dict[BotUid, str]:
    """Return the host of each of an exchange's shared bots; `now` says where bots are, of this exchange or not."""
    waiting: list[BotUid] = []
    placed: dict[BotUid, str] = {}
    counts: Counter[int] = Counter()
    for bot in sorted(bots):
        number = _number(exchange, now.get(bot, ""))
        if number is None or counts[number] >= size:
            waiting.append(bot)
        else:
            counts[number] += 1
            placed[bot] = now[bot]
    needed = -(-(len(placed) + len(waiting)) // size)
    numbers = sorted(counts)
    while len(numbers) < needed:
        numbers.append(next(number for number in range(needed) if number not in numbers))
    for bot in waiting:
        number = min(numbers, key=lambda each: (counts[each], each))
        counts[number] += 1
        placed[bot] = host_name(exchange, number)
    return placed


def host_name(exchange: ResourceKey, number: int) -> str:
    """Return the name of an exchange's host: a DNS label that no other workload has."""
    name = f"{unique_name(Role.HOST, exchange, room=_NUMBER_LENGTH)}-{number}"
    assert len(name) <= NAME_LENGTH_MAX, "a fleet has fewer than 10,000 hosts of an exchange"
    return name


def _number(exchange: ResourceKey, host: str) -> int | None:
    """Return the number of a host of this exchange; None for another host, and for none."""
    begin = f"{unique_name(Role.HOST, exchange, room=_NUMBER_LENGTH)}-"
    ending = host.removeprefix(begin)
    return int(ending) if host.startswith(begin) and ending.isdecimal() else None
