"""What is not there yet is waited for and said, with the remedy, by whoever names it; a mended cause heals."""

import base64
from typing import Any

import pytest
from governor.plan import AskedByJob, Observed, plan
from governor.references import (
    Found,
    Reference,
    ReferenceKind,
    found_config_map,
    found_secret,
    references,
)
from governor.status import BotView, bot_status, set_status
from governor.tasks import jobs_of, simulations_of
from governor.workload import Plan, Role

from tests.unit.governor import fleets
from tradefleet.resources.bot_set import BotSet, expand
from tradefleet.resources.common import Resource
from tradefleet.resources.trading_bot import TradingBot

URL = "postgresql://reader:hunter2@prices.stores.svc:5433/prices"
SECRET = Reference(ReferenceKind.SECRET, "default", "prices")
CANDLES = Reference(ReferenceKind.CONFIG_MAP, "default", "candles")
CODE = Reference(ReferenceKind.CONFIG_MAP, "default", "code")


def secret(**entries: str) -> Any:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in entries.items()}
    return found_secret({"metadata": {"uid": "1"}, "data": data})


ALL_THERE: Found = {
    SECRET: secret(url=URL),
    CANDLES: found_config_map({"data": {"btc.csv": "…"}, "binaryData": {"btc.csv.gz": "H4s="}}),
    CODE: found_config_map({"data": {"trend.py": "…"}}),
}


def files(name: str = "kept", path: str = "btc.csv", **spec: Any) -> Resource:
    volume = {"configMapRef": {"name": "candles"}}
    body = {"files": [{"path": path, "instrument": "BTC-USD"}], "volume": volume, **spec}
    return fleets.stored("Dataset", name, {part: value for part, value in body.items() if value is not None})


def sql(name: str = "asked", key: str = "url", **url_from: Any) -> Resource:
    source = url_from or {"secretKeyRef": {"name": "prices", "key": key}}
    return fleets.stored("Dataset", name, {"sql": [{"urlFrom": source, "query": "SELECT 1", "instrument": "BTC-USD"}]})


def backtest(**spec: Any) -> Resource:
    body = {
        "datasetRef": {"name": "market"},
        "exchangeRef": {"name": "simulator"},
        "strategy": {"name": "buy-and-hold"},
        "wallet": {"USD": "10000"},
        **spec,
    }
    return fleets.stored("Backtest", "test", {part: value for part, value in body.items() if value is not None})


def warm_up(name: str, params: object) -> int:
    if ":" in name:
        raise AskedByJob(name)
    return 5


def planned(*resources: Resource, found: Found | None = None) -> Plan:
    return plan(resources, Observed(references=ALL_THERE if found is None else found), warm_up)


def replaying(name: str) -> Resource:
    return fleets.feed(replay={"datasetRefs": [{"name": name}], "speed": "max"})


MARKET = [fleets.exchange(), fleets.dataset(), fleets.feed(speed="max")]
OWN = {"name": "trend:Trend", "codeFrom": {"configMapRef": {"name": "code"}}}
NOTHING: Found = {}

