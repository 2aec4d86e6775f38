"""An audit as a table."""

from collections.abc import Iterable

from tradefleet.cli import printing
from tradefleet.store.audit import Invariant


def print_audit(invariants: Iterable[Invariant]) -> None:
    """Print each invariant with how many things it checked and what it found."""
    found = list(invariants)
    printing.print_rows(
        ["Invariant", "Checked", "Findings"],
        [
            [each.name, f"{each.checked:,} {each.unit}", str(len(each.findings)) if each.findings else "none"]
            for each in found
        ],
        numbers=(1,),
        styles=[["", "", "bold red" if each.findings else "green"] for each in found],
        title="Audit",
        is_prose=True,
    )
