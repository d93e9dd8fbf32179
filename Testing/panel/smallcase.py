"""A case that the real worker segments in about a second: nodes of the scene, and files. Also a second application."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

STEP = 3  # voxels of the sample, 1 mm wide
OPTIONS = {"effort": "fast", "device": "cpu"}


def image(shift=0.0):
    """(image, labels) (k, j, i), 22 voxels along each axis."""
    from RRLMedSAMLib.sampledata import phantom

    return tuple(array[::STEP, ::STEP, ::STEP] for array in phantom(shift))


def addAtlas(scene):
    """Its volume and segmentation nodes."""
    import phantom

    values, labels = image()
    grid = np.diag([STEP, STEP, STEP, 1.0])
    atlas = phantom.volume(scene, "atlas", array=values, ijkToRas=grid)
    masks = {"shell": labels == 1, "core": labels == 2}
    return atlas, phantom.segmentation(scene, "segments", masks, atlas, shared=True)


def writeTargets(folder, names):
    """A file of the same image for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    target = sitk.GetImageFromArray(image(4.0)[0])
    target.SetSpacing([float(STEP)] * 3)
    target.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # as the atlas node has it, in RAS
    for name in names:
        sitk.WriteImage(target, str(folder / f"{name}.nii.gz"))


def labelsIn(folder):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labels.nii.gz")))


def main(scans, output):
    """Segments a folder of scans as a Slicer of its own would, when a line comes; prints what became of each."""
    from host.runtime import boot

    scene = boot().scene
    from RRLMedSAMEngine.targets import find_targets
    from RRLMedSAMLib.logic import OneShotLogic
    from RRLMedSAMLib.worklist import Worklist

    logic = OneShotLogic()
    worklist = Worklist(logic, lambda entry: None, lambda entry: None, lambda: None)
    worklist.addFiles(find_targets(scans))
    atlas = addAtlas(scene)
    print("ready", flush=True)
    sys.stdin.readline()
    worklist.start(worklist.entries, *atlas, outputFolder=output, **OPTIONS)
    while worklist.isActive:
        logic.tick()
        time.sleep(0.005)
    logic.cleanup()
    print(json.dumps({entry.name: entry.error.code if entry.error else entry.state for entry in worklist.entries}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
