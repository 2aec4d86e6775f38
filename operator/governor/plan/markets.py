"""Markets: an exchange with the feed that plays it and the bots that trade there, or why it cannot be traded on."""

from dataclasses import dataclass

from governor.annotations import is_owned
from governor.dataset_status import is_conditional
from governor.ending import sells_on
from governor.plan.data import as_mounted, refuse_own_files
from governor.plan.draft import Draft
from governor.plan.strategies import NotRunnable
from governor.workload import Needs
from tradefleet.domain.errors import FleetError
from tradefleet.resources.backtest import Backtest
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.derived_feed import derived_feed
from tradefleet.resources.exchange import SIMULATOR, Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.replay_plan import Surroundings, feed_settings
from tradefleet.resources.to_domain import ExchangeTerms, Series, exchange_terms, played_series
from tradefleet.resources.trading_bot import TradingBot


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """An exchange with the feed that plays its market and the bots that trade on it."""

    exchange: Exchange
    terms: ExchangeTerms
    feed: Feed | None
    replay: dict[str, object]
    series: frozenset[Series]
    bots: tuple[TradingBot, ...]
    run: str | None  # of lockstep, until it has come to its end
    began_as: dict[str, object] | None  # what the exchange was when the run began

    @property
    def settings(self) -> dict[str, object]:
        """What gateway, simulator and bots are told of the exchange: an edit waits for the end of a lockstep run."""
        return self.terms.settings(self.series) if self.began_as is None else self.began_as

    @property
    def is_edited(self) -> bool:
        """Whether an edit waits."""
        return self.settings != self.terms.settings(self.series) or self._has_new_replay

    @property
    def _has_new_replay(self) -> bool:
        """Whether the derived Feed plays something else than its Exchange says: it is changed at once, but in a run."""
        if self.feed is None or not is_owned(self.feed):
            return False
        wanted = derived_feed(self.exchange)
        return wanted is None or wanted.digest() != self.feed.digest()

    def brings(self, symbol: str, interval_us: int) -> bool:
        """Return whether bars of that instrument and interval come."""
        return any((str(played), length_us) == (symbol, interval_us) for played, length_us in self.series)


def find_market(draft: Draft, exchange: Exchange) -> Market | None:
    """Return an exchange with all that belongs to it; None, with a verdict, when it cannot be traded on."""
    bots = tuple(bot for bot in draft.all(TradingBot) if bot.exchange_key == exchange.key)
    if exchange.spec.venue != SIMULATOR:
        message = f"venue {exchange.spec.venue} cannot be traded on yet: this release knows venue: simulator"
        draft.say(exchange, "VenueNotSupported", message, stalled=True)
        return None
    if exchange.spec.suspend:
        draft.say(exchange, "Suspended", "its gateway is stopped: set suspend to false", stalled=False)
        return None
    if exchange.metadata.deletion_timestamp is not None and not bots:
        draft.say(exchange, "Deleting", "is being deleted", stalled=False)
        return None
    try:
        terms = exchange_terms(exchange)
    except FleetError as error:
        draft.say(exchange, "InvalidSpec", str(error), stalled=True)
        return None
    draft.listed[terms.exchange] = tuple(terms.instruments.values())
    feed, replay, series = _feed_of(draft, exchange, terms, bots)
    run = _run_of(draft, feed)
    return Market(
        exchange=exchange,
        terms=terms,
        feed=feed,
        replay=replay,
        series=series,
        bots=bots,
        run=run,
        began_as=draft.observed.terms.get(run or "") or None,
    )


def needs_of_replay(draft: Draft, feed: Feed) -> Needs:
    """Return what the pod of a replay needs to read all that it plays."""
    named = () if feed.spec.replay is None else feed.spec.replay.dataset_refs
    keys = (ResourceKey("Dataset", feed.key.namespace, each.name) for each in named)
    return sum(((draft.needs or {}).get(key, Needs()) for key in keys), Needs())


