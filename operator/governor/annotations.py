"""The annotations and the finalizer of ours on resources: what owners ask for, and what the Governor notes."""

from typing import Final

from tradefleet.resources.common import GROUP, Resource

FINALIZER: Final = f"{GROUP}/wind-down"
OWNER_ANNOTATION: Final = f"{GROUP}/owner"  # UID of the BotSet that made a bot, or of the Exchange that made a Feed
STATE_ANNOTATION: Final = f"{GROUP}/state"  # state of a bot of a set that a person chose, whatever the template says
FLATTEN_ANNOTATION: Final = f"{GROUP}/flatten-requests"  # how often the owner has asked to flatten
REOPEN_ANNOTATION: Final = f"{GROUP}/reopen-requests"  # how often the owner has asked to reopen the bot's stream
SKIP_ANNOTATION: Final = f"{GROUP}/skip-request"  # number of a request that may be left out if it cannot be read
ROLLOUT_ANNOTATION: Final = f"{GROUP}/rollout"  # generation of a spec that may come into force, of Manual updates
LET_GO_ANNOTATION: Final = f"{GROUP}/let-go"  # "true" on a deleted bot: it goes at once, what it has at the venue stays
CODE_ANNOTATION: Final = f"{GROUP}/rollout-code"  # the code of a bot that a person agreed to: one of Manual updates
LAST_NUMBER: Final = 10**9


def number_in(resource: Resource, annotation: str) -> int:
    """Return the number that an annotation holds, 0 when it holds none."""
    text = resource.metadata.annotations.get(annotation, "0")
    return min(int(text), LAST_NUMBER) if text.isascii() and text.isdecimal() else 0


def is_owned(resource: Resource) -> bool:
    """Return whether another resource made this one: a BotSet, or an Exchange for its bots' demand."""
    return OWNER_ANNOTATION in resource.metadata.annotations
