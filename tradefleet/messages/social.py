"""Posts from social media, as feeds hand them on."""

from typing import Annotated

from msgspec import Meta

from tradefleet.messages.fields import Message, TimeUs


class PostPublished(Message, frozen=True, kw_only=True, gc=False):
    """One post. Its event time is when it was posted; it is a signal, never an instruction."""

    source: Annotated[str, Meta(description="Where it was posted, such as mastodon")]
    author: Annotated[str, Meta(description="Account that posted")]
    post_id: Annotated[str, Meta(description="The source's id of the post")]
    text: Annotated[str, Meta(description="The post's words")]
    url: Annotated[str | None, Meta(description="Address of the post")] = None
    language: Annotated[str | None, Meta(description="BCP 47 code, such as en")] = None
    symbols: Annotated[tuple[str, ...], Meta(description="Instruments the post is taken to be about")] = ()
    received_us: Annotated[TimeUs, Meta(description="When the feed received it, UTC microseconds")]
