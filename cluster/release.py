"""The fleet in a local cluster: its images loaded, its chart installed, with a broker and a database to try it."""

import os
import subprocess
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Retryable

from .binaries import Tell, find
from .control_plane import kubectl
from .image import build, image_name
from .local import ROOT, LocalCluster

CHART: Final = ROOT / "helm" / "tradefleet"
EXAMPLE: Final = ROOT / "examples" / "quickstart"
RELEASE: Final = "fleet"
NAMESPACE: Final = "trading"
READY_TIMEOUT_S: Final = 180
LINES_SHOWN_MAX: Final = 20


def install(cluster: LocalCluster, tell: Tell, *values: str) -> None:
    """Return once the operator in the cluster is ready, after building and loading its images and installing the chart.

    `values` are further ones of the chart, as `helm --set` takes them.

    What was installed before is upgraded. Raises Retryable with the end of what Helm said when it does not get ready.
    """
    for target in ("fleet", "dev"):
        archive = build(target, tell)
        tell(f"loading the image {image_name(target)}")
        cluster.load(archive)
    tell(f"installing the chart as {RELEASE} in the namespace {NAMESPACE}")
    _helm(
        cluster.kubeconfig,
        *("upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--create-namespace"),
        # Images are loaded under the names that the chart has by default; there is no registry to ask.
        *("--set", ",".join(("dev.enabled=true", *values)), "--wait", "--timeout", f"{READY_TIMEOUT_S}s"),
    )


def show(cluster: LocalCluster, tell: Tell) -> str:
    """Return what `kubectl get` says of the quickstart's fleet, applied and Ready. Raises Retryable when it is not."""
    tell(f"applying examples/quickstart in the namespace {NAMESPACE}, and waiting until its bots are Ready")
    _kubectl(cluster.kubeconfig, "apply", "-f", str(EXAMPLE))
    _kubectl(cluster.kubeconfig, "wait", "--for=condition=Ready", "botsets", "--all", f"--timeout={READY_TIMEOUT_S}s")
    return _kubectl(cluster.kubeconfig, "get", "tradefleet")


def _kubectl(kubeconfig: Path, *arguments: str) -> str:
    done = kubectl(kubeconfig, "--namespace", NAMESPACE, *arguments, timeout_s=2 * READY_TIMEOUT_S)
    if done.returncode != 0:
        raise Retryable(f"kubectl {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _helm(kubeconfig: Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(find("helm")), *arguments],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=2 * READY_TIMEOUT_S,
    )
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-LINES_SHOWN_MAX:])
        raise Retryable(f"helm {arguments[0]}: {said}")
