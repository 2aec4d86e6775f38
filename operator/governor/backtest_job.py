"""Runs trials of one Backtest, and writes what came of each to the database. Run as `python -m … SETTINGS`.

Which trials follows from the settings and from the index in the environment, as an Indexed Job sets it. A trial that
has a result already is left out, so an index that is run again does what is missing. What a strategy or its parameters
do wrong is a result, too: the error is written, and the next trial comes.
"""

import hashlib
import json
import logging
import os
import signal
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

from governor.simulation import INDEX_VARIABLE, TRIAL_FAILED, WORDS_VARIABLE
from tradefleet.domain.errors import MEMORY_REMEDY, FleetError, InvalidValue, OutcomeUnknown, Retryable
from tradefleet.domain.trials import Trial
from tradefleet.resources.backtest import Backtest, Objective
from tradefleet.resources.load import Loaded, parse_text
from tradefleet.resources.problems import InvalidResource
from tradefleet.resources.search import trial_of, trial_parameters
from tradefleet.runtime.logging import set_up_logging
from tradefleet.runtime.settings import PREFIX, read_secret
from tradefleet.store.ports.trials import TrialStore
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.trials import PostgresTrials
from workloads.backtest.from_resources import plan_backtest
from workloads.backtest.given_data import Wish
from workloads.backtest.output import document
from workloads.backtest.plan import BacktestPlan
from workloads.backtest.report import build_report
from workloads.backtest.report_of_backtest import CandleCollector, report_data
from workloads.backtest.results import BacktestResult, BotResult
from workloads.backtest.run import run_backtest
from workloads.strategy.overdue import callbacks_watched

T = TypeVar("T")

_LOG: Final = logging.getLogger("backtest")

DONE: Final = 0
AGAIN: Final = 1
TRIES_MAX: Final = 6  # to reach the database
WAIT_S: Final = 1.0  # before the second try, twice as long before each further one
ERROR_LENGTH_MAX: Final = 2_000


class _Ending:
    """Whether we were asked to end: what is at work is finished first, if it is soon."""

    def __init__(self) -> None:
        self.is_asked = False

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_asked = True


def numbers_of(settings: Mapping[str, Any], index: int) -> range:
    """Return the trials of an index."""
    first = index * int(settings["trialsEach"])
    return range(first, min(first + int(settings["trialsEach"]), int(settings["trials"])))


def run(
    settings: Mapping[str, Any],
    numbers: Sequence[int],
    store: TrialStore,
    is_asked: Callable[[], bool],
    *,
    wait_s: float = WAIT_S,
) -> int:
    """Do those of the trials that are not done, until `is_asked` to end; return the exit status."""
    uid, question = str(settings["uid"]), str(settings["question"])
    done = _insist(lambda: store.done(uid, question, first=numbers[0], last=numbers[-1]), wait_s) if numbers else ()
    status = DONE
    for number in numbers:
        if number in done:
            continue
        if is_asked():
            return AGAIN
        trial, is_refused = run_trial(settings, number)
        is_first = _insist(partial(store.add, uid, question, trial), wait_s)
        told = f"failed: {trial.error}" if trial.error else f"vsHold {trial.vs_hold} {trial.quote}"
        _LOG.info("trial %d%s", number, "" if is_first else ", which somebody else has written", extra={"told": told})
        if trial.error and not is_refused:
            status = TRIAL_FAILED
    return status


def run_trial(settings: Mapping[str, Any], number: int) -> tuple[Trial, bool]:
    """Return what came of a trial, and whether it was refused before a bar was read: its parameters do not fit.

    What is neither the strategy's fault nor that of data and parameters passes through, and is tried again.
    """
    loaded: list[Loaded] = parse_text(settings["resources"], "<fleet>")
    place, asked = _asked(loaded, settings["name"])
    parameters = trial_parameters(asked, number)
    began_us = time.time_ns() // 1_000
    loaded[place] = replace(loaded[place], resource=trial_of(asked, number))
    objective = asked.spec.search.objective if asked.spec.search is not None else Objective.VERSUS_HOLD
    try:
        plan = plan_backtest(loaded, Wish(backtest=settings["name"]))
    except (Retryable, OutcomeUnknown):
        raise
    except (FleetError, MemoryError) as error:
        is_refused = isinstance(error, InvalidResource | InvalidValue)
        return _failed(number, parameters, error, began_us), is_refused
    try:
        is_alone = int(settings["trials"]) == 1
        result, finished, report = (
            _reported(plan, settings.get("report")) if is_alone else (run_backtest(plan), None, b"")
        )
    except (Retryable, OutcomeUnknown):
        raise
    except (FleetError, MemoryError) as error:
        return _failed(number, parameters, error, began_us), False
    best = result.ranked[0]
    trial = Trial(
        number=number,
        parameters=parameters,
        score=score_of(best, objective),
        vs_hold=None if best.vs_hold_atoms is None else best.amount(best.vs_hold_atoms),
        quote=best.quote,
        bot=best.key,
        dataset_hash=result.data.content_hash,
        ledger_hash=result.ledger_hash,
        is_synthetic=result.data.is_synthetic,
        started_us=began_us,
        finished_us=time.time_ns() // 1_000,
        figures={
            **json.loads(json.dumps(document(result), default=str)),
            "finished": finished or finished_values(result, "", ""),
        },
        report=report,
    )
    return trial, False


