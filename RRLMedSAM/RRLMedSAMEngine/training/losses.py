"""What the networks are trained to do."""

import numpy as np
import torch

from ..networks.candidates import Candidates
from ..networks.velocity import integrate, to_full_grid
from ..sampling import lattice, sample
from ..similarity import LocalCorrelation

WIDTH = 7  # voxels of the correlation's window
FIELD, ROUGHNESS = 0.1, 0.05  # beside a dissimilarity of 1


def mask_loss(mask: Candidates, truth: torch.Tensor, weight: torch.Tensor, count: int) -> torch.Tensor:
    """Weighted cross entropy plus one minus the mean Dice of the structures, the background left out.

    Over the voxels in doubt. ``truth``: (n, m), wanted probabilities of the candidates. ``weight``: (m,).
    """
    logs = mask.logits.log_softmax(dim=0)
    entropy = (-(truth * logs).sum(dim=0) * weight).sum() / weight.sum().clamp_min(1)
    probability = logs.exp()
    owner = mask.structure.flatten()

    def per_structure(values):
        return values.new_zeros(count).index_add(0, owner, values.flatten())

    both = per_structure(probability * truth * weight)
    sizes = per_structure((probability + truth) * weight)
    wanted = per_structure(truth * weight)
    wanted[0] = 0
    present = wanted > 8  # voxels; a sliver at a patch's face says nothing
    dice = 2 * both[present] / (sizes[present] + 1)
    return entropy + 1 - dice.mean() if bool(present.any()) else entropy


class _Correlation(torch.autograd.Function):
    """LNCC with the exact gradient that `LocalCorrelation` has at hand."""

    @staticmethod
    def forward(context, moving, similarity):
        value, gradient = similarity.gradient(moving)
        context.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(context, upstream):
        return upstream * context.saved_tensors[0], None


def dissimilarity(fixed: torch.Tensor, moving: torch.Tensor, width: int) -> torch.Tensor:
    """One minus the mean squared local correlation of two images (k, j, i); differentiable by ``moving``."""
    return 1 - _Correlation.apply(moving, LocalCorrelation(fixed, width))


def roughness(velocity: torch.Tensor) -> torch.Tensor:
    """Mean squared slope of (3, k, j, i)."""
    return sum((velocity.diff(dim=axis) ** 2).mean() for axis in (1, 2, 3))


def registration_loss(velocity: torch.Tensor, pair, guided: bool = True) -> torch.Tensor:
    """Both images warped to each other, roughness and, where ``guided``, the distance to the field that instance
    optimisation found.

    ``velocity``: (3, k/2, j/2, i/2), voxels of its own grid; ``pair``: a `Pair`.
    """
    identity = lattice(pair.target.shape, np.eye(4), velocity.device)
    forward, backward = (to_full_grid(integrate(v)) for v in (velocity, -velocity))
    loss = ROUGHNESS * roughness(velocity)
    if guided:
        loss = loss + FIELD * ((forward - pair.displacement) ** 2).mean()
    for fixed, moving, field in ((pair.target, pair.atlas, forward), (pair.atlas, pair.target, backward)):
        loss = loss + 0.5 * dissimilarity(fixed, sample(moving[None], identity + field)[0], WIDTH)
    return loss
