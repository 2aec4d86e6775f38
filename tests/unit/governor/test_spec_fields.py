"""Every field of a TradingBot's spec has a place where it counts: a new one without a place fails here.

Where a field reaches the machines, what they make of it is tested with them.
"""

from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from governor.plan import Observed, plan
from governor.plan.memory import Memory
from governor.references import Reference, Referenced, ReferenceKind
from governor.workload import Plan, Role, Verdict

from tests.unit.governor import fleets
from tradefleet.domain.bots import BotCommand, BotConfig, config_values
from tradefleet.resources.common import Resource
from tradefleet.resources.model import Model
from tradefleet.resources.pods import PodTemplate
from tradefleet.resources.trading_bot import TradingBotSpec

CODE = Reference(ReferenceKind.CONFIG_MAP, "default", "mine")


def _planned(observed: Observed | None = None, **spec: Any) -> Plan:
    other = fleets.feed("other", suspend=True)
    bot = fleets.bot("alpha", **spec)
    fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), other, bot]
    return plan(
        fleet, observed or Observed(references={CODE: Referenced(digest="c0de", files={"m.py": ""})}), fleets.warm_up
    )


def _command(**spec: Any) -> BotCommand:
    (found,) = _planned(**spec).commands
    return found.command


def _verdict(**spec: Any) -> Verdict | None:
    return next((each for key, each in _planned(**spec).verdicts.items() if key.name == "alpha"), None)


# --- places -----------------------------------------------------------------------------------------------------------


def in_the_config(**spec: Any) -> object:
    """What its process and its gateway are told that it is."""
    return config_values(_command(**spec).config)


def in_the_command(**spec: Any) -> object:
    """What its gateway is told to do with it."""
    return _command(**spec).state


def in_the_verdict(**spec: Any) -> object:
    """What holds it back."""
    found = _verdict(**spec)
    return None if found is None else found.reason


def in_its_process(**spec: Any) -> object:
    """What runs it."""
    return [each.role for each in _planned(**spec).workloads]


def in_the_update(**spec: Any) -> object:
    """Whether a changed spec takes effect by itself."""
    told: BotConfig = _command().config
    observed = Observed(configs={told.uid: told})
    (found,) = _planned(observed, interval="1m", seed=99, **spec).commands
    return found.command.config.seed


def in_its_memory(**spec: Any) -> object:
    """How much its process may use on one machine."""
    return [each.memory_bytes for each in _planned(**spec).workloads if each.role is Role.BOT]


def in_its_pod(**spec: Any) -> object:
    """The shape of its pod in a cluster; a local fleet has none, as the field's own description says."""
    assert "A local fleet has no pods" in (TradingBotSpec.model_fields["pod_template"].description or "")
    found = fleets.bot("alpha", **spec)
    return found.spec.pod_template


Place = Callable[..., object]

