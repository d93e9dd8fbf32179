"""Diffeomorphic registration by instance optimisation: the deformation that makes this atlas fit this target.

Greedy composition of small smooth updates (as in Yushkevich et al.'s greedy and Christensen's fluid scheme), their
direction from an isotropic Adam: one second moment for the vector, so that its direction is kept. Coarse to fine; what
pulls is the images' similarity and, on one level where the atlas has a model of its own, that model's features.
"""

import dataclasses

import numpy as np
import torch

from . import filters, threads
from .forces import Correspondence, ImageForce
from .sampling import lattice, sample
from .workgrid import WorkImage

FIRST_STEP, LAST_STEP = 0.5, 0.15  # voxels that the largest update moves
UPDATE_SIGMA, TOTAL_SIGMA = 1.0, 0.5  # voxels: fluid and elastic smoothing
MOMENTUM, SCALE_MEMORY = 0.9, 0.99


@dataclasses.dataclass(frozen=True)
class Level:
    """``spacing`` in mm, ``steps`` of optimisation, ``width`` of the correlation's window in voxels. ``by_features``:
    a model's features are compared in place of the images."""

    spacing: float
    steps: int
    width: int
    by_features: bool = False


def register(target: WorkImage, atlas: WorkImage, affine: np.ndarray, levels, step_done, features=None) -> torch.Tensor:
    """Displacement u in voxels of the target's work grid: x + u(x), then ``affine``, is the atlas point.

    ``affine``: (4, 4), LPS mm, target point -> atlas point. ``levels``: coarse to fine, the last at the target's
    spacing. ``step_done()`` is called after each step and may raise to stop. ``features``: `features.Pair`, for the
    levels that compare these. Returns (3, k, j, i), along i, j, k.
    """
    displacement, coarser = None, None
    for level in levels:
        fixed, moving = target.coarser(level.spacing), atlas.coarser(level.spacing)
        if displacement is None:
            displacement = torch.zeros(3, *fixed.image.shape, device=fixed.image.device)
        else:
            displacement = refine(displacement, coarser, fixed)
        with threads.suited(fixed.image.numel()):
            if level.by_features:
                force = features.force(fixed, moving)
            else:
                force = ImageForce(fixed, moving, affine, level.width)
            displacement = _optimise(displacement, force, level.steps, step_done)
        coarser = fixed
    return displacement


def refine(displacement: torch.Tensor, coarse: WorkImage, fine: WorkImage) -> torch.Tensor:
    """The displacement, in voxels of the coarse grid, on the fine grid and in its voxels."""
    at = lattice(fine.image.shape, coarse.grid.lps_to_voxel @ fine.grid.voxel_to_lps, displacement.device)
    return sample(displacement, at).mul_(coarse.spacing / fine.spacing)


def compose(displacement: torch.Tensor, update: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
    """The displacement of (x + u) after (x + v): v(x) + u(x + v(x)); all (3, k, j, i) in voxels."""
    return sample(displacement, identity + update).add_(update)


def follow(fixed: WorkImage, moving: WorkImage, affine, level: Level, displacement, prompts, step_done) -> torch.Tensor:
    """`register` on one level, from a displacement that is known: both (3, k, j, i) in voxels of ``fixed``'s grid.

    ``prompts``: as `ImageForce` takes them.
    """
    with threads.suited(fixed.image.numel()):
        force = ImageForce(fixed, moving, affine, level.width, prompts)
        return _optimise(displacement, force, level.steps, step_done)


def warped(moving: WorkImage, affine: np.ndarray, displacement: torch.Tensor, grid) -> torch.Tensor:
    """The atlas's image where x + ``displacement``, in voxels of ``grid``, and ``affine`` bring it: (k, j, i)."""
    at = Correspondence(grid, moving.grid, affine, displacement.device).at(displacement)
    return sample(moving.image[None], at, padding="zeros")[0]


def _optimise(displacement, force, steps, step_done):
    shape, device = displacement.shape[1:], displacement.device
    identity = lattice(shape, np.eye(4), device)
    momentum = torch.zeros_like(displacement)
    scale = torch.zeros(1, *shape, device=device)
    for step in range(steps):
        direction = filters.gaussian(force(displacement), UPDATE_SIGMA)
        momentum.lerp_(direction, 1 - MOMENTUM)
        scale.lerp_(direction.square_().sum(dim=0, keepdim=True), 1 - SCALE_MEMORY)
        size = FIRST_STEP + (LAST_STEP - FIRST_STEP) * step / steps
        # Adam's bias corrections, and a floor that keeps noise in the background from moving.
        corrected = (scale / (1 - SCALE_MEMORY ** (step + 1))).sqrt_()
        corrected += 1e-4 * corrected.max() + 1e-12
        update = momentum * (size / (1 - MOMENTUM ** (step + 1))) / corrected
        displacement = filters.gaussian(compose(displacement, update, identity), TOTAL_SIGMA)
        step_done()
    return displacement
