"""`tradefleet topic`: the fleet's messages, readable."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradefleet.cli.fleet_target import Context, Kubeconfig, Place, cluster_fleet
from tradefleet.cli.printing import check_output, print_rows, print_values
from tradefleet.domain.errors import Permanent
from tradefleet.messages.topics import TOPICS, find_topic
from tradefleet.runtime.settings import PREFIX, read_secret, read_security

if TYPE_CHECKING:
    from tradefleet.bus.kafka_client import KafkaSettings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Read the fleet's messages.\n\n"
    "[dim]$[/dim] tradefleet topic list\n\n"
    "[dim]$[/dim] tradefleet topic read trading.executions --follow",
)

NEWEST = 10  # messages shown when nobody says how many


class NoBroker(Permanent):
    """Nothing says where the broker is."""


@app.command("list")
def list_topics(
    output: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="table, json or yaml.")] = "table",
) -> None:
    """List the topics, their keys and what they carry.

    [dim]$[/dim] tradefleet topic list -o yaml
    """
    check_output(output, ("table", "json", "yaml"))
    rows = [
        {
            "topic": topic.name,
            "key": topic.key,
            "partitions": topic.partitions,
            "messages": [message.__name__ for message in topic.messages],
            "about": topic.about,
        }
        for topic in TOPICS.values()
    ]
    if output == "table":
        print_rows(
            ["TOPIC", "KEY", "MESSAGES"],
            [[topic.name, topic.key, ", ".join(each.__name__ for each in topic.messages)] for topic in TOPICS.values()],
        )
    else:
        print_values(rows, output)


@app.command("read")
def read(
    topic: Annotated[str, typer.Argument(help="The topic, such as trading.executions.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FORMAT", help="json (a line each) or yaml (a document each).")
    ] = "json",
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KEY", help="Only messages of this key: default/alpha. May be given often."),
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="The oldest first, all there are.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends.")] = False,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", metavar="NUMBER", min=1, help="At most so many.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option("--broker", metavar="HOST:PORT", help="The fleet's Kafka. Default: that of the local fleet."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="FOLDER",
            help="The local fleet's data folder. Default: TRADEFLEET_HOME, else ~/.local/share/tradefleet/default.",
        ),
    ] = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Namespace of a fleet in Kubernetes.")
    ] = None,
) -> None:
    """Show the newest messages of a topic (ten, unless --limit says otherwise), or all from the beginning.

    [dim]$[/dim] tradefleet topic read trading.executions --key default/alpha --from-beginning

    [dim]$[/dim] tradefleet topic read market.ohlc.stable --follow -o yaml

    In Kubernetes it runs in the Governor's pod, which reaches the broker.
    """
    check_output(output, ("json", "yaml"))
    place = Place(data_dir=data_dir, context=context, kubeconfig=kubeconfig, namespace=namespace)
    if broker is None and place.is_in_cluster(os.environ):
        given = _arguments(topic, output, key or (), limit, from_beginning=from_beginning, follow=follow)
        with closing(cluster_fleet(place)) as fleet:
            status = fleet.read_topic(given)
        raise typer.Exit(status)
    from tradefleet.bus.kafka import KafkaBus  # noqa: PLC0415 - `topic list` needs no Kafka
    from tradefleet.bus.reading import plain_record, read_topic  # noqa: PLC0415

    found = find_topic(topic, os.environ.get(f"{PREFIX}KAFKA_PREFIX", ""))
    settings = _kafka(broker, data_dir, os.environ)
    if limit is None and not from_beginning:
        limit = NEWEST
    with KafkaBus(settings) as bus:
        bus.probe()  # a wrong address is told at once, and by name
        records = read_topic(
            bus,
            found,
            keys=frozenset(key) if key else None,
            from_beginning=from_beginning,
            follow=follow,
            limit=limit,
        )
        for record in records:
            _print(plain_record(record), output)


def _arguments(
    topic: str, output: str, keys: Sequence[str], limit: int | None, *, from_beginning: bool, follow: bool
) -> list[str]:
    """Return the words by which the same is asked for in the Governor's pod, which reaches the broker."""
    words = [topic, "--output", output]
    words += [word for key in keys for word in ("--key", key)]
    words += [] if limit is None else ["--limit", str(limit)]
    return words + ["--from-beginning"] * from_beginning + ["--follow"] * follow


def _kafka(broker: str | None, data_dir: Path | None, environment: Mapping[str, str]) -> "KafkaSettings":
    """Return the broker to read from: the one named, else the environment's, else the local fleet's."""
    from tradefleet.bus.kafka_client import KafkaSettings  # noqa: PLC0415 - `topic list` needs no Kafka

    prefix = environment.get(f"{PREFIX}KAFKA_PREFIX", "")
    found = broker or (environment.get(f"{PREFIX}KAFKA_BOOTSTRAP") if data_dir is None else None)
    if found:
        security = read_security(read_secret(environment, "kafka_security"))
        registry = read_secret(environment, "schema_registry_url")
        return KafkaSettings(
            bootstrap=found, prefix=prefix, security=security, schema_registry=registry.reveal() if registry else ""
        )
    from governor.local.fleet import LocalFleet  # noqa: PLC0415 - the embedded services are imported by who needs them
    from governor.local.home import Home, default_folder  # noqa: PLC0415

    home = Home(data_dir or default_folder(environment))
    if data_dir is None and not home.exists:
        raise NoBroker(
            "there is no broker to read from: start a fleet with `tradefleet up FILES`, name the data folder of one "
            f"with --data-dir, or name the broker with --broker host:port or {PREFIX}KAFKA_BOOTSTRAP"
        )
    return LocalFleet(home).kafka()


def _print(values: dict[str, object], output: str) -> None:
    if output == "json":
        sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("---\n")
        print_values(values, output)
    sys.stdout.flush()  # who follows through a pipe wants each message now