# Path of the field: a value other than the default, and the place where it counts.
PLACES: dict[str, tuple[dict[str, Any], Place]] = {
    "exchange_ref": ({"exchangeRef": {"name": "gone"}}, in_the_verdict),
    "feed_ref": ({"feedRef": {"name": "other"}}, in_the_verdict),
    "interval": ({"interval": "7m"}, in_the_verdict),
    "mode": ({"mode": "live"}, in_the_verdict),
    "wallet": ({"wallet": {"USD": "77"}}, in_the_config),
    "state": ({"state": "Paused"}, in_the_command),
    "deletion_policy": ({"deletionPolicy": "Flatten"}, in_the_config),
    "update_strategy": ({"updateStrategy": "Manual"}, in_the_update),
    "placement": ({"placement": "Shared"}, in_its_process),
    "pod_template": ({"podTemplate": {"image": "mine"}}, in_its_pod),
    "seed": ({"seed": 3}, in_the_config),
    "instruments": ({"instruments": ["LTC-USD"]}, in_the_config),
    "strategy.name": ({"strategy": {"name": "dca"}}, in_the_config),
    "strategy.params": ({"strategy": {"name": "sma-cross", "params": {"fast": 3}}}, in_the_config),
    "strategy.code_from.config_map_ref": (
        {"strategy": {"name": "m:M", "codeFrom": {"configMapRef": {"name": "mine"}}}},
        in_the_config,
    ),
    "sizing.method": ({"sizing": {"method": "kelly"}}, in_the_config),
    "sizing.fraction": ({"sizing": {"fraction": "0.5"}}, in_the_config),
    "sizing.quote_amount": ({"sizing": {"method": "fixed", "quoteAmount": "5"}}, in_the_config),
    "sizing.target_volatility": ({"sizing": {"targetVolatility": "0.7"}}, in_the_config),
    "sizing.lookback_bars": ({"sizing": {"lookbackBars": 7}}, in_the_config),
    "sizing.kelly_cap": ({"sizing": {"kellyCap": "0.1"}}, in_the_config),
    "sizing.rebalance_threshold": ({"sizing": {"rebalanceThreshold": "0.1"}}, in_the_config),
    "risk.max_order_notional": ({"risk": {"maxOrderNotional": "5"}}, in_the_config),
    "risk.max_position_notional": ({"risk": {"maxPositionNotional": "5"}}, in_the_config),
    "risk.max_exposure": ({"risk": {"maxExposure": "0.5"}}, in_the_config),
    "risk.max_open_orders": ({"risk": {"maxOpenOrders": 5}}, in_the_config),
    "risk.max_orders_per_minute": ({"risk": {"maxOrdersPerMinute": 5}}, in_the_config),
    "risk.price_collar_percent": ({"risk": {"priceCollarPercent": "2"}}, in_the_config),
    "risk.max_daily_loss_percent": ({"risk": {"maxDailyLossPercent": "2"}}, in_the_config),
    "risk.max_drawdown_percent": ({"risk": {"maxDrawdownPercent": "2"}}, in_the_config),
    "risk.max_data_age": ({"risk": {"maxDataAge": "20m"}}, in_the_config),
    "risk.stop_loss_percent": ({"risk": {"stopLossPercent": "2"}}, in_the_config),
    "risk.take_profit_percent": ({"risk": {"takeProfitPercent": "2"}}, in_the_config),
    "risk.trailing_stop_percent": ({"risk": {"trailingStopPercent": "2"}}, in_the_config),
    "dead_man_switch.after": ({"deadManSwitch": {"after": "7m"}}, in_the_config),
    "dead_man_switch.action": ({"deadManSwitch": {"action": "Flatten"}}, in_the_config),
}

WHOLE = (Resource, PodTemplate)  # what is handed on as it is, or is a reference


def _leaves(model: type[Model], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        below = _model_in(field.annotation)
        if below is None or issubclass(below, WHOLE) or below.model_fields.keys() == {"name"}:
            yield f"{above}{name}"
        else:
            yield from _leaves(below, f"{above}{name}.")


def _model_in(annotation: object) -> type[Model] | None:
    if get_origin(annotation) in {Union, UnionType}:
        return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Model) else None


def test_every_field_has_its_place() -> None:
    assert PLACES.keys() == set(_leaves(TradingBotSpec))


@pytest.mark.parametrize("path", PLACES)
def test_a_field_counts_in_its_place(path: str) -> None:
    spec, place = PLACES[path]

    assert place(**spec) != place()


def test_a_limit_of_memory_reaches_the_process_and_makes_it_no_other_one() -> None:
    limited = {"podTemplate": {"resources": {"limits": {"memory": "64Mi"}}}}

    assert (in_its_memory(), in_its_memory(**limited)) == ([None], [64 * 1024**2])
    digests = {each.digest for spec in ({}, limited) for each in _planned(**spec).workloads if each.role is Role.BOT}
    assert len(digests) == 1, "or a limit that waits for a person's word would restart a pod"


def test_a_changed_limit_of_memory_is_not_forgotten() -> None:
    memory = Memory()
    found = []
    told = _command().config
    observed = Observed(configs={told.uid: told})
    for generation, limit in enumerate(("64Mi", "1Gi"), 2):
        bot = fleets.bot("alpha", generation=generation, podTemplate={"resources": {"limits": {"memory": limit}}})
        fleet = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), bot]
        planned = plan(fleet, observed, fleets.warm_up, memory)
        found += [each.memory_bytes for each in planned.workloads if each.role is Role.BOT]

    assert found == [64 * 1024**2, 1024**3]
