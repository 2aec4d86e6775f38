"""How each scope of a gateway stands, told to whoever looks: halted or not, how far below its peak, how much at risk.

Whole states in a compacted topic, once a second at most and only what has changed. A message has no effect and
may get lost: the next bar brings the next state, and a gateway that starts tells all of them again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tradefleet.domain.ids import StreamName
from tradefleet.domain.money import PPM, from_atoms
from tradefleet.messages.codec import encode
from tradefleet.messages.control import RiskMode, RiskStateChanged
from tradefleet.messages.topics import RISK_STATE
from tradefleet.runtime.ports import Publisher
from workloads.exchange.gateway.machine import Gateway

TELL_US: Final = 1_000_000  # between two looks: each goes over every open order
EPOCH_BITS: Final = 32  # of a generation, below the epoch: a later gateway's states are always the newer ones


class _Figures(NamedTuple):
    """A bot's money, in quote atoms."""

    peak_atoms: int
    equity_atoms: int
    exposure_atoms: int
    quote_scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """One scope at one moment. `halts` are the switches that stop it from raising risk."""

    scope: str
    halts: tuple[str, ...]
    drawdown_ppm: int
    exposure_atoms: int
    quote_scale: int


class RiskStates:
    """Tells how the scopes of one gateway stand."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._told: dict[str, _Standing] = {}
        self._count = 0
        self._tell_at_us = 0

    def tell(self, machine: Gateway, *, epoch: int, now_us: int) -> None:
        """Publish what has changed since the last look, unless that was a moment ago (`now_us` is monotonic)."""
        if now_us < self._tell_at_us:
            return
        self._tell_at_us = now_us + TELL_US
        for standing in _standings(machine):
            if self._told.get(standing.scope) == standing:
                continue
            self._told[standing.scope] = standing
            self._count += 1
            message = RiskStateChanged(
                stream=StreamName(f"risk/{machine.config.account}"),
                stream_seq=self._count,
                event_time_us=machine.now_us,
                scope=standing.scope,
                generation=(epoch << EPOCH_BITS) + self._count,
                mode=RiskMode.HALTED if standing.halts else RiskMode.NORMAL,
                reason=f"halted: {', '.join(standing.halts)}" if standing.halts else "",
                drawdown_ppm=standing.drawdown_ppm,
                exposure=from_atoms(standing.exposure_atoms, standing.quote_scale),
            )
            self._publisher.announce(RISK_STATE.name, standing.scope, encode(message))


def _standings(machine: Gateway) -> Iterator[_Standing]:
    """Yield how each bot stands, and the account: its bots' equity together, below the peaks that each of them had.

    Bots of several quote assets cannot be added up: such an account's figures are 0, its halts are told all the same.
    """
    figures: list[_Figures] = []
    quotes: set[tuple[str, int]] = set()
    for each in machine.accounts.values():
        quotes.add((each.quote, each.instruments[0].quote_scale))
        equity, exposure = each.mark_equity(machine.marks), machine.exposure_atoms(each.key)
        figures.append(_Figures(each.peak_equity_atoms, equity, exposure, each.instruments[0].quote_scale))
        yield _standing(machine, f"bot/{each.key}", figures[-1:])
    yield _standing(machine, f"account/{machine.config.account}", figures if len(quotes) == 1 else [])


def _standing(machine: Gateway, scope: str, figures: Iterable[_Figures]) -> _Standing:
    peak = equity = exposure = scale = 0
    for each in figures:
        peak += each.peak_atoms
        equity += each.equity_atoms
        exposure += each.exposure_atoms
        scale = each.quote_scale
    above = {"fleet", f"account/{machine.config.account}", scope}
    return _Standing(
        scope=scope,
        halts=tuple(sorted(machine.halts & above)),
        drawdown_ppm=max(0, peak - equity) * PPM // peak if peak > 0 else 0,
        exposure_atoms=exposure,
        quote_scale=scale,
    )
