"""What the worker does with a request: arrays from the exchange folder, the pipeline, arrays back into it."""

import os
import time
from pathlib import Path

import numpy as np

from . import adaptation, exchange, memory, pipeline, refinement, segfile
from .errors import bad_input
from .filejob import FileJob
from .geometry import to_rows
from .protocol import (
    DEVICES,
    EFFORTS,
    Adapt,
    Array,
    Field,
    Refine,
    Refined,
    Segment,
    Segmented,
    SegmentFile,
    Written,
)

WRITING = 0.97  # fraction of a run after which the result is written


def compute(request, *, progress, warn, tell, cancelled, finish, segment=pipeline.segment):
    """Does what a `Segment`, `SegmentFile`, `Refine` or `Adapt` asks for; returns the message that answers it.

    ``progress``, ``warn``, ``cancelled``: as in `pipeline.segment`. ``tell(message)`` sends another one. ``finish()``
    is called when a segmentation is about to be told, and may raise to stop. Raises EngineError, and what the pipeline
    raises.
    """
    memory.reset_peak()
    if isinstance(request, Refine):
        return _refine(request, progress, warn, cancelled)
    if isinstance(request, Adapt):
        return adaptation.compute(request, progress=progress, warn=warn, tell=tell, cancelled=cancelled)
    if request.effort not in EFFORTS or request.device not in DEVICES:
        raise bad_input("The effort or the device is not known.", "Choose another one.")
    if isinstance(request, SegmentFile):
        return _segment_file(request, progress, warn, cancelled)
    return _segment(request, progress, warn, cancelled, finish, segment)


def _segment_file(request: SegmentFile, progress, warn, cancelled) -> Written:
    if request.name in ("", ".", "..") or os.path.basename(request.name) != request.name:
        raise bad_input("The target has no name that a folder can have.", "Rename its file.")
    job = FileJob(
        exchange.read(request.folder, request.atlas),
        exchange.read(request.folder, request.atlas_labels, whole_numbers=True),
        [segfile.Structure(s.label, s.name, s.colour, s.tags) for s in request.structures],
        pipeline.Settings(request.effort, request.device, request.model, request.seed),
        request.overwrite,
    )
    folder = Path(request.output) / request.name
    report = job.run(request.target, folder, progress=progress, warn=warn, cancelled=cancelled)
    return Written(request.id, str(folder), report)


def _refine(request: Refine, progress, warn, cancelled) -> Refined:
    """After an error none of the result's files is left."""
    if request.device not in DEVICES:
        raise bad_input("The device is not known.", "Choose another one.")
    folder = request.folder
    forward, grid = exchange.read_field(folder, request.forward)
    labels = [exchange.read(folder, layer, whole_numbers=True) for layer in request.labels]
    confidence = exchange.read(folder, request.confidence, whole_numbers=True)
    case = refinement.Case(np.array(request.affine), forward, grid, labels, confidence, request.edited)
    layers, trust, report = refinement.refine(
        exchange.read(folder, request.atlas),
        [exchange.read(folder, layer, whole_numbers=True) for layer in request.atlas_labels],
        exchange.read(folder, request.target),
        case,
        request.device,
        progress=progress,
        warn=warn,
        cancelled=cancelled,
    )
    with exchange.Outputs(folder, cancelled) as outputs:
        frame = trust.geometry.to_matrix()
        names = [outputs.write(f"result_labels{n}.npy", layer.array) for n, layer in enumerate(layers)]
        arrays = [Array(name, frame) for name in names]
        return Refined(request.id, arrays, Array(outputs.write("result_confidence.npy", trust.array), frame), report)


def _segment(request: Segment, progress, warn, cancelled, finish, segment) -> Segmented:
    """The result's files lie in the request's folder then. After an error none of them is left."""
    atlas = exchange.read(request.folder, request.atlas)
    target = exchange.read(request.folder, request.target)
    labels = [exchange.read(request.folder, layer, whole_numbers=True) for layer in request.atlas_labels]
    settings = pipeline.Settings(request.effort, request.device, request.model, request.seed)
    result = segment(
        atlas,
        labels,
        target,
        settings,
        progress=lambda stage, fraction, seconds_left: progress(stage, WRITING * fraction, seconds_left),
        warn=warn,
        cancelled=cancelled,
    )
    progress("write", WRITING, None)
    started = time.monotonic()
    with exchange.Outputs(request.folder, cancelled) as outputs:
        frame, field_frame = target.geometry.to_matrix(), result.deformation.grid.to_matrix()
        names = [outputs.write(f"result_labels{n}.npy", layer.array) for n, layer in enumerate(result.labels)]
        message = Segmented(
            id=request.id,
            labels=[Array(name, frame) for name in names],
            confidence=Array(outputs.write("result_confidence.npy", result.confidence.array), frame),
            affine=to_rows(result.deformation.affine),
            forward=Field(outputs.write("result_forward.npy", result.deformation.forward), field_frame),
            inverse=Field(outputs.write("result_inverse.npy", result.deformation.inverse), field_frame),
            report=result.report,
        )
        message.report["seconds"]["write"] = round(time.monotonic() - started, 2)
        message.report["peak_memory_gb"] = round(memory.peak_gb(), 2)
        finish()
    return message
