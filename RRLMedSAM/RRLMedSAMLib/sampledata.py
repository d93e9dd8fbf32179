"""Sample data for the module 'Sample Data': a phantom that is generated, so that it needs no network."""

import os

import numpy as np
import slicer
import slicer.util

from .messages import _

SIZE = 64  # voxels along each axis, 1 mm wide
SHIFT = 4.0  # mm along R: where the target's anatomy lies relative to the atlas's
STRUCTURES = {1: ("shell", (0.90, 0.62, 0.0)), 2: ("core", (0.34, 0.71, 0.91))}  # told apart by all colour vision
THUMBNAIL = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "Icons", "RRLMedSAMPhantom.png")


def register():
    """Adds the phantom to the module 'Sample Data'; to be called when the application has started."""
    import SampleData  # a module of the application: not there while modules are loaded

    nodeNames = list(_nodeNames().values())
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="RRLMedSAM",
        sampleName="RRLMedSAMPhantom",
        # There is nothing to download, but the module wants an entry for each node.
        uris=[""] * len(nodeNames),
        fileNames=[f"{name}.nrrd" for name in nodeNames],
        nodeNames=nodeNames,
        customDownloader=addPhantom,
        thumbnailFileName=THUMBNAIL,
    )


def addPhantom(_source=None):
    """Adds atlas volume, atlas segmentation and target volume to the scene and returns them.

    ``_source``: what the module 'Sample Data' calls it with.
    """
    names = _nodeNames()
    image, labels = phantom(0.0)
    atlas = _addVolume(names["atlas"], image)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", names["segmentation"])
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(atlas)
    for value, (name, colour) in STRUCTURES.items():
        segmentation.GetSegmentation().AddEmptySegment(str(value), name, colour)
        mask = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, str(value), atlas)
    return [atlas, segmentation, _addVolume(names["target"], phantom(SHIFT)[0])]


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


def _nodeNames():
    return {"atlas": _("phantom atlas"), "segmentation": _("phantom segments"), "target": _("phantom target")}


def _addVolume(name, array):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.CreateDefaultDisplayNodes()
    return node
