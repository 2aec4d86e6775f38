"""Lines that a process logs."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from tradefleet.runtime.logging import log_context, redact, set_up_logging


@pytest.fixture
def log() -> Iterator[Callable[..., io.StringIO]]:
    """Sets logging up on a stream and gives it; the runner's own handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def set_up(log_format: str = "json", level: str = "INFO") -> io.StringIO:
        stream = io.StringIO()
        set_up_logging("bot/default/alpha", level=level, log_format=log_format, stream=stream)
        return stream

    yield set_up
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_json_line_says_when_who_what_and_about_what(log: Callable[..., io.StringIO]) -> None:
    stream = log()
    with log_context(bot="default/alpha"), log_context(client_order_id="A1"):
        logging.getLogger("tradefleet.test").warning("denied by %s", "collar", extra={"lots": 3})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "tradefleet.test",
        "message": "denied by collar",
        "component": "bot/default/alpha",
        "bot": "default/alpha",
        "client_order_id": "A1",
        "lots": 3,
    }


def test_the_context_ends_with_its_block(log: Callable[..., io.StringIO]) -> None:
    stream = log()
    with log_context(bot="default/alpha"):
        pass
    logging.getLogger("tradefleet.test").info("later")
    assert "bot" not in json.loads(stream.getvalue())


def test_an_error_stands_in_its_line_whole(log: Callable[..., io.StringIO]) -> None:
    stream = log()
    try:
        raise ValueError("no tick")
    except ValueError:
        logging.getLogger("tradefleet.test").exception("crashed")
    [text] = stream.getvalue().splitlines()
    assert "ValueError: no tick" in json.loads(text)["error"]


def test_values_that_json_does_not_know_are_written_as_text(log: Callable[..., io.StringIO]) -> None:
    stream = log()
    logging.getLogger("tradefleet.test").info("x", extra={"error_class": KeyError})
    assert json.loads(stream.getvalue())["error_class"] == "<class 'KeyError'>"


def test_the_text_format_is_a_line_to_read(log: Callable[..., io.StringIO]) -> None:
    stream = log("text")
    with log_context(bot="default/alpha"):
        logging.getLogger("tradefleet.test").error("no broker")
    assert stream.getvalue()[12:] == " ERROR   no broker bot=default/alpha\n"


def test_auto_is_json_when_nobody_watches(log: Callable[..., io.StringIO]) -> None:
    stream = log("auto")
    logging.getLogger("tradefleet.test").info("x")
    assert json.loads(stream.getvalue())["message"] == "x"


def test_lines_below_the_level_are_dropped(log: Callable[..., io.StringIO]) -> None:
    stream = log(level="WARNING")
    logging.getLogger("tradefleet.test").info("x")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_passwords_never_reach_a_line(log: Callable[..., io.StringIO], log_format: str) -> None:
    stream = log(log_format)
    logger = logging.getLogger("tradefleet.test")
    logger.error("cannot reach postgresql://bot:hunter2@db:5432/f1?sslmode=require")
    logger.error("config %s", {"sasl.password": "hunter2", "sasl.username": "bot"})
    logger.error("host=db password=hunter2 user=bot", extra={"url": "amqp://u:hunter2@h"})
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("***") == 4


@pytest.mark.parametrize(
    "text", ["http://host:8080/path", "at 12:30 a@b.example", "the token was renewed", "kafka://h:1,h:2"]
)
def test_harmless_text_stays(text: str) -> None:
    assert redact(text) == text
