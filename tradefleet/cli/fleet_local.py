"""The fleet of this machine as commands see it: its resources in Postgres, its logs in a folder."""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from governor.local.applying import FleetCheck, check_data, has_foreign_strategy, located, with_absolute_paths
from governor.local.fleet import LocalFleet, user_name
from governor.local.resources import Change, LocalResources
from governor.workload import Role, account_of, unique_name

from tradefleet.cli.audit_output import run_audit
from tradefleet.cli.fleet_books import print_books
from tradefleet.cli.fleet_target import DEFAULT, Event, LogQuery, Place, in_namespace, tell
from tradefleet.cli.log_lines import is_since
from tradefleet.cli.parity_output import verify_bots
from tradefleet.cli.strategy import import_from_here
from tradefleet.cli.trials_output import TrialQuery, print_trials
from tradefleet.domain.errors import Permanent, Retryable
from tradefleet.domain.ids import BotUid
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.load import Loaded, load
from tradefleet.resources.problems import InvalidResource, suggestion
from tradefleet.store.postgres.halts import PostgresHaltStore

if TYPE_CHECKING:
    from tradefleet.store.ports import Halt
    from tradefleet.store.postgres.session import Session

LOOK_S: Final = 0.3


class LocalTarget:
    """Implements `Fleet` over a data folder. What needs the database raises Permanent while the fleet is stopped."""

    look_s = LOOK_S

    def __init__(self, fleet: LocalFleet, place: Place) -> None:
        self.namespace = place.namespace or DEFAULT
        self.every_namespace = place.every_namespace
        self._asked = place.namespace
        self._fleet = fleet
        self._resources: LocalResources | None = None
        self._session: Session | None = None

    def close(self) -> None:
        """Let go of the database."""
        for each in (self._resources, self._session):
            if each is not None:
                each.close()

    def check(self) -> None:
        """Raise Retryable when the supervisor has ended."""
        if not self._fleet.is_running:
            raise Retryable(f"the fleet's supervisor ended; its log is {self._fleet.home.log('supervisor')}")

    @property
    def _open(self) -> LocalResources:
        if self._resources is None:
            self._resources = self._fleet.resources()
        return self._resources

    @property
    def _database(self) -> "Session":
        if self._session is None:
            self._session = self._fleet.session()
        return self._session

    # --- resources ------------------------------------------------------------------------------------------------

    def all(self, kinds: Collection[str] = (), *, namespace: str | None = None) -> list[Resource]:
        """Return resources, sorted by kind as a fleet needs them, namespace and name."""
        wanted = namespace or (None if self.every_namespace else self._asked)
        return [
            each
            for each in self._open.all()
            if (not kinds or each.kind in kinds) and wanted in (None, each.metadata.namespace)
        ]

    def events(self, resource: Resource, *, limit: int) -> list[Event]:
        """Return the last events of a resource, the newest first."""
        return [Event(*each) for each in self._open.events(resource.key, limit=limit)]

    def load(self, files: Sequence[str]) -> list[Loaded]:
        """Return the resources of files, with their data read and found sound. Raises InvalidResource."""
        self._fleet.supervisor()
        loaded = load_with_data(files)
        folder = code_folder(loaded)
        if folder is not None:
            self._fleet.add_code_folder(folder)
        return in_namespace(loaded, self.namespace, is_asked_for=self._asked is not None)

    def apply(self, loaded: Sequence[Loaded], *, force: bool) -> list[Change]:
        """Apply in one transaction; nobody else keeps fields here. Raises InvalidResource."""
        del force
        return apply_to(self._open, loaded)

    def waits_for(self, loaded: Sequence[Loaded]) -> None:
        """Every resource: what was applied may have changed what others can do."""
        del loaded

    def delete(self, keys: Collection[ResourceKey]) -> list[ResourceKey]:
        """Ask for the deletion of resources; return those that it was not asked for before."""
        return self._open.delete(keys)

    def change_spec(self, key: ResourceKey, changes: Mapping[str, object]) -> bool:
        """Set fields of a spec by their names in YAML; False when they are so already."""
        return self._open.change_spec(key, changes)

    def replace_spec(self, key: ResourceKey, spec: Mapping[str, object]) -> None:
        """Make a spec another one, whole. Raises InvalidResource."""
        there = next((each for each in self._open.all() if each.key == key), None)
        if there is None:
            raise Permanent(f"{key}: is not there any more")
        self._open.apply([type(there).parse({**there.body(), "spec": dict(spec)})])

    def annotate(self, key: ResourceKey, name: str, value: Callable[[str | None], str]) -> None:
        """Set an annotation to what `value` makes of the one before."""
        self._open.annotate(key, name, value)

    # --- books ----------------------------------------------------------------------------------------------------

    def print_books(self, bot: Resource) -> None:
        """Print a bot's open orders, last fills and wallet."""
        print_books(self._database, bot.metadata.uid or "")

    def print_trials(self, backtest: Resource, query: TrialQuery) -> None:
        """Print the trials of a Backtest."""
        name = backtest.key.full_name
        print_trials(self._database, backtest.metadata.uid or "", name, query)

    def audit(self, output: str) -> int:
        """Print what every invariant found; return the exit status."""
        self._fleet.supervisor()
        return run_audit(self._fleet.url(), self._fleet.home.facts().fleet, output)

    def verify_parity(self, bots: Sequence[Resource]) -> int:
        """Print whether bots decide again as recorded; return the exit status."""
        import_from_here()
        named = {BotUid(each.metadata.uid or ""): each.key.full_name for each in bots}
        return verify_bots(self._database, named)

    def halt(self, chosen: Sequence[Resource], *, reason: str, timeout_s: float) -> list[str]:
        """Halt; it is obeyed when the rows are committed, so there is nothing to wait for."""
        del timeout_s
        halts = PostgresHaltStore(self._database)
        said = []
        for scope in _scopes(chosen):
            halts.set_halt(scope, reason=reason, set_by=user_name())
            said.append(f"{scope} is halted: {reason}")
        return said

    def clear_halt(self, chosen: Sequence[Resource], *, timeout_s: float) -> list[str]:
        """End halts; what RiskPolicies halt goes on, and is said."""
        del timeout_s
        halts = PostgresHaltStore(self._database)
        said = []
        on = {each.scope for each in halts.active_halts()}
        cleared = _scopes(chosen)
        for scope in cleared:
            if scope in on:
                halts.clear_halt(scope, set_by=user_name())
            said.append(f"the halt of {scope} is cleared" if scope in on else f"{scope} was not halted")
            said += _halted_by_policies(scope, halts.active_halts())
        others = [each for each in halts.active_halts() if not each.scope.startswith("policy/")]
        return said + [f"{each.scope} stays halted by {each.set_by}: {each.reason}" for each in others]

    def halts(self) -> list[str]:
        """Return the halts that are on."""
        active = PostgresHaltStore(self._database).active_halts()
        return [f"{each.scope} is halted by {each.set_by}: {each.reason}" for each in active]

    # --- logs -----------------------------------------------------------------------------------------------------

    def log_names(self) -> list[str]:
        """Return the names of the processes that have logged."""
        self._fleet.home.facts()
        return sorted(path.stem for path in self._fleet.home.logs.glob("*.log"))

    def print_logs(self, name: str, query: LogQuery) -> None:
        """Print lines of a process's log, by its own name or by that of its resource."""
        path = self._fleet.home.log(self._log_name(name))
        position = _print_tail(path, query)
        while query.follow:
            time.sleep(self.look_s)
            if path.stat().st_size < position:
                position = 0  # the process set its log aside and began a new one
            with path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # the rest of it comes later
                    position += len(line)
                    query.print_line(line.decode("utf-8", "replace").rstrip("\n"))
            sys.stdout.flush()

    def _log_name(self, name: str) -> str:
        owner = ResourceKey("", self.namespace, name.rpartition("/")[2])
        prefixes = (Role.BOT, Role.GATEWAY, Role.FEED, Role.VENUE, Role.RECORDER, "dataset", "backtest")
        there = self.log_names()
        for each in (name, *(unique_name(prefix, owner) for prefix in prefixes)):
            if each in there:
                return each
        raise Permanent(f"there is no log of {name!r}; {suggestion(name, there)}")


