"""Kills by seed: at random moments and at named points, of every kind of process, each with what it hit."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.integration.lockstep.fleet import BROKER, POSTGRES, SUPERVISOR
from tests.integration.lockstep.injected import sitecustomize as points
from tests.integration.lockstep.run import Run
from tests.integration.lockstep.watch import Flight, bot_of, participant_of
from tradefleet.domain.bar import MINUTE_US

BOT, GATEWAY, VENUE, FEED = "bot", "gateway", "venue", "feed"
BACKEND = "postgres backend"
KINDS = (BOT, GATEWAY, VENUE, FEED, BROKER, POSTGRES, BACKEND, SUPERVISOR)
SHARED = (BROKER, POSTGRES, SUPERVISOR)  # whoever's turn it is stands on them
POLL_S = 0.005
BACK_S = 60.0  # until a killed process must run again, on a machine that others use too
SOON_US = 60 * MINUTE_US  # of market time: bots that trade within it are struck alike
FIRE_S = 180.0  # until a minute has begun, or an armed point was passed: it may take a trade
JITTER_S = 0.08
FEED_PART = 0.6  # a feed is ahead of its run: after this part of it there may be nothing left to do

_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = left(%s, 63)"


@dataclass(frozen=True, slots=True)
class Target:
    """What to kill: a kind, at a named point (None: at a random moment).

    `carrier` is the kind of workload that passes the point, when it is not itself the one that is killed.
    """

    kind: str
    point: str | None = None
    carrier: str = ""
    busy: bool = True  # only while something is carried, not in a turn in which nothing happened


TARGETS = (
    Target(BOT, points.BEFORE_COMMIT),
    Target(BOT, points.INSIDE_COMMIT),
    Target(BOT, points.AFTER_COMMIT),
    Target(BOT, points.AFTER_PRODUCE),
    Target(BOT, points.INSIDE_COMMIT, busy=False),
    Target(BOT),
    Target(BOT),
    Target(GATEWAY, points.BEFORE_COMMIT),
    Target(GATEWAY, points.INSIDE_COMMIT),
    Target(GATEWAY, points.AFTER_COMMIT),
    Target(GATEWAY, points.AFTER_PRODUCE),
    Target(GATEWAY, points.BEFORE_SEND),
    Target(GATEWAY, points.AFTER_SEND),
    Target(GATEWAY),
    Target(VENUE, points.RECEIVED),
    Target(VENUE, points.BEFORE_APPEND),
    Target(VENUE, points.PRODUCED),
    Target(VENUE, points.INSIDE_APPEND),
    Target(VENUE, points.AFTER_APPEND),
    Target(VENUE, points.INSIDE_COMMIT),
    Target(VENUE),
    Target(FEED, points.BEFORE_COMMIT),
    Target(FEED, points.INSIDE_COMMIT),
    Target(FEED, points.AFTER_PRODUCE),
    Target(FEED),
    Target(BROKER, points.INSIDE_APPEND, carrier=VENUE),
    Target(BROKER, points.AFTER_PRODUCE, carrier=GATEWAY),
    Target(POSTGRES, points.INSIDE_COMMIT, carrier=GATEWAY),
    Target(BACKEND, points.INSIDE_COMMIT, carrier=BOT),
    Target(POSTGRES),
    Target(SUPERVISOR, points.BEFORE_SEND, carrier=GATEWAY),
    Target(SUPERVISOR),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A kill that happened. `doing` is what the process said of itself at a named point."""

    target: Target
    name: str
    minute: int
    doing: str
    flight: Flight
    in_flight: bool

    def __str__(self) -> str:
        point = self.target.point or "a random moment"
        via = f" of {self.target.carrier}" if self.target.carrier else ""
        mark = "in flight" if self.in_flight else "idle"
        parts = [self.doing] if self.doing else []
        return (
            f"minute {self.minute:4d}  {self.target.kind:16s} {self.name:30s} at {point}{via}: {mark}: "
            f"{'; '.join([*parts, str(self.flight)])}"
        )


def arm(folder: Path, name: str, order: dict[str, object]) -> None:
    """Order a process to strike at a point; see the sitecustomize beside this."""
    (folder / f"{name}.fired").unlink(missing_ok=True)
    draft = folder / f"{name}.draft"
    draft.write_text(json.dumps(order), encoding="utf-8")
    draft.replace(folder / f"{name}.armed")


def has_fired(folder: Path, name: str) -> bool:
    """Return whether the process has struck."""
    return (folder / f"{name}.fired").exists()


