"""A second atlas from the first: its mirror image, where the anatomy is nearly symmetric.

Left and right of a brain, a pelvis or a vertebra are two looks at one thing. Mirrored, with the labels of both sides
exchanged, one atlas gives two opinions on each voxel of a target. Which label is the other side's of which is found
from the images alone: names are not needed.
"""

import numpy as np
import torch

from . import affine, intensity, threads, workgrid
from .geometry import Geometry
from .image import Volume
from .sampling import nearest

SILENT = -(2**31)  # label value where the mirror image has nothing to say: a structure without a partner
VOXELS = 5e5  # of the grid on which the mirror image is brought onto the atlas
MOST_TURNED = 0.5  # radians between both: turned further, an organ of one side would be laid on itself, too
ALIKE = 0.4  # Dice of a structure and its mirror image, brought onto each other by an affine map, at least ..
SHARE = 0.8  # .. in so much of the labelled volume, else the anatomy is not symmetric


def mirrored(atlas: Volume, labels: Volume, check) -> tuple[Volume, Volume] | None:
    """The mirror image of ``atlas`` and its label map (int32), in the atlas's space but not on it; None for an anatomy
    that is not symmetric. ``check()`` may raise to stop.
    """
    image, exchanged = _reflected(atlas), _reflected(labels)
    windows = [intensity.find_window(v.array, "atlas") for v in (atlas, image)]
    boxes = [workgrid.anatomy_box(v, w) for v, w in zip((atlas, image), windows)]
    extent = (boxes[0][1] - boxes[0][0] + 1) * atlas.geometry.spacing
    spacing = max(float(np.prod(extent) / VOXELS) ** (1 / 3), float(atlas.geometry.spacing.min()))
    fixed, moving = (
        workgrid.to_work_grid(v, w, spacing, box, "cpu") for v, w, box in zip((atlas, image), windows, boxes)
    )
    # By all of the anatomy: by its structures alone an organ of one side would be laid on itself.
    with threads.suited(0):
        matrix = affine.align(fixed, moving, torch.ones(moving.grid.shape), check).matrix
    if _turned(matrix) > MOST_TURNED:
        return None
    grid = fixed.grid
    here = nearest(labels.array, labels.geometry, grid)
    there = nearest(exchanged.array, exchanged.geometry, Geometry(matrix @ grid.voxel_to_lps, grid.shape))
    partners = _partners(here, there)
    if partners is None:
        return None
    values = np.unique(exchanged.array)
    others = np.array([partners.get(value, SILENT) if value else 0 for value in values.tolist()], np.int32)
    return image, Volume(others[np.searchsorted(values, exchanged.array)], exchanged.geometry)


def _reflected(volume: Volume) -> Volume:
    """Across the plane through the volume's middle that is nearest to the sagittal one."""
    axis = int(np.argmax(np.abs(volume.geometry.voxel_to_lps[0, :3] / volume.geometry.spacing)))
    return Volume(np.flip(volume.array, 2 - axis).copy(), volume.geometry)


def _turned(matrix: np.ndarray) -> float:
    """The angle in radians of the rotation in an affine map (4, 4)."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return float(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1)))


def _partners(here: np.ndarray, there: np.ndarray) -> dict | None:
    """For each label value its mirror image's, from two label maps that lie on each other; None where they do not.

    Two values are partners where each overlaps the other most; a value without one is left out.
    """
    values, counts = np.unique(np.concatenate([here[here != 0], there[there != 0]]), return_counts=True)
    size = len(values)
    if size == 0:  # structures smaller than the grid's voxels
        return None
    numbers = [np.where(labels == 0, 0, np.searchsorted(values, labels) + 1) for labels in (here, there)]
    both = np.bincount((numbers[0] * (size + 1) + numbers[1]).ravel(), minlength=(size + 1) ** 2)
    both = both.reshape(size + 1, size + 1)  # voxels with each pair of values; row and column 0 are the background
    total = both.sum(axis=1)[1:, None] + both.sum(axis=0)[None, 1:]
    dice = 2 * both[1:, 1:] / np.maximum(total, 1)
    best, back = dice.argmax(axis=1), dice.argmax(axis=0)
    mutual = [n for n in range(size) if back[best[n]] == n and best[best[n]] == n]
    alike = [n for n in mutual if dice[n, best[n]] >= ALIKE]
    if counts[alike].sum() < SHARE * counts.sum():
        return None
    return {int(values[n]): int(values[best[n]]) for n in mutual}
