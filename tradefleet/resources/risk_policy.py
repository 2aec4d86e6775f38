"""RiskPolicy: limits over a group of bots, what counts as a crisis, and the switch that halts them all."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from tradefleet.resources.common import KindNames, LabelSelector, PrinterColumn, Resource, Status
from tradefleet.resources.model import Model, rule
from tradefleet.resources.values import Duration, Multiple, Percent, PositiveAmount, SignedAmount, Whole


class CrisisAction(StrEnum):
    """What happens when a crisis begins."""

    HALT_NEW_RISK = "HaltNewRisk"
    CANCEL_ORDERS = "CancelOrders"
    FLATTEN = "Flatten"


class GroupLimits(Model):
    """Limits over all chosen bots together; absent means no such limit. The stricter of these and a bot's own binds."""

    max_order_notional: PositiveAmount | None = Field(
        default=None, description="Largest order of any bot, quote asset."
    )
    max_position_notional: PositiveAmount | None = Field(
        default=None, description="Largest position per instrument over all bots together, quote asset."
    )
    max_exposure: Multiple | None = Field(
        default=None, description="All positions and open buys of the bots together, as a multiple of their equity."
    )
    max_open_orders: Whole | None = Field(
        default=None, ge=1, le=1_000_000, description="Open orders of all bots together."
    )
    max_orders_per_minute: Whole | None = Field(
        default=None, ge=1, le=1_000_000, description="Orders of all bots together in any 60 seconds."
    )
    max_daily_loss_percent: Percent | None = Field(
        default=None, description="Loss of all bots together since midnight UTC at which new risk is denied."
    )
    max_drawdown_percent: Percent | None = Field(
        default=None, description="Fall of their common equity from its highest value at which new risk is denied."
    )


class CrisisEntry(Model):
    """What counts as the beginning of a crisis: any one of these."""

    drawdown_percent: Percent | None = Field(
        default=None, description="Fall of the bots' common equity from its highest value."
    )
    volatility_multiple: Multiple | None = Field(
        default=None, description="Volatility of the last hour as a multiple of that of the last week."
    )
    venue_errors_per_minute: Whole | None = Field(
        default=None, ge=1, le=100_000, description="Failed requests to a venue in any 60 seconds."
    )

    @rule(
        cel="has(self.drawdownPercent) || has(self.volatilityMultiple) || has(self.venueErrorsPerMinute)",
        message="a crisis needs a beginning: give drawdownPercent, volatilityMultiple or venueErrorsPerMinute",
    )
    def _has_a_cause(self) -> bool:
        causes = (self.drawdown_percent, self.volatility_multiple, self.venue_errors_per_minute)
        return any(each is not None for each in causes)


class CrisisExit(Model):
    """When a crisis is over: all of these."""

    drawdown_percent: Percent | None = Field(
        default=None, description="The fall must be smaller than this again; below that of the entry."
    )
    calm_for: Duration = Field(default="1h", description="How long no cause of the entry may have been there.")


class Crisis(Model):
    """A state with rules for its beginning and end, so that limits do not flicker."""

    entry: CrisisEntry = Field(description="What begins a crisis: any one of these.")
    exit: CrisisExit = Field(default=CrisisExit(), description="What ends it: all of these.")
    action: CrisisAction = Field(
        default=CrisisAction.HALT_NEW_RISK,
        strict=False,
        description="HaltNewRisk: only orders that reduce risk pass. CancelOrders: open orders are cancelled too. "
        "Flatten: positions are sold as well.",
    )

    @rule(
        cel="!has(self.exit.drawdownPercent) || (has(self.entry.drawdownPercent) && "
        "double(self.exit.drawdownPercent) < double(self.entry.drawdownPercent))",
        message="a crisis ends at a smaller fall than it begins with: exit.drawdownPercent must be below "
        "entry.drawdownPercent",
        field="exit.drawdownPercent",
    )
    def _exit_is_below_entry(self) -> bool:
        entry, leaving = self.entry.drawdown_percent, self.exit.drawdown_percent
        return leaving is None or (entry is not None and leaving < entry)


class RiskPolicySpec(Model):
    """Limits over a group of bots."""

    selector: LabelSelector = Field(
        default=LabelSelector(), description="Which TradingBots, by their labels. Default: all of the namespace."
    )
    limits: GroupLimits = Field(
        default=GroupLimits(),
        description="Limits over all chosen bots together. Not enforced in this release, as the Warning condition "
        "says.",
    )
    crisis: Crisis | None = Field(
        default=None,
        description="What counts as a crisis, and what happens then. Not enforced in this release, as the Warning "
        "condition says.",
    )
    halt: bool = Field(
        default=False,
        description="true: no order of the chosen bots that raises risk is accepted or sent; cancels and reducing "
        "orders pass. Stays until set to false; a halt by command is another switch, and stays.",
    )
    suspend: bool = Field(default=False, description="true: the policy's limits and crisis rules do not bind.")

    @rule(
        cel="!(self.halt && self.suspend)",
        message="a suspended policy cannot halt: set suspend: false, or halt: false",
        field="suspend",
    )
    def _halt_binds(self) -> bool:
        return not (self.halt and self.suspend)


class RiskState(StrEnum):
    """How things stand."""

    NORMAL = "Normal"
    CAUTION = "Caution"
    CRISIS = "Crisis"
    HALTED = "Halted"


class RiskPolicyStatus(Status):
    """How things stand with the chosen bots."""

    state: RiskState | None = Field(default=None, strict=False, description="Normal, Caution, Crisis or Halted.")
    bots: Whole | None = Field(default=None, description="TradingBots that the policy chooses.")
    halted_bots: Whole | None = Field(default=None, description="How many of them the policy's halt stops now.")
    drawdown_percent: SignedAmount | None = Field(
        default=None, description="How far their common equity is below its highest value."
    )
    exposure: SignedAmount | None = Field(default=None, description="All their positions together, quote asset.")
    state_since: str | None = Field(default=None, description="Since when the state is what it is, UTC.")


class RiskPolicy(Resource):
    """Limits over a group of bots, what counts as a crisis, and the switch that halts them all."""

    names: ClassVar[KindNames] = KindNames(plural="riskpolicies", short="rp")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Halt", path=".spec.halt", description="Whether new risk is halted.", type="boolean"),
        PrinterColumn(name="State", path=".status.state", description="Normal, Caution, Crisis or Halted."),
        PrinterColumn(name="Bots", path=".status.bots", description="Bots that it chooses.", type="integer"),
        PrinterColumn(name="Halted", path=".status.haltedBots", description="Bots it halts.", type="integer"),
        PrinterColumn(name="Drawdown", path=".status.drawdownPercent", description="Common fall, percent."),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["RiskPolicy"] = Field(default="RiskPolicy", description="RiskPolicy.")
    spec: RiskPolicySpec = Field(default=RiskPolicySpec(), description="Limits over a group of bots.")
    status: RiskPolicyStatus = Field(
        default=RiskPolicyStatus(), description="How things stand; written by the fleet, not by you."
    )
