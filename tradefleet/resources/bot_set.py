"""BotSet: many bots from one matrix of strategies, parameters and instruments; changed a few at a time.

`expand` gives the TradingBots of a set. It is pure and its names are deterministic: the same set always means the
same bots, and a bot keeps its name (hence its wallet and its orders) when others are added or taken out.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from tradefleet.resources.common import (
    API_VERSION,
    GROUP,
    KindNames,
    Metadata,
    OwnerReference,
    PrinterColumn,
    Resource,
    Status,
)
from tradefleet.resources.model import FieldPath, Model, format_path, rule, transition
from tradefleet.resources.problems import InvalidResource, Problem
from tradefleet.resources.trading_bot import (
    INSTRUMENTS_MAX,
    BotSettings,
    Placement,
    StrategyReference,
    TradingBot,
    TradingBotSpec,
)
from tradefleet.resources.values import (
    CountOrPercent,
    InstrumentSymbol,
    Many,
    ManyDistinct,
    NameSuffix,
    Parameter,
    ParameterName,
    Whole,
)

BOTS_MAX = 1000  # of one set
STRATEGIES_MAX = 100
MATRIX_INSTRUMENTS_MAX = 200
LISTS_MAX = 8  # parameters that are varied at once
VALUES_MAX = 100  # of one parameter
NAME_LENGTH_MAX = 50  # of a resource: leaves room for the suffixes of what is made for it
HASH_LENGTH = 8  # hex digits that stand for what was cut off a name
BOT_SET_LABEL = f"{GROUP}/bot-set"
STRATEGY_LABEL = f"{GROUP}/strategy"


class MatrixStrategy(StrategyReference):
    """A strategy of the matrix; each combination of the values in paramLists is a bot of its own."""

    label: NameSuffix | None = Field(
        default=None, description="Part of the names of these bots. Default: the name of the strategy."
    )
    param_lists: dict[ParameterName, Many[Parameter]] = Field(
        default={},
        max_length=LISTS_MAX,
        description="Values to vary, such as fast: [5, 10, 20]; each combination is a bot of its own.",
    )

    @rule(
        cel=None,
        message="a parameter is fixed or varied: take it out of params or of paramLists",
        field="paramLists",
    )
    def _fixed_or_varied(self) -> bool:
        return not set(self.param_lists) & set(self.params)

    @rule(
        cel=None,
        message="each list of paramLists needs at least one value",
        field="paramLists",
    )
    def _lists_have_values(self) -> bool:
        return all(self.param_lists.values())

    @property
    def name_part(self) -> str:
        """The part of a bot's name that stands for the strategy."""
        return self.label or _name_part(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", self.name.rpartition(":")[2]))


class BotMatrix(Model):
    """Strategies × their parameter lists × instruments."""

    strategies: Many[MatrixStrategy] = Field(
        min_length=1, max_length=STRATEGIES_MAX, description="The strategies, each with its parameters."
    )
    instruments: ManyDistinct[InstrumentSymbol] = Field(
        default=(),
        max_length=MATRIX_INSTRUMENTS_MAX,
        description="Each instrument is a bot of its own. For bots with several instruments each, give "
        "template.spec.instruments in its place.",
    )


class TemplateMetadata(Model):
    """What each bot of the set gets besides its name."""

    labels: dict[str, str] = Field(default={}, max_length=64, description="Labels of each bot, for a RiskPolicy.")
    annotations: dict[str, str] = Field(default={}, max_length=64, description="Annotations of each bot.")


class TemplateSpec(BotSettings):
    """The spec of a TradingBot without its strategy, which the matrix gives."""

    instruments: ManyDistinct[InstrumentSymbol] = Field(
        default=(),
        max_length=INSTRUMENTS_MAX,
        description="Instruments of every bot, in place of matrix.instruments.",
    )


class BotTemplate(Model):
    """What all bots of the set have in common."""

    metadata: TemplateMetadata = Field(default=TemplateMetadata(), description="Labels and annotations of each bot.")
    spec: TemplateSpec = Field(description="The spec of each bot, without strategy.")


class BotSetSpec(Model):
    """Which bots the set should have."""

    matrix: BotMatrix = Field(description="Strategies × their parameter lists × instruments: each is a bot.")
    template: BotTemplate = Field(description="What all bots of the set have in common.")
    max_unavailable: CountOrPercent = Field(
        default="1",
        description="How many bots may be restarting at once during a change: a number, or a share such as 25%.",
    )
    suspend: bool = Field(default=False, description="true: bots stay as they are; none is made, changed or removed.")

    @rule(
        cel="(size(self.matrix.instruments) > 0) != (size(self.template.spec.instruments) > 0)",
        message="instruments come from the matrix, a bot each, or from the template, all of them for every bot: give "
        "exactly one of matrix.instruments and template.spec.instruments",
        field="matrix.instruments",
    )
    def _instruments_from_one_place(self) -> bool:
        return bool(self.matrix.instruments) != bool(self.template.spec.instruments)

    @rule(
        cel="self.template.spec.placement != 'Shared' || self.matrix.strategies.all(each, !each.name.contains(':'))",
        message="your own code does not share a process with other bots: set placement: Dedicated",
        field="template.spec.placement",
    )
    def _own_code_is_dedicated(self) -> bool:
        shared = self.template.spec.placement is Placement.SHARED
        return not shared or all(each.is_built_in for each in self.matrix.strategies)

    @transition(
        cel="self.template.spec.instruments == oldSelf.template.spec.instruments || "
        "size(self.template.spec.instruments) == 0 || size(oldSelf.template.spec.instruments) == 0",
        message="instruments of a bot cannot change: create another BotSet, or move them to matrix.instruments",
        field="template.spec.instruments",
    )
    def _instruments_stay(self, old: "BotSetSpec") -> bool:
        after, before = set(self.template.spec.instruments), set(old.template.spec.instruments)
        return after == before or not after or not before

    def unavailable_max(self, bots: int) -> int:
        """Return how many of `bots` may be restarting at once: a share is rounded down, and is at least one."""
        if self.max_unavailable.endswith("%"):
            return max(1, bots * int(self.max_unavailable.removesuffix("%")) // 100)
        return int(self.max_unavailable)


class BotSetStatus(Status):
    """How far the set's bots are what they should be."""

    bots: Whole | None = Field(default=None, description="Bots that the set should have.")
    ready: Whole | None = Field(default=None, description="Bots that are Ready.")
    updated: Whole | None = Field(default=None, description="Bots that have the newest spec.")
    failed: Whole | None = Field(default=None, description="Bots that are Stalled or Failed; they stop a change.")


class BotSet(Resource):
    """Many bots from one matrix of strategies, parameters and instruments; changed a few at a time."""

    names: ClassVar[KindNames] = KindNames(plural="botsets", short="bs")
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Mode", path=".spec.template.spec.mode", description="paper or live."),
        PrinterColumn(name="Exchange", path=".spec.template.spec.exchangeRef.name", description="Where they trade."),
        PrinterColumn(name="Bots", path=".status.bots", description="Bots it should have.", type="integer"),
        PrinterColumn(name="Updated", path=".status.updated", description="Bots with the newest spec.", type="integer"),
        PrinterColumn(name="BotsReady", path=".status.ready", description="Bots that are Ready.", type="integer"),
        PrinterColumn.ready(),
        PrinterColumn.phase(),
        PrinterColumn.age(),
        PrinterColumn.reason(),
    )

    kind: Literal["BotSet"] = Field(default="BotSet", description="BotSet.")
    spec: BotSetSpec = Field(description="Which bots the set should have.")
    status: BotSetStatus = Field(
        default=BotSetStatus(), description="How far its bots are; written by the fleet, not by you."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One place of the matrix."""

    strategy_index: int
    strategy: MatrixStrategy
    varied: dict[str, int | float | str | bool]
    instrument: str | None

    @property
    def path(self) -> FieldPath:
        return ("spec", "matrix", "strategies", self.strategy_index)


def expand(bot_set: BotSet) -> list[TradingBot]:
    """Return the TradingBots of `bot_set`, in the order of the matrix. Raises InvalidResource, see `expand_places`."""
    return [bot for _, bot in expand_places(bot_set)]


def expand_places(bot_set: BotSet) -> list[tuple[int, TradingBot]]:
    """Return the TradingBots of `bot_set`, each with the index of its entry in matrix.strategies.

    Raises InvalidResource when two of them would have the same name (both places are named), or when the set would
    have more than `BOTS_MAX` bots.
    """
    cells = list(itertools.islice(_cells(bot_set.spec.matrix), BOTS_MAX + 1))
    if len(cells) > BOTS_MAX:
        raise _invalid(bot_set, ("spec", "matrix"), f"makes more than {BOTS_MAX} bots", "split it into several BotSets")
    bots: list[tuple[int, TradingBot]] = []
    taken: dict[str, _Cell] = {}
    for cell in cells:
        name = _bot_name(bot_set.metadata.name, cell)
        if name in taken:
            other = taken[name]
            same_entry = other.strategy_index == cell.strategy_index
            remedy = "take out one of the values that read alike" if same_entry else "give one of them a label"
            raise _invalid(
                bot_set,
                cell.path,
                f"makes the bot {name} for {_cell_text(cell)}, and {format_path(other.path)} makes it for "
                f"{_cell_text(other)}",
                remedy,
            )
        taken[name] = cell
        bots.append((cell.strategy_index, _bot(bot_set, cell, name)))
    return bots


def _cell_text(cell: _Cell) -> str:
    """Return a place of the matrix in words."""
    varied = "".join(f", {name}={json.dumps(value)}" for name, value in cell.varied.items())
    return f"{cell.strategy.name}{varied}" + (f", {cell.instrument}" if cell.instrument else "")


def _invalid(bot_set: BotSet, path: FieldPath, message: str, remedy: str) -> InvalidResource:
    resource = f"BotSet {bot_set.metadata.name}"
    return InvalidResource([Problem(resource=resource, path=path, message=message, remedy=remedy)])


def _cells(matrix: BotMatrix) -> Iterator[_Cell]:
    """Yield the places of the matrix one by one, so that a huge one need not be built to be refused."""
    instruments: tuple[str | None, ...] = matrix.instruments or (None,)
    for index, strategy in enumerate(matrix.strategies):
        for values in itertools.product(*strategy.param_lists.values()):
            varied = dict(zip(strategy.param_lists, values, strict=True))
            for instrument in instruments:
                yield _Cell(strategy_index=index, strategy=strategy, varied=varied, instrument=instrument)


def _bot_name(set_name: str, cell: _Cell) -> str:
    """Return the name of a bot: set, strategy, varied parameters, instrument; the end is a hash when it is too long."""
    parts = [set_name, cell.strategy.name_part]
    parts += [f"{_name_part(name)}-{_value_part(value)}" for name, value in cell.varied.items()]
    parts += [_name_part(cell.instrument)] if cell.instrument else []
    name = "-".join(parts)
    if len(name) <= NAME_LENGTH_MAX:
        return name
    whole = json.dumps([set_name, cell.strategy.name, cell.strategy.label, cell.varied, cell.instrument])
    ending = hashlib.sha256(whole.encode()).hexdigest()[:HASH_LENGTH]
    return f"{name[: NAME_LENGTH_MAX - HASH_LENGTH - 1].rstrip('-')}-{ending}"


def _name_part(text: str) -> str:
    """Return `text` with only what a name may hold."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _value_part(value: float | str) -> str:
    """Return a parameter's value as part of a name; a minus sign becomes a word, or -1 and 1 would look alike."""
    text = str(value)
    return _name_part(f"minus-{text[1:]}" if text.startswith("-") else text)


def _bot(bot_set: BotSet, cell: _Cell, name: str) -> TradingBot:
    template = bot_set.spec.template
    settings = {field: getattr(template.spec, field) for field in BotSettings.model_fields}
    labels = {BOT_SET_LABEL: bot_set.metadata.name, STRATEGY_LABEL: cell.strategy.name_part}
    uid = bot_set.metadata.uid
    owners = [
        OwnerReference(
            api_version=API_VERSION,
            kind="BotSet",
            name=bot_set.metadata.name,
            uid=uid,
            controller=True,
            block_owner_deletion=True,
        )
        for uid in ([uid] if uid else [])
    ]
    return TradingBot(
        metadata=Metadata(
            name=name,
            namespace=bot_set.metadata.namespace,
            labels={**template.metadata.labels, **labels},
            annotations=template.metadata.annotations,
            owner_references=tuple(owners),
        ),
        spec=TradingBotSpec(
            **settings,
            strategy=StrategyReference(
                name=cell.strategy.name,
                params={**cell.strategy.params, **cell.varied},
                code_from=cell.strategy.code_from,
            ),
            instruments=(cell.instrument,) if cell.instrument else template.spec.instruments,
        ),
    )
