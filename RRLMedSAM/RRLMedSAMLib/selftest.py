"""The job on a small phantom, for the test inside Slicer. Raises AssertionError or RunError where it fails."""

import numpy as np
import slicer
import slicer.util

SIZE = 64  # voxels along each axis
SHIFT = 4.0  # mm along R: where the target's anatomy lies relative to the atlas's


def checkPhantom(logic):
    """Segments the phantom and compares with the truth."""
    atlasImage, atlasLabels = phantom(0.0)
    targetImage, targetLabels = phantom(SHIFT)
    atlas, target = _volume("atlas", atlasImage), _volume("target", targetImage)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "atlas segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(atlas)
    for value in (1, 2):
        segmentation.GetSegmentation().AddEmptySegment(str(value), f"structure {value}")
        mask = (atlasLabels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, str(value), atlas)
    nodes = logic.segmentAndWait(atlas, segmentation, target, effort="fast", device="cpu")
    for value in (1, 2):
        found = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, str(value), target) > 0
        dice = 2 * (found & (targetLabels == value)).sum() / (found.sum() + (targetLabels == value).sum())
        assert dice > 0.9, f"structure {value}: Dice {dice:.3f}"
    middle = SIZE / 2
    atlasPoint = nodes.atlasToTarget.GetTransformFromParent().TransformPoint(middle + SHIFT, middle, middle)
    distance = np.linalg.norm(np.array(atlasPoint) - middle)
    assert distance < 1, f"the transform is {distance:.2f} mm off at the centre"
    assert slicer.util.arrayFromVolume(nodes.confidence).max() > 50


def phantom(shift):
    """A textured ball with a smaller one inside: image and label map (k, j, i), moved along i in voxels."""
    k, j, i = np.meshgrid(*[np.arange(SIZE, dtype=float) - SIZE / 2] * 3, indexing="ij")
    i = i - shift
    texture = np.sin(i / 3) * np.cos(j / 4) + np.sin(k / 5 + i / 6)
    outer = i**2 + (j / 0.8) ** 2 + k**2 < 24**2
    inner = (i - 6) ** 2 + j**2 + (k + 4) ** 2 < 9**2
    noise = np.random.default_rng(int(shift)).normal(scale=5, size=k.shape)
    image = outer * (300 + 40 * texture) + inner * 250 + noise
    return image.astype(np.float32), (outer * 1 + (outer & inner) * 1).astype(np.uint8)


def _volume(name, array):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.CreateDefaultDisplayNodes()
    return node
