"""A real Postgres on this machine: the binaries of a wheel, started by us, on loopback unless told otherwise.

Everybody needs a password. Everything it writes is below its folder, passwords included (in a file that only we can
read).
"""

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from tradefleet.domain.errors import Permanent, Retryable

from .folder import ServiceFolder, start_failure
from .identity import Identity, choose_identity, hand_over
from .loopback import EVERYWHERE, LOOPBACK, choose_port, is_free
from .processes import Child, Command, clear_leftovers, run, spawn, working_in

MAJOR: Final = "18"
SUPERUSER: Final = "postgres"
DATABASE: Final = "tradefleet"

INIT_TIMEOUT_S: Final = 120.0
START_TIMEOUT_S: Final = 90.0  # crash recovery included
STOP_GRACE_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5
ORPHANS_WAIT_S: Final = 1.0  # an idle one ends at once, a busy one may not notice; recovery follows either way
POLL_S: Final = 0.02
STATUS_LINE: Final = 7  # of postmaster.pid, from 0 (src/include/utils/pidfile.h)
STARTS_MAX: Final = 3  # each with another port, when one that was free is taken by the time the server listens

SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their paths have a length limit that a deep data folder breaks
    "max_connections": "200",  # some 60 processes, each with one or two
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "minimal",  # nobody replicates from here
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "io_method": "sync",  # its worker processes would only cost memory
    "max_parallel_workers": "0",
    "max_worker_processes": "2",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "huge_pages": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements can hold what does not belong into a log
}


