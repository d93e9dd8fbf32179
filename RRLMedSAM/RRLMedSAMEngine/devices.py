"""The devices a run can compute on, and the ladder it goes down when memory runs out."""

import dataclasses
import functools
import gc

import torch

from . import allocator, memory
from .errors import EngineError

COARSER = 1.5  # wider voxels of the work grid: 0.3 of the memory


@dataclasses.dataclass(frozen=True)
class Step:
    """One rung: where to compute, and how many times wider than planned the work grid's voxels are."""

    device: torch.device
    coarser: float = 1.0

    def __str__(self):
        where = "on the graphics card" if self.device.type == "cuda" else "on the processor"
        return where if self.coarser == 1 else f"{where} with a coarser grid"


def ladder(device: str) -> list[Step]:
    """The steps for ``auto``, ``cpu`` or ``cuda``, the best first. Raises EngineError where there is no CUDA device."""
    if device == "cuda" and not has_cuda():
        raise EngineError("bad_input", "No CUDA graphics card can be used here.", "Choose the device auto or cpu.")
    names = ["cpu"] if device == "cpu" or not has_cuda() else ["cuda", "cpu"]
    return [Step(torch.device(name), coarser) for name in names for coarser in (1.0, COARSER)]


@functools.cache
def has_cuda() -> bool:
    """Whether a CUDA device computes: one that is too old for this PyTorch is there, and fails at the first kernel."""
    if not torch.cuda.is_available():
        return False
    try:
        return float(torch.ones(1, device="cuda") + 1) == 2
    except RuntimeError as error:
        return memory.is_out_of_memory(error)  # busy, which the ladder knows to handle


def with_ladder(run, steps, warn):
    """``run(step)`` on the first step whose memory suffices: (its result, the step).

    ``warn(text)`` is told of each step down. Raises EngineError out_of_memory when the last step fails too.
    """
    for step, following in zip(steps, [*steps[1:], None]):
        try:
            return run(step), step
        except (MemoryError, RuntimeError) as error:
            if not memory.is_out_of_memory(error):
                raise
        # Here the error is gone, and with it the frames that held the failed step's tensors.
        gc.collect()
        allocator.give_back()
        if following is not None:
            warn(f"The memory did not suffice {step}; the run is repeated {following}.")
    raise EngineError(
        "out_of_memory",
        "The memory does not suffice for these volumes.",
        "Close other programs, crop the volumes or choose a faster effort.",
    )


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
