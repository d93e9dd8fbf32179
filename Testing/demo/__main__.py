"""Segments the sample's target in a real MRML scene, with the module's own logic and worker, and compares the result
with the known truth."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from RRLMedSAMLib import brainsample
from RRLMedSAMLib.errors import RunError

from . import output

ROOT = Path(__file__).resolve().parents[2]
LOOK_AT = 5  # structures of the lowest confidence to name
POINTS = 20000  # at which the found transform is compared with the known one


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py demo", description=__doc__)
    parser.add_argument("--output", default=ROOT / "demo-output", type=Path, metavar="DIR")
    parser.add_argument("--effort", choices=("fast", "balanced", "best"), default="balanced")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", default=0, type=int, metavar="N", help="decides the target's deformation and noise")
    options = parser.parse_args(arguments)
    options.output = options.output.absolute()
    return options


def main(arguments=None):
    options = parse(arguments)
    try:
        output.check(options.output)
        job(options)
    except output.NotOurs:
        return _fail(f"{options.output} was not made by the demo.", "Move it away, or choose another --output.")
    except brainsample.SampleMissing as error:
        return _fail(str(error), "Delete the folder .venv and start again.")
    except RunError as error:
        return _fail(error.text, error.action)
    except OSError as error:
        return _fail(f"The result could not be written ({error}).", "Check the disk's space, or choose --output.")
    except KeyboardInterrupt:
        return _fail("Interrupted.", "Nothing was written.", 130)
    return 0


def job(options):
    """Raises what `main` handles."""
    started = time.monotonic()
    _say("Making the sample: an annotated brain, and the same brain deformed by a known map ...")
    made = brainsample.make(options.seed)
    seconds = {"sample": time.monotonic() - started}
    with tempfile.TemporaryDirectory(prefix="rrlmedsam-demo-") as temporary:
        from host.mrml import Mrml

        mrml = Mrml(temporary)
        mrml.install()
        with output.replacing(options.output) as folder:
            facts = _segment(made, options, folder, seconds)
            (folder / "report.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            mrml.clear()
    started = time.monotonic()
    picture = _draw(options.output)
    facts["demo"]["seconds"]["picture"] = time.monotonic() - started
    _tell(facts, options, picture)


def _segment(made, options, folder, seconds):
    """Runs the job and writes its files; returns the report."""
    from RRLMedSAMLib.logic import OneShotLogic
    from RRLMedSAMLib.resultnodes import readReport
    from RRLMedSAMLib.sampledata import addSample

    from . import scene

    atlas, segmentation, target = addSample(made, ("atlas", "atlas segmentation", "target"))
    started = time.monotonic()
    logic = OneShotLogic()
    try:
        choices = (options.effort, options.device)
        nodes = logic.segmentAndWait(atlas, segmentation, target, *choices, onProgress=Progress())
    finally:
        logic.cleanup()
    seconds["segment"] = time.monotonic() - started

    started = time.monotonic()
    labels = scene.addLabelMap(nodes.segmentation, target, "target labels")
    truth = sitk.GetArrayFromImage(made.truth)
    inside = np.argwhere(truth > 0)
    chosen = inside[np.random.default_rng(0).choice(len(inside), POINTS)]
    points = np.array([made.truth.TransformIndexToPhysicalPoint(voxel[::-1].tolist()) for voxel in chosen])
    facts = {
        **readReport(nodes.segmentation),
        "demo": {
            "dice": scene.dicePerSegment(labels, truth, made.structures),
            "confidence": scene.confidences(nodes.segmentation),
            "distance_from_known_map_mm": scene.meanDistance(nodes.atlasToTarget, made.toAtlas, points),
            "known_map_moves_mm": float(np.linalg.norm(made.toAtlas(points) - points, axis=1).mean()),
            "seconds": seconds,
        },
    }
    _write(made, nodes, labels, (atlas, target, segmentation), folder)
    seconds["compare and write"] = time.monotonic() - started
    return facts


def _write(made, nodes, labels, inputs, folder):
    from . import scene

    (folder / "input").mkdir()
    atlas, target, segmentation = inputs
    scene.save(atlas, folder / "input" / "atlas.nii.gz")
    scene.save(segmentation, folder / "input" / "atlas.seg.nrrd")
    scene.save(target, folder / "input" / "target.nii.gz")
    sitk.WriteImage(made.truth, str(folder / "input" / "truth.nii.gz"), useCompression=True)
    scene.save(nodes.segmentation, folder / "target.seg.nrrd")
    scene.save(labels, folder / "target-labels.nii.gz")
    scene.save(nodes.confidence, folder / "target-confidence.nii.gz")
    scene.saveField(nodes.atlasToTarget, target, folder / "atlas-to-target.nii.gz")
    scene.saveField(nodes.targetToAtlas, atlas, folder / "target-to-atlas.nii.gz")
    scene.saveScene(folder / "scene.mrb")


class Progress:
    """One line for each stage."""

    def __init__(self):
        self._stage = None

    def __call__(self, run):
        if run.stage != self._stage:
            from RRLMedSAMLib.messages import stageText, timeText

            self._stage = run.stage
            left = "" if run.secondsLeft is None else f", about {timeText(run.secondsLeft)} left"
            _say(f"  {stageText(run.stage)} ({run.fraction:.0%}{left})")


def _draw(folder):
    """Whether the picture of slices and surfaces could be drawn."""
    _say("Drawing slices and surfaces from the scene bundle ...")
    path = folder / "views.png"
    command = [sys.executable, "-m", "demo.picture", str(folder / "scene.mrb"), str(path)]
    drawn = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if drawn.returncode or not path.exists():
        path.unlink(missing_ok=True)
        reason = drawn.stderr.strip().splitlines()[-1:] or ["no reason given"]
        _say(f"The picture could not be drawn: {reason[0]}. On Linux it needs OpenGL: install the package libegl1.")
        return False
    return True


def _tell(facts, options, picture):
    demo = facts["demo"]
    dice, confidence, seconds = demo["dice"], demo["confidence"], demo["seconds"]
    print(f"\nSegmented {len(dice)} structures on {facts['device']}, effort {options.effort}.")
    print("\nDice against the known truth (1 is perfect):")
    for line in _table(dice):
        print("  " + line)
    mean = np.nanmean(list(dice.values()))
    print(f"\nMean Dice {mean:.3f}; folding in {facts['folding_percent']:.2f} % of the voxels.")
    print(
        f"The known map moves points by {demo['known_map_moves_mm']:.1f} mm on average; the found transform is "
        f"{demo['distance_from_known_map_mm']:.2f} mm away from it."
    )
    stages = ", ".join(f"{name} {value:.1f}" for name, value in facts["seconds"].items())
    print("\nSeconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()) + ".")
    print(f"Of the segmentation: {stages}.")
    for warning in facts["warnings"]:
        print(f"Warning: {warning}")
    unsure = sorted((name for name in confidence if confidence[name] is not None), key=confidence.get)[:LOOK_AT]
    print("\nWhere to look next, the structures of the lowest confidence:")
    for name in unsure:
        print(f"  {name} ({confidence[name]:.0f} %)")
    print(f"\nThe result is in {options.output}; views.png shows it." if picture else f"\nThe result: {options.output}")
    print(
        f"In 3D Slicer open scene.mrb; without it: python3 run.py panel --scene {_shown(options.output / 'scene.mrb')}"
    )


def _table(dice):
    """Lines with the values of both sides of each structure, the lowest first."""
    rows = {}
    for name, value in dice.items():
        side, _, rest = name.partition(" ")
        paired = side in ("left", "right")
        rows.setdefault(rest if paired else name, {})[side if paired else ""] = value
    width = max(map(len, rows)) + 2
    yield f"{'':<{width}}{'left':>6}{'right':>8}"
    for name, sides in sorted(rows.items(), key=lambda item: min(item[1].values())):
        yield f"{name:<{width}}" + "  ".join(f"{value:6.3f}" for value in sides.values())


def _shown(path):
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _say(text):
    print(text, flush=True)


def _fail(text, action, code=1):
    print(f"demo: {text} {action}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
