"""What a Governor has written, as the API server's audit log tells it: those requests, too, that change nothing.

Renewals of its Lease are left out. They are its sign of life, one every few seconds by design, and touch no resource.
"""

import json
from pathlib import Path
from typing import Any


class Writes:
    """The requests to write of a namespace's pods' accounts, in the order in which they were answered."""

    def __init__(self, log: Path, namespace: str) -> None:
        self._log = log
        self._namespace = namespace
        self._offset = 0

    def take(self) -> list[str]:
        """Return what was written since the last call, each as "verb what/name: answer"."""
        found = []
        with self._log.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._offset += len(line)
                event = json.loads(line)
                if self._is_a_write(event):
                    found.append(_shown(event))
        return found

    def _is_a_write(self, event: dict[str, Any]) -> bool:
        place = event.get("objectRef") or {}
        return place.get("namespace") == self._namespace and place.get("resource") != "leases"


def _shown(event: dict[str, Any]) -> str:
    place = event["objectRef"]
    what = "/".join(place[part] for part in ("resource", "subresource", "name") if part in place)
    return f"{event['verb']} {what}: {event['responseStatus']['code']}"
