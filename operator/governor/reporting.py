"""From what the Governor saw to the statuses of all resources. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from governor.conditions import ProcessView, plain_status
from governor.dataset_status import dataset_status, is_made_up
from governor.demand import demanding, feed_trouble
from governor.ending import is_overdue
from governor.job import JobFacts
from governor.observation import Held, Seen
from governor.owned import is_of
from governor.policy_status import policy_status
from governor.sets import trouble_of, wanted_bots
from governor.simulation import SimulationFacts
from governor.status import AccountView, BotView, Span, bot_status, exchange_status, feed_status, set_status
from governor.tasks import backtest_status, dataset_view, progress_of
from governor.workload import Plan, ProcessFacts, ProcessState, Role, Verdict, account_of, workload_name
from tradefleet.domain.ids import BotKey, BotUid, bot_scopes
from tradefleet.domain.instrument import Instrument
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.bot_set import BotSet
from tradefleet.resources.common import Phase, Resource, ResourceKey, Status
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.machines import machine_instruments
from tradefleet.resources.problems import InvalidResource
from tradefleet.resources.replay_plan import range_of
from tradefleet.resources.risk_policy import RiskPolicy
from tradefleet.resources.trading_bot import TradingBot

Values = dict[str, Any]

NOBODY_BUYS = "but no Feed plays: apply one, or apply the bot with deletionPolicy: CancelOrders to keep the position"


Given = tuple[Verdict | None, BotView, Mapping[str, Instrument]]
"""All that a bot's status is made from, but for the bot and the time."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A bot whose status was what it should be, and what it was made from: made again from that, it is the same."""

    bot: TradingBot
    given: Given
    shown: Values


