"""The status that bots, exchanges, feeds and sets show: pure, from the resource, what the plan says of it, and what was
observed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from governor.annotations import CODE_ANNOTATION
from governor.conditions import (
    Extra,
    Judgement,
    ProcessView,
    instant,
    judged_by_process,
    judged_by_verdict,
    says,
    status_fields,
)
from governor.rollout import drift_message, good_specs, way_back
from governor.sets import failed_changes
from governor.workload import Verdict
from tradefleet.domain.bar import MICROSECONDS
from tradefleet.domain.bots import REFOLD_INPUTS_MAX, Closure, DeletionPolicy, RunState
from tradefleet.domain.instrument import Instrument
from tradefleet.domain.money import PPM, from_atoms
from tradefleet.domain.statistics import BotStatistics
from tradefleet.resources.bot_set import BotSet, BotSetStatus
from tradefleet.resources.common import ConditionType, Phase, ResourceKey
from tradefleet.resources.exchange import Exchange, ExchangeStatus
from tradefleet.resources.feed import Feed, FeedStatus
from tradefleet.resources.trading_bot import DeadManAction, Placement, TradingBot, TradingBotStatus

NEVER_PLAYED = (
    "waits for bars that do not come: the replay had come to its end before this bot traded: apply a Feed that plays, "
    "or start a fleet of its own (--data-dir)"
)

Span = tuple[int, int]
"""First and last open time of a history, market time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotView:
    """What was observed of a bot. `remaining` says what its end waits for; `halted` why it takes no new risk.

    `mismatch` says how the books of its account differ from the venue, `closures` what closed the bot's own stream,
    `unreadable_seq` which of its requests cannot be read, `refold_inputs` what a restart would fold, `refused` why
    its gateway does not trade it as its owner wants.
    """

    process: ProcessView | None = None
    host: str = ""  # the shared process that runs it, empty for one of its own
    statistics: BotStatistics | None = None
    epoch: int | None = None
    open_orders: int = 0
    is_settled: bool = False
    remaining: str = ""
    halted: str = ""
    mismatch: str = ""
    closures: Mapping[Closure, str] = field(default_factory=dict)
    unreadable_seq: int = 0
    is_drawn_down: bool = False
    abandoned_since_us: int = 0  # since when nobody ran it, once its dead man's switch has acted, UTC; 0 otherwise
    refold_inputs: int = 0
    refused: str = ""
    has_drifted: bool = False
    new_code: str = ""  # the code that waits, where nothing else has changed
    market_us: int = 0  # market now: the time that the exchange's bots have reached
    is_replayed: bool = False  # its feed's history has come to its end, and nothing else plays its market
    feed_trouble: str = ""  # why its feed brings no bars until somebody acts
    is_selling: bool = False  # its gateway sells a position of it
    overdue: str = ""  # why its deletion takes too long, and what to do


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What an account's gateway found at its venue. `mismatch` says how its books differ, so that it takes no new risk.

    `external` are orders at the venue that are not ours, the first of `external_orders`. `reconciled_us` is when books
    and venue last agreed, UTC, 0 for never.
    """

    mismatch: str = ""
    external_orders: int = 0
    external: tuple[str, ...] = ()
    reconciled_us: int = 0


def bot_status(
    bot: TradingBot, verdict: Verdict | None, view: BotView, instruments: Mapping[str, Instrument], *, now_us: int
) -> TradingBotStatus:
    """Return a bot's status."""
    figures: dict[str, Any] = {}
    statistics = view.statistics
    if statistics is not None:
        some = instruments[bot.spec.instruments[0]]
        scale = some.quote_scale
        held = {
            symbol: instruments[symbol].size(lots) for symbol, lots in statistics.positions if symbol in instruments
        }
        figures = {
            "quote_asset": statistics.quote,
            "equity": _shown(statistics.equity_atoms, scale),
            "vs_hold": None if statistics.vs_hold_atoms is None else _shown(statistics.vs_hold_atoms, scale),
            "drawdown_percent": (Decimal(statistics.drawdown_ppm) * 100 / PPM).normalize() + 0,
            "realized_profit": _shown(statistics.realized_atoms, scale),
            "fees": _shown(statistics.fees_atoms, scale),
            "position": {symbol: size.normalize() + 0 for symbol, size in held.items()},
            "fills": statistics.fills,
            "last_bar_time": instant(statistics.market_us),
            "last_bar_age": _duration(max(0, view.market_us - statistics.market_us)),
        }
    judged = _judge_bot(bot, verdict, view)
    if judged.is_stalled and bot.metadata.deletion_timestamp is None:
        judged = replace(judged, message=f"{judged.message}{way_back(bot)}")
    return TradingBotStatus(
        **status_fields(bot, judged, now_us=now_us),
        **figures,
        mode=bot.spec.mode,
        strategy=bot.spec.strategy.name,
        epoch=view.epoch,
        host=view.host or None,
        open_orders=view.open_orders,
        restarts=view.process.restarts if view.process is not None else bot.status.restarts,
        spec_digest=bot.status.spec_digest if view.has_drifted else bot.digest(),
        history=good_specs(bot, judged, has_drifted=view.has_drifted, now_us=now_us),
    )


