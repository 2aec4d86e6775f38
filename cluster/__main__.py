"""The commands of a local Kubernetes.

    python -m cluster api          an API server with its etcd and nothing else (3 s, no root)
    python -m cluster up           a whole Kubernetes: in Docker where Docker works, else a node of our own, as root
    python -m cluster load FILE    put the images of an archive into it
    python -m cluster down         end it, and remove everything it had
    python -m cluster install      build the fleet's images, load them, and install the chart
    python -m cluster probe        try whether the cluster of KUBECONFIG, or the one here, enforces the policies
    python -m cluster image [dev]  build the fleet's image, or the one for trying, and print the archive's path
    python -m cluster build [...]  build the programs, once (several minutes); the others do so when they must

Each checkout has a cluster of its own, in its folder `.cluster`; `--state` names another.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tradefleet.domain.errors import FleetError

from .binaries import Binary, binary_folder, ensure
from .image import TARGETS
from .image import build as build_image
from .local import STATE, LocalCluster, Sort
from .probe import probe
from .release import install, show


def tell(line: str) -> None:
    """Show a line of progress."""
    print(f"cluster: {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        _run(chosen)
    except FleetError as error:
        tell(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cluster", description="A real Kubernetes on this machine.")
    parser.add_argument("--state", type=Path, default=STATE, help="the cluster's folder (default: .cluster)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("api", help="an API server with its etcd and nothing else")
    commands.add_parser("up", help="a whole Kubernetes")
    commands.add_parser("load", help="put the images of an archive into it").add_argument("archive", type=Path)
    commands.add_parser("install", help="build the fleet's images, load them, and install the chart")
    commands.add_parser("show", help="apply the quickstart, wait until its bots trade, and show them")
    commands.add_parser("probe", help="try from every pod of the fleet whether its NetworkPolicies are enforced")
    commands.add_parser("down", help="end it, and remove everything it had")
    image = commands.add_parser("image", help="build the fleet's image, and print the archive's path")
    image.add_argument("target", nargs="?", default="fleet", choices=TARGETS, help="which of them")
    build = commands.add_parser("build", help="build the programs, once")
    build.add_argument("binaries", nargs="*", type=Binary, help=f"which of {', '.join(Binary)}; all without a name")
    return parser


def _run(chosen: argparse.Namespace) -> None:
    cluster = LocalCluster(chosen.state, tell)
    match chosen.command:
        case "api" | "up":
            cluster.up(Sort.API if chosen.command == "api" else None)
            # Nothing but this goes to the output, so that `eval` can take it.
            kubeconfig, programs = shlex.quote(str(cluster.kubeconfig)), shlex.quote(str(binary_folder()))
            print(f"export KUBECONFIG={kubeconfig} PATH={programs}:$PATH")
        case "load":
            cluster.load(chosen.archive)
        case "install":
            install(cluster, tell)
        case "show":
            print(show(cluster, tell), end="")
        case "probe":
            named = os.environ.get("KUBECONFIG")
            print(probe(Path(named) if named else cluster.kubeconfig, tell))
        case "down":
            cluster.down()
        case "image":
            print(build_image(chosen.target, tell))
        case "build":
            for binary in chosen.binaries or Binary:
                ensure(binary, tell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
