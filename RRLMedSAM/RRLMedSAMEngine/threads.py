"""How many threads a computation is worth."""

import contextlib

import torch

WORTHWHILE = 2e5  # voxels; below, waking other threads costs more than they do, and many times so on a busy machine


@contextlib.contextmanager
def suited(voxels: float):
    """One thread for arrays of fewer than `WORTHWHILE` voxels, as many as before for others."""
    before = torch.get_num_threads()
    if voxels < WORTHWHILE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
