"""What counts in a journal's log: the same for a writer that reads it as it grows and for everybody later."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tradefleet.bus.journal_log import Entry, JournalLog


def counting(entries: Sequence[Entry], log: JournalLog | None = None) -> list[bytes | None]:
    log = log or JournalLog()
    return [each.value for entry in entries for each in log.take(entry)]


def mark(offset: int) -> Entry:
    return Entry(offset, None)


def test_records_under_the_last_mark_count() -> None:
    assert counting([mark(0), Entry(1, b"a", 0), Entry(2, b"b", 0)]) == [b"a", b"b"]


def test_a_record_behind_another_writers_mark_does_not_count() -> None:
    log = [mark(0), Entry(1, b"a", 0), mark(2), Entry(3, b"late", 0), Entry(4, b"b", 2), Entry(5, b"later", 0)]

    assert counting(log) == [b"a", b"b"]


def test_a_record_before_the_next_mark_counts_although_its_writer_was_replaced_already() -> None:
    assert counting([mark(0), Entry(1, b"a", 0), mark(2), mark(3), Entry(4, b"b", 3)]) == [b"a", b"b"]


def test_an_append_without_its_last_part_does_not_count() -> None:
    assert counting([mark(0), Entry(1, b"a", 0, 1, 2), mark(2), Entry(3, b"b", 0, 2, 2)]) == []
    assert counting([mark(0), Entry(1, b"a", 0, 1, 3), Entry(2, b"c", 0, 3, 3)]) == []


def test_records_of_before_there_were_marks_count_up_to_the_first() -> None:
    assert counting([Entry(0, b"old"), mark(1), Entry(2, b"old writer"), Entry(3, b"new", 1)]) == [b"old", b"new"]


@dataclass
class Writer:
    """One that has opened the journal: what it sends, and what it believes to have appended."""

    number: int
    mark: int
    log: JournalLog
    read: int  # entries of the log that it has looked at
    is_fenced: bool = False
    held: list[tuple[bytes, int, int]] = field(default_factory=list)  # sent, and not in the log yet
    appended: list[bytes] = field(default_factory=list)


class World:
    """A log and all who ever opened it. What is sent reaches the log when it pleases, in order for each writer."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.writers: list[Writer] = []
        self.sent = 0

    def open(self) -> None:
        offset = len(self.entries)
        self.entries.append(mark(offset))
        self.writers.append(Writer(len(self.writers), offset, JournalLog(offset), offset + 1))

    def send(self, writer: Writer, parts: int) -> None:
        if writer.held:
            return  # the one before is under way: a writer appends one thing after the other
        self.sent += 1
        writer.held = [(b"%d %d" % (self.sent, part), part, parts) for part in range(1, parts + 1)]

    def arrive(self, writer: Writer, count: int) -> None:
        for value, part, parts in writer.held[:count]:
            self.entries.append(Entry(len(self.entries), value, writer.mark, part, parts))
        writer.held = writer.held[count:]

    def lose(self, writer: Writer) -> None:
        writer.held = writer.held[1:]

    def look(self, writer: Writer) -> None:
        """Read on, as a writer does that waits for its append; it stops where another's mark is."""
        while writer.read < len(self.entries) and not writer.is_fenced:
            entry = self.entries[writer.read]
            writer.read += 1
            writer.appended += [each.value for each in writer.log.take(entry) if each.value is not None]
            writer.is_fenced = writer.log.mark != writer.mark


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["open", "send", "arrive", "lose", "look"]), st.integers(0, 3), st.integers(1, 3)),
    max_size=60,
)


@given(ACTIONS)
def test_what_its_writer_takes_for_appended_is_what_everybody_reads(actions: list[tuple[str, int, int]]) -> None:
    world = World()
    world.open()
    for action, who, count in actions:
        writer = world.writers[who % len(world.writers)]
        match action:
            case "open":
                world.open()
            case "send":
                world.send(writer, count)
            case "arrive":
                world.arrive(writer, count)
            case "lose":
                world.lose(writer)
            case _:
                world.look(writer)
    for writer in world.writers:
        world.look(writer)

    read = counting(world.entries)

    # A writer's appends are those under its mark: all that it believes in, in its order, and nothing else of its hand.
    assert [value for writer in world.writers for value in writer.appended] == read
    assert len(set(read)) == len(read)
    parts_of: dict[bytes, int] = {}
    for value in read:
        assert value is not None
        parts_of[value.split()[0]] = parts_of.get(value.split()[0], 0) + 1
    whole = {entry.value.split()[0]: entry.parts for entry in world.entries if entry.value is not None}
    assert all(whole[number] == found for number, found in parts_of.items())


@given(ACTIONS, st.integers(0, 60))
def test_reading_on_behind_a_record_that_counted_gives_the_rest(
    actions: list[tuple[str, int, int]], place: int
) -> None:
    world = World()
    world.open()
    for action, who, count in actions:
        writer = world.writers[who % len(world.writers)]
        if action == "open":
            world.open()
        elif action == "send":
            world.send(writer, count)
        else:
            world.arrive(writer, count)
    log = JournalLog()
    counted = [each for entry in world.entries for each in log.take(entry)]
    ends = [each for each in counted if each.part == each.parts]
    if not ends:
        return
    before = ends[place % len(ends)]

    rest = counting(world.entries[before.offset + 1 :], JournalLog(before.mark))

    assert rest == [each.value for each in counted if each.offset > before.offset]
