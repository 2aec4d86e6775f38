"""The bots of a market: what each is told to be, whether it takes part in a lockstep run, and when it needs no process.

Told is also a bot that cannot run now, since its orders and its position are there all the same.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from governor.annotations import (
    CODE_ANNOTATION,
    FLATTEN_ANNOTATION,
    REOPEN_ANNOTATION,
    SKIP_ANNOTATION,
    is_owned,
    number_in,
)
from governor.demand import feed_trouble
from governor.ending import is_let_go
from governor.plan.draft import Draft
from governor.plan.hosts import HOST_SIZE, place
from governor.plan.markets import Market
from governor.plan.strategies import CHECKING, NotRunnable, code_of, running_code, warm_up_of
from governor.plan.workloads import bot_workload, host_workload
from governor.rollout import rolls_out
from governor.workload import Command, LockstepRun
from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import BotCommand, BotConfig, DeletionPolicy, RunState
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import BotUid
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, bot_participant
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.feed import Feed
from tradefleet.resources.machines import machine_dead_man
from tradefleet.resources.to_domain import bot_config
from tradefleet.resources.trading_bot import Placement, TradingBot


def plan_bots(draft: Draft, market: Market) -> None:
    """Plan commands and processes of a market's bots, and the lockstep run that they begin."""
    configs = list(_configs(draft, market))
    if market.run is not None:
        configs = _in_run(draft, market, market.run, configs)
    running = {config.uid for bot, config in configs if not _has_ended(draft, market, bot, config)}
    shared = {config.uid for bot, config in configs if _is_shared(draft, bot, config)}
    settings = draft.memory.settings(market.exchange.key, market.settings)
    hosts = place(market.exchange.key, running & shared, draft.observed.hosts, size=HOST_SIZE)
    for bot, config in configs:
        draft.commands.append(_command(market, bot, config, host=hosts.get(config.uid, "")))
        if config.uid in running - shared:
            code = running_code(draft, bot, config)
            key, template = bot.key, bot.spec.pod_template
            origin = (config, settings, market.run, key.name, key.namespace, code.identity, template)
            make = partial(bot_workload, market, bot, config, settings, code)
            draft.workloads.append(draft.memory.workloads.get(config.uid, origin, make))
    draft.workloads += [host_workload(market, host) for host in sorted(set(hosts.values()))]


def _is_shared(draft: Draft, bot: TradingBot, config: BotConfig) -> bool:
    """Return whether a bot runs in a shared host. A move restarts it, so with updateStrategy Manual it waits, too."""
    wanted = bot.spec.placement is Placement.SHARED
    if config.uid not in draft.observed.configs or rolls_out(bot):
        return wanted
    is_now = bool(draft.observed.hosts.get(config.uid))
    if is_now is not wanted:
        draft.drifted.add(bot.key)
    return is_now


def _configs(draft: Draft, market: Market) -> Iterator[tuple[TradingBot, BotConfig]]:
    """Yield the bots that can run, in key order; the others get their verdict."""
    for bot in market.bots:
        if bot.spec.mode != market.exchange.spec.mode:
            message = (
                f"mode is {bot.spec.mode} here and {market.exchange.spec.mode} on Exchange "
                f"{market.exchange.metadata.name}: live needs mode: live in both"
            )
            draft.say(bot, "ModeMismatch", message, stalled=True)
            _tell_only(draft, market, bot)
            continue
        elsewhere = _other_feed(draft, market, bot)
        if elsewhere is not None and bot.metadata.deletion_timestamp is None:
            draft.say(bot, "FeedNotPlaying", elsewhere, stalled=False)
            _tell_only(draft, market, bot)
            continue
        missing = [symbol for symbol in bot.spec.instruments if not market.brings(symbol, bot.spec.interval_us)]
        if missing and bot.metadata.deletion_timestamp is None:
            draft.say(bot, "NoData", _what_to_apply(draft, market, bot, missing), stalled=False)
            _tell_only(draft, market, bot)
            continue
        try:
            config = _config(draft, market, bot)
        except NotRunnable as error:
            told = draft.observed.configs.get(BotUid(bot.metadata.uid or ""))
            more = "" if told is None else "; until then it goes on as it was before the change"
            draft.say(bot, error.reason, f"{error}{more}", stalled=error.stalled)
            if told is not None:
                yield bot, _with_gateways_part(told, bot)
            continue
        except FleetError as error:
            draft.say(bot, "InvalidSpec", str(error), stalled=True)
            told = draft.observed.configs.get(BotUid(bot.metadata.uid or ""))
            if told is None or bot.metadata.deletion_timestamp is None:
                _tell_only(draft, market, bot)
                continue
            config = told  # what cannot be run any more can still be wound down
        yield bot, _settled_config(draft, bot, config)


