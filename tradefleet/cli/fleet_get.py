"""`tradefleet get`, `describe` and `logs`: how a fleet is doing, as a kubectl user expects to see it."""

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from tradefleet.cli import printing
from tradefleet.cli.fleet_target import (
    AllNamespaces,
    Context,
    DataFolder,
    Event,
    Fleet,
    Kubeconfig,
    LogQuery,
    Namespace,
    NotFound,
    Place,
    kind_called,
    named,
    open_fleet,
    tell,
)
from tradefleet.cli.log_lines import print_line, seconds_of
from tradefleet.cli.trials_output import TrialQuery
from tradefleet.domain.errors import FleetError
from tradefleet.resources.common import PrinterColumn, Resource
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.load import dump

OUTPUTS: Final = ("table", "wide", "json", "yaml", "name")
WATCH_S: Final = 1.0
LINES: Final = 100
EVENTS: Final = 15
BEST: Final = 10  # trials of a Backtest
NOTHING: Final = "<none>"
AMOUNTS: Final = ("Equity", "VsHold")
DISPENSABLE: Final = ("Age", "Mode", "Instruments", "Exchange", "Namespace")  # in a narrow window, the first ones first
_CONDITION: Final = re.compile(r"[.]status[.]conditions\[\?\(@[.]type==\"(?P<type>\w+)\"\)\][.](?P<field>\w+)")
_WARNED: Final = '.status.conditions[?(@.type=="Warning")].status'
_WARNING: Final = '.status.conditions[?(@.type=="Warning")].reason'

Output = Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, wide, json, yaml or name.")]


def get(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND [NAME...]]", help="A kind (tb, ex, fd, dset, bs, bt, rp, all) and names."),
    ] = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    output: Output = "table",
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Go on, and print what changes.")] = False,
) -> None:
    """List resources and how they are doing.

    [dim]$[/dim] tradefleet get

    [dim]$[/dim] tradefleet get tb -o wide

    [dim]$[/dim] tradefleet get tb/quickstart-sma-cross-btc-usd -o yaml

    [dim]$[/dim] tradefleet get tb --context production -A -w
    """
    printing.check_output(output, OUTPUTS)
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        chosen = _chosen(fleet, words or [])
        _print(chosen, output, fleet)
        shown = {each.metadata.uid: each for each in chosen}
        while watch:
            time.sleep(WATCH_S)
            found = _chosen(fleet, words or [], must_be_there=False)
            changed = [each for each in found if _differs(shown.get(each.metadata.uid), each)]
            shown = {each.metadata.uid: each for each in found}
            if changed:
                _print(changed, output, fleet, is_first=False)


def _differs(old: Resource | None, new: Resource) -> bool:
    return old is None or (old.status, old.metadata) != (new.status, new.metadata)


def _chosen(fleet: Fleet, words: Sequence[str], *, must_be_there: bool = True) -> list[Resource]:
    if not words or list(words) == ["all"]:
        return fleet.all()
    if len(words) == 1 and "/" not in words[0]:
        return fleet.all([kind_called(word).__name__ for word in words[0].split(",")])
    try:
        return named(fleet, words)
    except NotFound:
        if must_be_there:
            raise
        return []


def _print(chosen: Sequence[Resource], output: str, fleet: Fleet, *, is_first: bool = True) -> None:
    if output in ("json", "yaml"):
        sys.stdout.write(dump(chosen, output))
    elif output == "name":
        for each in chosen:
            sys.stdout.write(f"{each.kind.lower()}/{each.metadata.name}\n")
    elif not chosen:
        sys.stderr.write("no resources found\n")
    else:
        spaces = fleet.every_namespace or any(each.metadata.namespace != fleet.namespace for each in chosen)
        kinds = [kind for kind in KINDS.values() if any(each.kind == kind.__name__ for each in chosen)]
        for number, kind in enumerate(kinds):
            if number:
                sys.stdout.write("\n")
            of_kind = [each for each in chosen if each.kind == kind.__name__]
            _print_kind(kind, of_kind, output, spaces=spaces, is_first=is_first)
    sys.stdout.flush()


def _print_kind(kind: type[Resource], chosen: Sequence[Resource], output: str, *, spaces: bool, is_first: bool) -> None:
    columns = [each for each in kind.columns if output == "wide" or each.priority == 0]
    names = ["Namespace"] * spaces + ["Name", *(column.name for column in columns)]
    rows = [
        [each.metadata.namespace] * spaces + [each.metadata.name, *(cell(each, column) for column in columns)]
        for each in chosen
    ]
    numbers = [place for place, name in enumerate(names) if name in AMOUNTS]
    optional = [names.index(name) for name in DISPENSABLE if name in names]
    title = f"{kind.names.plural}.tradefleet.dev" if is_first else ""
    printing.print_rows(names, rows, numbers=numbers, optional=optional, title=title)


def cell(resource: Resource, column: PrinterColumn) -> str:
    """Return what a column of a resource shows. A phase says in brackets what it is warned of, such as a halt."""
    value = _at_path(resource.body(), column.path)
    if value is None:
        return NOTHING
    if column.name in AMOUNTS:
        return amount(str(value))
    if column.path == ".status.phase" and _at_path(resource.body(), _WARNED) == "True":
        return f"{value} ({_at_path(resource.body(), _WARNING)})"
    if column.type == "date":
        return age(str(value))
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)