def _judge_bot(bot: TradingBot, verdict: Verdict | None, view: BotView) -> Judgement:
    extra: dict[ConditionType, tuple[str, str]] = {}
    if bot.spec.state is RunState.PAUSED:
        extra[ConditionType.PAUSED] = ("Paused", "takes no new risk: `tradefleet resume` lets it trade again")
    warnings = _warnings(bot, view)
    if warnings:
        extra[ConditionType.WARNING] = (next(iter(warnings)), "; ".join(warnings.values()))
    if view.new_code:
        word = f"`kubectl annotate tb {bot.metadata.name} {CODE_ANNOTATION}={view.new_code} --overwrite`"
        message = f"its code has changed and updateStrategy is Manual: {word} brings it into force"
        extra[ConditionType.CONFIG_DRIFT] = ("CodeChanged", message)
    elif view.has_drifted:
        extra[ConditionType.CONFIG_DRIFT] = ("SpecChanged", drift_message(bot))
    if bot.metadata.deletion_timestamp is not None and view.overdue and not view.is_settled:
        message = f"{_ending(bot, view)}; this takes too long: {view.overdue}"
        return Judgement(phase=Phase.STOPPING, is_stalled=True, reason="DeletionTimedOut", message=message, extra=extra)
    if bot.metadata.deletion_timestamp is not None:
        return Judgement(phase=Phase.STOPPING, reason="Deleting", message=_ending(bot, view), extra=extra)
    if verdict is not None:
        return judged_by_verdict(verdict, extra)
    if bot.spec.state is RunState.STOPPED:
        if view.is_settled:
            return Judgement(phase=Phase.STOPPED, is_ready=True, reason="Stopped", message="stopped", extra=extra)
        return Judgement(phase=Phase.STOPPING, reason="Stopping", message=_ending(bot, view), extra=extra)
    stalled = _needs_a_person(bot, view)
    if stalled is not None:
        reason, message = stalled
        return Judgement(phase=Phase.FAILED, is_stalled=True, reason=reason, message=message, extra=extra)
    statistics = view.statistics
    waiting = judged_by_process(view.process, extra)
    if waiting is not None and not _only_turns_over(bot, view):
        return waiting
    if view.is_replayed and statistics is None:
        return Judgement(phase=Phase.PENDING, reason="NoMarket", message=NEVER_PLAYED, extra=extra)
    if view.feed_trouble and statistics is None:
        return Judgement(phase=Phase.PENDING, reason="FeedFailed", message=_no_bars(view), extra=extra)
    message = "; ".join(warnings.values()) or (_after_replay(view) if view.is_replayed else "")
    if bot.spec.state is RunState.PAUSED:
        return Judgement(phase=Phase.PAUSED, is_ready=True, reason="Paused", message="takes no new risk", extra=extra)
    if statistics is None or statistics.hold_atoms is None:
        text = message or "waits for its first bars" if statistics is None else message or "warms up"
        return Judgement(phase=Phase.WARMING_UP, is_ready=True, reason="WarmingUp", message=text, extra=extra)
    return Judgement(phase=Phase.RUNNING, is_ready=True, reason="Running", message=message, extra=extra)


def _only_turns_over(bot: TradingBot, view: BotView) -> bool:
    """Return whether a bot that was Ready is merely started anew, since the lockstep run it was part of is over.

    No bar comes that it could miss, so it stays what it is. One that has failed or has another spec is not of these.
    """
    process = view.process
    return (
        view.is_replayed
        and view.statistics is not None
        and (process is None or not (process.is_failed or process.reason))
        and says(bot.status, ConditionType.READY)
        and bot.status.observed_generation == bot.metadata.generation
    )


