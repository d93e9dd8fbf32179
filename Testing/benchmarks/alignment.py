"""Dice of the instant form on one validation brain that is turned, shifted, cut, thinned out or recoloured.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.alignment --data DATA/oasis --output alignment.json
        [--effort fast] [--model NAME]

Truth is changed alike. For the cut brain the structures with more than 200 voxels left are scored.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import nifti, pipeline
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.image import Volume, read_labels, read_volume

from .datasets import Dataset

IN_VIEW = 200  # voxels of a structure below which a cut one is not scored
VENTRICLE = 52  # left lateral ventricle in the OASIS labels


def moved(volume, matrix):
    """Turned or shifted about its centre in space; the voxels stay."""
    centre = np.eye(4)
    centre[:3, 3] = volume.geometry.centre
    motion = centre @ matrix @ np.linalg.inv(centre)
    return Volume(volume.array, Geometry(motion @ volume.geometry.voxel_to_lps, volume.geometry.shape))


def turn(axis, degrees):
    a = np.deg2rad(degrees)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(4)
    matrix[first, first] = matrix[second, second] = np.cos(a)
    matrix[first, second], matrix[second, first] = -np.sin(a), np.sin(a)
    return matrix


def shift(*mm):
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return matrix


def upper(volume, share):
    """Without the lower ``share`` of its slices; k runs upwards in these scans."""
    first = int(share * volume.array.shape[0])
    matrix = volume.geometry.voxel_to_lps @ shift(0, 0, first)
    return Volume(volume.array[first:].copy(), Geometry(matrix, volume.array[first:].shape))


def thick(image, labels, count=5):
    """Slices of ``count`` mm: averaged image, the labels of the middle slice."""
    usable = image.array.shape[0] // count * count
    averaged = image.array[:usable].reshape(-1, count, *image.array.shape[1:]).mean(axis=1)
    matrix = image.geometry.voxel_to_lps @ shift(0, 0, count // 2) @ np.diag([1.0, 1.0, count, 1.0])
    geometry = Geometry(matrix, averaged.shape)
    return Volume(averaged, geometry), Volume(labels.array[count // 2 : usable : count].copy(), geometry)


def recoloured(image, function):
    scaled = image.array / image.array.max()
    return Volume(np.where(image.array > 0, 1000 * function(scaled), 0).astype(np.float32), image.geometry)


def variants(image, labels):
    yield "as it is", image, labels
    for axis, name in enumerate("xyz"):
        for degrees in (90, 180):
            matrix = turn(axis, degrees)
            yield f"turned {degrees} about {name}", moved(image, matrix), moved(labels, matrix)
    yield "shifted 100 mm", moved(image, shift(100, 0, 0)), moved(labels, shift(100, 0, 0))
    yield "lower 40 % cut away", upper(image, 0.4), upper(labels, 0.4)
    yield "1 x 1 x 5 mm", *thick(image, labels)
    yield "contrast inverted", recoloured(image, lambda v: 1.1 - v), labels
    yield "gamma 2.2", recoloured(image, lambda v: v**2.2), labels
    yield "gamma 0.5", recoloured(image, lambda v: v**0.5), labels
    tissue = np.median(image.array[image.array > 0])
    painted = np.where(labels.array == VENTRICLE, tissue, image.array).astype(np.float32)
    yield "one ventricle erased", Volume(painted, image.geometry), labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--output", required=True, help="JSON file for the figures")
    parser.add_argument("--scorer", help="a program that scores label maps, in place of our own measures")
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--model", default="instant")
    parser.add_argument("--only", default="", help="only variants whose name holds this text")
    options = parser.parse_args()
    data = Dataset(options.data)
    atlas, labels = data.read_atlas()
    case = data.validation[0]
    image, truth = read_volume(case.image), read_labels(case.labels)
    rows, whole = {}, None
    with tempfile.TemporaryDirectory() as folder:
        for name, target, answer in variants(image, truth):
            if whole is not None and options.only not in name:
                continue
            started = time.monotonic()
            result = pipeline.segment(
                atlas, [labels], target, pipeline.Settings(options.effort, model=options.model),
                progress=lambda *_: None, warn=lambda text: print("  warning:", text), cancelled=lambda: False,
            )  # fmt: skip
            seconds = time.monotonic() - started
            path = Path(folder) / "truth.nii.gz"
            nifti.write(path, answer.array, answer.geometry, lambda: None)
            groups = data.score(result.labels[0], path, folder, options.scorer)["groups"]
            kept = [
                key
                for key, values in data.content["groups"].items()
                if np.isin(answer.array, values).sum() > IN_VIEW and key in groups
            ]
            whole = whole or groups
            dice, before = (float(np.mean([found[key] for key in kept])) for found in (groups, whole))
            rows[name] = {"dice": dice, "loss": before - dice, "structures": len(kept), "seconds": seconds}
            print(
                f"{name}: Dice {dice:.4f}, lost {before - dice:+.4f} ({len(kept)} structures), {seconds:.0f} s",
                flush=True,
            )
            Path(options.output).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
