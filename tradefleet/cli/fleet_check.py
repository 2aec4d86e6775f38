"""`tradefleet audit` and `verify-parity`: whether a fleet's books and its bots' decisions are what they must be."""

import sys
from typing import Annotated, Final

import typer

from tradefleet.cli import printing
from tradefleet.cli.audit_output import print_audit
from tradefleet.cli.fleet_target import DEFAULT, DataFolder, Namespace, bots_named, local_fleet, open_resources
from tradefleet.domain.ids import BotUid

EXIT_FOUND: Final = 1
OUTPUTS: Final = ("table", "json", "yaml")

Output = Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml.")]


def audit(data_dir: DataFolder = None, output: Output = "table") -> None:
    """Check every invariant of the books, on the fleet as it runs.

    [dim]$[/dim] tradefleet audit

    It exits with 1 when something is wrong, naming row and invariant.
    """
    import psycopg  # noqa: PLC0415 - imported by who runs it

    from tradefleet.store.audit import audit as check  # noqa: PLC0415
    from tradefleet.store.roles import Component  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    fleet = local_fleet(data_dir)
    fleet.supervisor()
    with psycopg.connect(fleet.url(Component.SUPERVISOR), autocommit=True) as connection:
        found = check(connection, fleet.home.facts().fleet)
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
    if found.findings:
        raise typer.Exit(EXIT_FOUND)


def verify_parity(
    bots: Annotated[list[str] | None, typer.Argument(metavar="BOT...", help="Names of bots.")] = None,
    data_dir: DataFolder = None,
    namespace: Namespace = DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="Every bot of the fleet.")] = False,
) -> None:
    """Fold a bot's recorded inputs again, from the beginning, and compare its orders byte for byte.

    [dim]$[/dim] tradefleet verify-parity quickstart-sma-cross-btc-usd

    It exits with 1 at the first difference, and shows it.
    """
    from governor.local.parity import verify  # noqa: PLC0415 - imported by who runs it

    from tradefleet.cli.strategy import import_from_here  # noqa: PLC0415
    from tradefleet.store.postgres.bot_database import BotDatabase  # noqa: PLC0415

    fleet = local_fleet(data_dir)
    with open_resources(fleet) as resources:
        chosen = bots_named(resources.all(), bots or [], namespace, all_bots=every)
    import_from_here()
    session = fleet.session()
    store = BotDatabase(session)
    is_same = True
    try:
        for bot in chosen:
            found = verify(store, BotUid(bot.metadata.uid or ""))
            is_same = is_same and found.is_same
            sys.stdout.write(f"{bot.metadata.namespace}/{bot.metadata.name}: {found}\n")
    finally:
        session.close()
    if not is_same:
        raise typer.Exit(EXIT_FOUND)