def _after_replay(view: BotView) -> str:
    """Return what is left of a bot when its history has been played."""
    return "the replay has come to its end" + (f": {_stay_open(view.open_orders)}" if view.open_orders else "")


def _stay_open(orders: int) -> str:
    some = "its open order" if orders == 1 else f"its {orders} open orders"
    return f"no bar comes any more, so {some} cannot fill"


def _warnings(bot: TradingBot, view: BotView) -> dict[str, str]:
    """Return why a bot takes no new risk at present, and what of it is not as its owner expects, by reason."""
    found = {}
    reopen = f"`tradefleet resume {bot.metadata.name} --reopen`"
    if view.halted:
        found["Halted"] = view.halted
    if view.mismatch:
        found["NotReconciled"] = _unreconciled(view.mismatch)
    if Closure.REPORT in view.closures:
        found["BooksInDoubt"] = (
            f"takes no new risk: {view.closures[Closure.REPORT]}: this ends when books and venue are found to agree, "
            f"or look into it and run {reopen}"
        )
    if view.is_drawn_down:
        found["Drawdown"] = f"takes no new risk: its equity fell as far as risk.maxDrawdownPercent allows: {reopen}"
    switch = bot.spec.dead_man_switch
    if view.abandoned_since_us and switch is not None:
        done = "sold its position" if switch.action is DeadManAction.FLATTEN else "canceled its orders"
        found["DeadManSwitch"] = (
            f"no process has run it since {instant(view.abandoned_since_us)}, so its dead man's switch has {done}: it "
            "trades again when a process runs it"
        )
    if view.is_replayed and view.is_selling:
        found["NoMarket"] = (
            "its position is to be sold, but no bar comes any more, since the replay has come to its end: apply a Feed "
            "that plays, or `tradefleet delete tb " + bot.metadata.name + "` with deletionPolicy: CancelOrders"
        )
    if view.feed_trouble:
        found["FeedFailed"] = _no_bars(view)
    if view.refold_inputs > REFOLD_INPUTS_MAX:
        found["SlowRestart"] = (
            f"its restart folds {view.refold_inputs:,} inputs again, more than {REFOLD_INPUTS_MAX:,}: its strategy "
            "keeps what it does not declare: declare it with state(), or change the spec, which begins a new record"
        )
    if bot.spec.placement is Placement.SHARED and bot.spec.pod_template is not None:
        found["PodTemplateIgnored"] = (
            "its podTemplate counts for nothing while it shares a process: set placement: Dedicated, or take it out"
        )
    return found


def _no_bars(view: BotView) -> str:
    return f"gets no bars: {view.feed_trouble}"


def _unreconciled(mismatch: str) -> str:
    return (
        f"no new risk is taken: books and venue differ: {mismatch}: put the account in order at the venue; risk is "
        "taken again once they agree"
    )


def _needs_a_person(bot: TradingBot, view: BotView) -> tuple[str, str] | None:
    """Return reason and message of what keeps a bot from trading until somebody decides; None when nothing does."""
    resume = f"`tradefleet resume {bot.metadata.name}"
    if view.refused:
        return "ConfigRefused", f"its gateway refuses it: {view.refused}"
    if Closure.UNREADABLE in view.closures:
        return "RequestUnreadable", (
            f"its orders and cancels wait: {view.closures[Closure.UNREADABLE]}: {resume} --reopen` reads it again, "
            f"{resume} --skip-request {view.unreadable_seq}` leaves it out"
        )
    if Closure.REQUEST in view.closures:
        return "RequestRefused", f"takes no new risk: {view.closures[Closure.REQUEST]}: {resume} --reopen`"
    return None


def _ending(bot: TradingBot, view: BotView) -> str:
    """Return what the end of a bot does and waits for."""
    policy = bot.spec.deletion_policy
    what = {
        DeletionPolicy.CANCEL_ORDERS: "cancels its orders",
        DeletionPolicy.FLATTEN: "cancels its orders and sells its position",
        DeletionPolicy.KEEP: "leaves its orders open",
    }[policy]
    return f"{what} (deletionPolicy {policy})" + (f": {view.remaining}" if view.remaining else "")


