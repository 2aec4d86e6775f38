"""`tradefleet strategy`: what strategies there are, and what their parameters mean."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="List strategies and describe their parameters.\n\n"
    "[dim]$[/dim] tradefleet strategy list\n\n"
    "[dim]$[/dim] tradefleet strategy describe sma-cross\n\n"
    "[dim]$[/dim] tradefleet strategy describe mybots.trend:Breakout",
)

OUTPUTS = ("table", "json", "yaml")


def import_from_here() -> None:
    """Let `module:Class` be found in the folder that the user stands in, as `python -m` would."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


@app.command("list")
def list_strategies(
    output: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml.")] = "table",
) -> None:
    """List the built-in strategies with their parameters.

    [dim]$[/dim] tradefleet strategy list
    """
    from tradefleet.cli import printing  # noqa: PLC0415 - the machines are imported by who runs them
    from workloads.strategy.registry import BUILTINS, load_strategy  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    found = [load_strategy(name).describe() for name in BUILTINS]
    if output != "table":
        printing.print_values([_values(one) for one in found], output)
        return
    rows = [
        [one.name, one.doc.partition("\n")[0], ", ".join(f"{each.name}={each.default}" for each in one.parameters)]
        for one in found
    ]
    printing.print_rows(["Strategy", "What it does", "Parameters and defaults"], rows)
    typer.echo("\nYour own class is named module:Class. `tradefleet strategy describe NAME` tells more of each.")


@app.command("describe")
def describe_strategy(
    name: Annotated[str, typer.Argument(help="A built-in strategy, or your own class written module:Class.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml.")] = "table",
) -> None:
    """Show what a strategy does, and each of its parameters with range and default.

    [dim]$[/dim] tradefleet strategy describe sma-cross

    [dim]$[/dim] tradefleet strategy describe mybots.trend:Breakout -o yaml
    """
    from tradefleet.cli import printing  # noqa: PLC0415
    from workloads.strategy.registry import load_strategy  # noqa: PLC0415

    printing.check_output(output, OUTPUTS)
    import_from_here()
    description = load_strategy(name).describe()
    if output != "table":
        printing.print_values(_values(description), output)
        return
    typer.echo(f"{description.name}\n\n{description.doc}\n")
    rows = [[each.name, each.type, str(each.default), each.rule, each.doc] for each in description.parameters]
    if rows:
        printing.print_rows(["Parameter", "Type", "Default", "Allowed", "Meaning"], rows)
    else:
        typer.echo("It has no parameters.")


def _values(description: object) -> dict[str, object]:
    """Return a strategy's description as plain values; what is open or empty is left out."""
    from workloads.strategy.api import StrategyDescription  # noqa: PLC0415

    assert isinstance(description, StrategyDescription)
    parameters = []
    for each in description.parameters:
        values: dict[str, object] = {"name": each.name, "type": each.type, "default": each.default}
        if each.least is not None:
            values["min"] = each.least
        if each.most is not None:
            values["max"] = each.most
        if each.choices is not None:
            values["choices"] = list(each.choices)
        if each.doc:
            values["doc"] = each.doc
        parameters.append(values)
    return {"name": description.name, "doc": description.doc, "parameters": parameters}
