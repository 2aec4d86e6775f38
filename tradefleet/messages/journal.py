"""The simulator's journal: its inputs in their order. The venue's state is a replay of them (rules 3 and 10).

Unlike everything else, prices and sizes here are integer ticks and lots of the exchange's instruments, exactly as the
venue takes them: a replay must not pass through a conversion that a changed instrument would change. The record that
opens a journal names the configuration that gives those integers their meaning.

Every record carries the writer's lease epoch; a replay drops a record whose epoch is below the highest seen.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from tradefleet.domain.orders import OrderType, Side, TimeInForce
from tradefleet.messages.fields import DurationUs, MarketPrice, MarketSize, Message, Part, TimeUs


class JournalMessage(Message, frozen=True, kw_only=True, gc=False):
    """What every record of a journal says first."""

    exchange: Annotated[str, Meta(description="Exchange as namespace/name")]
    epoch: Annotated[int, Meta(description="Lease epoch of the writer")]


class JournalConfigured(JournalMessage, frozen=True, kw_only=True, gc=False):
    """The venue's configuration from here on. The first record of a journal is one."""

    configuration: Annotated[str, Meta(description="Instruments, fees and market as JSON")]
    configuration_hash: Annotated[str, Meta(description="SHA-256 of `configuration`, in hex")]


class JournalBar(Part, frozen=True, kw_only=True, gc=False):
    """A closed bar that the venue fills from."""

    symbol: Annotated[str, Meta(description="Instrument, such as BTC-USD")]
    interval_us: DurationUs
    open_us: Annotated[TimeUs, Meta(description="Start of the interval, UTC microseconds")]
    open: MarketPrice
    high: MarketPrice
    low: MarketPrice
    close: MarketPrice
    volume: MarketSize


class JournalBars(JournalMessage, frozen=True, kw_only=True, gc=False):
    """The bars of one step, in their order."""

    bars: Annotated[tuple[JournalBar, ...], Meta(description="As the venue applies them")]


class VenueRequestKind(StrEnum):
    """What a request asks of the venue."""

    SUBMIT = "SUBMIT"
    CANCEL = "CANCEL"
    AMEND = "AMEND"
    DEPOSIT = "DEPOSIT"
    VOID = "VOID"  # the number stands for nothing any more


class JournalRequest(Part, frozen=True, kw_only=True, gc=False):
    """One numbered request of an account. Which fields are set follows from `kind`."""

    no: Annotated[int, Meta(description="Gapless number of the account's requests")]
    kind: VenueRequestKind
    reference: Annotated[str, Meta(description="The order's client id, or the deposit's reference")] = ""
    market_us: Annotated[TimeUs | None, Meta(description="Market time of the request, UTC microseconds")] = None
    decided_us: Annotated[
        TimeUs | None, Meta(description="Market time of the newest input that whoever asks has seen, UTC microseconds")
    ] = None
    symbol: Annotated[str | None, Meta(description="SUBMIT: instrument")] = None
    side: Side | None = None
    order_type: OrderType | None = None
    lots: Annotated[int | None, Meta(description="SUBMIT: size; AMEND: new total size, null leaves it")] = None
    price_ticks: Annotated[int | None, Meta(description="Limit price; AMEND: null leaves it")] = None
    trigger_ticks: Annotated[int | None, Meta(description="Stop orders only")] = None
    time_in_force: TimeInForce | None = None
    protection_ticks: Annotated[
        int | None, Meta(description="SUBMIT: worst price at which a buy without a limit may fill")
    ] = None
    post_only: bool = False
    reduce_only: bool = False
    asset: Annotated[str | None, Meta(description="DEPOSIT: asset")] = None
    amount_atoms: Annotated[str | None, Meta(description="DEPOSIT: atoms of the asset, as decimal digits")] = None


class JournalRequests(JournalMessage, frozen=True, kw_only=True, gc=False):
    """A batch of requests of one account in one round of a step, in the order of their numbers."""

    round: Annotated[int, Meta(description="Round of the step; 0 outside lockstep")]
    account: Annotated[str, Meta(description="Account as namespace/exchange:account")]
    requests: Annotated[tuple[JournalRequest, ...], Meta(description="As the venue applies them")]
