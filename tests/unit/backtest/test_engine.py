"""The engine: the real machines in one process, step by step."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backtest.arena import (
    START_US,
    Noise,
    Restless,
    Scripted,
    audited,
    engine,
    minute_us,
    script,
    walk,
)
from tests.unit.exchange.gateway.scenes import ATOMS, BTC, LTC, RICH, A, B, bot_config, limits, tick_bar
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.bots import BotCommand, DeletionPolicy, RunState
from tradefleet.domain.canonical import CanonicalEquity, CanonicalFill, canonical_hash, canonical_lines
from tradefleet.domain.errors import InvalidValue
from tradefleet.domain.orders import OrderStatus, Reason, Side
from workloads.backtest.engine import steps
from workloads.backtest.step import ROUNDS_MAX


def buys(size: float) -> Any:
    return lambda strategy: strategy.market(Side.BUY, size)


# --- steps --------------------------------------------------------------------------------------------------------


def test_bars_that_close_together_are_one_step_sorted_by_symbol_and_interval() -> None:
    late = tick_bar(1, 1, 1, 1, open_us=MINUTE_US)
    fine = tick_bar(1, 1, 1, 1, open_us=MINUTE_US, symbol=LTC)
    coarse = tick_bar(1, 1, 1, 1, open_us=0, interval_us=2 * MINUTE_US)
    early = tick_bar(1, 1, 1, 1, open_us=0)
    assert list(steps([early, fine, coarse, late])) == [(MINUTE_US, [early]), (2 * MINUTE_US, [late, coarse, fine])]


def test_market_time_must_go_on() -> None:
    run = engine((bot_config(), Scripted({})))
    run.run(script(100, 100))
    for bars in (script(100, first_minute=1), script(100, first_minute=0)):
        with pytest.raises(InvalidValue, match="market time must go on"):
            run.run(bars)


# --- the path of an order -----------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_open_of_the_next_bar() -> None:
    strategy = Scripted({1: buys(0.1)})
    run = engine((bot_config(), strategy))
    run.run(script(100, (104, 110, 90, 108), 120))
    assert run.fills == [CanonicalFill(minute_us(2), A, "1", BTC, Side.BUY, 104, 10, 104, "USD")]
    money = RICH - 1_040 * ATOMS - 104
    assert [point.equity_atoms for point in run.statistics] == [
        RICH,
        money + 1_080 * ATOMS,
        money + 1_200 * ATOMS,
    ]
    assert strategy.heard == [
        ("bar", minute_us(1), BTC),
        (OrderStatus.ACCEPTED, minute_us(1), 0),
        (OrderStatus.FILLED, minute_us(2), 10),
        ("bar", minute_us(2), BTC),
        ("bar", minute_us(3), BTC),
    ]


def test_a_market_buy_that_opens_beyond_its_collar_expires() -> None:
    """What was reserved at the collar price cannot pay more than that (rule 15)."""
    strategy = Scripted({1: buys(0.1)})
    run = engine((bot_config(), strategy))
    run.run(script(100, 106, 100))
    assert run.fills == []
    assert strategy.heard[2][:2] == (OrderStatus.EXPIRED, minute_us(2))


def test_a_protective_exit_fills_at_the_next_open() -> None:
    config = bot_config(limits=limits(stop_loss_ppm=100_000))
    run = engine((config, Scripted({1: buys(0.1)})))
    run.run(script(100, 100, (100, 100, 90, 99), (97, 97, 97, 97), 97))
    assert [(fill.number, fill.market_us, fill.price_ticks) for fill in run.fills] == [
        ("1", minute_us(2), 100),
        ("G1", minute_us(4), 97),
    ]
    assert [event.reason for event in run.events] == [Reason.STOP_LOSS]


def test_the_books_are_the_gateways_own_from_the_first_step_on() -> None:
    strategy = Scripted({1: lambda self: self.heard.append(("free", self.free("USD")))})
    engine((bot_config(wallet={"USD": 2_000_000}), strategy)).run(script(100))
    assert ("free", 2.0) in strategy.heard


def test_a_bot_that_does_exactly_buy_and_hold_is_worth_exactly_as_much() -> None:
    """The yardstick's lots at the yardstick's open with the yardstick's fee: VsHold is exactly 0."""
    config = bot_config(wallet={"USD": 1_005 * ATOMS}, limits=limits(price_collar_ppm=0))
    run = engine((config, Scripted({1: buys(0.10)})))
    run.run(script(100, (100, 130, 90, 120), 150, 70))
    assert [point.vs_hold_atoms for point in run.statistics] == [None, 0, 0, 0]
    assert run.fills[0].lots == 10


