"""The edge of a replaying feed: bars are committed as their streams' outbox, then published (rules 6, 21)."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from tradefleet.domain.bar import Bar, format_interval
from tradefleet.domain.ids import StreamName, bars_stream
from tradefleet.domain.progress import FEED, Phase, Progress
from tradefleet.domain.times import format_time
from tradefleet.messages.codec import encode
from tradefleet.messages.convert import bar_message
from tradefleet.runtime.follower import RunFollower
from tradefleet.runtime.ports import Clock, Publisher
from tradefleet.store.ports import FeedCommit, FeedStore, Lease, OutboxMessage, RunId, RunStore, feed_lease
from workloads.backtest.lockstep import RunView
from workloads.feeds.errors import PlayedBefore, SourceChanged
from workloads.feeds.ports import ReplaySource

STEPS_AHEAD = 256  # how far a lockstep feed may run ahead of its run
STEPS_A_COMMIT = 64


class FeedDatabase(FeedStore, RunStore, Protocol):
    """Everything the feed's edge reads and writes."""


class Pace(Protocol):
    """When a step is due in a free run."""

    def due_us(self, market_us: int) -> int:
        """Return the monotonic time at which the step at `market_us` may leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPlan:
    """How this feed runs."""

    feed: str  # "namespace/name"
    exchange: str  # "namespace/name"
    holder: str
    generation: int
    owner: str = ""  # UID of the Feed
    bars_topic: str
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000


class FeedWorker:
    """Replays a source once, from where its streams ended."""

    def __init__(
        self,
        plan: FeedPlan,
        *,
        store: FeedDatabase,
        source: ReplaySource,
        publisher: Publisher,
        clock: Clock,
        pace: Pace | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._source = source
        self._publisher = publisher
        self._clock = clock
        self._pace = pace
        self._encode_bar = bar_encoder(plan)
        self._lease: Lease | None = None
        self._seqs: dict[StreamName, int] = {}
        self._steps: Iterator[tuple[int, list[Bar]]] = iter(())
        self._next: tuple[int, list[Bar]] | None = None
        self._ahead: list[int] = []  # market times of committed steps that the run has not finished
        self._view: RunView | None = None
        self._follower: RunFollower | None = None
        self.is_finished = False

    def start(self) -> None:
        """Take the lease and find the first step that was not committed. Raises SourceChanged, PlayedBefore."""
        plan = self._plan
        self._lease = self._store.acquire(
            feed_lease(plan.feed),
            holder=plan.holder,
            generation=plan.generation,
            ttl_us=plan.lease_ttl_us,
            owner=plan.owner,
        )
        self._seqs, self._ahead, self.is_finished = {}, [], False
        if plan.run is not None:
            self._view = RunView(self._store.participants(plan.run))
            self._follower = RunFollower(self._store, plan.run, (), self._view)
        self._steps = iter(self._source.steps())
        self._skip_committed()
        self._publisher.sweep(sorted(self._seqs))

    def _skip_committed(self) -> None:
        """Advance the source past the bars that the streams hold: what was committed is not sent under new numbers."""
        skipped: dict[StreamName, int] = {}
        newest: dict[StreamName, Bar] = {}
        counted: dict[StreamName, Bar] = {}  # where as many are left out as were committed
        while (bars := self._skip_step(skipped)) is not None:
            for bar in bars:
                stream = self._stream(bar)
                newest[stream] = bar
                if skipped[stream] <= self._last_seq(stream):
                    counted[stream] = bar
        self.is_finished = self._next is None
        if self._ahead and self._plan.run is not None:
            self._check_run(self._plan.run)
        for stream, bar in counted.items():
            self._check_source(stream, min(skipped[stream], self._last_seq(stream)), {bar, newest[stream]})

    def _skip_step(self, skipped: dict[StreamName, int]) -> list[Bar] | None:
        """Leave out the next step and return its bars; None when there is none, or it was not committed."""
        self._next = next(self._steps, None)
        if self._next is None:
            return None
        market_us, bars = self._next
        streams = [self._stream(bar) for bar in bars]
        last_seqs = [self._last_seq(stream) for stream in streams]  # of each, since each will be swept
        if all(skipped.get(stream, 0) >= seq for stream, seq in zip(streams, last_seqs, strict=True)):
            return None  # a step is committed whole or not at all
        for stream in streams:
            skipped[stream] = skipped.get(stream, 0) + 1
        self._ahead.append(market_us)
        return bars

    def _check_run(self, run: RunId) -> None:
        """Raise PlayedBefore when bars are left out that the run has never had: it would wait for them for ever."""
        if self._store.progress_from(run, market_us=0, round_no=0, phase=Phase.FEED, limit=1):
            return
        plan = self._plan
        raise PlayedBefore(
            f"feed {plan.feed}: its data was played before on Exchange {plan.exchange}, up to "
            f"{format_time(self._ahead[-1])}, and a lockstep run begins with the first bar: play it on an Exchange of "
            "another name, or go on from there with speed: max"
        )

    def _check_source(self, stream: StreamName, number: int, left_out: Collection[Bar]) -> None:
        """Raise SourceChanged unless bar `number` of a stream, the last that is compared, is among those left out.

        Of an instrument that joined later more are left out than were committed: then it is the very last one.
        """
        for _, known in self._store.read_bars(stream, after=number - 1, limit=1):
            if known in left_out:
                continue
            found = min(left_out)
            raise SourceChanged(
                f"feed {self._plan.feed}: {self._source.origin(known.symbol)}: its "
                f"{format_interval(known.interval_us)} bar of {known.symbol} was {known[3:]} at "
                f"{format_time(known.open_us)} when it was played, now it is {found[3:]} at "
                f"{format_time(found.open_us)}. Bring the source back as it was, or play it on an "
                "Exchange of another name"
            )

    def _stream(self, bar: Bar) -> StreamName:
        return bars_stream(self._plan.exchange, bar.symbol, bar.interval_us)

    def _last_seq(self, stream: StreamName) -> int:
        seq = self._seqs.get(stream)
        if seq is None:
            seq = self._seqs[stream] = self._store.last_seq(stream)
        return seq

    def stop(self) -> None:
        """Give the lease back."""
        if self._lease is not None:
            self._store.release(self._lease)
            self._lease = None

    def step(self, timeout_us: int) -> bool:
        """Commit and publish what is due."""
        plan, lease = self._plan, self._lease
        assert lease is not None, "step() before start()"
        if self._clock.monotonic_us() >= lease.deadline_us - plan.lease_ttl_us // 2:
            self._lease = self._store.renew(lease, ttl_us=plan.lease_ttl_us)
        self._publisher.serve()
        room = self._room()
        if room == 0 or self._next is None:
            self._clock.sleep_us(timeout_us)  # there are bars for longer than that
            return False
        batch = self._due_steps(room, timeout_us)
        if not batch:
            return False
        self._commit(batch)
        return True

    def _room(self) -> int:
        """Return how many more steps may be committed now: a whole commit's, or none."""
        if self._follower is None or self._view is None:
            return STEPS_A_COMMIT
        if len(self._ahead) + STEPS_A_COMMIT > STEPS_AHEAD:
            self._follower.refresh()
            reached_us = self._view.market_us
            self._ahead = [market_us for market_us in self._ahead if market_us > reached_us]
        return STEPS_A_COMMIT if len(self._ahead) + STEPS_A_COMMIT <= STEPS_AHEAD else 0

    def _due_steps(self, limit: int, timeout_us: int) -> list[tuple[int, list[Bar]]]:
        if self._pace is None:
            return list(islice(self._take(), limit))
        assert self._next is not None
        wait_us = self._pace.due_us(self._next[0]) - self._clock.monotonic_us()
        if wait_us > 0:
            self._clock.sleep_us(min(wait_us, timeout_us))
            if wait_us > timeout_us:
                return []
        batch: list[tuple[int, list[Bar]]] = []
        for step in islice(self._take(), limit):
            batch.append(step)
            if not self._is_due():
                break
        return batch

    def _is_due(self) -> bool:
        if self._next is None or self._pace is None:
            return False
        return self._pace.due_us(self._next[0]) <= self._clock.monotonic_us()

    def _take(self) -> Iterator[tuple[int, list[Bar]]]:
        while self._next is not None:
            step, self._next = self._next, next(self._steps, None)
            yield step

    def _commit(self, batch: list[tuple[int, list[Bar]]]) -> None:
        plan = self._plan
        assert self._lease is not None
        numbered: list[tuple[StreamName, int, Bar]] = []
        rows: list[Progress] = []
        for market_us, bars in batch:
            produced: dict[StreamName, int] = {}
            for bar in bars:
                stream = self._stream(bar)
                seq = self._seqs[stream] = self._last_seq(stream) + 1
                produced[stream] = seq
                numbered.append((stream, seq, bar))
            is_last = self._next is None and market_us == batch[-1][0]
            rows.append(
                Progress(
                    participant=FEED,
                    market_us=market_us,
                    round=0,
                    phase=Phase.FEED,
                    produced=produced,
                    left=is_last,
                )
            )
        self._store.commit_feed(
            FeedCommit(
                lease=self._lease,
                bars=numbered,
                exchange=plan.exchange,
                run=plan.run,
                progress=rows if plan.run is not None else (),
            )
        )
        self._ahead.extend(market_us for market_us, _ in batch)
        self._publisher.publish([self._encode_bar(stream, seq, bar) for stream, seq, bar in numbered])
        self.is_finished = self._next is None


def bar_encoder(plan: FeedPlan) -> Callable[[StreamName, int, Bar], OutboxMessage]:
    """Return what makes the message of one of the feed's bars."""

    def encode_bar(stream: StreamName, seq: int, bar: Bar) -> OutboxMessage:
        return OutboxMessage(
            stream=stream,
            seq=seq,
            topic=plan.bars_topic,
            key=f"{plan.exchange}:{bar.symbol}",
            market_us=bar.close_us,
            payload=encode(bar_message(stream, seq, plan.exchange, bar)),
        )

    return encode_bar
