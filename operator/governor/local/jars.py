"""The broker's jars: the exact list with its SHA-256 sums, fetched once into the user's cache and verified before use.

`python -m governor.local.jars` fetches what is missing (part of `make setup`); with `--lock` it resolves the versions
below again and writes the list (part of `make lock`).
"""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent, Retryable

from .cache import cache_folder

KAFKA_VERSION: Final = "4.3.1"
# kafka-clients stands beside the broker, because the resolver would pick an older one from a dependency's wish; the
# last one carries the broker's log lines to log4j.
ROOTS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)
LOCK: Final = Path(__file__).with_name("kafka-jars.sha256")
REPOSITORY_VARIABLE: Final = (
    "TRADEFLEET_MAVEN_REPOSITORY"  # the address of a mirror, when the public one is out of reach
)
CERTIFICATES_VARIABLE: Final = "REQUESTS_CA_BUNDLE"
SYSTEM_CERTIFICATES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian and its kin
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora and its kin
)
DOWNLOADS_AT_ONCE: Final = 6
DOWNLOAD_TIMEOUT_S: Final = 60
CHUNK_BYTES: Final = 1024 * 1024

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many parts are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar as the lock names it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the name of the file in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> list[Jar]:
    """Return the jars that the committed list names, in class path order."""
    jars = []
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            sha256, coordinate = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def jar_folder() -> Path:
    """Return where the jars are kept: in the user's cache."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def ensure_jars(folder: Path | None = None, progress: Progress | None = None) -> list[Path]:
    """Return the verified jars in class path order, after fetching those that are missing.

    Raises Permanent when a file is not the one the list names, Retryable when a download fails; a later call then
    carries on.
    """
    folder = folder or jar_folder()
    jars = locked_jars()
    missing = [jar for jar in jars if not (folder / jar.file_name).exists()]
    if missing:
        _fetch_all(missing, folder, progress or (lambda *_: None))
    for jar in jars:
        _verify(folder / jar.file_name, jar)
    return [folder / jar.file_name for jar in jars]


def _fetch_all(missing: Sequence[Jar], folder: Path, progress: Progress) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch,
            _certificates_of_the_system(Path(scratch)),
            ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as workers,
        ):
            label = f"fetching Kafka {KAFKA_VERSION} (once)"
            progress(label, 0, len(missing))
            tasks = workers.map(lambda jar: _fetch(jar, folder, Path(scratch)), missing)
            for done, _ in enumerate(tasks, start=1):
                progress(label, done, len(missing))
    except OSError as error:
        raise Permanent(
            f"Kafka's jars: cannot write {folder}: {error.strerror}: set XDG_CACHE_HOME elsewhere"
        ) from error


@contextlib.contextmanager
def _certificates_of_the_system(scratch: Path) -> Iterator[None]:
    """Let downloads trust what the system trusts as well, as pip does: a company's proxy has its own authority."""
    import certifi  # noqa: PLC0415

    present = [path for path in SYSTEM_CERTIFICATES if path.is_file()]
    if CERTIFICATES_VARIABLE in os.environ or not present:
        yield
        return
    bundle = scratch / "certificates.pem"
    bundle.write_text(certifi.contents() + present[0].read_text(encoding="utf-8"), encoding="utf-8")
    os.environ[CERTIFICATES_VARIABLE] = str(bundle)  # the one way to tell the HTTP client inside the resolver
    try:
        yield
    finally:
        del os.environ[CERTIFICATES_VARIABLE]


def _fetch(jar: Jar, folder: Path, scratch: Path) -> None:
    # Imported here: a start with a full cache needs no resolver and no HTTP client.
    import requests  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    mirror = os.environ.get(REPOSITORY_VARIABLE)
    context = MavenContext(
        repo_cache=scratch,
        remote_repos={"mirror": mirror} if mirror else None,
        timeout=DOWNLOAD_TIMEOUT_S,
    )
    try:
        fetched = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (requests.RequestException, RuntimeError) as error:
        raise Retryable(
            f"cannot fetch {jar.group}:{jar.artifact}:{jar.version} ({type(error).__name__}: {error}): check the "
            f"network or proxy, or name a mirror of Maven Central in {REPOSITORY_VARIABLE}; `make setup` carries on"
        ) from error
    _verify(fetched, jar)
    shutil.move(fetched, folder / jar.file_name)  # a rename on one file system: a jar is there whole or not at all


def _verify(path: Path, jar: Jar) -> None:
    found = _sha256(path)
    if found != jar.sha256:
        raise Permanent(
            f"{path} is not the file that was released as {jar.group}:{jar.artifact}:{jar.version}: SHA-256 must be "
            f"{jar.sha256}, was {found}: delete the file and run `make setup`"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write_lock() -> None:
    """Resolve `ROOTS` with everything they need, and write the list."""
    from jgo import resolve  # noqa: PLC0415

    lines = [
        f"{_sha256(artifact.resolve())} {artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        for artifact in resolve("+".join(ROOTS))
    ]
    header = (
        "# SHA-256 and coordinate of each jar of the embedded broker, in class path order; `make lock` writes this.\n"
    )
    LOCK.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Return the exit status of the command."""
    if sys.argv[1:] == ["--lock"]:
        write_lock()
        return 0
    try:
        ensure_jars(progress=_print_progress)
    except (Permanent, Retryable) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _print_progress(label: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{label}: {done}/{total}" + ("\n" if done == total else ""))
    elif done in {0, total}:
        sys.stderr.write(f"{label}: {done}/{total}\n")


if __name__ == "__main__":
    sys.exit(main())