# --- timers -------------------------------------------------------------------------------------------------------


def at(market_us: int) -> Any:
    return lambda strategy: strategy.set_timer(market_us)


def test_a_timer_between_two_bars_makes_a_step_of_its_own() -> None:
    due_us = minute_us(1) + 20_000_000
    strategy = Scripted({1: at(due_us), -due_us: buys(0.1)})
    run = engine((bot_config(), strategy))
    run.run(script(100, (101, 101, 101, 101)))
    assert strategy.heard == [
        ("bar", minute_us(1), BTC),
        ("timer", due_us, due_us),
        (OrderStatus.ACCEPTED, due_us, 0),
        (OrderStatus.FILLED, minute_us(2), 10),
        ("bar", minute_us(2), BTC),
    ]
    assert [point.market_us for point in run.statistics] == [minute_us(1), minute_us(2)]


def test_a_timer_at_the_close_of_a_bar_comes_before_the_bar() -> None:
    strategy = Scripted({1: at(minute_us(2))})
    engine((bot_config(), strategy)).run(script(100, 100))
    assert strategy.heard[1:] == [("timer", minute_us(2), minute_us(2)), ("bar", minute_us(2), BTC)]


def test_timers_of_several_bots_run_in_the_order_of_time() -> None:
    first, second = Scripted({1: at(minute_us(1) + 2)}), Scripted({1: at(minute_us(1) + 1)})
    run = engine((bot_config(A), first), (bot_config(B), second))
    run.run(script(100, 100))
    assert first.heard[1][:2] == ("timer", minute_us(1) + 2)
    assert second.heard[1][:2] == ("timer", minute_us(1) + 1)


def test_a_timer_after_the_last_bar_does_not_run() -> None:
    strategy = Scripted({1: at(minute_us(1) + 1)})
    engine((bot_config(), strategy)).run(script(100))
    assert strategy.heard == [("bar", minute_us(1), BTC)]


# --- commands -----------------------------------------------------------------------------------------------------


def test_a_command_reaches_gateway_and_bot_in_the_same_step() -> None:
    strategy = Scripted({number: buys(0.01) for number in range(1, 9)})
    run = engine((bot_config(), strategy))
    bars = script(100, 100, 100, 100)
    run.run(bars[:1])
    run.command(BotCommand(config=bot_config(), state=RunState.PAUSED))
    run.run(bars[1:3])
    assert run.gateway.accounts[A].order_count == 1  # a paused bot decides nothing, so nothing had to be denied
    run.command(BotCommand(config=bot_config(), state=RunState.RUNNING))
    run.run(bars[3:])
    assert run.gateway.accounts[A].order_count == 2


def test_a_stopped_bot_is_flattened_and_sees_nothing_more() -> None:
    config = bot_config(deletion_policy=DeletionPolicy.FLATTEN)
    strategy = Scripted({1: buys(0.1)})
    run = engine((config, strategy))
    bars = script(100, 100, 100, 100)
    run.run(bars[:2])
    run.command(BotCommand(config=config, state=RunState.STOPPED))
    run.run(bars[2:])
    assert [fill.number for fill in run.fills] == ["1", "G1"]
    assert strategy.heard[-1] == ("bar", minute_us(2), BTC)


# --- rounds -------------------------------------------------------------------------------------------------------


