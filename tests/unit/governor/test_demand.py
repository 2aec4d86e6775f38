"""An Exchange has a Feed of its own as long as bots need it, no user's Feed is there, and no run would be torn."""

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from governor.annotations import OWNER_ANNOTATION
from governor.demand import feed_change, feed_makers, feed_trouble
from governor.owned import OwnedChange
from hypothesis import given

from tests.fakes.memory_resources import MemoryResources
from tests.unit.governor import fleets
from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.progress import FEED, Participant, bot_participant
from tradefleet.resources.common import Resource, ResourceKey
from tradefleet.resources.derived_feed import DERIVED_LABEL
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed

KEY = ResourceKey("Feed", "default", "simulator")
RUN = "uid-feed-simulator"


def exchange(*, deleting: bool = False, speed: str = "max", **replay: Any) -> Exchange:
    spec = fleets.exchange().body()["spec"]
    replay = {"datasetRefs": [{"name": "market"}], "speed": speed, **replay}
    return fleets.stored("Exchange", "simulator", {**spec, "simulator": {"replay": replay}}, deleting=deleting)


def derived(*, deleting: bool = False, speed: str = "max", owner: str = "uid-exchange-simulator") -> Feed:
    """Return the derived Feed as it is stored."""
    spec = {"exchangeRef": {"name": "simulator"}, "replay": {"datasetRefs": [{"name": "market"}], "speed": speed}}
    noted = {"annotations": {OWNER_ANNOTATION: owner}, "labels": {DERIVED_LABEL: "simulator"}}
    return fleets.stored("Feed", "simulator", spec, deleting=deleting, **noted)


def begun(*bots: Resource) -> dict[str, frozenset[Participant]]:
    named = [bot_participant(BotKey(bot.key.full_name), BotUid(bot.metadata.uid or "")) for bot in bots]
    return {RUN: frozenset({FEED, *named})}


def change(
    owner: Exchange,
    *there: Resource,
    runs: Mapping[str, frozenset[Participant]] | None = None,
    finished: frozenset[str] = frozenset(),
) -> OwnedChange:
    return feed_change(owner, [owner, *there], runs=runs or {}, finished=finished)


def made(found: OwnedChange) -> list[str]:
    return [each.metadata.name for each in found.apply]


def test_a_bot_gives_its_exchange_a_feed_that_plays_its_replay() -> None:
    (feed,) = change(exchange(speed="60x", **{"from": "2024-01-01"}), fleets.bot("alpha")).apply

    assert (feed.key, feed.metadata.labels) == (KEY, {DERIVED_LABEL: "simulator"})
    assert isinstance(feed, Feed)
    assert feed.exchange_key == ResourceKey("Exchange", "default", "simulator")
    assert feed.spec.replay == exchange(speed="60x", **{"from": "2024-01-01"}).spec.simulator.replay


def test_a_feed_that_is_as_it_should_be_is_not_applied_again() -> None:
    assert change(exchange(), fleets.bot("alpha"), derived()) == OwnedChange()


def test_a_changed_replay_changes_the_feed() -> None:
    assert made(change(exchange(speed="60x"), fleets.bot("alpha"), derived())) == ["simulator"]


@pytest.mark.parametrize(
    "there",
    [
        [],
        [fleets.bot("alpha", exchangeRef={"name": "other"})],
        [fleets.bot("alpha", state="Stopped")],
        [fleets.bot("alpha", deleting=True)],
        [fleets.bot("alpha", feedRef={"name": "replay"})],
        [fleets.bot("alpha"), fleets.feed()],
        [fleets.bot("alpha"), fleets.feed(suspend=True)],
        [fleets.bot("alpha"), fleets.feed("simulator")],
    ],
    ids=["no bot", "elsewhere", "stopped", "deleted", "another feed", "own feed", "own suspended", "own of that name"],
)
def test_where_nobody_needs_it_there_is_none(there: list[Resource]) -> None:
    assert change(exchange(), *there) == OwnedChange()
    if not any(each.key == KEY for each in there):
        assert change(exchange(), derived(), *there).delete == (KEY,)


@pytest.mark.parametrize("bot", [fleets.bot("a", state="Paused"), fleets.bot("a", feedRef={"name": "simulator"})])
def test_a_bot_that_is_paused_or_names_the_feed_needs_it(bot: Resource) -> None:
    assert made(change(exchange(), bot)) == ["simulator"]
    assert change(exchange(), bot, derived()) == OwnedChange()


def test_an_exchange_that_names_no_replay_has_no_feed_of_its_own() -> None:
    assert change(fleets.exchange(), fleets.bot("alpha")) == OwnedChange()
    assert change(fleets.exchange(), fleets.bot("alpha"), derived()).delete == (KEY,)


def test_a_deleted_exchange_makes_none_and_keeps_the_one_that_its_bots_trade_on() -> None:
    assert change(exchange(deleting=True), fleets.bot("alpha")) == OwnedChange()
    assert change(exchange(deleting=True), fleets.bot("alpha"), derived()) == OwnedChange()
    assert change(exchange(deleting=True), fleets.bot("alpha", deleting=True), derived()).delete == (KEY,)


