"""Rule 21: a lockstep fleet gives the ledger of the backtest, whatever dies on the way."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.lockstep.fleet import Fleet
from tests.integration.lockstep.injected.sitecustomize import ONE_LOT_MORE
from tests.integration.lockstep.kills import TARGETS, Killer, arm, has_fired
from tests.integration.lockstep.reference import DAY_BARS, Reference, backtest, write_resources
from tests.integration.lockstep.watch import Watch
from tradefleet.store.audit import audit

SHORT_BARS = 60
CHANGED = "bot-default-averages"  # it trades at the market, so each of its lots is filled
END_S = 240.0
PATIENCE_S = 60.0
POLL_S = 0.05


@contextmanager
def running(folder: Path, environment: pytest.MonkeyPatch, *, bars: int) -> Iterator[tuple[Fleet, Watch, Reference]]:
    """A fleet over so many minutes, somebody who watches it, and what the backtest gave."""
    resources = write_resources(folder, bars=bars)
    reference = backtest(resources)
    fleet = Fleet(folder, resources, environment)
    try:
        run = fleet.start()
        watch = Watch(fleet.dsn, fleet.name, run, patience_s=PATIENCE_S)
        yield fleet, watch, reference
        watch.close()
    finally:
        fleet.stop()


def come_to_the_end(fleet: Fleet, watch: Watch) -> None:
    deadline = time.monotonic() + END_S
    while not watch.is_finished:
        if time.monotonic() > deadline:
            pytest.fail(f"the run is at minute {watch.minutes}: {watch.flight()}\n{fleet.log_tails()}")
        time.sleep(POLL_S)


def assert_clean(fleet: Fleet) -> None:
    with psycopg.connect(fleet.dsn, autocommit=True) as connection:
        found = audit(connection, fleet.name)
    assert not found.findings, "\n".join(map(str, found.findings))


@pytest.mark.timeout(600)
def test_a_fleet_whose_processes_are_killed_has_the_ledger_of_the_backtest(tmp_path, monkeypatch):
    with running(tmp_path, monkeypatch, bars=DAY_BARS) as (fleet, watch, reference):
        killer = Killer(fleet, watch, seed=1, minutes=DAY_BARS, targets=TARGETS)
        killer.strike_all()
        come_to_the_end(fleet, watch)
        assert watch.ledger_hash() == reference.digest, differences(watch, reference)
        assert_clean(fleet)
    hit = sum(each.in_flight for each in killer.hits)
    print(f"{len(killer.hits)} kills, {hit} in flight: {Counter(each.target.kind for each in killer.hits)}")
    assert reference.fills >= 200
    assert len(killer.hits) >= 20
    assert hit > len(killer.hits) / 2


def differences(watch: Watch, reference: Reference) -> str:
    found = watch.ledger()
    only_fleet, only_backtest = sorted(set(found) - set(reference.lines)), sorted(set(reference.lines) - set(found))
    return f"only in the fleet: {only_fleet[:5]}, only in the backtest: {only_backtest[:5]}"


def test_a_fleet_that_is_left_alone_has_the_ledger_of_the_backtest(tmp_path, monkeypatch):
    with running(tmp_path, monkeypatch, bars=SHORT_BARS) as (fleet, watch, reference):
        come_to_the_end(fleet, watch)
        assert watch.ledger_hash() == reference.digest, differences(watch, reference)
        assert_clean(fleet)


def test_one_lot_more_in_one_process_is_another_ledger(tmp_path, monkeypatch):
    with running(tmp_path, monkeypatch, bars=SHORT_BARS) as (fleet, watch, reference):
        arm(fleet.points, CHANGED, {"point": ONE_LOT_MORE, "passes": 1, "busy": True})
        come_to_the_end(fleet, watch)
        assert has_fired(fleet.points, CHANGED)
        assert watch.ledger_hash() != reference.digest
        only_fleet = set(watch.ledger()) - set(reference.lines)
    assert {line.split()[2] for line in only_fleet} == {"default/averages"}
