"""The health script of `examples/gitops/argocd`, in a real Lua: what Argo CD says of a resource."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime  # Argo CD runs Lua 5.1

CONFIG = Path(__file__).parents[3] / "examples" / "gitops" / "argocd" / "health.yaml"


def health(**fields: Any) -> tuple[str, str]:
    """The health of a TradingBot of generation 2, with these fields."""
    data = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["data"]
    script = yaml.safe_load(data["resource.customizations"])["tradefleet.dev/*"]["health.lua"]
    lua = LuaRuntime()
    body = {"metadata": {"generation": 2}, "spec": {}, **fields}
    found = lua.eval(f"function(obj) {script} end")(lua.table_from(body, recursive=True))
    return found["status"], found["message"]


def status(generation: int = 2, **conditions: str) -> dict[str, Any]:
    """A status with these conditions, each with a message of its own."""
    listed = [{"type": name, "status": value, "message": f"why {name}"} for name, value in conditions.items()]
    return {"observedGeneration": generation, "conditions": listed}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("Progressing", "waits for the Governor")),
        ({"status": status(Ready="True", Stalled="False")}, ("Healthy", "why Ready")),
        ({"status": status(Ready="False", Reconciling="True")}, ("Progressing", "why Ready")),
        ({"status": status(Ready="False", Stalled="True")}, ("Degraded", "why Stalled")),
        ({"status": status(1, Ready="True")}, ("Progressing", "the Governor has not seen this change yet")),
        ({"status": status(Ready="False"), "spec": {"state": "Paused"}}, ("Suspended", "why Ready")),
        ({"status": status(Ready="False"), "spec": {"suspend": True}}, ("Suspended", "why Ready")),
    ],
    ids=["new", "ready", "starting", "stalled", "changed", "paused", "suspended"],
)
def test_argo_cd_reads_our_conditions(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    assert health(**fields) == expected
