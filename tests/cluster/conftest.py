"""One API server for the tests of a run, with our definitions in it, and a namespace for every test.

The programs must have been built: `make kubernetes`. A machine that cannot have them leaves this folder out, with
`--ignore=tests/cluster`; nothing here is skipped in silence.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane, kubectl
from tests.cluster.api import Api

ROOT = Path(__file__).parents[2]
ESTABLISH_TIMEOUT_S = 60

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running API server. It is empty but for what other tests have put there."""
    server = ControlPlane(tmp_path_factory.mktemp("control-plane"), is_audited=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """The kubeconfig of an API server that knows our kinds, from a plain client-side apply of the files in crds/."""
    config = control_plane.kubeconfig
    applied = kubectl(config, "apply", "-f", str(ROOT / "crds"), timeout_s=ESTABLISH_TIMEOUT_S)
    assert applied.returncode == 0, applied.stderr
    waited = kubectl(
        config,
        *("wait", "--for=condition=Established", "customresourcedefinitions", "--all"),
        f"--timeout={ESTABLISH_TIMEOUT_S}s",
        timeout_s=2 * ESTABLISH_TIMEOUT_S,
    )
    assert waited.returncode == 0, waited.stderr
    return config


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Api:
    """The API server, as its administrator."""
    return Api(kubeconfig)


@pytest.fixture
def namespace(api: Api) -> str:
    """The name of a namespace that no other test uses."""
    name = f"test-{next(_numbers)}"
    assert api.create_namespace(name).accepted
    return name
