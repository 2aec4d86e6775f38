"""What the Governor is told: the file that the chart writes. Database and broker are in its environment."""

from pathlib import Path
from typing import Any, Final

import msgspec

from tradefleet.runtime.settings import InvalidSettings, load_settings

RESYNC_MIN_S: Final = 5


class WorkloadDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What pods get unless a bot's podTemplate says otherwise. Names of Secrets are empty where there is none."""

    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    metrics_port: int = 8080
    log_level: str = "INFO"
    resources: dict[str, dict[str, str]] = {}
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str = ""
    postgres_ca_secret: str = ""
    kafka_ca_secret: str = ""
    kafka_security_secret: str = ""
    kafka_security_key: str = "security.json"


class GovernorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a Governor looks after, and how."""

    namespaces: tuple[str, ...]
    lease_namespace: str
    lease_name: str
    role_binding: str = ""  # what gives us our rights in namespaces other than our own, which is the Lease's
    resync_s: int = 60  # how often everything is listed anew, hint or not
    simulations_max: int = 4  # backtest pods over the whole fleet at the same time
    kueue_queue: str = ""  # the LocalQueue that says when backtests run, where Kueue is there
    schema_registry_url: str | None = None
    workloads: WorkloadDefaults


def read_settings(path: Path) -> GovernorSettings:
    """Return the settings in a file. Raises InvalidSettings."""
    settings = load_settings(GovernorSettings, path)
    if not settings.namespaces:
        raise InvalidSettings(f"settings file {path}: field namespaces: name at least one namespace to look after")
    if settings.resync_s < RESYNC_MIN_S:
        raise InvalidSettings(
            f"settings file {path}: field resync_s must be at least {RESYNC_MIN_S}: {settings.resync_s}"
        )
    return settings
