import time
from datetime import UTC, datetime

import pytest

from tradefleet.cli.log_lines import is_since, seconds_of
from tradefleet.domain.errors import Permanent


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7_200), ("1d", 86_400)])
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: int):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5w", "٥m"])
def test_another_duration_is_refused_with_an_example(text: str):
    with pytest.raises(Permanent, match="such as 5m"):
        seconds_of(text)


def test_a_line_is_as_old_as_it_says():
    now_s = time.time()
    line = f'{{"time": "{datetime.fromtimestamp(now_s - 60, UTC).isoformat()}", "message": "x"}}'
    assert is_since(line, now_s - 61)
    assert not is_since(line, now_s - 59)
    assert not is_since("no json", 0)
    assert not is_since('{"message": "x"}', 0)
