"""Datasets and Backtests as jobs, and what their statuses say of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from governor.conditions import Judgement, ProcessView, instant, judged_by_verdict, status_fields
from governor.dataset_status import DatasetFacts, DatasetView, is_made_up
from governor.job import FinishedReport, Job, JobFacts
from governor.plan.data import as_mounted
from governor.simulation import Simulation, SimulationFacts
from governor.workload import Answer, Needs, Question, Verdict, unique_name
from tradefleet.domain.errors import FleetError
from tradefleet.domain.ids import BotKey, Symbol
from tradefleet.domain.trials import Trial, TrialProgress
from tradefleet.resources.backtest import Backtest, BacktestStatus, Objective
from tradefleet.resources.common import ConditionType, Metadata, Phase, Resource, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.load import dump
from tradefleet.resources.pods import memory_limit_of
from tradefleet.resources.replay_plan import Surroundings, dataset_settings
from tradefleet.resources.search import parameters_text, question_of, trial_count
from tradefleet.resources.trading_bot import TradingBot

DATASET_MODULE: Final = "governor.dataset_job"
STRATEGY_MODULE: Final = "governor.strategy_job"
ERROR_LENGTH_MAX: Final = 400  # of the error of a trial in a status; the results show all of it


def jobs_of(
    resources: Sequence[Resource],
    verdicts: Mapping[ResourceKey, Verdict],
    questions: Iterable[Question] = (),
    needs: Mapping[ResourceKey, Needs] | None = None,
) -> list[Job]:
    """Return the jobs that the resources ask for; what cannot be one, or has a verdict, has a status that says so.

    `needs` are those of Datasets, None on one machine, where they need nothing.
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
            case _:
                continue
    return found


def simulations_of(
    resources: Sequence[Resource],
    verdicts: Mapping[ResourceKey, Verdict],
    trials: Mapping[str, TrialProgress],
    needs: Mapping[ResourceKey, Needs] | None = None,
    code: Mapping[ResourceKey, Mapping[str, str]] | None = None,
) -> list[Simulation]:
    """Return what the Backtests ask for that is not done; one with a verdict has a status that says why not.

    One of which every trial has failed is among them: the cause may be mended, so it is tried again. `needs` are those
    of the Backtests, None on one machine, where they need nothing; `code` are their modules, by file name.
    """
    found = []
    for each in resources:
        if not isinstance(each, Backtest) or each.metadata.deletion_timestamp is not None or each.key in verdicts:
            continue
        question, count = question_of(each), trial_count(each)
        known = progress_of(each, trials)
        if known is not None and known.is_done and known.completed:
            continue
        found.append(
            Simulation(
                name=_name(each),
                owner=each.key,
                uid=each.metadata.uid or "",
                question=question,
                generation=each.metadata.generation or 0,
                trials=count,
                remaining=count if known is None else count - known.completed - known.failed,
                parallelism=each.spec.parallelism,
                is_suspended=each.spec.suspend,
                since=each.metadata.creation_timestamp or "",
                settings={
                    "resources": dump([_bare(one) for one in _context(each, resources, needs is not None)]),
                    "name": each.metadata.name,
                    "uid": each.metadata.uid or "",
                    "question": question,
                    "trials": count,
                },
                makes_report=count == 1,
                memory_bytes=memory_limit_of(each.spec.pod_template),
                needs=(needs or {}).get(each.key, Needs()),
                code=(code or {}).get(each.key, {}),
            )
        )
    return found


def progress_of(backtest: Backtest, trials: Mapping[str, TrialProgress]) -> TrialProgress | None:
    """Return how far a Backtest is with what it asks now; None when that was never begun."""
    known = trials.get(backtest.metadata.uid or "")
    return known if known is not None and known.question == question_of(backtest) else None