def test_a_feed_that_ends_is_waited_for_before_it_is_made_anew() -> None:
    assert change(exchange(), fleets.bot("alpha"), derived(deleting=True)) == OwnedChange()
    assert change(exchange(speed="60x"), fleets.bot("alpha"), derived(deleting=True)) == OwnedChange()
    assert feed_trouble(exchange(), [fleets.bot("alpha"), derived(deleting=True)]) is None


def test_a_feed_that_is_not_its_own_is_left_alone_and_named() -> None:
    other = fleets.feed("simulator", exchangeRef={"name": "other"})
    there = [exchange(), fleets.bot("alpha"), other]

    assert change(exchange(), *there) == OwnedChange()
    trouble = feed_trouble(exchange(), there)
    assert trouble is not None
    assert (trouble.stalled, trouble.reason) == (True, "FeedNameTaken")
    assert "Feed simulator is there already and is not its own: delete that Feed, or apply one of an" in trouble.message
    assert feed_trouble(exchange(), [exchange(), other]) is None, "nobody needs it"


# --- a lockstep run that has begun ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "there",
    [
        [fleets.bot("alpha"), fleets.feed()],
        [fleets.bot("alpha", state="Stopped")],
        [fleets.bot("alpha", deleting=True), fleets.bot("beta")],
    ],
    ids=["a feed of the user's", "stopped bots", "a bot that leaves"],
)
def test_a_run_that_has_begun_keeps_its_feed_until_its_end(there: list[Resource]) -> None:
    runs = begun(fleets.bot("alpha"), fleets.bot("beta"))
    own = derived(speed="lockstep")

    assert change(exchange(speed="lockstep"), own, *there, runs=runs) == OwnedChange()
    ended = change(exchange(speed="lockstep"), own, *there, runs=runs, finished=frozenset({RUN}))
    still_needed = any(each.metadata.name == "beta" for each in there)
    assert ended.delete == (() if still_needed else (KEY,))


def test_an_edited_replay_waits_for_the_end_of_the_run() -> None:
    bot, own = fleets.bot("alpha"), derived(speed="lockstep")

    assert change(exchange(), bot, own, runs=begun(bot)) == OwnedChange()
    assert made(change(exchange(), bot, own, runs=begun(bot), finished=frozenset({RUN}))) == ["simulator"]
    assert made(change(exchange(), bot, own)) == ["simulator"], "a run that has not begun"


def test_a_run_whose_bots_are_all_deleted_needs_its_feed_no_more() -> None:
    bot = fleets.bot("alpha", deleting=True)

    assert change(exchange(speed="lockstep"), bot, derived(speed="lockstep"), runs=begun(bot)).delete == (KEY,)
    assert change(exchange(speed="lockstep"), derived(speed="lockstep"), runs=begun(bot)).delete == (KEY,)


# --- all of it together -----------------------------------------------------------------------------------------------

_BOTS = st.builds(
    lambda name, state, where, deleting, feed: fleets.bot(
        name,
        state=state,
        exchangeRef={"name": where},
        deleting=deleting,
        **({"feedRef": {"name": feed}} if feed else {}),
    ),
    st.sampled_from(["alpha", "beta"]),
    st.sampled_from(["Running", "Paused", "Stopped"]),
    st.sampled_from(["simulator", "other"]),
    st.booleans(),
    st.sampled_from(["", "simulator", "replay"]),
)
_FEEDS = st.builds(
    lambda name, where, suspend: fleets.feed(name, exchangeRef={"name": where}, suspend=suspend),
    st.sampled_from(["replay", "zz"]),
    st.sampled_from(["simulator", "other"]),
    st.booleans(),
)


@given(st.lists(st.tuples(st.lists(_BOTS, max_size=2), st.lists(_FEEDS, max_size=2)), min_size=1, max_size=4))
def test_a_derived_feed_is_there_exactly_while_it_is_demanded_and_the_user_has_none(
    looks: list[tuple[list[Resource], list[Resource]]],
) -> None:
    owner, store = exchange(), MemoryResources()
    for bots, feeds in looks:
        now = feed_change(owner, [owner, *bots, *feeds, *store.all()], runs={}, finished=())
        store.apply(now.apply, owner=owner.metadata.uid)
        store.delete(now.delete)
        for each in store.all():
            if each.metadata.deletion_timestamp is not None:
                store.remove(each)

        demanded = any(
            bot.exchange_key.name == "simulator"
            and bot.metadata.deletion_timestamp is None
            and bot.spec.state != "Stopped"
            and (bot.spec.feed_ref is None or bot.spec.feed_ref.name == "simulator")
            for bot in bots
        )
        own = any(feed.spec.exchange_ref.name == "simulator" for feed in feeds)
        assert bool(store.all()) == (demanded and not own)


# --- who would make it again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "is_made_again"),
    [
        ([exchange(), derived(), fleets.bot("alpha")], True),
        ([exchange(), derived()], False),
        ([exchange(), derived(), fleets.bot("alpha"), fleets.feed()], False),
        ([exchange(deleting=True), derived(), fleets.bot("alpha")], False),
        ([exchange(), fleets.feed("simulator"), fleets.bot("alpha")], False),
    ],
    ids=["needed", "not needed", "own feed", "exchange ends", "own of that name"],
)
def test_a_feed_that_is_deleted_is_made_again_while_it_is_needed(there: list[Resource], is_made_again: bool) -> None:
    assert list(feed_makers(there)) == ([KEY] if is_made_again else [])
