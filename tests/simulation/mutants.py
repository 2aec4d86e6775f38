"""Deliberate bugs, put into the product one at a time while it is imported: what the simulation must find.

A mutant is a list of changes, each one snippet of one module's source. A snippet that is not found exactly once is an
error: the product moved on, and the mutant must follow. `seeds` are some that have caught it; others may as well.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType


@dataclass(frozen=True, slots=True)
class Change:
    """One snippet of a module, and what stands there instead."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug with a name."""

    name: str
    changes: tuple[Change, ...]
    seeds: tuple[int, ...] = ()


_LEASES = "tests.fakes.memory_leases"
_BOTS = "tests.fakes.memory_bots"
_STREAMS = "tradefleet.bus.numbered"
_GATEWAY = "workloads.exchange.gateway_worker"
_LINE = "workloads.exchange.gateway_line"
_DESK = "workloads.exchange.gateway.desk"
_RECONCILIATION = "workloads.exchange.gateway.reconciliation"
_REPORTS = "workloads.exchange.gateway.reports"
_RISK = "workloads.exchange.gateway.risk"
_VENUE = "workloads.exchange.venue_worker"
_FOLD = "workloads.exchange.venue_fold"
_RECORD = "workloads.strategy.recorded"

MUTANTS: tuple[Mutant, ...] = (
    Mutant("epoch of a lease not checked", (Change(_LEASES, "if row.epoch != lease.epoch:", "if False:"),), seeds=(3,)),
    Mutant(
        "epoch of a bot not checked",
        (Change(_BOTS, "row.lease.epoch != commit.epoch or row.version", "row.version"),),
        seeds=(139,),
    ),
    Mutant(
        "a stream's number applied twice",
        (Change(_STREAMS, "        if seq <= position:\n            return []\n", ""),),
        seeds=(1,),
    ),
    Mutant(
        "a gap in a stream not filled",
        (Change(_STREAMS, "        if seq > position + 1:\n", "        if False:\n"),),
        seeds=(0,),
    ),
    Mutant(
        "a stream's lost last message never looked for",
        (Change(_STREAMS, "if now_us >= self._look_at_us:", "if False:"),),
        seeds=(143,),
    ),
    Mutant(
        "sent again without asking the venue",
        (Change(_LINE, "missing = self._ask_for(open_requests)", "missing = open_requests"),),
        seeds=(10,),
    ),
    Mutant(
        "venue asked before its time-out",
        (Change(_LINE, "not open_requests or self._clock.monotonic_us() >= self._ask_at_us", "True"),),
        seeds=(52,),
    ),
    Mutant(
        "venue asked while an order may still be in its receive window",
        (Change(_LINE, "self._request_timeout_us + (self._venue.receive_window_us or 0)", "self._request_timeout_us"),),
        seeds=(37,),
    ),
    Mutant(
        "successor speaks at once",
        (Change(_LINE, "        if self._clock.monotonic_us() < self._speak_at_us:\n", "        if False:\n"),),
        seeds=(5,),
    ),
    Mutant(
        "lease not looked at before sending",
        (
            Change(
                "workloads.exchange.gateway_lease",
                "        if self._is_too_late:\n            self._renew()\n            if self",
                "        if False:\n            if self",
            ),
        ),
        seeds=(151,),
    ),
    Mutant(
        "cancel of an order that never arrived dropped",
        (Change(_LINE, "isinstance(request, CancelOrder | AmendOrder) and request.client_order_id in lost", "False"),),
        seeds=(732,),
    ),
    Mutant(
        "number that was settled without arriving not sent",
        (
            Change(
                _LINE,
                "[self._unsettled.get(number, VoidRequest(no=number)) for number in numbers]",
                "[self._unsettled[number] for number in numbers if number in self._unsettled]",
            ),
        ),
        seeds=(321,),
    ),
    Mutant(
        "executions published before the commit",
        (
            Change(
                _GATEWAY,
                "            commit = self._write(transaction, effects, due, letters)\n",
                "            commit = self._write(transaction, effects, due, letters)\n"
                "            self._publisher.publish(commit.executions)\n",
            ),
        ),
        seeds=(0,),
    ),
    Mutant(
        "orders sent before the commit",
        (
            Change(
                _GATEWAY,
                "            commit = self._write(transaction, effects, due, letters)\n",
                "            commit = self._write(transaction, effects, due, letters)\n"
                "            self._hand_over(effects.venue_requests)\n",
            ),
        ),
        seeds=(0,),
    ),
    Mutant(
        "machine kept after an unknown commit",
        (
            Change(_GATEWAY, "        self.machine = Gateway(plan.config)\n        record = ", "        record = "),
            Change(
                _GATEWAY,
                "self._store.load_gateway(plan.config.account)\n",
                "None if self._version else self._store.load_gateway(plan.config.account)\n",
            ),
            Change(_GATEWAY, "        self._version, self._positions = 0, {}\n", ""),
            Change(
                _GATEWAY,
                "self._line.start([] if record",
                "self._line.start(list(self._line._unsettled.values()) if self._version else [] if record",
            ),
        ),
        seeds=(1,),
    ),
    Mutant(
        "halt not read in the transaction that accepts",
        (
            Change(
                _GATEWAY,
                "                self._lock_halts(transaction, requests, market_us)\n",
                "                pass\n",
            ),
        ),
        seeds=(4,),
    ),
    Mutant(
        "halt not looked at before sending",
        (Change(_GATEWAY, "        if not risky:\n", "        if True:\n"),),
        seeds=(31,),
    ),
    Mutant(
        "order accepted without reservation",
        (
            Change(
                _DESK,
                "        reserve(account, order, state.effects, asset=needed.asset, atoms=needed.atoms, "
                "market_us=state.now_us)\n",
                "",
            ),
        ),
        seeds=(0,),
    ),
    Mutant(
        "reservation kept when an order ends",
        (Change(_DESK, "        release(account, order, state.effects, market_us=state.now_us)\n", ""),),
        seeds=(0,),
    ),
    Mutant(
        "venue report applied twice",
        (
            Change(_REPORTS, "            if report.no <= last:\n                continue\n", ""),
            Change(_REPORTS, "            if report.no != last + 1:\n", "            if report.no > last + 1:\n"),
        ),
        seeds=(48,),
    ),
    Mutant(
        "trade booked twice",
        (Change(_REPORTS, "        if trade.trade_id in order.trade_ids:\n            return\n", ""),),
        seeds=(35,),
    ),
    Mutant(
        "unreadable request forgotten by a successor",
        (Change("workloads.exchange.gateway.account", '    "unreadable_seq",\n', ""),),
        seeds=(20,),
    ),
    Mutant(
        "bot not told of a request that was left out",
        (
            Change(
                "workloads.exchange.gateway.requests",
                "        account.request_seq = seq\n        account.execution_seq += 1\n",
                "        account.request_seq = seq\n        return\n        account.execution_seq += 1\n",
            ),
        ),
        seeds=(20,),
    ),
    Mutant(
        "bot in doubt not reopened",
        (Change(_RECONCILIATION, "            state.reopen(account, [Closure.REPORT])\n", "            pass\n"),),
        seeds=(10,),
    ),
    Mutant(
        "books compared with a venue that is ahead of them",
        (Change(_LINE, "any(report.no > report_no for report in self._venue.reports(report_no))", "False"),),
        seeds=(0,),
    ),
    Mutant(
        "money of a bot that is gone forgotten",
        (
            Change(
                "workloads.exchange.gateway.machine",
                "                        state.beside[asset] = state.beside.get(asset, 0) + atoms\n",
                "                        pass\n",
            ),
        ),
        seeds=(56,),
    ),
    Mutant("risk taken on old data", (Change(_RISK, "state.now_us - mark_us > oldest_us", "False"),), seeds=(11,)),
    Mutant(
        "risk taken by an old decision",
        (Change(_RISK, "state.now_us - decided_us > oldest_us", "False"),),
        seeds=(0,),
    ),
    Mutant(
        "fold without timers",
        (
            Change(
                _RECORD,
                "            apply_own(self._bot, decode_own(payloads[self.ordinal]))\n",
                "            own = decode_own(payloads[self.ordinal])\n"
                "            if not isinstance(own, TimerInput):\n                apply_own(self._bot, own)\n",
            ),
        ),
        seeds=(3,),
    ),
    Mutant(
        "fold without commands",
        (
            Change(
                _RECORD,
                "            apply_own(self._bot, decode_own(payloads[self.ordinal]))\n",
                "            own = decode_own(payloads[self.ordinal])\n"
                "            if not isinstance(own, CommandInput):\n                apply_own(self._bot, own)\n",
            ),
        ),
        seeds=(4,),
    ),
    Mutant(
        "journal applied before it is written",
        (
            Change(
                _FOLD,
                "        self._offset = self._journal.append(payloads)[-1]\n        self._seq += len(payloads)\n"
                "        for record in records:\n            self._apply(record)\n",
                "        for record in records:\n            self._apply(record)\n"
                "        self._offset = self._journal.append(payloads)[-1]\n        self._seq += len(payloads)\n",
            ),
            Change(_VENUE, "            self._failure = error\n", ""),
        ),
        seeds=(17,),
    ),
    Mutant(
        "progress row written before the journal",
        (
            Change(
                _VENUE,
                "                self._commit([record])\n            return True\n",
                "                self._write_row(due, None)\n                self._commit([record])\n"
                "            return True\n",
            ),
        ),
        seeds=(1,),
    ),
    Mutant(
        "journal record of a stale epoch applied",
        (Change("workloads.exchange.venue.journal", "        if record.epoch < self.epoch:\n", "        if False:\n"),),
        seeds=(33,),
    ),
    Mutant(
        "terms of today not in the record",
        (
            Change(
                "workloads.strategy.slot",
                "            self.apply_own(terms)\n",
                "            self.bot.on_terms(terms)\n",
            ),
        ),
        seeds=(728,),
    ),
    Mutant(
        "edited exchange not in the journal",
        (
            Change(
                _FOLD,
                "        self.commit([ConfiguredRecord(epoch=epoch, market_us=self.market_us, config=config)])\n",
                "        record = ConfiguredRecord(epoch=epoch, market_us=self.market_us, config=config)\n"
                "        self.commit([record]) if self._state.config is None else self._state.apply(record)\n",
            ),
        ),
        seeds=(56,),
    ),
    Mutant(
        "requests forgotten while the journal is folded again",
        (
            Change(
                _VENUE,
                "            self._fold.restore()\n",
                "            self._fold.restore()\n            self._inbox = VenueInbox(self._fold.request_no)\n",
            ),
        ),
        seeds=(9,),
    ),
    Mutant(
        "an order fills with bars that its bot had seen",
        (Change("workloads.exchange.venue.bar_fills", "if order.decided_us >= self._close_us:", "if False:"),),
        seeds=(26,),
    ),
    Mutant(
        "outbox not swept at start",
        (
            Change(
                "workloads.strategy.host",
                "        self._publisher.sweep([orders_stream(slot.config.uid) for slot in self.slots.values()])\n",
                "",
            ),
        ),
        seeds=(11,),
    ),
)


