"""The Governor of a fleet in a cluster: takes the Lease, lists what is there, and does its rounds.

What a round does is in `governor.rounds`. Rounds run in one thread, one after the other; the Lease is renewed by
another one, because a round over many resources may take longer than the Lease.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from typing import Final

from governor.announcements import Announcements
from governor.eyes import Eyes
from governor.housekeeping import Housekeeping
from governor.observation import Seen
from governor.plan import AskedByJob
from governor.ports import Ports
from governor.rounds import Rounds
from tradefleet.bus.kafka import KafkaBus
from tradefleet.bus.kafka_client import KafkaSettings
from tradefleet.bus.schemas import prepare_topics
from tradefleet.domain.bots import ParameterValue
from tradefleet.domain.errors import FleetError
from tradefleet.resources.common import Resource
from tradefleet.runtime.health import Health
from tradefleet.runtime.settings import ProcessSettings
from tradefleet.store.postgres.commands import PostgresCommandStore
from tradefleet.store.postgres.halts import PostgresHaltStore
from tradefleet.store.postgres.retention import PostgresRetentionStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.trials import PostgresTrials
from tradefleet.store.postgres.upkeep import PostgresFleetStore
from workloads.backtest.strategies import warmup_of

from .cache import Cache
from .client import JOB, Api, Forbidden, Kind
from .events import Events
from .jobs import ClusterJobs
from .lease import RENEW_EVERY_S, GovernorLease
from .login import Login
from .logins import ClusterLogins
from .manifests import Surroundings, database_hosts
from .namespaces import Namespaces, Stage
from .referenced import ClusterReferences
from .renderer import WATCHED, ClusterRenderer, selector
from .resources import CUSTOM, ClusterResources
from .secrets import Secrets
from .settings import GovernorSettings
from .simulations import ClusterSimulations

_LOG: Final = logging.getLogger(__name__)

ROUND_S: Final = 1.0  # between two looks without a hint, while something is on its way: the database gives none
CALM_S: Final = 5.0  # and while nothing is; figures are fresh enough then
ROUND_MIN_S: Final = 0.2  # and with hints one after the other
RETRY_S: Final = 1.0
FULL_S: Final = 30.0  # a whole round is done so often, even when nothing has changed: some things depend on the time
END_S: Final = 20.0  # a round that is at work when we are asked to end

KUEUE: Final = "kueue.x-k8s.io"

KINDS: Final[Sequence[Kind]] = (*CUSTOM.values(), *WATCHED, JOB)


def now_us() -> int:
    """Return the wall's clock, UTC microseconds."""
    return time.time_ns() // 1_000


def warm_up(name: str, params: Mapping[str, ParameterValue]) -> int:
    """Return how many bars a built-in strategy wants before it trades. Raises AskedByJob for anybody's own.

    To ask those means to run their code, and here is a log-in that may do everything: a job does it.
    """
    if ":" in name:
        raise AskedByJob(f"strategy {name} is not built in")
    return _built_in_warm_up(name, tuple(sorted(params.items())))


@lru_cache(maxsize=4_096)  # of a strategy that is part of this release, so it is always the same
def _built_in_warm_up(name: str, params: tuple[tuple[str, ParameterValue], ...]) -> int:
    return warmup_of(name, dict(params))


class _Sight:
    """What was committed to the database, and whether that has changed since a round saw it."""

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes
        self._resources: Collection[Resource] = ()
        self._seen: Seen | None = None
        self._fresh: Seen | None = None

    def look(self, resources: Collection[Resource]) -> Seen:
        """Return what is there of these resources."""
        seen = self._fresh if self._fresh is not None and resources == self._resources else self._eyes.look(resources)
        self._resources, self._seen, self._fresh = resources, seen, None
        return seen

    def has_news(self) -> bool:
        """Return whether there is something that the last round has not seen."""
        self._fresh = self._eyes.look(self._resources)
        return self._fresh != self._seen


