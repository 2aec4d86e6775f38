"""The commands of a local Kubernetes.

python -m cluster build [control-plane|node]   build the programs once (several minutes); both without a name
"""

import argparse
import sys
from collections.abc import Sequence

from tradefleet.domain.errors import FleetError

from .binaries import Binary, ensure


def tell(line: str) -> None:
    """Show a line of progress."""
    print(f"cluster: {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description="A real Kubernetes on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build Kubernetes' programs, once")
    build.add_argument("binaries", nargs="*", choices=[*Binary, []], help="which of them; all without a name")
    chosen = parser.parse_args(arguments)
    try:
        for binary in chosen.binaries or Binary:
            ensure(Binary(binary), tell)
    except FleetError as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
