"""The edge of bots: what it records, and what it makes of its record when it comes back."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.memory_store import MemoryStore
from tests.unit.strategy.hosting import ACCOUNT, EXPENSIVE_PPM, HostScene, inputs, trade
from tests.unit.strategy.paper import BTC, instrument
from tradefleet.bus.numbered import LOOK_US
from tradefleet.domain.bots import BotCommand
from tradefleet.domain.errors import Fenced, InvalidValue, NonDeterministic
from tradefleet.domain.ids import BotKey, BotUid, Symbol
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, bot_participant
from tradefleet.store.ports import BotRecord, RunId
from workloads.strategy.errors import LeftRun

RUN = RunId("run")


@pytest.mark.parametrize("strategy", ["Halves", "HalvesWithMemory"])
@pytest.mark.parametrize("snapshot_every", [1, 3, 256])
def test_a_bot_comes_back_after_its_exchange_has_changed_its_fee(strategy: str, snapshot_every: int) -> None:
    scene = HostScene(strategy=strategy, snapshot_every=snapshot_every)
    for taker_ppm in (1_000, EXPENSIVE_PPM, EXPENSIVE_PPM, 0):
        host = scene.host(taker_ppm=taker_ppm)
        trade(scene, host, bars=2)
        host.stop()

    scene.host(taker_ppm=0)

    assert inputs(scene) == ["Terms", "Adoption", *["bar"] * 2, "Terms", *["bar"] * 4, "Terms", *["bar"] * 2]
    assert len(scene.lots()) == 8


def test_what_a_bot_asks_for_after_a_change_is_what_it_can_pay_then() -> None:
    stays, dearer = HostScene(), HostScene()
    for scene, taker_ppm in ((stays, 1_000), (dearer, EXPENSIVE_PPM)):
        first = scene.host(taker_ppm=1_000)
        trade(scene, first, bars=1)
        first.stop()
        trade(scene, scene.host(taker_ppm=taker_ppm), bars=1)

    assert stays.lots()[0] == dearer.lots()[0]
    assert stays.lots()[1] > dearer.lots()[1]


def test_the_terms_of_today_are_recorded_without_waiting_for_another_input() -> None:
    scene = HostScene()
    first = scene.host(taker_ppm=1_000)
    trade(scene, first, bars=1)
    first.stop()

    second = scene.host(taker_ppm=EXPENSIVE_PPM)
    second.step(0)

    assert inputs(scene) == ["Terms", "Adoption", "bar", "Terms"]


def test_the_same_terms_written_otherwise_are_no_input() -> None:
    scene = HostScene()
    first = scene.host()
    trade(scene, first, bars=1)
    first.stop()
    same = replace(instrument(), tick=Decimal("0.010"), min_notional=Decimal("10.00"))

    scene.host(instruments={BTC: same}).step(0)

    assert inputs(scene) == ["Terms", "Adoption", "bar"]


def test_a_smaller_least_order_is_taken_up() -> None:
    scene = HostScene(strategy="AsksForTheLeast")
    first = scene.host(instruments={BTC: instrument(min_notional="20")})
    trade(scene, first, bars=1)
    first.stop()

    trade(scene, scene.host(instruments={BTC: instrument(min_notional="40")}), bars=1)

    assert scene.lots() == [2_000, 4_000]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"tick": Decimal("0.1")}, "tick must stay 0.01, was 0.1"),
        ({"lot": Decimal("0.001")}, "lot must stay 0.0001, was 0.001"),
        ({"quote_scale": 2}, "quote_scale must stay 8, was 2"),
    ],
)
def test_another_grid_is_refused(edit: dict[str, Any], words: str) -> None:
    scene = HostScene()
    first = scene.host()
    trade(scene, first, bars=1)
    first.stop()

    with pytest.raises(InvalidValue, match=words):
        scene.host(instruments={BTC: replace(instrument(), **edit)})


def test_an_instrument_that_is_not_listed_any_more_is_named() -> None:
    scene = HostScene()
    other = Symbol("LTC-USD")

    with pytest.raises(InvalidValue, match="exchange demo/sim does not list BTC-USD"):
        scene.host(instruments={other: instrument(other)})


def test_a_record_without_terms_says_how_to_go_on() -> None:
    scene = HostScene(strategy="HalvesWithMemory")
    first = scene.host()
    trade(scene, first, bars=1)
    first.stop()
    record = scene.database.fleets["fleet"].bots[scene.config.uid].record
    assert record is not None
    record.payloads[0] = record.payloads[1]

    with pytest.raises(NonDeterministic, match="change the bot's spec"):
        scene.host()


class Overtaken(MemoryStore):
    """The handle of a process that stands still while it starts: meanwhile the next generation of its bot begins."""

    def __init__(self, scene: HostScene) -> None:
        super().__init__(scene.database)
        self._scene = scene

    def load_bot(self, bot: BotKey, uid: BotUid) -> BotRecord | None:
        """Return the record, as it is when the process goes on."""
        scene, old = self._scene, self._scene.config
        scene.config = replace(old, generation=old.generation + 1)
        trade(scene, scene.host(), bars=1)
        scene.config = old
        return super().load_bot(bot, uid)


def test_a_process_that_was_overtaken_by_the_next_generation_ends_as_fenced() -> None:
    scene = HostScene()
    first = scene.host()
    trade(scene, first, bars=1)
    first.stop()

    with pytest.raises(Fenced, match="generation 2 has begun"):
        scene.host(store=Overtaken(scene))


def test_a_lockstep_run_keeps_the_terms_it_began_with() -> None:
    scene = HostScene(run=RUN, strategy="HalvesWithMemory")
    participants = [FEED, VENUE, GATEWAY, bot_participant(scene.config.key, scene.config.uid)]
    scene.store.create_run(RUN, "demo/feed", participants, {})
    first = scene.host(taker_ppm=1_000)
    scene.close_step()
    first.step(0)
    first.stop()

    scene.host(taker_ppm=EXPENSIVE_PPM).step(0)

    assert inputs(scene) == ["Terms", "Adoption", "bar"]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_bot_whose_strategy_failed_does_not_come_back_into_its_run(*, is_deleted: bool) -> None:
    scene = HostScene(run=RUN, strategy="Breaks")
    participants = [FEED, VENUE, GATEWAY, bot_participant(scene.config.key, scene.config.uid)]
    scene.store.create_run(RUN, "demo/feed", participants, {})
    first = scene.host()
    scene.close_step()
    with pytest.raises(
        LeftRun, match=r"raised ZeroDivisionError: nothing .* \(hosting\.py:\d+ in on_bar: raise Zero.*\)"
    ):
        first.step(0)
    first.stop()
    scene.store.put_command(ACCOUNT, BotCommand(config=scene.config, deleting=is_deleted))

    if is_deleted:  # its process lives until its books are wound down
        assert not scene.host().step(0)
        return
    with pytest.raises(
        LeftRun, match=r"left the lockstep run at market time 1970-01-01T00:01:00Z.*mend the strategy's"
    ):
        scene.host()


# --- where a generation begins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup_bars", [0, 1, 2, 5])
def test_an_edited_bot_decides_on_no_bar_twice(warmup_bars: int) -> None:
    scene = HostScene()
    scene.config = replace(scene.config, warmup_bars=warmup_bars)
    first = scene.host()
    trade(scene, first, bars=6)
    first.stop()
    before = len(scene.lots())

    scene.config = replace(scene.config, generation=2)
    second = scene.host()
    scene.clock.pass_us(LOOK_US)
    second.step(0)
    assert len(scene.lots()) == before

    trade(scene, second, bars=1)
    assert len(scene.lots()) == before + 1


@pytest.mark.parametrize("warmup_bars", [0, 1, 4])
def test_a_bot_that_comes_late_begins_with_the_next_bar(warmup_bars: int) -> None:
    scene = HostScene()
    scene.config = replace(scene.config, warmup_bars=warmup_bars)
    for _ in range(50):
        scene.close_bar()

    worker = scene.host()
    scene.clock.pass_us(LOOK_US)
    worker.step(0)
    assert scene.lots() == []
    assert inputs(scene).count("bar") <= warmup_bars

    trade(scene, worker, bars=1)
    assert len(scene.lots()) == 1
