"""One embedded service in the foreground, for a pod: `python -m governor.local.serve kafka|postgres FOLDER`.

It listens on every interface of the pod, and ends with SIGTERM or when the service does. Meant for trying a fleet in a
cluster: one node, and the data are as safe as the folder is.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from tradefleet.domain.errors import FleetError, Permanent
from tradefleet.runtime.settings import read_secret

from .broker import Broker
from .database import Database

KAFKA_PORT: Final = 9092
POSTGRES_PORT: Final = 5432
PASSWORD: Final = "postgres_password"  # noqa: S105 - the variable's name, TRADEFLEET_POSTGRES_PASSWORD
WATCH_S: Final = 1.0


def service_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Broker | Database:
    """Return the service that the command line names. Raises Permanent when the password is not given."""
    parser = argparse.ArgumentParser(prog="python -m governor.local.serve", description=__doc__)
    services = parser.add_subparsers(dest="service", required=True)
    kafka = services.add_parser("kafka", help="a Kafka broker")
    kafka.add_argument("--advertise", required=True, metavar="HOST:PORT", help="how clients find it")
    postgres = services.add_parser("postgres", help="a Postgres")
    for each, port in ((kafka, KAFKA_PORT), (postgres, POSTGRES_PORT)):
        each.add_argument("folder", type=Path, help="where its data live")
        each.add_argument("--port", type=int, default=port, help=f"where it listens (default: {port})")
    chosen = parser.parse_args(arguments)
    if chosen.service == "kafka":
        return Broker(chosen.folder, port=chosen.port, advertised=chosen.advertise)
    password = read_secret(environment, PASSWORD)
    if password is None:
        raise Permanent("postgres: set TRADEFLEET_POSTGRES_PASSWORD, the password of the user postgres")
    return Database(chosen.folder, port=chosen.port, password=password.reveal())


def serve(service: Broker | Database) -> int:
    """Run the service until we are told to end, or it has; return the exit status."""
    is_over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        is_over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    service.start()
    try:
        print("ready", flush=True)
        while not is_over.wait(WATCH_S):
            if not service.is_alive():
                print("the service has ended", file=sys.stderr)
                return 1
        return 0
    finally:
        service.stop()


def main(arguments: Sequence[str]) -> int:
    """Serve what the command line names; return the exit status."""
    try:
        return serve(service_of(arguments, os.environ))
    except FleetError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
