"""The content hash of a dataset: what its bars are, whatever format, file or order they came in.

Per series it is the SHA-256 over its bars in the order of time, each as a big-endian 64-bit open time in
microseconds and five big-endian doubles: open, high, low, close, volume. Of the dataset it is the SHA-256 over one
line per series, sorted: symbol, interval in microseconds, number of bars, hash.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from tradefleet.domain.bar import Bar
from tradefleet.domain.ids import Symbol

_pack = Struct(">q5d").pack
_CHUNK_BARS = 512  # packed before hashing: one call of the hash for many bars


class SeriesHash:
    """Takes the bars of one series in the order of time."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._chunk: list[bytes] = []

    def add(self, bar: Bar) -> None:
        """Take the next bar."""
        chunk = self._chunk
        chunk.append(_pack(*bar[2:]))
        if len(chunk) == _CHUNK_BARS:
            self._digest.update(b"".join(chunk))
            chunk.clear()

    def hexdigest(self) -> str:
        """Return the hash of the bars so far."""
        self._digest.update(b"".join(self._chunk))
        self._chunk.clear()
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True, order=True)
class SeriesContent:
    """What a series holds."""

    symbol: Symbol
    interval_us: int
    bars: int
    content_hash: str


def dataset_hash(series: Iterable[SeriesContent]) -> str:
    """Return the content hash of a dataset; series without bars do not count."""
    digest = hashlib.sha256()
    for each in sorted(each for each in series if each.bars):
        digest.update(f"{each.symbol} {each.interval_us} {each.bars} {each.content_hash}\n".encode())
    return digest.hexdigest()