def score_of(bot: BotResult, objective: Objective) -> Decimal | None:
    """Return the figure by which trials are ranked, the highest first; None where a bot has none."""
    match objective:
        case Objective.VERSUS_HOLD:
            return None if bot.vs_hold_atoms is None else bot.amount(bot.vs_hold_atoms)
        case Objective.RETURN:
            return Decimal(repr(bot.return_part))
        case Objective.SHARPE:
            return None if bot.sharpe is None else Decimal(repr(bot.sharpe))
        case Objective.DRAWDOWN:
            return -Decimal(repr(bot.drawdown_part))


def finished_values(result: BacktestResult, location: str, content_hash: str) -> dict[str, object]:
    """Return what `reports.performance` tells of a run: amounts exact, as text, in each bot's quote asset."""
    return {
        "location": location,
        "contentHash": content_hash,
        "fromUs": result.data.from_us or 0,
        "toUs": result.data.to_us or 0,
        "bots": [
            {
                "bot": bot.key,
                "quote": bot.quote,
                "startEquity": str(bot.amount(bot.start_atoms)),
                "endEquity": str(bot.amount(bot.equity_atoms)),
                "hold": None if bot.hold_atoms is None else str(bot.amount(bot.hold_atoms)),
                "fees": str(bot.amount(bot.fees_atoms)),
                "fills": bot.fills,
                "measures": {
                    "return": bot.return_part,
                    "drawdown": bot.drawdown_part,
                    "in_market": bot.in_market_part,
                    **({} if bot.sharpe is None else {"sharpe": bot.sharpe}),
                },
            }
            for bot in result.ranked
        ],
    }


# --- parts ------------------------------------------------------------------------------------------------------------


def _asked(loaded: Sequence[Loaded], name: str) -> tuple[int, Backtest]:
    """Return the Backtest of a name, and its place."""
    for place, each in enumerate(loaded):
        if isinstance(each.resource, Backtest) and each.resource.metadata.name == name:
            return place, each.resource
    raise InvalidValue(f"there is no Backtest {name} in the settings")


def _reported(plan: BacktestPlan, path: str | None) -> tuple[BacktestResult, dict[str, object], bytes]:
    """Return the result, what is told of it, and its packed report, which is written where `path` says, too."""
    collector = CandleCollector(plan)
    result = run_backtest(plan, watcher=collector)
    page = build_report(report_data(result, collector)).encode()
    if path is not None:
        target = Path(path)
        unfinished = target.with_suffix(".partial")  # whoever opens the report of an earlier run sees all of it
        unfinished.write_bytes(page)
        unfinished.replace(target)
    told = finished_values(result, path or "", hashlib.sha256(page).hexdigest())
    return result, told, zlib.compress(page, 9)


def _failed(number: int, parameters: Mapping[str, Any], error: Exception, began_us: int) -> Trial:
    return Trial(
        number=number,
        parameters=dict(parameters),
        error=_text(error)[:ERROR_LENGTH_MAX],
        started_us=began_us,
        finished_us=time.time_ns() // 1_000,
    )


def _text(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"the simulation needed more memory than its process may use: {MEMORY_REMEDY}"
    return str(error) or type(error).__name__


def _insist(ask: Callable[[], T], wait_s: float) -> T:
    """Return what the database answers. It may be away for a while, and a result is worth waiting for.

    Whatever is asked may be asked again: a trial is written once.
    """
    for tried in range(TRIES_MAX):
        try:
            return ask()
        except (Retryable, OutcomeUnknown) as error:
            if tried == TRIES_MAX - 1:
                raise
            _LOG.warning("the database does not answer, tried again: %s", error)
            time.sleep(wait_s * 2**tried)
    raise AssertionError("unreachable: the last try returns or raises")


class _Momentary:
    """A store that keeps no connection while a trial runs: there may be hundreds of us."""

    def __init__(self, url: str, fleet: str) -> None:
        self._url, self._fleet = url, fleet

    def done(self, uid: str, question: str, *, first: int, last: int) -> frozenset[int]:
        """Return which trials have a result."""
        with closing(self._session()) as session:
            return PostgresTrials(session).done(uid, question, first=first, last=last)

    def add(self, uid: str, question: str, trial: Trial) -> bool:
        """Write what came of a trial."""
        with closing(self._session()) as session:
            return PostgresTrials(session).add(uid, question, trial)

    def _session(self) -> Session:
        return Session(self._url, fleet=self._fleet, application="backtest")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the trials of the environment's index; return the exit status."""
    set_up_logging("backtest", log_format="json")
    ending = _Ending()
    ending.listen()
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    url = read_secret(environment, "database_url")
    assert url is not None, "whoever starts us sets it"
    # Datasets that lie in the fleet's database are read by its plain name.
    os.environ[f"{PREFIX}DATABASE_URL"] = url.reveal()
    os.environ.pop(f"{PREFIX}DATABASE_URL_FILE", None)
    store = _Momentary(url.reveal(), environment[f"{PREFIX}FLEET"])
    numbers = numbers_of(settings, int(environment.get(INDEX_VARIABLE, "0")))
    words = environment.get(WORDS_VARIABLE)
    try:
        with callbacks_watched(partial(_give_up, words)):
            return run(settings, numbers, store, lambda: ending.is_asked)
    except Exception as error:  # noqa: BLE001 - whatever it is, the last words say so, and it is tried again
        traceback.print_exc()
        _leave_words(words, type(error).__name__, f"{type(error).__name__}: {error}")
        return AGAIN


def _give_up(words: str | None, reason: str, message: str) -> NoReturn:
    _LOG.error("%s: %s", reason, message)
    _leave_words(words, reason, message)
    os._exit(AGAIN)


def _leave_words(words: str | None, reason: str, message: str) -> None:
    """Leave the reason of an end where the environment says."""
    if words:
        text = json.dumps({"reason": reason, "message": message[:ERROR_LENGTH_MAX]})
        Path(words).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
