"""What a Dataset shows, and whether it may be played."""

from typing import Any

import pytest
from governor.conditions import ProcessView
from governor.dataset_status import (
    MADE_UP,
    DatasetFacts,
    DatasetView,
    dataset_status,
    is_conditional,
    is_made_up,
    refusal,
)
from governor.workload import Verdict

from tests.unit.governor import fleets
from tradefleet.resources.common import ConditionStatus, ConditionType, Phase, Resource
from tradefleet.resources.dataset import DatasetStatus

MINUTE_US = 60_000_000


def facts(**changes: Any) -> DatasetFacts:
    values: dict[str, Any] = {
        "bars": 100,
        "gaps": 0,
        "missing_bars": 0,
        "first_us": 0,
        "last_us": 99 * MINUTE_US,
        "content_hash": "c0ffee",
    }
    return DatasetFacts(**(values | changes))


def status(dataset: Resource, verdict: Verdict | None = None, **view: Any) -> DatasetStatus:
    return dataset_status(dataset, verdict, DatasetView(**view), now_us=0)


def seen_before(dataset: Resource, content_hash: str) -> Resource:
    return dataset.model_copy(update={"status": DatasetStatus(content_hash=content_hash)})


# --- may it be played? ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "view", "reason"),
    [
        ({}, {}, None),
        ({}, {"found": facts(gaps=2)}, None),
        ({}, {"error": "a.csv: line 3"}, "DataRefused"),
        ({"gapPolicy": "Fail"}, {}, None),
        ({"gapPolicy": "Fail"}, {"found": facts()}, None),
        ({"gapPolicy": "Fail"}, {"found": facts(gaps=2, missing_bars=5)}, "GapsFound"),
        ({"frozen": True}, {"found": facts()}, None),
        ({"frozen": True}, {"found": facts(content_hash="another")}, "ContentChanged"),
        ({}, {"found": facts(content_hash="another")}, None),
    ],
)
def test_what_speaks_against_playing_it(spec: dict, view: dict, reason: str | None) -> None:
    found = refusal(seen_before(fleets.dataset(**spec), "c0ffee"), DatasetView(**view))

    assert (None if found is None else found[0]) == reason


def test_a_frozen_dataset_that_was_never_read_takes_what_it_finds() -> None:
    assert refusal(fleets.dataset(frozen=True), DatasetView(found=facts())) is None


@pytest.mark.parametrize(
    ("spec", "waits"),
    [({}, False), ({"frozen": True}, True), ({"gapPolicy": "Fail"}, True), ({"gapPolicy": "Report"}, False)],
)
def test_only_a_condition_makes_others_wait_for_its_content(spec: dict, waits: bool) -> None:
    assert is_conditional(fleets.dataset(**spec)) is waits


# --- is it made up? ---------------------------------------------------------------------------------------------------


def test_what_is_recorded_from_made_up_candles_is_made_up() -> None:
    made_up, recording = fleets.dataset(), fleets.recording()

    assert is_made_up(made_up, [])
    assert is_made_up(recording, [made_up, fleets.feed(), recording])
    assert not is_made_up(recording, [made_up, recording])
    released = fleets.exchange(simulator={"replay": {"datasetRefs": [{"name": "market"}]}})
    assert is_made_up(recording, [made_up, recording, released])


def test_a_recording_that_is_played_into_itself_is_no_endless_question() -> None:
    recording = fleets.recording("market")

    assert not is_made_up(recording, [recording, fleets.feed()])


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_a_dataset_that_was_read_shows_what_is_in_it() -> None:
    shown = status(fleets.dataset(), found=facts(gaps=1, missing_bars=3), is_made_up=True)

    assert (shown.phase, shown.reason, shown.progress_percent) == (Phase.SUCCEEDED, MADE_UP, 100)
    assert (shown.bars, shown.gaps, shown.missing_bars, shown.content_hash) == (100, 1, 3, "c0ffee")
    assert (shown.first_bar_time, shown.last_bar_time) == ("1970-01-01T00:00:00Z", "1970-01-01T01:39:00Z")


def test_a_dataset_without_a_bar_has_no_times() -> None:
    shown = status(fleets.dataset(), found=facts(bars=0, first_us=None, last_us=None))

    assert (shown.first_bar_time, shown.last_bar_time) == (None, None)


def test_a_dataset_that_is_being_read_says_so() -> None:
    assert (status(fleets.dataset()).phase, status(fleets.dataset()).reason) == (Phase.STARTING, "is being read")


def test_a_frozen_dataset_whose_content_changed_keeps_the_hash_that_evidence_names() -> None:
    shown = status(seen_before(fleets.dataset(frozen=True), "before"), found=facts(content_hash="now"))

    stalled = shown.condition(ConditionType.STALLED)
    assert stalled is not None
    assert (shown.phase, stalled.status, shown.content_hash) == (Phase.FAILED, ConditionStatus.TRUE, "before")
    assert "its content is now now: restore it" in (shown.reason or "")


@pytest.mark.parametrize(
    ("process", "phase", "reason"),
    [
        (None, Phase.STARTING, "its recorder starts"),
        (ProcessView(is_ready=False, message="no broker"), Phase.STARTING, "no broker"),
        (ProcessView(is_ready=False, is_failed=True, message="no right"), Phase.FAILED, "no right"),
        (ProcessView(is_ready=True), Phase.RUNNING, None),
    ],
)
def test_a_recording_is_what_its_recorder_is(process: ProcessView | None, phase: Phase, reason: str | None) -> None:
    shown = status(fleets.recording(), process=process)

    assert (shown.phase, shown.reason, shown.progress_percent) == (phase, reason, None)


def test_a_frozen_recording_is_complete() -> None:
    shown = status(fleets.recording(frozen=True), found=facts())

    assert (shown.phase, shown.progress_percent) == (Phase.SUCCEEDED, 100)


def test_a_suspended_dataset_is_stopped_and_keeps_its_figures() -> None:
    shown = status(fleets.dataset(suspend=True), found=facts())

    assert (shown.phase, shown.bars) == (Phase.STOPPED, 100)


@pytest.mark.parametrize(("is_stalled", "phase"), [(True, Phase.FAILED), (False, Phase.PENDING)])
def test_a_verdict_says_what_stands_in_the_way(is_stalled: bool, phase: Phase) -> None:
    dataset = fleets.recording()
    verdict = Verdict(key=dataset.key, stalled=is_stalled, reason="NoExchange", message="there is no Exchange x")

    shown = status(dataset, verdict)

    assert (shown.phase, shown.reason) == (phase, "there is no Exchange x")
