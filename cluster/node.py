"""A whole Kubernetes of one node, run inside namespaces of its own (see namespaces.py): `python -m cluster.node STATE`.

Its network reaches the pods, the services and this machine, and nothing else; images are loaded, never pulled. The
bridge between the pods does not enforce NetworkPolicies.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from governor.local.folder import log_tail
from governor.local.processes import Child, Command, spawn

from tradefleet.domain.errors import Retryable

from .binaries import binary_folder, find
from .control_plane import Addresses, ControlPlane, kubectl
from .holder import hold
from .namespaces import UPLINK, Wire, make_control_group, plug_in, run
from .pause import PAUSE_IMAGE, write_archive

API_PORT: Final = 6443
NODE_NAME: Final = "node"
PODS: Final = "10.244.0.0/16"
NODE_PODS: Final = "10.244.0.0/24"
PODS_MAX: Final = 250
SOCKET: Final = Path("/run/containerd/containerd.sock")
PLUGINS: Final = Path("/usr/lib/cni")
BRIDGE: Final = "pods"
DOMAIN: Final = "cluster.local"
READY_PATH: Final = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'

START_TIMEOUT_S: Final = 90.0
POLL_S: Final = 0.1

# Where Kubernetes' parts insist on a path of the machine: in the node's own mounts these are empty, and its own.
PRIVATE_FOLDERS: Final = ("/run/containerd", "/run/netns", "/var/lib/cni", "/var/log/containers")
KUBELET: Final = Path("/var/lib/kubelet")  # its folder under a short name: the names of its sockets have a bound


class Node:
    """The parts of one node in the state folder; `start` returns when it takes pods."""

    def __init__(self, state: Path, wire: Wire) -> None:
        self._state = state
        self._wire = wire
        self._children: list[Child] = []
        addresses = Addresses(host=wire.node, api_port=API_PORT, etcd_port=2379, peer_port=2380)
        self._control_plane = ControlPlane(state / "control-plane", addresses)

    def start(self) -> None:
        """Start everything in its order. Raises Permanent or Retryable with the log of what did not come up."""
        for private in PRIVATE_FOLDERS:
            Path(private).mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "tmpfs", private)
        for folder in (self._state / "kubelet", KUBELET):
            folder.mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(self._state / "kubelet"), str(KUBELET))
        plug_in(self._wire)
        self._guard()
        make_control_group(self._wire)
        (self._state / "keys").mkdir(mode=0o700, exist_ok=True)
        self._control_plane.start()
        self._start_controllers()
        self._start_containerd()
        self._start_kubelet()
        self._start_network()
        self._wait("the node", lambda: "True" in self._kubectl("get", "node", NODE_NAME, "-o", READY_PATH), "kubelet")

    def stop(self) -> None:
        """Do nothing: the kernel ends every process here with the first one."""

    @property
    def ended(self) -> str:
        """The name of a part that has ended; empty while all run."""
        return next((child.name for child in self._children if not child.is_alive()), self._control_plane.ended)

    def _guard(self) -> None:
        """Let the machine reach the API server alone: the kubelet's own port asks nobody who they are."""
        rules = f'iifname "{UPLINK}" tcp dport != {API_PORT} ct state new drop'
        run("nft", "add table inet guard; add chain inet guard input { type filter hook input priority 0; }")
        run("nft", f"add rule inet guard input {rules}")
        for name in ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"):
            run("sysctl", "-qw", f"{name}=1")

    def _start_controllers(self) -> None:
        keys = self._control_plane
        config = f"--kubeconfig={keys.kubeconfig}"
        self._spawn(
            "kube-controller-manager",
            config,
            f"--cert-dir={self._state / 'keys'}",
            f"--service-account-private-key-file={keys.private_key}",
            f"--root-ca-file={keys.certificate}",
            "--use-service-account-credentials",
            "--bind-address=127.0.0.1",
        )
        self._spawn("kube-scheduler", config, f"--cert-dir={self._state / 'keys'}", "--bind-address=127.0.0.1")

    def _start_containerd(self) -> None:
        network = self._write("network/10-bridge.conflist", json.dumps(_network(), indent=1))
        settings = _containerd(self._state, network.parent)
        self._spawn(
            "containerd", "--config", str(self._write("containerd.toml", settings)), program="/usr/bin/containerd"
        )
        self._wait("containerd", lambda: run("ctr", "-a", str(SOCKET), "version", check=False) == 0, "containerd")
        archive = self._state / "pause.tar"
        write_archive(binary_folder() / "pause", archive)
        run(*import_command(archive))

    def _start_kubelet(self) -> None:
        resolver = self._write("resolv.conf", f"nameserver {self._wire.node}\n")
        settings = _kubelet(self._state, self._wire, resolver)
        self._spawn(
            "kubelet",
            f"--kubeconfig={self._control_plane.kubeconfig}",
            f"--config={self._write('kubelet.yaml', yaml.safe_dump(settings))}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={self._wire.node}",
            f"--root-dir={KUBELET}",
            f"--cert-dir={self._state / 'keys'}",
        )

    def _start_network(self) -> None:
        self._spawn(
            "kube-proxy",
            f"--kubeconfig={self._control_plane.kubeconfig}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={PODS}",
            f"--hostname-override={NODE_NAME}",
            "--conntrack-max-per-core=0",
            f"--bind-address={self._wire.node}",
        )
        names = _names(self._wire, self._control_plane.kubeconfig)
        self._spawn("coredns", "-conf", str(self._write("Corefile", names)))

    def _spawn(self, name: str, *arguments: str, program: str | None = None) -> None:
        command: Sequence[str] = (program or str(find(name)), *arguments)
        log = self._state / f"{name}.log"
        self._children.append(
            spawn(Command(name=name, arguments=command, folder=self._state, log=log), self._state / "processes")
        )

    def _write(self, name: str, text: str) -> Path:
        path = self._state / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _kubectl(self, *arguments: str) -> str:
        return kubectl(self._control_plane.kubeconfig, *arguments, timeout_s=START_TIMEOUT_S).stdout

    def _wait(self, what: str, is_so: Callable[[], bool], log: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_so():
            if time.monotonic() > deadline:
                path = self._state / f"{log}.log"
                raise Retryable(
                    f"{what} is not ready after {START_TIMEOUT_S:.0f} s; {path} ends with:\n{log_tail(path)}"
                )
            time.sleep(POLL_S)


def import_command(archive: Path) -> list[str]:
    """Return how an image archive, of Docker or OCI, is imported in the node's namespaces."""
    return ["ctr", "--address", str(SOCKET), "--namespace", "k8s.io", "images", "import", str(archive)]


def _network() -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": NODE_PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _containerd(state: Path, network: Path) -> str:
    return f"""\
version = 2
root = "{state}/containerd"
state = "/run/containerd/state"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def _kubelet(state: Path, wire: Wire, resolver: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": wire.control_group,
        "failSwapOn": False,
        "failCgroupV1": False,
        "clusterDNS": [wire.node],
        "clusterDomain": DOMAIN,
        "resolvConf": str(resolver),
        "podLogsDir": str(state / "pods"),
        # Only the API server reaches this port (see _guard), and it has no certificate of its own to show.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        # Inside namespaces of its own a kubelet may not change what belongs to the whole machine.
        "featureGates": {"KubeletInUserNamespace": True},
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # an image that was loaded cannot be pulled again
        "maxPods": PODS_MAX,
        "enforceNodeAllocatable": [],
    }


def _names(wire: Wire, kubeconfig: Path) -> str:
    return f"""\
.:53 {{
  bind {wire.node}
  errors
  ready 127.0.0.1:8181
  cache 5
  kubernetes {DOMAIN} in-addr.arpa {{
    kubeconfig {kubeconfig}
  }}
}}
"""


def main(arguments: Sequence[str]) -> int:
    """Run a node as the init of its namespaces, until it is told to end; return the exit status."""
    state = Path(arguments[0])
    child = os.fork()
    if child != 0:
        return _be_init(child)
    return hold(Node(state, Wire(*arguments[1:4])), state)


def _be_init(child: int) -> int:
    """Reap whatever loses its parent, as the first process must, until `child` ends; return its exit status."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # and everything here ends with us
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
