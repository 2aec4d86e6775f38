"""What the Governor sees in Postgres: how far runs are, what bots and gateways have committed, which halts are on."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from governor.dataset_status import DatasetFacts
from governor.observation import Books, Held, Seen
from governor.status import AccountView
from governor.workload import account_of
from tradefleet.domain.bots import Closure, config_from_values
from tradefleet.domain.ids import BARS_STREAMS, BotKey, BotUid, Symbol
from tradefleet.domain.progress import FEED, Participant, Phase
from tradefleet.domain.statistics import BotStatistics
from tradefleet.domain.trials import Trial, TrialProgress
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import Resource
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.search import question_of
from tradefleet.resources.trading_bot import TradingBot
from tradefleet.store.ports import RunId
from tradefleet.store.postgres.halts import PostgresHaltStore
from tradefleet.store.postgres.runs import PostgresRuns
from tradefleet.store.postgres.session import Session
from tradefleet.store.postgres.trials import PostgresTrials
from workloads.backtest.lockstep import RunView
from workloads.feeds.content_hash import SeriesContent, dataset_hash

ValueT = TypeVar("ValueT")

ROWS_OF_A_STEP_MAX: Final = 100_000
EVER_US: Final = 2**63 - 1  # later than any market time
OWN_BLOB: Final = "gateway"  # the state row of the gateway machine that belongs to no bot
BOT_BLOB: Final = "bot/"

_RUNS: Final = "SELECT run, participant FROM tradefleet.run_participant WHERE fleet = %(fleet)s"
_LAST_FEED_ROW: Final = """
SELECT market_us, has_left FROM tradefleet.progress
WHERE fleet = %(fleet)s AND run = %(run)s AND phase = %(phase)s AND participant = %(feed)s
ORDER BY market_us DESC LIMIT 1"""
_LEFT: Final = """
SELECT DISTINCT participant FROM tradefleet.progress
WHERE fleet = %(fleet)s AND run = %(run)s AND has_left AND participant LIKE 'bot:%%'
    AND market_us < %(before_us)s"""
_COMMANDS: Final = "SELECT uid, config::text FROM tradefleet.bot_command WHERE fleet = %(fleet)s"
_BLOBS: Final = (
    "SELECT account, key, value FROM tradefleet.gateway_blob WHERE fleet = %(fleet)s AND account = ANY(%(accounts)s)"
)
_OPEN_ORDERS: Final = """
SELECT uid, count(*) FROM tradefleet.trade_order
WHERE fleet = %(fleet)s AND account = ANY(%(accounts)s) AND is_open GROUP BY uid"""
_STATISTICS: Final = """
SELECT found.* FROM unnest(%(uids)s::text[]) AS wanted(uid), LATERAL (
    SELECT uid, bot, market_us, quote, equity_atoms, hold_atoms, peak_equity_atoms, realized_atoms, fees_atoms, orders,
        fills, open_orders, positions
    FROM tradefleet.statistics WHERE fleet = %(fleet)s AND statistics.uid = wanted.uid ORDER BY market_us DESC LIMIT 1
) AS found"""
_BOTS: Final = """
SELECT bot.uid, bot.epoch, bot.input_count - coalesce(snapshot.ordinal, 0), bot.host,
    CASE WHEN bot.holder <> '' AND bot.lease_until_us > tradefleet.now_us() THEN bot.generation ELSE 0 END, bot.trouble
FROM tradefleet.bot
LEFT JOIN tradefleet.bot_snapshot AS snapshot ON snapshot.fleet = bot.fleet AND snapshot.uid = bot.uid
    AND snapshot.generation = bot.record_generation
