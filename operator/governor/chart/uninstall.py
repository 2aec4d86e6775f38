"""Refuses to let the operator go while resources need it: `python -m governor.chart.uninstall NAMESPACE…`.

Run in a pod before `helm uninstall` removes anything. A resource that is deleted without the operator keeps its
finalizer for ever, and a bot that is left behind keeps its open orders.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from tradefleet.domain.errors import FleetError, Permanent, Retryable

# Where Kubernetes puts what a pod needs to speak to its API server (documentation, "Accessing the API from a Pod").
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
GROUP_VERSION: Final = "tradefleet.dev/v1alpha1"
PLURALS: Final = ("tradingbots", "botsets", "backtests", "feeds", "datasets", "riskpolicies", "exchanges")
REQUEST_TIMEOUT_S: Final = 10.0
TRIES_MAX: Final = 5
RETRY_S: Final = 1.0
SHOWN_MAX: Final = 10


def remaining(environment: Mapping[str, str], account: Path, namespaces: Sequence[str]) -> list[str]:
    """Return what is still there in the namespaces, as `kubectl` would name it.

    Raises Permanent when we may not look, Retryable when the API server does not answer.
    """
    server = f"https://{_bracketed(environment['KUBERNETES_SERVICE_HOST'])}:{environment['KUBERNETES_SERVICE_PORT']}"
    token = (account / "token").read_text(encoding="ascii").strip()
    trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
    found = []
    for namespace in namespaces:
        for plural in PLURALS:
            url = f"{server}/apis/{GROUP_VERSION}/namespaces/{namespace}/{plural}"
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - https
            names = _patiently(partial(_names, request, trust))
            found += [f"{namespace}: {plural}/{name}" for name in names]
    return found


def _patiently(ask: Callable[[], list[str]]) -> list[str]:
    """Return the answer, asking again for a while when the API server has none: it may just be starting."""
    for _ in range(TRIES_MAX - 1):
        try:
            return ask()
        except Retryable:
            time.sleep(RETRY_S)
    return ask()


def _names(request: urllib.request.Request, trust: ssl.SSLContext) -> list[str]:
    try:
        with urllib.request.urlopen(request, context=trust, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310 - https
            return [item["metadata"]["name"] for item in json.load(answer)["items"]]
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:  # the kind is gone already
            return []
        message = f"{request.full_url} cannot be listed: {error.code} {error.reason}"
        is_passing = error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise (Retryable if is_passing else Permanent)(message) from error
    except OSError as error:
        raise Retryable(f"the API server does not answer: {error}") from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def main(namespaces: Sequence[str]) -> int:
    """Return the exit status: 0 when nothing is left that needs the operator."""
    try:
        found = remaining(os.environ, ACCOUNT, namespaces)
    except FleetError as error:
        print(f"uninstall: {error}", file=sys.stderr)
        return 1
    if not found:
        return 0
    shown = "\n".join(f"  {each}" for each in found[:SHOWN_MAX])
    more = f"\n  and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
    commands = "\n".join(f"  kubectl --namespace {each} delete tradefleet --all" for each in namespaces)
    print(
        f"uninstall: refused, because the operator must be there to end what is left:\n{shown}{more}\n"
        f"Delete it first, and wait until it is gone:\n{commands}",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
