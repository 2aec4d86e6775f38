"""What a gateway's edge is given: how it runs, and the database."""

from dataclasses import dataclass
from typing import Protocol

from tradefleet.domain.ids import StreamName, bars_stream
from tradefleet.store.ports import GatewayStore, HaltStore, RunId, RunStore
from workloads.exchange.gateway.config import GatewayConfig
from workloads.exchange.ports import CommandSource


class GatewayDatabase(GatewayStore, RunStore, HaltStore, CommandSource, Protocol):
    """Everything the gateway reads and writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """How this gateway runs. Times in microseconds of the wall's clock."""

    config: GatewayConfig
    exchange: str  # "namespace/name"
    holder: str
    generation: int
    owner: str = ""  # UID of the Exchange
    bar_streams: tuple[StreamName, ...] = ()  # beyond the finest ones: bots of coarser intervals have figures too
    executions_topic: str
    reports_topic: str
    run: RunId | None = None
    lease_ttl_us: int = 15_000_000
    request_timeout_us: int = 5_000_000
    look_every_us: int = 30_000_000  # between two comparisons of the books with the venue, in a free run
    look_again_us: int = 2_000_000  # and where they differed, or a bot's books are in doubt

    @property
    def bars(self) -> list[StreamName]:
        """The streams of bars that the gateway reads, sorted."""
        finest = (bars_stream(self.exchange, symbol, interval) for symbol, interval in self.config.finest_us.items())
        return sorted({*self.bar_streams, *finest})
