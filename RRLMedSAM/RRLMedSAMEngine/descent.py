"""Steps downhill for a few parameters: Adam (Kingma and Ba, ICLR 2015), ever shorter along half a cosine.

torch.optim has it, too, but loads torch's compiler with it, which takes seconds in each process.
"""

import math

import torch

BETAS, TINY = (0.8, 0.95), 1e-8
LAST = 0.1  # of the first step's length


class Descent:
    """Of ``parameters``, any shape, in a number of ``steps``. A step moves each of them by about 1."""

    def __init__(self, parameters: torch.Tensor, steps: int):
        self._mean, self._square = torch.zeros_like(parameters), torch.zeros_like(parameters)
        self._steps, self._done = steps, 0

    def move(self, parameters: torch.Tensor, slope: torch.Tensor) -> None:
        """The next step, in place; ``slope``: the cost's derivative by the parameters."""
        length = LAST + (1 - LAST) * (1 + math.cos(math.pi * self._done / self._steps)) / 2
        self._done += 1
        mean, square = (1 - beta**self._done for beta in BETAS)  # what both have seen so far
        self._mean.lerp_(slope, 1 - BETAS[0])
        self._square.lerp_(slope * slope, 1 - BETAS[1])
        parameters -= length * (self._mean / mean) / ((self._square / square).sqrt() + TINY)
