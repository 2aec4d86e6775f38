"""`tradefleet demo`: a fleet of processes trades history before your eyes, and is ranked against holding."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import typer

from tradefleet.cli import printing
from tradefleet.cli.audit_output import print_audit
from tradefleet.cli.files import check_writable, write_whole
from tradefleet.cli.ranking import print_ranking
from tradefleet.domain.errors import Permanent, Retryable

if TYPE_CHECKING:
    from governor.local.demo import DemoFleet
    from governor.local.fleet import LocalFleet
    from governor.local.resources import LocalResources
    from governor.local.results import FleetResult
    from rich.table import Table

    from tradefleet.resources.common import Resource
    from tradefleet.resources.feed import Feed
    from tradefleet.resources.trading_bot import TradingBot
    from tradefleet.store.audit import Audit

EXIT_FAILED: Final = 1
LOOK_S: Final = 0.5
LINE_S: Final = 5.0  # between two lines when nobody watches a terminal
QUIET_S: Final = 5.0  # a free run is over when its feed has ended and no bot has seen a bar for so long
STALL_S: Final = 120.0  # without any progress for so long, the demo gives up and says what it waits for
REPORT: Final = "tradefleet-demo.html"


def demo(
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FILE", help="Candles to trade; may be given often. Default: a made-up market."),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            metavar="SPEED", help="lockstep: two runs rank alike. max: as fast as can be. 60x: sixty times real time."
        ),
    ] = "lockstep",
    report: Annotated[Path, typer.Option(metavar="OUT.html", help="Where the report is written.")] = Path(REPORT),
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the fleet's data in this new folder. Default: a temporary one."),
    ] = None,
) -> None:
    """Watch a fleet trade history, then read its report.

    At least eight bots, each a process of its own, trade over a real Kafka and a real Postgres, and are ranked by what
    they made beyond holding. Nothing is left running at the end.

    [dim]$[/dim] tradefleet demo

    [dim]$[/dim] tradefleet demo --data coinbase_BTC-USD_1m.csv.gz --data coinbase_LTC-USD_1m.csv.gz

    It exits with 0 when the bots traded and the audit found nothing, with 1 otherwise, with 2 for data that cannot be
    traded.
    """
    from governor.local.demo import fleet_of_files, synthetic_fleet  # noqa: PLC0415 - imported by who runs it
    from governor.local.fleet import LocalFleet  # noqa: PLC0415
    from governor.local.home import Home  # noqa: PLC0415

    from workloads.feeds.replay import parse_speed  # noqa: PLC0415

    check_writable(report, "--report")
    parse_speed(speed)
    signal.signal(signal.SIGTERM, _end)
    wanted = fleet_of_files(data, speed=speed) if data else synthetic_fleet(speed=speed)
    with _folder(data_dir) as folder:
        fleet = LocalFleet(Home(folder))
        fleet.prepare(ports={})
        supervisor = fleet.start(_tell, attached=True)
        try:
            is_fine = _run(fleet, wanted, report)
        finally:
            supervisor.stop(_tell)
    if not is_fine:
        raise typer.Exit(EXIT_FAILED)


def _end(number: int, frame: FrameType | None) -> None:
    """Let a request to end stop the fleet and remove its folder, as Ctrl-C does."""
    del frame
    raise SystemExit(128 + number)


@contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    """Yield the data folder: one that is removed at the end, unless the user chose it."""
    if chosen is not None:
        if chosen.exists() and any(chosen.iterdir()):
            raise Permanent(f"--data-dir {chosen}: is not empty, and a demo starts from nothing: name a new folder")
        yield chosen
        return
    folder = Path(tempfile.mkdtemp(prefix="tradefleet-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _run(fleet: "LocalFleet", wanted: "DemoFleet", report: Path) -> bool:
    """Return whether the bots traded and the audit is clean, after showing everything."""
    from governor.local.results import fleet_result  # noqa: PLC0415

    began_s = time.monotonic()
    resources = fleet.resources()
    try:
        resources.apply(wanted.resources)
        _watch(resources, wanted)
        elapsed_s = time.monotonic() - began_s
        found = resources.all()
    finally:
        resources.close()
    session = fleet.session()
    try:
        made = fleet_result(session, found, title="Demo", elapsed_s=elapsed_s, findings=wanted.findings)
    finally:
        session.close()
    checked = _audit(fleet)
    print_ranking(made.result, "The demo's bots")
    sys.stdout.write("\n")
    print_audit(checked.invariants)
    for finding in checked.findings:
        sys.stdout.write(f"{finding}\n")
    write_whole(report, [_page(made)])
    steps_s = made.result.data.steps / elapsed_s if elapsed_s else 0.0
    sys.stdout.write(f"\n{made.result.data.steps:,} steps in {elapsed_s:.1f} s, {steps_s:.0f} a second\n")
    sys.stdout.write(f"report  {report}\n")
    if not made.result.fills:
        sys.stderr.write("error: no bot has traded: the data may be too short for the strategies to warm up\n")
    return bool(made.result.fills) and not checked.findings


def _page(made: "FleetResult") -> str:
    from workloads.backtest.report import build_report  # noqa: PLC0415

    return build_report(made.report("Demo"))


def _audit(fleet: "LocalFleet") -> "Audit":
    import psycopg  # noqa: PLC0415

    from tradefleet.store.audit import audit  # noqa: PLC0415

    with psycopg.connect(fleet.url(), autocommit=True) as connection:
        return audit(connection, fleet.home.facts().fleet)


# --- watching ---------------------------------------------------------------------------------------------------------


def _watch(resources: "LocalResources", wanted: "DemoFleet") -> None:
    """Return when the replay is over, showing the bots meanwhile. Raises Retryable when nothing moves any more."""
    progress = _Progress()
    with _display() as show:
        while True:
            found = resources.all()
            bots, feeds = _bots(found), _feeds(found)
            show(bots, feeds, wanted)
            if progress.is_over(bots, feeds):
                return
            stuck = progress.stuck(found)
            if stuck:
                raise Retryable(stuck)
            time.sleep(LOOK_S)


class _Progress:
    """Notices the end, and a standstill."""

    def __init__(self) -> None:
        self._last: tuple[str | None, ...] = ()
        self._moved_s = time.monotonic()

    def is_over(self, bots: "Sequence[TradingBot]", feeds: "Sequence[Feed]") -> bool:
        seen = tuple(bot.status.last_bar_time for bot in bots)
        if seen != self._last:
            self._last, self._moved_s = seen, time.monotonic()
        if not feeds or not bots or any(str(feed.status.phase) != "Succeeded" for feed in feeds):
            return False
        in_lockstep = all(feed.spec.replay is not None and feed.spec.replay.is_lockstep for feed in feeds)
        return in_lockstep or time.monotonic() - self._moved_s > QUIET_S

    def stuck(self, resources: "Sequence[Resource]") -> str:
        from tradefleet.cli.readiness import explain, stalled  # noqa: PLC0415

        failed = stalled(resources)
        quiet_s = time.monotonic() - self._moved_s
        if failed and quiet_s > QUIET_S:
            return explain(failed)
        return f"nothing has moved for {quiet_s:.0f} s:\n{explain(resources)}" if quiet_s > STALL_S else ""


def _bots(resources: "Sequence[Resource]") -> "list[TradingBot]":
    from tradefleet.resources.trading_bot import TradingBot  # noqa: PLC0415

    return [each for each in resources if isinstance(each, TradingBot)]


def _feeds(resources: "Sequence[Resource]") -> "list[Feed]":
    from tradefleet.resources.feed import Feed  # noqa: PLC0415

    return [each for each in resources if isinstance(each, Feed)]


class _Show(Protocol):
    """Shows the bots as they are now."""

    def __call__(self, bots: "Sequence[TradingBot]", feeds: "Sequence[Feed]", wanted: "DemoFleet") -> None:
        """Show them."""


@contextmanager
def _display() -> Iterator[_Show]:
    """Yield what shows the bots: a table that stays in place on a terminal, else a line now and then."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    with Live(console=Console(), auto_refresh=False, transient=True) as live:

        class OnScreen:
            """A table that stays in its place."""

            def __call__(self, bots: "Sequence[TradingBot]", feeds: "Sequence[Feed]", wanted: "DemoFleet") -> None:
                """Draw it anew."""
                live.update(_table(bots, feeds, wanted, live.console.width), refresh=True)

        yield OnScreen()


