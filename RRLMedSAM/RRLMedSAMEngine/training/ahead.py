"""What a training draws, in order: made by threads ahead of its use where a graphics card trains.

There a sample takes the processor longer than a step takes the card. On a processor both compete for the same cores.
"""

import collections
import os
from concurrent.futures import ThreadPoolExecutor

import torch

MOST_THREADS = 12
EACH = 2  # draws that wait or are being made, for each thread


def threads_for(device: torch.device) -> int:
    """0: nothing is made ahead."""
    return 0 if device.type == "cpu" else max(1, min(MOST_THREADS, (os.cpu_count() or 1) - 2))


class Ahead:
    """Calls give what ``draw(random)`` does, one after the other.

    Each draw has a torch.Generator of its own, which ``seed`` and its number determine: equal seeds give equal draws,
    with as many ``threads`` as there are, and after any number of them (`taken`).
    """

    def __init__(self, draw, seed: int, threads: int):
        self._draw, self._seed = draw, seed
        self.taken = 0
        self._waiting = collections.deque()
        # Each thread by itself: many small operations gain nothing by being shared.
        self._pool = threads and ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._most = EACH * threads

    def __call__(self):
        if self._pool:
            while len(self._waiting) < self._most:
                self._waiting.append(self._pool.submit(self._number, self.taken + len(self._waiting)))
            result = self._waiting.popleft().result()
        else:
            result = self._number(self.taken)
        self.taken += 1
        return result

    def begin_at(self, taken: int) -> None:
        """Forgets what was made ahead: what it is drawn from has changed, or the training goes on elsewhere."""
        for future in self._waiting:
            future.cancel()
        self._waiting.clear()
        self.taken = taken

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _number(self, n):
        return self._draw(torch.Generator().manual_seed(1_000_003 * self._seed + n))
