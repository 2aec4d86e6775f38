"""A buy without a limit fills no further than what its owner has set aside for it (rule 15)."""

import json
from typing import Any

import pytest

from tests.unit.exchange.venue.scenes import (
    BOB,
    FOK,
    RICH,
    TAKER,
    TRIGGERED,
    Player,
    book_config,
    brief,
    buy,
    config,
    expired,
    filled,
    order_id,
    sell,
)
from tradefleet.domain.orders import OrderTerms, Reason
from tradefleet.domain.venue import SubmitOrder, VenueReport
from workloads.exchange.venue.venue import Venue

ONE = order_id(1)


def player(venue_config: Any) -> Player:
    return Player(venue_config).fund(USD=RICH).fund(BOB, BTC=RICH)


def submit(one: Player, terms: OrderTerms, protection_ticks: int) -> list[VenueReport]:
    return one.send(SubmitOrder, client_order_id=ONE, terms=terms, protection_ticks=protection_ticks)


@pytest.mark.parametrize(
    ("opened", "expected"),
    [(105, [filled(5, 105, TAKER)]), (106, [expired(Reason.INSUFFICIENT_FUNDS)]), (90, [filled(5, 90, TAKER)])],
)
def test_a_market_buy_that_opens_beyond_its_protection_expires(opened: int, expected: list[Any]) -> None:
    one = player(config())
    submit(one, buy(5), 105)
    assert brief(one.bar(opened, 200, 1, 100)) == expected


def test_slippage_counts() -> None:
    one = player(config(slippage_ppm=50_000))
    submit(one, buy(5), 105)
    assert brief(one.bar(101, 101, 101, 101)) == [expired(Reason.INSUFFICIENT_FUNDS)]


def test_a_stop_that_gaps_beyond_its_protection_expires() -> None:
    one = player(config())
    submit(one, buy(5, trigger_ticks=100), 105)
    assert brief(one.bar(110, 110, 110, 110)) == [TRIGGERED, expired(Reason.INSUFFICIENT_FUNDS)]


def test_what_a_market_buy_has_got_before_stays_bought() -> None:
    one = player(config(participation_ppm=20_000))
    submit(one, buy(5), 105)
    assert brief(one.bar(100, 100, 100, 100, volume=1.0)) == [filled(2, 100, TAKER)]
    assert brief(one.bar(106, 106, 106, 106, volume=1.0)) == [expired(Reason.INSUFFICIENT_FUNDS)]


def test_in_the_book_a_market_buy_takes_what_is_within_its_protection() -> None:
    one = player(book_config())
    one.submit(order_id(1, "b"), sell(3, 104), BOB)
    one.submit(order_id(2, "b"), sell(3, 106), BOB)
    reports = submit(one, buy(5), 105)
    assert (filled(3, 104, TAKER) in brief(reports), brief(reports)[-1]) == (True, expired(Reason.INSUFFICIENT_FUNDS))


def test_in_the_book_a_fill_or_kill_that_would_go_beyond_takes_nothing() -> None:
    one = player(book_config())
    one.submit(order_id(1, "b"), sell(3, 104), BOB)
    one.submit(order_id(2, "b"), sell(3, 106), BOB)
    reports = submit(one, buy(5, time_in_force=FOK), 105)
    assert brief(reports)[-1] == expired(Reason.INSUFFICIENT_FUNDS)
    assert not [report for report in reports if report.trade]


def test_the_protection_survives_a_restart() -> None:
    one = player(config())
    submit(one, buy(5), 105)
    successor = Venue(one.venue.config)
    successor.restore(json.loads(json.dumps(one.venue.snapshot())))
    assert successor.state_hash() == one.venue.state_hash()
    one.venue = successor
    assert brief(one.bar(106, 106, 106, 106)) == [expired(Reason.INSUFFICIENT_FUNDS)]
