"""`tradefleet db`: the schema of the fleet's database."""

import time
from typing import Annotated, Final

import typer

from tradefleet.domain.errors import Permanent, Retryable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Upgrade and check the schema of the fleet's database (TRADEFLEET_DATABASE_URL). A local fleet does this by "
    "itself; these are for a database of your own.\n\n"
    "[dim]$[/dim] tradefleet db upgrade\n\n"
    "[dim]$[/dim] tradefleet db check",
)

EXIT_DIFFERENT = 1
NOTHING = "none"
RETRY_S: Final = 0.5


@app.command()
def upgrade(
    wait: Annotated[
        int,
        typer.Option("--wait", min=0, max=3600, metavar="SECONDS", help="Wait for a database that does not answer."),
    ] = 0,
) -> None:
    """Bring the database to this release's schema; nothing changes when it is there already.

    [dim]$[/dim] tradefleet db upgrade
    """
    from tradefleet.store import schema  # noqa: PLC0415 - Alembic is imported by who runs it

    url = _url()
    deadline = time.monotonic() + wait
    while True:
        try:
            before = schema.upgrade(url)
            break
        except Retryable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_S)
    if before.is_current:
        typer.echo(f"The schema is at {before.wanted} already; functions and roles were put in place again.")
    else:
        typer.echo(f"Upgraded the schema from {before.found or NOTHING} to {before.wanted}.")


@app.command()
def downgrade(
    revision: Annotated[
        str, typer.Argument(help='The revision to go back to; "base" removes the schema with all its data.')
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the schema back to an older revision. What only the newer one can hold is lost.

    [dim]$[/dim] tradefleet db downgrade 0001 --yes
    """
    from tradefleet.store import schema  # noqa: PLC0415 - Alembic is imported by who runs it

    url = _url()
    found = schema.current(url)
    question = f"Take the schema back from {found.found or NOTHING} to {revision} and lose what only the newer holds?"
    if not yes and not typer.confirm(question):
        raise Permanent("downgrade: not confirmed, nothing was changed; --yes confirms")
    before = schema.downgrade(url, revision)
    typer.echo(f"Took the schema back from {before.found} to {revision}.")


@app.command()
def current() -> None:
    """Show the database's revision and the one this release needs.

    [dim]$[/dim] tradefleet db current
    """
    from tradefleet.store import schema  # noqa: PLC0415 - Alembic is imported by who runs it

    version = schema.current(_url())
    remedy = "" if version.is_current else ": run `tradefleet db upgrade`"
    typer.echo(f"The database is at {version.found or NOTHING}, this release needs {version.wanted}{remedy}.")


@app.command()
def check() -> None:
    """Compare the database with this release, table by table; exit status 1 when they differ.

    [dim]$[/dim] tradefleet db check
    """
    from tradefleet.store import schema  # noqa: PLC0415 - Alembic is imported by who runs it

    differences = schema.check(_url())
    for difference in differences:
        typer.echo(difference)
    if differences:
        raise typer.Exit(EXIT_DIFFERENT)
    typer.echo("The database is what this release works with.")


def _url() -> str:
    from tradefleet.cli.connection import connect_fleet  # noqa: PLC0415 - needed by no --help

    return connect_fleet().database_url.reveal()
