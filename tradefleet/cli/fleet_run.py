"""`tradefleet up`, `down` and `apply`: start a fleet, stop it, change it."""

import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradefleet.cli.fleet_target import (
    Change,
    Context,
    DataFolder,
    Fleet,
    Kubeconfig,
    Namespace,
    Place,
    local_fleet,
    open_fleet,
    tell,
)
from tradefleet.cli.readiness import explain, stalled, unready
from tradefleet.domain.errors import Permanent

if TYPE_CHECKING:
    from tradefleet.resources.common import Resource, ResourceKey

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

    from tradefleet.cli.fleet_local import LocalTarget, code_folder, load_with_data  # noqa: PLC0415

    fleet = local_fleet(data_dir)
    fleet.refuse_if_running()
    loaded = load_with_data(files or [])
    if not loaded and not fleet.home.exists:
        raise Permanent(
            f"there is no fleet in {fleet.home.path} yet: name files with resources, such as examples/quickstart"
        )
    ports = {name: port for name, port in (("postgres", postgres_port), ("kafka", kafka_port)) if port is not None}
    if not fleet.home.exists:
        # All that there will be is in the files, so it can be checked before anything is made.
        FleetCheck(loaded)([each.resource for each in loaded])
    fleet.prepare(ports=ports, code_folder=code_folder(loaded))
    supervisor = fleet.start(tell, attached=foreground)
    with closing(LocalTarget(fleet, Place(data_dir=data_dir))) as target:
        try:
            _print_changes(target.apply(loaded, force=False))
        except BaseException:  # Ctrl-C included: a fleet that could not be made as asked does not stay half-made
            supervisor.stop(tell)
            raise
        try:
            is_ready = _wait_until_ready(target, timeout) if wait else True
        except KeyboardInterrupt:
            if not foreground:
                sys.stderr.write("the fleet runs on without being waited for; `tradefleet down` stops it\n")
            raise
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
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    force: Annotated[
        bool, typer.Option("--force", help="In Kubernetes: take over fields that somebody else keeps.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait until every resource is Ready; in Kubernetes, until those of the files are."),
    ] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait with --wait.")] = WAIT_S,
) -> None:
    """Change the running fleet to what the files say: all of it, or nothing when something in them is wrong.

    [dim]$[/dim] tradefleet apply bots.yaml

    [dim]$[/dim] tradefleet apply bots.yaml --context production -n paper --wait
    """
    place = Place(data_dir=data_dir, context=context, kubeconfig=kubeconfig, namespace=namespace)
    with open_fleet(place) as fleet:
        loaded = fleet.load(files)
        _print_changes(fleet.apply(loaded, force=force))
        if wait and not _wait_until_ready(fleet, timeout, fleet.waits_for(loaded)):
            raise typer.Exit(EXIT_FAILED)


def _print_changes(changes: "Sequence[Change]") -> None:
    for change in changes:
        sys.stdout.write(f"{change.key.kind.lower()}/{change.key.name} {change.verb}\n")


# --- waiting ----------------------------------------------------------------------------------------------------------


def _wait_until_ready(fleet: Fleet, timeout_s: float, keys: "Collection[ResourceKey] | None" = None) -> bool:
    """Return True once all resources, or those of `keys`, are Ready.

    Return False, after naming what is not, when that takes too long.
    """
    deadline_s = time.monotonic() + timeout_s
    show = _Progress()
    while True:
        found = _present(fleet, keys)
        waiting = unready(found)
        show(found, waiting)
        if found and not waiting:
            return True
        hopeless = stalled(found) if len(stalled(found)) == len(waiting) else []
        if hopeless or time.monotonic() > deadline_s:
            tell(f"not Ready:\n{explain(hopeless or waiting)}")
            return False
        fleet.check()
        time.sleep(fleet.look_s)


def _present(fleet: Fleet, keys: "Collection[ResourceKey] | None") -> "list[Resource]":
    if keys is None:
        return fleet.all()
    kinds = {key.kind for key in keys}
    spaces = sorted({key.namespace for key in keys})
    return [each for space in spaces for each in fleet.all(kinds, namespace=space) if each.key in keys]


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
