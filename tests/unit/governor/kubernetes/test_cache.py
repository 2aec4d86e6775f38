"""What the Governor takes to be in the cluster."""

from typing import Any

import msgspec
import pytest
from governor.kubernetes.cache import Cache
from governor.kubernetes.client import DEPLOYMENT, POD, Listing, listed
from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.errors import Retryable


def thing(name: str = "bot-a", *, version: int = 1, uid: str = "u1", **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": str(version)}, **more}


def listing(*bodies: dict[str, Any], at: int) -> Listing:
    return Listing([listed(msgspec.json.encode(body)) for body in bodies], at)


def names(cache: Cache) -> list[str]:
    return sorted(name for (_, name), _ in cache.all(DEPLOYMENT))


def test_an_object_is_there_until_it_is_deleted():
    cache = Cache()
    cache.offer(DEPLOYMENT, thing(version=1))
    assert names(cache) == ["bot-a"]

    cache.offer(DEPLOYMENT, thing(version=2), is_gone=True)

    assert names(cache) == []


def test_an_older_report_does_not_undo_a_newer_one():
    cache = Cache()
    cache.offer(DEPLOYMENT, thing(version=5, spec="new"))

    cache.offer(DEPLOYMENT, thing(version=4, spec="old"))

    found = cache.get(DEPLOYMENT, ("n", "bot-a"))
    assert found is not None
    assert (found.version, found.body()["spec"]) == (5, "new")


def test_a_list_from_before_a_deletion_brings_nothing_back():
    cache = Cache()
    cache.offer(DEPLOYMENT, thing(version=9), is_gone=True)

    cache.refresh(DEPLOYMENT, "n", listing(thing(version=3), at=8))

    assert names(cache) == []


def test_a_list_removes_what_is_not_in_it_and_keeps_what_came_after_it():
    cache = Cache()
    cache.offer(DEPLOYMENT, thing("old", version=3, uid="u3"))
    cache.offer(DEPLOYMENT, thing("new", version=12, uid="u12"))

    cache.refresh(DEPLOYMENT, "n", listing(at=10))

    assert names(cache) == ["new"]


def test_the_end_of_an_object_does_not_end_its_namesake():
    cache = Cache()
    cache.offer(DEPLOYMENT, thing(version=7, uid="second"))

    cache.offer(DEPLOYMENT, thing(version=6, uid="first"), is_gone=True)

    assert names(cache) == ["bot-a"]


def test_nothing_is_taken_for_missing_before_every_kind_was_listed():
    cache = Cache()
    cache.offer(DEPLOYMENT, thing())
    assert not cache.is_filled([DEPLOYMENT], ["n"])

    cache.refresh(DEPLOYMENT, "n", listing(at=0))

    assert cache.is_filled([DEPLOYMENT], ["n"])
    assert not cache.is_filled([DEPLOYMENT], ["n", "other"])
    assert not cache.is_filled([DEPLOYMENT, POD], ["n"])


def test_a_change_wakes_and_a_repetition_does_not():
    woken: list[bool] = []
    cache = Cache(lambda: woken.append(True))

    cache.offer(DEPLOYMENT, thing(version=1))
    cache.offer(DEPLOYMENT, thing(version=1))
    cache.refresh(DEPLOYMENT, "n", listing(thing(version=1), at=4))

    assert woken == [True]


def test_what_the_server_says_of_managers_of_fields_is_not_kept():
    cache = Cache()
    body = thing()
    body["metadata"]["managedFields"] = [{"manager": "somebody"}]

    cache.offer(DEPLOYMENT, body)

    found = cache.get(DEPLOYMENT, ("n", "bot-a"))
    assert found is not None
    assert "managedFields" not in found.body()["metadata"]


@given(st.data())
def test_whatever_the_order_of_reports_the_last_state_wins(data: st.DataObject):
    """A history of objects of one name, told by watch events in any order that keeps each object's own, and lists."""
    history: list[tuple[int, str | None]] = []  # version, uid of what is there from then on
    alive: str | None = None
    for version in range(1, data.draw(st.integers(2, 9))):
        alive = f"u{version}" if alive is None else data.draw(st.sampled_from([alive, None]))
        history.append((version, alive))
    events: list[tuple[str, int, str]] = []
    before: str | None = None
    for at, uid in history:
        if uid is None:
            assert before is not None
            events.append(("gone", at, before))
        else:
            events.append(("there", at, uid))
        before = uid
    lists = [("list", at, uid or "") for at, uid in history]
    told = data.draw(st.permutations(lists[:-1]).map(lambda some: some[: len(some) // 2]))
    stream = list(events)
    for each in told:
        stream.insert(data.draw(st.integers(0, len(stream))), each)
    cache = Cache()

    for what, at, uid in [*stream, lists[-1]]:
        if what == "list":
            cache.refresh(DEPLOYMENT, "n", listing(*([thing(version=at, uid=uid)] if uid else []), at=at))
        else:
            cache.offer(DEPLOYMENT, thing(version=at, uid=uid), is_gone=what == "gone")

    found = cache.get(DEPLOYMENT, ("n", "bot-a"))
    assert (None if found is None else found.uid) == alive


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_watch_that_does_not_tell_what_was_written_is_found_out():
    clock = Clock()
    cache = Cache(clock_s=clock)
    cache.offer(DEPLOYMENT, thing(version=5))
    cache.check_watches()
    clock.now_s = 60.0

    with pytest.raises(Retryable, match="the watch of Deployment is silent: it has not told of n/bot-a"):
        cache.check_watches()

    cache.offer(DEPLOYMENT, thing(version=5), is_watched=True)
    cache.check_watches()


def test_a_watch_that_does_not_tell_what_a_list_has_shown_is_found_out():
    clock = Clock()
    cache = Cache(clock_s=clock)
    cache.refresh(DEPLOYMENT, "n", listing(thing(version=5), at=6))
    clock.now_s = 60.0
    with pytest.raises(Retryable):
        cache.check_watches()

    cache.offer(DEPLOYMENT, thing(version=9), is_gone=True, is_watched=True)

    cache.check_watches()


def test_an_object_that_is_written_again_and_again_does_not_hide_a_silent_watch():
    clock = Clock()
    cache = Cache(clock_s=clock)
    for version in range(1, 60):
        cache.offer(DEPLOYMENT, thing(version=version))
        clock.now_s += 1.0

    with pytest.raises(Retryable):
        cache.check_watches()


def test_what_a_watch_has_told_is_not_owed():
    clock = Clock()
    cache = Cache(clock_s=clock)
    cache.offer(DEPLOYMENT, thing(version=5), is_watched=True)
    cache.refresh(DEPLOYMENT, "n", listing(thing(version=5), at=6))
    clock.now_s = 60.0

    cache.check_watches()


def test_a_namespace_that_is_forgotten_is_empty_owes_nothing_and_hides_no_other():
    clock = Clock()
    cache = Cache(clock_s=clock)
    cache.offer(DEPLOYMENT, thing(version=5))
    elsewhere = thing(version=6, uid="another")
    elsewhere["metadata"]["namespace"] = "other"
    cache.offer(DEPLOYMENT, elsewhere, is_watched=True)
    clock.now_s = 60.0

    cache.forget([DEPLOYMENT, POD], "n")

    cache.check_watches()
    assert [key for key, _ in cache.all(DEPLOYMENT)] == [("other", "bot-a")]
    assert cache.is_filled([DEPLOYMENT, POD], ["n"]), "it is known to be empty"
