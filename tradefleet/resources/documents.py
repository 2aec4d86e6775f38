"""YAML and JSON text → plain values, each with the line it stands on. Safe for text from anywhere.

Values are read as kubectl reads them (YAML 1.1 booleans, merge keys; dates and 1:30 stay text), so that a file means
the same to a local fleet and to a cluster. No tag makes an object; anchors are counted at their full size, so that a
few lines cannot become gigabytes; depth and size have bounds with names.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import NOTHING, InvalidResource, Place, Problem

TEXT_LENGTH_MAX = 16 * 1024 * 1024  # characters of one file
VALUES_MAX = 1_000_000  # of one document, with its anchors written out
DEPTH_MAX = 50

# libyaml's parser gives the same events about ten times as fast; its wheel always has it, other builds may not.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STRING_TAG = "tag:yaml.org,2002:str"
_PLAIN_TAGS = {None, *(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "map", "seq"))}
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(
    r"[-+]?(0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o[0-7][0-7_]*|0[0-7][0-7_]*|0|[1-9][0-9_]*)", re.ASCII
)
_INTEGER_LENGTH_MAX = 40  # longer ones are no amount of anything, and Python refuses to read very long ones
_FLOAT = re.compile(r"[-+]?([.][0-9]+|[0-9]+([.][0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_UNICODE_BREAKS = {"\x85", "\u2028", "\u2029", "\ufeff"}
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_NOT_A_NUMBER = re.compile(r"[-+]?[.](inf|Inf|INF)|[.](nan|NaN|NAN)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file: its value, and the line on which each field begins (of a field, its name's line)."""

    number: int
    line: int
    value: Any
    lines: dict[FieldPath, int]

    def line_of(self, path: FieldPath) -> int:
        """Return the line of `path`, or of the nearest field around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


@dataclass(slots=True)
class _Node:
    """A value with its place: a scalar, a list of nodes, or named nodes.

    `size` counts the values in it and `height` the levels below it, both with its anchors written out.
    """

    line: int
    value: Any = None
    items: list["_Node"] | None = None
    entries: dict[str, tuple[int, "_Node"]] | None = None
    size: int = 1
    height: int = 0
    merged: set[str] = field(default_factory=set)  # names that came from a merge key, which others override

    def include(self, part: "_Node") -> None:
        """Count `part` as being in this node."""
        self.size += part.size
        self.height = max(self.height, part.height + 1)


def read_documents(text: str, file: str) -> list[Document]:
    """Return the documents in `text` (YAML, or JSON, which is YAML too); empty ones are left out.

    Raises InvalidResource, naming `file` and line, for text that is not YAML, a tag that would make an object, a name
    that is there twice, and for what exceeds the bounds of this module.
    """
    if len(text) > TEXT_LENGTH_MAX:
        message = f"the file has {len(text)} characters, at most {TEXT_LENGTH_MAX} are read"
        place = Place(file=file, line=1)
        raise InvalidResource([Problem(message=message, place=place, remedy="split it into several files")])
    composer = _Composer(text, file)
    documents = list(composer.documents())
    if composer.problems:
        raise InvalidResource(composer.problems)
    return documents


class _Composer:
    """Builds values from the parser's events; PyYAML's own composer knows no bounds and forgets the lines of names."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._file = file
        self._document = 0
        self._anchors: dict[str, _Node] = {}
        self._events: Iterator[Any] = iter(())

    def documents(self) -> Iterator[Document]:
        """Yield the documents; problems that do not stop the reading are collected in `problems`."""
        self._events = yaml.parse(self._text, Loader=_PARSER)
        try:
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    self._document += 1
                    self._anchors = {}
                    node = self._node(next(self._events), 0)
                    if node.value is not None or node.items is not None or node.entries is not None:
                        lines: dict[FieldPath, int] = {}
                        value = _plain(node, (), lines)
                        yield Document(number=self._document, line=node.line, value=value, lines=lines)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise self._refusal(line, f"is not YAML: {error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise self._refusal(1, f"is not YAML: {' '.join(str(error).split())}") from error

    def _refusal(self, line: int, message: str, remedy: str = "") -> InvalidResource:
        return InvalidResource([*self.problems, self._problem(line, message, remedy)])

    def _problem(self, line: int, message: str, remedy: str = "", found: object = NOTHING) -> Problem:
        place = Place(file=self._file, line=line, document=max(1, self._document))
        return Problem(message=message, remedy=remedy, found=found, place=place)

    def _node(self, event: Any, depth: int) -> _Node:  # noqa: ANN401 - PyYAML's events are untyped
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refusal(line, f"*{event.anchor} stands for nothing", f"define &{event.anchor} before it")
            known = self._anchors[event.anchor]
            self._check_depth(line, depth + known.height)
            return known
        self._check_depth(line, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(line, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(line, depth)
        else:
            node = _Node(line=line, value=self._scalar(event, line))
        if event.tag not in _PLAIN_TAGS and event.tag != _STRING_TAG:
            raise self._refusal(line, f"has the tag {event.tag}, and only plain values are read", "take the tag out")
        if node.size > VALUES_MAX:
            raise self._refusal(line, f"has more than {VALUES_MAX} values with its anchors written out")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _check_depth(self, line: int, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise self._refusal(line, f"is nested deeper than {DEPTH_MAX} levels")

    def _sequence(self, line: int, depth: int) -> _Node:
        node = _Node(line=line, items=[])
        assert node.items is not None
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._node(event, depth + 1)
            node.items.append(item)
            node.include(item)
        return node

    def _mapping(self, line: int, depth: int) -> _Node:
        node = _Node(line=line, entries={})
        assert node.entries is not None
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(key_line, "the name of a field must be text, not a list or a mapping")
            value = self._node(next(self._events), depth + 1)
            node.include(value)
            if event.value == "<<" and event.implicit[0]:
                self._merge(node, value)
            elif event.value in node.entries and event.value not in node.merged:
                first = node.entries[event.value][0]
                self.problems.append(
                    self._problem(
                        key_line, f"the field {event.value} is there twice, first on line {first}", "keep one of them"
                    )
                )
            else:
                node.entries[event.value] = (key_line, value)
                node.merged.discard(event.value)
        return node

    def _merge(self, node: _Node, value: _Node) -> None:
        """Add the entries of a merge key (`<<: *anchor`); what the mapping names itself wins."""
        assert node.entries is not None
        for source in value.items if value.items is not None else [value]:
            if source.entries is None:
                raise self._refusal(value.line, "<< merges mappings, and this is none", "let it name an anchor")
            for name, entry in source.entries.items():
                if name not in node.entries:
                    node.entries[name] = entry
                    node.merged.add(name)

    def _scalar(self, event: Any, line: int) -> Any:  # noqa: ANN401 - PyYAML's events are untyped
        text: str = event.value
        if not event.implicit[0] and event.tag in (None, _STRING_TAG):
            return text  # quoted, a block, or marked as text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if len(text) <= _INTEGER_LENGTH_MAX and _INTEGER.fullmatch(text):
            return _integer(text.replace("_", ""))
        number = float(text) if _FLOAT.fullmatch(text) else 0.0
        if _NOT_A_NUMBER.fullmatch(text) or not math.isfinite(number):
            self.problems.append(self._problem(line, "is not a number that JSON knows", "use a finite number", text))
            return text
        return number if _FLOAT.fullmatch(text) else text


def _integer(text: str) -> int:
    """Return the whole number in `text`: decimal, 0b, 0x, 0o, or octal with a leading 0, as in YAML 1.1."""
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    return int(text, 8) if octal else int(text, 0)


def _plain(node: _Node, path: FieldPath, lines: dict[FieldPath, int]) -> Any:  # noqa: ANN401 - JSON is what it is
    """Return the value of `node`, and note the line of everything in it."""
    lines.setdefault(path, node.line)
    if node.items is not None:
        return [_plain(item, (*path, index), lines) for index, item in enumerate(node.items)]
    if node.entries is not None:
        value = {}
        for name, (line, entry) in node.entries.items():
            lines[*path, name] = line
            value[name] = _plain(entry, (*path, name), lines)
        return value
    return node.value


class _Dumper(yaml.SafeDumper):
    """Writes YAML that every reader takes alike: text that some reader would take for a number is quoted."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's own signature
        """Return True: anchors save bytes and cost readers."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Return text as a node; with characters that YAML takes for line breaks it is escaped, or they would be folded."""
    style = '"' if _UNICODE_BREAKS & set(text) else None
    return dumper.represent_scalar(_STRING_TAG, text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"^(?:{_INTEGER.pattern})$"), list("-+0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))


def write_yaml(values: list[dict[str, Any]]) -> str:
    """Return `values` as YAML, one document each, fields in the order in which they are."""
    return yaml.dump_all(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
    )


def write_json(value: object) -> str:
    """Return `value` as indented JSON with a line break at its end, in such characters as YAML readers take too."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match.group()):04x}", text) + "\n"
