"""A host of many bots, which come, change and go while it runs (rule 27).

Its bots are those that the Governor has assigned to it, with the commands that say what each is: it looks at them in
the database about once a second, and no neighbour notices a change but by a moment's work. A bot whose code or record
fails is put out, with the reason in its row, and tried again after a while. A bot that was assigned to somebody else
has another epoch by then, so what this host would still do for it changes nothing.

A callback that does not return holds all of them up until it is broken off, 45 s later; its bot stays out for as
long as it is what it is. Not limited here: a strategy that eats memory eats everybody's. So only built-in strategies
share a process.
"""

import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple

from tradefleet.domain.bots import BotCommand, BotConfig, process_config
from tradefleet.domain.errors import AccessDenied, Fenced, LeaseHeld, Permanent, StaleGeneration
from tradefleet.domain.ids import BotKey, BotUid, orders_stream
from workloads.strategy.errors import LeftRun, StrategyError
from workloads.strategy.host import UPKEEP_US, HostWorker
from workloads.strategy.slot import Slot

_LOG = logging.getLogger(__name__)

RETRY_US = 30_000_000  # how long a bot stays out before it is tried again


class _Out(NamedTuple):
    """A bot that was put out, as it was then, and until when; None for as long as it stays what it is."""

    config: BotConfig
    until_us: int | None


class SharedHostWorker(HostWorker):
    """Runs the bots that are assigned to it; it may have none."""

    _commands: dict[BotUid, BotCommand]  # at the last look
    _out: dict[BotKey, _Out]
    _on_trial: dict[BotKey, BotUid]  # tried again, and nothing came of it yet
    _look_at_us = 0

    def step(self, timeout_us: int) -> bool:
        """Do one bounded piece of work."""
        if self._clock.monotonic_us() >= self._look_at_us:
            self._look_for_bots()
        return super().step(timeout_us)

    def _open_all(self) -> None:
        self._out, self._on_trial = {}, {}
        self._take_up()

    def _look_for_bots(self) -> None:
        """Take up what has changed among the assigned bots, between two steps: nothing is applied and not committed."""
        before = {key: slot.lease.epoch for key, slot in self.slots.items()}
        came = self._take_up()
        if {key: slot.lease.epoch for key, slot in self.slots.items()} == before:
            return
        self._index()
        self._publisher.sweep([orders_stream(uid) for uid in came])
        self._streams.follow(self._positions())
        if self._plan.run is not None and self._view is not None:
            self._follow_run(self._plan.run, self._view)

    def _take_up(self) -> Sequence[BotUid]:
        """Let go of the bots that are not ours any more, open those that are new or changed; return the latter."""
        plan = self._plan
        found = {command.config.key: command for command in self._store.host_commands(plan.host, plan.account)}
        now_us = self._clock.monotonic_us()
        self._look_at_us = now_us + UPKEEP_US
        self._commands = {command.config.uid: command for command in found.values()}
        self._out = {key: out for key, out in self._out.items() if key in found}
        for key, slot in list(self.slots.items()):
            if key not in found or found[key].config.uid != slot.config.uid:
                self._drop(slot)
        came, fresh = [], {}
        for key, command in found.items():
            config = process_config(command.config)
            known, out = self.slots.get(key), self._out.get(key)
            if known is not None and known.config == config:
                continue
            if out is not None and out.config == config:
                if out.until_us is None or now_us < out.until_us:
                    continue
                self._on_trial[key] = config.uid
            if self._take_in(config):
                came.append(config.uid)
                if key not in self._on_trial:
                    fresh[config.uid] = ""
        self._store.note_trouble(fresh)
        return came

    def _take_in(self, config: BotConfig) -> bool:
        """Open a bot; False when it cannot be, now or as it is. The others go on."""
        try:
            slot = self._open(config)
        except (Fenced, AccessDenied, StaleGeneration, LeaseHeld) as error:
            _LOG.info("bot %s is not taken up yet: %s", config.key, error, extra={"bot": config.key})
            return False
        except Permanent as error:
            self._put_out(config, error)
            return False
        self.slots[config.key] = slot
        self._out.pop(config.key, None)
        return True

    def _part_with(self, slot: Slot, error: Permanent) -> None:
        self._put_out(slot.config, error)

    def _put_out(self, config: BotConfig, error: Permanent) -> None:
        """Part with a bot whose code or record fails; what it has not committed is thrown away.

        One that has held up its neighbours is not tried again: they would stand still for most of the time.
        """
        is_overdue = isinstance(error, StrategyError) and error.is_overdue
        self._note_out(config, error, until_us=None if is_overdue else self._clock.monotonic_us() + RETRY_US)
        slot = self.slots.get(config.key)
        if slot is not None:
            self._forget(slot)
            self._give_back(slot)

    def _note_left(self, config: BotConfig, error: LeftRun) -> None:
        self._note_out(config, error, until_us=None)  # a run that has gone on without it does not take it back

    def _note_out(self, config: BotConfig, error: Permanent, *, until_us: int | None) -> None:
        _LOG.error("bot %s is put out of this host: %s", config.key, error, extra={"bot": config.key})
        self._out[config.key] = _Out(config, until_us)
        self._on_trial.pop(config.key, None)
        self._store.note_trouble({config.uid: f"{type(error).__name__}: {error}"})

    def _drop(self, slot: Slot) -> None:
        self._forget(slot)
        _LOG.info("bot %s has gone from this host", slot.config.key, extra={"bot": slot.config.key})

    def _command_of(self, uid: BotUid) -> BotCommand | None:
        return self._commands.get(uid)

    def _note_committed(self, bots: Collection[BotKey]) -> None:
        healed = [key for key in bots if key in self._on_trial] if self._on_trial else []
        if healed:
            self._store.note_trouble({self._on_trial.pop(key): "" for key in healed})
