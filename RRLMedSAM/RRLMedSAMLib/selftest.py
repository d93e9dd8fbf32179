"""The job on a small phantom, for the test inside Slicer. Raises AssertionError or RunError where it fails."""

import numpy as np
import slicer.util

from .sampledata import SHIFT, SIZE, STRUCTURES, addPhantom, phantom


def checkPhantom(logic):
    """Segments the phantom and compares with the truth."""
    atlas, segmentation, target = addPhantom()
    truth = phantom(SHIFT)[1]
    nodes = logic.segmentAndWait(atlas, segmentation, target, effort="fast", device="cpu")
    for value, (name, _colour) in STRUCTURES.items():
        segmentId = nodes.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        found = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, segmentId, target) > 0
        dice = 2 * (found & (truth == value)).sum() / (found.sum() + (truth == value).sum())
        assert dice > 0.9, f"{name}: Dice {dice:.3f}"
    middle = SIZE / 2
    atlasPoint = nodes.atlasToTarget.GetTransformFromParent().TransformPoint(middle + SHIFT, middle, middle)
    distance = np.linalg.norm(np.array(atlasPoint) - middle)
    assert distance < 1, f"the transform is {distance:.2f} mm off at the centre"
    assert slicer.util.arrayFromVolume(nodes.confidence).max() > 50