# Who names it: kind and name, what is there besides it, what must not be there, and what is said then.
WAITING: dict[str, tuple[Resource, list[Resource], Resource | Reference, str, str]] = {
    "TradingBot.exchangeRef": (
        fleets.bot("alpha"),
        [],
        MARKET[0],
        "ExchangeNotFound",
        "waits for Exchange simulator in namespace default: apply it",
    ),
    "TradingBot.feedRef": (
        fleets.bot("alpha", feedRef={"name": "special"}),
        MARKET,
        fleets.feed("special", speed="max"),
        "FeedNotPlaying",
        "waits for Feed special in namespace default, its feedRef: apply it",
    ),
    "TradingBot without a Feed": (
        fleets.bot("alpha"),
        MARKET[:2],
        MARKET[2],
        "NoData",
        "waits for a Feed that brings 1m bars of BTC-USD",
    ),
    "TradingBot.strategy.codeFrom": (
        fleets.bot("alpha", strategy=OWN),
        MARKET,
        CODE,
        "CodeNotFound",
        "waits for ConfigMap code in namespace default, its strategy.codeFrom: apply it",
    ),
    "Feed.exchangeRef": (
        fleets.feed(speed="max"),
        [fleets.dataset()],
        MARKET[0],
        "ExchangeNotFound",
        "waits for Exchange simulator in namespace default: apply it",
    ),
    "Feed.replay.datasetRefs": (
        fleets.feed(speed="max"),
        [fleets.exchange()],
        fleets.dataset(),
        "DatasetNotFound",
        "waits for Dataset market in namespace default: apply it",
    ),
    "Feed of a Dataset that waits": (
        replaying("asked"),
        [fleets.exchange(), sql()],
        SECRET,
        "DatasetNotReady",
        "waits for Dataset asked: waits for Secret prices in namespace default",
    ),
    "Dataset.exchangeRef": (
        fleets.recording(),
        [],
        MARKET[0],
        "ExchangeNotFound",
        "waits for Exchange simulator in namespace default: apply it",
    ),
    "Dataset.sql.urlFrom.secretKeyRef": (
        sql(),
        [],
        SECRET,
        "SecretNotFound",
        "waits for Secret prices in namespace default, its spec.sql[0].urlFrom.secretKeyRef: apply it",
    ),
    "Dataset.volume.configMapRef": (
        files(),
        [],
        CANDLES,
        "ConfigMapNotFound",
        "waits for ConfigMap candles in namespace default, its spec.volume.configMapRef: apply it",
    ),
    "Backtest.datasetRef": (
        backtest(),
        [fleets.exchange()],
        fleets.dataset(),
        "DatasetNotFound",
        "waits for Dataset market in namespace default, its datasetRef: apply it",
    ),
    "Backtest.exchangeRef": (
        backtest(),
        [fleets.dataset()],
        MARKET[0],
        "ExchangeNotFound",
        "waits for Exchange simulator in namespace default, its exchangeRef: apply it",
    ),
    "Backtest.botRefs": (
        backtest(strategy=None, exchangeRef=None, wallet=None, botRefs=[{"name": "alpha"}]),
        MARKET,
        fleets.bot("alpha"),
        "TradingBotNotFound",
        "waits for TradingBot alpha in namespace default, its botRefs[0]: apply it",
    ),
    "Exchange of a Backtest's bot": (
        backtest(strategy=None, exchangeRef=None, wallet=None, botRefs=[{"name": "alpha"}]),
        [fleets.dataset(), fleets.bot("alpha")],
        MARKET[0],
        "ExchangeNotFound",
        "waits for Exchange simulator, on which TradingBot alpha trades: apply it",
    ),
    "Backtest.strategy.codeFrom": (
        backtest(strategy=OWN),
        MARKET,
        CODE,
        "CodeNotFound",
        "waits for ConfigMap code in namespace default, its strategy.codeFrom: apply it",
    ),
    "Backtest of a Dataset that waits": (
        backtest(datasetRef={"name": "asked"}),
        [fleets.exchange(), sql()],
        SECRET,
        "DatasetNotReady",
        "waits for Dataset asked: waits for Secret prices",
    ),
}


@pytest.mark.parametrize("case", WAITING)
def test_what_is_not_there_is_waited_for_and_a_mended_cause_heals(case: str):
    waiting, beside, missing, reason, message = WAITING[case]
    there = {each.key: each for each in (*beside, waiting)}

    without: Found = {each: what for each, what in ALL_THERE.items() if each != missing}
    found = planned(*there.values(), found=without)

    verdict = found.verdicts[waiting.key]
    assert (verdict.reason, verdict.stalled) == (reason, False)
    assert message in verdict.message
    others = {key: each for key, each in found.verdicts.items() if key != waiting.key}
    assert not any(each.stalled for each in others.values()), "nothing else is disturbed"

    if isinstance(missing, Resource):
        there = {**there, missing.key: missing, **({each.key: each for each in MARKET if case == "Feed.exchangeRef"})}
        if isinstance(missing, type(MARKET[2])) and missing.metadata.name == "special":
            there.pop(MARKET[2].key)
    healed = planned(*there.values()).verdicts.get(waiting.key)
    assert healed is None or healed.reason != reason


