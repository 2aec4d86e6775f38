"""Times as people read them."""

from datetime import UTC, datetime

from tradefleet.domain.bar import MICROSECONDS


def format_time(time_us: int) -> str:
    """Return UTC microseconds as ISO 8601 text: `2018-04-04T00:01:00Z`, with decimals only where there are some."""
    seconds, rest = divmod(time_us, MICROSECONDS)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_us} us"  # outside the calendar: the bare number says more than an error
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"