class Killer:
    """Strikes `targets` in an order and at minutes drawn from `seed`, while a run goes on."""

    def __init__(self, run: Run, *, seed: int, minutes: int, targets: Sequence[Target]) -> None:
        self._fleet = run.fleet
        self._watch = run.watch
        self._trades_us = run.reference.trades_us
        self._rng = random.Random(seed)
        self.hits: list[Hit] = []
        self._plan = self._draw(targets, minutes)

    def _draw(self, targets: Sequence[Target], minutes: int) -> list[tuple[int, Target]]:
        """Return when to strike what: spread over the run, the feed while it has something to do."""
        drawn = []
        for target in targets:
            last = minutes * (FEED_PART if target.kind == FEED else 0.95)
            drawn.append((self._rng.randrange(2, max(3, int(last))), self._rng.random(), target))
        return [(minute, target) for minute, _, target in sorted(drawn, key=lambda each: each[:2])]

    def strike_all(self) -> None:
        """Return when all have been struck, or when the run has ended before."""
        for minute, target in self._plan:
            self._wait(
                lambda least=minute: self._watch.minutes >= least or self._watch.is_finished, FIRE_S, f"minute {minute}"
            )
            if self._watch.is_finished:
                return
            self._strike(target)

    def _strike(self, target: Target) -> None:
        time.sleep(self._rng.random() * JITTER_S)
        names = self._fleet.names(target.carrier or target.kind) or [target.kind]
        if target.point is None:
            self._at_random(target, self._rng.choice(names))
            return
        passes = 1 if target.kind == FEED else self._rng.randrange(1, 4)  # a feed commits an hour at once
        if target.busy and BOT in (target.kind, target.carrier):
            names = self._that_trade_soon(names, passes)
        self._at_point(target, self._rng.choice(names), passes)

    def _that_trade_soon(self, names: Sequence[str], trades: int) -> Sequence[str]:
        """Return the bots that have so many trades soon, as the backtest knows; where none has, who has them first."""
        now_us = self._watch.market_us + MINUTE_US  # what fills in the next step was asked for before
        times = {name: [us for us in self._trades_us.get(bot_of(name), ()) if us > now_us] for name in names}
        at_us = {name: each[trades - 1] for name, each in times.items() if len(each) >= trades}
        last_us = max(now_us + SOON_US, min(at_us.values(), default=0))
        return [name for name, found_us in at_us.items() if found_us <= last_us] or names

    def _at_random(self, target: Target, name: str) -> None:
        pid = self._alive(name)
        flight = self._watch.flight()
        os.kill(pid, signal.SIGKILL)
        self._revive(target, pid)
        self._note(target, name, "", flight)

    def _at_point(self, target: Target, name: str, passes: int) -> None:
        """Arm a point in a process, wait until it was passed, and look at what is in flight after the kill."""
        order = {
            "point": target.point,
            "passes": passes,
            "delay_us": self._rng.randrange(100, 1_500),
            "busy": target.busy,
        }
        # In a run with kills a process is at times away just now; and a backend's pid is that of one connection.
        pid = self._alive(name) if not target.carrier else self._victim(target, name)
        folder = self._fleet.points
        arm(folder, name, {**order, "pid": pid if target.carrier else None})
        self._wait(
            lambda: has_fired(folder, name) or self._watch.is_finished, FIRE_S, f"{name} to pass {target.point!r}"
        )
        if not has_fired(folder, name):
            return
        self._revive(target, pid)
        doing = json.loads((folder / f"{name}.fired").read_text(encoding="utf-8"))["doing"]
        flight = self._watch.flight()
        self._note(target, name, doing, flight)

    def _victim(self, target: Target, carrier: str) -> int:
        """Return the pid that the carrier of a point shall kill."""
        self._alive(carrier)
        if target.kind != BACKEND:
            return self._alive(target.kind)
        found: list[int] = []

        def is_connected() -> bool:
            with psycopg.connect(self._fleet.dsn, connect_timeout=5) as connection:
                found[:] = [row[0] for row in connection.execute(_BACKENDS, [carrier])]
            return bool(found)

        self._wait(is_connected, BACK_S, f"the connection of {carrier}")
        return found[0]

    def _revive(self, target: Target, pid: int) -> None:
        """Start the supervisor again once it and what it had started are dead: nobody else does."""
        if target.kind == SUPERVISOR:
            self._wait(lambda: self._fleet.pid(SUPERVISOR) != pid, BACK_S, "the supervisor's end")
            self._fleet.revive()

    def _note(self, target: Target, name: str, doing: str, flight: Flight) -> None:
        mine = participant_of(name, self._watch.participants)
        in_flight = bool(doing) or target.kind in SHARED or (mine is not None and flight.waits_for(mine))
        if target.kind in (GATEWAY, VENUE):
            in_flight = in_flight or bool(flight.unsettled)
        hit = Hit(target, name, self._watch.minutes, doing, flight, in_flight)
        self.hits.append(hit)
        print(f"kill {len(self.hits):3d}  {hit}", flush=True)

    def _alive(self, name: str) -> int:
        found: list[int] = []

        def is_alive() -> bool:
            pid = self._fleet.pid(name)
            found[:] = [] if pid is None else [pid]
            return bool(found)

        self._wait(is_alive, BACK_S, f"{name} to run")
        return found[0]

    def _wait(self, condition: Callable[[], bool], bound_s: float, what: str) -> None:
        deadline = time.monotonic() + bound_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {bound_s:.0f} s for {what}\n{self._fleet.log_tails()}")
            time.sleep(POLL_S)
