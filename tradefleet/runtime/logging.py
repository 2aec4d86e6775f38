"""Logs of a process: one JSON object a line, or a line to read on a terminal, with the ids of what is worked on.

`with log_context(bot=…, client_order_id=…):` adds fields to every line written inside. A password in a URL or in a
connection string is blotted out whatever wrote the line.
"""

import datetime as dt
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, TextIO

import msgspec

_CONTEXT: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_IN_URL: Final = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE)
_SECRET_IN_PAIR: Final = re.compile(
    r"(?P<before>\b(?:sasl\.)?(?:password|passwd|secret|token|api_key|apikey)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+",
    re.IGNORECASE,
)
_BLOT: Final = r"\g<before>***"


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to every line that is logged inside the block."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def redact(text: str) -> str:
    """Return the text without the passwords in its URLs and key-value pairs."""
    if "://" in text:
        text = _SECRET_IN_URL.sub(_BLOT, text)
    return _SECRET_IN_PAIR.sub(_BLOT, text)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what the line says beside its message: the context, and what the call gave as `extra`."""
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {**_CONTEXT.get(), **own}


class JsonFormatter(logging.Formatter):
    """One JSON object: time (RFC 3339, microseconds), level, logger, message, then the fields and the error."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "component": self._component,
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return redact(msgspec.json.encode(line, enc_hook=str).decode())


class TextFormatter(logging.Formatter):
    """A line for people: time of day, level, message, fields; an error below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record.created)[11:23]} {record.levelname:<7} {record.getMessage()}{fields}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return redact(line)


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="microseconds")


def set_up_logging(
    component: str, *, level: str = "INFO", log_format: str = "auto", stream: TextIO | None = None
) -> None:
    """Send every logger's lines to `stream` (standard error); once per process. `auto` is text on a terminal."""
    stream = stream or sys.stderr
    is_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
