"""`tradefleet rollout` and `rollback`: a changed spec of a bot comes into force, or is taken back."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tradefleet.cli.fleet_change import AllBots, Bots
from tradefleet.cli.fleet_target import (
    AllNamespaces,
    Context,
    DataFolder,
    Kubeconfig,
    Namespace,
    Place,
    bots_named,
    open_fleet,
)
from tradefleet.domain.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradefleet.cli.fleet_target import Fleet
    from tradefleet.resources.trading_bot import GoodSpec, TradingBot


def rollout(
    bots: Bots = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    every: AllBots = False,
) -> None:
    """Bring changed specs of bots into force that wait because of updateStrategy Manual.

    What is brought into force is the spec as it is now: a later change waits again.

    [dim]$[/dim] tradefleet rollout alpha
    """
    place = Place(
        data_dir=data_dir, context=context, kubeconfig=kubeconfig, namespace=namespace, every_namespace=every_namespace
    )
    with open_fleet(place) as fleet:
        for bot in _bots(fleet, bots or [], every=every):
            if bot.spec.updates_by_itself:
                sys.stdout.write(f"tradingbot/{bot.metadata.name} takes over each change by itself\n")
                continue
            _bring_into_force(fleet, bot)
            sys.stdout.write(
                f"tradingbot/{bot.metadata.name} generation {bot.metadata.generation} of its spec comes into force\n"
            )


def rollback(
    bots: Annotated[list[str], typer.Argument(metavar="BOT...", help="Names of bots.")],
    to_generation: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Which spec, by its generation in status.history. Default: the newest."),
    ] = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
) -> None:
    """Go back to the last spec with which a bot ran well, and bring it into force.

    A bot that is Paused or Stopped stays so. Where resources are kept in Git, revert there: else this is undone.

    [dim]$[/dim] tradefleet rollback alpha
    """
    place = Place(
        data_dir=data_dir, context=context, kubeconfig=kubeconfig, namespace=namespace, every_namespace=every_namespace
    )
    with open_fleet(place) as fleet:
        found = [(bot, _good_spec(bot, to_generation)) for bot in _bots(fleet, bots)]  # all of them, or none
        for bot, good in found:
            fleet.replace_spec(bot.key, {**json.loads(good.spec), "state": str(bot.spec.state)})
            changed = next(each for each in _bots(fleet, [bot.metadata.name]) if each.key == bot.key)
            _bring_into_force(fleet, changed)
            sys.stdout.write(f"tradingbot/{bot.metadata.name} goes back to generation {good.generation} of its spec\n")


def _bots(fleet: "Fleet", names: "Sequence[str]", *, every: bool = False) -> "list[TradingBot]":
    from tradefleet.resources.trading_bot import TradingBot  # noqa: PLC0415 - imported by who runs it

    return [each for each in bots_named(fleet, names, all_bots=every) if isinstance(each, TradingBot)]


def _good_spec(bot: "TradingBot", to_generation: int | None) -> "GoodSpec":
    """Return the spec to go back to. Raises Permanent with the remedy when there is none."""
    from governor.annotations import is_owned  # noqa: PLC0415 - imported by who runs it
    from governor.rollout import good_before  # noqa: PLC0415

    name = bot.metadata.name
    if is_owned(bot):
        raise Permanent(f"TradingBot {name}: belongs to a BotSet, which would change it again: change the set")
    if to_generation is not None:
        good = next((each for each in bot.status.history if each.generation == to_generation), None)
    else:
        good = good_before(bot)
    if good is None:
        kept = ", ".join(str(each.generation) for each in bot.status.history)
        known = f"kept are the generations {kept}" if kept else "it has not run for a minute with any"
        raise Permanent(
            f"TradingBot {name}: there is no such spec to go back to: {known}: apply it from where you have it"
        )
    return good


def _bring_into_force(fleet: "Fleet", bot: "TradingBot") -> None:
    """Let the present generation of a bot's spec come into force, and no later one."""
    from governor.annotations import ROLLOUT_ANNOTATION  # noqa: PLC0415 - imported by who runs it

    if not bot.spec.updates_by_itself:
        fleet.annotate(bot.key, ROLLOUT_ANNOTATION, lambda _: str(bot.metadata.generation))
