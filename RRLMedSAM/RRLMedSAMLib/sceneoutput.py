"""The engine's result as new nodes of the scene."""

import dataclasses
import os

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .atlaslabels import BINARY_LABELMAP
from .editing import signatures
from .errors import RunError
from .exchange import pieces, reading
from .messages import _
from .resultnodes import markAsResult
from .scene import LPS_FROM_RAS, placeBeside, removeWithDisplay, toMatrix
from .sceneinput import imageArray

# What Slicer's export to DICOM says of who drew a segment; the atlas's own tags are not true of the result.
ALGORITHM = {"DICOM.SegmentAlgorithmType": "AUTOMATIC", "DICOM.SegmentAlgorithmName": "RRLMedSAM"}


@dataclasses.dataclass
class ResultNodes:
    """The nodes of one run. Deleting them undoes it."""

    segmentation: object
    atlasToTarget: object
    targetToAtlas: object
    confidence: object

    def all(self):
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


class Result:
    """Reads the files of a run in steps, then adds all nodes at once.

    ``inputs``: `Inputs`; ``structures``: of the atlas, see `AtlasLabels`; ``segmented``: the worker's answer;
    ``file``: callable from a file's name in the exchange folder to its path.
    """

    def __init__(self, inputs, structures, segmented, file):
        self._inputs, self._structures, self._segmented, self._file = inputs, structures, segmented, file
        self.report = _reportOfSegments(segmented.report, structures)

    def steps(self):
        """Generator; raises RunError internal where the files are not what the answer says."""
        try:
            shape = self._inputs.target.GetImageData().GetDimensions()[::-1]
            scalarType = vtk.VTK_UNSIGNED_CHAR if len(self._structures) < 256 else vtk.VTK_SHORT
            self._layers = []
            for labels in self._segmented.labels:
                layer = yield from self._readImage(labels.file, shape, scalarType)
                layer.SetImageToWorldMatrix(toMatrix(self._inputs.targetIjkToRas))
                self._layers.append(layer)
            yield from self._sign(shape)
            confidence = self._segmented.confidence.file
            self._confidence = yield from self._readImage(confidence, shape, vtk.VTK_UNSIGNED_CHAR)
            self._forward = yield from self._readGrid(self._segmented.forward)
            self._inverse = yield from self._readGrid(self._segmented.inverse)
        except (OSError, ValueError) as error:
            raise RunError(
                "internal", _("The result of the computation could not be read."), _("Try again; see the log.")
            ) from error

    def addToScene(self):
        """Adds the nodes beside the target and returns them as `ResultNodes`; on an error it adds none."""
        scene = self._inputs.target.GetScene()
        name = self._inputs.target.GetName()
        made = []

        def add(node, suffix):
            node.SetName(scene.GenerateUniqueName(f"{name} {suffix}"))
            made.append(scene.AddNode(node))
            made[-1].SetAndObserveTransformNodeID(self._inputs.target.GetTransformNodeID())
            return made[-1]

        try:
            nodes = ResultNodes(
                add(self._segmentationNode(), _("segmentation")),
                add(_transformNode(self._atlasLocalFromTargetLocal()), _("atlas to target")),
                add(_transformNode(self._targetFromAtlasPosition()), _("target to atlas")),
                add(self._confidenceNode(), _("confidence")),
            )
            self._finishSegmentation(nodes.segmentation)
            self._finishConfidence(nodes.confidence)
            _setReferences(nodes.atlasToTarget, self._inputs.target, self._inputs.atlasVolume)
            _setReferences(nodes.targetToAtlas, self._inputs.atlasVolume, self._inputs.target)
            for node in nodes.all():
                placeBeside(node, self._inputs.target)
            markAsResult(nodes.segmentation, nodes.all()[1:], self.report, self._inputs.byRole())
        except Exception:
            for node in made:
                removeWithDisplay(node)
            raise
        return nodes

    # ------------------------------------------------------------ files

    def _readImage(self, name, shape, scalarType):
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(*(int(n) for n in shape[::-1]))
        image.AllocateScalars(scalarType, 1)
        array = imageArray(image)
        for piece, values in reading(self._file(name), shape):
            array[piece] = values
            yield
        return image

    def _readGrid(self, field):
        """A displacement field as vtkOrientedGridTransform, RAS mm."""
        with open(self._file(field.file), "rb") as file:
            np.lib.format.read_magic(file)
            shape = np.lib.format.read_array_header_1_0(file)[0]
        image = vtk.vtkImageData()
        image.SetDimensions(*(int(n) for n in shape[2::-1]))
        image.AllocateScalars(vtk.VTK_FLOAT, 3)
        array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
        for piece, values in reading(self._file(field.file), shape):
            np.multiply(values, LPS_FROM_RAS.diagonal()[:3], out=array[piece], casting="same_kind")
            yield
        voxelToRas = LPS_FROM_RAS @ np.array(field.voxel_to_lps)
        spacing = np.linalg.norm(voxelToRas[:3, :3], axis=0)
        direction = np.eye(4)
        direction[:3, :3] = voxelToRas[:3, :3] / spacing
        image.SetOrigin(voxelToRas[:3, 3])
        image.SetSpacing(spacing)
        grid = slicer.vtkOrientedGridTransform()
        grid.SetDisplacementGridData(image)
        grid.SetGridDirectionMatrix(toMatrix(direction))
        grid.SetInterpolationModeToLinear()  # as the engine; MRML's default is cubic
        return grid

    def _sign(self, shape):
        """Writes into the report how each structure's voxels lie, so that a later correction is recognised."""
        values = range(len(self._structures) + 1)
        sums = []
        for layer in self._layers:
            array = imageArray(layer)
            sums.append(np.zeros((len(values), 3)))
            for piece in pieces(shape):
                sums[-1] += signatures(array[piece], (piece.start, 0, 0), shape, values)
                yield
        for row in self.report["structures"]:
            row["signature"] = sums[row["layer"]][row["label"]].tolist()

    # ------------------------------------------------------------ transforms

    def _affine(self):
        """(4, 4), target-local RAS -> where the atlas is in the target's local RAS."""
        return LPS_FROM_RAS @ np.array(self._segmented.affine) @ LPS_FROM_RAS

    def _atlasLocalFromTargetLocal(self):
        """From-parent of the node that carries the atlas to the target.

        Placed where the target is, it must take the target's local points to the atlas's own local points.
        """
        linear = np.linalg.inv(self._inputs.atlasToTarget) @ self._affine()
        return _concatenated(self._forward, toMatrix(linear))

    def _targetFromAtlasPosition(self):
        """From-parent of the node that carries the target to where the atlas is.

        The parent's points are positions of the atlas in the target's local frame already: no parent enters.
        """
        return _concatenated(toMatrix(np.linalg.inv(self._affine())), self._inverse)

    # ------------------------------------------------------------ nodes

    def _segmentationNode(self):
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

    def _finishSegmentation(self, node):
        node.SetReferenceImageGeometryParameterFromVolumeNode(self._inputs.target)
        node.CreateDefaultDisplayNodes()
        for structure in self._structures:
            node.GetDisplayNode().SetSegmentVisibility(structure.segmentId, structure.visible)

    def _confidenceNode(self):
        image = vtk.vtkImageData()
        image.ShallowCopy(self._confidence)
        node = slicer.vtkMRMLScalarVolumeNode()
        node.SetAndObserveImageData(image)
        node.SetIJKToRASMatrix(toMatrix(self._inputs.targetIjkToRas))
        return node

    def _finishConfidence(self, node):
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().AutoWindowLevelOff()
        node.GetDisplayNode().SetWindowLevelMinMax(0, 100)  # percent


def _reportOfSegments(report, structures):
    """The worker's report with the segment's ID at each structure; labels are positions in ``structures``."""
    rows = [
        {**row, "segment": structures[row["label"] - 1].segmentId}
        for row in report.get("structures", [])
        if 1 <= row["label"] <= len(structures)
    ]
    settings = dict(report.get("settings", {}))
    if "model" in settings:
        settings["model"] = os.path.basename(settings["model"])  # a folder's name may be a patient's
    return {**report, "settings": settings, "structures": rows}


def _concatenated(first, second):
    """A general transform that applies the first, then the second (a transform or a vtkMatrix4x4)."""
    transform = vtk.vtkGeneralTransform()
    transform.PostMultiply()
    transform.Concatenate(first)
    transform.Concatenate(second)
    return transform


def _transformNode(fromParent):
    node = slicer.vtkMRMLTransformNode()
    node.SetAndObserveTransformFromParent(fromParent)
    return node


def _setReferences(transformNode, fixed, moving):
    transformNode.AddNodeReferenceID(transformNode.GetFixedNodeReferenceRole(), fixed.GetID())
    transformNode.AddNodeReferenceID(transformNode.GetMovingNodeReferenceRole(), moving.GetID())
