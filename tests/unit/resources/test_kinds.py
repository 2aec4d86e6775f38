import hashlib
import json

import pytest

from tests.unit.resources.cases import (
    ALLOWED_CHANGES,
    BOT,
    BROKEN,
    EXCHANGE,
    FULL_BOT,
    REFUSED_CHANGES,
    REPLAY_FILES,
    SYNTHETIC,
    VALID,
    Body,
    Broken,
    RefusedChange,
    changed,
)
from tradefleet.resources.crd import VALIDATIONS, schema_of
from tradefleet.resources.dataset import Dataset
from tradefleet.resources.exchange import Exchange
from tradefleet.resources.feed import Feed
from tradefleet.resources.kinds import KINDS, find_kind
from tradefleet.resources.load import parse_body
from tradefleet.resources.model import format_path, refused_changes
from tradefleet.resources.problems import InvalidResource
from tradefleet.resources.trading_bot import TradingBot


@pytest.mark.parametrize("name", VALID)
def test_what_is_right_is_accepted_and_reads_back_alike(name: str):
    resource = parse_body(VALID[name])
    assert parse_body(resource.body()) == resource


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_what_is_broken_is_refused_with_field_and_rule(case: Broken):
    with pytest.raises(InvalidResource) as caught:
        parse_body(case.body)
    (problem,) = caught.value.problems
    assert format_path(problem.path) == case.path
    assert case.message in problem.message
    assert case.body["metadata"]["name"] in str(problem)


@pytest.mark.parametrize("case", REFUSED_CHANGES, ids=lambda case: case.name)
def test_a_change_that_may_not_be_is_refused(case: RefusedChange):
    (broken,) = refused_changes(parse_body(case.before), parse_body(case.after))
    assert format_path(broken.path) == case.path
    assert case.message in broken.message


@pytest.mark.parametrize("name", ALLOWED_CHANGES)
def test_other_changes_are_allowed(name: str):
    before, after = ALLOWED_CHANGES[name]
    assert refused_changes(parse_body(before), parse_body(after)) == []


def messages_of(schema: Body) -> set[str]:
    """Return the messages of all rules about objects with fields below `schema`."""
    found = {each["message"] for each in schema.get(VALIDATIONS, ()) if "properties" in schema}
    for each in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(each, dict):
            found |= messages_of(each)
    return found


def test_every_rule_of_the_crds_has_a_case_that_breaks_it():
    rules = {message for kind in KINDS.values() for message in messages_of(schema_of(kind))}
    tried = [case.message for case in (*BROKEN, *REFUSED_CHANGES)]
    assert len(rules) > 40
    assert [rule for rule in rules if not any(message in rule for message in tried)] == []


def test_all_problems_of_a_resource_are_found_at_once():
    body = changed(BOT, spec__state="Runing", spec__wallet={"USD": 1.5}, spec__exchangeref={"name": "x"})
    with pytest.raises(InvalidResource) as caught:
        parse_body(body)
    assert {format_path(each.path) for each in caught.value.problems} == {
        "spec.state",
        "spec.wallet.USD",
        "spec.exchangeref",
    }


def test_a_bot_updates_by_itself_on_paper_and_waits_for_a_person_when_live():
    paper = TradingBot.parse(BOT)
    live = TradingBot.parse(changed(BOT, spec__mode="live"))
    manual = TradingBot.parse(FULL_BOT)
    assert (paper.spec.updates_by_itself, live.spec.updates_by_itself, manual.spec.updates_by_itself) == (
        True,
        False,
        False,
    )


def test_the_greatest_age_of_data_is_twice_the_interval_but_at_least_ten_minutes():
    ages = {
        interval: TradingBot.parse(changed(BOT, spec__interval=interval)).spec.max_data_age_us
        for interval in ("1m", "1h")
    }
    assert ages == {"1m": 600_000_000, "1h": 7_200_000_000}
    assert TradingBot.parse(FULL_BOT).spec.max_data_age_us == 90_000_000


def test_an_asset_has_eight_decimals_unless_its_lots_or_the_user_say_otherwise():
    finer = changed(EXCHANGE, spec__instruments__0__lotSize="0.000000000100")
    stated = changed(EXCHANGE, spec__assetScales={"USD": 2})
    assert Exchange.parse(EXCHANGE).spec.asset_scale("BTC") == 8
    assert Exchange.parse(finer).spec.asset_scale("BTC") == 10
    assert Exchange.parse(stated).spec.asset_scale("USD") == 2


def test_a_synthetic_dataset_says_so_and_knows_its_series():
    spec = Dataset.parse(SYNTHETIC).spec
    assert spec.is_synthetic
    assert spec.series == (("BTC-USD", "1m"), ("BTC-USD", "5m"), ("LTC-USD", "1m"), ("LTC-USD", "5m"))


def test_a_replay_knows_its_pace():
    replay = Feed.parse(REPLAY_FILES).spec.replay
    assert replay is not None
    assert (replay.pace, replay.is_lockstep) == (60.0, False)


def test_the_digest_changes_with_the_spec_and_with_nothing_else():
    bot = TradingBot.parse(BOT)
    labelled = TradingBot.parse(changed(BOT, metadata__labels={"a": "b"}, status={"phase": "Running"}))
    spelled_out = TradingBot.parse(changed(BOT, spec__state="Running"))
    other = TradingBot.parse(changed(BOT, spec__strategy__params__fast=11))
    assert labelled.digest() == bot.digest() == spelled_out.digest()
    assert other.digest() != bot.digest()


def test_the_digest_covers_the_defaults_so_that_a_changed_default_is_a_changed_bot():
    bot = TradingBot.parse(BOT)
    written = json.dumps(bot.body()["spec"], sort_keys=True, separators=(",", ":"))
    assert '"maxOpenOrders":200' in written
    assert bot.digest() == hashlib.sha256(written.encode()).hexdigest()


def test_a_float_without_fraction_is_the_whole_number_that_the_api_server_makes_of_it():
    written = TradingBot.parse(changed(BOT, spec__strategy__params__fast=10.0))
    assert written.digest() == TradingBot.parse(BOT).digest()


def test_a_status_of_a_newer_version_is_read_as_far_as_it_is_known():
    body = changed(BOT, status={"phase": "Running", "equity": "10001.5", "isNew": True, "conditions": []})
    status = TradingBot.parse(body).status
    assert (status.phase, str(status.equity)) == ("Running", "10001.5")


def test_nulls_are_taken_for_absent_as_the_api_server_does():
    assert TradingBot.parse(changed(BOT, spec__risk=None, spec__feedRef=None)) == TradingBot.parse(BOT)


@pytest.mark.parametrize("word", ["tb", "TradingBot", "tradingbots", "tradingbot"])
def test_a_kind_is_found_by_any_of_its_names(word: str):
    assert find_kind(word) is TradingBot


def test_short_names_clash_neither_with_each_other_nor_with_those_of_kubernetes():
    # `kubectl api-resources` of 1.34.
    taken = "cm cs ep ev limits ns no pvc pv po rc quota sa svc crd crds ds deploy rs sts hpa cj cr csr ing netpol pdb"
    taken += " pc sc sc vac rq fs"
    short = [kind.names.short for kind in KINDS.values()]
    assert len(set(short)) == len(KINDS) == 7
    assert not set(short) & set(taken.split())
    assert find_kind("pod") is None
