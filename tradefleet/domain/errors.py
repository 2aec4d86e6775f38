"""The error tree: the class decides the reaction, the message helps the person on call.

A message names the object, the field, the rule and the value found. It never holds a secret.
"""

# What to do about a process that needs more memory than it may use, wherever that is found out.
MEMORY_REMEDY = "raise podTemplate.resources.limits.memory, or let the strategy keep less"


class FleetError(Exception):
    """Root of all errors we raise on purpose."""


class Permanent(FleetError):
    """Retrying cannot help: the spec, the data or the request must change."""


class Retryable(FleetError):
    """The same call may succeed later; nothing has happened yet."""


class OutcomeUnknown(FleetError):
    """The call may have taken effect: query before any repeat, never resend blindly."""


class InvalidValue(Permanent):
    """A value breaks a rule of its type (a tick of zero, a bar whose high is below its low)."""


class InvalidOrder(InvalidValue):
    """An order that no venue could hold: no lots, a limit order without a price."""


class InvalidTransition(Permanent):
    """An order was asked to go to a status it cannot reach from where it is."""


class LedgerImbalance(Permanent):
    """A ledger transaction does not sum to zero for some asset, or would make a balance negative."""


class StreamGap(Retryable):
    """A numbered stream skipped a number: nothing after the gap may be applied before it is filled."""


class Fenced(FleetError):
    """A newer epoch holds what we thought was ours: stop at once, commit nothing, send nothing."""


class NonDeterministic(Permanent):
    """A fold of recorded inputs gave other outputs than the recorded ones."""


class LeaseHeld(Retryable):
    """Somebody else holds the lease and it has not expired."""


class AccessDenied(Permanent):
    """The log-in may not do that: a row that was its own is another one's now, or never was its own."""


class StaleGeneration(Permanent):
    """A newer generation of the spec has run already: this process is an old one and must end."""


class BarConflict(Permanent):
    """The same bar (exchange, instrument, interval, open time) arrived again with other content."""