def _config(draft: Draft, market: Market, bot: TradingBot) -> BotConfig:
    """Return what a bot is to be by its spec. Raises NotRunnable or another FleetError when it cannot be."""
    code = code_of(draft, bot)
    warmup_bars = warm_up_of(draft, bot, code)
    generation = bot.metadata.generation
    origin = (bot.spec, market.exchange.spec, bot.key.name, bot.key.namespace, generation, warmup_bars, code.identity)
    return draft.memory.configs.get(
        BotUid(bot.metadata.uid or ""),
        origin,
        lambda: replace(bot_config(bot, market.exchange, warmup_bars=warmup_bars), code=code.identity),
    )


def _other_feed(draft: Draft, market: Market, bot: TradingBot) -> str | None:
    """Return why a bot's feedRef holds it back; None when the Feed it names plays its market, or it names none."""
    reference = bot.spec.feed_ref
    if reference is None or (market.feed is not None and market.feed.metadata.name == reference.name):
        return None
    exchange = market.exchange.metadata.name
    named = draft.get(ResourceKey("Feed", bot.key.namespace, reference.name))
    if named is None:
        return f"waits for Feed {reference.name} in namespace {bot.key.namespace}, its feedRef: apply it"
    if market.feed is None:
        return f"waits for Feed {reference.name}, its feedRef, to play the market of Exchange {exchange}"
    return (
        f"waits for Feed {reference.name}, its feedRef: Exchange {exchange} is played by Feed "
        f"{market.feed.metadata.name}: name that one, or take feedRef out"
    )


def _what_to_apply(draft: Draft, market: Market, bot: TradingBot, missing: list[str]) -> str:
    """Return what a bot without data waits for: which Feed to apply or to change, and what there is for it to play."""
    wanted = {(symbol, bot.spec.interval_us) for symbol in missing}
    fitting = [
        each.metadata.name
        for each in draft.all(Dataset)
        if each.key.namespace == bot.key.namespace
        and wanted <= {(symbol, parse_interval(interval)) for symbol, interval in each.spec.series}
    ]
    data = f"Dataset {' or '.join(fitting)}" if fitting else "a Dataset that holds them, which is not there yet either"
    exchange = market.exchange.metadata.name
    message = f"waits for a Feed that brings {bot.spec.interval} bars of {', '.join(missing)}: "
    if market.feed is not None and is_owned(market.feed):
        return f"{message}add {data} to spec.simulator.replay of Exchange {exchange}"
    if market.feed is not None:
        return f"{message}Feed {market.feed.metadata.name} plays Exchange {exchange}: let it play {data}, too"
    trouble = feed_trouble(market.exchange, draft.resources)
    if trouble is not None:
        return f"{message}Exchange {exchange}: {trouble.message}"
    for other in draft.all(Feed):
        if other.exchange_key == market.exchange.key:
            verdict = draft.verdicts.get(other.key)
            why = "it is suspended" if other.spec.suspend else "it ends" if verdict is None else verdict.message
            return f"{message}Feed {other.metadata.name} brings nothing: {why}"
    where = f"apply one with exchangeRef {exchange} and a replay of {data}"
    return f"{message}{where}, or give the Exchange that replay (spec.simulator.replay)"


