"""Which fleet a command works on, one of this machine or one in Kubernetes, and which of its resources."""

import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Protocol

import typer

from tradefleet.domain.errors import Permanent
from tradefleet.resources.common import DEFAULT_NAMESPACE, Resource, ResourceKey
from tradefleet.resources.kinds import KINDS, find_kind
from tradefleet.resources.problems import suggestion
from tradefleet.runtime.settings import PREFIX

if TYPE_CHECKING:
    from governor.local.fleet import LocalFleet

    from tradefleet.cli.cluster_fleet import ClusterTarget
    from tradefleet.cli.trials_output import TrialQuery
    from tradefleet.resources.load import Loaded

CONTEXT_VARIABLE: Final = f"{PREFIX}CONTEXT"

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        help="The fleet's data folder. Default: TRADEFLEET_HOME, else ~/.local/share/tradefleet/default.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="A fleet in Kubernetes, by a context of the kubeconfig. Default: TRADEFLEET_CONTEXT; without that and "
        "without --kubeconfig, the fleet on this machine.",
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="A fleet in Kubernetes, by this kubeconfig. Default with --context: KUBECONFIG, else ~/.kube/config.",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        metavar="NAME",
        help="Namespace to work in. Default in Kubernetes: that of the context; on this machine, that of names is "
        "default, and lists are of all.",
    ),
]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Work on the resources of all namespaces.")]


class NotFound(Permanent):
    """A resource that was named is not there."""


class NoFleet(Permanent):
    """Nothing says which fleet is meant, or two things say it."""


class Event(NamedTuple):
    """Something that was done to a resource, or befell it."""

    at_us: int
    actor: str
    action: str
    detail: str


class Change(Protocol):
    """What became of one applied resource."""

    @property
    def key(self) -> ResourceKey:
        """Which one."""

    @property
    def verb(self) -> str:
        """One of "created", "configured" and "unchanged"."""


class PrintLine(Protocol):
    """Prints one line of a log."""

    def __call__(self, line: str, prefix: str = "") -> None:
        """Print it; `prefix` says of which of several logs it is."""


class LogQuery(NamedTuple):
    """Which lines of a log are wanted, and how they are printed."""

    tail: int
    since_s: float | None
    follow: bool
    print_line: "PrintLine"


