"""Epochs and leases (rule 3), for every kind of row that carries one."""

import pytest

from tests.contracts.store.samples import ACCOUNT, BOT, EXCHANGE, TTL_US, UID
from tests.contracts.store.worlds import World
from tradefleet.domain.bots import DeletionPolicy
from tradefleet.domain.errors import Fenced, InvalidValue, LeaseHeld, Permanent, StaleGeneration
from tradefleet.store.ports import LeaseName, LeaseStore, bot_lease, feed_lease, gateway_lease, venue_lease

KINDS = {
    "bot": bot_lease(BOT, UID),
    "gateway": gateway_lease(ACCOUNT),
    "venue": venue_lease(EXCHANGE),
    "feed": feed_lease("ns/candles"),
}


@pytest.fixture(params=sorted(KINDS))
def name(request: pytest.FixtureRequest) -> LeaseName:
    return KINDS[request.param]


def handle(world: World, name: LeaseName) -> LeaseStore:
    kind = name.partition("/")[0]
    return world.bot(BOT, UID) if kind == "bot" else getattr(world, kind)()


def test_the_first_lease_has_epoch_one(world: World, name: LeaseName) -> None:
    lease = handle(world, name).acquire(name, holder="one", generation=3, ttl_us=TTL_US)
    assert (lease.name, lease.epoch, lease.holder, lease.generation) == (name, 1, "one", 3)


def test_another_holder_is_refused_while_the_lease_runs(world: World, name: LeaseName) -> None:
    handle(world, name).acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    with pytest.raises(LeaseHeld, match="one holds it"):
        handle(world, name).acquire(name, holder="two", generation=1, ttl_us=TTL_US)


def test_the_same_holder_takes_over_at_once_with_the_next_epoch(world: World, name: LeaseName) -> None:
    handle(world, name).acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    assert handle(world, name).acquire(name, holder="one", generation=1, ttl_us=TTL_US).epoch == 2


def test_an_expired_lease_goes_to_whoever_asks(world: World, name: LeaseName) -> None:
    handle(world, name).acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    world.expire(name)
    assert handle(world, name).acquire(name, holder="two", generation=1, ttl_us=TTL_US).epoch == 2


