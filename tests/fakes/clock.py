"""A clock that stands still until it is told to go on."""


class FakeClock:
    """Sleeping passes at once and is remembered in `slept_us`."""

    def __init__(self, now_us: int = 1_000_000_000) -> None:
        self.now_us = now_us
        self.slept_us: list[int] = []

    def monotonic_us(self) -> int:
        return self.now_us

    def wall_us(self) -> int:
        return self.now_us

    def sleep_us(self, duration_us: int) -> None:
        self.slept_us.append(duration_us)
        self.now_us += duration_us

    def pass_us(self, duration_us: int) -> None:
        """Let time pass."""
        self.now_us += duration_us


class FakeSeconds:
    """Stands for `time.monotonic`: seconds that pass when a test lets them."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, duration_s: float) -> None:
        """Let time pass."""
        self.now_s += duration_s
