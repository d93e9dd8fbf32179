"""How far a run has come, from the cost of what is done and of what is left."""

import time
from collections.abc import Callable

from .errors import Cancelled


class Progress:
    """Counts the costs of a run's work and reports stage, fraction and seconds left.

    Costs are in any one unit; the seconds a unit takes are measured while the run goes on. Every call checks whether
    the user cancelled and raises `Cancelled` then.
    """

    def __init__(self, report: Callable, cancelled: Callable[[], bool]):
        self._report, self._cancelled = report, cancelled
        self._total, self._done, self._stage = 1.0, 0.0, "read"
        self._started = self._entered = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._report(self._stage, 0.0, None)

    def plan(self, total: float) -> None:
        """The cost of the whole run, as soon as it is known."""
        self._total, self._done = total, 0.0

    def enter(self, stage: str) -> None:
        self._close()
        self._stage = stage
        self.advance(0)

    def advance(self, cost: float) -> None:
        """So much more is done."""
        self.check()
        self._done = min(self._done + cost, self._total)
        fraction = self._done / self._total
        elapsed = time.monotonic() - self._started
        left = elapsed * (1 - fraction) / fraction if fraction > 0.05 else None
        self._report(self._stage, min(fraction, 0.99), left)

    def check(self) -> None:
        if self._cancelled():
            raise Cancelled()

    def finish(self) -> None:
        self._close()
        self._report(self._stage, 1.0, 0.0)

    def _close(self):
        now = time.monotonic()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._entered
        self._entered = now
