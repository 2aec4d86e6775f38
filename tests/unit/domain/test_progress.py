"""Participants of a run carry the bot they stand for in their name."""

from hypothesis import given
from hypothesis import strategies as st

from tradefleet.domain.ids import BotKey, BotUid
from tradefleet.domain.progress import FEED, GATEWAY, VENUE, bot_participant, participant_bot


@given(st.from_regex(r"[a-z0-9-]{1,20}/[a-z0-9.-]{1,20}", fullmatch=True), st.uuids())
def test_a_participant_tells_key_and_uid_of_its_bot(key: str, uid: object) -> None:
    assert participant_bot(bot_participant(BotKey(key), BotUid(str(uid)))) == (key, str(uid))


def test_the_others_stand_for_no_bot() -> None:
    assert [participant_bot(participant) for participant in (FEED, VENUE, GATEWAY)] == [None, None, None]
