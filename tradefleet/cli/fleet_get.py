"""`tradefleet get`, `describe` and `logs`: how a fleet is doing, as a kubectl user expects to see it."""

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tradefleet.cli import printing
from tradefleet.cli.fleet_target import DEFAULT, DataFolder, Namespace, kind_called, local_fleet, named, open_resources
from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import PrinterColumn, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.load import dump

if TYPE_CHECKING:
    from governor.local.resources import Event

OUTPUTS: Final = ("table", "wide", "json", "yaml", "name")
WATCH_S: Final = 1.0
FOLLOW_S: Final = 0.3
LINES: Final = 100
EVENTS: Final = 15
NOTHING: Final = "<none>"
_CONDITION: Final = re.compile(r"[.]status[.]conditions\[\?\(@[.]type==\"(?P<type>\w+)\"\)\][.](?P<field>\w+)")

Output = Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, wide, json, yaml or name.")]


def get(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND [NAME...]]", help="A kind (tb, ex, fd, dset, bs, bt, rp, all) and names."),
    ] = None,
    data_dir: DataFolder = None,
    namespace: Namespace = DEFAULT,
    output: Output = "table",
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Go on, and print what changes.")] = False,
) -> None:
    """List resources and how they are doing.

    [dim]$[/dim] tradefleet get

    [dim]$[/dim] tradefleet get tb -o wide

    [dim]$[/dim] tradefleet get tb/quickstart-sma-cross-btc-usd -o yaml
    """
    printing.check_output(output, OUTPUTS)
    with open_resources(local_fleet(data_dir)) as resources:
        chosen = _chosen(resources.all(), words or [], namespace)
        _print(chosen, output)
        shown = {each.metadata.uid: each for each in chosen}
        while watch:
            time.sleep(WATCH_S)
            found = _chosen(resources.all(), words or [], namespace, must_be_there=False)
            changed = [each for each in found if _differs(shown.get(each.metadata.uid), each)]
            shown = {each.metadata.uid: each for each in found}
            if changed:
                _print(changed, output, is_first=False)


def _differs(old: Resource | None, new: Resource) -> bool:
    return old is None or (old.status, old.metadata) != (new.status, new.metadata)


def _chosen(
    found: Sequence[Resource], words: Sequence[str], namespace: str, *, must_be_there: bool = True
) -> list[Resource]:
    if not words or list(words) == ["all"]:
        return [*found]
    if len(words) == 1 and "/" not in words[0]:
        kinds = [kind_called(word).__name__ for word in words[0].split(",")]
        return [each for each in found if each.kind in kinds]
    try:
        return named(found, words, namespace)
    except Permanent:
        if must_be_there:
            raise
        return []


def _print(chosen: Sequence[Resource], output: str, *, is_first: bool = True) -> None:
    if output in ("json", "yaml"):
        sys.stdout.write(dump(chosen, output))
    elif output == "name":
        for each in chosen:
            sys.stdout.write(f"{each.kind.lower()}/{each.metadata.name}\n")
    elif not chosen:
        sys.stderr.write("no resources found\n")
    else:
        kinds = [kind for kind in KINDS.values() if any(each.kind == kind.__name__ for each in chosen)]
        for number, kind in enumerate(kinds):
            if number:
                sys.stdout.write("\n")
            _print_kind(kind, [each for each in chosen if each.kind == kind.__name__], output, is_first=is_first)
    sys.stdout.flush()


def _print_kind(kind: type[Resource], chosen: Sequence[Resource], output: str, *, is_first: bool) -> None:
    columns = [each for each in kind.columns if output == "wide" or each.priority == 0]
    spaces = len({each.metadata.namespace for each in chosen}) > 1 or any(
        each.metadata.namespace != DEFAULT for each in chosen
    )
    names = ["Namespace"] * spaces + ["Name", *(column.name for column in columns)]
    rows = [
        [each.metadata.namespace] * spaces + [each.metadata.name, *(cell(each, column) for column in columns)]
        for each in chosen
    ]
    numbers = [place for place, column in enumerate(columns, start=1 + spaces) if column.name in ("Equity", "VsHold")]
    title = f"{kind.names.plural}.tradefleet.dev" if is_first else ""
    printing.print_rows(names, rows, numbers=numbers, title=title)