WHERE bot.fleet = %(fleet)s AND bot.uid = ANY(%(uids)s)"""
_GATEWAYS: Final = "SELECT account, epoch FROM tradefleet.gateway WHERE fleet = %(fleet)s"
_RECORDED: Final = """
SELECT series.dataset, series.symbol, series.interval_us, series.bars, series.content_hash, first_us, last_us, stretches
FROM tradefleet.dataset_series AS series, LATERAL (
    SELECT min(first_open_us) AS first_us, max(last_open_us) AS last_us, count(*) AS stretches
    FROM tradefleet.dataset_coverage AS part WHERE part.fleet = series.fleet AND part.dataset = series.dataset
        AND part.symbol = series.symbol AND part.interval_us = series.interval_us
) AS covered
WHERE series.fleet = %(fleet)s AND series.dataset = ANY(%(datasets)s)"""
_BARS: Final = """
SELECT stream, last_seq FROM tradefleet.stream WHERE fleet = %(fleet)s AND starts_with(stream, 'bars/')"""


_HAS_BOTS: Final = """
SELECT FROM tradefleet.bot_command WHERE fleet = %(fleet)s AND starts_with(account, %(begin)s) LIMIT 1"""


class _Decoded(Generic[ValueT]):
    """Decoded values by key. A value whose text is as it was is not decoded again, and stays the same object."""

    def __init__(self, decode: Callable[[Any], ValueT]) -> None:
        self._decode = decode
        self._known: dict[str, tuple[object, ValueT]] = {}

    def all(self, rows: Iterable[tuple[str, Any]]) -> dict[str, ValueT]:
        """Return the values of all rows, and forget what is not among them."""
        before = self._known
        self._known = {key: self._of(before.get(key), text) for key, text in rows}
        return {key: value for key, (_, value) in self._known.items()}

    def _of(self, known: tuple[object, ValueT] | None, text: object) -> tuple[object, ValueT]:
        return known if known is not None and known[0] == text else (text, self._decode(text))


class Eyes:
    """Reads what was committed. `runs` are followed until they are finished, and then known to be."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runs = PostgresRuns(session)
        self._halts = PostgresHaltStore(session)
        self._trials = PostgresTrials(session)
        self._finished: set[str] = set()
        self._best: dict[tuple[str, str, int], Trial] = {}  # by UID, question and number: they never change
        self._configs = _Decoded(lambda text: config_from_values(json.loads(text)))
        self._books = _Decoded(_books)
        self._statistics = _Decoded(statistics_of)

    def look(self, resources: Collection[Resource]) -> Seen:
        """Return what is there of the bots, accounts and recorded datasets among the resources. Raises Retryable."""
        bots_there = [each for each in resources if isinstance(each, TradingBot)]
        uids = sorted(bot.metadata.uid or "" for bot in bots_there)
        accounts = sorted(account_of(each) for each in resources if isinstance(each, Exchange))
        ending = any(bot.metadata.deletion_timestamp is not None for bot in bots_there)
        recordings = sorted(
            each.key.full_name for each in resources if isinstance(each, Dataset) and each.spec.exchange_ref is not None
        )
        runs: dict[str, set[Participant]] = {}
        for run, participant in self._read(_RUNS):
            runs.setdefault(run, set()).add(participant)
        for run in runs.keys() - self._finished:
            if self._is_finished(run, runs[run]):
                self._finished.add(run)
        left = (  # asked for only when some bot is on its way out of a run
            {name for run in runs.keys() - self._finished for (name,) in self._read(_LEFT, run=run, before_us=EVER_US)}
            if ending
            else ()
        )
        blobs = list(self._read(_BLOBS, accounts=accounts))
        own = {account: json.loads(value) for account, key, value in blobs if key == OWN_BLOB}
        bots = self._read(_BOTS, uids=uids)
        bars: dict[str, int] = {}
        for stream, last_seq in self._read(_BARS):
            exchange = stream.removeprefix(BARS_STREAMS).partition(":")[0]
            bars[exchange] = bars.get(exchange, 0) + last_seq
        trials = self._trials.progress(
            {each.metadata.uid or "": question_of(each) for each in resources if isinstance(each, Backtest)}
        )
        return Seen(
            trials=trials,
            best_trials=dict(self._best_trials(trials)),
            runs={run: frozenset(participants) for run, participants in runs.items()},
            terms=self._runs.terms_of_runs(),
            finished=frozenset(self._finished),
            left=frozenset(left),
            configs={BotUid(uid): config for uid, config in self._configs.all(self._read(_COMMANDS)).items()},
            books=self._books.all(
                (key.removeprefix(BOT_BLOB), value) for _, key, value in blobs if key.startswith(BOT_BLOB)
            ),
            open_orders=dict(self._read(_OPEN_ORDERS, accounts=accounts)),
            statistics=self._statistics.all((row[0], row[1:]) for row in self._read(_STATISTICS, uids=uids)),
            epochs={uid: epoch for uid, epoch, *_ in bots},
            refolds={uid: inputs for uid, _, inputs, *_ in bots},
            held={
                uid: Held(host=host, generation=generation, trouble=trouble)
                for uid, _, _, host, generation, trouble in bots
            },
            gateway_epochs=dict(self._read(_GATEWAYS)),
            accounts={
                account: AccountView(
                    mismatch=state["mismatch"],
                    external_orders=state["external_orders"],
                    external=tuple(state["external"]),
                    reconciled_us=state["reconciled_us"],
                )
                for account, state in own.items()
            },
            refusals={uid: why for state in own.values() for uid, why in state["refusals"].items()},
            bars=bars,
            halts=tuple(self._halts.active_halts()),
            recorded=_recordings(self._read(_RECORDED, datasets=recordings)) if recordings else {},
        )

    def has_bots(self, namespace: str) -> bool:
        """Return whether bots of a namespace were told to trade, and not wound down since. Raises Retryable."""
        return bool(self._read(_HAS_BOTS, begin=f"{namespace}/"))

    def _read(self, query: str, **parameters: Any) -> list[Any]:  # noqa: ANN401 - rows and parameters of any query
        return self._session.read(query, {"fleet": self._session.fleet, **parameters})

    def _best_trials(self, trials: Mapping[str, TrialProgress]) -> Iterator[tuple[str, Trial]]:
        """Yield the best trial of each run that is done, by UID; each is read once."""
        wanted = {
            (uid, each.question, each.best.number)
            for uid, each in trials.items()
            if each.is_done and each.best is not None
        }
        self._best = {place: trial for place, trial in self._best.items() if place in wanted}
        for place in wanted:
            uid, question, number = place
            trial = self._best.get(place) or self._trials.trial(uid, question, number)
            if trial is not None:
                self._best[place] = trial
                yield uid, trial

    def _is_finished(self, run: str, participants: Iterable[Participant]) -> bool:
        """Return whether the last step of the data has ended; only the rows of that step are read."""
        rows = self._read(_LAST_FEED_ROW, run=run, phase=int(Phase.FEED), feed=FEED)
        if not rows or not rows[0][1]:
            return False
        last_us = rows[0][0]
        gone = {name for (name,) in self._read(_LEFT, run=run, before_us=last_us)}
        view = RunView(set(participants) - gone)
        view.offer(
            self._runs.progress_from(
                RunId(run), market_us=last_us, round_no=0, phase=0, until_us=last_us, limit=ROWS_OF_A_STEP_MAX
            )
        )
        return view.is_finished


