"""The wall's clocks for processes; machines never see them (rule 18)."""

import time


class SystemClock:
    """This machine's clocks, in microseconds."""

    def monotonic_us(self) -> int:
        """Return microseconds that only grow; they mean nothing in another process."""
        return time.monotonic_ns() // 1_000

    def wall_us(self) -> int:
        """Return UTC microseconds since 1970: for logs and heartbeats, never for decisions."""
        return time.time_ns() // 1_000

    def sleep_us(self, duration_us: int) -> None:
        """Wait."""
        time.sleep(max(0, duration_us) / 1_000_000)