def test_a_step_that_does_not_come_to_rest_is_ended_with_that_reason() -> None:
    run = engine((bot_config(), Restless()))
    run.run(script(100))
    account = run.gateway.accounts[A]
    assert account.request_seq == ROUNDS_MAX
    assert len(account.orders) == ROUNDS_MAX - 1
    assert [event.reason for event in run.events] == [Reason.TOO_MANY_ROUNDS]
    run.run(script(100, first_minute=1))  # the denial reaches the bot now, and it answers that too
    assert account.request_seq > ROUNDS_MAX


# --- many bots ----------------------------------------------------------------------------------------------------


def ledger(run: Any) -> str:
    return canonical_hash(canonical_lines(run.fills, run.canonical_equity()))


def noise(number: int, **changes: Any) -> tuple[Any, Noise]:
    key = f"default/bot-{number}"
    config = bot_config(key, symbols=(BTC, LTC), wallet={"USD": 4_000 * ATOMS}, seed=number, **changes)
    return config, Noise()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([None, 200_000]), st.integers(0, 20_000))
def test_every_invariant_holds_in_every_turn_of_a_noisy_run(
    seed: int, participation_ppm: int | None, slippage_ppm: int
) -> None:
    protections = limits(
        stop_loss_ppm=100_000, take_profit_ppm=150_000, trailing_stop_ppm=120_000, max_exposure_ppm=900_000
    )
    run = audited(
        *(noise(seed + number, limits=protections) for number in range(3)),
        participation_ppm=participation_ppm,
        slippage_ppm=slippage_ppm,
    )
    run.run(walk(seed, 25))
    assert run.venue.accounts.imbalance() == {}
    account = run.gateway.config.account
    for asset, (free, locked) in run.venue.balances(account).items():
        books = [bot.wallet.total(asset) for bot in run.gateway.accounts.values()]
        assert free + locked == sum(books), f"wallets and the venue's balance of {asset} differ"
    at_venue = {order.client_order_id: order.lots - order.filled_lots for order in run.venue.open_orders(account)}
    assert at_venue == {order_id: order.open_lots for order_id, order in run.gateway.orders.items()}


def test_the_same_run_again_gives_the_same_ledger_and_another_seed_another() -> None:
    found = []
    for seed in (1, 1, 2):
        run = engine(noise(seed), noise(seed + 10))
        run.run(walk(5, 60))
        assert len(run.fills) > 5
        found.append(ledger(run))
    assert found[0] == found[1] != found[2]


def test_a_bot_trades_as_if_it_were_alone() -> None:
    """Bots do not consume each other's liquidity (rule 22), and their random numbers are their own (rule 20)."""
    alone = engine(noise(1))
    alone.run(walk(5, 60))
    together = engine(noise(2), noise(1), noise(3))
    together.run(walk(5, 60))
    assert [fill for fill in together.fills if fill.bot == "default/bot-1"] == alone.fills


def test_a_bot_sees_only_bars_of_its_instruments_and_interval() -> None:
    strategy = Scripted({})
    run = engine((bot_config(symbols=(LTC,), interval_us=2 * MINUTE_US), strategy))
    coarse = tick_bar(100, 100, 100, 100, open_us=START_US, symbol=LTC, interval_us=2 * MINUTE_US)
    bars = [*script(100, 100), *script(100, 100, symbol=LTC), coarse]
    run.run(sorted(bars, key=lambda bar: bar.close_us))
    assert strategy.heard == [("bar", minute_us(2), LTC)]


def test_equity_is_told_per_step_for_the_canonical_ledger() -> None:
    run = engine((bot_config(), Scripted({})))
    run.run(script(100, 100))
    assert run.canonical_equity() == [CanonicalEquity(minute_us(number), A, RICH) for number in (1, 2)]


def test_a_recorder_gets_the_effects_in_place_of_the_lists() -> None:
    run = audited((bot_config(), Scripted({1: buys(0.1)})))
    run.run(script(100, 100))
    assert len(run.fills) == 1
    assert run.events == []
