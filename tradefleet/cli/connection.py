"""Which fleet's database a command works on, when it is not told by a local fleet's data folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tradefleet.domain.errors import Permanent
from tradefleet.runtime.settings import PREFIX, Secret, read_secret

DEFAULT_FLEET = "local"


class NoDatabase(Permanent):
    """Nothing says where the database is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConnection:
    """A fleet and the database that holds it."""

    fleet: str
    database_url: Secret


def connect_fleet(environment: Mapping[str, str] = os.environ) -> FleetConnection:
    """Return what the environment says, in the variables that every process of a fleet is given. Raises NoDatabase."""
    url = read_secret(environment, "database_url")
    if url is None:
        raise NoDatabase(
            f"there is no database to work on: set {PREFIX}DATABASE_URL (or {PREFIX}DATABASE_URL_FILE) to the URL of "
            f"the fleet's Postgres, and {PREFIX}FLEET to the fleet's id unless it is {DEFAULT_FLEET}"
        )
    return FleetConnection(fleet=environment.get(f"{PREFIX}FLEET", DEFAULT_FLEET), database_url=url)
