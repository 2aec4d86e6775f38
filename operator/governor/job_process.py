"""A job as a process: reads its settings, does its work, writes what it found."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def run_job(work: Callable[[Mapping[str, Any]], Mapping[str, Any]], failures: tuple[type[Exception], ...]) -> int:
    """Do a job as its process: settings in, result or error out. Return the exit status."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    status = 0
    try:
        found: Mapping[str, Any] = {"result": work(settings)}
    except failures as error:
        found, status = {"error": str(error)}, 2
    output = Path(sys.argv[2])
    temporary = output.with_suffix(".partial")
    temporary.write_text(json.dumps(found, default=str), encoding="utf-8")
    temporary.replace(output)
    return status
