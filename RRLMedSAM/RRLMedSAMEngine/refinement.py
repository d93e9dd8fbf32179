"""The last stages once more, around structures that a person has corrected.

A correction is a prompt: the corrected structures' masks join the images in a short optimisation of the deformation, on
a box around them, so that their neighbours move along. It is a constraint, too: corrected structures keep every voxel,
and get none. What the correction does not move stays as it is.
"""

import dataclasses

import numpy as np
import torch

from . import allocator, confidence, contrast, devices, filters, intensity, plan, registration, review, workgrid
from .atlas import Atlas
from .borders import Borders
from .errors import bad_input
from .geometry import Geometry
from .image import Volume
from .labels import bounding_box
from .memory import peak_gb
from .progress import Progress
from .registration import Level
from .sampling import lattice, nearest, sample
from .transfer import Transfer

MARGIN_MM = 15.0  # around the corrected structures: how far a correction may reach
VOXELS = 1.5e6  # of the box's work grid at most
STEPS = 12
REACH = 10  # voxels that these steps and the patches may go beyond the displacement there was
MASK_SIGMA = 1.0  # voxels: a mask's border as soft as an image's
MOVED = 0.7  # voxels of the work grid, beyond which a place is labelled anew


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A result and what was corrected in it.

    ``affine`` (4, 4) and ``forward`` (k, j, i, 3), LPS mm on ``grid``: its deformation, as `Deformation` has it.
    ``labels``: for each of the atlas's layers the label map on the target's grid, as corrected. ``confidence``:
    percent. ``edited``: the corrected structures' values; no two layers share a value.
    """

    affine: np.ndarray
    forward: np.ndarray
    grid: Geometry
    labels: list[Volume]
    confidence: Volume
    edited: list[int]


def refine(
    atlas: Volume, atlas_labels: list[Volume], target: Volume, case: Case, device: str, *, progress, warn, cancelled
):
    """The label maps (list of Volume), the confidence (Volume) and a report, after the correction.

    ``progress``, ``warn``, ``cancelled``: as in `pipeline.segment`. Raises EngineError.
    """
    allocator.keep_freed_memory()
    clock = Progress(progress, cancelled)
    atlas, target, *atlas_labels = (Volume(v.array, v.geometry.rounded()) for v in (atlas, target, *atlas_labels))
    known = Atlas.known(atlas, atlas_labels)
    box = _box(case, target.geometry)
    (maps, certainty), step = devices.with_ladder(
        lambda step: _around(known, target, case, box, step, clock), devices.ladder(device), warn
    )
    labels = [Volume(layer.array.copy(), target.geometry) for layer in case.labels]
    trust = Volume(case.confidence.array.copy(), target.geometry)
    for layer, found in zip(labels, maps):
        layer.array[box] = found
    trust.array[box] = certainty
    rows = _rows(known, labels, trust, case, target.geometry)
    clock.finish()
    report = {
        "device": devices.describe(step.device),
        "seconds": {stage: round(seconds, 2) for stage, seconds in clock.seconds.items()},
        "peak_memory_gb": round(peak_gb(), 2),
        "structures": rows,
    }
    return labels, trust, report


def _box(case, geometry) -> tuple:
    """The part of the target's grid around the corrected structures: slices of k, j, i."""
    where = np.zeros(geometry.shape, bool)
    for layer in case.labels:
        where |= np.isin(layer.array, case.edited)
    box = bounding_box(where)
    if box is None:
        raise bad_input("The corrected structures have no voxel.", "Draw them first.")
    margins = np.ceil(MARGIN_MM / geometry.spacing[::-1]).astype(int).tolist()  # voxels along k, j, i
    return tuple(slice(max(b.start - m, 0), min(b.stop + m, n)) for b, m, n in zip(box, margins, geometry.shape))


