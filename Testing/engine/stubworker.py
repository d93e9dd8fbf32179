"""The real worker with a computation of no substance: it does what the request's model says, and quickly."""

import ctypes
import errno
import functools
import os
import subprocess
import sys
import time

import numpy as np
from RRLMedSAMEngine import worker


def instant(progress, warn, cancelled):
    progress("align", 0.2, 3.0)
    warn("A warning.")


def slow(progress, warn, cancelled):
    """Looks at Cancel ten times a second, for a minute."""
    from RRLMedSAMEngine.errors import Cancelled

    for step in range(600):
        if cancelled():
            raise Cancelled()
        progress("deform", step / 600, 60 - step / 10)
        time.sleep(0.1)


def silent(progress, warn, cancelled):
    progress("deform", 0.5, 10.0)
    time.sleep(worker.HEARTBEAT_SECONDS + worker.LOOK_SECONDS + 0.5)


def noisy(progress, warn, cancelled):
    """Prints to standard output in every way there is."""
    print("from Python")
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    os.write(1, b"to the descriptor\n")
    libc = ctypes.CDLL(None)
    libc.printf(b"from C\n")
    libc.fflush(None)
    subprocess.run(["echo", "from a child"], check=True)
    assert sys.stdin.read() == "" and os.read(0, 1) == b""
    instant(progress, warn, cancelled)


def no_memory(progress, warn, cancelled):
    raise MemoryError("/home/jane/SMITH^JOHN")


def no_cuda_memory(progress, warn, cancelled):
    import torch

    raise torch.cuda.OutOfMemoryError("CUDA out of memory at /home/jane/SMITH^JOHN")


def full_disk(progress, warn, cancelled):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/home/jane/SMITH^JOHN")


def broken(progress, warn, cancelled):
    raise ValueError("/home/jane/SMITH^JOHN")


def segment(atlas, atlas_labels, target, settings, *, progress, warn, cancelled):
    """As `pipeline.segment`: the labels are empty, the deformation is none, on a grid of 200,000 voxels."""
    from RRLMedSAMEngine.deformation import Deformation
    from RRLMedSAMEngine.geometry import Geometry
    from RRLMedSAMEngine.image import Volume
    from RRLMedSAMEngine.pipeline import Result

    progress("read", 0.0, None)
    globals()[settings.model](progress, warn, cancelled)
    labels = [Volume(np.zeros(target.array.shape, layer.array.dtype), target.geometry) for layer in atlas_labels]
    field = np.zeros((50, 60, 70, 3), np.float32)
    grid = Geometry(target.geometry.voxel_to_lps, field.shape[:3])
    confidence = Volume(np.full(target.array.shape, 50, np.uint8), target.geometry)
    return Result(labels, confidence, Deformation(np.eye(4), field, field, grid), {"seconds": {"read": 0.0}})


def load():
    return functools.partial(worker.load(), segment=segment)


if __name__ == "__main__":
    worker.main(load)
