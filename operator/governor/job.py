"""Work that ends by itself: reading a Dataset. What is asked for, and where it is. Trials: `governor.simulation`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from governor.workload import Needs
from tradefleet.domain.ids import BotKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run: `python -m module SETTINGS RESULT`. `name` is unique and DNS-safe, `digest` says what is asked.

    Whoever runs it works it out again when one of the user's `files` has changed.

    In a cluster, `needs` are mounted for it. `code` are modules by file name that it may import; one that runs the
    code of somebody's own and needs no data is `isolated`: without a log-in, and without anybody to speak with.
    """

    name: str
    module: str
    digest: str
    settings: Mapping[str, Any]
    files: tuple[str, ...] = ()
    needs: Needs = field(default_factory=Needs)
    code: Mapping[str, str] = field(default_factory=dict)
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """Where a job is. `result` is there when it is done; `error` says why it failed."""

    is_running: bool = False
    result: Mapping[str, Any] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedReport:
    """What a Backtest has found of one of its bots. `values` are those of its best trial."""

    report: str  # unique in the fleet
    bot: BotKey
    location: str
    content_hash: str
    from_us: int
    to_us: int
    values: Mapping[str, Any]