def exchange_status(
    exchange: Exchange,
    verdict: Verdict | None,
    processes: Iterable[ProcessView | None],
    *,
    bots: Iterable[TradingBot],
    open_orders: int,
    fills: int,
    epoch: int | None,
    account: AccountView,
    halted: str,
    has_drifted: bool = False,
    derived: str = "",
    now_us: int,
) -> ExchangeStatus:
    """Return an exchange's status; `processes` are its simulator and its gateway, `derived` says which Feed it made."""
    extra: dict[ConditionType, tuple[str, str]] = {}
    if has_drifted:
        message = "the lockstep run goes on with what the exchange was when it began: the edit waits for its end"
        extra[ConditionType.CONFIG_DRIFT] = ("RunHasBegun", message)
    warnings = _account_warnings(account, halted)
    if warnings:
        extra[ConditionType.WARNING] = (next(iter(warnings)), "; ".join(warnings.values()))
    mine = list(bots)
    if exchange.metadata.deletion_timestamp is not None:
        judged = _ending_exchange(mine, [each for each in processes if each is not None], extra)
    elif exchange.spec.suspend:
        message = "suspended: its gateway is stopped, its open orders stay"
        judged = Judgement(phase=Phase.STOPPED, is_ready=True, reason="Suspended", message=message, extra=extra)
    elif verdict is not None:
        judged = judged_by_verdict(verdict, extra)
    else:
        found = (judged_by_process(each, extra) for each in processes)
        message = "; ".join(warnings.values()) or derived
        judged = next((each for each in found if each is not None), None) or Judgement(
            phase=Phase.RUNNING, is_ready=True, reason="Running", message=message, extra=extra
        )
    return ExchangeStatus(
        **status_fields(exchange, judged, now_us=now_us),
        mode=exchange.spec.mode,
        epoch=epoch,
        bots=len(mine),
        open_orders=open_orders,
        external_orders=account.external_orders,
        fills=fills,
        halted=bool(halted or account.mismatch),
        last_reconciled_time=instant(account.reconciled_us) if account.reconciled_us else None,
    )


def _ending_exchange(bots: Sequence[TradingBot], processes: Iterable[ProcessView], extra: Extra) -> Judgement:
    """Return what a deleted exchange waits for: its bots, whose end a process that fails would hold up for ever."""
    message = f"waits for {len(bots)} bots that trade here to be deleted" if bots else "ends its gateway"
    stuck = next((bot.metadata.name for bot in bots if says(bot.status, ConditionType.STALLED)), None)
    if stuck is not None:
        message = f"{message}; TradingBot {stuck} is Stalled, and says why"
    troubled = next((each for each in processes if not each.is_ready and each.reason), None) if bots else None
    if troubled is None:
        return Judgement(phase=Phase.STOPPING, reason="Deleting", message=message, extra=extra)
    return Judgement(
        phase=Phase.STOPPING,
        is_stalled=troubled.is_failed,
        reason=troubled.reason if troubled.is_failed else "Deleting",
        message=f"{message}; {troubled.reason}: {troubled.message}",
        extra=extra,
    )


def _account_warnings(account: AccountView, halted: str) -> dict[str, str]:
    """Return what a person should know of an account, by reason."""
    found = {}
    if halted:
        found["Halted"] = halted
    if account.mismatch:
        found["NotReconciled"] = _unreconciled(account.mismatch)
    if account.external_orders:
        some = "1 open order" if account.external_orders == 1 else f"{account.external_orders} open orders"
        more = ", …" if account.external_orders > len(account.external) else ""
        named = ", ".join(account.external)
        found["ExternalOrders"] = f"{some} at the venue of somebody else, left alone: {named}{more}"
    return found


def feed_status(
    feed: Feed,
    verdict: Verdict | None,
    process: ProcessView | None,
    *,
    bots: int,
    bars: int,
    market_us: int,
    span: Span | None,
    is_finished: bool,
    is_synthetic: bool,
    open_orders: int = 0,
    now_us: int,
) -> FeedStatus:
    """Return a feed's status; `market_us` is how far it is, 0 for nothing yet, `span` what it plays where known.

    `open_orders` are those of the bots that it plays for.
    """
    is_over = is_finished or (process is not None and process.has_ended)
    if feed.metadata.deletion_timestamp is not None:
        message = "ends" if verdict is None else verdict.message
        judged = Judgement(phase=Phase.STOPPING, reason="Deleting", message=message)
    elif feed.spec.suspend:
        judged = Judgement(phase=Phase.STOPPED, is_ready=True, reason="Suspended", message="suspended")
    elif verdict is not None:
        judged = judged_by_verdict(verdict)
    elif is_over:
        message = "the replay has come to its end"
        if open_orders:
            some = "1 open order" if open_orders == 1 else f"{open_orders} open orders"
            message += (
                f": no bar comes any more, so {some} cannot fill: cancel by deleting the bots, or apply another Feed"
            )
        judged = Judgement(phase=Phase.SUCCEEDED, is_ready=True, reason="ReplayFinished", message=message)
    else:
        judged = judged_by_process(process) or Judgement(phase=Phase.RUNNING, is_ready=True, reason="Running")
    return FeedStatus(
        **status_fields(feed, judged, now_us=now_us),
        bots=bots,
        bars=bars,
        market_time=instant(market_us) if market_us else None,
        progress_percent=100 if is_over else _percent(market_us, span),
        synthetic=is_synthetic,
    )


