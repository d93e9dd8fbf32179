"""What a registration says of each voxel's structure, softened by how far it may be off."""

import numpy as np
import torch

from . import filters
from .networks.candidates import NEVER, Candidates

COUNT = 6  # candidates of a voxel; more structures hardly ever meet
# Voxels of the frame by which a registration is off: mostly few, now and then more. The wide one alone would smooth
# thin structures away (a brain's labels: Dice 0.809, of the likeliest candidates 0.780; with both 0.804), and a
# training would first have to bring them back.
SIGMAS = (0.5, 1.5)
RAREST = 0.02  # share below which a structure is no candidate
# A registration is off by more than the width of a small structure, and that may be ten times as large in the target:
# the left inferior lateral ventricles of two brains gain Dice 0.10 and 0.09. With shares as rare for all structures a
# model finds no more, and has a fifth more to look at.
SMALL, RAREST_OF_SMALL = 500, 0.001  # voxels of the frame
BITS, LAST = 32, 2**32 - 1  # of a structure's number, and the last one
TOGETHER = 20_000_000  # voxels of one-hot maps that a graphics card smooths at once: 80 MB


def make_prior(labels: torch.Tensor) -> Candidates:
    """The candidates near each voxel of warped ``labels`` (k, j, i) int, 0 and above.

    The top `COUNT` of the one-hot maps smoothed by the mean of the Gaussians `SIGMAS`: no map of all structures is ever
    held.
    """
    shape, device = labels.shape, labels.device
    # A share, whose bits are in the order of its size, and below it the structure: one number to be sorted by.
    best = torch.full((COUNT, *shape), LAST, dtype=torch.int64, device=device)
    reach = len(filters.gaussian_kernel(max(SIGMAS))) - 1
    for values, box in _parts(labels, reach):
        here = (labels[box] == values.view(-1, 1, 1, 1)).to(torch.float32)
        least = torch.where(here.sum(dim=(1, 2, 3)) < SMALL, RAREST_OF_SMALL, RAREST).view(-1, 1, 1, 1)
        shares = sum(filters.gaussian(here, sigma) for sigma in SIGMAS) / len(SIGMAS)
        shares = torch.where(shares > least, shares, 0.0)
        for share, value in zip(shares, values.tolist()):
            new = (share.view(torch.int32).to(torch.int64) << BITS) + (LAST - value)
            for held in best:  # it moves down the sorted list until it meets a larger one
                held = held[box]
                smaller = torch.minimum(held, new)
                torch.maximum(held, new, out=held)
                new = smaller
    certain = LAST - (best[0] & LAST)
    where = (best[1] >> BITS > 0).flatten().nonzero()[:, 0]
    best = best.flatten(1)[:, where]  # all else is made of these few alone
    shares = (best >> BITS).to(torch.int32).view(torch.float32)
    logits = torch.where(shares > 0, shares.log(), NEVER)
    return Candidates(certain, where, LAST - (best & LAST), logits)


def _parts(labels: torch.Tensor, reach: int):
    """The values in ``labels``, (g,), and where to look for them: on a processor one by one in small boxes, on a
    graphics card, where starting an operation takes longer than the operation, several at once everywhere."""
    if labels.device.type != "cpu":
        everywhere = (slice(None),) * 3
        for values in labels.unique().split(max(TOGETHER // labels.numel(), 1)):
            yield values, everywhere
        return
    from scipy import ndimage

    for value, box in enumerate(ndimage.find_objects(labels.numpy().astype(np.int32) + 1)):
        if box is not None:
            near = (slice(max(s.start - reach, 0), min(s.stop + reach, n)) for s, n in zip(box, labels.shape))
            yield torch.tensor([value]), tuple(near)
