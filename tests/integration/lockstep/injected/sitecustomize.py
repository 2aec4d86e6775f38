"""Makes a process of the fleet die at a named point, from outside the product: Python imports this file by its name.

A test puts this folder on the PYTHONPATH of the processes it starts and names a folder in LOCKSTEP_POINTS. A process
that finds `COMPONENT.armed` there sends SIGKILL, to itself or to the pid in the file, when it has passed the point
named in it so many times; just before, it leaves `COMPONENT.fired` with what it was doing.
"""

# ruff: noqa: PLC0415 - a process imports here only what it runs anyway

import functools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

BEFORE_COMMIT = "before COMMIT"
INSIDE_COMMIT = "inside COMMIT"
AFTER_COMMIT = "after COMMIT, before publish"
AFTER_PRODUCE = "after produce, before its acknowledgement"
BEFORE_SEND = "before send"
AFTER_SEND = "after send, before ack"
BEFORE_APPEND = "before append"
PRODUCED = "after produce, before the journal's commit"
INSIDE_APPEND = "inside the journal's commit"
AFTER_APPEND = "after append, before the progress row"
RECEIVED = "after taking requests, before the answer"
ONE_LOT_MORE = "one lot more"
DELAY_US_MIN = 30


class Points:
    """What is armed for this process. Passing a point costs one look at the file system."""

    def __init__(self, folder: Path, component: str) -> None:
        self._armed = folder / f"{component}.armed"
        self._fired = folder / f"{component}.fired"
        self._passes = 0
        self._bomb: tuple[threading.Thread, threading.Event] | None = None
        self.doing = ""  # what is being made durable or sent, told by the wrapped ports
        self.is_busy = False  # it carries more than a turn in which nothing happened
        self.in_commit = False  # of something that is worth a kill: leases and marks are not

    def about(self, doing: str, *, is_busy: bool) -> None:
        """Note what is under way."""
        self.doing, self.is_busy = doing, is_busy

    def reached(self, point: str) -> dict[str, Any] | None:
        """Return the order to strike here, when there is one and the point was passed often enough."""
        try:
            order: dict[str, Any] = json.loads(self._armed.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if order["point"] != point or (order["busy"] and not self.is_busy):
            return None
        self._passes += 1
        return order if self._passes >= order["passes"] else None

    def strike(self, point: str) -> None:
        """Kill here, if that was ordered."""
        order = self.reached(point)
        if order is not None:
            self.fire(order)

    def fire(self, order: dict[str, Any]) -> None:
        """Leave what is in flight, disarm, and kill."""
        self._passes = 0
        self.report(order)
        os.kill(order["pid"] or os.getpid(), signal.SIGKILL)

    def report(self, order: dict[str, Any]) -> None:
        """Say what was done and during what, and disarm."""
        temporary = self._fired.with_suffix(".new")
        temporary.write_text(json.dumps({**order, "doing": self.doing}), encoding="utf-8")
        self._armed.unlink()
        temporary.replace(self._fired)

    def light(self, point: str) -> None:
        """If that was ordered, kill so many microseconds from now, unless `defuse` comes first."""
        order = self.reached(point)
        if order is not None:
            ended = threading.Event()
            thread = threading.Thread(target=self._burn, args=(order, ended), daemon=True)
            self._bomb = (thread, ended)
            thread.start()

    def defuse(self) -> None:
        """What was to be struck has ended: its next time will be, after half the time."""
        if self._bomb is not None:
            thread, ended = self._bomb
            self._bomb = None
            ended.set()
            thread.join()

    def _burn(self, order: dict[str, Any], ended: threading.Event) -> None:
        until = time.perf_counter_ns() + 1_000 * order["delay_us"]
        while time.perf_counter_ns() < until:
            if ended.is_set():
                order["delay_us"] = max(DELAY_US_MIN, order["delay_us"] // 2)
                self._armed.write_text(json.dumps(order), encoding="utf-8")
                return
            time.sleep(0)
        self.fire(order)


def wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function by what `make` makes of it."""
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def before_and_after(points: Points, before: str, after: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a wrapper that passes a point before a call and one after it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if before:
                points.strike(before)
            result = original(*arguments, **named)
            points.strike(after)
            return result

        return wrapped

    return make


# --- COMMIT -----------------------------------------------------------------------------------------------------------


def watch_commits(points: Points) -> None:
    """Strike around COMMIT: of a transaction, or of the one statement that is a transaction of its own."""
    from tradefleet.store.postgres.session import Session, Transaction

    def commit(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Session, query: str, params: Any) -> Any:
            if points.in_commit:
                points.strike(BEFORE_COMMIT)
                points.light(INSIDE_COMMIT)
            return original(self, query, params)

        return wrapped

    def run(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Transaction, query: str, params: Any = None) -> Any:
            if query == "COMMIT" and points.in_commit:
                points.strike(BEFORE_COMMIT)
                points.light(INSIDE_COMMIT)
            return original(self, query, params)

        return wrapped

    wrap(Session, "commit", commit)
    wrap(Transaction, "run", run)


@contextmanager
def committing(points: Points) -> Iterator[None]:
    """A block whose commit may be struck."""
    points.in_commit = True
    try:
        yield
    finally:
        points.in_commit = False
        points.defuse()
    points.strike(AFTER_COMMIT)


def watch_port(
    points: Points, owner: Any, name: str, describe: Callable[..., tuple[str, bool]], place: str = ""
) -> None:
    """Make a method of a store one whose commit may be struck; `place` is a point before it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
            doing, is_busy = describe(*arguments, **named)
            points.about(doing, is_busy=is_busy)
            if place:
                points.strike(place)
            with committing(points):
                return original(self, *arguments, **named)

        return wrapped

    wrap(owner, name, make)


def turn(progress: Any) -> str:
    """Return a turn in words."""
    if progress is None:
        return "no turn"
    return f"turn {progress.market_us} round {progress.round} {progress.phase.name}"


def span(numbers: Sequence[int]) -> str:
    """Return numbers in words."""
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


# --- the kinds of processes -------------------------------------------------------------------------------------------


def watch_bus(points: Points) -> None:
    """Strike when a message is with the client library, and perhaps with the broker."""
    from tradefleet.bus.kafka import KafkaBus

    wrap(KafkaBus, "publish", before_and_after(points, "", AFTER_PRODUCE))


def watch_bot(points: Points) -> None:
    """A bot: its commit, what it publishes, and what its order says."""
    from tradefleet.domain.orders import OrderRequest
    from tradefleet.store.postgres.bots import PostgresBotStore
    from workloads.strategy import slot

    def describe(commits: Sequence[Any]) -> tuple[str, bool]:
        requests = [message.seq for commit in commits for message in commit.requests]
        inputs = sum(len(commit.sources) for commit in commits)
        text = f"{turn(commits[0].progress)}, {inputs} inputs"
        return (f"{text}, requests {span(requests)}" if requests else text), bool(requests)

    def one_lot_more(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(request: Any, *arguments: Any) -> Any:
            if isinstance(request, OrderRequest):
                points.about(f"request {request.seq}", is_busy=True)
                order = points.reached(ONE_LOT_MORE)
                if order is not None:
                    points.report(order)
                    request = replace(request, terms=replace(request.terms, lots=request.terms.lots + 1))
            return original(request, *arguments)

        return wrapped

    watch_port(points, PostgresBotStore, "commit_bots", describe)
    wrap(slot, "request_message", one_lot_more)


def watch_gateway(points: Points) -> None:
    """A gateway: its transaction, its executions, and what it sends to the venue."""
    from tradefleet.store.postgres.gateways import PostgresGatewayStore, PostgresGatewayTransaction
    from workloads.exchange.adapters import simulator

    def transaction(original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def wrapped(self: Any, account: Any) -> Iterator[Any]:
            with committing(points), original(self, account) as opened:
                yield opened

        return wrapped

    def write(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, commit: Any) -> None:
            parts = [turn(commit.progress)]
            parts += [f"{len(commit.fills)} fills"] * bool(commit.fills)
            parts += [f"{len(commit.executions)} executions"] * bool(commit.executions)
            numbers = [row.request.no for row in commit.venue_requests]
            parts += [f"venue requests {span(numbers)}"] if numbers else []
            points.about(", ".join(parts), is_busy=bool(commit.executions or numbers))
            original(self, commit)

        return wrapped

    def send(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, requests: Sequence[Any]) -> None:
            points.about(f"venue requests {span([request.no for request in requests])}", is_busy=True)
            points.strike(BEFORE_SEND)
            sending.append(True)
            try:
                original(self, requests)
            finally:
                sending.clear()

        return wrapped

    def read_frame(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(connection: Any) -> bytes:
            if sending:
                points.strike(AFTER_SEND)
            body: bytes = original(connection)
            return body

        return wrapped

    sending: list[bool] = []
    wrap(PostgresGatewayStore, "gateway_transaction", transaction)
    wrap(PostgresGatewayTransaction, "write", write)
    wrap(simulator.SimulatorVenue, "send", send)
    wrap(simulator, "read_frame", read_frame)


def watch_venue(points: Points) -> None:
    """A simulator: its journal, its progress row, and what it takes from its gateway."""
    from tradefleet.bus.kafka_journal import KafkaJournal
    from tradefleet.store.postgres.venues import PostgresVenueStore
    from workloads.exchange.venue_worker import VenueWorker

    def append(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, values: Sequence[bytes]) -> Any:
            size = sum(map(len, values))
            points.about(f"journal: {len(values)} records of {size} bytes", is_busy=True)
            points.strike(BEFORE_APPEND)
            try:
                return original(self, values)
            finally:
                points.defuse()

        return wrapped

    def produce(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, values: Sequence[bytes]) -> None:
            original(self, values)
            points.strike(PRODUCED)
            points.light(INSIDE_APPEND)  # the commit is the next that the caller does

        return wrapped

    def receive(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(self: Any, account: Any, requests: Sequence[Any]) -> None:
            original(self, account, requests)
            points.about(f"venue requests {span([request.no for request in requests])}", is_busy=True)
            points.strike(RECEIVED)

        return wrapped

    def describe(lease: Any, run: Any, progress: Any) -> tuple[str, bool]:
        reports = list(progress.produced.values())
        return turn(progress) + (f", reports up to {reports[0]}" if reports else ""), bool(reports)

    watch_port(points, PostgresVenueStore, "commit_venue_progress", describe, place=AFTER_APPEND)
    wrap(KafkaJournal, "append", append)
    wrap(KafkaJournal, "_send", produce)
    wrap(VenueWorker, "receive", receive)


def watch_feed(points: Points) -> None:
    """A feed: its commit of bars, and what it publishes."""
    from tradefleet.store.postgres.feeds import PostgresFeedStore

    def describe(commit: Any) -> tuple[str, bool]:
        numbers = [seq for _, seq, _ in commit.bars]
        return f"{len(numbers)} bars {span(sorted(numbers))}", True

    watch_port(points, PostgresFeedStore, "commit_feed", describe)


WATCHES: dict[str, Callable[[Points], None]] = {
    "bot": watch_bot,
    "gateway": watch_gateway,
    "venue": watch_venue,
    "feed": watch_feed,
}


def main() -> None:
    """Wrap the ports of this process, if it is one that a test watches."""
    folder = os.environ.get("LOCKSTEP_POINTS")
    component = os.environ.get("TRADEFLEET_COMPONENT", "")
    watch = WATCHES.get(component.partition("-")[0])
    if folder and watch is not None:
        points = Points(Path(folder), component)
        watch_commits(points)
        watch_bus(points)
        watch(points)


main()
