"""What an answer of the API server means."""

import json
from typing import Any

import pytest
from governor.kubernetes.client import (
    DEPLOYMENT,
    POD,
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    Refused,
    Unreachable,
    custom,
    read_answer,
    rewriting,
)

from tradefleet.domain.errors import FleetError, Permanent, Retryable

GONE: dict[str, Any] = {
    "kind": "Status",
    "reason": "NotFound",
    "message": 'deployments.apps "bot-a" not found',
    "details": {"name": "bot-a", "group": "apps", "kind": "deployments"},
    "code": 404,
}


def error_of(status: int, body: object) -> FleetError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(FleetError) as caught:
        read_answer(status, data, "GET /somewhere")
    return caught.value


def status(code: int, reason: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "reason": reason, "message": f"{reason} it is", "code": code, **more}


def test_an_object_is_handed_on():
    assert read_answer(201, b'{"kind": "Pod"}', "POST /x") == {"kind": "Pod"}


def test_only_the_api_servers_own_word_makes_an_object_missing():
    error = error_of(404, GONE)

    assert isinstance(error, NotFound)
    assert str(error) == 'API server: GET /somewhere: deployments.apps "bot-a" not found'


@pytest.mark.parametrize(
    "body",
    [
        b"<html>no such page</html>",  # a proxy on the way
        b"404 page not found\n",  # an API server whose aggregated kinds are not there yet
        {"error": "not found"},
        status(404, "NotFound", message="the server could not find the requested resource", details={}),
        {**GONE, "details": {**GONE["details"], "causes": [{"reason": "UnexpectedServerResponse"}]}},
    ],
)
def test_a_not_found_of_anybody_else_is_tried_again(body: object):
    assert isinstance(error_of(404, body), Unreachable)


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Expired),
        (403, "Forbidden", Forbidden),
        (422, "Invalid", Refused),
        (400, "BadRequest", Refused),
        (413, "RequestEntityTooLarge", Refused),
        (401, "Unauthorized", Unreachable),
        (429, "TooManyRequests", Unreachable),
        (500, "InternalError", Unreachable),
        (503, "ServiceUnavailable", Unreachable),
        (504, "Timeout", Unreachable),
    ],
)
def test_the_class_of_an_error_says_what_to_do(code: int, reason: str, expected: type[FleetError]):
    assert type(error_of(code, status(code, reason))) is expected


def test_what_may_pass_is_tried_again_and_what_may_not_is_not():
    assert issubclass(Unreachable, Retryable)
    assert issubclass(Conflict, Retryable)
    assert issubclass(Expired, Retryable)
    assert issubclass(NotFound, Permanent)
    assert issubclass(Refused, Permanent)


def test_a_refusal_that_a_proxy_made_up_is_tried_again():
    assert isinstance(error_of(403, b"<html>who are you?</html>"), Unreachable)


def test_a_good_answer_that_is_cut_off_is_tried_again():
    assert isinstance(error_of(200, b'{"kind": "Po'), Unreachable)


def test_kinds_know_their_paths():
    assert DEPLOYMENT.path("n", "x") == "/apis/apps/v1/namespaces/n/deployments/x"
    assert POD.path("n") == "/api/v1/namespaces/n/pods"
    bots = custom("TradingBot", "tradingbots")
    assert bots.path("n", "x", "status") == "/apis/tradefleet.dev/v1alpha1/namespaces/n/tradingbots/x/status"


def test_a_rewrite_says_what_it_was_made_from_and_touches_only_what_differs():
    stored = {
        "data": {"a": "1"},
        "spec": {"x": 1},
        "extra": 1,
        "status": {"y": 1},
        "metadata": {"resourceVersion": "7", "labels": {"l": "1"}, "managedFields": []},
    }
    wanted = {"data": {"a": "2"}, "spec": {"x": 1}, "metadata": {"resourceVersion": "7", "labels": {}}}

    assert rewriting(stored, wanted) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/data", "value": {"a": "2"}},
        {"op": "remove", "path": "/extra"},
        {"op": "add", "path": "/metadata/labels", "value": {}},
    ]
