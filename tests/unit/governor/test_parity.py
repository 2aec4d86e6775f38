"""What `verify-parity` finds in a bot's record."""

from dataclasses import replace

import pytest
from governor.local.parity import verify

from tests.unit.strategy.hosting import ACCOUNT, BARS, EXPENSIVE_PPM, HostScene, trade
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.errors import Retryable
from tradefleet.domain.ids import BotUid, orders_stream

COUNT = 5


def _traded(*, strategy: str = "Halves", snapshot_every: int = 2) -> HostScene:
    """Return a scene whose bot asked for one order with each bar."""
    scene = HostScene(strategy=strategy, snapshot_every=snapshot_every)
    trade(scene, scene.host(), bars=COUNT)
    return scene


@pytest.mark.parametrize("strategy", ["Halves", "HalvesWithMemory"])
def test_a_bot_decides_again_as_it_did(strategy: str) -> None:
    scene = _traded(strategy=strategy)

    found = verify(scene.store, scene.config.uid)

    assert found.is_same
    assert (found.generation, found.inputs, found.requests) == (1, 2 + COUNT, COUNT)
    assert str(found).startswith("generation 1: 7 inputs folded, 5 requests are the same byte for byte, hash ")


def test_what_the_exchange_has_become_is_of_no_account() -> None:
    scene = _traded()
    scene.host(taker_ppm=EXPENSIVE_PPM).stop()

    assert verify(scene.store, scene.config.uid).is_same


def test_a_snapshot_that_was_spoilt_is_not_looked_at() -> None:
    scene = _traded()
    record = scene.database.fleets["fleet"].bots[scene.config.uid].record
    assert record is not None
    assert record.snapshot is not None
    record.snapshot = b"rubbish"

    assert verify(scene.store, scene.config.uid).is_same


def test_a_request_that_was_changed_is_the_first_difference() -> None:
    scene = _traded()
    messages = scene.database.fleets["fleet"].streams[orders_stream(scene.config.uid)].messages
    for number in (2, 3):
        row = messages[number - 1]
        messages[number - 1] = replace(row, payload=row.payload + b"!")

    found = verify(scene.store, scene.config.uid)

    assert not found.is_same
    assert found.difference.startswith("request 2 differs: now OrderRequest(")
    assert str(found).startswith("generation 1: 7 inputs folded, DIFFERENT: request 2 differs")


def test_a_request_that_is_not_in_the_outbox_is_a_difference() -> None:
    scene = _traded()
    scene.database.fleets["fleet"].streams[orders_stream(scene.config.uid)].messages.pop()

    assert "request 5 was made now and is not in the outbox" in verify(scene.store, scene.config.uid).difference


def test_a_request_that_is_not_made_again_is_a_difference() -> None:
    scene = _traded()
    record = scene.database.fleets["fleet"].bots[scene.config.uid].record
    assert record is not None
    record.request_count += 1

    assert "gave 5 requests with hash" in verify(scene.store, scene.config.uid).difference


def test_an_input_that_was_changed_is_a_difference() -> None:
    scene = _traded()
    row = scene.database.fleets["fleet"].streams[BARS]
    number, bar = row.bars[2]
    row.bars[2] = (number, bar._replace(close=bar.close / 2, low=bar.low / 2))

    assert "request 3 differs" in verify(scene.store, scene.config.uid).difference


def test_a_bot_without_inputs_is_asked_for_later() -> None:
    scene = HostScene()

    with pytest.raises(Retryable, match="has not taken it up yet"):
        verify(scene.store, BotUid("nobody"))
    with pytest.raises(Retryable, match="has no inputs yet"):
        verify(scene.store, scene.config.uid)
    scene.host()
    with pytest.raises(Retryable, match="has no inputs yet"):
        verify(scene.store, scene.config.uid)


def test_a_generation_that_has_not_begun_is_asked_for_later() -> None:
    scene = _traded()
    scene.store.put_command(ACCOUNT, BotCommand(config=replace(scene.config, generation=2)))

    with pytest.raises(Retryable, match="generation 2 has no inputs yet"):
        verify(scene.store, scene.config.uid)
