"""`tradefleet governor`: the operator of a cluster."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def governor(
    settings: Annotated[
        Path, typer.Option(metavar="FILE", help="What it looks after: the chart writes this file.", exists=True)
    ],
) -> None:
    """Keep the fleet of a cluster as its resources say, until told to end.

    The Helm chart runs this in a pod. Elsewhere it finds the API server by KUBECONFIG, and the database and the broker
    by the variables that every process of a fleet has.

    [dim]$[/dim] tradefleet governor --settings /etc/tradefleet/governor/governor.yaml
    """
    # kopf imports the official client where there is one, 10 MiB that nobody in this process uses. So it is refused.
    sys.modules.setdefault("kubernetes", None)  # type: ignore[arg-type]
    from governor.kubernetes.operator import run  # noqa: PLC0415 - kopf is imported by who runs it

    raise typer.Exit(run(settings))