class _Reporter:
    def __init__(
        self,
        resources: list[Resource],
        planned: Plan,
        seen: Seen,
        processes: Mapping[str, ProcessFacts],
        settled: frozenset[BotUid],
        jobs: Mapping[str, JobFacts],
        simulations: Mapping[ResourceKey, SimulationFacts],
        now_us: int,
    ) -> None:
        self._resources = resources
        self._by_key = {each.key: each for each in resources}
        self._planned = planned
        self._seen = seen
        self._processes = processes
        self._settled = settled
        self._jobs = jobs
        self._simulations = simulations
        self._now_us = now_us
        self._bots = [each for each in resources if isinstance(each, TradingBot)]
        self._commands = {str(each.command.config.uid): each for each in planned.commands}
        self._bots_at: dict[ResourceKey, list[TradingBot]] = {}
        self._market_us: dict[ResourceKey, int] = {}
        for bot in self._bots:
            place = bot.exchange_key
            self._bots_at.setdefault(place, []).append(bot)
            found = seen.statistics.get(bot.metadata.uid or "")
            if found is not None:
                self._market_us[place] = max(found.market_us, self._market_us.get(place, 0))
        self._instruments: dict[ResourceKey, Mapping[str, Instrument] | None] = {}
        self._feed_trouble = {
            each.exchange_key: why for each in resources if isinstance(each, Feed) and (why := self._trouble_of(each))
        }
        self._finished_exchanges = {
            each.exchange_key for each in resources if isinstance(each, Feed) and self._is_over(each)
        }

    def _trouble_of(self, feed: Feed) -> str:
        """Return why a feed brings nothing until somebody acts, empty when nothing is wrong."""
        process = self._process(Role.FEED, feed.key)
        return f"Feed {feed.metadata.name}: {process.message}" if process is not None and process.is_failed else ""

    def _is_over(self, feed: Feed) -> bool:
        process = self._process(Role.FEED, feed.key)
        return feed.metadata.uid in self._seen.finished or (process is not None and process.has_ended)

    def _process(self, role: Role, owner: ResourceKey) -> ProcessView | None:
        return self._named_process(workload_name(role, owner))

    def _named_process(self, name: str) -> ProcessView | None:
        facts = self._processes.get(name)
        if facts is None:
            return None
        return ProcessView(
            is_ready=facts.state is ProcessState.READY,
            is_failed=facts.state is ProcessState.REFUSED,
            has_ended=facts.state is ProcessState.ENDED,
            restarts=facts.restarts,
            reason=facts.reason or ("Restarting" if facts.state is ProcessState.BACKING_OFF else ""),
            message=facts.message,
            has_drifted=facts.has_drifted,
        )

    def status(self, each: Resource) -> Status | None:
        """Return what a resource should show; None for kinds that others report on."""
        match each:
            case Exchange():
                return self._exchange(each)
            case Feed():
                return self._feed(each)
            case BotSet():
                return self._set(each)
            case RiskPolicy():
                halted = {halt.scope for halt in self._seen.halts}
                return policy_status(each, self._resources, halted, now_us=self._now_us)
            case Dataset():
                process = self._process(Role.RECORDER, each.key)
                view = dataset_view(each, self._jobs, self._seen.recorded, self._resources, process)
                verdict = self._planned.verdicts.get(each.key)
                return dataset_status(each, verdict, view, now_us=self._now_us)
            case Backtest():
                progress = progress_of(each, self._seen.trials)
                facts = self._simulations.get(each.key)
                verdict = self._planned.verdicts.get(each.key)
                return backtest_status(each, progress, facts, verdict, now_us=self._now_us)
            case _:
                return None

    def given(self, bot: TradingBot) -> Given:
        """Return what a bot's status is made from."""
        uid = bot.metadata.uid or ""
        place = bot.exchange_key
        exchange = self._by_key.get(place)
        statistics = self._seen.statistics.get(uid)
        instruments = self._instruments_of(exchange) if isinstance(exchange, Exchange) else {}
        if instruments is None:
            instruments, statistics = {}, None  # its verdict says what is wrong
        if any(symbol not in instruments for symbol in bot.spec.instruments):
            statistics = None
        books = self._seen.books.get(uid)
        process = self._bot_process(bot)
        view = BotView(
            process=process,
            host=self._held(bot).host,
            statistics=statistics,
            epoch=self._seen.epochs.get(uid),
            open_orders=self._seen.open_orders.get(uid, 0),
            is_settled=BotUid(uid) in self._settled,
            remaining=self._remaining(bot),
            halted=self._halted(exchange, *bot_scopes(BotKey(bot.key.full_name))),
            mismatch=self._account_view(exchange).mismatch,
            closures={} if books is None else books.closures,
            unreadable_seq=0 if books is None else books.unreadable_seq,
            is_drawn_down=books is not None and books.is_drawn_down,
            abandoned_since_us=books.absent_since_us if books is not None and books.is_abandoned else 0,
            refold_inputs=self._seen.refolds.get(uid, 0),
            refused=self._seen.refusals.get(uid, ""),
            has_drifted=bot.key in self._planned.drifted or (process is not None and process.has_drifted),
            new_code=self._planned.new_code.get(bot.key, ""),
            market_us=self._market_us.get(place, 0),
            is_replayed=place in self._finished_exchanges and not self._is_played(bot),
            feed_trouble=self._feed_trouble.get(place, ""),
            is_selling=books is not None and books.has_exits,
            overdue=self._hindrance(bot) if is_overdue(bot, self._now_us) else "",
        )
        return self._planned.verdicts.get(bot.key), view, instruments

    def _instruments_of(self, exchange: Exchange) -> Mapping[str, Instrument] | None:
        """Return the instruments of an exchange, None when it cannot have any."""
        if exchange.key not in self._instruments:
            try:
                found = {str(symbol): each for symbol, each in machine_instruments(exchange).items()}
                self._instruments[exchange.key] = found
            except InvalidResource:
                self._instruments[exchange.key] = None
        return self._instruments[exchange.key]

    def _held(self, bot: TradingBot) -> Held:
        return self._seen.held.get(bot.metadata.uid or "", Held())

    def _bot_process(self, bot: TradingBot) -> ProcessView | None:
        """Return the process of a bot: its own, or as much of its host's as concerns it."""
        uid = bot.metadata.uid or ""
        wanted = self._commands.get(uid)
        if wanted is None or not wanted.host:
            return self._process(Role.BOT, bot.key)
        process, held = self._named_process(wanted.host), self._held(bot)
        if process is None or not process.is_ready or held.host != wanted.host:
            return None if process is None or process.is_ready else process
        if held.trouble:
            reason, _, message = held.trouble.partition(": ")
            return replace(process, is_ready=False, is_failed=True, reason=reason, message=message)
        if held.generation < wanted.command.config.generation:
            message = f"its host {wanted.host} takes it up"
            return replace(process, is_ready=False, reason="Starting", message=message)
        return process

    def _remaining(self, bot: TradingBot) -> str:
        """Return what the end of a bot waits for."""
        uid = bot.metadata.uid or ""
        books = self._seen.books.get(uid)
        if BotUid(uid) in self._settled:
            return "its process ends"
        parts = []
        orders = self._seen.open_orders.get(uid, 0)
        if orders:
            parts.append(f"{orders} open order{'' if orders == 1 else 's'}")
        if books is not None and books.has_exits:
            held = ", ".join(f"{symbol}" for symbol, lots in books.lots.items() if lots)
            when = "at the next bar" if self._is_played(bot) else NOBODY_BUYS
            parts.append(f"its position in {held} is being sold, {when}")
        if books is not None and not books.is_ending:
            parts.append("its gateway has not taken the order to end yet")
        return " and ".join(parts)

    def _hindrance(self, bot: TradingBot) -> str:
        """Return what keeps a deleted bot from ending, and what a person can do about it."""
        name, place = bot.metadata.name, bot.exchange_key
        exchange, verdict = self._by_key.get(place), self._planned.verdicts.get(place)
        books = self._seen.books.get(bot.metadata.uid or "")
        untended = [
            (role, process)
            for role, process in ((each, self._process(each, place)) for each in (Role.GATEWAY, Role.VENUE))
            if process is None or not process.is_ready
        ]
        if not isinstance(exchange, Exchange):
            why = f"apply Exchange {place.name} again, which it trades on"
        elif verdict is not None:
            why = f"Exchange {place.name} has to run: {verdict.message}"
        elif untended:
            role, process = untended[0]
            said = f" ({process.reason}: {process.message})" if process is not None and process.reason else ""
            why = f"the {role} of Exchange {place.name} does not run{said}: `tradefleet logs {place.name}` shows why"
        elif books is not None and books.has_exits and not self._is_played(bot):
            why = "apply a Feed that plays its market, or set its deletionPolicy to CancelOrders"
        else:
            why = f"`tradefleet describe ex {place.name}` shows how its gateway does"
        return f"{why}; `tradefleet delete tb {name} --force` lets it go and leaves what is open at the venue"

    def _is_played(self, bot: TradingBot) -> bool:
        """Return whether more bars come for a bot."""
        exchange = bot.exchange_key.full_name
        feeds = [
            each for each in self._planned.workloads if each.role is Role.FEED and each.settings["exchange"] == exchange
        ]
        found = (self._by_key.get(each.owner) for each in feeds)
        return any(isinstance(feed, Feed) and not self._is_over(feed) for feed in found)

    def _halted(self, exchange: Resource | None, *own_scopes: str) -> str:
        scopes = {"fleet", *own_scopes}
        if isinstance(exchange, Exchange):
            scopes.add(f"account/{account_of(exchange)}")
        found = [halt for halt in self._seen.halts if halt.scope in scopes]
        return "; ".join(f"halted ({halt.scope}) by {halt.set_by}: {halt.reason}" for halt in found)

    def _account_view(self, exchange: Resource | None) -> AccountView:
        if not isinstance(exchange, Exchange):
            return AccountView()
        return self._seen.accounts.get(account_of(exchange), AccountView())

    def _exchange(self, exchange: Exchange) -> Status:
        account = account_of(exchange)
        mine = self._bots_at.get(exchange.key, [])
        uids = [bot.metadata.uid or "" for bot in mine]
        return exchange_status(
            exchange,
            self._planned.verdicts.get(exchange.key) or feed_trouble(exchange, self._resources),
            [self._process(Role.VENUE, exchange.key), self._process(Role.GATEWAY, exchange.key)],
            bots=mine,
            open_orders=self._open_orders(mine),
            fills=sum(self._seen.statistics[uid].fills for uid in uids if uid in self._seen.statistics),
            epoch=self._seen.gateway_epochs.get(account),
            account=self._account_view(exchange),
            halted=self._halted(exchange, f"account/{account}"),
            has_drifted=exchange.key in self._planned.drifted,
            derived=self._derived(exchange),
            now_us=self._now_us,
        )

    def _derived(self, exchange: Exchange) -> str:
        """Return which Feed was made for how many bots of an exchange, empty for none."""
        feed = next((each for each in self._resources if isinstance(each, Feed) and is_of(each, exchange)), None)
        bots = len(demanding(exchange, self._bots_at.get(exchange.key, [])))
        return "" if feed is None else f"Feed {feed.metadata.name} was made for {bots} bot{'' if bots == 1 else 's'}"

    def _feed(self, feed: Feed) -> Status:
        place = feed.exchange_key
        served = [] if place is None else self._bots_at.get(place, [])
        return feed_status(
            feed,
            self._planned.verdicts.get(feed.key),
            self._process(Role.FEED, feed.key),
            bots=len(served),
            bars=0 if place is None else self._seen.bars.get(place.full_name, 0),
            market_us=0 if place is None else self._market_us.get(place, 0),
            span=self._span(feed),
            is_finished=feed.metadata.uid in self._seen.finished,
            is_synthetic=self._is_synthetic(feed),
            open_orders=self._open_orders(served),
            now_us=self._now_us,
        )

    def _open_orders(self, bots: list[TradingBot]) -> int:
        return sum(self._seen.open_orders.get(bot.metadata.uid or "", 0) for bot in bots)

    def _played(self, feed: Feed) -> list[Dataset]:
        references = feed.spec.replay.dataset_refs if feed.spec.replay is not None else ()
        found = (self._by_key.get(ResourceKey("Dataset", feed.key.namespace, each.name)) for each in references)
        return [each for each in found if isinstance(each, Dataset)]

    def _is_synthetic(self, feed: Feed) -> bool:
        return any(is_made_up(each, self._resources) for each in self._played(feed))

    def _span(self, feed: Feed) -> Span | None:
        """Return from when to when a replay plays; None as long as that is not known of all its Datasets."""
        views = [dataset_view(each, self._jobs, self._seen.recorded, self._resources) for each in self._played(feed)]
        spans = [
            (view.found.first_us, view.found.last_us)
            for view in views
            if view.found is not None and view.found.first_us is not None and view.found.last_us is not None
        ]
        if feed.spec.replay is None or not spans or len(spans) < len(views):
            return None
        start_us, end_us = range_of(feed.spec.replay)
        first_us, last_us = min(first for first, _ in spans), max(last for _, last in spans)
        return max(first_us, start_us or first_us), min(last_us, end_us or last_us)

    def _set(self, bot_set: BotSet) -> Status:
        mine = [bot for bot in self._bots if is_of(bot, bot_set)]
        try:
            wanted = wanted_bots(bot_set, mine)
            trouble = trouble_of(bot_set, self._resources)
        except InvalidResource as error:
            return type(bot_set.status)(
                **plain_status(
                    bot_set,
                    phase=Phase.FAILED,
                    reason="InvalidSpec",
                    message=str(error),
                    is_stalled=True,
                    now_us=self._now_us,
                )
            )
        return set_status(bot_set, trouble, mine, wanted, now_us=self._now_us)


