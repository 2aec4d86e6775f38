"""When a deleted resource may go."""

from dataclasses import replace

import pytest
from governor.annotations import LET_GO_ANNOTATION, OWNER_ANNOTATION
from governor.ending import NEVER_OPENED_US, is_needed, settled_bots
from governor.observation import Books

from tests.unit.governor import fleets

SETTLED = frozenset({"uid-tradingbot-alpha"})
SET = fleets.stored(
    "BotSet",
    "many",
    {
        "matrix": {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD"]},
        "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}},
    },
)


def deleted_feed(**spec):
    feed = fleets.feed(**spec)
    return feed.model_copy(
        update={"metadata": feed.metadata.model_copy(update={"deletion_timestamp": "2024-01-01T00:00:00Z"})}
    )


def derived_feed():
    feed = fleets.feed()
    annotations = {OWNER_ANNOTATION: "uid-exchange-simulator"}
    return feed.model_copy(update={"metadata": feed.metadata.model_copy(update={"annotations": annotations})})


@pytest.mark.parametrize(
    ("deleted", "there", "needed"),
    [
        (fleets.bot("alpha"), [], False),
        (fleets.bot("beta"), [], True),
        (fleets.exchange(), [fleets.bot("alpha")], True),
        (fleets.exchange("other"), [fleets.bot("alpha")], False),
        (SET, [fleets.bot("alpha", annotations={OWNER_ANNOTATION: SET.metadata.uid})], True),
        (SET, [fleets.bot("alpha", annotations={OWNER_ANNOTATION: "uid-botset-other"})], False),
        (fleets.exchange(), [derived_feed()], True),
        (fleets.exchange("other"), [derived_feed()], False),
        (fleets.dataset(), [fleets.feed()], False),
        (fleets.dataset(), [deleted_feed()], True),
        (fleets.dataset("other"), [deleted_feed()], False),
        (fleets.feed(), [fleets.dataset(), fleets.exchange(), fleets.bot("beta")], False),
    ],
)
def test_what_is_needed_stays(deleted, there, needed):
    assert is_needed(deleted, [deleted, *there], SETTLED) == needed


DELETED_US = 1_704_067_200_000_000  # what `fleets` gives a deleted bot
OPEN = Books(is_ending=False, has_exits=False, lots={}, closures={}, unreadable_seq=0, is_drawn_down=False)
ENDING = replace(OPEN, is_ending=True)


@pytest.mark.parametrize(
    ("bot", "books", "open_orders", "settled"),
    [
        (fleets.bot("alpha", deleting=True), ENDING, 0, True),
        (fleets.bot("alpha", state="Stopped"), ENDING, 0, True),
        (fleets.bot("alpha", deleting=True), OPEN, 0, False),
        (fleets.bot("alpha", deleting=True), replace(ENDING, has_exits=True), 0, False),
        (fleets.bot("alpha", deleting=True), ENDING, 1, False),
        (fleets.bot("alpha", deleting=True, deletionPolicy="Keep"), ENDING, 1, True),
        (fleets.bot("alpha", deleting=True), None, 0, False),
        (fleets.bot("alpha"), None, 0, False),
    ],
)
def test_a_bot_is_settled_when_its_gateway_has_carried_out_its_end(bot, books, open_orders, settled):
    uid = bot.metadata.uid
    found = settled_bots([bot], {uid: books} if books else {}, {uid: open_orders}, now_us=DELETED_US)

    assert (uid in found) == settled


def test_a_bot_that_was_let_go_waits_for_nobody():
    noted = {LET_GO_ANNOTATION: "true"}
    let_go = fleets.bot("alpha", deleting=True, annotations=noted)
    kept = fleets.bot("beta", annotations=noted)
    books = {each.metadata.uid: OPEN for each in (let_go, kept)}

    settled = settled_bots([let_go, kept], books, {let_go.metadata.uid: 3}, now_us=DELETED_US)

    assert settled == {let_go.metadata.uid}, "the note counts on a deleted bot only"


def test_a_deleted_bot_that_never_had_books_is_settled_after_a_while():
    bot = fleets.bot("alpha", deleting=True)

    early, late = (settled_bots([bot], {}, {}, now_us=DELETED_US + NEVER_OPENED_US + more) for more in (0, 1))

    assert (early, late) == (frozenset(), {bot.metadata.uid})
