"""Who may write what, beside what the topics say of themselves."""

import pytest

from tradefleet.bus.access import GUEST, WRITERS
from tradefleet.messages.topics import TOPICS, Topic

PARTS = {"feed": "feeds", "venue": "simulators", "gateway": "gateways", "bot": "bots", "recorder": "recorders"}


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_each_topic_is_written_by_whom_it_says(topic: Topic) -> None:
    allowed = {PARTS[user] for user, topics in WRITERS.items() if topic in topics and user in PARTS}

    assert allowed == set(filter(None, topic.written_by.replace("the Governor", "").split(", ")))
    assert (topic in WRITERS[GUEST]) == (not topic.written_by)