def statuses_of(
    resources: list[Resource],
    planned: Plan,
    seen: Seen,
    processes: Mapping[str, ProcessFacts],
    settled: frozenset[BotUid],
    jobs: Mapping[str, JobFacts],
    *,
    simulations: Mapping[ResourceKey, SimulationFacts] = MappingProxyType({}),
    now_us: int,
    rested: dict[str, Rest] | None = None,
) -> dict[str, tuple[Values, Values]]:
    """Return, by UID, the status that a resource shows now and the one that it should show, as plain values.

    `rested` is what the call before left there: bots that are the same, and of which the same was seen, are spared. It
    changes nothing of what is returned.
    """
    reporter = _Reporter(resources, planned, seen, processes, settled, jobs, simulations, now_us)
    before = {} if rested is None else dict(rested)
    resting: dict[str, Rest] = {}
    found = {}
    for each in resources:
        uid = each.metadata.uid or ""
        given = reporter.given(each) if isinstance(each, TradingBot) else None
        rest = before.get(uid)
        if rest is not None and rest.bot is each and rest.given == given:
            found[uid] = (rest.shown, rest.shown)
            resting[uid] = rest
            continue
        status = (
            bot_status(each, *given, now_us=now_us)
            if isinstance(each, TradingBot) and given is not None
            else reporter.status(each)
        )
        if status is None:
            continue
        old, new = found[uid] = (plain(each.status), plain(status))
        if isinstance(each, TradingBot) and given is not None and old == new:
            resting[uid] = Rest(each, given, new)
    if rested is not None:
        rested.clear()
        rested |= resting
    return found


def waking(resource: Resource, *, now_us: int) -> Values:
    """Return the status of a resource whose fleet has just started: the figures of before, and not Ready."""
    common = plain_status(
        resource, phase=Phase.PENDING, reason="FleetStarting", message="the fleet starts", now_us=now_us
    )
    return plain(resource.status.model_copy(update=common))


def plain(status: Status) -> Values:
    """Return a status as JSON values, without what is unset."""
    values: Values = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in values.items() if value not in ({}, [])}
