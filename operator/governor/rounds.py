"""The Governor's rounds, the same on one machine and in a cluster: look, plan, carry out, show, take away.

Level-based: each round looks at everything anew, so a missed hint or a crash half-way costs time and nothing else. What
a round remembers of the one before spares writes; a Governor that starts writes once more what is so already.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, TypeVar

from governor.annotations import is_owned
from governor.dataset_status import refusal
from governor.demand import feed_change
from governor.ending import has_ended, is_let_go, is_needed, settled_bots
from governor.job import JobFacts
from governor.makers import makers, way_out
from governor.observation import Seen
from governor.owned import OwnedChange
from governor.plan import Memory, Observed, plan
from governor.plan.hosts import HOSTS_MAX, host_name
from governor.ports import Ports
from governor.references import references
from governor.reporting import Rest, statuses_of
from governor.sets import change_of
from governor.simulating import Simulating
from governor.simulation import SimulationFacts
from governor.tasks import answers_of, dataset_view, finished_reports, jobs_of, simulations_of
from governor.workload import Command, Plan, PolicyHalt, Question, Role, account_of
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import Permanent
from tradefleet.domain.ids import BotUid
from tradefleet.domain.instrument import Instrument
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.search import question_of
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.store.ports import Halt, RunId

OwnerT = TypeVar("OwnerT", bound=Resource)

_LOG: Final = logging.getLogger(__name__)

TOLD_AT_ONCE: Final = 100  # commands that are written in one transaction: a commit waits for a disk
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
        self._simulating = Simulating(ports.simulations, ports.trials, ports.resources.note)
        self._questions: tuple[Question, ...] = ()
        self._told: dict[str, Command] = {}
        self._lost_us: dict[BotUid, int] = {}  # since when a bot is known to be gone without us
        self._uids: set[BotUid] | None = None  # the bots of the round before; not known at first
        self._hosts: set[str] | None = None  # whose log-ins there may be; not known at first
        self._listed: dict[str, tuple[Instrument, ...]] = {}
        self._memory = Memory()  # spares work, and changes nothing of what is decided
        self._rested: dict[str, Rest] = {}  # the same of statuses, by UID

    def go(self) -> None:
        """Do one round. It never waits for a process."""
        state = self._look()
        planned = plan(state.resources, self._observed(state), self._ports.warm_up, self._memory)
        state = replace(state, seen=self._obey_policies(planned, state.seen))  # before a new bot is told to trade
        self._carry_out(planned, state.seen)
        self._ports.renderer.tend(planned.workloads)
        self._dismiss_hosts(planned, state.resources)
        for workload, message in self._ports.renderer.take_ends():
            self._ports.resources.note(workload.owner, "process ended", f"{workload.name}: {message}")
        wanted = jobs_of(state.resources, planned.verdicts, planned.questions, planned.needs)
        self._jobs, self._questions = self._ports.jobs.tend(wanted), planned.questions
        simulations = self._simulating.tend(
            simulations_of(state.resources, planned.verdicts, state.seen.trials, planned.needs, planned.code),
            state.resources,
            state.seen.trials,
            now_us=state.now_us,
        )
        self._show(planned, state, simulations)
        self._remove_ended(planned, state)
        reports = finished_reports(state.resources, state.seen.trials, state.seen.best_trials)
        self._ports.announcer.tell(planned.commands, state.seen.halts, reports)
        kept = {
            each.metadata.uid or "": (question_of(each), each.spec.history_limit)
            for each in state.resources
            if isinstance(each, Backtest)
        }
        self._ports.upkeep.tend(planned.commands, runs=state.seen.runs, finished=state.seen.finished, kept=kept)

    def _look(self) -> _State:
        resources = self._make_owned(BotSet, self._ports.resources.all(), change_of)
        seen = self._ports.sight.look(resources)
        # A Feed is none of what is looked at, so what was seen holds for those that are made now, too.
        resources = self._make_owned(
            Exchange, resources, lambda each, there: feed_change(each, there, runs=seen.runs, finished=seen.finished)
        )
        now_us = self._ports.wall_us()
        return _State(resources, seen, settled_bots(resources, seen.books, seen.open_orders, now_us=now_us), now_us)

    def _make_owned(
        self,
        kind: type[OwnerT],
        resources: list[Resource],
        change_of: Callable[[OwnerT, Collection[Resource]], OwnedChange],
    ) -> list[Resource]:
        """Make, change and delete what the resources of a kind own, and return the resources as they are then."""
        changed = False
        for owner in [each for each in resources if isinstance(each, kind)]:
            try:
                change = change_of(owner, resources)
                applied = self._ports.resources.apply(change.apply, owner=owner.metadata.uid) if change.apply else []
            except Permanent as error:
                _LOG.error("%s: what it owns cannot be made: %s", owner.key, error)
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
            references=self._ports.references(references(state.resources)),
            answers=answers_of(self._questions, self._jobs),
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
        untold = [
            each
            for each in planned.commands
            if self._told.get(each.command.config.uid) != each or each.command.config.uid not in seen.configs
        ]
        for begin in range(0, len(untold), TOLD_AT_ONCE):
            some = untold[begin : begin + TOLD_AT_ONCE]
            bots = [(each.command.config.key, each.command.config.uid, each.host) for each in some]
            self._ports.logins.admit_bots(bots)
            self._ports.commands.put_commands([(each.account, each.command) for each in some])
            self._told |= {each.command.config.uid: each for each in some}
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
        gone = self._hosts - wanted
        for host in sorted(gone - self._ports.renderer.facts().keys()) if gone else ():
            self._ports.logins.dismiss_host(host)
            self._hosts.discard(host)

    def _show(self, planned: Plan, state: _State, simulations: Mapping[ResourceKey, SimulationFacts]) -> None:
        facts = self._ports.renderer.facts()
        statuses = statuses_of(
            state.resources,
            planned,
            state.seen,
            facts,
            state.settled,
            self._jobs,
            simulations=simulations,
            now_us=state.now_us,
            rested=self._rested,
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
                if is_let_go(each):
                    self._let_go(each, state)
                else:
                    self._retire(each)
            if isinstance(each, Exchange | Feed):
                self._ports.fleet.retire_owner(each.metadata.uid or "")
            self._ports.resources.remove(each)
            maker = makers(state.resources).get(each.key) if is_owned(each) else None
            if maker is not None:
                owner = f"{maker.kind} {maker.metadata.name}"
                message = f"belongs to {owner}, which makes it again: {way_out(each.key, maker)}"
                self._ports.resources.note(each.key, "made again", message)
            _LOG.info("%s: deleted", each.key)

        self._end_lost(state)

    def _retire(self, bot: TradingBot) -> None:
        """Take away what a bot that was wound down still has: lease, command, log-in."""
        uid = BotUid(bot.metadata.uid or "")
        self._dismiss(uid, DeletionPolicy(bot.spec.deletion_policy))
        self._ports.commands.forget_command(uid)

    def _dismiss(self, uid: BotUid, policy: DeletionPolicy) -> None:
        self._ports.fleet.retire_bot(uid, policy=policy)
        self._ports.logins.dismiss_bot(uid)
        self._told.pop(uid, None)

    def _let_go(self, bot: TradingBot, state: _State) -> None:
        """Let a bot go whose end nobody has carried out, and say what of it stays.

        Its command stays, too: a gateway that comes back learns from it that the bot is gone, and acts for it no more.
        """
        uid = BotUid(bot.metadata.uid or "")
        exchange = next((each for each in state.resources if each.key == bot.exchange_key), None)
        command = self._ports.commands.bot_command(uid)
        if command is not None and isinstance(exchange, Exchange):
            config = replace(command.config, deletion_policy=DeletionPolicy.KEEP)
            self._ports.commands.put_command(account_of(exchange), replace(command, config=config, deleting=True))
        books = state.seen.books.get(uid)
        held = [] if books is None else [f"its position in {symbol}" for symbol, lots in books.lots.items() if lots]
        orders = state.seen.open_orders.get(uid, 0)
        left = [*([f"{orders} open order{'' if orders == 1 else 's'}"] if orders else []), *held]
        stays = f"{' and '.join(left)} stay at the venue" if left else "nothing of it is known to be open"
        message = f"let go before its deletionPolicy {bot.spec.deletion_policy} was carried out: {stays}"
        self._ports.resources.note(bot.key, "let go", message)
        _LOG.warning("%s: %s", bot.key, message)
        self._dismiss(uid, DeletionPolicy.KEEP)

    def _end_lost(self, state: _State) -> None:
        """Wind down the bots whose resources are gone: those let go, and those that somebody took our finalizer off.

        Their commands tell their gateway, and are forgotten once it knows, and nothing of the bots is open.
        """
        uids = {BotUid(each.metadata.uid or "") for each in state.resources if isinstance(each, TradingBot)}
        lost = {uid: config for uid, config in state.seen.configs.items() if uid not in uids}
        self._lost_us = {uid: since_us for uid, since_us in self._lost_us.items() if uid in lost}
        for uid, config in lost.items():
            if uid not in self._lost_us:
                namespace, _, name = config.key.partition("/")
                if not self._ports.resources.is_gone(ResourceKey("TradingBot", namespace, name), uid):
                    continue
                self._lost_us[uid] = state.now_us
                self._ports.commands.end_command(uid)
                _LOG.warning("TradingBot %s is gone: its end is carried out, as far as it was not", config.key)
            books, orders = state.seen.books.get(uid), state.seen.open_orders.get(uid, 0)
            if has_ended(config.deletion_policy, books, orders, state.now_us - self._lost_us[uid]):
                self._dismiss(uid, config.deletion_policy)
                self._ports.commands.forget_command(uid)
        if self._uids is None or not self._uids <= uids:
            self._ports.logins.dismiss_strangers(uids | state.seen.configs.keys())
        self._uids = uids


def _setter(halt: PolicyHalt | Halt) -> tuple[str, str]:
    return halt.set_by, halt.reason
