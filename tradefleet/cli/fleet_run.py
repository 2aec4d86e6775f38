"""`tradefleet up`, `down` and `apply`: start a fleet, stop it, change it."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradefleet.cli.fleet_target import DataFolder, local_fleet, open_resources, tell
from tradefleet.domain.errors import Permanent, Retryable

if TYPE_CHECKING:
    from governor.local.fleet import LocalFleet
    from governor.local.resources import Change

    from tradefleet.resources.common import Resource
    from tradefleet.resources.load import Loaded

EXIT_FAILED: Final = 1
WAIT_S: Final = 180.0
LOOK_S: Final = 0.3

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILES...", help="YAML files or folders with resources; - is standard input."),
]


def up(
    files: Files = None,
    data_dir: DataFolder = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every resource is Ready.")] = True,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and stop the fleet with Ctrl-C or when this process ends.")
    ] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait until all are Ready.")] = WAIT_S,
    postgres_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port of Postgres. Default: a free one.")
    ] = None,
    kafka_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port of Kafka. Default: a free one.")
    ] = None,
) -> None:
    """Start a fleet on this machine from resource files.

    A stopped fleet carries on where it was, with or without files. Everything it has lies in its data folder; several
    fleets run side by side in folders of their own.

    [dim]$[/dim] tradefleet up examples/quickstart

    [dim]$[/dim] tradefleet up

    It exits with 0 when everything is Ready, with 1 when something is not (and names it), with 2 when something in the
    files is wrong or the fleet is running already.
    """
    from governor.local.applying import FleetCheck  # noqa: PLC0415 - imported by who runs it

    fleet = local_fleet(data_dir)
    fleet.refuse_if_running()
    loaded = _loaded(files or [])
    if not loaded and not fleet.home.exists:
        raise Permanent(
            f"there is no fleet in {fleet.home.path} yet: name files with resources, such as examples/quickstart"
        )
    ports = {name: port for name, port in (("postgres", postgres_port), ("kafka", kafka_port)) if port is not None}
    if not fleet.home.exists:
        # All that there will be is in the files, so it can be checked before anything is made.
        FleetCheck(loaded)([each.resource for each in loaded])
    fleet.prepare(ports=ports, code_folder=_code_folder(loaded))
    supervisor = fleet.start(tell, attached=foreground)
    try:
        _apply(fleet, loaded)
    except BaseException:  # Ctrl-C included: a fleet that could not be made as asked does not stay half-made
        supervisor.stop(tell)
        raise
    is_ready = _wait_until_ready(fleet, timeout) if wait else True
    sys.stdout.write(f"the fleet is {'up' if is_ready else 'running'}: {fleet.home.path}\n")
    if foreground:
        try:
            while supervisor.is_alive:
                time.sleep(LOOK_S)
        finally:
            supervisor.stop(tell)
    elif not is_ready:
        raise typer.Exit(EXIT_FAILED)


def down(data_dir: DataFolder = None) -> None:
    """Stop the fleet; a later up carries on.

    Open orders stay as they are. No process is left behind.

    [dim]$[/dim] tradefleet down
    """
    fleet = local_fleet(data_dir)
    fleet.home.facts()
    if not fleet.is_running:
        sys.stdout.write(f"the fleet in {fleet.home.path} is stopped already\n")
        return
    fleet.supervisor().stop(tell)
    sys.stdout.write("the fleet is stopped; `tradefleet up` carries on\n")


def apply(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="YAML files or folders with resources; - is standard input.")
    ],
    data_dir: DataFolder = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every resource is Ready.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait with --wait.")] = WAIT_S,
) -> None:
    """Change the running fleet to what the files say: all of it, or nothing when something in them is wrong.

    [dim]$[/dim] tradefleet apply bots.yaml
    """
    fleet = local_fleet(data_dir)
    fleet.supervisor()
    loaded = _loaded(files)
    folder = _code_folder(loaded)
    if folder is not None:
        fleet.add_code_folder(folder)
    _apply(fleet, loaded)
    if wait and not _wait_until_ready(fleet, timeout):
        raise typer.Exit(EXIT_FAILED)


# --- files ------------------------------------------------------------------------------------------------------------


def _loaded(files: Sequence[str]) -> "list[Loaded]":
    """Return the resources of files, with their data read and found sound. Raises InvalidResource."""
    from governor.local.applying import check_data, with_absolute_paths  # noqa: PLC0415 - imported by who runs it

    from tradefleet.cli.strategy import import_from_here  # noqa: PLC0415
    from tradefleet.resources.load import load  # noqa: PLC0415

    if not files:
        return []
    import_from_here()
    loaded = with_absolute_paths(load(files))
    check_data(loaded, tell if sys.stderr.isatty() else _silent)
    return loaded


def _silent(text: str) -> None:
    del text


def _apply(fleet: "LocalFleet", loaded: "Sequence[Loaded]") -> "list[Change]":
    """Apply resources in one transaction and print what became of each. Raises InvalidResource."""
    from governor.local.applying import FleetCheck, located  # noqa: PLC0415

    from tradefleet.resources.problems import InvalidResource  # noqa: PLC0415

    if not loaded:
        return []
    check = FleetCheck(loaded)
    with open_resources(fleet) as resources:
        check.remember(resources.all())
        try:
            changes = resources.apply([each.resource for each in loaded], check=check)
        except InvalidResource as error:
            raise located(error, loaded) from error
    for change in changes:
        sys.stdout.write(f"{change.key.kind.lower()}/{change.key.name} {change.verb}\n")
    return changes


def _code_folder(loaded: "Sequence[Loaded]") -> Path | None:
    """Return the folder that the user's own strategies are imported from, when there are some."""
    from governor.local.applying import has_foreign_strategy  # noqa: PLC0415

    return Path.cwd() if any(has_foreign_strategy(each.resource) for each in loaded) else None


# --- waiting ----------------------------------------------------------------------------------------------------------


def _wait_until_ready(fleet: "LocalFleet", timeout_s: float) -> bool:
    """Return True once every resource is Ready; False, after naming what is not, when that takes too long."""
    from governor.local.fleet import explain, stalled, unready  # noqa: PLC0415

    deadline_s = time.monotonic() + timeout_s
    show = _Progress()
    with open_resources(fleet) as resources:
        while True:
            found = resources.all()
            waiting = unready(found)
            show(found, waiting)
            if found and not waiting:
                return True
            hopeless = stalled(found) if len(stalled(found)) == len(waiting) else []
            if hopeless or time.monotonic() > deadline_s:
                tell(f"not Ready:\n{explain(hopeless or waiting)}")
                return False
            if not fleet.is_running:
                raise Retryable(f"the fleet's supervisor ended; its log is {fleet.home.log('supervisor')}")
            time.sleep(LOOK_S)


class _Progress:
    """Says how many resources are Ready, when that changes."""

    def __init__(self, say: Callable[[str], None] = tell) -> None:
        self._say = say
        self._last = ""

    def __call__(self, found: "Sequence[Resource]", waiting: "Sequence[Resource]") -> None:
        text = f"{len(found) - len(waiting)} of {len(found)} resources are Ready"
        if text != self._last:
            self._last = text
            self._say(text)
