"""The fleet's image, built from the Dockerfile by Docker or, where there is none, by buildah: `make image`.

The base is BASE_IMAGE, by default the one that the Dockerfile names. Where that cannot be pulled, a base is made from
Debian's packages, so that an image can be built wherever those can be had.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import Permanent, Retryable

from . import docker, packages
from .binaries import Tell

ROOT: Final = Path(__file__).parents[1]
ARCHIVES: Final = ROOT / ".build"
REPOSITORY: Final = "localhost/tradefleet"
TARGETS: Final = ("fleet", "dev")

BASE_VARIABLE: Final = "BASE_IMAGE"
DEBIAN: Final = "bookworm"
DEBIAN_BASE: Final = f"localhost/tradefleet-base:{DEBIAN}"
# What a container never reads.
LEFT_OUT: Final = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

BUILD_TIMEOUT_S: Final = 1800.0
PULL_TIMEOUT_S: Final = 300.0
LINES_SHOWN_MAX: Final = 20
MEGABYTE: Final = 1_000_000


def image_name(target: str = "fleet") -> str:
    """Return the name of the image of a target of the Dockerfile."""
    suffix = "" if target == "fleet" else f"-{target}"
    return f"{REPOSITORY}{suffix}:{version('tradefleet')}"


def build(target: str, tell: Tell, archives: Path = ARCHIVES) -> Path:
    """Return an archive of the image in the folder `archives`, as `load` takes it, after building it.

    Raises Permanent when this machine cannot build images, Retryable with the end of the output when a step fails.
    """
    assert target in TARGETS
    archives.mkdir(exist_ok=True)
    archive = archives / f"tradefleet-{target}.tar"
    name = image_name(target)
    tell(f"building the image {name}")
    (_build_with_docker if docker.is_usable() else _build_with_buildah)(target, archive, tell)
    tell(f"the image {name} takes {archive.stat().st_size / MEGABYTE:.0f} MB as an archive")
    return archive


def _build_with_docker(target: str, archive: Path, tell: Tell) -> None:
    del tell
    name = image_name(target)
    base = [f"--build-arg={BASE_VARIABLE}={os.environ[BASE_VARIABLE]}"] if os.environ.get(BASE_VARIABLE) else []
    _run("docker", "build", *base, *_certificates(), "--target", target, "--tag", name, str(ROOT))
    _run("docker", "save", "--output", str(archive), name)


def _build_with_buildah(target: str, archive: Path, tell: Tell) -> None:
    name = image_name(target)
    packages.ensure({"buildah": "buildah"}, tell)
    base_image = _base(tell)
    # The time of no file and no layer is that of the build: the same sources make the same image.
    fixed = ("--layers", "--timestamp", "0", "--network", "host", "--build-arg", f"{BASE_VARIABLE}={base_image}")
    _run("buildah", "build", *fixed, *_certificates(), "--target", target, "--tag", name, str(ROOT))
    archive.unlink(missing_ok=True)
    _run("buildah", "push", "--quiet", name, f"oci-archive:{archive}:{name}")


def default_base() -> str:
    """Return the base that the Dockerfile names."""
    named = re.search(rf"^ARG {BASE_VARIABLE}=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert named is not None, "the Dockerfile names its base"
    return named.group(1)


def _base(tell: Tell) -> str:
    """Return a base image that buildah has: the wanted one, else one made here."""
    chosen = os.environ.get(BASE_VARIABLE)
    wanted = chosen or default_base()
    if _has(wanted):
        return wanted
    if not chosen and _has(DEBIAN_BASE):
        return DEBIAN_BASE  # made here before: what could not be pulled then is not waited for each time
    if _succeeds("buildah", "pull", "--quiet", wanted):
        return wanted
    if chosen:
        raise Permanent(f"the base image {chosen} cannot be pulled: name another one in {BASE_VARIABLE}, or unset it")
    tell(f"{wanted} cannot be pulled: making a base of Debian's packages instead")
    packages.ensure({"debootstrap": "debootstrap"}, tell)
    _make_debian_base()
    return DEBIAN_BASE


def _make_debian_base() -> None:
    with tempfile.TemporaryDirectory(prefix="tradefleet-base-") as folder:
        _run("debootstrap", "--variant=minbase", "--include=python3,python3-venv", DEBIAN, folder)
        for path in LEFT_OUT:
            for each in Path(folder, path).iterdir():
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        container = _run("buildah", "from", "scratch").strip()
        try:
            _run("buildah", "add", "--quiet", container, folder, "/")
            _run("buildah", "commit", "--quiet", "--timestamp", "0", container, DEBIAN_BASE)
        finally:
            _run("buildah", "rm", container)


def _certificates() -> Sequence[str]:
    # Handed to the build alone, and not into the image.
    return ["--secret", f"id=certificates,src={CERTIFICATES}"] if CERTIFICATES.exists() else []


def _has(image: str) -> bool:
    return _succeeds("buildah", "inspect", "--type", "image", image)


def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PULL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S
    )
    if done.returncode != 0:
        said = "\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-LINES_SHOWN_MAX:])
        raise Retryable(f"{' '.join(command[:2])} failed:\n{said}")
    return done.stdout
