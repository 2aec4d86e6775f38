"""Kubernetes as two programs, built once from pinned Go modules and kept in the user's cache.

The folder's name holds a digest of the sources, so another version of them never meets these, and two checkouts of one
version share them. `control-plane` is enough for tests against an API server; `node` makes a whole Kubernetes of it,
whose pods begin with `pause`. `kind` is for machines with Docker.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from governor.local.cache import cache_folder

from tradefleet.domain.errors import Permanent, Retryable

from .toolchain import MODULE, go_program

DIGEST_LENGTH: Final = 12
ERROR_LINES_MAX: Final = 20

Tell = Callable[[str], None]


class Binary(StrEnum):
    """The programs that are built, by the folders of their sources: ours, but for the Helm that many still use."""

    CONTROL_PLANE = "control-plane"
    NODE = "node"
    PAUSE = "pause"
    KIND = "kind"
    HELM3 = "helm3"


# A program is called by the names of what it holds.
PROGRAMS: Final = {
    Binary.CONTROL_PLANE: ("etcd", "helm", "kube-apiserver", "kubectl"),
    Binary.NODE: ("coredns", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"),
    Binary.PAUSE: (),
    Binary.KIND: (),
    Binary.HELM3: (),
}
HELM3_SOURCES: Final = "helm.sh/helm/v3/cmd/helm"


def module_version(module: str) -> str:
    """Return the version of a Go module that go.mod requires, such as v1.34.4."""
    required = re.search(rf"^\t{re.escape(module)} (v\S+)", (MODULE / "go.mod").read_text("utf-8"), re.MULTILINE)
    assert required is not None, f"go.mod requires {module}"
    return required.group(1)


def binary_folder(sources: Path = MODULE) -> Path:
    """Return the folder of the programs that are built from `sources` as they are now."""
    digest = hashlib.sha256(_link_flags().encode())
    for path in sorted([sources / "go.mod", sources / "go.sum", *sources.rglob("*.go")]):
        digest.update(f"{path.relative_to(sources)}\n".encode() + path.read_bytes())
    version = module_version("k8s.io/kubernetes")
    return cache_folder() / f"kubernetes-{version}-{digest.hexdigest()[:DIGEST_LENGTH]}"


def find(program: str) -> Path:
    """Return the program of that name. Raises Permanent with the remedy when it was not built yet."""
    path = binary_folder() / program
    if not path.exists():
        raise Permanent(f"{program} is not built yet: run `make kubernetes` once (several minutes)")
    return path


def ensure(binary: Binary, tell: Tell) -> Path:
    """Return the folder of the programs after building `binary`, unless it was built before.

    Raises Permanent when there is no Go to build with, Retryable when the build fails: mostly a download.
    """
    folder = binary_folder()
    links = [folder / name for name in PROGRAMS[binary]]
    if all(path.exists() for path in (folder / binary, *links)):
        return folder
    go = go_program()
    folder.mkdir(parents=True, exist_ok=True)
    with _one_builder(folder):
        if not (folder / binary).exists():
            tell(f"building {binary} from Go modules, once; a whole Kubernetes takes several minutes")
            _build(go, binary, folder)
        for link in links:
            _point(link, binary)
    return folder


@contextmanager
def _one_builder(folder: Path) -> Iterator[None]:
    """Wait until no other checkout builds into the folder."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _build(go: Path, binary: Binary, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        output = Path(scratch) / binary
        sources = HELM3_SOURCES if binary is Binary.HELM3 else f"./{binary}"
        done = subprocess.run(
            [str(go), "build", "-trimpath", "-ldflags", _link_flags(), "-o", str(output), sources],
            cwd=MODULE,
            # Without C the program runs on any Linux, and needs no compiler here.
            env={**os.environ, "CGO_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join(done.stdout.splitlines()[-ERROR_LINES_MAX:])
            raise Retryable(f"building {binary} with {go} failed:\n{said}")
        output.replace(folder / binary)


def _link_flags() -> str:
    """Return what the linker is told: no symbols for debuggers, and the versions that the programs name as theirs."""
    version = module_version("k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "helm.sh/helm/v4/internal/version.version": module_version("helm.sh/helm/v4"),
        "helm.sh/helm/v4/internal/version.kubeClientVersionMajor": major,
        "helm.sh/helm/v4/internal/version.kubeClientVersionMinor": minor,
        "helm.sh/helm/v3/internal/version.version": module_version("helm.sh/helm/v3"),
    }
    # The Kubernetes that Helm assumes where it asks none.
    for package in (
        *("v4/pkg/chart/common", "v4/pkg/chart/v2/lint/rules", "v4/internal/chart/v3/lint/rules"),
        *("v3/pkg/chartutil", "v3/pkg/lint/rules"),
    ):
        stamps[f"helm.sh/helm/{package}.k8sVersionMajor"] = major
        stamps[f"helm.sh/helm/{package}.k8sVersionMinor"] = minor
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamps.items())])


def _point(link: Path, binary: Binary) -> None:
    """Make `link` point to the program, at once and also when it is there."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(binary)
    new.replace(link)
