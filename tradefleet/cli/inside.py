"""`python -m tradefleet.cli.inside`: what the command line runs in the Governor's pod, where the database is reached.

The fleet and its database are those of the environment, as every process of a fleet has them. The words are made by
`tradefleet.cli.cluster_fleet`; people use `tradefleet audit --context NAME` and its like.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

import typer

from tradefleet.cli.connection import FleetConnection, connect_fleet
from tradefleet.cli.main import main
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotUid

NEWEST = "-"  # the question that was asked last

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def audit(output: str) -> None:
    """Print an audit as table, json or yaml."""
    from tradefleet.cli.audit_output import run_audit  # noqa: PLC0415 - each word imports its own

    place = _here(os.environ)
    raise typer.Exit(run_audit(place.database_url.reveal(), place.fleet, output))


@app.command()
def books(uid: str) -> None:
    """Print a bot's open orders, last fills and wallet."""
    from tradefleet.cli.fleet_books import print_books  # noqa: PLC0415
    from tradefleet.store.postgres.session import Session  # noqa: PLC0415

    place = _here(os.environ)
    with closing(Session(place.database_url.reveal(), fleet=place.fleet, application="tradefleet")) as session:
        print_books(session, uid)


@app.command()
def trials(uid: str, name: str, output: str, limit: int, question: str) -> None:
    """Print the trials of a Backtest."""
    from tradefleet.cli.trials_output import TrialQuery, print_trials  # noqa: PLC0415
    from tradefleet.store.postgres.session import Session  # noqa: PLC0415

    place = _here(os.environ)
    query = TrialQuery(output, limit, "" if question == NEWEST else question)
    with closing(Session(place.database_url.reveal(), fleet=place.fleet, application="tradefleet")) as session:
        print_trials(session, uid, name, query)


@app.command("verify-parity")
def verify_parity(bots: list[str]) -> None:
    """Fold bots again, each given as UID=NAMESPACE/NAME."""
    from tradefleet.cli.parity_output import verify_bots  # noqa: PLC0415
    from tradefleet.store.postgres.session import Session  # noqa: PLC0415

    place = _here(os.environ)
    with closing(Session(place.database_url.reveal(), fleet=place.fleet, application="tradefleet")) as session:
        raise typer.Exit(verify_bots(session, named(bots)))


def named(words: Sequence[str]) -> dict[BotUid, str]:
    """Return names by UID from words such as UID=NAMESPACE/NAME. Raises Permanent."""
    found = {}
    for word in words:
        uid, separator, name = word.partition("=")
        if not (uid and separator and name):
            raise Permanent(f"{word!r}: write UID=NAMESPACE/NAME")
        found[BotUid(uid)] = name
    return found


def _here(environment: Mapping[str, str]) -> FleetConnection:
    return connect_fleet(None, environment)


if __name__ == "__main__":
    main(sys.argv[1:], app)