def _settled_config(draft: Draft, bot: TradingBot, config: BotConfig) -> BotConfig:
    """Return the config to run: a generation of its own only for what changes the bot, not for pausing it.

    A new generation closes the bot's record and warms up again. With updateStrategy Manual it waits.
    """
    told = draft.observed.configs.get(config.uid)
    if told is None or told == config:
        return config
    if replace(config, generation=told.generation) == told:
        return told
    # Other code changes no spec, but it is another bot: its record begins anew.
    config = replace(config, generation=max(config.generation, told.generation + 1))
    # What happens at its end, or without a process, is the gateway's affair: the strategy needs no new generation.
    obeying = _with_gateways_part(told, bot)
    if replace(obeying, generation=config.generation) == config:
        return obeying
    # A word about a spec is none about code that comes later: that is agreed to by itself, and exactly as it is.
    only_code = replace(config, code=told.code, warmup_bars=told.warmup_bars, generation=told.generation) == told
    agreed = only_code and bot.metadata.annotations.get(CODE_ANNOTATION) == config.code
    if bot.spec.updates_by_itself or agreed or (rolls_out(bot) and not only_code):
        return config
    draft.drifted.add(bot.key)
    if only_code:
        draft.new_code[bot.key] = config.code
    return told


def _in_run(
    draft: Draft, market: Market, run: str, configs: list[tuple[TradingBot, BotConfig]]
) -> list[tuple[TradingBot, BotConfig]]:
    """Keep the bots that take part in a lockstep run, and ask for the run if it does not exist."""
    assert market.feed is not None
    participants = draft.observed.runs.get(run)
    if participants is None:
        verdicts = [(bot, draft.verdicts.get(bot.key)) for bot in market.bots]
        unknown = [bot.metadata.name for bot, verdict in verdicts if verdict is not None and verdict.reason == CHECKING]
        if unknown:  # they would never be part of a run that begins without them
            message = f"waits until the strategies of {', '.join(unknown)} have been looked at"
            draft.say(market.feed, CHECKING, message, stalled=False)
            return []
        if not configs:
            message = "waits for TradingBots: a lockstep run begins with all of its bots"
            draft.say(market.feed, "NoBots", message, stalled=False)
        else:
            named = [bot_participant(config.key, config.uid) for _, config in configs]
            everybody = (FEED, VENUE, GATEWAY, *named)
            began = LockstepRun(run=run, feed=market.feed.key.full_name, participants=everybody, terms=market.settings)
            draft.runs.append(began)
        return configs
    kept = []
    for bot, config in configs:
        if bot_participant(config.key, config.uid) in participants:
            kept.append((bot, config))
            continue
        message = (
            f"the lockstep run of Feed {market.feed.metadata.name} began without this bot: it trades when the run "
            "is over; a fleet of its own, or a Feed with speed max, takes bots at any time"
        )
        draft.say(bot, "RunHasBegun", message, stalled=True)
    return kept


def _tell_only(draft: Draft, market: Market, bot: TradingBot) -> None:
    """Let the gateway hear what the owner wants of a bot that cannot run now. No host runs it meanwhile."""
    told = draft.observed.configs.get(BotUid(bot.metadata.uid or ""))
    if told is not None:
        draft.commands.append(_command(market, bot, _with_gateways_part(told, bot)))


def _with_gateways_part(told: BotConfig, bot: TradingBot) -> BotConfig:
    """Return what a bot was told to be, with what its gateway alone needs to know as it is now."""
    dead_man = machine_dead_man(bot.spec.dead_man_switch)
    return replace(told, deletion_policy=DeletionPolicy(bot.spec.deletion_policy), dead_man=dead_man)


def _has_ended(draft: Draft, market: Market, bot: TradingBot, config: BotConfig) -> bool:
    """Return whether a bot needs no process any more. A lockstep run would wait for it until it has left."""
    leaves = bot.metadata.deletion_timestamp is not None
    ends = leaves or RunState(bot.spec.state) is RunState.STOPPED
    if not ends or config.uid not in draft.observed.settled:
        return False
    if market.run is None:
        return True
    return leaves and bot_participant(config.key, config.uid) in draft.observed.left


def _command(market: Market, bot: TradingBot, config: BotConfig, *, host: str = "") -> Command:
    if is_let_go(bot):
        config = replace(config, deletion_policy=DeletionPolicy.KEEP)
    return Command(
        host=host,
        account=market.terms.account,
        command=BotCommand(
            config=config,
            state=RunState(bot.spec.state),
            flatten_no=number_in(bot, FLATTEN_ANNOTATION),
            reopen_no=number_in(bot, REOPEN_ANNOTATION),
            skip_seq=number_in(bot, SKIP_ANNOTATION),
            deleting=bot.metadata.deletion_timestamp is not None,
        ),
    )
