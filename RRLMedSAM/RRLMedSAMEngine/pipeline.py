"""A run from atlas and target to labels and deformation: the order of the stages, and nothing else."""

import dataclasses

import numpy as np
import torch

from . import __version__, affine, allocator, confidence, deformation, devices, intensity, plan, registration, workgrid
from .checks import check_image, check_labels
from .deformation import Deformation
from .image import Volume
from .memory import free_gb, peak_gb
from .progress import Progress
from .sampling import lattice, sample
from .transfer import Transfer

POOR_CORRELATION = 0.1  # of aligned images, below which they hardly show the same anatomy
BYTES_PER_VOXEL = 450  # of the work grid, measured at the peak of a run
ALIGN_COST = 1.2e8  # measured, in the units of plan.cost: an alignment costs as much as 27 steps on 4.4M voxels
TRANSFER_COST = 10  # likewise, for each voxel


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the user chose. ``model`` is ``instant``: registration alone, without weights."""

    effort: str = "balanced"
    device: str = "auto"
    model: str = "instant"
    seed: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """``labels``: a label map on the target's grid for each layer of the atlas. ``confidence``: uint8 percent."""

    labels: list[Volume]
    confidence: Volume
    deformation: Deformation
    report: dict


@dataclasses.dataclass
class _Registered:
    """The deformation; its displacement in voxels of the padded grid (3, k, j, i); both images and their agreement
    (k, j, i) on the work grid, whose first voxel is number ``margin`` of the padded grid along each axis."""

    deformation: Deformation
    displacement: torch.Tensor
    margin: int
    target: torch.Tensor
    warped: torch.Tensor
    correlation: float
    figures: dict


def segment(atlas, atlas_labels, target, settings: Settings, *, progress, warn, cancelled) -> Result:
    """Carries the atlas's labels to the target.

    ``atlas``, ``target``: Volume. ``atlas_labels``: list of Volume with integers, one for each layer of overlapping
    segments. ``progress(stage, fraction, seconds_left)``, ``warn(text)`` and ``cancelled()`` are called meanwhile.
    Raises EngineError: bad_input, no_overlap, bad_model, out_of_memory, cancelled.
    """
    allocator.keep_freed_memory()
    torch.manual_seed(settings.seed)
    warnings: list[str] = []

    def note(text):
        warnings.append(text)
        warn(text)

    devices.check_model(settings.model)
    clock = Progress(progress, cancelled)
    # Panel and command line shall give the same labels to the bit, whichever way the geometry came.
    atlas, target, *atlas_labels = (Volume(v.array, v.geometry.rounded()) for v in (atlas, target, *atlas_labels))
    check_image(atlas, "atlas", note)
    check_image(target, "target", note)
    values = check_labels(atlas_labels, atlas, note)
    if not target.geometry.overlaps(atlas.geometry):
        note("Atlas and target lie apart in space; they were brought together by their shape alone.")

    def attempt(step):
        found = _register(atlas, atlas_labels, target, settings.effort, step, clock)
        return found, *_transfer(atlas_labels, target, found, settings.effort, clock)

    (found, labels, trust), step = devices.with_ladder(attempt, devices.ladder(settings.device), note)
    if found.correlation < POOR_CORRELATION:
        note(
            "Atlas and target hardly agree after alignment: they may show different anatomy. Check the result, "
            "or move the target near the atlas with a transform and run again."
        )
    clock.finish()
    report = {
        "version": __version__,
        "settings": dataclasses.asdict(settings),
        "device": devices.describe(step.device),
        "seconds": {stage: round(seconds, 2) for stage, seconds in clock.seconds.items()},
        "peak_memory_gb": round(peak_gb(), 2),
        **found.figures,
        "structures": [
            row
            for layer, (volume, layer_values) in enumerate(zip(labels, values))
            for row in confidence.structures(
                volume.array, trust.array, layer_values, layer, target.geometry.voxel_volume_ml
            )
        ],
        "warnings": warnings,
    }
    return Result(labels, trust, found.deformation, report)


