"""Rule 22, sentence by sentence, as examples. Bars are (open, high, low, close) in ticks."""

import pytest

from tests.unit.exchange.venue.scenes import (
    ALICE,
    ATOMS,
    BTC,
    FOK,
    IOC,
    MAKER,
    RICH,
    TAKER,
    TRIGGERED,
    Player,
    brief,
    buy,
    config,
    expired,
    filled,
    order_id,
    sell,
    tick_bar,
)
from tradefleet.domain.bar import MINUTE_US
from tradefleet.domain.orders import OrderTerms, Reason
from tradefleet.domain.venue import SubmitOrder

RISING = (100, 120, 80, 110)  # goes 100, 80, 120, 110
FALLING = (100, 120, 80, 90)  # goes 100, 120, 80, 90


def rich_player(**changes: object) -> Player:
    return Player(config(**changes)).fund(USD=RICH, BTC=RICH)


EXAMPLES = [
    # market orders fill at the next open, worsened by the slippage of 1 %
    ("market buy", buy(5), RISING, [filled(5, 101, TAKER)]),
    ("market sell", sell(5), RISING, [filled(5, 99, TAKER)]),
    # a limit fills at the better of limit and open, when touched
    ("buy limit above the open", buy(5, 105), RISING, [filled(5, 100, TAKER)]),
    ("buy limit at the open", buy(5, 100), RISING, [filled(5, 100, TAKER)]),
    ("buy limit below the open, reached", buy(5, 90), RISING, [filled(5, 90, MAKER)]),
    ("buy limit at the low", buy(5, 80), RISING, [filled(5, 80, MAKER)]),
    ("buy limit a tick below the low", buy(5, 79), RISING, []),
    ("sell limit below the open", sell(5, 95), RISING, [filled(5, 100, TAKER)]),
    ("sell limit above the open, reached", sell(5, 115), RISING, [filled(5, 115, MAKER)]),
    ("sell limit at the high", sell(5, 120), RISING, [filled(5, 120, MAKER)]),
    ("sell limit a tick above the high", sell(5, 121), RISING, []),
    # a stop fills at the worse of trigger and open, then slippage
    ("buy stop reached", buy(5, trigger_ticks=110), RISING, [TRIGGERED, filled(5, 112, TAKER)]),
    ("buy stop that the open has passed", buy(5, trigger_ticks=95), RISING, [TRIGGERED, filled(5, 101, TAKER)]),
    ("buy stop not reached", buy(5, trigger_ticks=121), RISING, []),
    ("sell stop reached", sell(5, trigger_ticks=90), RISING, [TRIGGERED, filled(5, 89, TAKER)]),
    ("sell stop that the open has passed", sell(5, trigger_ticks=105), RISING, [TRIGGERED, filled(5, 99, TAKER)]),
    ("sell stop not reached", sell(5, trigger_ticks=79), RISING, []),
    # the path: a stop-limit's limit can fill on what is left of it
    (
        "sell stop-limit, limit reached after the low of a rising bar",
        sell(5, 115, trigger_ticks=90),
        RISING,
        [TRIGGERED, filled(5, 115, MAKER)],
    ),
    ("the same in a falling bar: the high was before", sell(5, 115, trigger_ticks=90), FALLING, [TRIGGERED]),
    (
        "buy stop-limit, limit reached after the high of a falling bar",
        buy(5, 85, trigger_ticks=110),
        FALLING,
        [TRIGGERED, filled(5, 85, MAKER)],
    ),
    ("the same in a rising bar: the low was before", buy(5, 85, trigger_ticks=110), RISING, [TRIGGERED]),
    (
        "buy stop-limit marketable at its trigger",
        buy(5, 115, trigger_ticks=110),
        RISING,
        [TRIGGERED, filled(5, 110, TAKER)],
    ),
    (
        "buy stop-limit triggered and marketable at the open",
        buy(5, 105, trigger_ticks=95),
        RISING,
        [TRIGGERED, filled(5, 100, TAKER)],
    ),
    (
        "buy stop-limit triggered at the open, its limit below",
        buy(5, 85, trigger_ticks=95),
        RISING,
        [TRIGGERED, filled(5, 85, MAKER)],
    ),
    (
        "the limit is touched again on the way back to the close",
        buy(5, 112, trigger_ticks=115),
        RISING,
        [TRIGGERED, filled(5, 112, MAKER)],
    ),
    # immediate orders count at the first open, those of stops at their trigger
    ("IOC limit marketable at the open", buy(5, 105, time_in_force=IOC), RISING, [filled(5, 100, TAKER)]),
    ("IOC limit touched later", buy(5, 90, time_in_force=IOC), RISING, [expired(Reason.NO_LIQUIDITY)]),
    ("FOK limit marketable at the open", sell(5, 95, time_in_force=FOK), RISING, [filled(5, 100, TAKER)]),
    ("FOK limit out of reach", sell(5, 130, time_in_force=FOK), RISING, [expired(Reason.NO_LIQUIDITY)]),
    ("IOC market order", buy(5, time_in_force=IOC), RISING, [filled(5, 101, TAKER)]),
    ("IOC stop waits for its trigger", sell(5, trigger_ticks=70, time_in_force=IOC), RISING, []),
    (
        "IOC stop-limit not marketable at its trigger",
        buy(5, 112, trigger_ticks=115, time_in_force=IOC),
        RISING,
        [TRIGGERED, expired(Reason.NO_LIQUIDITY)],
    ),
    # post-only never takes
    ("post-only buy that the next open passes", buy(5, 105, post_only=True), RISING, [filled(5, 100, MAKER)]),
    (
        "post-only stop-limit marketable at its trigger",
        buy(5, 115, trigger_ticks=110, post_only=True),
        RISING,
        [TRIGGERED, expired(Reason.WOULD_TAKE)],
    ),
]


