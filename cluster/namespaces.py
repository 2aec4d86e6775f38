"""A place of its own for a node: network, mounts, processes and control groups that touch nothing of the machine.

One process, the node's init, holds the namespaces. When it ends, by whatever cause, the kernel ends every process in
them and takes down every mount and interface, so a node cannot leave anything behind but its empty control groups.
"""

import hashlib
import ipaddress
import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent, Retryable

# Each node takes four addresses of it. Docker, Podman, kind and the common cluster networks are elsewhere.
NETWORK: Final = ipaddress.ip_network("10.213.0.0/16")
SUBNET_BITS: Final = 30
UPLINK: Final = "uplink"  # the node's end of the wire to its machine
COMMAND_TIMEOUT_S: Final = 30.0
APPEAR_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.02
CGROUPS: Final = Path("/sys/fs/cgroup")
EMPTY_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Wire:
    """The two ends of a wire between a machine and its node, and the names of both."""

    name: str
    machine: str
    node: str

    @property
    def control_group(self) -> str:
        """Return the control group that holds the node's pods, as a path below each controller."""
        return f"/{self.name}"


def wire_for(state: Path) -> Wire:
    """Return a wire for the node of this state folder: the same each time, unless its addresses are in use."""
    digest = int(hashlib.sha256(str(state.absolute()).encode()).hexdigest(), 16)
    subnets = 2 ** (SUBNET_BITS - NETWORK.prefixlen)
    taken = [ipaddress.ip_interface(address).network for address in _addresses()]
    for step in range(subnets):
        index = (digest + step) % subnets
        subnet = ipaddress.ip_network((int(NETWORK.network_address) + 4 * index, SUBNET_BITS))
        if not any(subnet.overlaps(other) for other in taken if other.version == subnet.version):
            machine, node = subnet.hosts()
            return Wire(name=f"fleet{index}", machine=str(machine), node=str(node))
    raise Permanent(f"no free addresses in {NETWORK} for a node: bring another cluster down first")


def enter(command: Sequence[str], folder: Path, log: Path, wire: Wire) -> int:
    """Return the pid of the init of new namespaces, as the machine knows it; it runs `command` in
    `folder` and has its end of the wire.

    Raises Permanent when the machine does not allow it.
    """
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]
    with log.open("ab") as output:
        outer = subprocess.Popen(
            [*unshare, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        init = _only_child(outer, log)
        run("ip", "link", "add", wire.name, "type", "veth", "peer", "name", UPLINK, "netns", str(init))
        run("ip", "address", "add", f"{wire.machine}/{SUBNET_BITS}", "dev", wire.name)
        run("ip", "link", "set", wire.name, "up")
    except BaseException:  # Ctrl-C included
        outer.kill()  # and its child with it
        raise
    return init


def plug_in(wire: Wire) -> None:
    """Configure the node's end, from inside: it has no way to anywhere but its machine."""
    deadline = time.monotonic() + APPEAR_TIMEOUT_S
    while run("ip", "link", "show", UPLINK, check=False) != 0:
        if time.monotonic() > deadline:
            raise Retryable(f"the wire {wire.name} did not appear within {APPEAR_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{wire.node}/{SUBNET_BITS}", "dev", UPLINK)
    run("ip", "link", "set", UPLINK, "up")
    run("ip", "route", "add", "unreachable", "default")  # at once, instead of after a time-out


def make_control_group(wire: Wire) -> None:
    """Make the control group for the node's pods, in one hierarchy (version 2) or in each controller's (version 1)."""
    for root in _hierarchies():
        group = root / wire.name
        group.mkdir(exist_ok=True)
        if (root / "cgroup.subtree_control").exists():
            for controller in (root / "cgroup.controllers").read_text(encoding="ascii").split():
                (root / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
        elif root.name == "cpuset":
            # Without these two a group of version 1 takes no process.
            for name in ("cpuset.cpus", "cpuset.mems"):
                (group / name).write_text((root / name).read_text(encoding="ascii"), encoding="ascii")


def remove_control_group(wire_name: str) -> None:
    """Remove the control groups of a node whose processes have ended. Raises Retryable when one is still busy."""
    for root in _hierarchies():
        folders = [folder for folder, _, _ in os.walk(root / wire_name, topdown=False)]
        deadline = time.monotonic() + EMPTY_TIMEOUT_S
        for folder in folders:
            while True:
                try:
                    Path(folder).rmdir()
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise Retryable(f"the control group {folder} does not empty") from error
                    time.sleep(POLL_S)
                else:
                    break


def run(*command: str, check: bool = True) -> int:
    """Return the exit status of a system's command. Raises Permanent with what it said when it should not fail."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    if check and done.returncode != 0:
        raise Permanent(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.returncode


def _hierarchies() -> list[Path]:
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    # A link is another name of a hierarchy that is there anyway.
    return sorted(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink())


def _addresses() -> list[str]:
    """Return every address of this machine, with the length of its network."""
    listed = subprocess.run(
        ["ip", "-json", "address"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True
    )
    return [
        f"{address['local']}/{address['prefixlen']}"
        for interface in json.loads(listed.stdout)
        for address in interface["addr_info"]
    ]


def _only_child(outer: "subprocess.Popen[bytes]", log: Path) -> int:
    """Return the pid of the process that `unshare` forked into the namespaces."""
    deadline = time.monotonic() + APPEAR_TIMEOUT_S
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    while outer.poll() is None and time.monotonic() < deadline:
        found = children.read_text(encoding="ascii").split()
        if found:
            return int(found[0])
        time.sleep(POLL_S)
    said = log.read_text(encoding="utf-8", errors="replace").strip()[-1000:]
    raise Permanent(f"this machine does not allow a node its own namespaces: {said or 'unshare did not start'}")
