"""Resources out of files, folders and standard input, and back into YAML or JSON.

All problems of all files are found before anything is refused, each with file, line, document, field and remedy.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from tradefleet.resources.common import API_VERSION, GROUP, Resource, ResourceKey
from tradefleet.resources.documents import TEXT_LENGTH_MAX, Document, read_documents, write_json, write_yaml
from tradefleet.resources.kinds import KINDS
from tradefleet.resources.model import FieldPath
from tradefleet.resources.problems import InvalidResource, Place, Problem, show_value, suggestion

STANDARD_INPUT = "-"
SUFFIXES = (".yaml", ".yml", ".json")
NOT_RESOURCES = ("kustomization.yaml", "kustomization.yml")  # kustomize's own file, in folders kept in Git


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A resource with the place it was read from. `path` leads to it within its document (a List holds several)."""

    resource: Resource
    file: str
    document: Document
    path: FieldPath = ()

    def place(self, path: FieldPath = ()) -> Place:
        """Return where the field at `path` is written, or the nearest field around it."""
        line = self.document.line_of((*self.path, *path))
        return Place(file=self.file, line=line, document=self.document.number)

    @property
    def body(self) -> dict[str, Any]:
        """The resource as its file has it: without defaults, and with what nobody but people reads."""
        value = self.document.value
        for step in self.path:
            value = value[step]
        return dict(value)

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the resource start from."""
        return Path.cwd() if self.file == "<stdin>" else Path(self.file).resolve().parent


def load(sources: Sequence[str | Path], *, stdin: TextIO | None = None, recursive: bool = False) -> list[Loaded]:
    """Return the resources in `sources`: YAML or JSON files, folders of them, or `-` for standard input.

    A folder gives its own files in the order of their names, with `recursive` those of its folders too. Raises
    InvalidResource with everything that is wrong in any of them, two resources of one name included.
    """
    problems: list[Problem] = []
    loaded: list[Loaded] = []
    for source in sources:
        try:
            for file, text in _texts(source, stdin, recursive=recursive):
                try:
                    loaded += parse_text(text, file)
                except InvalidResource as error:
                    problems += error.problems
        except InvalidResource as error:
            problems += error.problems
    problems += _duplicates(loaded)
    if problems:
        raise InvalidResource(problems)
    return loaded


def parse_text(text: str, file: str) -> list[Loaded]:
    """Return the resources in `text`, which came from `file`. Raises InvalidResource with all of its problems."""
    problems: list[Problem] = []
    loaded: list[Loaded] = []
    for document in read_documents(text, file):
        for path, body in _bodies(document.value):
            try:
                loaded.append(Loaded(resource=parse_body(body), file=file, document=document, path=path))
            except InvalidResource as error:
                for each in error.problems:
                    line = document.line_of((*path, *each.path))
                    problems.append(replace(each, place=Place(file=file, line=line, document=document.number)))
    if problems:
        raise InvalidResource(problems)
    return loaded


def parse_body(body: object) -> Resource:
    """Return the resource in `body`, whatever its kind. Raises InvalidResource."""
    if not isinstance(body, Mapping):
        raise InvalidResource([Problem(message="is not a resource: a mapping with apiVersion, kind, metadata, spec")])
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidResource([_unknown_kind(body)])
    if body.get("apiVersion") != API_VERSION:
        message = f"must be {API_VERSION}" if "apiVersion" in body else f"is required: {API_VERSION}"
        found = {"found": body["apiVersion"]} if "apiVersion" in body else {}
        problem = Problem(resource=kind, path=("apiVersion",), message=message, **found)
        # The rest is read all the same, so that its problems are known too.
        raise InvalidResource([problem, *_problems_of_rest(kind, body)])
    return KINDS[kind].parse(body)


def dump(resources: Sequence[Resource], output: str = "yaml") -> str:
    """Return `resources` as kubectl shows them: `yaml` (one document each) or `json` (several in a List)."""
    bodies = [resource.body() for resource in resources]
    if output == "yaml":
        return write_yaml(bodies)
    assert output == "json", f"output must be yaml or json, was {output}"
    return write_json(bodies[0] if len(bodies) == 1 else {"apiVersion": "v1", "kind": "List", "items": bodies})


def _texts(source: str | Path, stdin: TextIO | None, *, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each file that `source` stands for."""
    if str(source) == STANDARD_INPUT:
        yield "<stdin>", (stdin or sys.stdin).read(TEXT_LENGTH_MAX + 1)
        return
    path = Path(source)
    if not path.is_dir():
        yield str(path), _read(path)
        return
    found = [
        file
        for file in sorted(path.rglob("*") if recursive else path.iterdir())
        if file.suffix in SUFFIXES and file.name not in NOT_RESOURCES and file.is_file()
    ]
    if not found:
        message = f"the folder {path} has no file that ends in {', '.join(SUFFIXES)}"
        raise InvalidResource(
            [Problem(message=message, remedy="" if recursive else "name its folders, or ask for all")]
        )
    for file in found:
        yield str(file), _read(file)


def _read(path: Path) -> str:
    """Return the text of `path`; not more than can be read, so that a huge file costs nothing."""
    place = Place(file=str(path))
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return stream.read(TEXT_LENGTH_MAX + 1)
    except FileNotFoundError as error:
        message, remedy = "there is no such file or folder", "check the path"
        raise InvalidResource([Problem(message=message, remedy=remedy, place=place)]) from error
    except UnicodeDecodeError as error:
        message = f"is not text in UTF-8: {error.reason} at byte {error.start}"
        raise InvalidResource([Problem(message=message, remedy="name YAML files in UTF-8", place=place)]) from error
    except OSError as error:
        raise InvalidResource([Problem(message=f"cannot be read: {error.strerror}", place=place)]) from error


def _bodies(value: Any) -> Iterator[tuple[FieldPath, object]]:  # noqa: ANN401 - JSON is what it is
    """Yield the resources of a document with the path to each: itself, or the items of a Kubernetes List."""
    if isinstance(value, Mapping) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        for index, item in enumerate(value["items"]):
            yield ("items", index), item
    else:
        yield (), value


def _unknown_kind(body: Mapping[str, Any]) -> Problem:
    kind, version = body.get("kind"), body.get("apiVersion")
    if kind is None:
        return Problem(path=("kind",), message="is required", remedy=suggestion("", KINDS))
    if isinstance(version, str) and not version.startswith(GROUP):
        message = f"is {show_value(kind)} of {version}, which is not a resource of {GROUP}"
        return Problem(path=("kind",), message=message, remedy="keep other objects in files of their own")
    return Problem(path=("kind",), message="is not a kind of resource", found=kind, remedy=suggestion(kind, KINDS))


def _problems_of_rest(kind: str, body: Mapping[str, Any]) -> Iterable[Problem]:
    try:
        KINDS[kind].parse({**body, "apiVersion": API_VERSION})
    except InvalidResource as error:
        return error.problems
    return ()


def _duplicates(loaded: Iterable[Loaded]) -> Iterator[Problem]:
    first: dict[ResourceKey, Loaded] = {}
    for each in loaded:
        other = first.setdefault(each.resource.key, each)
        if other is not each:
            yield Problem(
                resource=str(each.resource.key),
                path=("metadata", "name"),
                message=f"is there twice, first at {other.place(('metadata', 'name'))}",
                remedy="rename or remove one of them",
                place=each.place(("metadata", "name")),
            )