@pytest.mark.parametrize(
    ("order", "prices", "expected"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES]
)
def test_an_order_meets_its_first_bar(
    order: OrderTerms, prices: tuple[int, int, int, int], expected: list[object]
) -> None:
    player = rich_player(slippage_ppm=10_000)
    player.submit(order_id(1), order)
    assert brief(player.bar(*prices)) == expected


def test_slippage_rounds_to_the_worse_tick() -> None:
    player = rich_player(slippage_ppm=1)
    player.submit(order_id(1), buy(1))
    player.submit(order_id(2), sell(1))
    assert brief(player.bar(100, 100, 100, 100)) == [filled(1, 101, TAKER), filled(1, 99, TAKER)]


def test_slippage_in_ticks_is_added_for_both_sides() -> None:
    player = rich_player(slippage_ticks=3)
    player.submit(order_id(1), buy(1))
    player.submit(order_id(2), sell(1))
    assert brief(player.bar(100, 100, 100, 100)) == [filled(1, 103, TAKER), filled(1, 97, TAKER)]


def test_slippage_may_leave_the_bar_but_not_the_first_tick() -> None:
    player = rich_player(slippage_ppm=900_000)
    player.submit(order_id(1), sell(1))
    assert brief(player.bar(3, 3, 3, 3)) == [filled(1, 1, TAKER)]


def test_a_market_order_does_not_fill_in_the_bar_that_closed_before_it_came() -> None:
    player = rich_player()
    player.bar(*RISING)
    assert brief(player.submit(order_id(1), buy(5))) == [("ACCEPTED",)]
    assert brief(player.bar(105, 106, 104, 105)) == [filled(5, 105, TAKER)]


def test_a_limit_that_rested_a_bar_is_maker_even_when_the_open_jumps_over_it() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 70))
    assert player.bar(*RISING) == []
    assert brief(player.bar(60, 65, 55, 60)) == [filled(5, 60, MAKER)]


def test_an_amended_limit_meets_the_next_open_as_a_new_order() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 70))
    player.bar(*RISING)
    player.amend(order_id(1), price_ticks=115)
    assert brief(player.bar(110, 110, 110, 110)) == [filled(5, 110, TAKER)]


