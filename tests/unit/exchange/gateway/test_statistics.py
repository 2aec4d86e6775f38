"""A bot's figures after each step in which a bar of it closed."""

from tests.unit.exchange.gateway.scenes import ATOMS, BTC, LTC, RICH, START_US, A, B, Player, bot_config, tick_bar
from tradefleet.domain.bar import DAY_US, MINUTE_US
from tradefleet.domain.ids import StreamName
from tradefleet.domain.money import TICKS_MAX
from tradefleet.domain.statistics import BotStatistics
from tradefleet.messages.codec import decode, encode
from tradefleet.messages.convert import statistics_message


def test_the_figures_say_what_the_books_hold() -> None:
    player = Player(taker_ppm=1_000)
    order_id = player.buy(10, 100)
    player.fill(order_id, 10, 100, 100)
    player.fill(player.sell(4), 4, 110, 44)
    player.buy(1, 90)
    player.buy(1, 500)  # denied, and counted as an order
    player.price(120)
    money = RICH - 1_000 * ATOMS + 440 * ATOMS - 144
    assert player.last.statistics == [
        BotStatistics(
            bot=A,
            market_us=player.market_us,
            quote="USD",
            equity_atoms=money + 6 * 120 * ATOMS,
            hold_atoms=player.last.statistics[0].hold_atoms,
            peak_equity_atoms=money + 6 * 120 * ATOMS,
            realized_atoms=40 * ATOMS,
            fees_atoms=144,
            orders=4,
            fills=2,
            open_orders=1,
            positions=((BTC, 6),),
        )
    ]


def test_a_figure_that_no_message_holds_is_shown_as_the_most_that_one_does() -> None:
    player = Player(bot_config(wallet={"USD": 10**15}))
    player.hold(10**9)
    player.price(100)
    player.price(TICKS_MAX)
    (point,) = player.last.statistics
    account = player.gateway.accounts[A]
    assert account.peak_equity_atoms > 10**26  # 20 digits before the point, and 6 decimals
    assert {point.equity_atoms, point.hold_atoms, point.peak_equity_atoms} == {10**26 - 1}
    message = statistics_message(point, StreamName("metrics/a"), 1, 6, player.gateway.config.instruments)
    assert decode(encode(message)) == message
    player.price(100)
    (point,) = player.last.statistics
    assert (point.equity_atoms, point.peak_equity_atoms) == (10**15, 10**26 - 1)


def test_the_peak_stays_and_the_day_begins_anew() -> None:
    player = Player()
    player.hold(10)
    player.price(200)
    player.price(150)
    (point,) = player.last.statistics
    assert point.peak_equity_atoms - point.equity_atoms == 500 * ATOMS
    account = player.gateway.accounts[A]
    assert account.day_start_equity_atoms == RICH
    player.market_us = START_US + DAY_US - MINUTE_US
    player.price(150)
    assert account.day_start_equity_atoms == RICH + 500 * ATOMS
    assert player.last.accounts == {A}


def test_bots_are_told_in_key_order_and_only_about_their_own_bars() -> None:
    player = Player(bot_config(B), bot_config(A, symbols=(LTC,)), is_quiet=True)
    player.market_us += MINUTE_US
    open_us = player.market_us - MINUTE_US
    bars = [tick_bar(100, 100, 100, 100, open_us=open_us, symbol=symbol) for symbol in (BTC, LTC)]
    assert [point.bot for point in player.bars(bars).statistics] == [B, A]
    assert [point.bot for point in player.price(100, LTC).statistics] == [A]


def test_a_bot_on_two_instruments_is_told_once_per_step() -> None:
    player = Player(bot_config(symbols=(LTC, BTC)), is_quiet=True)
    player.market_us += MINUTE_US
    open_us = player.market_us - MINUTE_US
    bars = [tick_bar(100, 100, 100, 100, open_us=open_us, symbol=symbol) for symbol in (BTC, LTC)]
    (point,) = player.bars(bars).statistics
    assert point.positions == ((LTC, 0), (BTC, 0))


def test_a_quiet_bar_changes_no_books() -> None:
    player = Player()
    player.price(100)
    effects = player.price(99)
    assert effects.accounts == set()
    assert effects.venue_requests == []
