"""Registration of one atlas and one target, from volumes to the deformation between them, there and back."""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from . import affine, allocator, contrast, deformation, intensity, plan, registration, threads, workgrid
from .deformation import Deformation
from .geometry import Geometry
from .memory import free_gb

BYTES_PER_VOXEL = 350, 100  # of the target's and of the atlas's work grid; their sum was measured at a run's peak
ALIGN_COST = 1.4e7  # measured, in the units of plan.cost: an alignment costs as much as 3 steps on 4.4M voxels
INVERSE_COST = 9  # likewise, for each voxel of the work grid


@dataclasses.dataclass(frozen=True, eq=False)
class Registered:
    """``affine``: (4, 4), LPS mm, target point -> atlas point. ``displacement``: (3, k, j, i) in voxels of ``grid``,
    zero at its border; x + u(x), then ``affine``, is the atlas point. ``target``: the work image, whose first voxel is
    number ``margin`` of that grid along each axis. ``warped``: the atlas's image on the work grid, (k, j, i). ``seen``:
    the target as finely as it is worth looking at; effort `fast` registers on larger voxels. ``familiar``: that in the
    atlas's contrast, where it has another one: what networks look at. ``correlation``: of the aligned images.
    """

    affine: np.ndarray
    displacement: torch.Tensor
    grid: Geometry
    margin: int
    target: workgrid.WorkImage
    warped: torch.Tensor
    seen: workgrid.WorkImage
    familiar: workgrid.WorkImage
    correlation: float


@dataclasses.dataclass(frozen=True, eq=False)
class BothWays:
    """A registration's deformation with its inverse. ``jacobian``: its determinant without the affine part, on the work
    grid, (k, j, i). ``figures``: of the report."""

    deformation: Deformation
    jacobian: torch.Tensor
    figures: dict


def register(
    atlas, target, effort, step, clock, planned=lambda cost, voxels: None, features: Callable | None = None
) -> Registered:
    """Alignment and deformation on one rung of the memory ladder (``step``).

    ``atlas``: an `Atlas`; ``target``: a Volume; ``clock``: a `Progress`. ``planned(cost, voxels)`` is told what the
    registration is going to cost and how many voxels its work grid has. ``features()``: gives a
    model's `Features` of this atlas, to guide it; asked where a level compares them.
    """
    window = intensity.find_window(target.array, "target")
    box = workgrid.anatomy_box(target, window)
    extents = [workgrid.box_mm3(v.geometry, b) for v, b in ((target, box), (atlas.volume, atlas.box))]
    spacings = [v.geometry.spacing.min() for v in (atlas.volume, target)]
    spacing = plan.work_spacing(*extents, spacings, effort, step.coarser)
    needed_gb = float(np.dot(BYTES_PER_VOXEL, extents)) / spacing**3 / 1e9
    if step.device.type == "cpu" and needed_gb > free_gb():
        raise MemoryError("the system would end this process rather than refuse it memory")
    moving = workgrid.to_work_grid(atlas.volume, atlas.window, spacing, atlas.box, step.device)
    fixed = workgrid.to_work_grid(target, window, spacing, box, step.device)
    shape = fixed.grid.shape
    levels = plan.levels(shape, spacing, effort, atlas.frame.half.spacing[0] if features else None)
    costs = [plan.cost(level, shape, spacing) for level in levels]
    voxels = float(np.prod(shape))
    planned(ALIGN_COST + sum(c * level.steps for c, level in zip(costs, levels)), voxels)

    clock.enter("align")
    near = workgrid.near_structures(atlas.labels, moving.grid, step.device)
    with threads.suited(0):  # its grids are coarse
        alignment = affine.align(fixed, moving, near, clock.check)
    clock.advance(ALIGN_COST)

    clock.enter("deform")
    finest = plan.work_spacing(*extents, spacings, plan.FINEST, step.coarser)
    seen = fixed if finest > 0.99 * spacing else workgrid.to_work_grid(target, window, finest, box, step.device)
    original = moving
    moving, rough = _recoloured(original, fixed, alignment.matrix, plan.levels(shape, spacing, effort), clock.check)

    def familiar(displacement):
        if moving is original:
            return seen
        return contrast.like_atlas(seen, original, fixed, alignment.matrix, displacement)

    pair = None
    if any(level.by_features for level in levels):
        known = features()
        clock.check()
        pair = known.pair(familiar(rough), alignment.matrix)
    remaining = iter([cost for cost, level in zip(costs, levels) for _ in range(level.steps)])
    displacement = registration.register(
        fixed, moving, alignment.matrix, levels, lambda: clock.advance(next(remaining)), pair
    )
    del pair
    allocator.give_back()  # each part needs arrays of other sizes: what is free in between only adds to the peak
    warped = registration.warped(moving, alignment.matrix, displacement, fixed.grid)
    padded, grid = deformation.pad_to_zero(displacement, fixed.grid)
    padded = deformation.unfold(padded, clock.check)
    margin = (grid.shape[0] - shape[0]) // 2
    return Registered(
        alignment.matrix, padded, grid, margin, fixed, warped, seen, familiar(displacement), alignment.correlation
    )


def both_ways(found: Registered, clock) -> BothWays:
    """The deformation of a registration, its inverse, and how good they are."""
    allocator.give_back()
    fixed, margin = found.target, found.margin
    inside = torch.nn.functional.pad(fixed.foreground, [margin] * 6)
    inverse = deformation.invert(found.displacement, inside, clock.check)
    allocator.give_back()
    clock.advance(INVERSE_COST * fixed.image.numel())
    jacobian = deformation.jacobian(found.displacement)
    folded = jacobian[inside] <= 0
    jacobian = jacobian[tuple(slice(margin, margin + n) for n in fixed.grid.shape)].clone()
    figures = {
        "folding_percent": float(100 * folded.float().mean()) if folded.numel() else 0.0,
        "inverse_consistency_mm": deformation.consistency(found.displacement, inverse, inside, fixed.spacing),
        "alignment": {
            "correlation": round(found.correlation, 4),
            "target_to_atlas_lps": found.affine.tolist(),
        },
        "work_grid": {"spacing_mm": round(float(fixed.spacing), 4), "shape_kji": list(fixed.grid.shape)},
    }
    fields = [deformation.to_lps_field(way, found.grid) for way in (found.displacement, inverse)]
    allocator.give_back()
    return BothWays(Deformation(found.affine, *fields, found.grid), jacobian, figures)


def _recoloured(atlas, target, affine, levels, check):
    """The atlas in the target's contrast where that is another one, and the rough deformation by which it is found the
    second time, as an affine map alone mixes the tissues; None where there is none."""
    recoloured = contrast.match(atlas, target, affine)
    if recoloured is atlas or len(levels) == 1:
        return recoloured, None
    rough = registration.register(target, recoloured, affine, levels[:-1], check)
    rough = registration.refine(rough, target.coarser(levels[-2].spacing), target)
    return contrast.match(atlas, target, affine, rough), rough
