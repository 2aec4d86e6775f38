"""Backtests that cannot run: what they refer to is missing or may not be played, or what they ask is not supported."""

from collections.abc import Iterator

from governor.plan.draft import Draft
from governor.plan.markets import may_be_played
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.search import unsupported


def judge_backtest(draft: Draft, backtest: Backtest) -> None:
    """Say why a Backtest waits, or cannot run; nothing when it can."""
    missing = unsupported(backtest)
    if missing:
        draft.say(backtest, "NotSupported", missing, stalled=True)
        return
    for key in _referred(backtest):
        if draft.get(key) is None:
            message = f"waits for {key.kind} {key.name} in namespace {key.namespace}: apply it"
            draft.say(backtest, f"{key.kind}NotFound", message, stalled=False)
            return
    dataset = draft.get(ResourceKey("Dataset", backtest.key.namespace, backtest.spec.dataset_ref.name))
    if isinstance(dataset, Dataset):
        may_be_played(draft, backtest, dataset)


def _referred(backtest: Backtest) -> Iterator[ResourceKey]:
    """Yield what a Backtest cannot do without."""
    spec, namespace = backtest.spec, backtest.key.namespace
    yield ResourceKey("Dataset", namespace, spec.dataset_ref.name)
    if spec.exchange_ref is not None:
        yield ResourceKey("Exchange", namespace, spec.exchange_ref.name)
    for reference in spec.bot_refs:
        yield ResourceKey("TradingBot", namespace, reference.name)