class _Lines:
    """One line now and then, for logs."""

    def __init__(self) -> None:
        self._at_s = 0.0

    def __call__(self, bots: "Sequence[TradingBot]", feeds: "Sequence[Feed]", wanted: "DemoFleet") -> None:
        """Write a line when the last one is old enough."""
        if time.monotonic() - self._at_s < LINE_S:
            return
        self._at_s = time.monotonic()
        phases: dict[str, int] = {}
        for bot in bots:
            phase = str(bot.status.phase or "Pending")
            phases[phase] = phases.get(phase, 0) + 1
        running = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
        fills = sum(bot.status.fills or 0 for bot in bots)
        sys.stdout.write(f"{_market_text(feeds, wanted)} · bots: {running or 'none yet'} · {fills:,} fills\n")
        sys.stdout.flush()


def _market_text(feeds: "Sequence[Feed]", wanted: "DemoFleet") -> str:
    reached = max((feed.status.market_time or "" for feed in feeds), default="")
    made_up = "synthetic market" if wanted.is_synthetic else "market"
    return f"{made_up} {reached or 'not open yet'}"


def _table(bots: "Sequence[TradingBot]", feeds: "Sequence[Feed]", wanted: "DemoFleet", width: int) -> "Table":
    """Return the bots, the best first, in the columns that fit into the width."""
    rows, styles = [], []
    for bot in sorted(bots, key=lambda bot: (-(bot.status.vs_hold or Decimal("-Infinity")), bot.key)):
        status = bot.status
        gain = status.vs_hold
        phase = str(status.phase or "Pending")
        rows.append(
            [
                bot.metadata.name,
                phase,
                _position(bot),
                _amount(status.equity),
                _amount(gain, sign=True),
                str(status.open_orders or 0),
                f"{status.fills or 0:,}",
                status.last_bar_age or "–",
            ]
        )
        gain_style = "" if not gain else ("green" if gain > 0 else "red")
        styles.append(["", _PHASE_STYLES.get(phase, ""), "", "", gain_style, "", "", ""])
    return printing.make_table(
        _COLUMNS,
        rows,
        numbers=range(2, len(_COLUMNS)),
        styles=styles,
        title=_market_text(feeds, wanted),
        left_out=printing.too_many(_COLUMNS, rows, _OPTIONAL, width),
    )


_COLUMNS: Final = ("Bot", "Phase", "Position", "Equity", "VsHold", "Orders", "Fills", "Bar")
# What a narrow window does without; the first leaves first.
_OPTIONAL: Final = tuple(map(_COLUMNS.index, ("Bar", "Orders", "Phase", "Position", "Fills")))
_PHASE_STYLES: Final = {"Running": "green", "Failed": "bold red", "Starting": "yellow", "WarmingUp": "yellow"}


def _position(bot: "TradingBot") -> str:
    held = {symbol: size for symbol, size in bot.status.position.items() if size}
    return ", ".join(f"{size:.6f} {symbol.split('-')[0]}" for symbol, size in held.items()) or "–"


def _amount(amount: Decimal | None, *, sign: bool = False) -> str:
    if amount is None:
        return "–"
    return format(amount.quantize(Decimal("0.01")), "+,f" if sign else ",f")
