import pytest

from tests.unit.cli.running import run


@pytest.mark.parametrize("bots", [[], ["alpha", "beta"], ["alpha", "--all"]])
def test_a_request_is_left_out_of_one_bot_that_is_named(bots, tmp_path):
    found = run("resume", *bots, "--skip-request", "7", "--data-dir", str(tmp_path))

    assert found.status != 0
    assert "--skip-request is about one bot: name it, and no other" in found.err