class Database:
    """A Postgres whose data live in `folder`. A restart keeps data, passwords and, when it is still free, the port.

    `port` set explicitly is taken or refused, never replaced. `identity` overrides how the server is run. With
    `password`, which is then the superuser's, it listens on every interface as well.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        identity: Identity | None = None,
        password: str | None = None,
    ) -> None:
        self._folder = ServiceFolder(folder, "postgres")
        self._wanted_port = port
        self._password = password
        self._identity = identity
        self._child: Child | None = None
        self._port: int | None = None

    @property
    def port(self) -> int:
        """Return the port it listens on, also when another process runs the server on this folder."""
        return self._port or int(self._folder.recall("port"))

    @property
    def child(self) -> Child | None:
        """Return the running process, or the one that ran last; None before the first start."""
        return self._child

    def dsn(self, user: str = SUPERUSER, database: str = DATABASE) -> str:
        """Return the URL by which `user` connects. It holds a password: never log it.

        Raises Permanent for a user that `ensure_login` did not make.
        """
        password = self._folder.remembered().get(f"password.{user}")
        if password is None:
            raise Permanent(f"postgres: user {user} has no password here: ensure_login({user!r}) first")
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self.port}/{database}"

    @contextlib.contextmanager
    def owner(self, database: str = DATABASE) -> Iterator[psycopg.Connection]:
        """Open a connection that may do everything, in autocommit. Raises Retryable when it fails or is lost."""
        try:
            with psycopg.connect(
                self.dsn(database=database), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            ) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise Retryable(f"database: {str(error).strip()}") from error

    def ensure_login(self, user: str) -> str:
        """Return the URL of `user`, after making the role when it is missing and giving it its password."""
        remembered = self._folder.remembered()
        password = str(remembered.get(f"password.{user}") or secrets.token_urlsafe(24))
        self._folder.remember(remembered | {f"password.{user}": password})
        with self.owner() as connection:
            found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone()
            verb = sql.SQL("ALTER" if found else "CREATE")
            # Only the verifier travels, so that the password can appear in no log of the server.
            verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                    verb, sql.Identifier(user), sql.Literal(verifier.decode())
                )
            )
        return self.dsn(user)

    def start(self) -> None:
        """Return once the server answers queries; at once when it does already.

        Raises Permanent when the folder or the port is unfit, Retryable when it does not come up in time.
        """
        if self.is_alive():
            return
        self._folder.claim()
        try:
            with self._folder.errors():
                self._start()
        except BaseException:  # Ctrl-C included: nothing half-started stays behind
            if self._child is not None and self._child.is_alive():
                self._child.kill()
            self._folder.release()
            raise

    def stop(self) -> None:
        """Return once the server has shut down in order, or was killed after a bounded wait."""
        if self._child is not None and self._child.is_alive():
            self._child.stop(grace_s=STOP_GRACE_S, how=signal.SIGINT)  # "fast": open transactions are rolled back
            self._clear_orphans()
        self._folder.release()

    def kill(self) -> None:
        """Return after SIGKILL of the postmaster: what a crash looks like. `start` carries on."""
        if self._child is not None:
            self._child.kill()

    def is_alive(self) -> bool:
        """Return whether the postmaster runs."""
        return self._child is not None and self._child.is_alive()

    @property
    def _cluster(self) -> Path:
        return self._folder.path / "cluster"

    @property
    def _log(self) -> Path:
        return self._folder.path / "postgres.log"

    def _start(self) -> None:
        clear_leftovers(self._folder.path)
        self._clear_orphans()
        identity = self._identity = self._identity or choose_identity()
        settings = self._folder.remembered()
        last_port = int(settings["port"]) if "port" in settings else None
        for attempt in range(1, STARTS_MAX + 1):
            self._port = choose_port("postgres", wanted=self._wanted_port, last=last_port)
            self._make_cluster_once(identity)
            self._folder.remember(self._folder.remembered() | {"port": self._port})
            self._launch(identity, self._port)
            if self._wait_until_ready():
                self._make_database_once()
                return
            if self._wanted_port is not None or is_free(self._port) or attempt == STARTS_MAX:
                raise start_failure("postgres: the server ended while it started", self._log)
            last_port = None

    def _clear_orphans(self) -> None:
        """Wait for the processes a dead postmaster left, then kill them: a new one refuses to start beside them."""
        if not self._cluster.exists():
            return
        deadline = time.monotonic() + ORPHANS_WAIT_S
        while orphans := working_in(self._cluster):
            late = time.monotonic() > deadline
            if late and time.monotonic() > deadline + ORPHANS_WAIT_S:
                raise Retryable(f"postgres: processes {orphans} of an earlier server do not end")
            for pid in orphans if late else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        # We hold the folder's lock and nobody works in it. Left there, the file would stop the server whenever some
        # other process of ours has the old pid by now.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _make_cluster_once(self, identity: Identity) -> None:
        """Make the data folder, whole or not at all: initdb writes elsewhere, and a rename ends it."""
        if self._cluster.exists():
            self._check_cluster()
            hand_over(self._cluster, identity.owner)
            return
        password = self._password or secrets.token_urlsafe(24)
        self._folder.remember(self._folder.remembered() | {f"password.{SUPERUSER}": password})
        unfinished = self._folder.path / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = self._folder.path / "initdb.password"
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(password, encoding="ascii")
            hand_over(unfinished, identity.owner)
            hand_over(password_file, identity.owner)
            code = self._initialize(unfinished, password_file, identity)
        finally:
            password_file.unlink()
        if code != 0:
            raise start_failure("postgres: the cluster could not be made", self._folder.path / "initdb.log")
        if self._password is not None:
            with (unfinished / "pg_hba.conf").open("a", encoding="ascii") as file:
                file.write("host all all all scram-sha-256\n")
        unfinished.rename(self._cluster)

    def _initialize(self, unfinished: Path, password_file: Path, identity: Identity) -> int | None:
        with _reachable(unfinished, identity) as cluster, _reachable(password_file, identity) as secret:
            command = self._command(
                identity,
                "initdb",
                (cluster.descriptor, secret.descriptor),
                f"--pgdata={cluster.path}",
                f"--username={SUPERUSER}",
                f"--pwfile={secret.path}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            )
            return run(command, self._folder.path, timeout_s=INIT_TIMEOUT_S)

    def _check_cluster(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != MAJOR:
            raise Permanent(
                f"postgres: {self._cluster} was made by Postgres {found}, this release runs {MAJOR}: "
                "name another data folder, or bring the data over with pg_dump"
            )
        if f"password.{SUPERUSER}" not in self._folder.remembered():
            raise Permanent(f"postgres: {self._folder.path / 'settings.json'} with the passwords is gone: restore it")

    def _launch(self, identity: Identity, port: int) -> None:
        settings = SETTINGS | {"port": str(port)}
        if self._password is not None:
            settings["listen_addresses"] = EVERYWHERE
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with _reachable(self._cluster, identity) as cluster:
            command = self._command(identity, "postgres", (cluster.descriptor,), "-D", str(cluster.path), *options)
            self._child = spawn(command, self._folder.path)

    def _command(
        self, identity: Identity, program: str, descriptors: tuple[int | None, ...], *arguments: str
    ) -> Command:
        return Command(
            name=program,
            arguments=(str(identity.programs / program), *arguments),
            folder=Path("/") if identity.by_descriptor else self._folder.path,
            log=self._folder.turn_log(f"{program}.log"),
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # no PG* variable of ours reaches it
            identity=identity.launch,
            inherited=[descriptor for descriptor in descriptors if descriptor is not None],
        )

    def _wait_until_ready(self) -> bool:
        """Return True once the server takes connections, False when its process ended first."""
        assert self._child is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._says_ready():
            if self._child.wait(POLL_S) is not None:
                return False
            if time.monotonic() > deadline:
                self._child.kill()
                raise start_failure(f"postgres: not ready within {START_TIMEOUT_S:.0f} s", self._log)
        return True

    def _says_ready(self) -> bool:
        # As pg_ctl does: asking by connections would fill the log with refusals while it recovers.
        assert self._child is not None
        try:
            lines = (self._cluster / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > STATUS_LINE and lines[0] == str(self._child.pid) and lines[STATUS_LINE].strip() == "ready"

    def _make_database_once(self) -> None:
        with self.owner(database="postgres") as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


class _Reachable:
    """A path as the server can open it, and the descriptor behind it when there is one."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor


@contextlib.contextmanager
def _reachable(path: Path, identity: Identity) -> Iterator[_Reachable]:
    if not identity.by_descriptor:
        yield _Reachable(path, None)
        return
    # A link below /proc/self/fd leads to the open file itself: the folders above it are not asked.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield _Reachable(Path(f"/proc/self/fd/{descriptor}"), descriptor)
    finally:
        os.close(descriptor)