def cell(resource: Resource, column: PrinterColumn) -> str:
    """Return what a column of a resource shows."""
    value = _at_path(resource.body(), column.path)
    if value is None:
        return NOTHING
    if column.type == "date":
        return age(str(value))
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)


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
    namespace: Namespace = DEFAULT,
) -> None:
    """Show everything about a resource: conditions, limits, orders, fills.

    [dim]$[/dim] tradefleet describe tb quickstart-sma-cross-btc-usd
    """
    fleet = local_fleet(data_dir)
    with open_resources(fleet) as resources:
        chosen = named(resources.all(), words, namespace)
        events = {each.key: resources.events(each.key, limit=EVENTS) for each in chosen}
    session = fleet.session()
    try:
        for number, each in enumerate(chosen):
            if number:
                sys.stdout.write("\n")
            _describe(each)
            if each.kind == "TradingBot":
                from tradefleet.cli.fleet_books import print_books  # noqa: PLC0415 - only for bots

                print_books(session, each.metadata.uid or "")
            _print_events(events[each.key])
    finally:
        session.close()


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


def _print_events(events: "Sequence[Event]") -> None:
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
    namespace: Namespace = DEFAULT,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    tail: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="How many of the last lines.")] = LINES,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="text or json.")] = "text",
) -> None:
    """Show what a bot, gateway or feed has logged.

    [dim]$[/dim] tradefleet logs

    [dim]$[/dim] tradefleet logs -f quickstart-sma-cross-btc-usd
    """
    printing.check_output(output, ("text", "json"))
    home = local_fleet(data_dir).home
    home.facts()
    there = sorted(path.stem for path in home.logs.glob("*.log"))
    if name is None:
        sys.stdout.write("".join(f"{each}\n" for each in there))
        return
    path = home.log(_log_name(name, there, namespace))
    position = _print_tail(path, tail, output)
    while follow:
        time.sleep(FOLLOW_S)
        if path.stat().st_size < position:
            position = 0  # the process set its log aside and began a new one
        with path.open("rb") as file:
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the rest of it comes later
                position += len(line)
                _print_line(line.decode("utf-8", "replace").rstrip("\n"), output)
        sys.stdout.flush()


def _log_name(name: str, there: Sequence[str], namespace: str) -> str:
    from governor.workload import Role, unique_name  # noqa: PLC0415 - imported by who runs it

    owner = ResourceKey("", namespace, name.rpartition("/")[2])
    prefixes = (Role.BOT, Role.GATEWAY, Role.FEED, Role.VENUE, Role.RECORDER, "dataset", "backtest")
    candidates = [name, *(unique_name(prefix, owner) for prefix in prefixes)]
    for each in candidates:
        if each in there:
            return each
    from tradefleet.resources.problems import suggestion  # noqa: PLC0415

    raise Permanent(f"there is no log of {name!r}; {suggestion(name, there)}")


def _print_tail(path: Path, count: int, output: str) -> int:
    """Print the last lines; return how many bytes of the file are shown or passed over."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.decode("utf-8", "replace").splitlines()
    for line in lines[len(lines) - count :] if count else ():
        _print_line(line, output)
    return len(whole)


def _print_line(line: str, output: str) -> None:
    if output == "text":
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and "message" in entry:
            more = " ".join(
                f"{key}={value}"
                for key, value in entry.items()
                if key not in ("time", "level", "logger", "message", "component", "fleet", "exception")
            )
            line = f"{entry.get('time', '')[:23]} {entry.get('level', ''):<8} {entry['message']} {more}".rstrip()
            if entry.get("exception"):
                line += f"\n{entry['exception']}"
    sys.stdout.write(f"{line}\n")
