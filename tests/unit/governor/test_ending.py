"""When a deleted resource may go."""

import pytest
from governor.ending import is_needed

from tests.unit.governor import fleets

OWNER = "tradefleet.dev/owner"
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


@pytest.mark.parametrize(
    ("deleted", "there", "needed"),
    [
        (fleets.bot("alpha"), [], False),
        (fleets.bot("beta"), [], True),
        (fleets.exchange(), [fleets.bot("alpha")], True),
        (fleets.exchange("other"), [fleets.bot("alpha")], False),
        (SET, [fleets.bot("alpha", annotations={OWNER: SET.metadata.uid})], True),
        (SET, [fleets.bot("alpha", annotations={OWNER: "uid-botset-other"})], False),
        (fleets.dataset(), [fleets.feed()], False),
        (fleets.dataset(), [deleted_feed()], True),
        (fleets.dataset("other"), [deleted_feed()], False),
        (fleets.feed(), [fleets.dataset(), fleets.exchange(), fleets.bot("beta")], False),
    ],
)
def test_what_is_needed_stays(deleted, there, needed):
    assert is_needed(deleted, [deleted, *there], SETTLED, OWNER) == needed
