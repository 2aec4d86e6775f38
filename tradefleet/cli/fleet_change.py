"""`tradefleet delete`, `pause`, `resume`, `flatten` and `halt`: what a person does to a fleet that runs."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradefleet.cli.fleet_target import (
    AllNamespaces,
    Context,
    DataFolder,
    Fleet,
    Kubeconfig,
    Namespace,
    Place,
    bots_named,
    in_namespace,
    named,
    open_fleet,
    tell,
)
from tradefleet.domain.errors import Permanent

if TYPE_CHECKING:
    from tradefleet.resources.common import Resource, ResourceKey

EXIT_FAILED: Final = 1
WAIT_S: Final = 60.0
HALT_S: Final = 30.0

Bots = Annotated[list[str] | None, typer.Argument(metavar="BOT...", help="Names of bots.")]
AllBots = Annotated[bool, typer.Option("--all", help="Every bot of the fleet.")]


def delete(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="KIND NAME...", help="What to delete, such as tb alpha, or tb/alpha.")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("-f", "--filename", metavar="FILE", help="Delete what a file of resources names."),
    ] = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they are gone.")] = True,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Let bots go at once, for one whose end hangs: their orders and positions stay as they are."
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait; the deletion goes on afterwards.")
    ] = WAIT_S,
) -> None:
    """Delete resources, as their deletionPolicy says: a bot's orders are canceled, its position sold, or all is kept.

    [dim]$[/dim] tradefleet delete tb quickstart-grid-btc-usd

    [dim]$[/dim] tradefleet delete -f examples/quickstart

    A bot that cannot end says in its status why. Only when that cannot be mended: --force cancels and sells nothing.
    """
    from governor.annotations import LET_GO_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    from tradefleet.resources.load import load  # noqa: PLC0415 - only who names files

    if not words and not files:
        raise Permanent("name what to delete: KIND NAME, or files with -f")
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        keys = {each.key for each in named(fleet, words)} if words else set()
        loaded = in_namespace(load(files or []), fleet.namespace, is_asked_for=namespace is not None)
        keys |= {each.resource.key for each in loaded} & _there(fleet, {each.resource.key for each in loaded}).keys()
        for key in sorted(fleet.delete(keys)):
            sys.stdout.write(f"{key.kind.lower()}/{key.name} deletion asked for\n")
        # Noted after the deletion: on a bot that trades on, the note would count when it is deleted one day.
        for key in sorted(_there(fleet, {key for key in keys if force and key.kind == "TradingBot"})):
            fleet.annotate(key, LET_GO_ANNOTATION, lambda _: "true")
            sys.stdout.write(f"tradingbot/{key.name} let go: what it has open at the venue stays\n")
        if wait and not _wait_until_gone(fleet, keys, timeout):
            raise typer.Exit(EXIT_FAILED)


def _there(fleet: Fleet, keys: "set[ResourceKey]") -> "dict[ResourceKey, Resource]":
    """Return the resources of these keys that are there."""
    found = {}
    for namespace in {key.namespace for key in keys}:
        kinds = {key.kind for key in keys if key.namespace == namespace}
        found.update({each.key: each for each in fleet.all(kinds, namespace=namespace) if each.key in keys})
    return found


def _wait_until_gone(fleet: Fleet, keys: "set[ResourceKey]", timeout_s: float) -> bool:
    """Return True once all are gone; False, after saying what they wait for, when that takes too long."""
    deadline_s = time.monotonic() + timeout_s
    gone: set[ResourceKey] = set()
    while True:
        there = _there(fleet, keys - gone)
        for key in sorted(keys - gone - there.keys()):
            gone.add(key)
            sys.stdout.write(f"{key.kind.lower()}/{key.name} deleted\n")
        remaining = list(there.values())
        if not remaining:
            return True
        if time.monotonic() > deadline_s:
            for each in remaining:
                tell(f"{each.key}: still {each.status.phase or 'there'}: {each.status.reason or 'no reason given yet'}")
            return False
        time.sleep(fleet.look_s)


def pause(
    bots: Bots = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    every: AllBots = False,
) -> None:
    """Let bots keep orders and position, and take no new risk.

    [dim]$[/dim] tradefleet pause quickstart-sma-cross-btc-usd
    """
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        _set_state("Paused", "paused", bots_named(fleet, bots or [], all_bots=every), fleet)


def resume(
    bots: Bots = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    every: AllBots = False,
    reopen: Annotated[
        bool,
        typer.Option(
            "--reopen",
            help="Also let it take risk again after a drawdown, or after something that could not be applied or read.",
        ),
    ] = False,
    skip_request: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Also leave out request N of a bot, which its status calls unreadable."),
    ] = None,
) -> None:
    """Let paused or stopped bots trade again.

    What made a bot stop by itself, its status says: see to it first, then reopen the bot.

    [dim]$[/dim] tradefleet resume quickstart-sma-cross-btc-usd

    [dim]$[/dim] tradefleet resume quickstart-sma-cross-btc-usd --reopen
    """
    from governor.annotations import REOPEN_ANNOTATION, SKIP_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    if skip_request is not None and (every or len(bots or []) != 1):
        raise Permanent("--skip-request is about one bot: name it, and no other")
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        chosen = bots_named(fleet, bots or [], all_bots=every)
        for bot in chosen:
            if skip_request is not None:
                fleet.annotate(bot.key, SKIP_ANNOTATION, lambda _: str(skip_request))
                sys.stdout.write(f"tradingbot/{bot.metadata.name} leaves out request {skip_request}\n")
            if reopen:
                fleet.annotate(bot.key, REOPEN_ANNOTATION, _one_more)
                sys.stdout.write(f"tradingbot/{bot.metadata.name} is being reopened\n")
        _set_state("Running", "resumed", chosen, fleet)


def _one_more(before: str | None) -> str:
    """Return the count after one more request."""
    return str(int(before or "0") + 1)


def _set_state(state: str, done: str, chosen: "Sequence[Resource]", fleet: Fleet) -> None:
    from governor.annotations import OWNER_ANNOTATION, STATE_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    for bot in chosen:
        if OWNER_ANNOTATION in bot.metadata.annotations:
            fleet.annotate(bot.key, STATE_ANNOTATION, lambda _: state)
        # The Governor may have set what the note asks for by the time that the spec is looked at.
        was_other = bot.body()["spec"].get("state") != state
        changed = fleet.change_spec(bot.key, {"state": state}) or was_other
        sys.stdout.write(f"tradingbot/{bot.metadata.name} {done if changed else f'is {state} already'}\n")


def flatten(
    bots: Bots = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    every: AllBots = False,
) -> None:
    """Cancel bots' orders and sell their positions, once. A running bot may buy again: pause it first.

    [dim]$[/dim] tradefleet flatten quickstart-sma-cross-btc-usd
    """
    from governor.annotations import FLATTEN_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        for bot in bots_named(fleet, bots or [], all_bots=every):
            fleet.annotate(bot.key, FLATTEN_ANNOTATION, _one_more)
            sys.stdout.write(f"tradingbot/{bot.metadata.name} is being flattened\n")


def halt(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND NAME...]", help="Bots or exchanges. Default: the whole fleet.")
    ] = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; shown wherever the halt shows.")
    ] = "asked for by a person",
    clear: Annotated[bool, typer.Option("--clear", help="End the halt.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the halts that are on, and change nothing.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait until it is obeyed, in Kubernetes.")
    ] = HALT_S,
) -> None:
    """Stop all new risk at once, or clear the halt. Cancels and sales go on.

    When it returns, no order that raises a position is accepted or sent any more.

    [dim]$[/dim] tradefleet halt --reason "the exchange looks wrong"

    [dim]$[/dim] tradefleet halt tb/quickstart-sma-cross-btc-usd

    [dim]$[/dim] tradefleet halt --clear

    [dim]$[/dim] tradefleet halt --context production -A

    In Kubernetes it is a RiskPolicy with `halt: true`, over the bots of the namespace, or of all with -A, or over the
    bots that are named or trade on the exchanges that are named; it returns when the Governor says that it is obeyed.
    """
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        if show:
            said = fleet.halts() or ["there is no halt"]
        else:
            chosen = named(fleet, words) if words else []
            if clear:
                said = fleet.clear_halt(chosen, timeout_s=timeout)
            else:
                said = fleet.halt(chosen, reason=reason, timeout_s=timeout)
                command = ["tradefleet halt", *(words or []), *place.options(), "--clear"]
                said.append(f"it ends with `{' '.join(command)}`")
    sys.stdout.writelines(f"{each}\n" for each in said)
