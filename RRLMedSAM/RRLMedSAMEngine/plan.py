"""The resolutions and steps of a run, planned from the data and the effort."""

import dataclasses

import numpy as np

from .registration import Level


@dataclasses.dataclass(frozen=True)
class Effort:
    """``voxels``: the finest work grid holds at most so many. The steps of the finest level and of the coarser ones;
    ``guided_steps``: of the finest level after one on which a model's features were compared.

    ``patches``: whether patches vote on the labels near borders; ``mirrored``: whether those of a symmetric atlas's
    mirror image do too. ``rounds`` of asking the atlas's own model: after the first with what was found."""

    voxels: float
    finest_steps: int
    middle_steps: int
    coarse_steps: int
    guided_steps: int
    patches: bool
    mirrored: bool
    rounds: int


EFFORTS = {
    "fast": Effort(2.5e6, 5, 20, 40, 6, False, False, 1),
    "balanced": Effort(8e6, 22, 30, 40, 16, True, False, 2),
    "best": Effort(16e6, 25, 30, 40, 22, True, True, 2),
}
FINEST = "balanced"  # the effort whose work grid is as fine as intensities are looked at, whatever the effort
WIDTH = 7  # voxels of the correlation's window: 5 is 0.001 Dice lower on the brains
SMALLEST = 12  # voxels along the shortest side below which a coarser level has nothing to say
LEVELS = 4
FEATURE_STEPS, COARSE_GUIDED_STEPS = 15, 20  # on the level that compares features; on the coarser ones before it
APART = 1.5  # times the features' spacing, or part of it, that a level's may be for this
LARGER_ATLAS = 4  # times the effort's voxels that the atlas may have: a target may show a small part of it


def work_spacing(target_box_mm3: float, atlas_box_mm3: float, spacings, effort: str, coarser: float = 1.0) -> float:
    """Spacing of the finest work grid in mm.

    ``target_box_mm3``, ``atlas_box_mm3``: volumes of the trimmed boxes. ``spacings``: the smallest voxel side of target
    and atlas: finer than the coarser of the two there is nothing to match. ``coarser``: the memory ladder's factor.
    """
    smallest = (max(target_box_mm3, atlas_box_mm3 / LARGER_ATLAS) / EFFORTS[effort].voxels) ** (1 / 3)
    return coarser * max(*spacings, smallest)


def levels(shape, spacing: float, effort: str, features_spacing: float | None = None) -> list[Level]:
    """Coarse to fine, for a finest work grid ``shape`` (k, j, i) of ``spacing`` mm.

    ``features_spacing`` in mm, of a model's features: they are compared on the level that is about as coarse, if there
    is one before the finest.
    """
    count = 1
    while count < LEVELS and min(shape) / 2**count >= SMALLEST and max(shape) / 2 ** (count - 1) > 30:
        count += 1
    given = EFFORTS[effort]
    steps = [given.finest_steps, given.middle_steps] + [given.coarse_steps] * count
    found = [Level(spacing * 2**n, steps[n], WIDTH) for n in reversed(range(count))]
    return _guided(found, given.guided_steps, features_spacing) if features_spacing else found


def _guided(found, finest_steps, features_spacing):
    for n, level in enumerate(found[:-1]):
        if 1 / APART < level.spacing / features_spacing < APART:
            coarser = [dataclasses.replace(one, steps=COARSE_GUIDED_STEPS) for one in found[:n]]
            guided = dataclasses.replace(level, steps=FEATURE_STEPS, by_features=True)
            finest = dataclasses.replace(found[-1], steps=finest_steps)
            return [*coarser, guided, *found[n + 1 : -1], finest]
    return found


def cost(level: Level, shape, finest_spacing: float) -> float:
    """Of one step, in voxels touched; a small grid costs as much as one of 10,000 voxels."""
    return max(np.prod(shape) * (finest_spacing / level.spacing) ** 3, 1e4)
