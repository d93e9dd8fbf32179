"""The engine's label maps and confidence as nodes, and nodes added to the scene all or none."""

import contextlib

import numpy as np
import slicer
import vtk

from .atlaslabels import BINARY_LABELMAP
from .editing import signatures
from .errors import RunError
from .exchange import pieces, reading
from .messages import _
from .scene import placeBeside, removeWithDisplay, toMatrix
from .sceneinput import imageArray

# What Slicer's export to DICOM says of who drew a segment; the atlas's own tags are not true of the result.
ALGORITHM = {"DICOM.SegmentAlgorithmType": "AUTOMATIC", "DICOM.SegmentAlgorithmName": "RRLMedSAM"}

SIGNED_PIECE = 1 << 18  # values whose signature takes a few milliseconds


@contextlib.contextmanager
def readable():
    """Raises RunError internal where the files of a result are not what the answer says."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise RunError(
            "internal", _("The result of the computation could not be read."), _("Try again; see the log.")
        ) from error


@contextlib.contextmanager
def addition(target):
    """``with addition(target) as add``: add(node, suffix) puts a node beside the target; after an error none stays."""
    scene, made = target.GetScene(), []

    def add(node, suffix):
        node.SetName(scene.GenerateUniqueName(f"{target.GetName()} {suffix}"))
        made.append(scene.AddNode(node))
        made[-1].SetAndObserveTransformNodeID(target.GetTransformNodeID())
        return made[-1]

    try:
        yield add
        for node in made:
            placeBeside(node, target)
    except Exception:
        for node in made:
            removeWithDisplay(node)
        raise


class LabelNodes:
    """Label maps and confidence on the target's grid.

    ``inputs``: `Inputs`; ``structures``: of the atlas, see `AtlasLabels`; ``answer``: the worker's;
    ``file``: callable from a file's name in the exchange folder to its path.
    """

    def __init__(self, inputs, structures, answer, file):
        self._target, self._frame = inputs.target, toMatrix(inputs.targetIjkToRas)
        self._structures, self._answer, self._file = structures, answer, file

    def steps(self):
        """Generator that reads the files."""
        shape = self._target.GetImageData().GetDimensions()[::-1]
        scalarType = vtk.VTK_UNSIGNED_CHAR if len(self._structures) < 256 else vtk.VTK_SHORT
        self._layers = []
        for labels in self._answer.labels:
            layer = yield from self._readImage(labels.file, shape, scalarType)
            layer.SetImageToWorldMatrix(self._frame)
            self._layers.append(layer)
        self._confidence = yield from self._readImage(self._answer.confidence.file, shape, vtk.VTK_UNSIGNED_CHAR)

    def sign(self, rows):
        """Generator that writes into a report's structures how their voxels lie: a later correction is recognised."""
        shape = self._target.GetImageData().GetDimensions()[::-1]
        values = range(len(self._structures) + 1)
        sums = []
        for layer in self._layers:
            array = imageArray(layer)
            sums.append(np.zeros((len(values), 3)))
            for piece in pieces(shape, SIGNED_PIECE):
                sums[-1] += signatures(array[piece], (piece.start, 0, 0), shape, values)
                yield
        for row in rows:
            row["signature"] = sums[row["layer"]][row["label"]].tolist()

    def _readImage(self, name, shape, scalarType):
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(*(int(n) for n in shape[::-1]))
        image.AllocateScalars(scalarType, 1)
        array = imageArray(image)
        for piece, values in reading(self._file(name), shape):
            array[piece] = values
            yield
        return image

    def segmentation(self):
        """The segmentation's node, not yet in the scene."""
        segmentation = slicer.vtkSegmentation()
        segmentation.SetSourceRepresentationName(BINARY_LABELMAP)
        for value, structure in enumerate(self._structures, start=1):
            segment = slicer.vtkSegment()
            segment.DeepCopyMetadata(structure.segment)
            segment.SetLabelValue(value)
            for tag, text in ALGORITHM.items():
                segment.SetTag(tag, text)
            # All structures of a layer share one image: many times faster than an image for each.
            segment.AddRepresentation(BINARY_LABELMAP, self._layers[structure.layer])
            segmentation.AddSegment(segment, structure.segmentId)
        node = slicer.vtkMRMLSegmentationNode()
        node.SetAndObserveSegmentation(segmentation)
        return node

    def confidence(self):
        """The confidence volume's node, not yet in the scene."""
        image = vtk.vtkImageData()
        image.ShallowCopy(self._confidence)
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetAndObserveImageData(image)
        node.SetIJKToRASMatrix(self._frame)
        return node

    def finish(self, segmentation, confidence):
        """What both nodes need once they are in the scene."""
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self._target)
        for node in (segmentation, confidence):
            node.CreateDefaultDisplayNodes()
        for structure in self._structures:
            segmentation.GetDisplayNode().SetSegmentVisibility(structure.segmentId, structure.visible)
        confidence.GetDisplayNode().AutoWindowLevelOff()
        confidence.GetDisplayNode().SetWindowLevelMinMax(0, 100)  # percent
