"""Candles from a Parquet file. pyarrow is imported when the first file is read: no other process needs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tradefleet.domain.bar import Bar
from workloads.feeds.columns import Layout, find_columns
from workloads.feeds.errors import UnusableSource
from workloads.feeds.findings import Findings
from workloads.feeds.ports import SourceDescription
from workloads.feeds.sources.csv_file import unusable_file
from workloads.feeds.sources.rows import RawRow, Unreadable, bars_of
from workloads.feeds.times import TimeUnit

_BATCH_ROWS = 8_192
_BUFFER_BYTES = 1 << 20  # pages are read through a buffer of this size, so that a huge row group is never held whole


class ParquetSource:
    """One file; columns by name. Timestamps of any unit are understood by their type; without a zone they are UTC."""

    def __init__(self, path: Path, description: SourceDescription, layout: Layout | None = None) -> None:
        self.description = description
        self._path = path
        self._layout = layout or Layout()
        self._rows_read = 0
        self._rows_total = 0

    @property
    def progress(self) -> float | None:
        """The part of the file's rows that has been read."""
        return self._rows_read / self._rows_total if self._rows_total else 0.0

    def bars(self, findings: Findings | None = None) -> Iterator[Bar]:
        """Yield the file's bars. Raises UnusableSource, BrokenData."""
        import pyarrow as pa  # noqa: PLC0415  # heavy, and used only here
        from pyarrow import parquet  # noqa: PLC0415

        label = self.description.label
        try:
            file = parquet.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except pa.ArrowInvalid as error:
            raise UnusableSource(f"{label}: is no Parquet file, or is cut off; fetch the file again") from error
        except OSError as error:
            raise unusable_file(label, error) from error
        with file:
            self._rows_read, self._rows_total = 0, file.metadata.num_rows
            schema = file.schema_arrow
            places = find_columns(schema.names, self._layout.columns, label)
            names = [schema.names[place] for place in places]
            unit = self._layout.time_unit
            time_type = schema.field(places[0]).type
            if pa.types.is_timestamp(time_type):
                unit = TimeUnit(time_type.unit)
            yield from bars_of(
                self._rows(file, names),
                range(len(names)),
                time_unit=unit,
                description=self.description,
                findings=findings,
                place="row",
            )

    def _rows(self, file: Any, names: list[str]) -> Iterator[RawRow]:  # noqa: ANN401  # pyarrow has no types
        import pyarrow as pa  # noqa: PLC0415

        number = 0
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
                if pa.types.is_timestamp(columns[0].type):
                    columns[0] = columns[0].cast(pa.int64())  # plain numbers: no detour over a calendar
                for cells in zip(*[column.to_pylist() for column in columns], strict=True):
                    number += 1
                    yield number, cells
                self._rows_read = number
        except (pa.ArrowException, OSError) as error:
            raise Unreadable(number + 1, "the file is corrupt", "fetch or write the file again") from error
