"""What the Governor's rounds ask of a store of resources, whoever keeps them.

A subclass gives the fixture `store`: one without resources.
"""

import pytest
from governor.annotations import FINALIZER, OWNER_ANNOTATION, STATE_ANNOTATION
from governor.ports import Resources

from tests.unit.governor import fleets
from tradefleet.resources.common import Metadata, Resource, ResourceKey
from tradefleet.resources.problems import InvalidResource


def _bot(name: str = "alpha", **spec: object) -> Resource:
    return _fresh(fleets.bot(name, **spec))


def _fresh(resource: Resource, **metadata: object) -> Resource:
    """Return a resource as a user writes it."""
    plain = Metadata(**{"name": resource.metadata.name, "namespace": resource.metadata.namespace, **metadata})
    return resource.model_copy(update={"metadata": plain})


def _verbs(store: Resources, *wanted: Resource, owner: str | None = None) -> list[str]:
    return [each.verb for each in store.apply(wanted, owner=owner)]


def _only(store: Resources) -> Resource:
    (found,) = store.all()
    return found


class ResourcesContract:
    """To be subclassed."""

    def test_what_is_applied_is_there_with_a_uid_a_generation_and_our_finalizer(self, store: Resources) -> None:
        assert _verbs(store, _bot()) == ["created"]

        found = _only(store)

        assert found.spec == _bot().spec
        assert found.metadata.uid
        assert (found.metadata.generation, list(found.metadata.finalizers)) == (1, [FINALIZER])

    def test_a_generation_grows_with_the_spec_alone(self, store: Resources) -> None:
        store.apply([_bot()])

        assert _verbs(store, _bot()) == ["unchanged"]
        assert _verbs(store, _fresh(_bot(), labels={"team": "a"})) == ["configured"]
        assert _only(store).metadata.generation == 1
        assert _verbs(store, _fresh(_bot(seed=3), labels={"team": "a"})) == ["configured"]
        assert (_only(store).metadata.generation, _only(store).spec.seed) == (2, 3)

    def test_annotations_of_ours_stay_and_those_of_users_are_theirs(self, store: Resources) -> None:
        store.apply([_fresh(_bot(), annotations={STATE_ANNOTATION: "Paused", "note": "one"})], owner="uid-of-a-set")

        store.apply([_fresh(_bot(), annotations={"other": "two"})])

        assert dict(_only(store).metadata.annotations) == {
            STATE_ANNOTATION: "Paused",
            OWNER_ANNOTATION: "uid-of-a-set",
            "other": "two",
        }

    def test_a_change_that_may_not_be_changes_nothing(self, store: Resources) -> None:
        store.apply([_bot()])

        with pytest.raises(InvalidResource):
            store.apply([_bot("beta"), _bot(instruments=["LTC-USD"])])

        assert _only(store).spec == _bot().spec

    def test_deletion_is_asked_for_once_and_carried_out_by_remove(self, store: Resources) -> None:
        store.apply([_bot()])
        key = ResourceKey("TradingBot", "default", "alpha")

        assert list(store.delete([key, ResourceKey("TradingBot", "default", "gone")])) == [key]
        assert list(store.delete([key])) == []
        assert _only(store).metadata.deletion_timestamp is not None

        store.remove(_only(store))
        assert store.all() == []

    def test_what_is_being_deleted_cannot_be_applied(self, store: Resources) -> None:
        store.apply([_bot()])
        store.delete([_bot().key])

        with pytest.raises(InvalidResource, match="is being deleted"):
            store.apply([_bot(seed=3)])

    def test_a_status_is_of_a_resource_not_of_its_name(self, store: Resources) -> None:
        store.apply([_bot()])
        first = _only(store)
        store.delete([first.key])
        store.remove(first)
        store.apply([_bot()])

        store.write_statuses({first.metadata.uid or "": {"restarts": 7}})
        assert _only(store).status.restarts is None
        store.write_statuses({_only(store).metadata.uid or "": {"restarts": 7}})
        assert _only(store).status.restarts == 7
        store.write_statuses({_only(store).metadata.uid or "": {"fills": 2}})
        assert (_only(store).status.restarts, _only(store).status.fills) == (None, 2), "a status is replaced whole"

    def test_removing_a_resource_leaves_the_one_that_was_made_since(self, store: Resources) -> None:
        store.apply([_bot()])
        first = _only(store)
        store.delete([first.key])
        store.remove(first)
        store.apply([_bot()])

        store.remove(first)

        assert len(store.all()) == 1
