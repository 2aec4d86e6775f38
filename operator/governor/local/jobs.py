"""Jobs in processes of their own.

A result is kept with the digest of what was asked, so it is worked out once, however often the supervisor restarts. A
job that failed is tried again after a while: the user may have mended a file.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from governor.job import Job, JobFacts

from .home import Home
from .processes import Command, Process, Start, spawn

RETRY_S: Final = 30.0
AT_ONCE: Final = 1  # the bots come first on a small machine


@dataclass(slots=True)
class _Running:
    job: Job
    child: Process


class Jobs:
    """Runs what is wanted, a few at a time."""

    def __init__(self, home: Home, clock: Callable[[], float] = time.monotonic, start: Start = spawn) -> None:
        self._home = home
        self._clock = clock
        self._spawn = start
        self._folder = home.make(home.path / "jobs")
        self._running: dict[str, _Running] = {}
        self._retry_at_s: dict[str, float] = {}
        self.code_folders: tuple[str, ...] = ()
        self.environment: Mapping[str, str] = {}  # how a job reaches the fleet's recorded data

    def children(self) -> list[Process]:
        """Return the running children."""
        return [each.child for each in self._running.values()]

    def tend(self, jobs: Collection[Job]) -> dict[str, JobFacts]:
        """Start what is wanted and not done, end what is not wanted any more; return where each job is."""
        wanted = {job.name: _with_files(job) for job in jobs}
        for name, running in list(self._running.items()):
            if name not in wanted or wanted[name].digest != running.job.digest:
                running.child.kill()
                del self._running[name]
            elif running.child.wait(0) is not None:
                self._finish(running)
                del self._running[name]
        for path in self._folder.glob("*.result"):
            if path.stem not in wanted:
                path.unlink(missing_ok=True)
        facts = {}
        for name, job in wanted.items():
            kept = self._kept(job)
            is_due = kept is None or (kept.error and self._clock() >= self._retry_at_s.get(name, 0.0))
            if is_due and name not in self._running and len(self._running) < AT_ONCE:
                self._start(job)
            is_running = name in self._running
            facts[name] = kept if kept is not None and not is_running else JobFacts(is_running=is_running)
        return facts

    def stop(self) -> None:
        """End all jobs; what they had not finished is done again."""
        for running in self._running.values():
            running.child.kill()
        self._running.clear()

    def _start(self, job: Job) -> None:
        settings = self._folder / f"{job.name}.json"
        settings.write_text(json.dumps(job.settings, default=str), encoding="utf-8")
        self._output(job.name).unlink(missing_ok=True)
        search = [*self.code_folders, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        command = Command(
            name=job.name,
            arguments=(sys.executable, "-m", job.module, str(settings), str(self._output(job.name))),
            folder=self._folder,
            log=self._home.turn_log(job.name),
            environment={**os.environ, "PYTHONPATH": os.pathsep.join(search), **self.environment},
        )
        self._running[job.name] = _Running(job, self._spawn(command, self._folder))

    def _finish(self, running: _Running) -> None:
        """Keep what a job has found, or why it failed."""
        job = running.job
        try:
            found = json.loads(self._output(job.name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            log = self._home.log(job.name)
            found = {"error": f"the process ended with status {running.child.exit_code}; its log is {log}"}
        path = self._result(job.name)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({"digest": job.digest, **found}), encoding="utf-8")
        temporary.replace(path)
        self._retry_at_s[job.name] = self._clock() + RETRY_S

    def _kept(self, job: Job) -> JobFacts | None:
        try:
            kept = json.loads(self._result(job.name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if kept.get("digest") != job.digest:
            return None
        return JobFacts(result=kept.get("result"), error=kept.get("error", ""))

    def _result(self, name: str) -> Path:
        return self._folder / f"{name}.result"

    def _output(self, name: str) -> Path:
        return self._folder / f"{name}.output"


def _with_files(job: Job) -> Job:
    """Return the job with a digest that changes with its files."""
    if not job.files:
        return job
    found: list[tuple[str, int, int]] = []
    for path in job.files:
        try:
            stat = Path(path).stat()
            found.append((path, stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append((path, -1, 0))  # the job says what is wrong with it
    return replace(job, digest=hashlib.sha256(json.dumps([job.digest, found]).encode()).hexdigest()[:16])
