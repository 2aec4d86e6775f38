import subprocess
import sys

HEAVY = ("sqlalchemy", "alembic", "pydantic", "pandas", "numpy", "typer", "yaml", "ccxt", "numba")


def test_the_hot_path_imports_nothing_heavy() -> None:
    modules = "bots, gateways, feeds, venues, runs, halts, commands, databases, upkeep"
    code = f"import sys; from tradefleet.store.postgres import {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "psycopg" in loaded
    assert loaded.isdisjoint(HEAVY)
