"""The store in memory: every port of `tradefleet.store` with the rules of Postgres, and places where it may break.

A commit checks everything first and then writes, so a refused one has changed nothing and no copy is ever made.
"""

from tests.fakes.memory_bots import MemoryBots
from tests.fakes.memory_gateways import MemoryGateways
from tests.fakes.memory_handle import Faults, NoFaults
from tests.fakes.memory_market import MemoryMarket
from tests.fakes.memory_trials import MemoryTrials
from tests.fakes.memory_upkeep import MemoryUpkeep

__all__ = ["Faults", "MemoryStore", "NoFaults"]


class MemoryStore(MemoryMarket, MemoryBots, MemoryGateways, MemoryUpkeep, MemoryTrials):
    """One process's handle on the database. All ports in one class, since a test needs several."""