def amount(text: str) -> str:
    """Return an amount of money as people read it: two places after the point, more for what is smaller than one."""
    value = Decimal(text)
    return f"{value:,.2f}" if abs(value) >= 1 or not value else f"{value:.8f}".rstrip("0")


def _at_path(body: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - JSON is what it is
    condition = _CONDITION.fullmatch(path)
    if condition is not None:
        for each in body.get("status", {}).get("conditions", ()):
            if each["type"] == condition["type"]:
                return each.get(condition["field"])
        return None
    value: Any = body
    for step in path.lstrip(".").split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def age(since: str) -> str:
    """Return how long ago a time was, as kubectl says it: 42s, 5m, 3h, 2d."""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


# --- describe ---------------------------------------------------------------------------------------------------------


def describe(
    words: Annotated[list[str], typer.Argument(metavar="KIND NAME...", help="What to describe, such as tb alpha.")],
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
) -> None:
    """Show everything about a resource: conditions, limits, orders, fills.

    [dim]$[/dim] tradefleet describe tb quickstart-sma-cross-btc-usd
    """
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    with open_fleet(place) as fleet:
        for number, each in enumerate(named(fleet, words)):
            if number:
                sys.stdout.write("\n")
            _describe(each)
            if each.kind == "TradingBot":
                fleet.print_books(each)
            if each.kind == "Backtest" and _has_results(each):
                sys.stdout.write("\n")
                try:
                    fleet.print_trials(each, TrialQuery(limit=BEST))
                except FleetError as error:  # the rest of it needs fewer rights
                    tell(f"its results are not shown: {error}")
            _print_events(fleet.events(each, limit=EVENTS))


def _has_results(backtest: Resource) -> bool:
    status = backtest.body().get("status", {})
    return bool(status.get("completed") or status.get("failed"))


def _describe(resource: Resource) -> None:
    body = resource.body()
    metadata = body["metadata"]
    sys.stdout.write(
        f"Name:       {metadata['name']}\nNamespace:  {metadata['namespace']}\nKind:       {body['kind']}\n"
    )
    sys.stdout.write(f"UID:        {metadata.get('uid')}\nGeneration: {metadata.get('generation')}\n")
    sys.stdout.write(f"Age:        {age(metadata['creationTimestamp'])}\n")
    for name in ("labels", "annotations"):
        for key, value in metadata.get(name, {}).items():
            sys.stdout.write(f"{name.capitalize()[:-1]}:{'':<{11 - len(name)}} {key}={value}\n")
    if "deletionTimestamp" in metadata:
        sys.stdout.write(f"Deleting:   since {metadata['deletionTimestamp']}\n")
    status = dict(body.get("status", {}))
    conditions = status.pop("conditions", ())
    for title, values in (("Spec", body["spec"]), ("Status", status)):
        sys.stdout.write(f"{title}:\n")
        for line in _lines(values, "  "):
            sys.stdout.write(f"{line}\n")
    if conditions:
        sys.stdout.write("\n")
        printing.print_rows(
            ["Condition", "Status", "Since", "Reason", "Message"],
            [
                [
                    each["type"],
                    each["status"],
                    age(each["lastTransitionTime"]) if "lastTransitionTime" in each else NOTHING,
                    each["reason"],
                    each.get("message", ""),
                ]
                for each in conditions
            ],
        )


def _print_events(events: Sequence[Event]) -> None:
    from tradefleet.domain.times import format_time  # noqa: PLC0415 - only here

    if events:
        sys.stdout.write("\n")
        rows = [[age(format_time(each.at_us)), each.actor, each.action, each.detail] for each in events]
        printing.print_rows(["Age", "By", "What", "Detail"], rows, title="Events, the newest first")


def _lines(value: Any, indent: str) -> Iterator[str]:  # noqa: ANN401 - JSON is what it is
    for name, each in value.items():
        if isinstance(each, dict) and each:
            yield f"{indent}{name}:"
            yield from _lines(each, indent + "  ")
        elif isinstance(each, list) and each and isinstance(each[0], dict):
            yield f"{indent}{name}:"
            for item in each:
                yield f"{indent}  - {json.dumps(item, ensure_ascii=False)}"
        elif each not in ({}, []):
            yield f"{indent}{name}: {', '.join(map(str, each)) if isinstance(each, list) else each}"


# --- logs -------------------------------------------------------------------------------------------------------------


def logs(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A bot, feed or exchange, or a process as in the list without a name."),
    ] = None,
    data_dir: DataFolder = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    every_namespace: AllNamespaces = False,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    tail: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="How many of the last lines.")] = LINES,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what is newer than this: 30s, 5m, 2h, 1d.")
    ] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="text or json.")] = "text",
) -> None:
    """Show what a bot, gateway or feed has logged.

    [dim]$[/dim] tradefleet logs

    [dim]$[/dim] tradefleet logs -f quickstart-sma-cross-btc-usd

    [dim]$[/dim] tradefleet logs --since 5m quickstart-sma-cross-btc-usd --context production -n paper
    """
    printing.check_output(output, ("text", "json"))
    place = Place(
        data_dir=data_dir,
        context=context,
        kubeconfig=kubeconfig,
        namespace=namespace,
        every_namespace=every_namespace,
    )
    since_s = None if since is None else seconds_of(since)
    query = LogQuery(tail, since_s, follow, lambda line, prefix="": print_line(line, output, prefix))
    with open_fleet(place) as fleet:
        if name is None:
            sys.stdout.write("".join(f"{each}\n" for each in fleet.log_names()))
        else:
            fleet.print_logs(name, query)
