"""The Governor's rounds, the same on one machine and in a cluster: look, plan, carry out, show, take away.

Level-based: each round looks at everything anew, so a missed hint or a crash half-way costs time and nothing else. What
a round remembers of the one before spares writes; a Governor that starts writes once more what is so already.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from governor.annotations import OWNER_ANNOTATION
from governor.dataset_status import refusal
from governor.ending import is_needed, settled_bots
from governor.job import JobFacts
from governor.observation import Seen
from governor.plan import Observed, plan
from governor.plan.hosts import HOSTS_MAX, host_name
from governor.ports import Ports
from governor.reporting import statuses_of
from governor.sets import change_of, makers
from governor.tasks import dataset_view, finished_reports, jobs_of
from governor.workload import Command, Plan, PolicyHalt, Role
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotUid
from tradefleet.domain.instrument import Instrument
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.store.ports import Halt, RunId

_LOG: Final = logging.getLogger(__name__)

POLICY_SCOPES: Final = "policy/"  # how the scopes of the halt switches begin that RiskPolicies alone switch


@dataclass(frozen=True, slots=True)
class _State:
    """The fleet as a round found it."""

    resources: list[Resource]
    seen: Seen
    settled: frozenset[BotUid]
    now_us: int


class Rounds:
    """One fleet's rounds. `go` raises FleetError when it cannot go on, and may be called again."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._jobs: Mapping[str, JobFacts] = {}
        self._told: dict[str, Command] = {}
        self._hosts: set[str] | None = None  # whose log-ins there may be; not known at first
        self._listed: dict[str, tuple[Instrument, ...]] = {}

    def go(self) -> None:
        """Do one round. It never waits for a process."""
        state = self._look()
        planned = plan(state.resources, self._observed(state), self._ports.warm_up)
        state = replace(state, seen=self._obey_policies(planned, state.seen))  # before a new bot is told to trade
        self._carry_out(planned, state.seen)
        self._ports.renderer.tend(planned.workloads)
        self._dismiss_hosts(planned, state.resources)
        for workload, message in self._ports.renderer.take_ends():
            self._ports.resources.note(workload.owner, "process ended", f"{workload.name}: {message}")
        self._jobs = self._ports.jobs.tend(jobs_of(state.resources, planned.verdicts))
        self._show(planned, state)
        self._remove_ended(planned, state)
        reports = finished_reports(state.resources, self._jobs)
        self._ports.announcer.tell(planned.commands, state.seen.halts, reports)
        self._ports.upkeep.tend(planned.commands, runs=state.seen.runs, finished=state.seen.finished)

    def _look(self) -> _State:
        resources = self._expand(self._ports.resources.all())
        seen = self._ports.sight.look(resources)
        now_us = self._ports.wall_us()
        return _State(resources, seen, settled_bots(resources, seen.books, seen.open_orders, now_us=now_us), now_us)

    def _expand(self, resources: list[Resource]) -> list[Resource]:
        """Make, change and delete the bots of sets, and return the resources as they are then."""
        changed = False
        for bot_set in [each for each in resources if isinstance(each, BotSet)]:
            try:
                change = change_of(bot_set, resources)
                applied = self._ports.resources.apply(change.apply, owner=bot_set.metadata.uid) if change.apply else []
            except Permanent as error:
                _LOG.error("%s: its bots cannot be made: %s", bot_set.key, error)
                continue
            gone = self._ports.resources.delete(change.delete) if change.delete else ()
            changed = changed or bool(gone) or any(each.verb != "unchanged" for each in applied)
        return self._ports.resources.all() if changed else resources

    def _observed(self, state: _State) -> Observed:
        seen = state.seen
        views = [
            (each, dataset_view(each, self._jobs, seen.recorded, state.resources))
            for each in state.resources
            if isinstance(each, Dataset)
        ]
        refusals = {each.key: refusal(each, view) for each, view in views}
        return Observed(
            runs=seen.runs,
            terms=seen.terms,
            finished=seen.finished,
            left=seen.left,
            configs=seen.configs,
            settled=state.settled,
            hosts={BotUid(uid): held.host for uid, held in seen.held.items()},
            read=frozenset(each.key for each, view in views if view.found is not None),
            refused={key: why[1] for key, why in refusals.items() if why is not None},
        )

    def _obey_policies(self, planned: Plan, seen: Seen) -> Seen:
        """Switch on what RiskPolicies halt, and off what they have set and want no longer; return what is on then.

        Theirs are switches of their own: what a person halted is neither changed nor ended.
        """
        wanted = {each.scope: each for each in planned.halts}
        active = {each.scope: each for each in seen.halts if each.scope.startswith(POLICY_SCOPES)}
        missing = [
            each
            for scope, each in wanted.items()
            if scope not in active or (active[scope].reason, active[scope].set_by) != (each.reason, each.set_by)
        ]
        over = [each for scope, each in active.items() if scope not in wanted]
        if not missing and not over:
            return seen
        for (set_by, reason), group in groupby(sorted(missing, key=_setter), key=_setter):
            self._ports.halts.set_halts([each.scope for each in group], reason=reason, set_by=set_by)
        for (set_by, _), ended in groupby(sorted(over, key=_setter), key=_setter):
            self._ports.halts.clear_halts([each.scope for each in ended], set_by=set_by)
        return replace(seen, halts=tuple(self._ports.halts.active_halts()))

    def _carry_out(self, planned: Plan, seen: Seen) -> None:
        """Write what others read: instruments, bots' rows and commands, runs. Nothing is written that is so already."""
        for exchange, instruments in planned.listed.items():
            if self._listed.get(exchange) != instruments:
                self._ports.fleet.put_instruments(exchange, instruments)
                self._listed[exchange] = instruments
        for wanted in planned.commands:
            config = wanted.command.config
            if self._told.get(config.uid) == wanted and config.uid in seen.configs:
                continue
            self._ports.logins.admit_bot(config.key, config.uid, host=wanted.host)
            self._ports.commands.put_command(wanted.account, wanted.command)
            self._told[config.uid] = wanted
        for run in planned.runs:
            self._ports.runs.create_run(RunId(run.run), run.feed, run.participants, run.terms)

    def _dismiss_hosts(self, planned: Plan, resources: Collection[Resource]) -> None:
        """Take away the log-ins of hosts that are gone, since a Governor that died had no time to, as well."""
        wanted = {each.name for each in planned.workloads if each.role is Role.HOST}
        if self._hosts is None:
            exchanges = [each.key for each in resources if isinstance(each, Exchange)]
            possible = [host_name(each, number) for each in exchanges for number in range(HOSTS_MAX)]
            self._hosts = set(self._ports.logins.known_hosts(possible))
        self._hosts |= wanted
        for host in sorted(self._hosts - wanted - self._ports.renderer.facts().keys()):
            self._ports.logins.dismiss_host(host)
            self._hosts.discard(host)

    def _show(self, planned: Plan, state: _State) -> None:
        facts = self._ports.renderer.facts()
        statuses = statuses_of(
            state.resources, planned, state.seen, facts, state.settled, self._jobs, now_us=state.now_us
        )
        changed = {uid: status for uid, (old, status) in statuses.items() if status != old}
        if changed:
            self._ports.resources.write_statuses(changed)

    def _remove_ended(self, planned: Plan, state: _State) -> None:
        """Remove deleted resources that nothing needs and of which no process is left."""
        running = {workload.owner for workload in planned.workloads} | set(self._ports.renderer.owners())
        for each in state.resources:
            if each.metadata.deletion_timestamp is None or each.key in running:
                continue
            if is_needed(each, state.resources, state.settled):
                continue
            if isinstance(each, TradingBot):
                self._retire(each)
            if isinstance(each, Exchange | Feed):
                self._ports.fleet.retire_owner(each.metadata.uid or "")
            self._ports.resources.remove(each)
            maker = makers(state.resources).get(each.key) if OWNER_ANNOTATION in each.metadata.annotations else None
            if maker is not None:
                message = f"belongs to BotSet {maker.metadata.name}, which makes it again: edit the set"
                self._ports.resources.note(each.key, "made again", message)
            _LOG.info("%s: deleted", each.key)

    def _retire(self, bot: TradingBot) -> None:
        """Take away what a bot that was wound down still has: lease, command, log-in."""
        uid = BotUid(bot.metadata.uid or "")
        self._ports.fleet.retire_bot(uid, policy=DeletionPolicy(bot.spec.deletion_policy))
        self._ports.commands.forget_command(uid)
        self._ports.logins.dismiss_bot(uid)
        self._told.pop(uid, None)


def _setter(halt: PolicyHalt | Halt) -> tuple[str, str]:
    return halt.set_by, halt.reason
