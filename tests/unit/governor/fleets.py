"""Resources as a fleet has stored them: with a UID and a generation."""

from collections.abc import Mapping

from tradefleet.domain.bots import ParameterValue
from tradefleet.resources.common import Metadata, Resource
from tradefleet.resources.load import parse_body

VERSION = "tradefleet.dev/v1alpha1"


def stored(kind: str, name: str, spec: dict, *, generation: int = 1, deleting: bool = False, **metadata) -> Resource:
    resource = parse_body({"apiVersion": VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec})
    kept = {
        **resource.metadata.model_dump(),
        "uid": f"uid-{kind.lower()}-{name}",
        "generation": generation,
        "deletion_timestamp": "2024-01-01T00:00:00Z" if deleting else None,
        **metadata,
    }
    return resource.model_copy(update={"metadata": Metadata(**kept)})


def exchange(name: str = "simulator", **spec) -> Resource:
    listed = [
        {"symbol": symbol, "tickSize": "0.01", "lotSize": "0.00000001", "minNotional": "1"}
        for symbol in ("BTC-USD", "LTC-USD")
    ]
    return stored("Exchange", name, {"venue": "simulator", "instruments": listed, **spec})


def dataset(name: str = "market", **spec) -> Resource:
    return stored("Dataset", name, {"synthetic": {"bars": 100}, "instruments": ["BTC-USD", "LTC-USD"], **spec})


def recording(name: str = "mine", **spec) -> Resource:
    return stored("Dataset", name, {"exchangeRef": {"name": "simulator"}, "instruments": ["BTC-USD"], **spec})


def feed(name: str = "replay", *, speed: str = "lockstep", **spec) -> Resource:
    replay = {"datasetRefs": [{"name": "market"}], "speed": speed}
    return stored("Feed", name, {"exchangeRef": {"name": "simulator"}, "replay": replay, **spec})


def bot(name: str, *, generation: int = 1, deleting: bool = False, annotations=None, **spec) -> Resource:
    body = {
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "sma-cross"},
        "instruments": ["BTC-USD"],
        "wallet": {"USD": "10000"},
        **spec,
    }
    return stored("TradingBot", name, body, generation=generation, deleting=deleting, annotations=annotations or {})


def policy(name: str = "careful", *, deleting: bool = False, **spec) -> Resource:
    return stored("RiskPolicy", name, spec, deleting=deleting)


def labelled(resource: Resource, **labels: str) -> Resource:
    return resource.model_copy(update={"metadata": resource.metadata.model_copy(update={"labels": labels})})


def warm_up(name: str, params: Mapping[str, ParameterValue]) -> int:
    return 5
