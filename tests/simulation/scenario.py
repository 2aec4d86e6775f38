"""What one seed runs: its market, its bots, its faults."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tradefleet.domain.bar import MINUTE_US, Bar
from tradefleet.domain.bots import BotConfig, DeletionPolicy, RiskLimits
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.domain.instrument import Instrument

SYMBOLS = (Symbol("AAA-USD"), Symbol("BBB-USD"))
STRATEGIES: tuple[tuple[str, dict[str, float | int]], ...] = (
    ("tests.simulation.strategies:Restless", {}),
    ("tests.simulation.strategies:Undeclared", {}),
    ("random", {"probability": 0.5, "part": 0.3}),
    ("taker", {}),
    ("grid", {}),
    ("sma-cross", {"fast": 2, "slow": 5}),
    ("maker", {}),
)
WALLET_ATOMS = 10_000 * 10**4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one seed runs.

    `keeps_numbers` False is a venue that does not know request numbers, as real ones: the gateway has to ask by client
    id. `meddles`: the owner sets halts, pauses, flattens and deletes, so that the run is not that of a backtest.
    """

    seed: int
    lockstep: bool
    meddles: bool
    keeps_numbers: bool
    bars: int
    bots: int
    rate: float
    fault_ticks: int
    strategies: tuple[tuple[str, dict[str, float | int]], ...] = STRATEGIES


def scenario(seed: int) -> Scenario:
    """Return the scenario of a seed: half of them lockstep, most of those to be compared with the backtest."""
    rng = Random(seed)
    lockstep = rng.random() < 0.5
    return Scenario(
        seed=seed,
        lockstep=lockstep,
        meddles=rng.random() < (0.3 if lockstep else 0.7),
        keeps_numbers=lockstep or rng.random() < 0.5,
        bars=rng.randrange(6, 16),
        bots=rng.randrange(1, 4),
        rate=rng.choice((0.003, 0.01, 0.02)),
        fault_ticks=rng.randrange(300, 2_000),
    )


def make_instruments() -> dict[Symbol, Instrument]:
    """Return two spot pairs with coarse grids, so that roundings show."""
    return {
        symbol: Instrument(
            symbol=symbol, base=symbol[:3], quote="USD", tick=Decimal("0.05"), lot=Decimal("0.001"), quote_scale=4
        )
        for symbol in SYMBOLS
    }


def make_bars(rng: Random, count: int) -> list[Bar]:
    """Return a market that moves enough to make every strategy trade; the second instrument misses bars."""
    bars: list[Bar] = []
    for symbol, start in zip(SYMBOLS, (100.0, 20.0), strict=True):
        price = start
        for number in range(count):
            opened = price * (1 + rng.uniform(-0.004, 0.004))
            closed = opened * (1 + rng.uniform(-0.02, 0.02))
            high = max(opened, closed) * (1 + rng.random() * 0.01)
            low = min(opened, closed) * (1 - rng.random() * 0.01)
            price = closed
            if symbol == SYMBOLS[1] and rng.random() < 0.3:
                continue
            bars.append(Bar(symbol, MINUTE_US, number * MINUTE_US, opened, high, low, closed, 1_000.0))
    bars.sort(key=lambda bar: (bar.close_us, bar.symbol))
    return bars


def make_configs(rng: Random, chosen: Scenario) -> list[BotConfig]:
    """Return bots of different strategies, some with protection, some that refuse old data."""
    configs = []
    for number in range(chosen.bots):
        name, parameters = rng.choice(chosen.strategies)
        protects = rng.random() < 0.5
        configs.append(
            BotConfig(
                key=BotKey(f"sim/bot-{number}"),
                uid=BotUid(f"uid-{number}-{rng.randrange(10**6)}"),
                generation=1,
                strategy=name,
                parameters=dict(parameters),
                symbols=SYMBOLS if rng.random() < 0.5 else (rng.choice(SYMBOLS),),
                interval_us=MINUTE_US,
                wallet={"USD": WALLET_ATOMS},
                limits=RiskLimits(
                    max_data_age_us=rng.choice((None, MINUTE_US * 3 // 2)),
                    stop_loss_ppm=15_000 if protects else None,
                    take_profit_ppm=25_000 if protects else None,
                    trailing_stop_ppm=20_000 if rng.random() < 0.3 else None,
                ),
                warmup_bars=1,
                seed=number,
                deletion_policy=rng.choice((DeletionPolicy.CANCEL_ORDERS, DeletionPolicy.FLATTEN)),
            )
        )
    return configs
