"""picsl-greedy on the same scans (pip install picsl-greedy), as a measure of what a good registration gets.

Affine -dof 12 -ia-image-centers -m NCC 4x4x4 -n 100x50x10, then -m NCC 4x4x4 -n 100x50x10 -s 1.732vox 0.707vox, labels
by nearest neighbour. It runs in a process of its own, so that its memory is not counted as ours.
"""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from picsl_greedy import Greedy3D
target, atlas, labels, folder = sys.argv[1:]
greedy, images = Greedy3D(), f"-i {target} {atlas} -m NCC 4x4x4 -n 100x50x10 -threads 2 -V 0"
greedy.execute(f"-a -dof 12 -ia-image-centers {images} -o {folder}/a.mat")
greedy.execute(f"{images} -it {folder}/a.mat -s 1.732vox 0.707vox -o {folder}/w.nii.gz")
greedy.execute(f"-rf {target} -ri NN -rm {labels} {folder}/greedy.nii.gz -r {folder}/w.nii.gz {folder}/a.mat -V 0")
"""


def run(atlas, target: Path, folder) -> Path:
    """The label map that it makes, in ``folder``; ``atlas``: a `datasets.Case`."""
    command = [sys.executable, "-c", PROGRAM, target, atlas.image, atlas.labels, folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Path(folder) / "greedy.nii.gz"