class Fleet(Protocol):
    """A fleet that commands work on. Each method may raise Permanent with the remedy, or Retryable."""

    namespace: str  # of names that are given without one
    every_namespace: bool
    look_s: float  # between two looks of a command that waits

    def close(self) -> None:
        """Let go of connections."""

    def check(self) -> None:
        """Raise Retryable when who looks after the resources is known to have ended."""

    def all(self, kinds: Collection[str] = (), *, namespace: str | None = None) -> list[Resource]:
        """Return the resources of these kinds, or of all, in one namespace, or in those that were chosen."""

    def events(self, resource: Resource, *, limit: int) -> list[Event]:
        """Return the last events of a resource, the newest first."""

    def load(self, files: Sequence[str]) -> "list[Loaded]":
        """Return the resources of files, in their namespaces, checked as far as files alone can be."""

    def apply(self, loaded: "Sequence[Loaded]", *, force: bool) -> Sequence[Change]:
        """Create or change resources: none of them when one is refused.

        `force` takes over fields that somebody else keeps.
        """

    def waits_for(self, loaded: "Sequence[Loaded]") -> Collection[ResourceKey] | None:
        """Return what must be Ready after these were applied; None means every resource."""

    def delete(self, keys: Collection[ResourceKey]) -> Collection[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before."""

    def change_spec(self, key: ResourceKey, changes: Mapping[str, object]) -> bool:
        """Set fields of a spec by their names in YAML; False when they are so already."""

    def replace_spec(self, key: ResourceKey, spec: Mapping[str, object]) -> None:
        """Make a spec another one, whole. Raises Permanent for a change that the kind does not allow."""

    def annotate(self, key: ResourceKey, name: str, value: Callable[[str | None], str]) -> None:
        """Set an annotation to what `value` makes of the one before (None when there is none)."""

    def print_books(self, bot: Resource) -> None:
        """Print a bot's open orders, last fills and wallet."""

    def print_trials(self, backtest: Resource, query: "TrialQuery") -> None:
        """Print the trials of a Backtest."""

    def log_names(self) -> list[str]:
        """Return the names of what logs."""

    def print_logs(self, name: str, query: LogQuery) -> None:
        """Print lines of what has this name, or runs for the resource of this name."""

    def halt(self, chosen: Sequence[Resource], *, reason: str, timeout_s: float) -> list[str]:
        """Return, in sentences, what is halted once it is: the resources, or everything when none is chosen."""

    def clear_halt(self, chosen: Sequence[Resource], *, timeout_s: float) -> list[str]:
        """Return, in sentences, what is not halted any more, and what is all the same."""

    def halts(self) -> list[str]:
        """Return, in sentences, the halts that are on."""

    def audit(self, output: str) -> int:
        """Print what every invariant found; return the exit status."""

    def verify_parity(self, bots: Sequence[Resource]) -> int:
        """Print whether bots decide again as recorded; return the exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the options of a command say of the fleet that is meant."""

    data_dir: Path | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    namespace: str | None = None
    every_namespace: bool = False

    def options(self) -> list[str]:
        """Return the options that name the same fleet again."""
        given = {"--data-dir": self.data_dir, "--context": self.context, "--kubeconfig": self.kubeconfig}
        found = [shlex.quote(str(each)) for pair in given.items() if pair[1] for each in pair]
        if self.namespace:
            found += ["-n", self.namespace]
        return [*found, "-A"] if self.every_namespace else found

    def is_in_cluster(self, environment: Mapping[str, str]) -> bool:
        """Return whether a fleet in Kubernetes is meant: by an option, or by the environment and no other option.

        Raises NoFleet when the options contradict each other.
        """
        if self.namespace and self.every_namespace:
            raise NoFleet("-n and -A exclude each other: name one namespace, or ask for all")
        if not self.context and self.kubeconfig is None:
            return self.data_dir is None and bool(environment.get(CONTEXT_VARIABLE))
        if self.data_dir is not None:
            raise NoFleet(
                "--data-dir is for a fleet on this machine, --context and --kubeconfig are for one in Kubernetes: "
                "give only the one that you mean"
            )
        return True


@contextmanager
def open_fleet(place: Place, environment: Mapping[str, str] = os.environ) -> Iterator[Fleet]:
    """Yield the fleet that is meant. Raises NoFleet, or Permanent with the remedy when it cannot be reached."""
    fleet: Fleet
    fleet = cluster_fleet(place, environment) if place.is_in_cluster(environment) else _local(place, environment)
    try:
        yield fleet
    finally:
        fleet.close()


def cluster_fleet(place: Place, environment: Mapping[str, str] = os.environ) -> "ClusterTarget":
    """Return a fleet in Kubernetes. Raises Permanent when the kubeconfig does not lead to it."""
    try:
        from tradefleet.cli.cluster_fleet import open_cluster  # noqa: PLC0415 - slow to import, for who has a cluster
    except ModuleNotFoundError as error:
        raise Permanent(
            f"{error.name} is not installed: install tradefleet[operator] to speak to Kubernetes"
        ) from error
    return open_cluster(place, environment)


def _local(place: Place, environment: Mapping[str, str]) -> Fleet:
    from governor.local.home import Home, default_folder  # noqa: PLC0415 - imported by who runs it

    from tradefleet.cli.fleet_local import LocalTarget  # noqa: PLC0415

    folder = place.data_dir or default_folder(environment)
    if place.data_dir is None and not Home(folder).exists:
        raise NoFleet(
            f"there is no fleet on this machine, in {folder}: start one with `tradefleet up FILES`, name its folder "
            f"with --data-dir; or, for one in Kubernetes, give --context NAME or --kubeconfig FILE, or set "
            f"{CONTEXT_VARIABLE}"
        )
    return LocalTarget(local_fleet(folder), place)


def local_fleet(folder: Path | None) -> "LocalFleet":
    """Return the fleet of a data folder, running or not."""
    from governor.local.fleet import LocalFleet  # noqa: PLC0415 - imported by who runs it
    from governor.local.home import Home, default_folder  # noqa: PLC0415

    return LocalFleet(Home(folder if folder is not None else default_folder()))


# --- resources by their names -----------------------------------------------------------------------------------------


def kind_called(word: str) -> type[Resource]:
    """Return the kind that a user calls `word`. Raises NotFound."""
    kind = find_kind(word)
    if kind is None:
        known = [f"{each.names.plural} ({each.names.short})" for each in KINDS.values()]
        raise NotFound(f"there is no kind {word!r}; {suggestion(word, known)}")
    return kind


def named(fleet: Fleet, words: Sequence[str]) -> list[Resource]:
    """Return the resources that words such as `tb alpha beta`, or `tb/alpha ex/simulator`, name. Raises NotFound."""
    there: dict[tuple[str, str], dict[str, Resource]] = {}
    found = []
    for kind, name in _pairs(words):
        place, _, bare = name.rpartition("/")
        place = place or fleet.namespace
        if (kind.__name__, place) not in there:
            resources = fleet.all([kind.__name__], namespace=place)
            there[kind.__name__, place] = {each.metadata.name: each for each in resources}
        known = there[kind.__name__, place]
        if bare not in known:
            key = ResourceKey(kind.__name__, place, bare)
            raise NotFound(f"there is no {key}; {suggestion(bare, known) or f'{place} has no {kind.names.plural}'}")
        found.append(known[bare])
    return found


def _pairs(words: Sequence[str]) -> Iterator[tuple[type[Resource], str]]:
    if words and "/" not in words[0]:
        kind = kind_called(words[0])
        if not words[1:]:
            raise NotFound(f"name one or more {kind.names.plural} as well: {kind.names.short} NAME")
        yield from ((kind, name) for name in words[1:])
        return
    for word in words:
        kind_word, _, name = word.partition("/")
        if not name:
            raise NotFound(f"{word!r}: write KIND/NAME, such as tb/alpha")
        yield kind_called(kind_word), name


def bots_named(fleet: Fleet, names: Sequence[str], *, all_bots: bool) -> list[Resource]:
    """Return the TradingBots of these names, or all of them. Raises NotFound, also when none is named."""
    if all_bots:
        return fleet.all(["TradingBot"])
    if not names:
        raise NotFound("name one or more bots, or --all")
    plain = [name.removeprefix("tb/").removeprefix("tradingbot/").removeprefix("tradingbots/") for name in names]
    return named(fleet, ["tb", *plain])


def in_namespace(loaded: "Sequence[Loaded]", namespace: str, *, is_asked_for: bool) -> "list[Loaded]":
    """Return resources of files where they belong: those whose file names no namespace in `namespace`.

    Raises Permanent when a file names another one than was asked for.
    """
    found = []
    for each in loaded:
        written = (each.body.get("metadata") or {}).get("namespace")
        if written is not None and is_asked_for and written != namespace:
            place = each.place(("metadata", "namespace"))
            raise NotFound(f"{place}: {each.resource.key}: its file names another namespace than -n {namespace}")
        if written is None:
            metadata = each.resource.metadata.model_copy(update={"namespace": namespace})
            found.append(replace(each, resource=each.resource.model_copy(update={"metadata": metadata})))
        else:
            found.append(each)
    return found


def tell(text: str) -> None:
    """Say what is going on, beside the output."""
    sys.stderr.write(f"{text}\n")


DEFAULT = DEFAULT_NAMESPACE