def _recordings(rows: Iterable[tuple[Any, ...]]) -> dict[str, DatasetFacts]:
    """Return what each recorded dataset holds, from the rows of its series."""
    by_dataset: dict[str, list[tuple[Any, ...]]] = {}
    for dataset, *series in rows:
        by_dataset.setdefault(dataset, []).append(tuple(series))
    found = {}
    for dataset, series_rows in by_dataset.items():
        content = [SeriesContent(Symbol(row[0]), row[1], row[2], row[3]) for row in series_rows]
        spans = [((last - first) // interval + 1, bars) for _, interval, bars, _, first, last, _ in series_rows]
        found[dataset] = DatasetFacts(
            bars=sum(row[2] for row in series_rows),
            gaps=sum(row[6] - 1 for row in series_rows),
            missing_bars=sum(whole - bars for whole, bars in spans),
            first_us=min(row[4] for row in series_rows),
            last_us=max(row[5] for row in series_rows),
            content_hash=dataset_hash(content),
        )
    return found


def _books(value: bytes) -> Books:
    state = json.loads(value)
    return Books(
        is_ending=bool(state["deleting"]) or state["state"] == "Stopped",
        has_exits=bool(state["exits"]),
        lots={Symbol(symbol): held["lots"] for symbol, held in state["positions"].items()},
        closures={Closure(cause): why for cause, why in state["closures"].items()},
        unreadable_seq=state["unreadable_seq"],
        is_drawn_down=state["is_drawn_down"],
        absent_since_us=state.get("absent_since_us", 0),  # books of before the switch have no such thing
        is_abandoned=state.get("is_abandoned", False),
    )


def statistics_of(row: tuple[Any, ...]) -> BotStatistics:
    """Return a row of the table of statistics, without its fleet and UID."""
    bot, market_us, quote, equity, hold, peak, realized, fees, orders, fills, open_orders, positions = row
    return BotStatistics(
        bot=BotKey(bot),
        market_us=market_us,
        quote=quote,
        equity_atoms=int(equity),
        hold_atoms=None if hold is None else int(hold),
        peak_equity_atoms=int(peak),
        realized_atoms=int(realized),
        fees_atoms=int(fees),
        orders=orders,
        fills=fills,
        open_orders=open_orders,
        positions=tuple((Symbol(symbol), lots) for symbol, lots in positions.items()),
    )
