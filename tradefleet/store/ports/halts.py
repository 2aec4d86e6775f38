"""The halt switch (rule 11)."""

from collections.abc import Collection
from typing import Protocol

from tradefleet.domain.frozen import frozen


@frozen()
class Halt:
    """A halt switch that is on (rule 11). `scope` is "fleet", "account/…", "bot/ns/name" or "policy/ns/name".

    The last two are of the same bot: "bot/…" is a person's, "policy/…" is for the RiskPolicies that choose it, so that
    neither ends what the other has set.
    """

    scope: str
    reason: str
    set_by: str


class HaltStore(Protocol):
    """The halt switch (rule 11)."""

    def set_halt(self, scope: str, *, reason: str, set_by: str) -> None:
        """Switch on and return after the commit: from then on no order that raises risk is accepted or sent."""

    def set_halts(self, scopes: Collection[str], *, reason: str, set_by: str) -> None:
        """Switch on several, all or none of them, and return after the commit."""

    def clear_halt(self, scope: str, *, set_by: str) -> None:
        """Switch off."""

    def clear_halts(self, scopes: Collection[str], *, set_by: str) -> None:
        """Switch off several, all or none of them."""

    def active_halts(self) -> list[Halt]:
        """Return every switch that is on."""
