"""The Governor under attack for long: a hundred kills in a storm of changes, two hundred changes of every kind's spec.

The storm's figure fails when what it leaves differs from what a calm apply of the same resources makes, or anything is
an orphan, double or unsaid. The series' figure fails when a change does not end within 60 seconds as wished or clearly
reported, or when anything is written in the two minutes after each of ten stretches of it. The cluster is a real API
server without nodes; every write is counted in its audit log, those included that change nothing.

Run alone: python -m bench.governor_chaos [--quick]
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from governor.local.broker import Broker
from governor.local.database import Database

from bench.figure import Result, is_quick, tell
from cluster.control_plane import ControlPlane, kubectl
from tests.cluster.api import Api
from tests.cluster.attack import Place, storm
from tests.cluster.outcome import as_applied, difference, picture, resources, wrong_in
from tests.cluster.series import Series, bystanders, untouched

ROOT: Final = Path(__file__).parents[1]
KILLS: Final = 100
STORMS: Final = 10  # the kills are spread over so many storms, each from a seed of its own and with an end to compare
CHANGES: Final = 200
STRETCHES: Final = 10
SILENCE_S: Final = 120
READY_TIMEOUT_S: Final = 120


class Ground:
    """An API server with our definitions, a database and a broker."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self._folder = folder
        self._closing = closing
        self.control_plane = ControlPlane(folder / "control-plane", is_audited=True)
        self._database, self._broker = Database(folder / "postgres"), Broker(folder / "kafka")
        for service in (self.control_plane, self._database, self._broker):
            service.start()
            closing.callback(service.stop)
        config = self.control_plane.kubeconfig
        for arguments in (
            ("apply", "-f", str(ROOT / "crds")),
            ("wait", "--for=condition=Established", "crds", "--all"),
        ):
            done = kubectl(config, *arguments, timeout_s=READY_TIMEOUT_S)
            assert done.returncode == 0, done.stderr
        self._api = Api(config)

    @contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """Give a namespace with a Governor of its own, until the end of the block."""
        made = Place(
            name,
            self._folder / name,
            control_plane=self.control_plane,
            api=self._api,
            database=self._database,
            broker=self._broker,
        )
        try:
            yield made
        finally:
            made.close()


def storms(ground: Ground, *, kills: int, count: int) -> Result:
    """Let storms blow, each with its share of the kills, and compare what each leaves with a calm apply."""
    began_s, lines, wrong = time.monotonic(), [], []
    for number in range(count):
        with ground.place(f"storm-{number}") as place, ground.place(f"calm-{number}") as calm:
            done = storm(place, random.Random(number), kills=kills // count)
            place.rest()
            calm.apply(as_applied(resources(place.cluster)))
            calm.governor.start()
            calm.rest()
            left, made = picture(place.cluster), picture(calm.cluster)
            found = wrong_in(place.cluster, place.database_url, place.fleet)
            found += [difference(left.get(name), made.get(name), name) for name in left.keys() | made.keys()]
        here = [each for each in found if each]
        wrong += here
        lines.append(f"seed {number}: {sum(done.values())} changes, {len(left)} objects, {len(here)} wrong")
        print(lines[-1], *here[:5], sep="\n  ", file=sys.stderr, flush=True)
    return Result(
        name="the Governor killed in storms of changes",
        goal=f"{kills} kills, nothing orphaned, double, unsaid or other than a calm apply makes it",
        found=f"{kills} kills, {len(wrong)} wrong, in {time.monotonic() - began_s:.0f} s",
        is_met=not wrong,
        numbers=(*lines, *wrong[:20]),
    )


def series(ground: Ground, *, count: int, stretches: int, silence_s: float) -> Result:
    """Change every kind again and again, with a silence after each stretch."""
    written, slowest_s = 0, 0.0
    with ground.place("series") as place:
        place.apply(bystanders())
        place.governor.start()
        place.rest()
        before = untouched(place)
        changes = Series(place, count, seed_no=1)
        for number in range(count):
            began_s = time.monotonic()
            changes.step(number)
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            if (number + 1) % (count // stretches) == 0:
                place.rest()
                found = place.written_at_rest(for_s=silence_s)
                written += len(found)
                print(f"{number + 1} changes: {len(found)} writes in silence", *found[:5], file=sys.stderr, flush=True)
        wrong = wrong_in(place.cluster, place.database_url, place.fleet)
        is_left_alone = untouched(place) == before
    return Result(
        name="series of generated spec changes, right and wrong",
        goal=f"{count} of each kind, each ends within 60 s; no write in the {silence_s:.0f} s after a stretch",
        found=f"slowest {slowest_s:.1f} s, {written} writes, {len(wrong)} wrong",
        is_met=not written and not wrong and is_left_alone,
        numbers=(
            *(f"{what}: {times}" for what, times in sorted(changes.counts.items())),
            f"a fleet beside it was {'left alone' if is_left_alone else 'written to'}",
            *wrong[:20],
        ),
    )


def main() -> int:
    """Attack, and tell what is left."""
    quick = is_quick()
    with tempfile.TemporaryDirectory(prefix="tradefleet-bench-") as folder, ExitStack() as closing:
        ground = Ground(Path(folder), closing)
        stormed = storms(ground, kills=4 if quick else KILLS, count=1 if quick else STORMS)
        changed = series(
            ground,
            count=4 if quick else CHANGES,
            stretches=1 if quick else STRETCHES,
            silence_s=10 if quick else SILENCE_S,
        )
        return tell(stormed, changed)


if __name__ == "__main__":
    sys.exit(main())
