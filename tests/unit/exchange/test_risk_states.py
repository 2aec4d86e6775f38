"""What a gateway tells of its scopes, and when."""

from decimal import Decimal

import pytest

from tests.unit.exchange.gateway.scenes import A, B, Player, bot_config
from tradefleet.domain.money import from_atoms
from tradefleet.messages.codec import decode
from tradefleet.messages.control import RiskMode, RiskStateChanged
from workloads.exchange.risk_states import TELL_US, RiskStates

ACCOUNT = "account/default/sim:main"


class Air:
    """Keeps the newest message of each key, as a compacted topic does."""

    def __init__(self) -> None:
        self.messages: dict[str, RiskStateChanged] = {}
        self.count = 0

    def announce(self, topic, key, payload):
        assert topic == "risk.state"
        self.messages[key] = decode(payload)
        self.count += 1


class Room:
    def __init__(self) -> None:
        self.player = Player(bot_config(A), bot_config(B))
        self.air = Air()
        self.states = RiskStates(self.air)
        self.now_us = 0

    def tell(self, epoch: int = 1) -> int:
        """Look again; return how many messages that made."""
        before = self.air.count
        self.now_us += TELL_US
        self.states.tell(self.player.gateway, epoch=epoch, now_us=self.now_us)
        return self.air.count - before


@pytest.fixture
def room() -> Room:
    room = Room()
    room.tell()
    return room


def test_each_bot_and_the_account_are_told_once(room: Room) -> None:
    assert set(room.air.messages) == {f"bot/{A}", f"bot/{B}", ACCOUNT}
    assert {each.mode for each in room.air.messages.values()} == {RiskMode.NORMAL}
    assert room.tell() == 0


@pytest.mark.parametrize(
    ("switch", "halted"),
    [
        ("fleet", {f"bot/{A}", f"bot/{B}", ACCOUNT}),
        (ACCOUNT, {f"bot/{A}", f"bot/{B}", ACCOUNT}),
        (f"bot/{A}", {f"bot/{A}"}),
        ("bot/default/somebody", set()),
    ],
)
def test_a_halt_is_told_of_every_scope_below_it_and_so_is_its_end(room: Room, switch: str, halted: set[str]) -> None:
    room.player.halt(switch)
    assert room.tell() == len(halted)
    assert {scope for scope, each in room.air.messages.items() if each.mode is RiskMode.HALTED} == halted
    assert all(room.air.messages[scope].reason == f"halted: {switch}" for scope in halted)

    room.player.halt()

    assert room.tell() == len(halted)
    assert {each.mode for each in room.air.messages.values()} == {RiskMode.NORMAL}


def test_exposure_is_positions_and_open_buys_at_the_mark(room: Room) -> None:
    room.player.hold(2)
    room.player.accept(room.player.buy(3, 90))
    room.player.price(110)

    assert room.tell() == 2

    gateway = room.player.gateway
    scale = gateway.accounts[A].instruments[0].quote_scale
    notional = gateway.accounts[A].instruments[0].notional_atoms
    assert room.air.messages[f"bot/{A}"].exposure == from_atoms(notional(2, 110) + notional(3, 90), scale)
    assert room.air.messages[ACCOUNT].exposure == room.air.messages[f"bot/{A}"].exposure
    assert room.air.messages[f"bot/{B}"].exposure == Decimal(0)


def test_drawdown_is_what_the_peak_has_lost(room: Room) -> None:
    room.player.hold(100)
    room.player.price(150)
    room.tell()
    assert room.air.messages[f"bot/{A}"].drawdown_ppm == 0

    room.player.price(75)
    room.tell()

    account = room.player.gateway.accounts[A]
    lost = account.peak_equity_atoms - account.mark_equity(room.player.gateway.marks)
    assert lost > 0
    assert room.air.messages[f"bot/{A}"].drawdown_ppm == lost * 1_000_000 // account.peak_equity_atoms
    assert 0 < room.air.messages[ACCOUNT].drawdown_ppm < room.air.messages[f"bot/{A}"].drawdown_ppm


def test_a_moment_later_is_too_early_to_look_again(room: Room) -> None:
    room.player.halt("fleet")
    room.states.tell(room.player.gateway, epoch=1, now_us=room.now_us + TELL_US - 1)
    assert room.air.messages[ACCOUNT].mode is RiskMode.NORMAL


def test_the_states_of_a_later_gateway_are_the_newer_ones(room: Room) -> None:
    room.player.halt("fleet")
    room.tell()
    before = room.air.messages[ACCOUNT].generation

    later = RiskStates(room.air)
    later.tell(room.player.gateway, epoch=2, now_us=0)

    assert room.air.messages[ACCOUNT].generation > before
