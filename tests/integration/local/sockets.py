"""What a process listens on, read from /proc."""

import ipaddress
import struct
from pathlib import Path

LISTEN = "0A"  # the state TCP_LISTEN (include/net/tcp_states.h)


def listening_addresses(pid: int) -> set[tuple[str, int]]:
    """Return address and port of each TCP socket the process listens on."""
    links = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in links:
                address, port = fields[1].split(":")
                found.add((_address(address), int(port, 16)))
    return found


def _address(text: str) -> str:
    # The kernel prints 32-bit words in the machine's byte order.
    raw = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
