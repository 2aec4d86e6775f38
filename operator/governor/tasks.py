"""Datasets and Backtests as jobs, and what their statuses say of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from governor.conditions import ProcessView, instant, judged_by_verdict, plain_status, status_fields
from governor.dataset_status import DatasetFacts, DatasetView, is_made_up
from governor.job import FinishedReport, Job, JobFacts
from governor.plan.data import as_mounted
from governor.workload import Answer, Needs, Question, Verdict, unique_name
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.resources.backtest import Backtest, BacktestStatus
from tradefleet.resources.common import Metadata, Phase, Resource, ResourceKey, Status
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.load import dump
from tradefleet.resources.replay_plan import Surroundings, dataset_settings
from tradefleet.resources.trading_bot import TradingBot

DATASET_MODULE: Final = "governor.dataset_job"
STRATEGY_MODULE: Final = "governor.strategy_job"
BACKTEST_MODULE: Final = "governor.backtest_job"


def jobs_of(
    resources: Sequence[Resource],
    verdicts: Mapping[ResourceKey, Verdict],
    questions: Iterable[Question] = (),
    needs: Mapping[ResourceKey, Needs] | None = None,
    code: Mapping[ResourceKey, Mapping[str, str]] | None = None,
) -> list[Job]:
    """Return the jobs that the resources ask for; what cannot be one, or has a verdict, has a status that says so.

    `needs` are those of Datasets and Backtests, None on one machine, where they need nothing. `code` are the modules of
    Backtests, by file name.
    """
    found = [_look_at(each) for each in questions]
    for each in resources:
        if each.metadata.deletion_timestamp is not None or each.key in verdicts:
            continue
        match each:
            case Dataset() if not each.spec.suspend and each.spec.exchange_ref is None:
                outside = (needs or {}).get(each.key, Needs())
                read = each if needs is None else as_mounted(each)
                try:
                    settings = dataset_settings(read, Surroundings(ticks=_ticks(each, resources)))
                except FleetError:
                    continue
                found.append(
                    Job(
                        name=_name(each),
                        module=DATASET_MODULE,
                        digest=_digest([settings, outside.digest] if outside.digest else settings),
                        settings={"replay": settings},
                        files=tuple(file.path for file in each.spec.files),
                        needs=outside,
                    )
                )
            case Backtest() if not each.spec.suspend:
                modules = (code or {}).get(each.key, {})
                found.append(
                    Job(
                        name=_name(each),
                        module=BACKTEST_MODULE,
                        digest=_digest([each.metadata.uid, each.metadata.generation, *([modules] if modules else [])]),
                        settings={
                            "resources": dump([_bare(one) for one in _context(each, resources, needs is not None)]),
                            "name": each.metadata.name,
                        },
                        makes_report=True,
                        needs=(needs or {}).get(each.key, Needs()),
                        code=modules,
                    )
                )
            case _:
                continue
    return found


def job_status(
    resource: Resource, facts: Mapping[str, JobFacts], verdict: Verdict | None, *, now_us: int
) -> Status | None:
    """Return the status of a Backtest; None for what is no job."""
    match resource:
        case Backtest():
            return _backtest_status(resource, facts.get(_name(resource)), verdict, now_us)
        case _:
            return None


def finished_reports(resources: Iterable[Resource], facts: Mapping[str, JobFacts]) -> list[FinishedReport]:
    """Return the reports of the Backtests that are done, one for each bot."""
    found = []
    for each in resources:
        done = facts.get(_name(each)) if isinstance(each, Backtest) else None
        if done is None or done.result is None or "finished" not in done.result:
            continue
        told = done.result["finished"]
        found += [
            FinishedReport(
                report=f"backtest/{each.key.namespace}/{each.key.name}/{each.metadata.generation}",
                bot=BotKey(bot["bot"]),
                location=told["location"],
                content_hash=told["contentHash"],
                from_us=told["fromUs"],
                to_us=told["toUs"],
                values=bot,
            )
            for bot in told["bots"]
        ]
    return found


def answers_of(questions: Iterable[Question], facts: Mapping[str, JobFacts]) -> dict[ResourceKey, Answer]:
    """Return what jobs have found out about these questions."""
    found = {}
    for question in questions:
        known = facts.get(unique_name(question.bot.kind.lower(), question.bot))
        if known is not None and known.result is not None:
            found[question.bot] = Answer(str(known.result["question"]), int(known.result["warmupBars"]))
        elif known is not None and known.error:
            found[question.bot] = Answer(question.digest, None, known.error)
    return found


def dataset_view(
    dataset: Dataset,
    facts: Mapping[str, JobFacts],
    recorded: Mapping[str, DatasetFacts],
    resources: Sequence[Resource],
    process: ProcessView | None = None,
) -> DatasetView:
    """Return what is known of a dataset: from its job, or from what was recorded of it."""
    made_up = is_made_up(dataset, resources)
    if dataset.spec.exchange_ref is not None:
        found = recorded.get(f"{dataset.key.namespace}/{dataset.key.name}")
        return DatasetView(found=found, process=process, is_made_up=made_up)
    job = facts.get(_name(dataset))
    if job is None:
        return DatasetView(is_made_up=made_up)
    result = job.result
    found = None
    if result is not None:
        found = DatasetFacts(
            bars=result["bars"],
            gaps=result["gaps"],
            missing_bars=result["missingBars"],
            first_us=result["firstUs"],
            last_us=result["lastUs"],
            content_hash=result["contentHash"],
        )
    return DatasetView(found=found, error=job.error, is_made_up=made_up)


def _backtest_status(
    backtest: Backtest, facts: JobFacts | None, verdict: Verdict | None, now_us: int
) -> BacktestStatus:
    before = backtest.status
    is_same = before.observed_generation == backtest.metadata.generation
    values: dict[str, Any] = {"trials": 1, "completed": 0, "failed": 0}
    values["started_time"] = before.started_time if is_same and before.started_time else instant(now_us)
    if backtest.spec.suspend:
        common = plain_status(
            backtest, phase=Phase.STOPPED, reason="Suspended", message="suspended", is_ready=True, now_us=now_us
        )
        return BacktestStatus(**common)
    if verdict is not None:
        return BacktestStatus(**status_fields(backtest, judged_by_verdict(verdict), now_us=now_us), **values)
    if facts is not None and facts.result is not None:
        document = facts.result
        best = document["bots"][0]
        values |= {
            "completed": 1,
            "best_params": best["parameters"],
            "quote_asset": best["quote"],
            "vs_hold": None if best["vsHold"] is None else Decimal(best["vsHold"]),
            "dataset_hash": document["data"]["contentHash"],
            "ledger_hash": document["ledgerHash"],
            "synthetic": document["synthetic"],
            "finished_time": before.finished_time if is_same and before.finished_time else instant(now_us),
        }
        message = f"{best['bot']} made {best['vsHold']} {best['quote']} beyond holding"
        common = plain_status(
            backtest, phase=Phase.SUCCEEDED, reason="Complete", message=message, is_ready=True, now_us=now_us
        )
    elif facts is not None and facts.error:
        values["failed"] = 1
        common = plain_status(
            backtest, phase=Phase.FAILED, reason="Failed", message=facts.error, is_stalled=True, now_us=now_us
        )
    else:
        common = plain_status(backtest, phase=Phase.RUNNING, reason="Running", message="runs", now_us=now_us)
    return BacktestStatus(**common, **values)


# --- parts ------------------------------------------------------------------------------------------------------------


def _look_at(question: Question) -> Job:
    return Job(
        name=unique_name(question.bot.kind.lower(), question.bot),
        module=STRATEGY_MODULE,
        digest=question.digest,
        settings={"question": question.digest, "strategy": question.strategy, "params": dict(question.params)},
        code=question.code.files or {},
        isolated=True,
    )


def _name(resource: Resource) -> str:
    return unique_name(resource.kind.lower(), resource.key)


def _ticks(dataset: Dataset, resources: Iterable[Resource]) -> dict[Symbol, Decimal]:
    """Return the ticks of made-up candles: those of the exchanges that trade them."""
    ticks: dict[Symbol, Decimal] = {}
    for each in resources:
        if isinstance(each, Exchange) and each.key.namespace == dataset.key.namespace:
            for listed in each.spec.instruments:
                if listed.tick_size is not None:
                    ticks.setdefault(Symbol(listed.symbol), listed.tick_size)
    return ticks


def _context(backtest: Backtest, resources: Iterable[Resource], in_pods: bool) -> list[Resource]:
    """Return what a backtest may refer to: its namespace's exchanges, datasets and bots, and itself."""
    kinds = (Exchange, Dataset, TradingBot)
    here = [each for each in resources if isinstance(each, kinds) and each.key.namespace == backtest.key.namespace]
    tested = backtest.spec.dataset_ref.name
    datasets = (each for each in here if isinstance(each, Dataset) and each.metadata.name == tested)
    mounted = {each.key: as_mounted(each) for each in datasets} if in_pods else {}
    return [*(mounted.get(each.key, each) for each in here), backtest]


def _bare(resource: Resource) -> Resource:
    """Return a resource as a user would write it."""
    metadata = resource.metadata
    plain = Metadata(name=metadata.name, namespace=metadata.namespace, labels=metadata.labels)
    return resource.model_copy(update={"metadata": plain, "status": type(resource.status)()})


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
