"""Datasets that take in what comes from an exchange: their recorders, or why there is none."""

from collections.abc import Mapping

from governor.dataset_status import is_made_up
from governor.plan.draft import Draft
from governor.plan.markets import Market
from governor.plan.workloads import recorder_workload
from tradefleet.domain.bar import parse_interval
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import SIMULATOR, Exchange


def plan_recorder(draft: Draft, dataset: Dataset, markets: Mapping[ResourceKey, Market]) -> None:
    """Plan the recorder of a Dataset that records an exchange, or say why there is none. Others need none."""
    reference = dataset.spec.exchange_ref
    if reference is None:
        return
    key = ResourceKey("Exchange", dataset.key.namespace, reference.name)
    exchange = draft.get(key)
    if exchange is None:
        message = f"waits for Exchange {reference.name} in namespace {dataset.key.namespace}: apply it"
        draft.say(dataset, "ExchangeNotFound", message, stalled=False)
        return
    if dataset.spec.suspend or dataset.spec.frozen or dataset.metadata.deletion_timestamp is not None:
        return
    if isinstance(exchange, Exchange) and exchange.spec.venue != SIMULATOR:
        message = "downloads are not there yet: name files, sql or synthetic in its place"
        draft.say(dataset, "NotSupported", message, stalled=True)
        return
    market = markets.get(key)
    if market is None:
        message = f"waits for Exchange {reference.name}: {draft.verdicts[key].message}"
        draft.say(dataset, "ExchangeNotReady", message, stalled=False)
        return
    missing = [
        f"{interval} bars of {symbol}"
        for symbol, interval in dataset.spec.series
        if not market.brings(symbol, parse_interval(interval))
    ]
    if missing:
        message = f"waits for a Feed of Exchange {reference.name} that brings {', '.join(missing)}: apply one"
        draft.say(dataset, "NoData", message, stalled=False)
        return
    draft.workloads.append(recorder_workload(dataset, market, made_up=is_made_up(dataset, draft.resources)))
