"""`tradefleet delete`, `pause`, `resume`, `flatten` and `halt`: what a person does to a fleet that runs."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tradefleet.cli.fleet_target import (
    DEFAULT,
    DataFolder,
    Namespace,
    bots_named,
    local_fleet,
    named,
    open_resources,
    tell,
)
from tradefleet.domain.errors import Permanent

if TYPE_CHECKING:
    from governor.local.fleet import LocalFleet
    from governor.local.resources import LocalResources

    from tradefleet.resources.common import Resource, ResourceKey

EXIT_FAILED: Final = 1
WAIT_S: Final = 60.0
LOOK_S: Final = 0.3

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
    namespace: Namespace = DEFAULT,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they are gone.")] = True,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait; the deletion goes on afterwards.")
    ] = WAIT_S,
) -> None:
    """Delete resources, as their deletionPolicy says: a bot's orders are canceled, its position sold, or all is kept.

    [dim]$[/dim] tradefleet delete tb quickstart-grid-btc-usd

    [dim]$[/dim] tradefleet delete -f examples/quickstart
    """
    from tradefleet.resources.load import load  # noqa: PLC0415 - only who names files

    if not words and not files:
        raise Permanent("name what to delete: KIND NAME, or files with -f")
    with open_resources(local_fleet(data_dir)) as resources:
        there = resources.all()
        keys = {each.key for each in named(there, words, namespace)} if words else set()
        known = {each.key for each in there}
        keys |= {each.resource.key for each in load(files or [])} & known
        for key in resources.delete(keys):
            sys.stdout.write(f"{key.kind.lower()}/{key.name} deletion asked for\n")
        if wait and not _wait_until_gone(resources, keys, timeout):
            raise typer.Exit(EXIT_FAILED)


def _wait_until_gone(resources: "LocalResources", keys: "set[ResourceKey]", timeout_s: float) -> bool:
    """Return True once all are gone; False, after saying what they wait for, when that takes too long."""
    deadline_s = time.monotonic() + timeout_s
    gone: set[ResourceKey] = set()
    while True:
        there = {each.key: each for each in resources.all()}
        for key in sorted(keys - gone - there.keys()):
            gone.add(key)
            sys.stdout.write(f"{key.kind.lower()}/{key.name} deleted\n")
        remaining = [each for key, each in there.items() if key in keys]
        if not remaining:
            return True
        if time.monotonic() > deadline_s:
            for each in remaining:
                tell(f"{each.key}: still {each.status.phase or 'there'}: {each.status.reason or 'no reason given yet'}")
            return False
        time.sleep(LOOK_S)


def pause(
    bots: Bots = None, data_dir: DataFolder = None, namespace: Namespace = DEFAULT, every: AllBots = False
) -> None:
    """Let bots keep orders and position, and take no new risk.

    [dim]$[/dim] tradefleet pause quickstart-sma-cross-btc-usd
    """
    _set_state("Paused", "paused", bots, local_fleet(data_dir), namespace, every=every)


def resume(
    bots: Bots = None,
    data_dir: DataFolder = None,
    namespace: Namespace = DEFAULT,
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
    fleet = local_fleet(data_dir)
    with open_resources(fleet) as resources:
        for bot in bots_named(resources.all(), bots or [], namespace, all_bots=every):
            if skip_request is not None:
                resources.annotate(bot.key, SKIP_ANNOTATION, lambda _: str(skip_request))
                sys.stdout.write(f"tradingbot/{bot.metadata.name} leaves out request {skip_request}\n")
            if reopen:
                resources.annotate(bot.key, REOPEN_ANNOTATION, _one_more)
                sys.stdout.write(f"tradingbot/{bot.metadata.name} is being reopened\n")
    _set_state("Running", "resumed", bots, fleet, namespace, every=every)


def _one_more(before: str | None) -> str:
    """Return the count after one more request."""
    return str(int(before or "0") + 1)


def _set_state(
    state: str, done: str, names: Sequence[str] | None, fleet: "LocalFleet", namespace: str, *, every: bool
) -> None:
    from governor.annotations import OWNER_ANNOTATION, STATE_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    with open_resources(fleet) as resources:
        for bot in bots_named(resources.all(), names or [], namespace, all_bots=every):
            if OWNER_ANNOTATION in bot.metadata.annotations:
                resources.annotate(bot.key, STATE_ANNOTATION, lambda _: state)
            changed = resources.change_spec(bot.key, {"state": state})
            sys.stdout.write(f"tradingbot/{bot.metadata.name} {done if changed else f'is {state} already'}\n")


def flatten(
    bots: Bots = None, data_dir: DataFolder = None, namespace: Namespace = DEFAULT, every: AllBots = False
) -> None:
    """Cancel bots' orders and sell their positions, once. A running bot may buy again: pause it first.

    [dim]$[/dim] tradefleet flatten quickstart-sma-cross-btc-usd
    """
    from governor.annotations import FLATTEN_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    with open_resources(local_fleet(data_dir)) as resources:
        for bot in bots_named(resources.all(), bots or [], namespace, all_bots=every):
            resources.annotate(bot.key, FLATTEN_ANNOTATION, _one_more)
            sys.stdout.write(f"tradingbot/{bot.metadata.name} is being flattened\n")


def halt(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND NAME...]", help="Bots or exchanges. Default: the whole fleet.")
    ] = None,
    data_dir: DataFolder = None,
    namespace: Namespace = DEFAULT,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; shown wherever the halt shows.")
    ] = "asked for by a person",
    clear: Annotated[bool, typer.Option("--clear", help="End the halt.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the halts that are on, and change nothing.")] = False,
) -> None:
    """Stop all new risk at once, or clear the halt. Cancels and sales go on.

    When it returns, no order that raises a position is accepted or sent any more.

    [dim]$[/dim] tradefleet halt --reason "the exchange looks wrong"

    [dim]$[/dim] tradefleet halt tb/quickstart-sma-cross-btc-usd

    [dim]$[/dim] tradefleet halt --clear
    """
    from governor.local.fleet import user_name  # noqa: PLC0415 - imported by who runs it

    from tradefleet.store.postgres.halts import PostgresHaltStore  # noqa: PLC0415

    fleet = local_fleet(data_dir)
    with open_resources(fleet) as resources:
        scopes = [_scope(each) for each in named(resources.all(), words, namespace)] if words else ["fleet"]
    session = fleet.session()
    try:
        halts = PostgresHaltStore(session)
        for scope in () if show else scopes:
            if clear:
                halts.clear_halt(scope, set_by=user_name())
                sys.stdout.write(f"the halt of {scope} is cleared\n")
            else:
                halts.set_halt(scope, reason=reason, set_by=user_name())
                sys.stdout.write(f"{scope} is halted: {reason}\n")
        if show:
            active = [f"{each.scope} is halted by {each.set_by}: {each.reason}\n" for each in halts.active_halts()]
            sys.stdout.writelines(active or ["there is no halt\n"])
        elif not clear:
            sys.stdout.write(f"it ends with `{' '.join(['tradefleet halt', *(words or []), '--clear'])}`\n")
    finally:
        session.close()


def _scope(resource: "Resource") -> str:
    from tradefleet.resources.exchange import Exchange  # noqa: PLC0415

    key = f"{resource.metadata.namespace}/{resource.metadata.name}"
    if isinstance(resource, Exchange):
        return f"account/{key}:{resource.spec.account}"
    if resource.kind == "TradingBot":
        return f"bot/{key}"
    raise Permanent(f"{resource.key}: only bots, exchanges and the whole fleet can be halted")
