"""The API server and the models judge alike: what one refuses the other refuses, in the same words where they are ours.

What only the models can tell is marked in the cases (`by_server=False`): it lies within free-form parameters, of which
a schema sees nothing. Such a resource is stored, and its status says what is wrong.
"""

import pytest
from hypothesis import example, given, settings

from tests.cluster.api import Api
from tests.cluster.variants import bodies
from tests.unit.resources.cases import (
    ALLOWED_CHANGES,
    BOT,
    BROKEN,
    REFUSED_CHANGES,
    VALID,
    Body,
    Broken,
    RefusedChange,
    changed,
)
from tests.unit.resources.test_kinds import messages_of
from tradefleet.resources.crd import schema_of
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.load import parse_body
from tradefleet.resources.problems import InvalidResource, Problem

NAMESPACE = "default"

OUR_WORDS = {message for kind in KINDS.values() for message in messages_of(schema_of(kind))}


def problems_of(body: Body) -> list[Problem]:
    """Return what the models find wrong with `body`."""
    try:
        parse_body(body)
    except InvalidResource as error:
        return list(error.problems)
    return []


def only_parameters(problems: list[Problem]) -> bool:
    """Return whether each problem lies within free-form parameters."""
    free = {"params", "paramLists", "values", "space"}
    return all(free & {step for step in problem.path if isinstance(step, str)} for problem in problems)


@pytest.mark.parametrize("name", VALID)
def test_what_is_right_is_stored_with_the_defaults_of_the_models(api: Api, name: str):
    answer = api.create(VALID[name], NAMESPACE, dry_run=True)

    assert answer.accepted, answer.causes
    assert parse_body(answer.body).digest() == parse_body(VALID[name]).digest()
    assert parse_body(VALID[name]).body()["spec"].keys() == answer.body["spec"].keys()


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_what_is_broken_is_refused_where_a_schema_can_see_it(api: Api, case: Broken):
    (problem,) = problems_of(case.body)

    answer = api.create(case.body, NAMESPACE, dry_run=True)

    assert answer.accepted is not case.by_server, answer.causes
    if case.by_server:
        assert any(dotted(cause.field).startswith(place_of(case)) for cause in answer.causes), answer.causes
    if case.by_server and problem.message in OUR_WORDS:
        assert any(problem.message in cause.message for cause in answer.causes), answer.causes


def dotted(path: str) -> str:
    """Return a path as both sides can write it: spec.instruments[0] as spec.instruments.0."""
    return path.replace("[", ".").replace("]", "")


def place_of(case: Broken) -> str:
    """Return where the API server shows the error: the name of a map's entry is a matter of the map."""
    place = dotted(case.path)
    return place.rpartition(".")[0] if "name of an asset" in case.message else place


@pytest.mark.parametrize("case", REFUSED_CHANGES, ids=lambda case: case.name)
def test_a_change_that_may_not_be_is_refused_in_our_words(api: Api, namespace: str, case: RefusedChange):
    stored = api.create(case.before, namespace)
    assert stored.accepted, stored.causes

    answer = api.replace(upon(stored.body, case.after), namespace)

    (cause,) = answer.causes
    assert (cause.field, case.message in cause.message) == (case.path, True)


@pytest.mark.parametrize("name", ALLOWED_CHANGES)
def test_other_changes_are_taken(api: Api, namespace: str, name: str):
    before, after = ALLOWED_CHANGES[name]
    stored = api.create(before, namespace)
    assert stored.accepted, stored.causes

    answer = api.replace(upon(stored.body, after), namespace)

    assert answer.accepted, answer.causes
    assert answer.body["metadata"]["generation"] == 2


def upon(stored: Body, after: Body) -> Body:
    """Return `after` as a change of what is stored."""
    return changed(after, metadata__resourceVersion=stored["metadata"]["resourceVersion"])


@given(body=bodies())
@settings(max_examples=150)
# A number without a fraction is a whole number to the API server, however it is written.
@example(body=changed(BOT, spec__risk__maxOpenOrders=5.0))
def test_resources_changed_at_random_get_the_same_verdict_from_both(api: Api, body: Body):
    problems = problems_of(body)

    answer = api.create(body, NAMESPACE, dry_run=True)

    if answer.accepted:
        assert only_parameters(problems), problems
    else:
        assert problems, answer.causes
    if not problems:
        assert parse_body(answer.body).digest() == parse_body(body).digest()