def test_a_stop_limit_rests_as_a_limit_after_its_trigger() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 85, trigger_ticks=110))
    assert brief(player.bar(*RISING)) == [TRIGGERED]
    assert brief(player.bar(80, 81, 79, 80)) == [filled(5, 80, MAKER)]


def test_events_happen_in_the_order_of_the_path() -> None:
    player = rich_player()
    player.submit(order_id(1), sell(1, 115))
    player.submit(order_id(2), buy(1, 85))
    player.submit(order_id(3), buy(1, 95))
    player.submit(order_id(4), buy(1))
    rising = [report.client_order_id for report in player.bar(*RISING)]
    assert rising == [order_id(4), order_id(3), order_id(2), order_id(1)]


def test_events_happen_in_the_other_order_when_the_bar_falls() -> None:
    player = rich_player()
    player.submit(order_id(1), sell(1, 115))
    player.submit(order_id(2), buy(1, 85))
    assert [report.client_order_id for report in player.bar(*FALLING)] == [order_id(1), order_id(2)]
    player.submit(order_id(3), buy(1, 85))
    player.submit(order_id(4), sell(1, 115))
    assert [report.client_order_id for report in player.bar(*RISING)] == [order_id(3), order_id(4)]


def test_orders_at_one_price_fill_in_the_order_of_arrival() -> None:
    player = rich_player()
    for number in (3, 1, 2):
        player.submit(order_id(number), buy(1, 90))
    assert [report.client_order_id for report in player.bar(*RISING)] == [order_id(3), order_id(1), order_id(2)]


def test_a_sale_earlier_on_the_path_pays_for_a_buy_later_on_it() -> None:
    player = Player(config()).fund(BTC=RICH)
    player.submit(order_id(1), buy(1, trigger_ticks=115))
    player.submit(order_id(2), sell(10, 110))
    assert brief(player.bar(*RISING)) == [filled(10, 110, MAKER), TRIGGERED, filled(1, 115, TAKER)]


def test_a_flat_bar_is_a_rising_one() -> None:
    player = rich_player()
    player.submit(order_id(1), sell(1, 115))
    player.submit(order_id(2), buy(1, 85))
    assert [report.client_order_id for report in player.bar(100, 120, 80, 100)] == [order_id(2), order_id(1)]


def test_orders_do_not_take_liquidity_from_each_other() -> None:
    player = rich_player(participation_ppm=100_000)
    player.submit(order_id(1), buy(50, 90))
    player.submit(order_id(2), buy(50, 90))
    assert brief(player.bar(*RISING, volume=5.0)) == [filled(50, 90, MAKER), filled(50, 90, MAKER)]


def test_participation_limits_what_an_order_takes_of_one_bar() -> None:
    player = rich_player(participation_ppm=250_000)
    player.submit(order_id(1), buy(10, 90))
    assert brief(player.bar(*RISING, volume=0.19)) == [filled(4, 90, MAKER)]  # floor(0.25 * 19 lots)
    assert player.bar(*RISING, volume=0.03) == []
    assert brief(player.bar(*RISING, volume=10.0)) == [filled(6, 90, MAKER)]


def test_the_rest_of_a_market_order_fills_at_the_next_open() -> None:
    player = rich_player(participation_ppm=500_000)
    player.submit(order_id(1), buy(10))
    assert brief(player.bar(100, 100, 100, 100, volume=0.12)) == [filled(6, 100, TAKER)]
    assert brief(player.bar(101, 101, 101, 101, volume=1.0)) == [filled(4, 101, TAKER)]


def test_the_rest_of_an_ioc_order_expires() -> None:
    player = rich_player(participation_ppm=500_000)
    player.submit(order_id(1), buy(10, 105, time_in_force=IOC))
    assert brief(player.bar(*RISING, volume=0.12)) == [filled(6, 100, TAKER), expired(Reason.NO_LIQUIDITY)]


