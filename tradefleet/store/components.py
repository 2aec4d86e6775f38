"""Who has a log-in to the database. Apart from what each may do, so that to name one loads no schema."""

from enum import StrEnum

GROUP_PREFIX = "tradefleet_"


class Component(StrEnum):
    """Who has a log-in."""

    FEED = "feed"
    GATEWAY = "gateway"
    VENUE = "venue"
    HOLDER = "holder"  # of one bot, or a host of several
    RECORDER = "recorder"
    BACKTEST = "backtest"
    READER = "reader"
    SUPERVISOR = "supervisor"


def group_role(component: Component) -> str:
    """Return the role that holds a component's privileges; nobody logs in as it."""
    return GROUP_PREFIX + component
