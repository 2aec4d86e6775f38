"""What a check over several resources found: where, what, and what to do about it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tradefleet.domain.bots import ParameterValue
from tradefleet.resources.common import ResourceKey
from tradefleet.resources.model import FieldPath, format_path


class Severity(StrEnum):
    """Whether a fleet can run with it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not fit together. `path` is within the resource `key`."""

    severity: Severity
    key: ResourceKey
    path: FieldPath
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: {format_path(self.path)}: {self.message}; {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyProblem:
    """What is wrong with a strategy's name, or with one `parameter` of it."""

    message: str
    remedy: str = ""
    parameter: str | None = None


# Given by the caller, since resources know no strategies: name and params → what is wrong with them.
StrategyCheck = Callable[[str, Mapping[str, ParameterValue]], Iterable[StrategyProblem]]


def no_strategy_check(name: str, params: Mapping[str, ParameterValue]) -> Iterable[StrategyProblem]:  # noqa: ARG001
    """Return nothing: for callers that leave strategies to those who load them."""
    return ()