def _register(atlas, atlas_labels, target, effort, step, clock) -> _Registered:
    """Alignment and deformation on one rung of the memory ladder."""
    windows = [intensity.find_window(v.array, what) for v, what in ((atlas, "atlas"), (target, "target"))]
    boxes = [workgrid.anatomy_box(v, w) for v, w in zip((atlas, target), windows)]
    extent = (boxes[1][1] - boxes[1][0] + 1) * target.geometry.spacing
    spacing = plan.work_spacing(
        float(np.prod(extent)), [v.geometry.spacing.min() for v in (atlas, target)], effort, step.coarser
    )
    needed_gb = BYTES_PER_VOXEL * float(np.prod(extent)) / spacing**3 / 1e9
    if step.device.type == "cpu" and needed_gb > free_gb():
        raise MemoryError("the system would end this process rather than refuse it memory")
    moving, fixed = (
        workgrid.to_work_grid(v, w, spacing, box, step.device)
        for v, w, box in zip((atlas, target), windows, boxes)
    )
    shape = fixed.grid.shape
    levels = plan.levels(shape, spacing, effort)
    costs = [plan.cost(level, shape, spacing) for level in levels]
    voxels = float(np.prod(shape))
    clock.plan(ALIGN_COST + sum(c * level.steps for c, level in zip(costs, levels)) + (8 + TRANSFER_COST) * voxels)

    clock.enter("align")
    near = workgrid.near_structures(atlas_labels, moving.grid, step.device)
    alignment = affine.align(fixed, moving, near, clock.check)
    clock.advance(ALIGN_COST)

    clock.enter("deform")
    remaining = iter([cost for cost, level in zip(costs, levels) for _ in range(level.steps)])
    displacement = registration.register(
        fixed, moving, alignment.matrix, levels, lambda: clock.advance(next(remaining))
    )
    allocator.give_back()  # each part needs arrays of other sizes: what is free in between only adds to the peak
    to_atlas = moving.grid.lps_to_voxel @ alignment.matrix @ fixed.grid.voxel_to_lps
    at = torch.tensordot(
        torch.tensor(to_atlas[:3, :3], dtype=torch.float32, device=displacement.device), displacement, 1
    ).add_(lattice(shape, to_atlas, displacement.device))
    warped = sample(moving.image[None], at, padding="zeros")[0]
    padded, grid = deformation.pad_to_zero(displacement, fixed.grid)
    padded = deformation.unfold(padded, clock.check)
    margin = (grid.shape[0] - shape[0]) // 2
    inside = torch.nn.functional.pad(fixed.foreground, [margin] * 6)
    inverse = deformation.invert(padded, inside, clock.check)
    allocator.give_back()
    clock.advance(8 * voxels)
    folded = deformation.jacobian(padded)[inside] <= 0
    figures = {
        "folding_percent": float(100 * folded.float().mean()) if folded.numel() else 0.0,
        "inverse_consistency_mm": deformation.consistency(padded, inverse, inside, spacing),
        "alignment": {
            "correlation": round(alignment.correlation, 4),
            "target_to_atlas_lps": alignment.matrix.tolist(),
        },
        "work_grid": {"spacing_mm": round(float(spacing), 4), "shape_kji": list(shape)},
    }
    field = Deformation(
        alignment.matrix,
        deformation.to_lps_field(padded, grid),
        deformation.to_lps_field(inverse, grid),
        grid,
    )
    return _Registered(field, padded, margin, fixed.image, warped, alignment.correlation, figures)


def _transfer(atlas_labels, target, found, effort, clock):
    """Labels (a Volume for each layer) and confidence on the target's own grid."""
    clock.enter("transfer")
    geometry, grid = target.geometry, found.deformation.grid
    transfer = Transfer(atlas_labels, found.deformation.affine, found.displacement, grid)
    maps, certainty = transfer.warped(geometry, clock.check)
    if plan.EFFORTS[effort].patches:
        transfer.refine(maps, certainty, geometry, found.target, found.warped, found.margin, clock.check)
    agreement = confidence.agreement(found.target, found.warped)
    for slab, part in deformation.slabs(geometry):
        clock.check()
        near = sample(agreement[None], transfer.voxels(part) - found.margin)[0].view(part.shape)
        certainty[slab] = np.rint(certainty[slab] * near.cpu().numpy())
    labels = [m.astype(layer.array.dtype) for m, layer in zip(maps, atlas_labels)]
    return [Volume(m, geometry) for m in labels], Volume(certainty, geometry)