def test_fok_gets_all_or_nothing_of_a_thin_bar() -> None:
    player = rich_player(participation_ppm=500_000)
    player.submit(order_id(1), buy(10, time_in_force=FOK))
    assert brief(player.bar(*RISING, volume=0.19)) == [expired(Reason.NO_LIQUIDITY)]
    player.submit(order_id(2), buy(10, time_in_force=FOK))
    assert brief(player.bar(*RISING, volume=0.2)) == [filled(10, 100, TAKER)]


def test_without_participation_volume_does_not_matter() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(10))
    assert brief(player.bar(*RISING, volume=0.0)) == [filled(10, 100, TAKER)]


def test_a_market_buy_gets_what_it_can_pay_and_the_rest_expires() -> None:
    player = Player(config(taker_ppm=10_000)).fund(USD=3 * 101 * 100 * ATOMS // 100 + 5)
    player.submit(order_id(1), buy(5))
    reports = player.bar(100, 100, 100, 100)
    assert brief(reports) == [filled(3, 100, TAKER), expired(Reason.INSUFFICIENT_FUNDS)]
    assert player.venue.balances(ALICE)["USD"] == (5, 0)


def test_a_market_buy_without_money_expires_when_it_fills() -> None:
    player = Player(config())
    assert brief(player.submit(order_id(1), buy(5))) == [("ACCEPTED",)]
    assert brief(player.bar(*RISING)) == [expired(Reason.INSUFFICIENT_FUNDS)]


def test_a_fok_buy_that_cannot_pay_all_gets_nothing() -> None:
    player = Player(config()).fund(USD=4 * 100 * ATOMS)
    player.submit(order_id(1), buy(5, time_in_force=FOK))
    assert brief(player.bar(*RISING)) == [expired(Reason.INSUFFICIENT_FUNDS)]


def test_orders_wait_for_the_first_bar_of_their_symbol() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5))
    assert player.close(tick_bar(1, RISING, symbol="ETH-USD")) == []
    assert brief(player.bar(*RISING)) == [filled(5, 100, TAKER)]


def test_post_only_is_refused_when_its_limit_reaches_the_last_close() -> None:
    player = rich_player()
    player.bar(*RISING)
    refused = [("REJECTED", Reason.WOULD_TAKE)]
    assert brief(player.submit(order_id(1), buy(5, 110, post_only=True))) == refused
    assert brief(player.submit(order_id(2), sell(5, 110, post_only=True))) == refused
    assert brief(player.submit(order_id(3), buy(5, 109, post_only=True))) == [("ACCEPTED",)]
    assert brief(player.submit(order_id(4), sell(5, 111, post_only=True))) == [("ACCEPTED",)]
    assert brief(player.amend(order_id(3), price_ticks=110)) == [("AMEND_REJECTED", Reason.WOULD_TAKE)]


def test_only_the_finest_configured_interval_fills() -> None:
    player = rich_player(intervals_us={BTC: (5 * MINUTE_US, MINUTE_US)})
    player.submit(order_id(1), buy(5))
    assert player.close(tick_bar(0, RISING, interval_us=5 * MINUTE_US)) == []
    assert brief(player.close(tick_bar(5, RISING))) == [filled(5, 100, TAKER)]


def test_without_a_configured_interval_the_finest_seen_fills() -> None:
    player = rich_player()
    player.close(tick_bar(4, RISING), tick_bar(0, RISING, interval_us=5 * MINUTE_US))
    player.submit(order_id(1), buy(5))
    assert player.close(tick_bar(1, RISING, open_us=5 * MINUTE_US, interval_us=5 * MINUTE_US)) == []
    assert brief(player.close(tick_bar(10, RISING))) == [filled(5, 100, TAKER)]


def test_a_repeated_bar_changes_nothing() -> None:
    player = rich_player()
    player.close(tick_bar(1, RISING))
    player.submit(order_id(1), buy(5))
    before = player.venue.state_hash()
    assert player.close(tick_bar(1, RISING)) == []
    assert player.venue.state_hash() == before