class _MutantLoader(SourceFileLoader):
    """Compiles a changed source; nothing of it is cached."""

    def __init__(self, name: str, path: str, changes: Sequence[Change]) -> None:
        super().__init__(name, path)
        self._changes = changes

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        return compile(changed(source, self._changes), self.path, "exec", dont_inherit=True)


class _MutantFinder(MetaPathFinder):
    """Finds the modules of a mutant before everybody else does."""

    def __init__(self, mutant: Mutant) -> None:
        self._changes: dict[str, list[Change]] = {}
        for change in mutant.changes:
            self._changes.setdefault(change.module, []).append(change)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        changes = self._changes.get(fullname)
        if changes is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _MutantLoader(fullname, spec.origin, changes)
        return spec


def changed(source: str, changes: Sequence[Change]) -> str:
    """Return `source` with the changes made. Raises ValueError for a snippet that is not there exactly once."""
    for change in changes:
        found = source.count(change.old)
        if found != 1:
            raise ValueError(
                f"mutant of {change.module}: its snippet occurs {found} times, must be once:\n{change.old}"
            )
        source = source.replace(change.old, change.new)
    return source


def find_mutant(name: str) -> Mutant:
    """Return a mutant by name. Raises KeyError."""
    return {mutant.name: mutant for mutant in MUTANTS}[name]


def breed(mutant: Mutant) -> None:
    """Let every module that is imported from now on have the mutant's bug. Raises RuntimeError if it is too late."""
    late = [change.module for change in mutant.changes if change.module in sys.modules]
    if late:
        raise RuntimeError(f"mutant {mutant.name}: {late} are imported already")
    sys.meta_path.insert(0, _MutantFinder(mutant))
