"""Which fleet's database a command works on: the environment's, or that of a local fleet's data folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


def connect_fleet(data_dir: Path | None = None, environment: Mapping[str, str] = os.environ) -> FleetConnection:
    """Return the fleet to work on: the one in the folder `data_dir`, else the environment's, else the user's own.

    The variables are those that every process of a fleet is given. A local fleet must be running. Raises NoDatabase,
    or Permanent with the remedy for a folder without a running fleet.
    """
    url = read_secret(environment, "database_url") if data_dir is None else None
    if url is not None:
        return FleetConnection(fleet=environment.get(f"{PREFIX}FLEET", DEFAULT_FLEET), database_url=url)
    from governor.local.fleet import LocalFleet  # noqa: PLC0415 - the embedded services are imported by who needs them
    from governor.local.home import Home, default_folder  # noqa: PLC0415

    home = Home(data_dir or default_folder(environment))
    if data_dir is None and not home.exists:
        raise NoDatabase(
            f"there is no database to work on: start a fleet with `tradefleet up FILES`, name the data folder of one "
            f"with --data-dir, or set {PREFIX}DATABASE_URL to the URL of a fleet's Postgres (and {PREFIX}FLEET to its "
            f"id, unless that is {DEFAULT_FLEET})"
        )
    fleet = LocalFleet(home)
    fleet.supervisor()  # says so when it is stopped: its database is stopped with it
    return FleetConnection(fleet=home.facts().fleet, database_url=Secret(fleet.url()))