def may_be_played(draft: Draft, player: Feed | Backtest, dataset: Dataset) -> bool:
    """Return whether a dataset may be played: one with conditions once it was read. What has begun goes on."""
    if not is_conditional(dataset) or player.metadata.uid in draft.observed.runs:
        return True
    name = dataset.metadata.name
    if dataset.key in draft.observed.refused:
        message = f"Dataset {name} cannot be played: {draft.observed.refused[dataset.key]}"
        draft.say(player, "DatasetRefused", message, stalled=True)
    elif dataset.key not in draft.observed.read:
        draft.say(player, "DatasetNotRead", f"waits until Dataset {name} has been read", stalled=False)
    else:
        return True
    return False


def _feed_of(
    draft: Draft, exchange: Exchange, terms: ExchangeTerms, bots: tuple[TradingBot, ...]
) -> tuple[Feed | None, dict[str, object], frozenset[Series]]:
    """Return the feed that plays the market of `exchange`, what it plays, and the bars that come of it."""
    feed = _chosen_feed(draft, exchange, bots)
    if feed is None:
        return None, {}, frozenset()
    datasets = {each.metadata.name: each for each in draft.all(Dataset) if each.key.namespace == feed.key.namespace}
    assert feed.spec.replay is not None
    for reference in feed.spec.replay.dataset_refs:
        if reference.name not in datasets:
            message = f"waits for Dataset {reference.name} in namespace {feed.key.namespace}: apply it"
            draft.say(feed, "DatasetNotFound", message, stalled=False)
            return None, {}, frozenset()
        verdict = draft.verdicts.get(datasets[reference.name].key)
        if verdict is not None:
            message = f"waits for Dataset {reference.name}: {verdict.message}"
            draft.say(feed, "DatasetNotReady", message, stalled=False)
            return None, {}, frozenset()
        if not may_be_played(draft, feed, datasets[reference.name]):
            return None, {}, frozenset()
    ticks = {symbol: instrument.tick for symbol, instrument in terms.instruments.items()}
    try:
        refuse_own_files(draft, feed)
        read = datasets if draft.needs is None else {name: as_mounted(each) for name, each in datasets.items()}
        replay = feed_settings(feed, read, Surroundings(ticks=ticks))
        series = played_series(feed, datasets)
    except FleetError as error:
        reason = error.reason if isinstance(error, NotRunnable) else "InvalidSpec"
        draft.say(feed, reason, str(error), stalled=True)
        return None, {}, frozenset()
    return feed, replay, series


def _chosen_feed(draft: Draft, exchange: Exchange, bots: tuple[TradingBot, ...]) -> Feed | None:
    """Return the one feed that plays: a deleted one goes on as long as a bot has to sell, and nobody takes over.

    A lockstep run that has begun keeps its Feed. Else one of the user's comes before the one that was derived.
    """
    playing = [feed for feed in draft.all(Feed) if feed.plays and feed.exchange_key == exchange.key]
    selling = [bot.metadata.name for bot in bots if sells_on(bot, draft.observed.settled)]
    if any(feed.metadata.deletion_timestamp is None for feed in playing) or not selling:
        playing = [feed for feed in playing if feed.metadata.deletion_timestamp is None]
    for feed in playing:
        if feed.metadata.deletion_timestamp is not None:
            message = f"plays on until TradingBot {', '.join(selling)} has sold its position (deletionPolicy Flatten)"
            draft.say(feed, "Deleting", message, stalled=False)
    playing.sort(key=lambda feed: (_run_of(draft, feed) not in draft.observed.runs, is_owned(feed)))
    for extra in playing[1:]:
        name, first = exchange.metadata.name, playing[0]
        if is_owned(first):
            message = f"waits until the lockstep run of Feed {first.metadata.name} is over, which Exchange {name} made"
            draft.say(extra, "RunHasBegun", message, stalled=False)
            continue
        message = f"Exchange {name} is already played by Feed {first.metadata.name}: suspend one"
        draft.say(extra, "ExchangeHasFeed", message, stalled=True)
    return playing[0] if playing else None


def _run_of(draft: Draft, feed: Feed | None) -> str | None:
    """Return the lockstep run, named by the feed's UID: a feed that is made again is another run."""
    if feed is None or feed.spec.replay is None or not feed.spec.replay.is_lockstep:
        return None
    run = feed.metadata.uid
    return None if run in draft.observed.finished else run