def test_prices_of_bars_round_to_the_nearest_tick() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 90))
    player.submit(order_id(2), sell(5, 111))
    bar = tick_bar(1, (100, 110, 91, 100))._replace(low=0.90499, high=1.105)
    assert brief(player.close(bar)) == [filled(5, 90, MAKER)]  # 110.5 goes to the even tick, which is 110


def test_a_price_below_half_a_tick_counts_as_one_tick() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5))
    bar = tick_bar(1, (1, 1, 1, 1))._replace(open=0.001, high=0.001, low=0.001, close=0.001)
    assert brief(player.close(bar)) == [filled(5, 1, TAKER)]


# --- an owner who is ahead of the market ------------------------------------------------------------------------------


def decide(player: Player, number: int, order: OrderTerms, *, after_bars: int) -> None:
    """Submit an order that was decided when bar `after_bars` (from 1 on) had closed, whatever the venue has seen."""
    first = tick_bar(1, (100, 100, 100, 100)).close_us
    decided_us = first + (after_bars - 1) * MINUTE_US
    player.send(SubmitOrder, client_order_id=order_id(number), terms=order, decided_us=decided_us)


EARLY = [
    ("market buy", buy(5), [filled(5, 101, TAKER)]),
    ("limit at the open, as taker", buy(5, 105), [filled(5, 100, TAKER)]),
    ("limit on the path", buy(5, 90), [filled(5, 90, MAKER)]),
    ("stop", buy(5, trigger_ticks=110), [TRIGGERED, filled(5, 112, TAKER)]),
    ("IOC that its first bar cannot fill", buy(5, 60, time_in_force=IOC), [expired(Reason.NO_LIQUIDITY)]),
]


@pytest.mark.parametrize(("terms", "reports"), [each[1:] for each in EARLY], ids=[each[0] for each in EARLY])
def test_an_order_meets_no_bar_that_had_closed_when_it_was_decided(
    terms: OrderTerms, reports: list[tuple[object, ...]]
) -> None:
    player = rich_player(slippage_ppm=10_000)
    decide(player, 1, terms, after_bars=2)

    assert player.bar(50, 200, 40, 150) == []
    assert player.bar(50, 200, 40, 150) == []
    assert brief(player.bar(*RISING)) == reports


def test_an_amended_price_meets_no_bar_that_had_closed_when_it_was_amended() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 50))
    player.bar(100, 100, 100, 100)
    player.amend(order_id(1), price_ticks=90, decided_us=player.market_us + MINUTE_US)

    assert player.bar(90, 90, 40, 90) == []
    assert brief(player.bar(*RISING)) == [filled(5, 90, MAKER)]


def test_an_order_made_smaller_keeps_the_bars_that_it_had() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5, 50))
    player.amend(order_id(1), lots=3, decided_us=player.market_us + 9 * MINUTE_US)

    assert brief(player.bar(90, 90, 40, 90)) == [filled(3, 50, MAKER)]


def test_a_snapshot_keeps_when_an_order_was_decided() -> None:
    player = rich_player()
    decide(player, 1, buy(5), after_bars=2)
    restored = rich_player()
    restored.venue.restore(player.venue.snapshot())

    assert restored.venue.state_hash() == player.venue.state_hash()
    assert restored.bar(100, 100, 100, 100) == []
    assert restored.bar(100, 100, 100, 100) == []
    assert brief(restored.bar(*RISING)) == [filled(5, 100, TAKER)]


def test_an_order_of_an_older_snapshot_is_read_and_gives_its_row_again() -> None:
    player = rich_player()
    player.submit(order_id(1), buy(5))
    snapshot = player.venue.snapshot()
    (row,) = snapshot["orders"]
    assert row[-1] == player.venue.config.fee_ppm_max  # no time of decision behind it

    restored = rich_player()
    restored.venue.restore(snapshot)

    assert restored.venue.snapshot() == snapshot
