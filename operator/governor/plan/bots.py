"""The bots of a market: what each is told to be, whether it takes part in a lockstep run, and when it needs no process.

Told is also a bot that cannot run now, since its orders and its position are there all the same.
"""

from collections.abc import Iterator
from dataclasses import replace

from governor.annotations import FLATTEN_ANNOTATION, REOPEN_ANNOTATION, SKIP_ANNOTATION, number_in
from governor.plan.draft import Draft
from governor.plan.markets import Market
from governor.plan.workloads import bot_workload
from governor.workload import Command, LockstepRun
from tradefleet.domain.bots import BotCommand, BotConfig, DeletionPolicy, RunState
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import BotUid
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, bot_participant
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.machines import machine_dead_man
from tradefleet.resources.to_domain import bot_config
from tradefleet.resources.trading_bot import TradingBot


def plan_bots(draft: Draft, market: Market) -> None:
    """Plan commands and processes of a market's bots, and the lockstep run that they begin."""
    configs = list(_configs(draft, market))
    if market.run is not None:
        configs = _in_run(draft, market, market.run, configs)
    for bot, config in configs:
        draft.commands.append(_command(market, bot, config))
        if not _has_ended(draft, market, bot, config):
            draft.workloads.append(bot_workload(market, bot, config))


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
            message = f"waits for a Feed that brings {bot.spec.interval} bars of {', '.join(missing)}: apply one"
            draft.say(bot, "NoData", message, stalled=False)
            _tell_only(draft, market, bot)
            continue
        try:
            warmup_bars = draft.warm_up(bot.spec.strategy.name, bot.spec.strategy.params)
            config = bot_config(bot, market.exchange, warmup_bars=warmup_bars)
        except FleetError as error:
            draft.say(bot, "InvalidSpec", str(error), stalled=True)
            told = draft.observed.configs.get(BotUid(bot.metadata.uid or ""))
            if told is None or bot.metadata.deletion_timestamp is None:
                _tell_only(draft, market, bot)
                continue
            config = told  # what cannot be run any more can still be wound down
        yield bot, _settled_config(draft, bot, config)


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


def _settled_config(draft: Draft, bot: TradingBot, config: BotConfig) -> BotConfig:
    """Return the config to run: a generation of its own only for what changes the bot, not for pausing it.

    A new generation closes the bot's record and warms up again. With updateStrategy Manual it waits.
    """
    told = draft.observed.configs.get(config.uid)
    if told is None or told == config:
        return config
    if replace(config, generation=told.generation) == told:
        return told
    # What happens at its end, or without a process, is the gateway's affair: the strategy needs no new generation.
    obeying = replace(told, deletion_policy=config.deletion_policy, dead_man=config.dead_man)
    if replace(obeying, generation=config.generation) == config:
        return obeying
    if bot.spec.updates_by_itself:
        return config
    draft.drifted.add(bot.key)
    return told


def _in_run(
    draft: Draft, market: Market, run: str, configs: list[tuple[TradingBot, BotConfig]]
) -> list[tuple[TradingBot, BotConfig]]:
    """Keep the bots that take part in a lockstep run, and ask for the run if it does not exist."""
    assert market.feed is not None
    participants = draft.observed.runs.get(run)
    if participants is None:
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
    """Let the gateway hear what the owner wants of a bot that cannot run now."""
    told = draft.observed.configs.get(BotUid(bot.metadata.uid or ""))
    if told is not None:
        dead_man = machine_dead_man(bot.spec.dead_man_switch)
        config = replace(told, deletion_policy=DeletionPolicy(bot.spec.deletion_policy), dead_man=dead_man)
        draft.commands.append(_command(market, bot, config))


def _has_ended(draft: Draft, market: Market, bot: TradingBot, config: BotConfig) -> bool:
    """Return whether a bot needs no process any more. A lockstep run would wait for it until it has left."""
    leaves = bot.metadata.deletion_timestamp is not None
    ends = leaves or RunState(bot.spec.state) is RunState.STOPPED
    if not ends or config.uid not in draft.observed.settled:
        return False
    if market.run is None:
        return True
    return leaves and bot_participant(config.key, config.uid) in draft.observed.left


def _command(market: Market, bot: TradingBot, config: BotConfig) -> Command:
    return Command(
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