def finished_reports(
    resources: Iterable[Resource], trials: Mapping[str, TrialProgress], figures: Mapping[str, Trial]
) -> list[FinishedReport]:
    """Return the reports of the Backtests that are done: of the best trial, one for each bot. `figures` are by UID."""
    found = []
    for each in resources:
        if not isinstance(each, Backtest):
            continue
        done, best = progress_of(each, trials), figures.get(each.metadata.uid or "")
        if done is None or not done.is_done or best is None:
            continue
        told: Any = best.figures.get("finished") or {"bots": ()}
        found += [
            FinishedReport(
                report=f"backtest/{each.key.full_name}/{done.question}",
                bot=BotKey(bot["bot"]),
                location=told["location"] or f"backtest_result/{each.metadata.uid}/{done.question}/{best.number}",
                content_hash=told["contentHash"] or best.ledger_hash,
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
        found = recorded.get(dataset.key.full_name)
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


def backtest_status(
    backtest: Backtest,
    progress: TrialProgress | None,
    facts: SimulationFacts | None,
    verdict: Verdict | None,
    *,
    now_us: int,
) -> BacktestStatus:
    """Return what a Backtest should show. `progress` is that of what it asks now."""
    before = backtest.status
    question = question_of(backtest)
    is_same = before.question == question
    count = trial_count(backtest)
    known = progress or TrialProgress(question=question, trials=count)
    judged = _judged(backtest, known, facts or SimulationFacts(), verdict)
    values: dict[str, Any] = {
        "trials": count,
        "completed": known.completed,
        "failed": known.failed,
        "progress": f"{known.completed + known.failed}/{count}",
        "question": question,
        "started_time": before.started_time if is_same and before.started_time else instant(now_us),
    }
    if known.best is not None:
        values |= {
            "best_params": dict(known.best.parameters) or _given_params(backtest),
            "quote_asset": known.best.quote,
            "vs_hold": known.best.vs_hold,
            "dataset_hash": known.best.dataset_hash,
            "ledger_hash": known.best.ledger_hash,
            "synthetic": known.best.is_synthetic,
        }
    if known.is_done and known.completed:
        values["finished_time"] = before.finished_time if is_same and before.finished_time else instant(now_us)
    return BacktestStatus(**status_fields(backtest, judged, now_us=now_us), **values)


def failure_text(trial: Trial) -> str:
    """Return which trial failed, by its parameters, and why."""
    name = parameters_text(trial.parameters) or "the run"
    return f"{name}: {trial.error[:ERROR_LENGTH_MAX]}"


def _judged(backtest: Backtest, known: TrialProgress, facts: SimulationFacts, verdict: Verdict | None) -> Judgement:
    """Return where a Backtest stands. Messages hold no number that changes with every trial: fields do."""
    extra = {}
    if known.failed and known.failure is not None:
        count = f"{known.failed} of {known.trials}" if known.is_done else "some"
        some = f"{count} trials failed, the first: " if known.trials > 1 else ""
        extra[ConditionType.WARNING] = ("TrialsFailed", some + failure_text(known.failure))
    if known.is_done and known.completed:
        return Judgement(
            phase=Phase.SUCCEEDED, is_ready=True, reason="Complete", message=_outcome(backtest, known), extra=extra
        )
    if backtest.spec.suspend:
        message = "suspended: what is done is kept; set suspend to false to go on"
        return Judgement(phase=Phase.STOPPED, is_ready=True, reason="Suspended", message=message, extra=extra)
    if verdict is not None:
        return judged_by_verdict(verdict, extra)
    error = facts.last_error or (failure_text(known.failure) if known.is_done and known.failure is not None else "")
    if error and not known.completed:  # tried again, and nobody is told that all is well before it is
        again = f"{error}; it is tried again after a while"
        return Judgement(phase=Phase.FAILED, is_stalled=True, reason="Failed", message=again, extra=extra)
    if facts.trouble:
        return Judgement(phase=Phase.PENDING, reason="Waiting", message=facts.trouble, extra=extra)
    if facts.running or facts.is_over:
        return Judgement(phase=Phase.RUNNING, reason="Running", message="runs", extra=extra)
    if facts.is_queued_elsewhere:
        message = "waits for Kueue to admit its Job: kubectl get workloads shows why"
        return Judgement(phase=Phase.PENDING, reason="Queued", message=message, extra=extra)
    if not facts.slots:
        message = "waits: as many simulations run as the fleet may (governor.simulationsMax in the chart's values)"
        return Judgement(phase=Phase.PENDING, reason="Queued", message=message, extra=extra)
    return Judgement(phase=Phase.STARTING, reason="Starting", message="its simulations start", extra=extra)


def _outcome(backtest: Backtest, known: TrialProgress) -> str:
    """Return in a sentence what came of all trials."""
    best = known.best
    if best is None:
        return "done"
    gained = "-" if best.vs_hold is None else f"{best.vs_hold:+,.2f}"
    told = f"{gained} {best.quote} beyond holding"
    if known.trials == 1:
        return f"{best.bot} made {told}"
    objective = backtest.spec.search.objective if backtest.spec.search is not None else Objective.VERSUS_HOLD
    return f"the best of {known.completed} trials by {objective}: {parameters_text(best.parameters)}, {told}"


def _given_params(backtest: Backtest) -> dict[str, Any]:
    """Return the parameters of a single run: those of the strategy as it stands."""
    return {} if backtest.spec.strategy is None else dict(backtest.spec.strategy.params)


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
