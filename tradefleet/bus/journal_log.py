"""Which records of a journal's log count: what fences a writer (rule 3), and makes an append whole.

Whoever opens a journal writes a mark, a record without a value, and puts the mark's offset on every record that follows
from its hand. A record counts when its mark is the last one before it. So a writer whose mark was followed by another
may send what it likes, at once or out of some queue years later: it does not count, for anybody. And since the order of
a log never changes, what counted for one reader counts for all later ones.

An append of several records counts as a whole or not at all: its records say which of how many they are.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A record of the log. A mark has no value; `mark` is the offset of the writer's, `part` of `parts` its place."""

    offset: int
    value: bytes | None
    mark: int | None = None
    part: int = 1
    parts: int = 1


class JournalLog:
    """Reads entries in the order of the log and says which count. `mark` is that of the entry before the first one."""

    def __init__(self, mark: int | None = None) -> None:
        self.mark = mark
        self._append: list[Entry] = []  # the parts so far of one that is not whole yet

    def take(self, entry: Entry) -> list[Entry]:
        """Return the entries that count from here on: all of an append when its last part comes, else none."""
        if entry.value is None:
            self.mark = entry.offset
            self._append = []
            return []
        if entry.mark != self.mark:
            return []
        if entry.part == 1:
            self._append = []
        elif entry.part != len(self._append) + 1:
            return []  # a part before it got lost
        self._append.append(entry)
        if entry.part < entry.parts:
            return []
        whole, self._append = self._append, []
        return whole
