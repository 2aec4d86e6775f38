"""Becomes the named command, after arranging that the command dies when the process that asked for it dies.

Run as a script, in a fresh interpreter (`python -I -S launcher.py PARENT IDENTITY MEMORY COMMAND...`), and not as a
hook between fork and exec: a supervisor has threads, and Python code run in a forked copy of it may deadlock.

IDENTITY is `same`, `map:UID:GID` (a user namespace in which we appear as UID) or `switch:UID:GID` (root gives itself
up). MEMORY is the most bytes of data that the command may have, 0 for any number. One that is held to something is
also the first that the kernel ends when the machine has no memory left.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)
CLONE_NEWUSER = 0x10000000  # unshare(2)
OPEN_FILES_MAX = 65536

FIRST_TO_GO = "500"  # proc_pid_oom_score_adj(5): as if half of the memory were its own

REFUSED = 126  # the shell's code for "found, but could not be run"


def main(arguments: list[str]) -> None:
    """Return never: this process turns into the command, or ends with `REFUSED` and a line that says why."""
    parent, identity, memory_bytes, *command = arguments
    try:
        _take(identity)
    except OSError as error:
        _refuse(f"cannot run as {identity}: {error}")
    # Last of all, because the kernel forgets the wish whenever credentials change.
    _call("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(parent):  # it died before we asked to be told
        _refuse(f"the parent {parent} is gone")
    _raise_open_files()
    if int(memory_bytes):
        _hold_to(int(memory_bytes))
    try:
        os.execv(command[0], command)
    except OSError as error:
        _refuse(f"cannot run {command[0]}: {error}")


def _take(identity: str) -> None:
    kind, *numbers = identity.split(":")
    if kind == "same":
        return
    user, group = (int(number) for number in numbers)
    if kind == "map":
        outer_user, outer_group = os.geteuid(), os.getegid()
        _call("unshare", CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {outer_user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {outer_group} 1", encoding="ascii")
    else:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _raise_open_files() -> None:
    # Many systems give 1024 and allow far more; a broker keeps several files open for each partition.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MAX)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _hold_to(memory_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        memory_bytes = min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    with contextlib.suppress(OSError):  # not every container lets us; the limit holds without it
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")


def _refuse(reason: str) -> None:
    sys.stderr.write(f"launcher: {reason}\n")
    sys.stderr.flush()
    os._exit(REFUSED)


if __name__ == "__main__":
    main(sys.argv[1:])
