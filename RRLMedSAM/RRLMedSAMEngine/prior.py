"""What a registration says of each voxel's structure, softened by how far it may be off."""

import numpy as np
import torch

from . import filters
from .networks.candidates import NEVER, Candidates

COUNT = 4  # candidates of a voxel; more than four structures hardly ever meet
# Voxels of the frame by which a registration is off: mostly few, now and then more. The wide one alone would smooth
# thin structures away (a brain's labels: Dice 0.809, of the likeliest candidates 0.780; with both 0.804), and a
# training would first have to bring them back.
SIGMAS = (0.5, 1.5)
RAREST = 0.02  # share below which a structure is no candidate


def make_prior(labels: torch.Tensor) -> Candidates:
    """The candidates near each voxel of warped ``labels`` (k, j, i) int, 0 and above.

    The top `COUNT` of the one-hot maps smoothed by the mean of the Gaussians `SIGMAS`, found structure by structure in
    boxes: no map of all structures is ever held.
    """
    shape = labels.shape
    best = torch.zeros(COUNT, *shape, device=labels.device)
    structure = torch.zeros(COUNT, *shape, dtype=torch.int64, device=labels.device)
    reach = len(filters.gaussian_kernel(max(SIGMAS))) - 1
    for value, box in boxes(labels, reach):
        here = (labels[box] == value).to(torch.float32)
        share = sum(filters.gaussian(here, sigma) for sigma in SIGMAS) / len(SIGMAS)
        who = torch.full(share.shape, value, dtype=torch.int64, device=labels.device)
        # The new one moves down the sorted list until it meets a larger one.
        for rank in range(COUNT):
            held, holder = best[rank][box], structure[rank][box]
            larger = share > held
            best[rank][box], share = torch.where(larger, share, held), torch.where(larger, held, share)
            structure[rank][box], who = torch.where(larger, who, holder), torch.where(larger, holder, who)
    where = (best[1] > RAREST).flatten().nonzero()[:, 0]
    shares = best.flatten(1)[:, where]
    logits = torch.where(shares > RAREST, shares.clamp_min(RAREST).log(), NEVER)
    return Candidates(structure[0], where, structure.flatten(1)[:, where], logits)


def boxes(labels: torch.Tensor, reach: int):
    """Each value in ``labels`` and the slices of its box, wider by ``reach`` voxels."""
    from scipy import ndimage

    for value, box in enumerate(ndimage.find_objects(labels.cpu().numpy().astype(np.int32) + 1)):
        if box is not None:
            yield (
                value,
                tuple(slice(max(s.start - reach, 0), min(s.stop + reach, n)) for s, n in zip(box, labels.shape)),
            )
