"""The processes of a fleet, with the settings that each of them reads."""

from governor.plan.markets import Market
from governor.workload import Code, Needs, Role, Workload, workload_name
from tradefleet.domain.bar import parse_interval
from tradefleet.domain.bots import BotConfig, config_values, process_config
from tradefleet.domain.money import plain_decimal
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.feed import Feed
from tradefleet.resources.pods import memory_limit_of
from tradefleet.resources.replay_plan import range_of
from tradefleet.resources.trading_bot import TradingBot


def exchange_workloads(market: Market) -> list[Workload]:
    """Return the simulator and the gateway, which is told where the simulator listens."""
    owner = market.exchange.key
    port = workload_name(Role.VENUE, owner)
    settings = {
        "exchange": market.settings,
        "uid": market.exchange.metadata.uid or "",
        "generation": market.exchange.metadata.generation or 1,
        "run": market.run,
    }
    return [
        Workload(name=port, role=Role.VENUE, owner=owner, settings=settings, port_name=port, token_name=port),
        Workload(
            name=workload_name(Role.GATEWAY, owner),
            role=Role.GATEWAY,
            owner=owner,
            settings=settings,
            peer_port_name=port,
            token_name=port,
        ),
    ]


def feed_workload(market: Market, feed: Feed, needs: Needs) -> Workload:
    """Return the process that plays a market's history."""
    assert feed.spec.replay is not None
    return Workload(
        name=workload_name(Role.FEED, feed.key),
        role=Role.FEED,
        owner=feed.key,
        settings={
            "feed": feed.key.full_name,
            "uid": feed.metadata.uid or "",
            "exchange": market.exchange.key.full_name,
            "generation": feed.metadata.generation or 1,
            "replay": market.replay,
            "ticks": {
                symbol: plain_decimal(each.tick)
                for symbol, each in market.terms.instruments.items()
                if symbol in {played for played, _ in market.series}
            },
            "speed": feed.spec.replay.speed,
            "run": market.run,
        },
        needs=needs,
    )


def recorder_workload(dataset: Dataset, market: Market, *, made_up: bool) -> Workload:
    """Return the process that takes a market's bars into a dataset."""
    from_us, to_us = range_of(dataset.spec)
    return Workload(
        name=workload_name(Role.RECORDER, dataset.key),
        role=Role.RECORDER,
        owner=dataset.key,
        settings={
            "dataset": dataset.key.full_name,
            "exchange": market.exchange.key.full_name,
            "series": [
                {"symbol": symbol, "interval_us": parse_interval(interval)} for symbol, interval in dataset.spec.series
            ],
            "is_synthetic": made_up,
            "from_us": from_us,
            "to_us": to_us,
            "ticks": [str(channel) for channel in dataset.spec.ticks],
        },
    )


def bot_workload(
    market: Market, bot: TradingBot, config: BotConfig, settings: dict[str, object], code: Code
) -> Workload:
    """Return the process of one bot, told the market's `settings`.

    What its gateway does for it is kept out: a change of that restarts nobody.
    """
    return Workload(
        name=workload_name(Role.BOT, bot.key),
        role=Role.BOT,
        owner=bot.key,
        settings={"bots": [config_values(process_config(config))], "exchange": settings, "run": market.run},
        bot_uid=config.uid,
        code=code,
        memory_bytes=memory_limit_of(bot.spec.pod_template),
    )


def host_workload(market: Market, name: str) -> Workload:
    """Return a process of many bots. Which ones it learns from the database: a change of one restarts nobody."""
    return Workload(
        name=name,
        role=Role.HOST,
        owner=market.exchange.key,
        settings={"host": name, "exchange": market.settings, "run": market.run},
    )
