"""The Go that builds Kubernetes: the system's when it is new enough, else the wheel that `make kubernetes` installs.

`python -m cluster.toolchain` ends with status 0 when there is one.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent

MODULE: Final = Path(__file__).with_name("kubernetes")
VERSION_TIMEOUT_S: Final = 30.0


def go_program(environment: Path = Path(sys.prefix)) -> Path:
    """Return the `go` to build with: the system's, else that of the Python environment.

    Raises Permanent with the remedy when neither is new enough.
    """
    wanted = wanted_version()
    system = shutil.which("go")
    candidates = [*([Path(system)] if system else []), environment / "bin" / "go"]
    for program in candidates:
        if program.exists() and version_of(program) >= wanted:
            return program
    text = ".".join(str(part) for part in wanted)
    found = f"{system} is older" if system else "there is none"
    raise Permanent(f"building Kubernetes needs Go {text} or newer, {found}: run `make kubernetes`, which brings one")


def wanted_version() -> tuple[int, ...]:
    """Return the oldest Go that go.mod allows."""
    declared = re.search(r"^go ([0-9.]+)$", (MODULE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared is not None, "go.mod names its Go"
    return _numbers(declared.group(1))


def version_of(program: Path) -> tuple[int, ...]:
    """Return the version of a `go`, (0,) when it does not tell."""
    # `local`: asked for its version, an older Go would fetch a newer one and answer with that.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(
            [str(program), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            timeout=VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return (0,)
    return _numbers(answer.stdout.strip().removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    """Return `1.26.8` as numbers; of a pre-release or a vendor's build only what comes first."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else (0,)


def main() -> int:
    """Print which Go builds, or why none does; return the exit status."""
    try:
        print(go_program())
    except Permanent as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
