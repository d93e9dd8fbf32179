"""A run from atlas and target to labels and deformation: the order of the stages, and nothing else."""

import dataclasses
import functools
import itertools
import os

import numpy as np
import torch

from . import __version__, allocator, confidence, devices, models, pairwise, plan, review, threads
from .atlas import Atlas
from .borders import Borders
from .checks import check_image, check_labels
from .deformation import Deformation, slabs
from .image import Volume
from .labels import bounding_box
from .memory import peak_gb
from .progress import Progress
from .sampling import sample
from .transfer import Transfer
from .workload import Workload

POOR_CORRELATION = 0.1  # of aligned images, below which they hardly show the same anatomy
LARGEST_STRETCH = 2.55  # |log| of a change of volume that is still told from a larger one: a byte's worth of percent


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the user chose. ``model``: as `models.load` takes it."""

    effort: str = "balanced"
    device: str = "auto"
    model: str = models.AUTOMATIC
    seed: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """``labels``: a label map on the target's grid for each layer of the atlas. ``confidence``: uint8 percent."""

    labels: list[Volume]
    confidence: Volume
    deformation: Deformation
    report: dict


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

    clock = Progress(progress, cancelled)
    # Panel and command line shall give the same labels to the bit, whichever way the geometry came.
    atlas, target, *atlas_labels = (Volume(v.array, v.geometry.rounded()) for v in (atlas, target, *atlas_labels))
    check_image(atlas, "atlas", note)
    check_image(target, "target", note)
    values = check_labels(atlas_labels, atlas, note)
    known = Atlas.known(atlas, atlas_labels)
    model = known.model(settings.model, settings.effort, note)
    is_own = model is not None and known.owns(model[1])
    guides = is_own and known.is_guided()
    if not target.geometry.overlaps(atlas.geometry):
        note("Atlas and target lie apart in space; they were brought together by their shape alone.")

    effort, twin = plan.EFFORTS[settings.effort], None
    if effort.mirrored:
        clock.enter("align")
        twin = known.mirrored(clock.check)
    work = Workload(
        atlases=2 if twin else 1,
        patches=effort.patches,
        rounds=effort.rounds if is_own else int(model is not None),
        prompts=known.prompts(model[1]) if model else 1,
        target=target.array.size,
        frame=int(np.prod(known.frame.grid.shape)) if model else 0,
    )

    def attempt(step):
        learned = functools.partial(known.learned, model[0], step.device) if model else None

        def guide(of):
            return functools.partial(of.features, model[0], step.device) if guides else None

        found = pairwise.register(
            known, target, settings.effort, step, clock,
            planned=lambda cost, voxels: clock.plan(work.total(cost, voxels)), features=guide(known),
        )  # fmt: skip
        both = pairwise.both_ways(found, clock)
        second = None
        if twin:
            other = pairwise.register(twin, target, settings.effort, step, clock, features=guide(twin))
            second = Transfer.registered(twin.labels, other), other
        stretch = both.jacobian.clamp_min(1e-3).log_().abs_().clamp_max_(LARGEST_STRETCH)
        return found, both, *_transfer(atlas_labels, target, found, stretch, second, work, learned, clock)

    with threads.suited(target.array.size):
        (found, both, labels, evidence), step = devices.with_ladder(attempt, devices.ladder(settings.device), note)
    if found.correlation < POOR_CORRELATION:
        note(
            "Atlas and target hardly agree after alignment: they may show different anatomy. Check the result, "
            "or move the target near the atlas with a transform and run again."
        )
    clock.finish()
    enlarged = abs(np.linalg.det(found.affine[:3, :3]))  # from the target to the atlas
    report = {
        "version": __version__,
        # A package's name, not its folder's: that may be a patient's.
        "settings": {**dataclasses.asdict(settings), "model": os.path.basename(settings.model)},
        "model": model[1].name if model else models.INSTANT,
        "device": devices.describe(step.device),
        "seconds": {stage: round(seconds, 2) for stage, seconds in clock.seconds.items()},
        "peak_memory_gb": round(peak_gb(), 2),
        **both.figures,
        "structures": [
            row
            for layer, (volume, layer_values, atlas_ml) in enumerate(zip(labels, values, known.volumes_ml(values)))
            for row in review.structures(
                volume.array, layer_values, layer, atlas_ml / enlarged, evidence, target.geometry, found.target.spacing
            )
        ],
        "warnings": warnings,
    }
    return Result(labels, Volume(evidence.confidence, target.geometry), both.deformation, report)


def _transfer(atlas_labels, target, found, stretch, second, work, learned, clock):
    """Labels (a Volume for each layer) and `review.Evidence` on the target's own grid.

    ``work``: the run's `Workload`. ``learned()``: gives the `Learned` model, made ready when it is first asked; or
    None.
    """
    clock.enter("transfer")
    geometry, voxels = target.geometry, found.target.image.numel()
    transfer = Transfer.registered(atlas_labels, found)
    maps, certainty = transfer.warped(geometry, clock.check)

    # What is done each time that the model is asked.
    done = itertools.chain([work.carrying(voxels)], itertools.repeat(work.joining(voxels)))

    def ask(labels):
        clock.advance(next(done))
        clock.enter("network")
        model = learned()
        looked = work.looking / model.checks
        votes = model.masks(found, labels, geometry, work.prompts, lambda: clock.advance(looked))
        clock.enter("transfer")
        return [masks.refined for masks in votes]

    borders = Borders(transfer, found, geometry, clock.check, patches=work.patches, second=second)
    if learned:
        borders.refine_with_model(maps, certainty, ask, work.rounds)
    else:
        borders.refine(maps, certainty)
    labels = [Volume(m.astype(layer.array.dtype), geometry) for m, layer in zip(maps, atlas_labels)]
    evidence = review.Evidence(certainty, np.full_like(certainty, 100), np.zeros_like(certainty))
    grid = found.target.grid
    near = confidence.near(labels, grid, stretch.device)
    box = bounding_box(near.cpu().numpy())
    if box is None:
        return labels, evidence
    shown = torch.stack([confidence.only_near(confidence.agreement(found.target.image, found.warped), near), stretch])
    box = geometry.box_around(grid.part(box).corners, found.target.spacing)
    sure, agreement, stretched = (held[box] for held in (certainty, evidence.agreement, evidence.stretch))
    for slab, part in slabs(geometry.part(box)):
        clock.check()
        here = sample(shown, transfer.voxels(part) - found.margin).view(len(shown), *part.shape).cpu().numpy()
        sure[slab] = np.rint(sure[slab] * here[0])
        agreement[slab], stretched[slab] = np.rint(100 * here)
    return labels, evidence
