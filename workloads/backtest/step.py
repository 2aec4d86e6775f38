"""The Step machine: what may happen next within a step of a replay (rule 20).

One step is one distinct market time. Its phases:

1. the Venue applies the step's bars;
2. the Gateway applies reports, in round 0 then prices;
3. the Bots apply executions, in round 0 then due timers and bars;
4. the Gateway applies the Bots' requests;
5. the Venue takes the Gateway's requests, and its answers return.

Phases 2 to 5 repeat in rounds until nothing comes out. A phase that has no input is left out: whether it has one
follows from what the phases before it produced, so every participant of a distributed run finds the same answer in
the same rows. The single-process backtest and the lockstep run are driven by this one machine.
"""

from typing import NamedTuple

from tradefleet.domain.progress import Phase

ROUNDS_MAX = 16  # requests that come in the last round are denied; what is still under way waits for the next step


class Turn(NamedTuple):
    """A phase of a round of the current step."""

    phase: Phase
    round: int

    @property
    def is_last_round(self) -> bool:
        """True when the Gateway must deny every new order of this round."""
        return self.round == ROUNDS_MAX - 1


class Step:
    """Where a step is, and what is on its way between the machines.

    `reports`, `executions`, `requests` and `venue_requests` are True while something of that kind has been produced
    and not yet been applied; they outlive a step that ran into `ROUNDS_MAX`.
    """

    __slots__ = ("executions", "reports", "requests", "turn", "venue_requests")

    def __init__(self) -> None:
        self.turn: Turn | None = None
        self.reports = False
        self.executions = False
        self.requests = False
        self.venue_requests = False

    def begin(self, *, has_bars: bool) -> Turn:
        """Start a step; without bars (a timer's own step) the Venue has nothing to apply."""
        self.turn = _VENUE_BARS if has_bars else _GATEWAY_REPORTS
        return self.turn

    def advance(self) -> Turn | None:
        """Return the turn after the current one, None when the step has ended.

        To be called once all who take part in the current turn have applied their inputs and set the flags of what
        they produced.
        """
        turn = self.turn
        assert turn is not None, "advance() before begin()"
        phase, number = turn
        if phase is Phase.VENUE_BARS:
            self.turn = _GATEWAY_REPORTS
        elif phase is Phase.GATEWAY_REPORTS:
            self.reports = False
            self.turn = Turn(Phase.BOTS, number) if number == 0 or self.executions else self._after_bots(number)
        elif phase is Phase.BOTS:
            self.executions = False
            self.turn = self._after_bots(number)
        elif phase is Phase.GATEWAY_REQUESTS:
            self.requests = False
            self.turn = self._after_requests(number)
        else:
            self.venue_requests = False
            self.turn = self._next_round(number)
        return self.turn

    def _after_bots(self, number: int) -> Turn | None:
        return Turn(Phase.GATEWAY_REQUESTS, number) if self.requests else self._after_requests(number)

    def _after_requests(self, number: int) -> Turn | None:
        return Turn(Phase.VENUE_REQUESTS, number) if self.venue_requests else self._next_round(number)

    def _next_round(self, number: int) -> Turn | None:
        if number + 1 == ROUNDS_MAX or not (self.reports or self.executions):
            return None
        return Turn(Phase.GATEWAY_REPORTS if self.reports else Phase.BOTS, number + 1)


_VENUE_BARS = Turn(Phase.VENUE_BARS, 0)
_GATEWAY_REPORTS = Turn(Phase.GATEWAY_REPORTS, 0)
