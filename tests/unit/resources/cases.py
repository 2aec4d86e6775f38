"""Resources that are right, and resources that each break one rule: put to the models here, to an API server there.

A case says what is broken, where the error is shown and what it says. `by_server` is False where only the models can
tell (free-form parameters, what CEL cannot see); such a resource is admitted and shown as Stalled.
"""

import copy
from dataclasses import dataclass
from typing import Any

ABSENT = object()

Body = dict[str, Any]


def body(kind: str, name: str, spec: Body) -> Body:
    return {
        "apiVersion": "tradefleet.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


def changed(original: Body, **changes: Any) -> Body:
    """Return `original` with fields set; `spec__wallet__USD` is the path, ABSENT takes a field out."""
    result = copy.deepcopy(original)
    for path, value in changes.items():
        *steps, last = path.split("__")
        target = result
        for step in steps:
            target = target[int(step)] if isinstance(target, list) else target.setdefault(step, {})
        key: Any = int(last) if isinstance(target, list) else last
        if value is ABSENT:
            del target[key]
        else:
            target[key] = value
    return result


BOT = body(
    "TradingBot",
    "trend",
    {
        "strategy": {"name": "sma-cross", "params": {"fast": 10, "slow": 50}},
        "exchangeRef": {"name": "simulator"},
        "instruments": ["BTC-USD"],
        "wallet": {"USD": "10000"},
    },
)
FULL_BOT = changed(
    BOT,
    spec__feedRef={"name": "replay"},
    spec__interval="5m",
    spec__wallet={"USD": "10000.50", "BTC": 1},
    spec__sizing={"method": "fixed", "quoteAmount": "250.5", "fraction": "0.5", "rebalanceThreshold": "0.01"},
    spec__risk={
        "maxOrderNotional": "1000",
        "maxPositionNotional": 5000,
        "maxExposure": "0.8",
        "maxOpenOrders": 5,
        "maxOrdersPerMinute": 30,
        "priceCollarPercent": "2.5",
        "maxDailyLossPercent": 3,
        "maxDrawdownPercent": "12.5",
        "maxDataAge": "90s",
        "stopLossPercent": "2",
        "takeProfitPercent": "250",
        "trailingStopPercent": "1.5",
    },
    spec__state="Paused",
    spec__deletionPolicy="Flatten",
    spec__updateStrategy="Manual",
    spec__deadManSwitch={"after": "5m", "action": "Flatten"},
    spec__podTemplate={
        "image": "registry.example/bots:1",
        "imagePullPolicy": "IfNotPresent",
        "imagePullSecrets": [{"name": "registry-login"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": 1}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "trading",
    },
    spec__seed=42,
)
LIVE_BOT = changed(BOT, spec__mode="live", spec__wallet=ABSENT)

EXCHANGE = body(
    "Exchange",
    "simulator",
    {"venue": "simulator", "instruments": [{"symbol": "BTC-USD", "tickSize": "0.01", "lotSize": "0.00000001"}]},
)
FULL_EXCHANGE = changed(
    EXCHANGE,
    spec__account="desk-1",
    spec__instruments__0__base="BTC",
    spec__instruments__0__quote="USD",
    spec__instruments__0__minNotional="10",
    spec__fees={"makerBps": "-0.5", "takerBps": 5},
    spec__simulator={"market": "replay", "slippageTicks": 2, "participation": "0.1"},
    spec__limits={"maxOrdersPerSecond": 50, "maxOrderNotional": "10000", "maxOpenOrders": 500},
    spec__assetScales={"BTC": 8, "USD": 2},
    spec__suspend=True,
)
REPLAYED_EXCHANGE = changed(EXCHANGE, spec__simulator={"replay": {"datasetRefs": [{"name": "april"}], "speed": "60x"}})
LIVE_EXCHANGE = body(
    "Exchange", "binance", {"venue": "binance", "mode": "live", "credentialsSecretRef": {"name": "binance-key"}}
)

FILE = {"path": "candles.csv.gz", "instrument": "BTC-USD"}
FILES = body("Dataset", "april", {"files": [FILE]})
FULL_FILES = changed(
    FILES,
    spec__files__0__interval="5m",
    spec__files__0__format="parquet",
    spec__files__0__columns={"openTime": "time", "volume": "amount"},
    spec__files__0__timeUnit="iso8601",
    spec__from="2018-04-04",
    spec__to="2018-04-07T12:00:00Z",
    spec__gapPolicy="Fail",
    spec__frozen=True,
)
SYNTHETIC = body(
    "Dataset",
    "made-up",
    {
        "synthetic": {"seed": 7, "bars": 100, "start": "2024-01-01", "startPrices": {"BTC-USD": "42000"}},
        "instruments": ["BTC-USD", "LTC-USD"],
        "intervals": ["1m", "5m"],
    },
)
SQL = body(
    "Dataset",
    "warehouse",
    {"sql": [{"urlFrom": {"env": "PRICES_URL"}, "query": "SELECT * FROM candles", "instrument": "BTC-USD"}]},
)
DOWNLOAD = body("Dataset", "history", {"exchangeRef": {"name": "binance"}, "instruments": ["BTC-USDT"]})

REPLAY = body("Feed", "replay", {"exchangeRef": {"name": "simulator"}, "replay": {"datasetRefs": [{"name": "april"}]}})
REPLAY_FILES = changed(REPLAY, spec__replay={"files": [FILE], "speed": "60x", "from": "2018-04-04"})
MARKET = body(
    "Feed",
    "live",
    {
        "exchangeRef": {"name": "binance"},
        "market": {"channels": ["bars", "ticker"], "source": {"name": "mydata.feeds:Stream", "params": {"depth": 5}}},
        "instruments": ["BTC-USDT"],
        "intervals": ["1m"],
    },
)
SOCIAL = body("Feed", "posts", {"social": {"sources": [{"name": "rss"}], "accounts": ["somebody"]}})

POLICY = body("RiskPolicy", "desk", {})
FULL_POLICY = body(
    "RiskPolicy",
    "careful",
    {
        "selector": {"matchLabels": {"team": "a"}},
        "limits": {"maxExposure": "1.5", "maxOpenOrders": 100, "maxDrawdownPercent": 20},
        "crisis": {
            "entry": {"drawdownPercent": "10", "venueErrorsPerMinute": 5},
            "exit": {"drawdownPercent": "5", "calmFor": "30m"},
            "action": "CancelOrders",
        },
        "halt": True,
    },
)

BOT_SET = body(
    "BotSet",
    "fleet",
    {
        "matrix": {
            "strategies": [
                {"name": "buy-and-hold"},
                {"name": "sma-cross", "params": {"slow": 50}, "paramLists": {"fast": [5, 10]}},
            ],
            "instruments": ["BTC-USD", "LTC-USD"],
        },
        "template": {
            "metadata": {"labels": {"team": "a"}},
            "spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "1000"}},
        },
        "maxUnavailable": "25%",
    },
)
GROUPED_SET = changed(
    BOT_SET, spec__matrix__instruments=ABSENT, spec__template__spec__instruments=["BTC-USD", "LTC-USD"]
)

BACKTEST = body(
    "Backtest",
    "sweep",
    {
        "strategy": {"name": "sma-cross"},
        "datasetRef": {"name": "april"},
        "exchangeRef": {"name": "simulator"},
        "wallet": {"USD": "10000"},
        "search": {"space": {"fast": {"values": [5, 10]}, "slow": {"min": 20, "max": "100", "step": 10}}},
        "walkForward": {"train": "2d", "test": "12h"},
        "parallelism": 2,
        "promote": {"botName": "winner"},
        "podTemplate": {"image": "registry.example/bots:1", "resources": {"limits": {"memory": "2Gi"}}},
    },
)
BOTS_BACKTEST = body("Backtest", "as-is", {"botRefs": [{"name": "trend"}], "datasetRef": {"name": "april"}})

VALID: dict[str, Body] = {
    "bot": BOT,
    "full bot": FULL_BOT,
    "live bot": LIVE_BOT,
    "exchange": EXCHANGE,
    "full exchange": FULL_EXCHANGE,
    "replayed exchange": REPLAYED_EXCHANGE,
    "live exchange": LIVE_EXCHANGE,
    "files": FILES,
    "full files": FULL_FILES,
    "synthetic": SYNTHETIC,
    "sql": SQL,
    "download": DOWNLOAD,
    "replay": REPLAY,
    "replay of files": REPLAY_FILES,
    "market": MARKET,
    "social": SOCIAL,
    "policy": POLICY,
    "full policy": FULL_POLICY,
    "bot set": BOT_SET,
    "set with several instruments per bot": GROUPED_SET,
    "backtest": BACKTEST,
    "backtest of bots": BOTS_BACKTEST,
}


@dataclass(frozen=True, kw_only=True)
class Broken:
    name: str
    body: Body
    path: str
    message: str
    by_server: bool = True


BROKEN = [
    # Values.
    Broken(
        name="float for money",
        body=changed(BOT, spec__wallet__USD=10.5),
        path="spec.wallet.USD",
        message="which is exact",
    ),
    Broken(
        name="negative money",
        body=changed(BOT, spec__wallet__USD="-1"),
        path="spec.wallet.USD",
        message="must be an amount at least 0",
    ),
    Broken(
        name="money in words", body=changed(BOT, spec__wallet__USD="much"), path="spec.wallet.USD", message="an amount"
    ),
    Broken(
        name="scientific money", body=changed(BOT, spec__wallet__USD="1e4"), path="spec.wallet.USD", message="an amount"
    ),
    Broken(
        name="tick of zero",
        body=changed(EXCHANGE, spec__instruments__0__tickSize="0.00"),
        path="spec.instruments[0].tickSize",
        message="above 0",
    ),
    Broken(
        name="share above one",
        body=changed(BOT, spec__sizing__fraction="1.1"),
        path="spec.sizing.fraction",
        message="at most 1",
    ),
    Broken(
        name="too many decimals",
        body=changed(BOT, spec__risk__maxDrawdownPercent="1.00001"),
        path="spec.risk.maxDrawdownPercent",
        message="at most 4 decimals",
    ),
    Broken(
        name="percentage above 100",
        body=changed(BOT, spec__risk__stopLossPercent="101"),
        path="spec.risk.stopLossPercent",
        message="at most 100",
    ),
    Broken(
        name="slashed instrument",
        body=changed(BOT, spec__instruments=["BTC/USD"]),
        path="spec.instruments[0]",
        message="written BASE-QUOTE",
    ),
    Broken(
        name="asset with a space",
        body=changed(BOT, spec__wallet={"U S": "1", "USD": "1"}),
        path="spec.wallet.U S",
        message="name of an asset",
    ),
    Broken(
        name="interval in words",
        body=changed(BOT, spec__interval="minute"),
        path="spec.interval",
        message="the length of a bar",
    ),
    Broken(
        name="interval of zero", body=changed(BOT, spec__interval="0m"), path="spec.interval", message="length of a bar"
    ),
    Broken(
        name="duration without a unit",
        body=changed(BOT, spec__risk__maxDataAge="90"),
        path="spec.risk.maxDataAge",
        message="a duration",
    ),
    Broken(
        name="day that does not exist",
        body=changed(FILES, spec__from="2018-02-30"),
        path="spec.from",
        message="a day and time that exist",
    ),
    Broken(
        name="speed in words",
        body=changed(REPLAY, spec__replay__speed="fast"),
        path="spec.replay.speed",
        message="lockstep, max",
    ),
    Broken(
        name="strategy name with a space",
        body=changed(BOT, spec__strategy__name="sma cross"),
        path="spec.strategy.name",
        message="a built-in strategy",
    ),
    Broken(
        name="upper-case name",
        body=changed(BOT, metadata__name="Trend"),
        path="metadata.name",
        message="lower-case letters",
    ),
    Broken(
        name="long name", body=changed(BOT, metadata__name="a" * 51), path="metadata.name", message="at most 50 of them"
    ),
    Broken(name="seed below zero", body=changed(BOT, spec__seed=-1), path="spec.seed", message="must be at least 0"),
    Broken(
        name="number in quotes",
        body=changed(BOT, spec__risk__maxOpenOrders="5"),
        path="spec.risk.maxOpenOrders",
        message="must be a whole number, without quotes",
    ),
    Broken(
        name="boolean in words",
        body=changed(EXCHANGE, spec__suspend="no"),
        path="spec.suspend",
        message="must be true or false",
    ),
    Broken(
        name="unknown state",
        body=changed(BOT, spec__state="Runing"),
        path="spec.state",
        message="must be Running or Paused or Stopped",
    ),
    Broken(
        name="maxUnavailable of zero",
        body=changed(BOT_SET, spec__maxUnavailable=0),
        path="spec.maxUnavailable",
        message="a whole number of at least 1",
    ),
    Broken(
        name="list as a parameter",
        body=changed(BOT, spec__strategy__params__fast=[1]),
        path="spec.strategy.params.fast",
        message="not a list",
        by_server=False,
    ),
    # Shape.
    Broken(
        name="no instruments",
        body=changed(BOT, spec__instruments=[]),
        path="spec.instruments",
        message="must have at least 1",
    ),
    Broken(
        name="instrument twice",
        body=changed(BOT, spec__instruments=["BTC-USD", "BTC-USD"]),
        path="spec.instruments",
        message="BTC-USD is there twice",
    ),
    Broken(
        name="listed twice",
        body=changed(EXCHANGE, spec__instruments=EXCHANGE["spec"]["instruments"] * 2),
        path="spec.instruments",
        message="name each symbol once",
    ),
    Broken(
        name="unknown field",
        body=changed(BOT, spec__exchangeref={"name": "x"}),
        path="spec.exchangeref",
        message="is not a field here",
    ),
    Broken(name="no strategy", body=changed(BOT, spec__strategy=ABSENT), path="spec.strategy", message="is required"),
    Broken(name="no spec", body=changed(BOT, spec=ABSENT), path="spec", message="is required"),
    Broken(name="spec is a list", body=changed(BOT, spec=[]), path="spec", message="must be a mapping"),
    Broken(
        name="instruments are a text",
        body=changed(BOT, spec__instruments="BTC-USD"),
        path="spec.instruments",
        message="must be a list",
    ),
    # Rules.
    Broken(
        name="paper without money",
        body=changed(BOT, spec__wallet={"USD": "0"}),
        path="spec.wallet",
        message="a paper bot starts with money",
    ),
    Broken(
        name="fixed without an amount",
        body=changed(BOT, spec__sizing={"method": "fixed"}),
        path="spec.sizing.quoteAmount",
        message="needs quoteAmount",
    ),
    Broken(
        name="amount without fixed",
        body=changed(BOT, spec__sizing={"quoteAmount": "5"}),
        path="spec.sizing.quoteAmount",
        message="for sizing by method fixed only",
    ),
    Broken(
        name="own image in a shared process",
        body=changed(FULL_BOT, spec__placement="Shared"),
        path="spec.placement",
        message="a bot with an image of its own cannot share",
    ),
    Broken(
        name="own code in a shared process",
        body=changed(BOT, spec__placement="Shared", spec__strategy__name="mine:Best"),
        path="spec.placement",
        message="your own code does not share a process",
    ),
    Broken(
        name="code for a built-in strategy",
        body=changed(BOT, spec__strategy__codeFrom={"configMapRef": {"name": "mine"}}),
        path="spec.strategy.codeFrom",
        message="a built-in strategy has no code of yours",
    ),
    Broken(
        name="toleration with value and Exists",
        body=changed(FULL_BOT, spec__podTemplate__tolerations__0__value="x"),
        path="spec.podTemplate.tolerations[0].value",
        message="operator Exists has no value",
    ),
    Broken(
        name="base and quote alike",
        body=changed(EXCHANGE, spec__instruments__0__quote="BTC"),
        path="spec.instruments[0].quote",
        message="two assets",
    ),
    Broken(
        name="two units of slippage",
        body=changed(EXCHANGE, spec__simulator={"slippageBps": 1, "slippageTicks": 1}),
        path="spec.simulator.slippageTicks",
        message="not in both",
    ),
    Broken(
        name="slippage in a book",
        body=changed(EXCHANGE, spec__simulator={"market": "book", "slippageBps": 1}),
        path="spec.simulator.market",
        message="the book itself decides",
    ),
    Broken(
        name="replay in a book",
        body=changed(REPLAYED_EXCHANGE, spec__simulator__market="book"),
        path="spec.simulator.replay",
        message="in market book the bots make the prices",
    ),
    Broken(
        name="replay of nothing on an exchange",
        body=changed(REPLAYED_EXCHANGE, spec__simulator__replay__datasetRefs=[]),
        path="spec.simulator.replay.datasetRefs",
        message="exactly one of datasetRefs and files",
    ),
    Broken(
        name="replay of a real venue",
        body=changed(REPLAYED_EXCHANGE, spec__venue="binance"),
        path="spec.simulator.replay",
        message="a replay is the market of the simulator",
    ),
    Broken(
        name="live simulator",
        body=changed(EXCHANGE, spec__mode="live", spec__credentialsSecretRef={"name": "x"}),
        path="spec.mode",
        message="the simulator has no real money",
    ),
    Broken(
        name="simulator without a grid",
        body=changed(EXCHANGE, spec__instruments__0__tickSize=ABSENT),
        path="spec.instruments",
        message="each with its tickSize and lotSize",
    ),
    Broken(
        name="simulator without instruments",
        body=changed(EXCHANGE, spec__instruments=[]),
        path="spec.instruments",
        message="the simulator needs instruments",
    ),
    Broken(
        name="live without credentials",
        body=changed(LIVE_EXCHANGE, spec__credentialsSecretRef=ABSENT),
        path="spec.credentialsSecretRef",
        message="needs credentialsSecretRef",
    ),
    Broken(
        name="live and simulated",
        body=changed(LIVE_EXCHANGE, spec__simulator={}),
        path="spec.simulator",
        message="describes a paper market",
    ),
    Broken(name="two sources", body=changed(FILES, spec__sql=SQL["spec"]["sql"]), path="spec", message="one source"),
    Broken(name="no source", body=changed(FILES, spec__files=[]), path="spec", message="one source"),
    Broken(
        name="nothing to make up",
        body=changed(SYNTHETIC, spec__instruments=[], spec__synthetic__startPrices={}),
        path="spec.instruments",
        message="names its instruments",
    ),
    Broken(
        name="files and instruments",
        body=changed(FILES, spec__instruments=["BTC-USD"]),
        path="spec.instruments",
        message="each file and query names its own",
    ),
    Broken(
        name="ticks of a file",
        body=changed(FILES, spec__ticks=["ticker"]),
        path="spec.ticks",
        message="ticks are recorded from an Exchange",
    ),
    Broken(
        name="volume without files",
        body=changed(SYNTHETIC, spec__volume={"claimName": "candles"}),
        path="spec.volume",
        message="volume is where files are",
    ),
    Broken(
        name="two volumes",
        body=changed(FILES, spec__volume={"claimName": "candles", "configMapRef": {"name": "candles"}}),
        path="spec.volume",
        message="exactly one of claimName and configMapRef",
    ),
    Broken(
        name="price of another instrument",
        body=changed(SYNTHETIC, spec__synthetic__startPrices={"ETH-USD": 5}),
        path="spec.synthetic.startPrices",
        message="not made up here",
    ),
    Broken(
        name="file without a format",
        body=changed(FILES, spec__files__0__path="candles.txt"),
        path="spec.files[0].format",
        message="set format",
    ),
    Broken(
        name="two addresses",
        body=changed(SQL, spec__sql__0__urlFrom__secretKeyRef={"name": "db", "key": "url"}),
        path="spec.sql[0].urlFrom",
        message="give exactly one",
    ),
    Broken(
        name="backward range",
        body=changed(FILES, spec__from="2018-04-05", spec__to="2018-04-05T00:00:00Z"),
        path="spec.from",
        message="from must be before to",
    ),
    Broken(
        name="two sorts of feed",
        body=changed(REPLAY, spec__market={}),
        path="spec",
        message="exactly one of market, replay, social",
    ),
    Broken(
        name="feed without an exchange",
        body=changed(REPLAY, spec__exchangeRef=ABSENT),
        path="spec.exchangeRef",
        message="needs exchangeRef",
    ),
    Broken(
        name="posts of a market",
        body=changed(SOCIAL, spec__instruments=["BTC-USD"]),
        path="spec.social",
        message="brings posts",
    ),
    Broken(
        name="replay of nothing",
        body=changed(REPLAY, spec__replay={}),
        path="spec.replay.datasetRefs",
        message="exactly one of datasetRefs and files",
    ),
    Broken(
        name="crisis without a cause",
        body=changed(FULL_POLICY, spec__crisis={"entry": {}}),
        path="spec.crisis.entry",
        message="needs a beginning",
    ),
    Broken(
        name="crisis that never ends",
        body=changed(FULL_POLICY, spec__crisis__exit__drawdownPercent="10"),
        path="spec.crisis.exit.drawdownPercent",
        message="a smaller fall",
    ),
    Broken(
        name="suspended halt",
        body=changed(FULL_POLICY, spec__suspend=True),
        path="spec.suspend",
        message="cannot halt",
    ),
    Broken(
        name="instruments from two places",
        body=changed(BOT_SET, spec__template__spec__instruments=["BTC-USD"]),
        path="spec.matrix.instruments",
        message="exactly one of matrix.instruments",
    ),
    Broken(
        name="own code in a set's shared process",
        body=changed(BOT_SET, spec__template__spec__placement="Shared", spec__matrix__strategies__0__name="mine:Best"),
        path="spec.template.spec.placement",
        message="your own code does not share",
    ),
    Broken(
        name="parameter fixed and varied",
        body=changed(BOT_SET, spec__matrix__strategies__1__params={"fast": 1}),
        path="spec.matrix.strategies[1].paramLists",
        message="fixed or varied",
        by_server=False,
    ),
    Broken(
        name="empty list of values",
        body=changed(BOT_SET, spec__matrix__strategies__1__paramLists={"fast": []}),
        path="spec.matrix.strategies[1].paramLists",
        message="at least one value",
        by_server=False,
    ),
    Broken(
        name="strategy and bots",
        body=changed(BACKTEST, spec__botRefs=[{"name": "trend"}]),
        path="spec.strategy",
        message="exactly one of strategy and botRefs",
    ),
    Broken(
        name="strategy without money",
        body=changed(BACKTEST, spec__wallet={}),
        path="spec.wallet",
        message="with a wallet above 0",
    ),
    Broken(
        name="bots with another wallet",
        body=changed(BOTS_BACKTEST, spec__wallet={"USD": 1}),
        path="spec.botRefs",
        message="tested as they are",
    ),
    Broken(
        name="walk without a search",
        body=changed(BACKTEST, spec__search=ABSENT),
        path="spec.walkForward",
        message="add the search",
    ),
    Broken(
        name="random without a number of trials",
        body=changed(BACKTEST, spec__search__method="random"),
        path="spec.search.trials",
        message="trials is required",
    ),
    Broken(
        name="grid that cannot be counted",
        body=changed(BACKTEST, spec__search__space__slow__step=ABSENT),
        path="spec.search.space",
        message="a range with a step",
        by_server=False,
    ),
    Broken(
        name="values and a range",
        body=changed(BACKTEST, spec__search__space__slow__values=[1]),
        path="spec.search.space.slow.values",
        message="give exactly one",
        by_server=False,
    ),
    Broken(
        name="half a range",
        body=changed(BACKTEST, spec__search__space__slow={"values": [1], "min": 3}),
        path="spec.search.space.slow.min",
        message="both ends",
    ),
    Broken(
        name="range turned round",
        body=changed(BACKTEST, spec__search__space__slow__min="200"),
        path="spec.search.space.slow.min",
        message="min must be below max",
    ),
    Broken(
        name="step of zero",
        body=changed(BACKTEST, spec__search__space__slow__step=0),
        path="spec.search.space.slow.step",
        message="step is above 0",
    ),
    Broken(
        name="two units of slippage in costs",
        body=changed(BACKTEST, spec__costs={"slippageBps": 1, "slippageTicks": 1}),
        path="spec.costs.slippageTicks",
        message="not in both",
    ),
]


@dataclass(frozen=True, kw_only=True)
class RefusedChange:
    name: str
    before: Body
    after: Body
    path: str
    message: str


REFUSED_CHANGES = [
    RefusedChange(
        name="exchange of a bot",
        before=BOT,
        after=changed(BOT, spec__exchangeRef__name="other"),
        path="spec.exchangeRef",
        message="exchangeRef cannot change",
    ),
    RefusedChange(
        name="mode of a bot",
        before=BOT,
        after=changed(BOT, spec__mode="live"),
        path="spec.mode",
        message="mode cannot change",
    ),
    RefusedChange(
        name="money of a bot",
        before=BOT,
        after=changed(BOT, spec__wallet__USD="20000"),
        path="spec.wallet",
        message="wallet cannot change",
    ),
    RefusedChange(
        name="asset added to a wallet",
        before=BOT,
        after=changed(BOT, spec__wallet__BTC="1"),
        path="spec.wallet",
        message="wallet cannot change",
    ),
    RefusedChange(
        name="instruments of a bot",
        before=BOT,
        after=changed(BOT, spec__instruments=["LTC-USD"]),
        path="spec.instruments",
        message="instruments cannot change",
    ),
    RefusedChange(
        name="money of a set's bots",
        before=BOT_SET,
        after=changed(BOT_SET, spec__template__spec__wallet__USD="5"),
        path="spec.template.spec.wallet",
        message="wallet cannot change",
    ),
    RefusedChange(
        name="instruments of a set's bots",
        before=GROUPED_SET,
        after=changed(GROUPED_SET, spec__template__spec__instruments=["BTC-USD"]),
        path="spec.template.spec.instruments",
        message="instruments of a bot cannot change",
    ),
    RefusedChange(
        name="tick of an instrument",
        before=EXCHANGE,
        after=changed(EXCHANGE, spec__instruments=[{**EXCHANGE["spec"]["instruments"][0], "tickSize": "0.5"}]),
        path="spec.instruments[0].tickSize",
        message="cannot change",
    ),
    RefusedChange(
        name="lot of an instrument that has moved in the list",
        before=EXCHANGE,
        after=changed(
            EXCHANGE,
            spec__instruments=[
                {"symbol": "NEW-USD", "tickSize": "0.01", "lotSize": "0.01"},
                {**EXCHANGE["spec"]["instruments"][0], "lotSize": "0.5"},
            ],
        ),
        path="spec.instruments[1].tickSize",
        message="cannot change",
    ),
    RefusedChange(
        name="quote of an instrument",
        before=EXCHANGE,
        after=changed(EXCHANGE, spec__instruments=[{**EXCHANGE["spec"]["instruments"][0], "quote": "EUR"}]),
        path="spec.instruments[0].tickSize",
        message="cannot change",
    ),
    RefusedChange(
        name="account of an exchange",
        before=EXCHANGE,
        after=changed(EXCHANGE, spec__account="other"),
        path="spec.venue",
        message="cannot change",
    ),
    RefusedChange(
        name="content of a frozen dataset",
        before=FULL_FILES,
        after=changed(FULL_FILES, spec__gapPolicy="Report"),
        path="spec.frozen",
        message="the dataset is frozen",
    ),
    RefusedChange(
        name="exchange of a feed",
        before=REPLAY,
        after=changed(REPLAY, spec__exchangeRef__name="other"),
        path="spec.exchangeRef",
        message="exchangeRef cannot change",
    ),
]

ALLOWED_CHANGES: dict[str, tuple[Body, Body]] = {
    "fees and least orders": (
        EXCHANGE,
        changed(
            EXCHANGE,
            spec__fees={"takerBps": "3"},
            spec__instruments=[
                {"symbol": "NEW-USD", "tickSize": "0.01", "lotSize": "0.01"},
                {**EXCHANGE["spec"]["instruments"][0], "minNotional": "7"},
            ],
        ),
    ),
    "parameters": (BOT, changed(BOT, spec__strategy__params__fast=20)),
    "state": (BOT, changed(BOT, spec__state="Stopped")),
    "order of instruments": (
        changed(BOT, spec__instruments=["BTC-USD", "LTC-USD"]),
        changed(BOT, spec__instruments=["LTC-USD", "BTC-USD"]),
    ),
    "amount written otherwise": (changed(BOT, spec__wallet__USD=500), changed(BOT, spec__wallet__USD="500")),
    "thaw": (FULL_FILES, changed(FULL_FILES, spec__frozen=False, spec__gapPolicy="Report")),
    "freeze": (changed(FULL_FILES, spec__frozen=False), FULL_FILES),
    "matrix": (BOT_SET, changed(BOT_SET, spec__matrix__instruments=["BTC-USD"])),
    "from the template to the matrix": (GROUPED_SET, BOT_SET),
}
