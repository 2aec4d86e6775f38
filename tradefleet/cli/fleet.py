"""The commands of a fleet on this machine, each from the module that holds it."""

import typer

from tradefleet.cli.fleet_change import delete, flatten, halt, pause, resume
from tradefleet.cli.fleet_check import audit, verify_parity
from tradefleet.cli.fleet_demo import demo
from tradefleet.cli.fleet_get import describe, get, logs
from tradefleet.cli.fleet_rollout import rollback, rollout
from tradefleet.cli.fleet_run import apply, down, up
from tradefleet.cli.trials import results

app = typer.Typer(rich_markup_mode="rich")
for _command in (
    *(demo, up, down, apply, get, describe, results, logs),
    *(delete, pause, resume, flatten, rollout, rollback, halt, audit, verify_parity),
):
    app.command(_command.__name__.replace("_", "-"))(_command)
