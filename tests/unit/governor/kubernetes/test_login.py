"""How the Governor finds its API server."""

from pathlib import Path

import pytest
import yaml
from governor.kubernetes.login import AccountLogin, FileLogin, find_login

from tradefleet.domain.errors import Permanent


def kubeconfig(path: Path, user: dict[str, str]) -> Path:
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_a_kubeconfig_names_server_and_token(tmp_path: Path):
    login = FileLogin(kubeconfig(tmp_path / "config", {"token": "let-me-in"}))

    assert (login.server, login.token()) == ("https://127.0.0.1:6443", "let-me-in")


def test_a_token_in_a_file_is_read_each_time(tmp_path: Path):
    (tmp_path / "token").write_text("first\n", encoding="ascii")
    login = FileLogin(kubeconfig(tmp_path / "config", {"tokenFile": str(tmp_path / "token")}))
    assert login.token() == "first"

    (tmp_path / "token").write_text("second\n", encoding="ascii")

    assert login.token() == "second"


def test_a_user_whom_we_cannot_be_is_refused_without_showing_secrets(tmp_path: Path):
    path = kubeconfig(tmp_path / "config", {"password": "hunter2"})

    with pytest.raises(Permanent, match="user u has no token") as caught:
        FileLogin(path)

    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path):
    (tmp_path / "config").write_text("hello: 1\n", encoding="utf-8")

    with pytest.raises(Permanent, match="is not one, or has no current context"):
        FileLogin(tmp_path / "config")


def test_a_pod_uses_its_account(tmp_path: Path):
    (tmp_path / "token").write_text("mine\n", encoding="ascii")
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}

    login = AccountLogin(environment, tmp_path)

    assert (login.server, login.token()) == ("https://[fd00::1]:443", "mine")


def test_without_either_the_remedy_is_named():
    with pytest.raises(Permanent, match="name a kubeconfig in the environment variable KUBECONFIG"):
        find_login({})