def _percent(market_us: int, span: Span | None) -> int | None:
    """Return how far market time is within `span`, in whole percent: 100 is for what has ended, and not said before."""
    if span is None:
        return None
    first_us, last_us = span
    passed_us = max(0, min(market_us, last_us) - first_us)
    return min(99, passed_us * 100 // max(1, last_us - first_us))


def set_status(
    bot_set: BotSet,
    verdict: Verdict | None,
    bots: Iterable[TradingBot],
    wanted: Collection[TradingBot],
    *,
    now_us: int,
) -> BotSetStatus:
    """Return a set's status from those of its bots; `wanted` are the bots as they should be."""
    mine: dict[ResourceKey, TradingBot] = {bot.key: bot for bot in bots}
    ready = sum(says(bot.status, ConditionType.READY) for bot in mine.values())
    failed = sum(says(bot.status, ConditionType.STALLED) for bot in mine.values())
    updated = sum(bot.key in mine and mine[bot.key].digest() == bot.digest() for bot in wanted)
    if bot_set.metadata.deletion_timestamp is not None:
        judged = Judgement(phase=Phase.STOPPING, reason="Deleting", message=f"waits for {len(mine)} bots to end")
    elif verdict is not None:
        judged = judged_by_verdict(verdict)
    elif bot_set.spec.suspend:
        judged = Judgement(phase=Phase.STOPPED, is_ready=True, reason="Suspended", message="its bots stay as they are")
    elif updated < len(wanted) and failed_changes(wanted, mine):
        worst = failed_changes(wanted, mine)[0]
        message = (
            f"the change is halted, {updated} of {len(wanted)} bots have it: mend the set or take the change back, the "
            f"others go on as they are: {worst.metadata.name}: {worst.status.reason or 'is stalled'}"
        )
        judged = Judgement(phase=Phase.FAILED, is_stalled=True, reason="ChangeHalted", message=message)
    elif failed:
        worst = next(bot for bot in mine.values() if says(bot.status, ConditionType.STALLED))
        message = f"{worst.metadata.name}: {worst.status.reason or 'is stalled'}"
        judged = Judgement(phase=Phase.FAILED, is_stalled=True, reason="BotsStalled", message=message)
    elif updated < len(wanted) and len(mine) == len(wanted):
        message = f"{updated} of {len(wanted)} bots have the newest spec, {ready} are Ready"
        judged = Judgement(phase=Phase.STARTING, reason="BotsChanging", message=message)
    elif ready < len(wanted) or len(mine) != len(wanted):
        message = f"{ready} of {len(wanted)} bots are Ready"
        waiting = next((bot for bot in mine.values() if bot.status.phase is Phase.PENDING and bot.status.reason), None)
        if waiting is not None:
            message += f": {waiting.metadata.name}: {waiting.status.reason}"
        judged = Judgement(phase=Phase.STARTING, reason="BotsStarting", message=message)
    else:
        judged = Judgement(phase=Phase.RUNNING, is_ready=True, reason="Running")
    return BotSetStatus(
        **status_fields(bot_set, judged, now_us=now_us),
        bots=len(wanted),
        ready=ready,
        updated=updated,
        failed=failed,
    )


# --- parts ------------------------------------------------------------------------------------------------------------


def _shown(atoms: int, scale: int) -> Decimal:
    """Return an amount without the zeros at its end."""
    amount = from_atoms(atoms, scale)
    return amount.normalize() + 0 if amount else Decimal(0)


def _duration(duration_us: int) -> str:
    """Return a length of time as people say it: 42s, 5m, 3h, 2d."""
    seconds = duration_us // MICROSECONDS
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
