"""Rule 21: a lockstep fleet gives the ledger of the backtest, whatever dies on the way."""

from collections import Counter

import pytest

from tests.integration.lockstep.injected.sitecustomize import ONE_LOT_MORE
from tests.integration.lockstep.kills import KINDS, TARGETS, Killer, arm, has_fired
from tests.integration.lockstep.reference import DAY_BARS, write_resources
from tests.integration.lockstep.run import running

SHORT_BARS = 60
CHANGED = "bot-default-averages"  # it trades at the market, so each of its lots is filled


@pytest.mark.timeout(1_200)  # two to three minutes on two cores of its own
def test_a_fleet_whose_processes_are_killed_has_the_ledger_of_the_backtest(tmp_path):
    with running(tmp_path, write_resources(tmp_path, bars=DAY_BARS)) as run:
        killer = Killer(run, seed=1, minutes=DAY_BARS, targets=TARGETS)
        killer.strike_all()
        run.come_to_the_end()
        assert not run.differences()
        assert not run.audit().findings
        assert run.reference.fills >= 200
    kinds = Counter(hit.target.kind for hit in killer.hits)
    in_flight = sum(hit.in_flight for hit in killer.hits)
    print(f"{len(killer.hits)} kills, {in_flight} in flight: {dict(kinds)}")
    assert len(killer.hits) >= 20
    assert kinds.keys() == set(KINDS)
    assert in_flight > len(killer.hits) / 2


def test_a_fleet_that_is_left_alone_has_the_ledger_of_the_backtest(tmp_path):
    with running(tmp_path, write_resources(tmp_path, bars=SHORT_BARS)) as run:
        run.come_to_the_end()
        assert not run.differences()
        assert not run.audit().findings


def test_one_lot_more_in_one_process_is_another_ledger(tmp_path):
    with running(tmp_path, write_resources(tmp_path, bars=SHORT_BARS)) as run:
        arm(run.fleet.points, CHANGED, {"point": ONE_LOT_MORE, "passes": 1, "busy": True})
        run.come_to_the_end()
        assert has_fired(run.fleet.points, CHANGED)
        assert run.watch.ledger_hash() != run.reference.digest
        only_fleet = set(run.watch.ledger()) - set(run.reference.lines)
    assert {line.split()[2] for line in only_fleet} == {"default/averages"}
