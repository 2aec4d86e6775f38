"""The lock files can be installed anywhere: every package with a hash, and no address of a registry or path."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))


def packages(lock: Path) -> dict[str, list[str]]:
    """The lock's entries: what is pinned, and the hashes of each."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lock.read_text().splitlines():
        if match := re.match(r"[a-z0-9-]+==\S+", line):
            name = match[0]
            found[name] = []
        elif match := re.match(r"    --hash=sha256:([0-9a-f]{64})", line):
            found[name].append(match[1])
        else:
            pytest.fail(f"{lock.name}: {line!r} is neither a pinned package nor a hash")
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: Path) -> None:
    found = packages(lock)

    assert found
    assert [name for name, hashes in found.items() if not hashes] == []


@pytest.mark.parametrize("name", ["bot", "fleet", "all", "image", "dev-services", "build"])
def test_each_lock_of_the_product_pins_what_the_developer_lock_pins(name: str) -> None:
    developer = packages(REPOSITORY / "requirements" / "dev.txt")

    assert packages(REPOSITORY / "requirements" / f"{name}.txt").items() <= developer.items()


REGISTRY = re.compile(r"pypi\.org|pythonhosted|repo1?\.maven|maven\.org|npmjs|proxy\.golang|crates\.io")


def test_no_lock_and_no_document_holds_the_address_of_a_registry() -> None:
    folders = [REPOSITORY / "requirements", REPOSITORY / "docs", REPOSITORY / "operator"]
    texts = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in {".txt", ".in", ".md", ".sha256"}
    ]
    texts += [*REPOSITORY.glob("*.md"), REPOSITORY / "pyproject.toml", REPOSITORY / "Makefile"]

    holding = [path.name for path in texts if REGISTRY.search(path.read_text())]

    assert holding == []


def test_a_bots_lock_has_no_heavy_library() -> None:
    names = {entry.partition("==")[0] for entry in packages(REPOSITORY / "requirements" / "bot.txt")}

    heavy = {"alembic", "ccxt", "kopf", "numba", "numpy", "pandas", "pyarrow", "pydantic", "sqlalchemy", "textual"}
    assert names & heavy == set()


def test_every_direct_dependency_has_its_line_in_the_documentation() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *(entry for extra in project["project"]["optional-dependencies"].values() for entry in extra),
        *(entry for group in project["dependency-groups"].values() for entry in group if isinstance(entry, str)),
        *(line for line in (REPOSITORY / "requirements/bench.in").read_text().splitlines() if not line.startswith("#")),
    ]
    names = {re.split(r"[\[<>=]", entry)[0] for entry in declared} - {"tradefleet"}
    documented = set(
        re.findall(r"^\| `([a-z0-9_-]+)`", (REPOSITORY / "docs/dependencies.md").read_text(), re.MULTILINE)
    )

    assert names == documented


PACKAGES = ("tradefleet", "workloads", "operator/governor")
# A package is imported by a name of its own; what is not here has the same one.
IMPORTED_AS = {"pyyaml": "yaml", "confluent-kafka": "confluent_kafka", "prometheus-client": "prometheus_client"}
OF_A_DEPENDENCY = {"pydantic_core": "pydantic"}  # published as one with it


def imported_names() -> set[str]:
    """The top-level names that the product imports and that are not its own or the standard library's."""
    found: set[str] = set()
    for path in (path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"tradefleet", "workloads", "governor"}


def test_every_library_that_the_product_imports_is_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    entries = [
        *project["dependencies"],
        *(entry for extra in project["optional-dependencies"].values() for entry in extra),
    ]
    declared = {re.split(r"[\[<>=]", entry)[0] for entry in entries}

    imported = {OF_A_DEPENDENCY.get(name, name) for name in imported_names()}

    assert imported - {IMPORTED_AS.get(name, name) for name in declared} == set()
