"""Progress of a lockstep run: what each participant did in which phase of which step (rules 20, 21).

A step is one distinct market time. Its phases, and the rounds of phases 2 to 5, are decided by the Step machine in
`workloads.backtest.step`; these are the values it reads.
"""

from dataclasses import field
from enum import IntEnum
from typing import NewType

from tradefleet.domain.frozen import frozen
from tradefleet.domain.ids import BotKey, BotUid, StreamName

Participant = NewType("Participant", str)  # "feed", "venue", "gateway" or "bot:namespace/name@uid"

FEED = Participant("feed")
VENUE = Participant("venue")
GATEWAY = Participant("gateway")
VENUE_REQUESTS_STREAM = StreamName("venue-requests")  # what the gateway of a run asks of its venue
REPORTS_STREAM = StreamName("reports")  # what the venue of a run answers

_BOT = "bot:"


def bot_participant(key: BotKey, uid: BotUid) -> Participant:
    """Return the participant that stands for a bot."""
    return Participant(f"{_BOT}{key}@{uid}")


def participant_bot(participant: Participant) -> tuple[BotKey, BotUid] | None:
    """Return key and UID of the bot that a participant stands for, None for the others."""
    if not participant.startswith(_BOT):
        return None
    key, _, uid = participant[len(_BOT) :].rpartition("@")
    return BotKey(key), BotUid(uid)


class Phase(IntEnum):
    """The phases of a step, in their order. FEED declares the step: its time and its bars."""

    FEED = 0
    VENUE_BARS = 1
    GATEWAY_REPORTS = 2
    BOTS = 3
    GATEWAY_REQUESTS = 4
    VENUE_REQUESTS = 5


@frozen()
class Progress:
    """One participant's row. `produced` holds the last number of each stream in which this phase produced something.

    `next_due_us` is the participant's next timer, which may make a step of its own. A participant that `left` is not
    waited for after this phase; the feed leaves with the last step of its data.
    """

    participant: Participant
    market_us: int
    round: int
    phase: Phase
    produced: dict[StreamName, int] = field(default_factory=dict)
    next_due_us: int | None = None
    left: bool = False
