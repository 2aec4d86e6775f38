"""The Governor under attack, at a real API server without nodes: killed in a storm of changes, changed in long series.

Afterwards it is told to do nothing, by nobody touching anything for two minutes: the API server's audit log shows every
request to write, those included that change nothing. One place is silent while the next is attacked, hence the order.

`python -m bench.governor_chaos` does the same for much longer.
"""

import base64
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from governor.local.broker import Broker
from governor.local.database import Database

from cluster.control_plane import ControlPlane
from tests.cluster.api import Api
from tests.cluster.attack import Place, storm
from tests.cluster.outcome import as_applied, difference, picture, resources, wrong_in
from tests.cluster.series import NAMES, Series, bystanders, untouched
from tests.integration.conftest import broker, database  # noqa: F401 - fixtures

pytestmark = pytest.mark.timeout(600)

SEED = 20
KILLS = 10
CHANGES = 20  # of each kind
SILENCE_S = 120


@pytest.fixture(scope="module")
def make_place(
    tmp_path_factory: pytest.TempPathFactory,
    control_plane: ControlPlane,
    api: Api,
    database: Database,  # noqa: F811
    broker: Broker,  # noqa: F811
) -> Iterator[Callable[[str], Place]]:
    """Make a namespace with a Governor of its own, which goes on until the end of the module."""
    made: list[Place] = []

    def make(name: str) -> Place:
        folder = tmp_path_factory.mktemp("attacked") / name
        made.append(Place(name, folder, control_plane=control_plane, api=api, database=database, broker=broker))
        return made[-1]

    yield make
    for place in made:
        place.close()


@pytest.fixture(scope="module")
def stormed(make_place: Callable[[str], Place]) -> Place:
    """A fleet over which a storm has gone, with its Governor killed in it again and again, at rest."""
    place = make_place("after-the-storm")
    done = storm(place, random.Random(SEED), kills=KILLS)
    print(f"seed {SEED}: {done}")
    place.rest()
    return place


@pytest.fixture(scope="module")
def calm(make_place: Callable[[str], Place], stormed: Place) -> Place:
    """The same resources, applied in calm weather."""
    place = make_place("in-calm-weather")
    place.apply(as_applied(resources(stormed.cluster)))
    place.governor.start()
    place.rest()
    return place


@dataclass(frozen=True)
class Changed:
    """A place after series of changes, and what was made for those whom nobody changed, before and after."""

    place: Place
    counts: Counter[str]
    before: dict[str, str]
    after: dict[str, str]


@pytest.fixture(scope="module")
def changed_in_series(make_place: Callable[[str], Place]) -> Changed:
    """A fleet whose every resource was changed again and again, at rest."""
    place = make_place("changed-in-series")
    place.apply(bystanders())
    place.governor.start()
    place.rest()
    before = untouched(place)
    series = Series(place, CHANGES, SEED)
    for number in range(CHANGES):
        series.step(number)
    place.rest()
    print(f"seed {SEED}: {dict(series.counts)}")
    return Changed(place, series.counts, before, untouched(place))


def test_every_change_of_a_spec_ends_as_wished_or_clearly_reported(changed_in_series: Changed):
    found = wrong_in(
        changed_in_series.place.cluster, changed_in_series.place.database_url, changed_in_series.place.fleet
    )

    assert not found, "\n".join(found)
    for kind in NAMES:
        assert changed_in_series.counts[f"{kind} taken"] + changed_in_series.counts[f"{kind} refused"] == CHANGES
        assert changed_in_series.counts[f"{kind} taken"] >= CHANGES // 5, "else nothing was tried"


def test_changes_of_others_write_nothing_of_a_fleet_beside_them(changed_in_series: Changed):
    assert len(changed_in_series.before) > 10
    assert changed_in_series.after == changed_in_series.before


def test_a_storm_leaves_no_orphan_nothing_double_and_nothing_unsaid(stormed: Place):
    found = wrong_in(stormed.cluster, stormed.database_url, stormed.fleet)

    assert not found, "\n".join(found)


def test_a_storm_leaves_what_a_calm_apply_makes(stormed: Place, calm: Place):
    left, made = picture(stormed.cluster), picture(calm.cluster)

    found = [difference(left.get(name), made.get(name), name) for name in sorted(left.keys() | made.keys())]
    assert not any(found), "\n".join(each for each in found if each)


def test_no_secret_and_no_spec_stands_in_the_log(stormed: Place, changed_in_series: Changed):
    for place in (stormed, changed_in_series.place):
        log = place.governor.log.read_text(encoding="utf-8", errors="replace")
        told = [
            base64.b64decode(value).decode() for each in place.cluster.all("Secret") for value in each["data"].values()
        ]
        passwords = {urlsplit(each).password for each in told if "://" in each} | {
            each for each in told if "://" not in each
        }
        assert len(passwords) > 2
        assert [each for each in passwords if each and each in log] == []
        assert "wallet" not in log
        assert '"spec"' not in log


def test_then_nothing_is_written_for_two_minutes(stormed: Place, calm: Place, changed_in_series: Changed):
    for place, silence_s in ((changed_in_series.place, SILENCE_S), (stormed, SILENCE_S), (calm, 0)):
        assert place.written_at_rest(for_s=silence_s) == []
        assert place.governor.is_ready(), place.governor.last_lines()
