"""Import-linter contracts of our own: what a machine may import, and where a library may appear.

The names of edges are listed, never those of machines, so that a new module is held to the strict rule until somebody
says that it is an edge.
"""

import fnmatch
import sys
from collections.abc import Iterator

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


def _below(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _matches(module: str, patterns: list[str]) -> bool:
    parts = module.split(".")
    ancestors = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatchcase(ancestor, pattern) for ancestor in ancestors for pattern in patterns)


def _lines(graph: ImportGraph, importer: str, imported: str) -> int:
    return int(graph.get_import_details(importer=importer, imported=imported)[0]["line_number"])


class _ListingContract(Contract):
    """A contract that is broken by single imports, and prints each with its reason."""

    def violations(self, graph: ImportGraph) -> Iterator[tuple[str, str, str]]:
        """Yield importer, imported and the rule that forbids it."""
        raise AssertionError("each contract defines its own")

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Return whether the contract is kept."""
        found = [
            f"{importer}:{_lines(graph, importer, imported)} imports {imported}: {rule}"
            for importer, imported, rule in sorted(self.violations(graph))
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what breaks the contract."""
        for line in check.metadata["found"]:
            output.print_error(line)


class MachinesContract(_ListingContract):
    """Machines import the domain and each other; an edge never imports another workload's edge.

    `workloads`: the packages that hold them, one sub-package per workload. `edges`: patterns of the modules that may do
    I/O. `shared`: patterns of edges that other workloads' edges may use all the same. `may_import`: the packages of
    ours open to machines. `impure`: modules of the standard library closed to them.
    """

    type_name = "machines"

    workloads = fields.ListField(subfield=fields.StringField())
    edges = fields.ListField(subfield=fields.StringField())
    shared = fields.ListField(subfield=fields.StringField())
    may_import = fields.ListField(subfield=fields.StringField())
    impure = fields.ListField(subfield=fields.StringField())

    def violations(self, graph: ImportGraph) -> Iterator[tuple[str, str, str]]:
        """Yield importer, imported and the rule that forbids it."""
        for importer in graph.modules:
            if not _below(importer, self.workloads) or graph.is_module_squashed(importer):
                continue
            for imported in graph.find_modules_directly_imported_by(importer):
                rule = self._edge_rule(importer, imported) if self._is_edge(importer) else self._machine_rule(imported)
                if rule:
                    yield importer, imported, rule

    def _is_edge(self, module: str) -> bool:
        return _matches(module, self.edges) or _matches(module, self.shared)

    def _edge_rule(self, importer: str, imported: str) -> str | None:
        foreign = importer.split(".")[:2] != imported.split(".")[:2]
        if foreign and _below(imported, self.workloads) and _matches(imported, self.edges):
            return "a workload may import another's machine, never its edges"
        return None

    def _machine_rule(self, imported: str) -> str | None:
        if _below(imported, self.workloads):
            return "a machine may not import an edge" if self._is_edge(imported) else None
        if _below(imported, self.may_import):
            return None
        if imported.split(".", maxsplit=1)[0] not in sys.stdlib_module_names:
            return "a machine imports the domain, other machines and the standard library"
        if _below(imported, self.impure):
            return "a machine has no clock, no I/O and no thread"
        return None


class OnlyInContract(_ListingContract):
    """A library appears in the named places only: `library`, `places`."""

    type_name = "only_in"

    library = fields.StringField()
    places = fields.ListField(subfield=fields.StringField())

    def violations(self, graph: ImportGraph) -> Iterator[tuple[str, str, str]]:
        """Yield importer, imported and the rule that forbids it."""
        if self.library not in graph.modules:
            return
        for importer in graph.find_modules_that_directly_import(self.library):
            if not _below(importer, self.places):
                yield importer, self.library, f"it belongs in {', '.join(self.places)}"
