"""Messages that steer the fleet: commands and states. States are whole and carry a generation (rule 11).

They tell what was decided and wake up who must act; what binds are the rows in the database.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from tradefleet.domain.bots import DeletionPolicy, RunState
from tradefleet.messages.fields import ExactAmount, Message

_SCOPE = "fleet, account/namespace/exchange:account or bot/namespace/name"


class RiskAction(StrEnum):
    """What a risk command asks for."""

    HALT = "HALT"  # no order that raises risk, until cleared
    RESUME = "RESUME"


class RiskCommanded(Message, frozen=True, kw_only=True, gc=False):
    """Somebody asked for a halt or its end."""

    scope: Annotated[str, Meta(description=_SCOPE)]
    action: RiskAction
    reason: Annotated[str, Meta(description="Why, in words")]
    set_by: Annotated[str, Meta(description="Person or component that asked")]


class RiskMode(StrEnum):
    """How careful a scope trades."""

    NORMAL = "NORMAL"
    CAUTION = "CAUTION"
    CRISIS = "CRISIS"
    HALTED = "HALTED"


class RiskStateChanged(Message, frozen=True, kw_only=True, gc=False):
    """The whole risk state of a scope."""

    scope: Annotated[str, Meta(description=_SCOPE)]
    generation: Annotated[int, Meta(description="Grows with every change; the highest one is the state")]
    mode: RiskMode
    reason: Annotated[str, Meta(description="Why, in words")]
    drawdown_ppm: Annotated[int, Meta(description="Equity below its peak, in parts per million of the peak")]
    exposure: Annotated[ExactAmount, Meta(description="Positions and open buys at the mark, in quote")]


class BotCommanded(Message, frozen=True, kw_only=True, gc=False):
    """The whole desired running state of a bot. Written by the Governor alone."""

    bot: Annotated[str, Meta(description="Bot as namespace/name")]
    uid: Annotated[str, Meta(description="UID of the bot's resource")]
    generation: Annotated[int, Meta(description="Generation of the resource; the highest one is the state")]
    state: RunState
    deletion_policy: DeletionPolicy
    flatten_requests: Annotated[int, Meta(description="How often the owner has asked to flatten the bot")] = 0
    reopen_requests: Annotated[int, Meta(description="How often the owner has asked to reopen the bot's stream")] = 0
    deleted: Annotated[bool, Meta(description="The resource is being deleted: act on `deletion_policy`")] = False
    settings_hash: Annotated[str, Meta(description="SHA-256 of the bot's settings, JSON with sorted keys, in hex")] = ""