def _around(atlas, target, case, box, step, clock):
    """The labels of each layer (int, k j i) and the confidence (uint8) in the box."""
    clock.enter("deform")
    clock.plan(STEPS + 10)
    window = intensity.find_window(target.array, "target")
    part = target.geometry.part(box)
    extent = float(np.prod(part.size_ijk * part.spacing))
    finest = [v.geometry.spacing.min() for v in (atlas.volume, target)]
    spacing = step.coarser * max(*finest, (extent / VOXELS) ** (1 / 3))
    first = np.array([p.start for p in box[::-1]], float)
    last = np.array([p.stop - 1 for p in box[::-1]], float)
    cut = np.stack([first > 0, last < target.geometry.size_ijk - 1], axis=1)
    fixed = workgrid.to_work_grid(target, window, spacing, (first, last, cut), step.device)
    start = _displacement(case, fixed.grid, step.device)
    reach = spacing * (float(filters.length(start).max()) + REACH)
    moving = workgrid.to_work_grid(
        atlas.volume,
        atlas.window,
        spacing,
        workgrid.box_around(atlas.box, atlas.volume.geometry, fixed.grid, reach, case.affine),
        step.device,
    )
    moving = contrast.match(moving, fixed, case.affine, start)
    prompts = [pair for value in case.edited for pair in _prompts(value, atlas, case, fixed, moving)]
    level = Level(spacing, STEPS, plan.WIDTH)
    moved = registration.follow(fixed, moving, case.affine, level, start, prompts, lambda: clock.advance(1))

    clock.enter("transfer")
    transfer = Transfer(atlas.labels, case.affine, moved, fixed.grid)
    voxels = transfer.voxels(part)
    distance = sample(filters.length(moved - start)[None], voxels)[0].view(part.shape).cpu().numpy()
    maps, certainty = transfer.warped(part, clock.check)
    warped = registration.warped(moving, case.affine, moved, fixed.grid)
    borders = Borders(transfer, _Pair(fixed, warped), part, clock.check)
    borders.refine(maps, certainty, within=distance > MOVED)
    near = confidence.near([Volume(m, part) for m in maps], fixed.grid, step.device)
    agreement = confidence.only_near(confidence.agreement(fixed.image, warped), near)
    agreement = sample(agreement[None], voxels)[0].view(part.shape).cpu().numpy()
    certainty = np.rint(certainty * agreement).astype(np.uint8)
    return _constrained(maps, certainty, distance > MOVED, case, box)


@dataclasses.dataclass(frozen=True, eq=False)
class _Pair:
    """What `Borders` needs of a registration."""

    target: workgrid.WorkImage
    warped: torch.Tensor
    margin: int = 0

    @property
    def seen(self) -> workgrid.WorkImage:
        return self.target


def _displacement(case, grid, device):
    """The result's displacement in voxels of ``grid``: (3, k, j, i)."""
    field = torch.from_numpy(np.ascontiguousarray(np.moveaxis(case.forward, -1, 0), np.float32)).to(device)
    at = lattice(grid.shape, case.grid.lps_to_voxel @ grid.voxel_to_lps, device)
    to_voxel = torch.tensor(grid.lps_to_voxel[:3, :3], dtype=torch.float32, device=device)
    return torch.tensordot(to_voxel, sample(field, at, padding="zeros"), 1)


def _prompts(value, atlas, case, fixed, moving):
    """(the corrected mask on the target, the structure's mask on the atlas), soft, in each layer that has it."""
    for layer, drawn in zip(atlas.labels, case.labels):
        masks = [nearest(v.array, v.geometry, w.grid) == value for v, w in ((drawn, fixed), (layer, moving))]
        if all(mask.any() for mask in masks):
            yield tuple(
                filters.gaussian(torch.from_numpy(mask).to(w.image), MASK_SIGMA)
                for mask, w in zip(masks, (fixed, moving))
            )


def _constrained(maps, certainty, moved, case, box):
    """What was corrected is kept; elsewhere the new labels count where the deformation has moved."""
    result = []
    drawn_anywhere = np.zeros(certainty.shape, bool)
    for found, drawn in zip(maps, case.labels):
        drawn = drawn.array[box]
        is_drawn = np.isin(drawn, case.edited)
        free = moved & ~is_drawn & ~np.isin(found, case.edited)
        result.append(np.where(free, found, drawn))
        drawn_anywhere |= is_drawn
    trust = np.where(moved, certainty, case.confidence.array[box])
    trust[drawn_anywhere] = 100
    return result, trust


def _rows(atlas, labels, trust, case, geometry) -> list[dict]:
    """As in a run's report; a corrected structure is sure. Agreement and stretch were not looked at again."""
    neutral = review.Evidence(trust.array, np.full(geometry.shape, 100, np.uint8), np.zeros(geometry.shape, np.uint8))
    enlarged = abs(np.linalg.det(case.affine[:3, :3]))
    spacing = float(max(geometry.spacing.min(), case.grid.spacing[0]))
    rows = []
    for number, (layer, layer_values, ml) in enumerate(zip(labels, atlas.values, atlas.volumes_ml(atlas.values))):
        rows += review.structures(layer.array, layer_values, number, ml / enlarged, neutral, geometry, spacing)
    for row in rows:
        if row["label"] in case.edited:
            row.update(confidence=100.0, reasons=["corrected"], check_at_lps=None)
    return rows
