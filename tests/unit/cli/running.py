"""The command line run in this process: exit status, standard output, standard error."""

import contextlib
import io
from typing import NamedTuple

from tradefleet.cli.main import main


class Run(NamedTuple):
    status: int
    out: str
    err: str


def run(*arguments: str) -> Run:
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    return Run(status, out.getvalue(), err.getvalue())
