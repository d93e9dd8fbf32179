"""Diffeomorphic registration by instance optimisation: the deformation that makes this atlas fit this target.

Greedy composition of small smooth updates (as in Yushkevich et al.'s greedy and Christensen's fluid scheme), their
direction from an isotropic Adam: one second moment for the vector, so that its direction is kept. Coarse to fine; the
similarity is the squared LNCC of the intensities plus that of the gradient magnitudes, with exact gradients.
"""

import dataclasses

import numpy as np
import torch

from . import filters, threads
from .sampling import lattice, sample
from .similarity import LocalCorrelation
from .workgrid import WorkImage

FIRST_STEP, LAST_STEP = 0.5, 0.15  # voxels that the largest update moves
UPDATE_SIGMA, TOTAL_SIGMA = 1.0, 0.5  # voxels: fluid and elastic smoothing
EDGE_WEIGHT = 1.0  # of the gradient magnitudes' part: 0.002 to 0.003 Dice better than 0.5 on both data sets
PROMPT_WEIGHT = 1.0  # of a corrected structure's mask: as much as the image
MOMENTUM, SCALE_MEMORY = 0.9, 0.99


@dataclasses.dataclass(frozen=True)
class Level:
    """``spacing`` in mm, ``steps`` of optimisation, ``width`` of the correlation's window in voxels."""

    spacing: float
    steps: int
    width: int


def register(target: WorkImage, atlas: WorkImage, affine: np.ndarray, levels, step_done) -> torch.Tensor:
    """Displacement u in voxels of the target's work grid: x + u(x), then ``affine``, is the atlas point.

    ``affine``: (4, 4), LPS mm, target point -> atlas point. ``levels``: coarse to fine, the last at the target's
    spacing. ``step_done()`` is called after each step and may raise to stop. Returns (3, k, j, i), along i, j, k.
    """
    displacement, coarser = None, None
    for level in levels:
        fixed, moving = target.coarser(level.spacing), atlas.coarser(level.spacing)
        if displacement is None:
            displacement = torch.zeros(3, *fixed.image.shape, device=fixed.image.device)
        else:
            displacement = refine(displacement, coarser, fixed)
        with threads.suited(fixed.image.numel()):
            displacement = _optimise(fixed, moving, affine, level, displacement, step_done)
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

    ``prompts``: pairs of further images, on the target's and on the atlas's grid, that shall match as well.
    """
    with threads.suited(fixed.image.numel()):
        return _optimise(fixed, moving, affine, level, displacement, step_done, prompts)


def warped(moving: WorkImage, affine: np.ndarray, displacement: torch.Tensor, grid) -> torch.Tensor:
    """The atlas's image where x + ``displacement``, in voxels of ``grid``, and ``affine`` bring it: (k, j, i)."""
    to_atlas = moving.grid.lps_to_voxel @ affine @ grid.voxel_to_lps
    linear = torch.tensor(to_atlas[:3, :3], dtype=torch.float32, device=displacement.device)
    at = torch.tensordot(linear, displacement, 1).add_(lattice(grid.shape, to_atlas, displacement.device))
    return sample(moving.image[None], at, padding="zeros")[0]


def _optimise(fixed, moving, affine, level, displacement, step_done, prompts=()):
    device, shape = displacement.device, fixed.image.shape
    to_atlas = moving.grid.lps_to_voxel @ affine @ fixed.grid.voxel_to_lps
    start = lattice(shape, to_atlas, device)
    linear = torch.tensor(to_atlas[:3, :3], dtype=torch.float32, device=device)
    identity = lattice(shape, np.eye(4), device)
    channels = torch.stack([moving.image, filters.gradient_magnitude(moving.image), *(image for _, image in prompts)])
    weight = _relevant(fixed, moving, start)
    terms = (
        (LocalCorrelation(fixed.image, level.width, weight), 1.0),
        (LocalCorrelation(filters.gradient_magnitude(fixed.image), level.width, weight), EDGE_WEIGHT),
        *((LocalCorrelation(image, level.width, weight), PROMPT_WEIGHT) for image, _ in prompts),
    )
    momentum = torch.zeros_like(displacement)
    scale = torch.zeros(1, *shape, device=device)
    for step in range(level.steps):
        warped = sample(channels, torch.tensordot(linear, displacement, 1).add_(start))
        direction = None
        for (similarity, share), image in zip(terms, warped):
            force = filters.gradient(image).mul_(similarity.gradient(image)[1])
            # Each part weighs the same whatever its contrast.
            force *= share / filters.length(force).mean().clamp_min(1e-12)
            direction = force if direction is None else direction.add_(force)
        direction = filters.gaussian(direction, UPDATE_SIGMA)
        momentum.lerp_(direction, 1 - MOMENTUM)
        scale.lerp_(direction.square_().sum(dim=0, keepdim=True), 1 - SCALE_MEMORY)
        size = FIRST_STEP + (LAST_STEP - FIRST_STEP) * step / level.steps
        # Adam's bias corrections, and a floor that keeps noise in the background from moving.
        corrected = (scale / (1 - SCALE_MEMORY ** (step + 1))).sqrt_()
        corrected += 1e-4 * corrected.max() + 1e-12
        update = momentum * (size / (1 - MOMENTUM ** (step + 1))) / corrected
        displacement = filters.gaussian(compose(displacement, update, identity), TOTAL_SIGMA)
        step_done()
    return displacement


def _relevant(fixed, moving, start):
    """How much each window counts: 1 near the anatomy of either image, 0 in the air and outside the atlas."""
    anatomy = sample(moving.foreground[None].to(torch.float32), start, padding="zeros")[0]
    anatomy = torch.maximum(anatomy, fixed.foreground.to(torch.float32))
    size = torch.tensor(moving.grid.size_ijk.copy(), device=start.device).view(3, 1, 1, 1)
    inside = ((start > -1) & (start < size)).all(dim=0)
    return ((filters.gaussian(anatomy, 1.0) > 0.05) & inside).to(torch.float32)