def test_a_successor_is_told_whether_the_one_before_gave_the_lease_back(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    first = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    again = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    world.expire(name)
    successor = store.acquire(name, holder="two", generation=1, ttl_us=TTL_US)
    renewed = store.renew(successor, ttl_us=TTL_US)
    store.release(renewed)
    third = store.acquire(name, holder="three", generation=1, ttl_us=TTL_US)
    found = [lease.took_over for lease in (first, again, successor, renewed, third)]
    assert found == [False, False, True, True, False]


def test_a_released_lease_goes_to_whoever_asks(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    store.release(store.acquire(name, holder="one", generation=1, ttl_us=TTL_US))
    assert handle(world, name).acquire(name, holder="two", generation=1, ttl_us=TTL_US).epoch == 2


def test_an_older_generation_never_gets_the_lease_again(world: World, name: LeaseName) -> None:
    handle(world, name).acquire(name, holder="new", generation=2, ttl_us=TTL_US)
    world.expire(name)
    with pytest.raises(StaleGeneration, match="generation 1 is older than the row's 2"):
        handle(world, name).acquire(name, holder="old", generation=1, ttl_us=TTL_US)


def test_renewing_moves_the_deadline(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    lease = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    renewed = store.renew(lease, ttl_us=2 * TTL_US)
    assert renewed.epoch == lease.epoch
    assert renewed.deadline_us - lease.deadline_us >= TTL_US


def test_renewing_keeps_another_holder_out(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    lease = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    world.expire(name)
    store.renew(lease, ttl_us=TTL_US)
    with pytest.raises(LeaseHeld):
        handle(world, name).acquire(name, holder="two", generation=1, ttl_us=TTL_US)


def test_renewing_after_a_newer_epoch_is_fenced(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    lease = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    world.expire(name)
    handle(world, name).acquire(name, holder="two", generation=1, ttl_us=TTL_US)
    with pytest.raises(Fenced, match="epoch 1 is not the newest, which is 2"):
        store.renew(lease, ttl_us=TTL_US)


def test_renewing_a_released_lease_is_fenced(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    lease = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    store.release(lease)
    with pytest.raises(Fenced, match="was released"):
        store.renew(lease, ttl_us=TTL_US)


def test_releasing_a_lost_lease_takes_nothing_from_its_new_holder(world: World, name: LeaseName) -> None:
    store = handle(world, name)
    lease = store.acquire(name, holder="one", generation=1, ttl_us=TTL_US)
    world.expire(name)
    handle(world, name).acquire(name, holder="two", generation=1, ttl_us=TTL_US)
    store.release(lease)
    with pytest.raises(LeaseHeld, match="two holds it"):
        handle(world, name).acquire(name, holder="three", generation=1, ttl_us=TTL_US)


def test_a_lease_lasts_for_some_time(world: World, name: LeaseName) -> None:
    with pytest.raises(InvalidValue, match="ttl_us must be > 0, was 0"):
        handle(world, name).acquire(name, holder="one", generation=1, ttl_us=0)


def test_leases_of_two_fleets_never_meet(world: World, name: LeaseName) -> None:
    handle(world, name).acquire(name, holder="one", generation=5, ttl_us=TTL_US)
    assert handle(world.neighbour(), name).acquire(name, holder="two", generation=1, ttl_us=TTL_US).epoch == 1


# --- a resource that is made again ------------------------------------------------------------------------------------

OWNED = sorted(set(KINDS) - {"bot"})


@pytest.fixture(params=OWNED)
def owned(request: pytest.FixtureRequest) -> LeaseName:
    return KINDS[request.param]


def test_another_owner_begins_with_any_generation(world: World, owned: LeaseName) -> None:
    store = handle(world, owned)
    store.release(store.acquire(owned, holder="slot", generation=7, ttl_us=TTL_US, owner="uid-1"))

    lease = handle(world, owned).acquire(owned, holder="slot", generation=1, ttl_us=TTL_US, owner="uid-2")

    assert (lease.epoch, lease.generation) == (2, 1)


def test_generations_count_against_those_of_the_same_owner(world: World, owned: LeaseName) -> None:
    store = handle(world, owned)
    for generation, owner in ((7, "uid-1"), (2, "uid-2")):
        store.release(store.acquire(owned, holder="slot", generation=generation, ttl_us=TTL_US, owner=owner))

    with pytest.raises(StaleGeneration, match="generation 1 is older than the row's 2"):
        handle(world, owned).acquire(owned, holder="slot", generation=1, ttl_us=TTL_US, owner="uid-2")


def test_another_owner_waits_while_the_lease_runs(world: World, owned: LeaseName) -> None:
    handle(world, owned).acquire(owned, holder="one", generation=7, ttl_us=TTL_US, owner="uid-1")

    with pytest.raises(LeaseHeld, match="one holds it"):
        handle(world, owned).acquire(owned, holder="two", generation=1, ttl_us=TTL_US, owner="uid-2")


def test_a_retired_owner_is_fenced_and_never_gets_the_lease_again(world: World, owned: LeaseName) -> None:
    store = handle(world, owned)
    lease = store.acquire(owned, holder="one", generation=1, ttl_us=TTL_US, owner="uid-1")

    world.fleets().retire_owner("uid-1")

    with pytest.raises(Fenced, match="epoch 1 is not the newest, which is 2"):
        store.renew(lease, ttl_us=TTL_US)
    for _ in range(2):
        with pytest.raises(StaleGeneration, match="the resource with UID uid-1 is deleted"):
            store.acquire(owned, holder="one", generation=9, ttl_us=TTL_US, owner="uid-1")
        handle(world, owned).acquire(owned, holder="two", generation=1, ttl_us=TTL_US, owner="uid-2")
        world.expire(owned)


def test_who_follows_a_retired_owner_that_did_not_give_the_lease_back_is_told(world: World, owned: LeaseName) -> None:
    store = handle(world, owned)
    lease = store.acquire(owned, holder="one", generation=1, ttl_us=TTL_US, owner="uid-1")
    world.fleets().retire_owner("uid-1")
    store.release(lease)  # it ends, and does not know yet

    lease = handle(world, owned).acquire(owned, holder="two", generation=1, ttl_us=TTL_US, owner="uid-2")

    assert (lease.epoch, lease.took_over) == (3, True)


def test_retiring_twice_or_a_stranger_fences_nobody(world: World, owned: LeaseName) -> None:
    store = handle(world, owned)
    lease = store.acquire(owned, holder="one", generation=1, ttl_us=TTL_US, owner="uid-2")

    for uid in ("uid-1", "uid-1", "uid-3"):
        world.fleets().retire_owner(uid)
        world.neighbour().fleets().retire_owner("uid-2")

    assert store.renew(lease, ttl_us=TTL_US).epoch == 1


def test_a_lease_name_of_no_kind_is_refused(world: World) -> None:
    with pytest.raises(Permanent, match="must be made by bot_lease"):
        world.bot(BOT, UID).acquire(LeaseName("bot/ns/alpha"), holder="one", generation=1, ttl_us=TTL_US)


def test_a_retired_bot_never_gets_its_lease_again(world: World) -> None:
    store = world.bot(BOT, UID)
    lease = store.acquire(KINDS["bot"], holder="one", generation=1, ttl_us=TTL_US)
    world.fleets().retire_bot(UID, policy=DeletionPolicy.CANCEL_ORDERS)
    with pytest.raises(Fenced):
        store.renew(lease, ttl_us=TTL_US)
    with pytest.raises(StaleGeneration, match="the bot is deleted"):
        store.acquire(KINDS["bot"], holder="one", generation=9, ttl_us=TTL_US)
