"""The contracts on imports find what they are there to find."""

import grimp
import pytest

from tests.architecture import MachinesContract, OnlyInContract

OPTIONS = {
    "workloads": ["workloads"],
    "edges": ["workloads.*.adapters", "workloads.*.main", "workloads.*.*worker"],
    "shared": ["workloads.*.settings"],
    "may_import": ["shared.domain"],
    "impure": ["time", "socket"],
}


def graph(importer: str, imported: str) -> grimp.ImportGraph:
    """A graph of one import."""
    made = grimp.ImportGraph()
    for module in (importer, imported):
        made.add_module(module)
    made.add_import(importer=importer, imported=imported, line_number=3, line_contents="import it")
    return made


def machines(importer: str, imported: str) -> list[str]:
    contract = MachinesContract("machines", session_options={}, contract_options=OPTIONS)
    return list(contract.check(graph(importer, imported), verbose=False).metadata["found"])


@pytest.mark.parametrize(
    ("importer", "imported", "reason"),
    [
        ("workloads.feeds.replay", "time", "no clock"),
        ("workloads.feeds.replay", "socket", "no clock"),
        ("workloads.feeds.replay", "psycopg", "the domain, other machines and the standard library"),
        ("workloads.feeds.replay", "shared.bus.kafka", "the domain, other machines and the standard library"),
        ("workloads.feeds.replay", "shared.domainlike", "the domain, other machines and the standard library"),
        ("workloads.feeds.replay", "workloads.feeds.adapters.disk", "may not import an edge"),
        ("workloads.feeds.replay", "workloads.strategy.settings", "may not import an edge"),
        ("workloads.feeds.main", "workloads.strategy.main", "never its edges"),
        ("workloads.feeds.adapters.disk", "workloads.strategy.bot_worker", "never its edges"),
    ],
)
def test_an_import_against_the_table_is_named_with_its_rule(importer: str, imported: str, reason: str) -> None:
    found = machines(importer, imported)

    assert len(found) == 1
    assert found[0].startswith(f"{importer}:3 imports {imported}: ")
    assert reason in found[0]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("workloads.feeds.replay", "shared.domain"),
        ("workloads.feeds.replay", "shared.domain.bar"),
        ("workloads.feeds.replay", "bisect"),
        ("workloads.feeds.replay", "workloads.strategy.bot"),
        ("workloads.feeds.main", "workloads.feeds.adapters.disk"),
        ("workloads.feeds.main", "workloads.strategy.bot"),
        ("workloads.feeds.main", "workloads.strategy.settings"),
        ("workloads.feeds.settings", "msgspec"),
        ("workloads.feeds.adapters.disk", "psycopg"),
        ("shared.bus.kafka", "time"),
    ],
)
def test_an_import_that_the_table_allows_passes(importer: str, imported: str) -> None:
    assert machines(importer, imported) == []


def test_a_library_outside_its_place_is_named() -> None:
    contract = OnlyInContract(
        "kopf", session_options={}, contract_options={"library": "kopf", "places": ["governor.kubernetes"]}
    )

    assert contract.check(graph("governor.kubernetes.handlers", "kopf"), verbose=False).kept
    assert contract.check(graph("governor.plan", "json"), verbose=False).kept
    broken = contract.check(graph("governor.plan", "kopf"), verbose=False)
    assert broken.metadata["found"] == ["governor.plan:3 imports kopf: it belongs in governor.kubernetes"]
