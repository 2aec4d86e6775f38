"""What a RiskPolicy says: whom it chooses and halts, and which of its rules bind nobody yet."""

from governor.policy_status import policy_status

from tests.unit.governor import fleets
from tradefleet.resources.common import ConditionStatus, ConditionType, Phase
from tradefleet.resources.risk_policy import RiskPolicyStatus, RiskState

BOTS = [fleets.bot("alpha"), fleets.labelled(fleets.bot("beta"), team="x")]


def _status(*halted: str, **spec) -> RiskPolicyStatus:
    policy = fleets.policy(**spec)
    return policy_status(policy, [*BOTS, policy], {f"policy/default/{name}" for name in halted}, now_us=0)


def _is(status: RiskPolicyStatus, kind: ConditionType) -> bool:
    found = status.condition(kind)
    return found is not None and found.status is ConditionStatus.TRUE


def test_a_policy_says_how_many_bots_it_chooses() -> None:
    assert _status().bots == 2
    assert _status(selector={"matchLabels": {"team": "x"}}).bots == 1
    assert _status(selector={"matchLabels": {"team": "y"}}).bots == 0


def test_it_is_ready_when_all_of_them_are_halted() -> None:
    begins, done = _status("alpha", halt=True), _status("alpha", "beta", halt=True)

    assert (begins.halted_bots, _is(begins, ConditionType.READY)) == (1, False)
    assert begins.reason == "1 of 2 TradingBots are halted"
    assert (done.halted_bots, done.state, _is(done, ConditionType.READY)) == (2, RiskState.HALTED, True)
    assert done.reason == "halts alpha, beta"


def test_it_halts_without_bots_too() -> None:
    status = _status(halt=True, selector={"matchLabels": {"team": "y"}})

    assert _is(status, ConditionType.READY)
    assert "there is none" in (status.reason or "")


def test_without_a_halt_it_halts_nobody() -> None:
    status = _status("alpha")

    assert (status.state, status.halted_bots, _is(status, ConditionType.READY)) == (RiskState.NORMAL, 0, True)
    assert not _is(status, ConditionType.WARNING)


def test_what_binds_nobody_yet_is_named() -> None:
    status = _status(limits={"maxExposure": 1, "maxOpenOrders": 5}, crisis={"entry": {"drawdownPercent": 20}})

    warning = status.condition(ConditionType.WARNING)
    assert warning is not None
    assert warning.reason == "NotEnforced"
    assert "limits.maxExposure, limits.maxOpenOrders, crisis" in warning.message
    assert "limits.maxExposure" in (status.reason or "")


def test_a_suspended_policy_claims_nothing() -> None:
    status = _status(limits={"maxExposure": 1}, suspend=True)

    assert status.phase is Phase.STOPPED
    assert not _is(status, ConditionType.WARNING)


def test_the_time_of_its_state_stays_while_the_state_does() -> None:
    policy = fleets.policy(halt=True)
    first = policy_status(policy, BOTS, (), now_us=0)
    later = policy.model_copy(update={"status": first})

    assert policy_status(later, BOTS, (), now_us=10**9).state_since == first.state_since
    cleared = fleets.policy().model_copy(update={"status": first})
    assert policy_status(cleared, BOTS, (), now_us=10**9).state_since != first.state_since


def test_many_bots_are_not_all_named() -> None:
    bots = [fleets.bot(f"bot-{number:02}") for number in range(12)]
    policy = fleets.policy(halt=True)
    halted = {f"policy/default/{bot.metadata.name}" for bot in bots}

    assert (policy_status(policy, bots, halted, now_us=0).reason or "").endswith("bot-09 and 2 more")