class Governor:
    """Looks after the namespaces in its settings until `ask_to_end`. `run` is for a thread of its own."""

    def __init__(
        self, settings: GovernorSettings, process: ProcessSettings, login: Login, health: Health, *, instance: str
    ) -> None:
        self._settings = settings
        self._process = process
        self._health = health
        self._instance = instance
        self._hint = threading.Event()
        self._is_over = threading.Event()
        self._closing = ExitStack()
        lease_api = Api(login)
        self._lease = GovernorLease(
            lease_api, namespace=settings.lease_namespace, name=settings.lease_name, holder=process.holder
        )
        self._api = Api(login, permit=self._lease.check)
        self._closing.callback(lease_api.close)
        self._closing.callback(self._api.close)
        self.cache = Cache(self._hint.set)
        # Where our own objects may be: what is left of a namespace that ends runs beside us.
        self.places = tuple(dict.fromkeys((*settings.namespaces, settings.lease_namespace)))
        self._namespaces = self._new_namespaces()
        self._listed_s = 0.0
        self._has_kueue = False
        self._rounds: Rounds | None = None
        self._session: Session | None = None
        self._resources: ClusterResources | None = None
        self._renderer: ClusterRenderer | None = None
        self._eyes: Eyes | None = None
        self._sight: _Sight | None = None
        self._references: ClusterReferences | None = None
        self._changes = -1  # of the cache, when the last whole round began
        self._full_s = 0.0  # when it ended
        self._open = ExitStack()  # what belongs to the present hold of the Lease

    def ask_to_end(self) -> None:
        """Let `run` come to its end."""
        self._is_over.set()
        self._hint.set()

    # --- the Lease ------------------------------------------------------------------------------------------------

    def keep_lease(self) -> None:
        """Hold the Lease, or wait for it, until asked to end. For a thread of its own."""
        while not self._is_over.is_set():
            try:
                was_held = self._lease.is_held()
                if self._lease.try_once() and not was_held:
                    self._hint.set()
            except FleetError as error:
                _LOG.warning("the Lease could not be renewed: %s", error)
            self._is_over.wait(RENEW_EVERY_S)

    # --- rounds ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Do rounds until asked to end, then let the Lease go. An error that is none of ours passes through."""
        try:
            while not self._is_over.is_set():
                began_s = time.monotonic()
                self._try_round()
                self._health.beat()
                self._wait(began_s)
        finally:
            self._health.set_ready(is_ready=False, why_not="ending")
            self._forget()
            self._lease.give_up()
            self._closing.close()

    def _try_round(self) -> None:
        if not self._lease.is_held():
            if self._rounds is not None:
                _LOG.warning("the Lease is lost: nothing is written until it is ours again")
                self._forget()
            # One that stands by does what it is there for.
            self._health.set_ready(is_ready=bool(self._lease.other), why_not="waits for the Lease")
            return
        try:
            if self._rounds is None:
                self._rounds = self._begin()
            if time.monotonic() - self._listed_s >= self._settings.resync_s:
                self._list()
            self._lease.check()
            if not self._is_at_rest():
                self._changes = self.cache.changes
                self._namespaces.keep_rights(self._used())
                self._rounds.go()
                self._full_s = time.monotonic()
            self._health.set_ready(is_ready=True)
        except FleetError as error:
            _LOG.warning("this round failed, the next one tries again: %s: %s", type(error).__name__, error)
            self._health.set_ready(is_ready=False, why_not=f"{type(error).__name__}: {error}")
            self._changes = -1
            if self._session is not None:
                self._session.close()
            self._is_over.wait(RETRY_S)

    def _wait(self, began_s: float) -> None:
        """Wait for a hint, or the next look."""
        self._is_over.wait(max(0.0, began_s + ROUND_MIN_S - time.monotonic()))
        is_calm = self._rounds is not None and self._resources is not None and self._resources.is_calm()
        self._hint.wait(max(0.0, began_s + (CALM_S if is_calm else ROUND_S) - time.monotonic()))
        self._hint.clear()

    def _is_at_rest(self) -> bool:
        """Return whether a round would find what the last one found: then it is spared."""
        if self._sight is None or self._resources is None or self._renderer is None or self._references is None:
            return False
        is_due = time.monotonic() - self._full_s >= FULL_S
        if is_due or self.cache.changes != self._changes or not self._resources.is_calm():
            return False
        if self._sight.has_news() or self._references.has_news():
            return False
        self._renderer.look_after_secrets()
        return True

    def _list(self) -> None:
        """List everything anew: whatever a watch has missed is known then."""
        if self._settings.kueue_queue:
            self._has_kueue = self._api.serves(KUEUE)
        self._namespaces.forget_bindings()
        for namespace in self.places:
            try:
                for kind in KINDS if namespace in self._settings.namespaces else WATCHED:
                    ours = "" if kind in CUSTOM.values() else selector(self._process.fleet)
                    self.cache.refresh(kind, namespace, self._api.list(kind, namespace, selector=ours))
            except Forbidden as error:
                self._go_on_without(namespace, error)
        self._listed_s = time.monotonic()

    def _go_on_without(self, namespace: str, error: Forbidden) -> None:
        """Let a namespace that cannot be listed hold up no other; raise when bots of ours may be in it."""
        self._namespaces.look({namespace})
        stage = self._namespaces.stage(namespace)
        if stage is Stage.GONE or (stage is Stage.ENDING and namespace not in self._used()):
            self.cache.forget(KINDS, namespace)  # our rights went with the last resource of ours
            return
        if not self.cache.is_filled(KINDS, [namespace]):
            assert self._eyes is not None
            if stage is Stage.THERE and self._eyes.has_bots(namespace):
                raise error  # to know nothing of them would be to take away what they need
            self.cache.forget(KINDS, namespace)
        _LOG.error(
            "namespace %s is left as it is: there is no right to look into it: `helm upgrade` gives it: %s",
            namespace,
            error,
        )

    def _used(self) -> frozenset[str]:
        """Return the namespaces with resources of ours."""
        return frozenset(key[0] for kind in CUSTOM.values() for key, _ in self.cache.all(kind))

    def _new_namespaces(self) -> Namespaces:
        settings = self._settings
        return Namespaces(
            self._api, own=settings.lease_namespace, watched=settings.namespaces, binding=settings.role_binding
        )

    # --- parts ----------------------------------------------------------------------------------------------------

    def _begin(self) -> Rounds:
        """Return the rounds of a Governor that has just got the Lease: it knows nothing yet."""
        process, settings = self._process, self._settings
        self._forget()
        self._namespaces = self._new_namespaces()
        owner_url = process.database_url.reveal()
        owner = Session(owner_url, fleet=process.fleet, application="governor")
        PostgresFleetStore(owner).create_fleet()
        owner.close()
        secrets = Secrets(self._api, time.monotonic, process.fleet)
        logins = ClusterLogins(
            owner_url,
            process.fleet,
            secrets=secrets,
            cache=self.cache,
            store=lambda: PostgresFleetStore(session),
            home_of=self._namespaces.home_of,
        )
        self._open.callback(logins.close)
        session = self._session = Session(logins.supervisor_url(), fleet=process.fleet, application="governor")
        self._open.callback(session.close)
        bus = KafkaBus(
            KafkaSettings(
                bootstrap=process.kafka_bootstrap,
                prefix=process.kafka_prefix,
                client_id="governor",
                security=process.security(),
                schema_registry=settings.schema_registry_url or "",
            )
        )
        self._open.callback(bus.close)
        prepare_topics(bus, now_us())
        events = Events(self._api, instance=self._instance)
        resources = self._resources = ClusterResources(
            self._api,
            self.cache,
            events,
            namespaces=settings.namespaces,
            dismiss=logins.dismiss_owner,
            stages=self._namespaces,
        )
        self._open.callback(resources.close)
        surroundings = Surroundings(
            fleet=process.fleet,
            defaults=settings.workloads,
            database_hosts=database_hosts(owner_url),
            kafka_bootstrap=process.kafka_bootstrap,
            kafka_prefix=process.kafka_prefix,
            schema_registry_url=settings.schema_registry_url or "",
        )
        renderer = self._renderer = ClusterRenderer(
            self._api,
            self.cache,
            surroundings,
            secrets=secrets,
            credentials=logins.credentials,
            prepare=logins.prepare,
            owner_of=resources.get,
            frozen=resources.unreadable,
            namespaces=self._namespaces,
            listed=self.places,
        )
        self._open.callback(renderer.close)
        jobs = ClusterJobs(
            self._api,
            self.cache,
            surroundings,
            secrets=secrets,
            login=logins.login,
            owners=resources.by_job,
        )
        simulations = ClusterSimulations(
            self._api,
            self.cache,
            surroundings,
            secrets=secrets,
            login=logins.login,
            owners=resources.by_job,
            frozen=resources.unreadable,
            slots=settings.simulations_max,
            queue=lambda: settings.kueue_queue if self._has_kueue else "",
        )
        looked_at = self._references = ClusterReferences(self._api)
        eyes = self._eyes = Eyes(session)
        sight = self._sight = _Sight(eyes)
        self._listed_s = -float(settings.resync_s)
        return Rounds(
            Ports(
                resources=resources,
                sight=sight,
                renderer=renderer,
                jobs=jobs,
                simulations=simulations,
                logins=logins,
                announcer=Announcements(bus, now_us),
                upkeep=Housekeeping(PostgresRetentionStore(session), time.monotonic),
                fleet=PostgresFleetStore(session),
                halts=PostgresHaltStore(session),
                commands=PostgresCommandStore(session),
                runs=PostgresRuns(session),
                trials=PostgresTrials(session),
                warm_up=warm_up,
                wall_us=now_us,
                references=looked_at,
            )
        )

    def _forget(self) -> None:
        """Let go of what belongs to one hold of the Lease."""
        self._rounds = self._session = self._resources = self._renderer = self._sight = self._eyes = None
        self._references = None
        self._open.close()
        self._open = ExitStack()
