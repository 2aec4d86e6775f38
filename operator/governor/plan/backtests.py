"""Backtests: what each of them waits for, and what its pods need of other people's."""

from collections.abc import Iterator

from governor.plan.draft import Draft
from governor.plan.markets import may_be_played
from governor.plan.strategies import NotRunnable, find_code
from governor.workload import Needs
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import Reference, ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.search import unsupported
from tradefleet.resources.trading_bot import StrategyReference, TradingBot


def plan_backtest(draft: Draft, backtest: Backtest) -> None:
    """Say why a Backtest waits or cannot run, or note what its pods need."""
    missing = unsupported(backtest)
    if missing:
        draft.say(backtest, "NotSupported", missing, stalled=True)
        return
    if backtest.metadata.deletion_timestamp is not None:
        return
    try:
        _check_there(draft, backtest)
        code = _code(draft, backtest)
    except NotRunnable as error:
        draft.say(backtest, error.reason, str(error), stalled=error.stalled)
        return
    dataset = draft.get(ResourceKey("Dataset", backtest.key.namespace, backtest.spec.dataset_ref.name))
    assert isinstance(dataset, Dataset)
    if may_be_played(draft, backtest, dataset) and draft.needs is not None:
        draft.needs[backtest.key] = draft.needs.get(dataset.key, Needs())
        draft.code[backtest.key] = code


def _check_there(draft: Draft, backtest: Backtest) -> None:
    """Raise NotRunnable when something that a Backtest names is not there, or its Dataset cannot be read."""
    spec, namespace = backtest.spec, backtest.key.namespace
    named: list[tuple[str, str, Reference]] = [("Dataset", "datasetRef", spec.dataset_ref)]
    if spec.exchange_ref is not None:
        named.append(("Exchange", "exchangeRef", spec.exchange_ref))
    named += [("TradingBot", f"botRefs[{index}]", each) for index, each in enumerate(spec.bot_refs)]
    for kind, place, reference in named:
        found = draft.get(ResourceKey(kind, namespace, reference.name))
        if found is None:
            message = f"waits for {kind} {reference.name} in namespace {namespace}, its {place}: apply it"
            raise NotRunnable(f"{kind}NotFound", message, stalled=False)
        if isinstance(found, TradingBot) and draft.get(found.exchange_key) is None:
            message = (
                f"waits for Exchange {found.exchange_key.name}, on which TradingBot {reference.name} trades: apply it"
            )
            raise NotRunnable("ExchangeNotFound", message, stalled=False)
        verdict = draft.verdicts.get(found.key)
        if isinstance(found, Dataset) and verdict is not None and found.spec.exchange_ref is None:
            raise NotRunnable(
                "DatasetNotReady", f"waits for Dataset {reference.name}: {verdict.message}", stalled=False
            )


def _code(draft: Draft, backtest: Backtest) -> dict[str, str]:
    """Return the modules of the strategies of a Backtest, by file name. Raises NotRunnable."""
    found: dict[str, str] = {}
    if draft.observed.references is None:
        return found
    image = (backtest.spec.pod_template and backtest.spec.pod_template.image) or ""
    for strategy in _strategies(draft, backtest):
        for file, text in (find_code(draft, backtest.key, strategy, image=image).files or {}).items():
            if found.setdefault(file, text) != text:
                message = f"its TradingBots have different modules called {file}: test them one by one"
                raise NotRunnable("CodeConflict", message, stalled=True)
    return found


def _strategies(draft: Draft, backtest: Backtest) -> Iterator[StrategyReference]:
    if backtest.spec.strategy is not None:
        yield backtest.spec.strategy
    for reference in backtest.spec.bot_refs:
        bot = draft.get(ResourceKey("TradingBot", backtest.key.namespace, reference.name))
        if isinstance(bot, TradingBot):
            yield bot.spec.strategy
