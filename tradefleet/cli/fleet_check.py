"""`tradefleet audit` and `verify-parity`: whether a fleet's books and its bots' decisions are what they must be."""

from typing import Annotated, Final

import typer

from tradefleet.cli import printing
from tradefleet.cli.fleet_target import (
    AllNamespaces,
    Context,
    DataFolder,
    Kubeconfig,
    Namespace,
    Place,
    bots_named,
    open_fleet,
)

OUTPUTS: Final = ("table", "json", "yaml")

Output = Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml.")]


def audit(
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    output: Output = "table",
) -> None:
    """Check every invariant of the books, on the fleet as it runs.

    [dim]$[/dim] tradefleet audit

    [dim]$[/dim] tradefleet audit --context production -n tradefleet

    It exits with 1 when something is wrong, naming row and invariant. In Kubernetes it runs in the Governor's pod,
    which reaches the database; the namespace is one of the fleet's.
    """
    printing.check_output(output, OUTPUTS)
    place = Place(data_dir=data_dir, context=context, kubeconfig=kubeconfig, namespace=namespace)
    with open_fleet(place) as fleet:
        status = fleet.audit(output)
    if status:
        raise typer.Exit(status)


def verify_parity(
    bots: Annotated[list[str] | None, typer.Argument(metavar="BOT...", help="Names of bots.")] = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    every: Annotated[bool, typer.Option("--all", help="Every bot of the fleet.")] = False,
) -> None:
    """Fold a bot's recorded inputs again, from the beginning, and compare its orders byte for byte.

    [dim]$[/dim] tradefleet verify-parity quickstart-sma-cross-btc-usd

    It exits with 1 at the first difference, and shows it. In Kubernetes it runs in the Governor's pod.
    """
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        status = fleet.verify_parity(bots_named(fleet, bots or [], all_bots=every))
    if status:
        raise typer.Exit(status)
