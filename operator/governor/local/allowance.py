"""How much memory a process may use that runs somebody's strategy: so much that it cannot take the machine down.

The kernel holds a process to it, and the strategy gets a MemoryError, which names its line.
"""

import os
from typing import Final

MACHINE_PART: Final = 2  # one process gets at most one in so many parts of the machine's memory, when nobody says more
# The kernel counts what is reserved, a pod's limit what is touched: stacks of threads lie between the two.
RESERVED_BYTES: Final = 256 * 1024 * 1024


def allowance_bytes(wanted: int | None) -> int:
    """Return the most bytes of data of such a process; `wanted` is the limit in its podTemplate, if there is one."""
    if wanted is not None:
        return wanted + RESERVED_BYTES
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MACHINE_PART
