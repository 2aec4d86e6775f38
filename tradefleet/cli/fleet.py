"""The commands of a fleet, each from the module that holds it."""

import typer

from tradefleet.cli.fleet_demo import demo

app = typer.Typer(rich_markup_mode="rich")
app.command()(demo)


@app.callback()
def fleet() -> None:
    """A fleet on this machine."""
