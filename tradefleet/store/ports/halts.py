"""The halt switch (rule 11)."""

from typing import Protocol

from tradefleet.domain.frozen import frozen


@frozen()
class Halt:
    """A halt switch that is on (rule 11). `scope` is "fleet", "account/…" or "bot/ns/name"."""

    scope: str
    reason: str
    set_by: str


class HaltStore(Protocol):
    """The halt switch (rule 11)."""

    def set_halt(self, scope: str, *, reason: str, set_by: str) -> None:
        """Switch on and return after the commit: from then on no order that raises risk is accepted or sent."""

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        """Switch off."""

    def active_halts(self) -> list[Halt]:
        """Return every switch that is on."""
