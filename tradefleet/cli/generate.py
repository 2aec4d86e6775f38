"""`python -m tradefleet.cli.generate [--check] [NAME…]`: write the files that are made from the Python types.

Each generator is a module with `generate()`, which returns the text of each file by its path in the repository, and
perhaps `OWNED`, patterns of paths where nothing but its own files may lie. They are imported one by one, when they
are asked for; one that cannot be imported is an error, never left out.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

GENERATORS: Mapping[str, str] = {
    "resources": "tradefleet.resources.generate",
    "messages": "tradefleet.messages.generate",
    "chart": "governor.chart.generate",
}

REPOSITORY = Path(__file__).resolve().parents[2]


def collect(names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return what the generators `names` make, and the patterns of the paths that are theirs alone."""
    files: dict[str, str] = {}
    owned: list[str] = []
    for name in names:
        module = importlib.import_module(GENERATORS[name])
        for path, text in module.generate().items():
            assert path not in files, f"{path} is made by two generators"
            files[path] = text
        owned += getattr(module, "OWNED", ())
    return files, owned


def differences(root: Path, files: Mapping[str, str], owned: Sequence[str]) -> list[str]:
    """Return what differs below `root`, a sentence each: missing, changed and left-over files."""
    found = []
    for path, text in sorted(files.items()):
        present = root / path
        if not present.is_file():
            found.append(f"{path} is missing")
        elif present.read_text(encoding="utf-8") != text:
            found.append(f"{path} differs from what the types say")
    left = {str(path.relative_to(root)) for pattern in owned for path in root.glob(pattern)} - files.keys()
    return [*found, *(f"{path} is not generated any more" for path in sorted(left))]


def write(root: Path, files: Mapping[str, str], owned: Sequence[str]) -> None:
    """Make `root` hold exactly `files` at their paths and below `owned`; files that are right are not touched."""
    for name, text in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    for pattern in owned:
        for path in root.glob(pattern):
            if str(path.relative_to(root)) not in files:
                path.unlink()


def main(arguments: Sequence[str] | None = None, root: Path = REPOSITORY) -> int:
    """Return the exit status: 0 when the files are, or have become, what the types say; 1 when --check finds others."""
    parser = argparse.ArgumentParser(prog="python -m tradefleet.cli.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a file differs")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(GENERATORS)}; default: all")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - GENERATORS.keys():
        parser.error(f"there is no generator {', '.join(sorted(unknown))}; there are {', '.join(GENERATORS)}")
    files, owned = collect(options.names or list(GENERATORS))
    if not options.check:
        write(root, files, owned)
        return 0
    found = differences(root, files, owned)
    for sentence in found:
        sys.stderr.write(f"generate: {sentence}: run `make generate` and commit the result\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
