"""What a Dataset shows, and whether it may be played: pure, from what was found in its data."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from governor.conditions import ProcessView, instant, judged_by_verdict, plain_status, status_fields
from governor.workload import Verdict
from tradefleet.resources.common import Phase, Resource, ResourceKey
from tradefleet.resources.dataset import Dataset, DatasetStatus, GapPolicy
from tradefleet.resources.derived_feed import derived_feed
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed

MADE_UP = "synthetic: made up from a seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What a dataset holds; the times are open times of its first and last bar."""

    bars: int
    gaps: int
    missing_bars: int
    first_us: int | None
    last_us: int | None
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """What was observed of a dataset: what it holds (None: not known yet), why it cannot be read, who records it."""

    found: DatasetFacts | None = None
    error: str = ""
    process: ProcessView | None = None
    is_made_up: bool = False


def refusal(dataset: Dataset, view: DatasetView) -> tuple[str, str] | None:
    """Return why a dataset must not be played, as a word and a sentence; None when nothing speaks against it."""
    found = view.found
    if view.error:
        return "DataRefused", view.error
    if found is None:
        return None
    before = dataset.status.content_hash
    if dataset.spec.frozen and before is not None and before != found.content_hash:
        return "ContentChanged", f"it is frozen, and its content is now {found.content_hash}: restore it"
    if dataset.spec.gap_policy is GapPolicy.FAIL and found.gaps:
        return "GapsFound", f"{found.gaps} gaps with {found.missing_bars} bars missing, and gapPolicy is Fail"
    return None


def is_conditional(dataset: Dataset) -> bool:
    """Return whether a dataset may be played only after its content was looked at."""
    return dataset.spec.frozen or dataset.spec.gap_policy is GapPolicy.FAIL


def is_made_up(dataset: Dataset, resources: Collection[Resource], _above: frozenset[ResourceKey] = frozenset()) -> bool:
    """Return whether a dataset's candles are made up, or recorded from a feed that plays such ones."""
    if dataset.spec.is_synthetic:
        return True
    if dataset.spec.exchange_ref is None or dataset.key in _above:
        return False
    here = {each.key: each for each in resources if each.key.namespace == dataset.key.namespace}
    exchange = ResourceKey("Exchange", dataset.key.namespace, dataset.spec.exchange_ref.name)
    recorded = here.get(exchange)
    derived = derived_feed(recorded) if isinstance(recorded, Exchange) else None  # it may have been released by now
    feeds = [each for each in (*here.values(), derived) if isinstance(each, Feed) and each.exchange_key == exchange]
    played = [
        here.get(ResourceKey("Dataset", dataset.key.namespace, reference.name))
        for feed in feeds
        if feed.spec.replay is not None
        for reference in feed.spec.replay.dataset_refs
    ]
    above = _above | {dataset.key}
    return any(isinstance(each, Dataset) and is_made_up(each, resources, above) for each in played)


def dataset_status(dataset: Dataset, verdict: Verdict | None, view: DatasetView, *, now_us: int) -> DatasetStatus:
    """Return a dataset's status."""
    spec, found = dataset.spec, view.found
    values: dict[str, Any] = {"source": spec.source}
    if found is not None:
        values |= {
            "bars": found.bars,
            "gaps": found.gaps,
            "missing_bars": found.missing_bars,
            "first_bar_time": None if found.first_us is None else instant(found.first_us),
            "last_bar_time": None if found.last_us is None else instant(found.last_us),
            "content_hash": found.content_hash,
        }
        if not _is_recording(dataset):
            values["progress_percent"] = 100
    refused = refusal(dataset, view)
    # What was frozen stays known while it is read again, or cannot be: else a change could not be told from the first.
    if (refused is not None and refused[0] == "ContentChanged") or (dataset.spec.frozen and found is None):
        values["content_hash"] = dataset.status.content_hash
    return DatasetStatus(**_judged(dataset, verdict, view, refused, now_us), **values)


def _judged(
    dataset: Dataset, verdict: Verdict | None, view: DatasetView, refused: tuple[str, str] | None, now_us: int
) -> dict[str, Any]:
    made_up = MADE_UP if view.is_made_up else ""

    def status(
        phase: Phase, reason: str, message: str, *, is_ready: bool = False, is_stalled: bool = False
    ) -> dict[str, Any]:
        return plain_status(
            dataset,
            phase=phase,
            reason=reason,
            message=message,
            is_ready=is_ready,
            is_stalled=is_stalled,
            now_us=now_us,
        )

    if dataset.metadata.deletion_timestamp is not None:
        return status(Phase.STOPPING, "Deleting", "ends")
    if refused is not None:
        return status(Phase.FAILED, refused[0], refused[1], is_stalled=True)
    if dataset.spec.suspend:
        return status(Phase.STOPPED, "Suspended", "suspended", is_ready=True)
    if verdict is not None:
        return status_fields(dataset, judged_by_verdict(verdict), now_us=now_us)
    if _is_recording(dataset):
        process = view.process
        if process is None or not process.is_ready:
            reason = process.reason if process is not None and process.reason else "Starting"
            message = process.message if process is not None and process.message else "its recorder starts"
            is_failed = process is not None and process.is_failed
            return status(Phase.FAILED if is_failed else Phase.STARTING, reason, message, is_stalled=is_failed)
        return status(Phase.RUNNING, "Recording", made_up, is_ready=True)
    if view.found is None:
        return status(Phase.STARTING, "Reading", "is being read")
    return status(Phase.SUCCEEDED, "Complete", made_up, is_ready=True)


def _is_recording(dataset: Dataset) -> bool:
    return dataset.spec.exchange_ref is not None and not dataset.spec.frozen
