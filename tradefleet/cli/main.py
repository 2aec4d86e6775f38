"""`tradefleet`: the command line.

Each command lives in a module of its own, which is imported when the command is run and not before: `--help` must not
wait for pydantic. What a command is called and does stands here.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tradefleet.cli.entry import EXIT_INTERRUPTED
from tradefleet.domain.errors import FleetError, Permanent

EXIT_FAILED = 1  # the command could not do it: a strategy raised, a service is away
EXIT_WRONG_INPUT = 2  # the user must change something: a file, a field, an option

_LINE_BREAK = re.compile(r"(?<![\n\\])\n(?!\n)")  # inside a paragraph; after a backslash it belongs to a command

RESEARCH, FLEET, DATA = "Research", "Fleet", "Data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a command is found: a command of the Typer app `app` in `module`, or the app as a group of commands."""

    module: str
    help: str
    panel: str
    is_group: bool = False


def _fleet(help_text: str) -> Entry:
    return Entry(module="tradefleet.cli.fleet", help=help_text, panel=FLEET)


COMMANDS: dict[str, Entry] = {
    "backtest": Entry(
        module="tradefleet.cli.backtest", help="Run bots over history and rank them against holding.", panel=RESEARCH
    ),
    "strategy": Entry(
        module="tradefleet.cli.strategy",
        help="List strategies and describe their parameters.",
        panel=RESEARCH,
        is_group=True,
    ),
    "results": Entry(
        module="tradefleet.cli.fleet", help="Show the trials of a Backtest, the best first.", panel=RESEARCH
    ),
    "demo": _fleet("Watch a fleet trade history, then read its report."),
    "up": _fleet("Start a fleet on this machine from resource files."),
    "down": _fleet("Stop the fleet; a later up carries on."),
    "apply": _fleet("Change the running fleet to what the files say."),
    "get": _fleet("List resources and how they are doing."),
    "describe": _fleet("Show everything about one resource."),
    "logs": _fleet("Show what a bot, gateway or feed has logged."),
    "delete": _fleet("Delete resources, as their deletionPolicy says."),
    "pause": _fleet("Let a bot keep its position and take no new risk."),
    "resume": _fleet("Let a paused bot trade again."),
    "flatten": _fleet("Cancel a bot's orders and sell its position."),
    "rollout": _fleet("Bring a changed spec into force that waits for a word."),
    "rollback": _fleet("Go back to the last spec with which a bot ran well."),
    "halt": _fleet("Stop all new risk at once, or clear the halt."),
    "governor": Entry(
        module="tradefleet.cli.governor", help="Run the operator of a cluster, as the Helm chart does.", panel=FLEET
    ),
    "audit": _fleet("Check every invariant of the books."),
    "verify-parity": _fleet("Fold a bot's recorded inputs again and compare its orders."),
    "data": Entry(module="tradefleet.cli.data", help="Import and check candles.", panel=DATA, is_group=True),
    "topic": Entry(module="tradefleet.cli.topic", help="Read the fleet's messages.", panel=DATA, is_group=True),
    "db": Entry(module="tradefleet.cli.db", help="Upgrade and check the database's schema.", panel=DATA, is_group=True),
}


class LazyCommand(TyperCommand):
    """Stands for a command in listings; becomes the real one when it is run."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name=name, help=entry.help, rich_help_panel=entry.panel)
        self._entry = entry

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:  # noqa: ANN401 - Typer's own signature
        """Return the context of the real command, to which Typer hands over from there."""
        return self.load().make_context(info_name, args, parent=parent, **extra)

    def load(self) -> Any:  # noqa: ANN401 - a command of the Click that Typer carries inside
        """Return the real command."""
        assert self.name is not None
        loaded = typer.main.get_command(importlib.import_module(self._entry.module).app)
        if not self._entry.is_group and isinstance(loaded, TyperGroup):
            loaded = loaded.commands[self.name]
        _flow(loaded)
        return loaded


def _flow(command: Any) -> None:  # noqa: ANN401 - a command of the Click that Typer carries inside
    """Let the help of a command, or of a group's, fill the terminal's lines: Typer keeps those of a docstring."""
    if command.help:
        command.help = _LINE_BREAK.sub(" ", inspect.cleandoc(command.help))
    for each in getattr(command, "commands", {}).values():
        _flow(each)


class LazyGroup(TyperGroup):
    """The commands whose modules are installed."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - Typer's own signature
        super().__init__(**attributes)
        self.commands = {name: LazyCommand(name, entry) for name, entry in COMMANDS.items() if is_there(entry)}

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - Typer's own signature
        """Return the names in the order of `COMMANDS`, which is that of a reader."""
        return list(self.commands)


def is_there(entry: Entry) -> bool:
    """Return whether the command's module is installed."""
    return importlib.util.find_spec(entry.module) is not None


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - only for this option

        typer.echo(f"tradefleet {version('tradefleet')}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


@app.callback(
    epilog="Try [bold]tradefleet demo[/bold], then [bold]tradefleet backtest examples/quickstart[/bold]. "
    "[bold]tradefleet COMMAND --help[/bold] shows examples."
)
def tradefleet(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A declarative fleet of trading bots: the strategy that trades is the object that was backtested."""


def main(arguments: Sequence[str] | None = None, commands: typer.Typer | None = None) -> None:
    """Run the command line, or other commands, and exit.

    The status is 0 when done, 2 when the user must change something, 130 after Ctrl-C, else 1.
    """
    try:
        (commands or app)(None if arguments is None else list(arguments), prog_name="tradefleet")
    except FleetError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            sys.stderr.write(f"error: {line}\n")
        sys.exit(EXIT_WRONG_INPUT if isinstance(error, Permanent) else EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