# --- what a person must change ----------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Resource, Found, str, bool, str]] = {
    "key of a Secret": (
        sql(key="uri"),
        ALL_THERE,
        "SecretKeyNotFound",
        False,
        "to have the key uri, its spec.sql[0].urlFrom.secretKeyRef: it has url: add it",
    ),
    "no URL": (sql(), {SECRET: secret(url="hunter2")}, "SecretInvalid", False, "holds no URL of a database in url"),
    "key of a ConfigMap": (
        files(path="ltc.csv"),
        ALL_THERE,
        "FileNotFound",
        False,
        "to hold ltc.csv, its spec.files[0]: it has btc.csv, btc.csv.gz",
    ),
    "no volume": (files(volume=None), ALL_THERE, "VolumeMissing", True, "name a PersistentVolumeClaim or a ConfigMap"),
    "path out of the volume": (files(path="../b.csv"), ALL_THERE, "PathInvalid", True, "leads out of its volume"),
    "path of a machine": (files(path="/data/b.csv"), ALL_THERE, "PathInvalid", True, "leads out of its volume"),
    "variable of a machine": (sql(env="URL"), ALL_THERE, "SecretMissing", True, "is for a local fleet"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_the_source_of_a_dataset_is_told(case: str):
    dataset, found, reason, stalled, message = WRONG[case]
    told = planned(fleets.exchange(), dataset, found=found).verdicts[dataset.key]

    assert (told.reason, told.stalled) == (reason, stalled)
    assert message in told.message
    assert "hunter2" not in told.message


def test_a_feed_of_files_names_the_way_in_a_cluster():
    feed = fleets.feed(replay={"files": [{"path": "btc.csv", "instrument": "BTC-USD"}], "speed": "max"})
    told = planned(fleets.exchange(), feed).verdicts[feed.key]

    assert (told.reason, told.stalled) == ("FilesNotMounted", True)
    assert "replay.datasetRefs" in told.message


def test_a_set_says_what_its_bots_wait_for():
    body = {
        "matrix": {"strategies": [{"name": "dca"}], "instruments": ["BTC-USD"]},
        "template": {"spec": {"exchangeRef": {"name": "simulator"}, "wallet": {"USD": "100"}}},
    }
    bot_set = fleets.stored("BotSet", "many", body)
    assert isinstance(bot_set, BotSet)
    (bot,) = expand(bot_set)
    there = fleets.bot(bot.metadata.name)
    assert isinstance(there, TradingBot)
    shown = bot_status(there, planned(there).verdicts[there.key], BotView(), {}, now_us=0)
    waiting = there.model_copy(update={"spec": bot.spec, "status": shown})

    status = set_status(bot_set, None, [waiting], [bot], now_us=0)
    waits = f"{bot.metadata.name}: waits for Exchange simulator in namespace default: apply it"
    assert status.reason == f"0 of 1 bots are Ready: {waits}"


def test_a_bot_without_data_says_what_to_apply():
    bot = fleets.bot("alpha")
    nothing = planned(fleets.exchange(), bot).verdicts[bot.key].message
    assert nothing.endswith(
        "apply one with exchangeRef simulator and a replay of a Dataset that holds them, which is not there yet "
        "either, or give the Exchange that replay (spec.simulator.replay)"
    )
    data = planned(fleets.exchange(), fleets.dataset(), bot).verdicts[bot.key].message
    assert "apply one with exchangeRef simulator and a replay of Dataset market, or give the Exchange that" in data
    suspended = planned(fleets.exchange(), fleets.dataset(), fleets.feed(suspend=True), bot).verdicts[bot.key].message
    assert suspended.endswith("Feed replay brings nothing: it is suspended")
    other = fleets.bot("alpha", interval="5m")
    lacking = planned(fleets.exchange(), fleets.dataset(), fleets.feed(speed="max"), other).verdicts[other.key].message
    assert "Feed replay plays Exchange simulator: let it play a Dataset that holds them" in lacking


# --- what pods get ----------------------------------------------------------------------------------------------------


def test_a_feed_and_the_dataset_s_job_have_what_the_data_needs():
    resources = [fleets.exchange(), sql(), files(), replaying("asked")]
    found = planned(*resources)

    (feed,) = (each for each in found.workloads if each.role is Role.FEED)
    (variable,) = feed.needs.variables
    assert (variable.secret, variable.key, feed.needs.hosts) == ("prices", "url", (("prices.stores.svc", 5433),))
    (source,) = feed.settings["replay"]["sources"]  # type: ignore[index] - JSON
    assert source["url_env"] == variable.name
    jobs = {each.name: each for each in jobs_of(resources, found.verdicts, needs=found.needs)}
    assert jobs["dataset-default-asked"].needs.variables == (variable,)
    (mount,) = jobs["dataset-default-kept"].needs.mounts
    (read,) = jobs["dataset-default-kept"].settings["replay"]["sources"]
    assert (mount.config_map, read["path"]) == ("candles", f"{mount.folder}/btc.csv")
    assert "hunter2" not in repr((found, jobs))


def test_a_claim_is_mounted_as_it_is_named():
    resources = [fleets.exchange(), files(volume={"claimName": "archive"}, path="deep/btc.csv")]
    found = planned(*resources)

    (job,) = jobs_of(resources, found.verdicts, needs=found.needs)
    (mount,) = job.needs.mounts
    assert (mount.claim, job.settings["replay"]["sources"][0]["path"]) == ("archive", f"{mount.folder}/deep/btc.csv")


def test_changed_content_is_read_again_and_a_feed_that_plays_goes_on():
    resources = [fleets.exchange(), files(), replaying("kept")]
    other = {**ALL_THERE, CANDLES: found_config_map({"data": {"btc.csv": "changed"}})}
    before, after = planned(*resources), planned(*resources, found=other)

    (first,) = jobs_of(resources, before.verdicts, needs=before.needs)
    (second,) = jobs_of(resources, after.verdicts, needs=after.needs)
    assert first.digest != second.digest
    digests = [{each.name: each.digest for each in found.workloads} for found in (before, after)]
    assert digests[0] == digests[1]


def test_on_one_machine_nothing_is_mounted():
    resources = [fleets.exchange(), files(volume=None), replaying("kept"), backtest(datasetRef={"name": "kept"})]
    found = plan(resources, Observed(), fleets.warm_up)

    assert found.verdicts == {}
    assert all(not each.needs.mounts for each in found.workloads)
    jobs = jobs_of(resources, found.verdicts, needs=found.needs)
    assert [each.settings["replay"]["sources"][0]["path"] for each in jobs if "replay" in each.settings] == ["btc.csv"]


def test_all_that_resources_name_is_looked_at():
    bot = fleets.bot("alpha", strategy=OWN)

    assert references([bot, sql(), files(), fleets.exchange(), backtest()]) == {SECRET, CANDLES, CODE}


def test_a_backtest_has_the_modules_of_its_strategies_and_the_volume_of_its_dataset():
    bots = [fleets.bot("alpha", strategy=OWN)]
    tested = backtest(
        strategy=None, exchangeRef=None, wallet=None, botRefs=[{"name": "alpha"}], datasetRef={"name": "kept"}
    )
    resources = [fleets.exchange(), files(), *bots, tested]
    found = planned(*resources)

    (job,) = simulations_of(resources, found.verdicts, {}, found.needs, found.code)
    (plain,) = simulations_of(resources, found.verdicts, {}, found.needs)
    (mount,) = job.needs.mounts
    assert job.digest != plain.digest
    assert job.code == {"trend.py": "…"}
    assert f"{mount.folder}/btc.csv" in job.settings["resources"]
