"""Seconds and peak memory of a 512 x 512 x 600 CT pair at effort fast: a body made of ellipsoids in Hounsfield units.

    PYTHONPATH=RRLMedSAM:Testing .venv/bin/python -m benchmarks.largect

The volumes lie on the disk and are mapped, as the worker has them from the panel.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from RRLMedSAMEngine import pipeline
from RRLMedSAMEngine.geometry import Geometry
from RRLMedSAMEngine.image import Volume

SHAPE, SPACING = (600, 512, 512), (0.75, 0.75, 1.0)
ORGANS = (  # label, Hounsfield units, centre and radii as shares of the extent (x, y, z)
    (0, 30, (0.5, 0.5, 0.5), (0.42, 0.30, 0.49)),
    (1, -800, (0.33, 0.48, 0.75), (0.13, 0.18, 0.18)),
    (2, -800, (0.67, 0.48, 0.75), (0.13, 0.18, 0.18)),
    (3, 110, (0.36, 0.46, 0.45), (0.17, 0.15, 0.10)),
    (4, 140, (0.66, 0.58, 0.42), (0.06, 0.06, 0.08)),
    (5, 600, (0.5, 0.70, 0.5), (0.04, 0.05, 0.48)),
)


def body(folder, name, bend):
    """Writes image and labels slice by slice; returns them mapped."""
    paths = [Path(folder) / f"{name}_{kind}.npy" for kind in ("image", "labels")]
    image = np.lib.format.open_memmap(paths[0], "w+", np.int16, SHAPE)
    labels = np.lib.format.open_memmap(paths[1], "w+", np.uint8, SHAPE)
    y, x = np.mgrid[0:1:512j, 0:1:512j]
    noise = np.random.default_rng(0)
    for k, z in enumerate(np.linspace(0, 1, SHAPE[0])):
        image[k], labels[k] = -1000, 0
        dx, dy = bend * np.sin(5 * z + 3 * y), bend * np.cos(4 * z + 2 * x)
        for label, hu, centre, radii in ORGANS:
            at = (x + dx, y + dy, z)
            inside = sum(((a - c) / r) ** 2 for a, c, r in zip(at, centre, radii)) < 1
            image[k][inside], labels[k][inside] = hu, label
        image[k] += noise.normal(0, 15, image[k].shape).astype(np.int16)
    geometry = Geometry.from_parts((0, 0, 0), SPACING, np.eye(3), SHAPE)
    return Volume(np.load(paths[0], mmap_mode="r"), geometry), Volume(np.load(paths[1], mmap_mode="r"), geometry)


def main():
    with tempfile.TemporaryDirectory() as folder:
        atlas, labels = body(folder, "atlas", 0.0)
        target, truth = body(folder, "target", 0.02)
        started = time.monotonic()
        result = pipeline.segment(
            atlas,
            [labels],
            target,
            pipeline.Settings(effort="fast"),
            progress=lambda *_: None,
            warn=print,
            cancelled=lambda: False,
        )
        seconds = time.monotonic() - started
        found, answer = result.labels[0].array, truth.array
        for label in range(1, 6):
            a, b = found == label, answer == label
            print(f"structure {label}: Dice {2 * (a & b).sum() / (a.sum() + b.sum()):.3f}")
        report = result.report
        print(f"{seconds:.0f} s {report['seconds']}, peak {report['peak_memory_gb']} GB, {report['work_grid']}")


if __name__ == "__main__":
    main()
