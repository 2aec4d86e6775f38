"""`tradefleet results`: what the trials of a Backtest have found, out of the fleet's database."""

from typing import Annotated

import typer

from tradefleet.cli import printing
from tradefleet.cli.fleet_target import Context, DataFolder, Kubeconfig, Namespace, Place, named, open_fleet
from tradefleet.cli.trials_output import OUTPUTS, TrialQuery

LIMIT_MAX = 100_000


def results(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A Backtest.")],
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FORMAT", help="table, wide, json, yaml, csv, or html: a report.")
    ] = "table",
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=LIMIT_MAX, help="How many trials.")] = 20,
    question: Annotated[
        str, typer.Option(metavar="HASH", help="Results of an earlier spec, as the table's last lines name it.")
    ] = "",
) -> None:
    """Show the trials of a Backtest, the best first, and what failed.

    [dim]$[/dim] tradefleet results sma-grid

    [dim]$[/dim] tradefleet results sma-grid --context production -n research -o csv --limit 10000 > trials.csv

    [dim]$[/dim] tradefleet results what-if -o html > report.html
    """
    printing.check_output(output, OUTPUTS)
    place = Place(data_dir=data_dir, context=context, kubeconfig=kubeconfig, namespace=namespace)
    with open_fleet(place) as fleet:
        (backtest,) = named(fleet, ["bt", name.removeprefix("bt/").removeprefix("backtest/")])
        fleet.print_trials(backtest, TrialQuery(output, limit, question))
