"""What is wrong with a resource, in words that a trader can act upon: place, field, rule, value found, remedy."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tradefleet.domain.errors import Permanent
from tradefleet.resources.model import BrokenRule, FieldPath, Model, format_path

FOUND_LENGTH_MAX = 80
CHOICES_SHOWN_MAX = 40

_KEY_MARK = "[key]"  # how pydantic marks an error about the name of a mapping's entry

# What pydantic's own checks mean here. The rest of the value types write their messages themselves.
_MESSAGES = {
    "int_type": "must be a whole number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be text; put it in quotes",
    "float_type": "must be a number",
    "dict_type": "must be a mapping: lines of `name: value`",
    "model_type": "must be a mapping: lines of `name: value`",
    "tuple_type": "must be a list: lines that begin with `- `",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length}, has {actual_length}",
    "too_long": "must have at most {max_length}, has {actual_length}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
}


class _Nothing:
    """Stands for a value that is not there or must not be shown."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the files something was said. Lines and documents count from 1; line 0 is the file as a whole."""

    file: str
    line: int = 0
    document: int = 1

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line} (document {self.document})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: the rule in `message`, the value in `found`, what to do in `remedy`."""

    message: str
    path: FieldPath = ()
    resource: str = ""
    found: object = NOTHING
    remedy: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        parts = [str(self.place) if self.place else "", self.resource, format_path(self.path)]
        text = ": ".join([*(part for part in parts if part), self.message])
        if self.found is not NOTHING:
            text += f", found {show_value(self.found)}"
        return f"{text}; {self.remedy}" if self.remedy else text


class InvalidResource(Permanent):
    """Resources that cannot be used as written; `problems` holds everything that is wrong with them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(each) for each in self.problems))


def show_value(value: object) -> str:
    """Return `value` as YAML would show it on one short line, without the password of a URL."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = re.sub(r"://[^@/\s]*@", "://***@", text)
    return text if len(text) <= FOUND_LENGTH_MAX else text[: FOUND_LENGTH_MAX - 1] + "…"


def suggestion(value: object, choices: Iterable[str]) -> str:
    """Return "did you mean X?" when `value` looks like one of `choices`, else what they are."""
    known = list(choices)
    by_folded = {choice.casefold(): choice for choice in known}
    close = get_close_matches(str(value).casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_folded[close[0]]}?"
    shown = ", ".join(known[:CHOICES_SHOWN_MAX]) + (", …" if len(known) > CHOICES_SHOWN_MAX else "")
    return f"known are: {shown}" if known else ""


def problems_of(error: ValidationError, model: type[Model], body: Mapping[str, Any]) -> list[Problem]:
    """Return what `error` says about `body`, read as a `model`, in our words."""
    name = body.get("metadata", {}).get("name") if isinstance(body.get("metadata"), Mapping) else None
    resource = f"{body.get('kind', model.__name__)} {name}" if name else str(body.get("kind", model.__name__))
    errors = error.errors(include_url=False)
    # A list whose only item is wrong also counts as too short: say what is wrong with the item, once.
    inner = {each["loc"][:depth] for each in errors for depth in range(len(each["loc"]))}
    errors = [each for each in errors if each["type"] != "too_short" or each["loc"] not in inner]
    found = [problem for each in errors for problem in _translate(each, model)]
    return [replace(problem, resource=resource) for problem in found]


def _translate(error: ErrorDetails, model: type[Model]) -> list[Problem]:
    path: FieldPath = tuple(step for step in error["loc"] if step != _KEY_MARK)
    context = error.get("ctx", {})
    match error["type"]:
        case "broken_rules":
            broken: list[BrokenRule] = context["broken"]
            return [Problem(path=(*path, *each.path), message=each.message) for each in broken]
        case "missing":
            return [Problem(path=path, message="is required", remedy=_description(model, path))]
        case "extra_forbidden":
            parent = _model_at(model, path[:-1])
            fields = _aliases(parent) if parent else {}
            # The value is not shown: a misplaced field may well be a password.
            return [Problem(path=path, message="is not a field here", remedy=suggestion(path[-1], fields))]
        case "enum" | "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"])
            message = f"must be {' or '.join(choices)}"
            return [Problem(path=path, message=message, found=error["input"], remedy=_close(error["input"], choices))]
        case kind:
            template = _MESSAGES.get(kind)
            message = template.format(**context) if template else error["msg"]
            # Whole mappings and lists say nothing; the line does.
            found = NOTHING if isinstance(error["input"], (dict, list, tuple)) else error["input"]
            return [Problem(path=path, message=message, found=found)]


def _close(value: object, choices: list[str]) -> str:
    """Return a suggestion only when one is close: the choices are in the message already."""
    text = suggestion(value, choices)
    return text if text.startswith("did you mean") else ""


def _aliases(model: type[Model]) -> dict[str, str]:
    """Return the fields of `model`: name in YAML → name in Python."""
    return {info.alias or name: name for name, info in model.model_fields.items()}


def _model_at(model: type[Model], path: FieldPath) -> type[Model] | None:
    """Return the model that stands at `path` below `model`; None when something else is there."""
    current: type[Model] | None = model
    for step in path:
        if current is None:
            return None
        name = _aliases(current).get(step) if isinstance(step, str) else None
        if name is not None:
            current = _nested_model(current.model_fields[name].annotation)
        # Else the step is the index of a list or the name of a mapping's entry: the same model, one level down.
    return current


def _nested_model(annotation: object) -> type[Model] | None:
    """Return the model that an annotation holds, in whatever list, mapping or option; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for part in get_args(annotation) if (found := _nested_model(part))), None)


def _description(model: type[Model], path: FieldPath) -> str:
    """Return what the field at `path` is for; empty when it is not known."""
    parent = _model_at(model, path[:-1])
    name = _aliases(parent).get(str(path[-1])) if parent else None
    return (parent.model_fields[name].description or "") if parent and name else ""
