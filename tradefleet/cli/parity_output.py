"""What came of folding bots again, printed."""

import sys
from collections.abc import Mapping
from typing import Final

from governor.local.parity import verify

from tradefleet.domain.ids import BotUid
from tradefleet.store.postgres.bot_database import BotDatabase
from tradefleet.store.postgres.session import Session

EXIT_FOUND: Final = 1


def verify_bots(session: Session, bots: Mapping[BotUid, str]) -> int:
    """Fold the bots again and print what came of each, under the names given; return the exit status."""
    store = BotDatabase(session)
    is_same = True
    for uid, name in bots.items():
        found = verify(store, uid)
        is_same = is_same and found.is_same
        sys.stdout.write(f"{name}: {found}\n")
    return 0 if is_same else EXIT_FOUND