# --- parts ------------------------------------------------------------------------------------------------------------


def load_with_data(files: Sequence[str]) -> list[Loaded]:
    """Return the resources of files, with their data read and found sound. Raises InvalidResource."""
    if not files:
        return []
    import_from_here()
    loaded = with_absolute_paths(load(files))
    check_data(loaded, tell if sys.stderr.isatty() else _silent)
    return loaded


def _silent(text: str) -> None:
    del text


def apply_to(resources: LocalResources, loaded: Sequence[Loaded]) -> list[Change]:
    """Apply resources in one transaction; return what became of each. Raises InvalidResource, with file and line."""
    if not loaded:
        return []
    check = FleetCheck(loaded)
    check.remember(resources.all())
    try:
        return resources.apply([each.resource for each in loaded], check=check)
    except InvalidResource as error:
        raise located(error, loaded) from error


def code_folder(loaded: Sequence[Loaded]) -> Path | None:
    """Return the folder that the user's own strategies are imported from, when there are some."""
    return Path.cwd() if any(has_foreign_strategy(each.resource) for each in loaded) else None


def _scopes(chosen: Sequence[Resource]) -> list[str]:
    return [_scope(each) for each in chosen] or ["fleet"]


def _scope(resource: Resource) -> str:
    if isinstance(resource, Exchange):
        return f"account/{account_of(resource)}"
    if resource.kind == "TradingBot":
        return f"bot/{resource.key.full_name}"
    raise Permanent(f"{resource.key}: only bots, exchanges and the whole fleet can be halted")


def _halted_by_policies(scope: str, active: "Iterable[Halt]") -> list[str]:
    """Return what RiskPolicies halt still after a person's switch was cleared."""
    own = "policy/" + scope.removeprefix("bot/")
    return [
        f"bot {each.scope.removeprefix('policy/')} stays halted by {each.set_by}: {each.reason}"
        for each in active
        if each.scope == own or (scope == "fleet" and each.scope.startswith("policy/"))
    ]


def _print_tail(path: Path, query: LogQuery) -> int:
    """Print the last lines; return how many bytes of the file are shown or passed over."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    lines = whole.decode("utf-8", "replace").splitlines()
    if query.since_s is not None:
        begin = time.time() - query.since_s
        first = next((number for number, line in enumerate(lines) if is_since(line, begin)), len(lines))
        lines = lines[first:]
    for line in lines[-query.tail :] if query.tail else ():
        query.print_line(line)
    return len(whole)
