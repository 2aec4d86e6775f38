"""An audit, run and printed."""

import sys
from collections.abc import Iterable
from typing import Final

from tradefleet.cli import printing
from tradefleet.store.audit import Invariant, audit

EXIT_FOUND: Final = 1


def run_audit(url: str, fleet: str, output: str) -> int:
    """Audit a fleet's database and print what was found as table, json or yaml; return the exit status."""
    import psycopg  # noqa: PLC0415 - imported by who runs it

    with psycopg.connect(url, autocommit=True) as connection:
        found = audit(connection, fleet)
    if output == "table":
        print_audit(found.invariants)
    else:
        values = [
            {
                "invariant": each.name,
                "checked": each.checked,
                "unit": each.unit,
                "findings": [{"table": one.table, "key": one.key, "problem": one.problem} for one in each.findings],
            }
            for each in found.invariants
        ]
        printing.print_values(values, output)
    for finding in found.findings:
        sys.stderr.write(f"{finding}\n")
    return EXIT_FOUND if found.findings else 0


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
